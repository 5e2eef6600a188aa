import { Anchor } from "@mantine/core";
import { Link } from "react-router";
import { Money } from "../../../components/Money";
import { Section } from "../../../components/Section";
import { formatCount } from "../../../format/number";
import { percent, sum } from "../../../format/money";
import classes from "./overview.module.css";

interface RankingProps {
  title: string;
  rowTitle: string;
  empty: string;
  rows: readonly { key: string; name: string; calls: number; cost: string; to: string }[];
}

/** Who spent most, with the share of each as a bar behind it. */
export function Ranking({ title, rowTitle, empty, rows }: RankingProps) {
  const whole = sum(rows.map(({ cost }) => cost));
  return (
    <Section title={title} padded={false}>
      {rows.length === 0 ? (
        <p className={classes.nothing}>{empty}</p>
      ) : (
        <table className="data-table" role="table" aria-label={title}>
          <thead role="rowgroup">
            <tr role="row">
              <th role="columnheader" scope="col">{rowTitle}</th>
              <th role="columnheader" scope="col" data-align="end">Requests</th>
              <th role="columnheader" scope="col" data-align="end">Credits</th>
            </tr>
          </thead>
          <tbody role="rowgroup">
            {rows.map(({ key, name, calls, cost, to }) => (
              <tr key={key} role="row">
                <td role="cell" data-label={rowTitle} data-heading>
                  <div className={classes.ranked}>
                    <Anchor component={Link} to={to} inherit>{name}</Anchor>
                    <div className={classes.bar} aria-hidden="true"><i style={{ width: `${percent(cost, whole)}%` }} /></div>
                  </div>
                </td>
                <td role="cell" data-align="end" data-label="Requests">{formatCount(calls)}</td>
                <td role="cell" data-align="end" data-label="Credits"><Money credits={cost} /></td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Section>
  );
}
