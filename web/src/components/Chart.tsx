import { AreaChart, BarChart, LineChart } from "@mantine/charts";
// The legend is drawn with it; only charts need it.
import "@mantine/core/styles/ColorSwatch.css";
import "@mantine/charts/styles.css";
import { useReducedMotion } from "@mantine/hooks";
import type { ChartProps } from "./ChartWithTable";

/** Draws rows; only `ChartWithTable` uses it, which puts the table behind it. */
export default function Chart({ kind, rows, series, stacked = false, height = 240, formatValue = String }: ChartProps) {
  const still = useReducedMotion();
  const shared = {
    h: height,
    data: rows.map(({ label, values }) => ({ label, ...values })),
    dataKey: "label",
    series: series.map(({ name, label, color }) => ({ name, label, color })),
    valueFormatter: formatValue,
    tickLine: "none" as const,
    withLegend: series.length > 1,
    // As wide as its longest label; there is no half of a call.
    yAxisProps: { width: "auto" as const, allowDecimals: !rows.every(({ values }) => Object.values(values).every(Number.isInteger)) },
    xAxisProps: { minTickGap: 24 },
  };
  if (kind === "bar") {
    return <BarChart {...shared} type={stacked ? "stacked" : "default"} barProps={{ isAnimationActive: !still, maxBarSize: 36 }} />;
  }
  if (kind === "line") {
    return <LineChart {...shared} withDots={false} lineProps={{ isAnimationActive: !still }} />;
  }
  return <AreaChart {...shared} type={stacked ? "stacked" : "default"} withDots={false} areaProps={{ isAnimationActive: !still }} />;
}
