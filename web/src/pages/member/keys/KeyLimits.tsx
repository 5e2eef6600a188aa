import { Progress } from "@mantine/core";
import type { KeyShown } from "../../../api/schema";
import { PERIODS } from "../../../components/keys/limits";
import { Money } from "../../../components/Money";
import { Time } from "../../../components/Time";
import { percent, sum } from "../../../format/money";
import { formatCount } from "../../../format/number";
import classes from "./keys.module.css";

const FULL = 90;

/** A key, or a member over all of their keys. */
type Limited = Pick<KeyShown, "name" | "rpm" | "tpm" | "concurrency" | "budget"> & Partial<Pick<KeyShown, "models">>;

/** What may be spent, as a bar with its figures, and the other limits in words. */
export function KeyLimits({ shown }: { shown: Limited }) {
  const { budget, models = null } = shown;
  const rates = [
    shown.rpm !== null && `${formatCount(shown.rpm)} requests/min`,
    shown.tpm !== null && `${formatCount(shown.tpm)} tokens/min`,
    shown.concurrency !== null && `${formatCount(shown.concurrency)} at once`,
  ].filter(Boolean);
  const narrowed = models === null ? [] : [`${formatCount(models.length)} ${models.length === 1 ? "model" : "models"}`];
  const words = [...rates, ...narrowed].join(" · ");
  if (!budget) return <div className={classes.limits}>{words || <small>No limits</small>}</div>;
  const taken = sum([budget.spent, budget.held]);
  const share = percent(taken, budget.amount);
  return (
    <div className={classes.limits}>
      <span><Money credits={taken} /> of <Money credits={budget.amount} /></span>
      <Progress
        value={share} size="sm" my={4} color={share >= FULL ? "orange.8" : "indigo.6"}
        aria-label={`Budget of ${shown.name}: ${share} per cent taken`}
      />
      <small>
        {PERIODS.find(({ value }) => value === budget.period)?.label}
        {budget.resets_at_ms !== null && <>, anew <Time at={budget.resets_at_ms} relative /></>}
      </small>
      {words && <small>{words}</small>}
    </div>
  );
}
