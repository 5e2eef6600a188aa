import { Text } from "@mantine/core";
import type { Arithmetic as Sum } from "../../api/schema";
import { formatCount } from "../../format/number";
import { Money } from "../Money";

const RULES: Record<Sum["rule"], string> = {
  price: "By the price table: each kind of token at its price, the node's markup included.",
  reported: "The node said what it charged, and is trusted to.",
  free: "This model is free.",
  none: "Nothing was charged.",
};

/** How the cost of a call adds up, line by line. */
export function Arithmetic({ sum }: { sum: Sum }) {
  return (
    <>
      <Text size="sm" c="dimmed">{RULES[sum.rule]}</Text>
      {sum.lines.length > 0 && (
        <div className="data-table-scroll">
          <table className="data-table" role="table" aria-label="How the cost adds up">
            <thead role="rowgroup">
              <tr role="row">
                <th role="columnheader" scope="col">What</th>
                <th role="columnheader" scope="col" data-align="end">Tokens</th>
                <th role="columnheader" scope="col" data-align="end">Per million</th>
                <th role="columnheader" scope="col" data-align="end">Credits</th>
              </tr>
            </thead>
            <tbody role="rowgroup">
              {sum.lines.map((line) => (
                <tr key={line.name} role="row">
                  <td role="cell" data-label="What">{line.name.replaceAll("_", " ")}</td>
                  <td role="cell" data-align="end" data-label="Tokens">{formatCount(line.quantity)}</td>
                  <td role="cell" data-align="end" data-label="Per million"><Money credits={line.price_per_million} /></td>
                  <td role="cell" data-align="end" data-label="Credits"><Money credits={line.cost} /></td>
                </tr>
              ))}
              <tr role="row">
                <td role="cell" data-label="What"><strong>Billed</strong></td>
                <td role="cell" />
                <td role="cell" />
                <td role="cell" data-align="end" data-label="Credits"><strong><Money credits={sum.billed} /></strong></td>
              </tr>
            </tbody>
          </table>
        </div>
      )}
      {sum.rule === "price" && !sum.exact && (
        <Text size="sm">At today's prices the lines come to <Money credits={sum.total} />: the price has changed since, or the call was capped by what was set aside.</Text>
      )}
    </>
  );
}
