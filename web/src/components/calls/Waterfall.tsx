import { Text } from "@mantine/core";
import type { AttemptShown, CallShown } from "../../api/schema";
import { formatMilliseconds } from "../../format/number";
import { Money } from "../Money";
import { StateBadge } from "../StateBadge";
import styles from "./calls.module.css";

const LEAST_PER_CENT = 1.5;

/** The attempts at nodes, each a bar on the time that the whole call took; the figures stand beside it in words. */
export function Waterfall({ call, tried }: { call: CallShown; tried: readonly AttemptShown[] }) {
  if (tried.length === 0) return <Text c="dimmed" size="sm">No node was asked: the call was refused before that.</Text>;
  const whole = Math.max(call.duration_ms, ...tried.map((each) => each.started_at_ms - call.started_at_ms + each.duration_ms), 1);
  const place = (ms: number) => `${Math.min(Math.max((ms / whole) * 100, 0), 100 - LEAST_PER_CENT)}%`;
  return (
    <ol className={styles.waterfall} aria-label="Attempts">
      {tried.map((attempt) => {
        const after = attempt.started_at_ms - call.started_at_ms;
        return (
          <li key={attempt.number}>
            <div className={styles.attempt}>
              <strong>{attempt.node}</strong>
              <StateBadge state={attempt.outcome} tone={attempt.outcome === "ok" ? "good" : "bad"} />
              <span className="figures">
                {attempt.number === 1 ? "" : `after ${formatMilliseconds(after)}, `}
                {formatMilliseconds(attempt.duration_ms)}
                {attempt.cost !== null && <> · charged <Money credits={attempt.cost} /></>}
              </span>
            </div>
            <div className={styles.track} aria-hidden="true">
              <div className={styles.bar} data-ok={attempt.outcome === "ok"}
                style={{ insetInlineStart: place(after), width: `${Math.max((attempt.duration_ms / whole) * 100, LEAST_PER_CENT)}%` }} />
              {attempt.outcome === "ok" && call.first_content_ms !== null && <div className={styles.mark} style={{ insetInlineStart: place(call.first_content_ms) }} />}
            </div>
          </li>
        );
      })}
    </ol>
  );
}
