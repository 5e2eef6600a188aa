import { Text } from "@mantine/core";
import type { Arithmetic as Sum, CostLine } from "../../api/schema";
import { formatCount } from "../../format/number";
import { Money } from "../Money";

const RULES: Record<Sum["rule"], string> = {
  price: "By the price table: each kind of token and piece at its price, markup included.",
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
                <th role="columnheader" scope="col" data-align="end">Quantity</th>
                <th role="columnheader" scope="col" data-align="end">Price</th>
                <th role="columnheader" scope="col" data-align="end">Credits</th>
              </tr>
            </thead>
            <tbody role="rowgroup">
              {sum.lines.map((line) => (
                <tr key={line.name} role="row">
                  <td role="cell" data-label="What">{line.name.replaceAll("_", " ")}</td>
                  <td role="cell" data-align="end" data-label="Quantity">{formatCount(Number(line.quantity))} {many(line)}</td>
                  <td role="cell" data-align="end" data-label="Price"><Money credits={line.price} /> {line.per === 1 ? `a ${line.unit}`.replace("a i", "an i") : `a million ${line.unit}s`}</td>
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
        <Text size="sm">
          {sum.lines.length > 0 && <>At today's prices the lines come to <Money credits={sum.total} />: </>}
          {sum.lines.length > 0 ? "the" : "The"} price has changed since or depends on quality and size, which are not kept, or the call was capped by what was set aside.
        </Text>
      )}
    </>
  );
}

function many({ unit, quantity }: CostLine): string {
  return quantity === "1" ? unit : unit === "search" ? "searches" : `${unit}s`;
}
