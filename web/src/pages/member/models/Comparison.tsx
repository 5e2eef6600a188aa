import { Modal } from "@mantine/core";
import { Fragment, type ReactNode } from "react";
import type { ModelShown } from "../../../api/schema";
import { Money } from "../../../components/Money";
import { PieceUnits } from "../../../components/PieceUnits";
import { formatMilliseconds, formatShare, formatTokens } from "../../../format/number";
import { ABILITIES } from "./filters";
import classes from "./models.module.css";

const ROWS: [string, (model: ModelShown) => ReactNode][] = [
  ["Context", ({ context_length }) => (context_length === null ? "–" : formatTokens(context_length))],
  ["Longest answer", ({ max_output_tokens }) => (max_output_tokens === null ? "–" : formatTokens(max_output_tokens))],
  ["Input", ({ pricing }) => price(pricing?.input, pricing?.free)],
  ["Output", ({ pricing }) => price(pricing?.output, pricing?.free)],
  ["By the piece", ({ pricing }) => (pricing?.units.length ? <PieceUnits units={pricing.units} /> : "–")],
  ["Cache read", ({ pricing }) => price(pricing?.cache_read, pricing?.free)],
  ["Cache write", ({ pricing }) => price(pricing?.cache_write, pricing?.free)],
  ...ABILITIES.map(({ value, label }): [string, (model: ModelShown) => ReactNode] => [
    label.charAt(0).toUpperCase() + label.slice(1),
    ({ abilities }) => (abilities[value] ? "yes" : "no"),
  ]),
  ["First token, p50", ({ measured }) => (measured?.p50_first_content_ms == null ? "–" : formatMilliseconds(measured.p50_first_content_ms))],
  ["Tokens a second", ({ measured }) => (measured?.tokens_per_s == null ? "–" : Math.round(measured.tokens_per_s))],
  ["Without a fault", ({ measured }) => (measured === null ? "–" : formatShare(measured.success))],
];

/** Models side by side. */
export function Comparison({ models, onClose }: { models: readonly ModelShown[]; onClose: () => void }) {
  return (
    <Modal opened onClose={onClose} title="Compare models" size="xl" closeButtonProps={{ "aria-label": "Close" }}>
      <div className={classes.comparison} tabIndex={0} role="region" aria-label="Comparison">
        <table>
          <thead>
            <tr>
              <th scope="col">Property</th>
              {models.map(({ id }) => <th key={id} scope="col">{id.split("/").map((part, at) => <Fragment key={at}>{at > 0 && <>/<wbr /></>}{part}</Fragment>)}</th>)}
            </tr>
          </thead>
          <tbody>
            {ROWS.map(([title, render]) => (
              <tr key={title}>
                <th scope="row">{title}</th>
                {models.map((model) => <td key={model.id}>{render(model)}</td>)}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Modal>
  );
}

function price(credits: string | null | undefined, free: boolean | undefined): ReactNode {
  if (free) return "free";
  return credits ? <Money credits={credits} /> : "–";
}
