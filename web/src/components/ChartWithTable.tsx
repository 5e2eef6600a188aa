/** A chart with the same figures as a table behind it. The drawing library is fetched only when a chart is shown. */
import { SegmentedControl, Skeleton } from "@mantine/core";
import { lazy, Suspense, useState } from "react";
import { Section } from "./Section";

export interface Series {
  /** The field of a row that it draws. */
  name: string;
  label: string;
  /** A Mantine colour: "indigo.6". */
  color: string;
}

export interface ChartRow {
  /** What stands on the axis. */
  label: string;
  /** For the drawing: floats. */
  values: Record<string, number>;
  /** For the table: exact text by series; else the value in words. */
  texts?: Record<string, string>;
}

export interface ChartProps {
  kind: "bar" | "line" | "area";
  rows: readonly ChartRow[];
  series: readonly Series[];
  stacked?: boolean;
  height?: number;
  formatValue?: (value: number) => string;
}

interface ChartWithTableProps extends ChartProps {
  title: string;
  description?: string;
  /** What the rows are: "Day". */
  rowTitle: string;
  /** What stands here when every figure is 0. */
  nothing?: string;
}

const Chart = lazy(() => import("./Chart"));

export function ChartWithTable({ title, description, rowTitle, nothing = "No calls in this time.", ...chart }: ChartWithTableProps) {
  const [shown, setShown] = useState("chart");
  const { height = 240 } = chart;
  if (chart.rows.every(({ values }) => Object.values(values).every((value) => value === 0))) {
    return <Section title={title} description={description}><p className="nothing">{nothing}</p></Section>;
  }
  const control = (
    <SegmentedControl
      size="xs"
      value={shown}
      onChange={setShown}
      aria-label={`${title}: how it is shown`}
      data={[{ value: "chart", label: "Chart" }, { value: "table", label: "Table" }]}
    />
  );
  return (
    <Section title={title} description={description} action={control}>
      <div style={{ minHeight: height }}>
        {shown === "chart" ? (
          <Suspense fallback={<Skeleton h={height} aria-busy="true" />}>
            <div role="img" aria-label={`${title}. The table has the figures.`}>
              <Chart {...chart} height={height} />
            </div>
          </Suspense>
        ) : (
          <Figures title={title} rowTitle={rowTitle} {...chart} />
        )}
      </div>
    </Section>
  );
}

function Figures({ title, rowTitle, rows, series, formatValue = String }: ChartWithTableProps) {
  return (
    <div className="data-table-scroll">
      <table className="data-table" role="table" aria-label={title}>
        <thead role="rowgroup">
          <tr role="row">
            <th role="columnheader" scope="col">{rowTitle}</th>
            {series.map(({ name, label }) => <th key={name} role="columnheader" scope="col" data-align="end">{label}</th>)}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {rows.map(({ label, values, texts }) => (
            <tr key={label} role="row">
              <td role="cell" data-label={rowTitle}>{label}</td>
              {series.map(({ name, label: title }) => (
                <td key={name} role="cell" data-align="end" data-label={title}>{texts?.[name] ?? formatValue(values[name] ?? 0)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
