/** The bars above a table of calls. */
import type { CallPage } from "../../api/schema";
import { formatTime, utcDay } from "../../format/time";
import { type ChartRow, ChartWithTable } from "../ChartWithTable";
import { formatCount } from "../../format/number";

const HOUR_MS = 3_600_000;

export function Histogram({ page, since_ms, until_ms }: { page: CallPage; since_ms: number; until_ms: number }) {
  const step = page.step ?? "day";
  return (
    <ChartWithTable title="Calls over time" rowTitle={step === "hour" ? "Hour" : "Day"} kind="bar" stacked height={160}
      rows={rowsOf(page, since_ms, until_ms)} formatValue={formatCount}
      series={[{ name: "well", label: "Well", color: "indigo.6" }, { name: "failed", label: "Failed", color: "red.7" }]} />
  );
}

/** Every bar of the span, also those that nothing fell into, so that gaps are seen. */
function rowsOf(page: CallPage, since_ms: number, until_ms: number): ChartRow[] {
  const width = page.step === "hour" ? HOUR_MS : 24 * HOUR_MS;
  const told = new Map((page.histogram ?? []).map((bar) => [bar.begins_ms, bar]));
  const rows: ChartRow[] = [];
  for (let at = Math.floor(since_ms / width) * width; at < until_ms; at += width) {
    const bar = told.get(at);
    const failed = bar?.failed ?? 0;
    rows.push({ label: page.step === "hour" ? formatTime(at, false).slice(5) : utcDay(at), values: { well: (bar?.calls ?? 0) - failed, failed } });
  }
  return rows;
}
