/** The bars above a table of calls. */
import type { CallPage } from "../../api/schema";
import { formatTime, utcDay } from "../../format/time";
import { type ChartRow, ChartWithTable } from "../ChartWithTable";
import { formatCount } from "../../format/number";

const HOUR_MS = 3_600_000;

interface HistogramProps {
  page: Pick<CallPage, "histogram" | "step">;
  since_ms: number;
  until_ms: number;
  /** The filter of the table: calls are summed up by whether they failed, not by every status. */
  status: string;
}

const SERIES = [{ name: "ok", label: "Well", color: "indigo.6" }, { name: "failed", label: "Failed", color: "red.7" }] as const;

export function Histogram({ page, since_ms, until_ms, status }: HistogramProps) {
  const step = page.step ?? "day";
  return (
    <ChartWithTable title="Calls over time" rowTitle={step === "hour" ? "Hour" : "Day"} kind="bar" stacked height={160}
      rows={rowsOf({ page, since_ms, until_ms, status })} formatValue={formatCount}
      description={/^\d/.test(status) ? "Calls of every status" : undefined}
      series={SERIES.filter(({ name }) => (status !== "ok" && status !== "failed") || name === status)} />
  );
}

/** Every bar of the span, also those that nothing fell into, so that gaps are seen. */
function rowsOf({ page, since_ms, until_ms, status }: HistogramProps): ChartRow[] {
  const width = page.step === "hour" ? HOUR_MS : 24 * HOUR_MS;
  const told = new Map((page.histogram ?? []).map((bar) => [bar.begins_ms, bar]));
  const rows: ChartRow[] = [];
  for (let at = Math.floor(since_ms / width) * width; at < until_ms; at += width) {
    const bar = told.get(at);
    const failed = bar?.failed ?? 0;
    const ok = (bar?.calls ?? 0) - failed;
    rows.push({ label: page.step === "hour" ? formatTime(at, false).slice(5) : utcDay(at), values: status === "failed" ? { failed } : status === "ok" ? { ok } : { ok, failed } });
  }
  return rows;
}
