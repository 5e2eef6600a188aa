/** The figures of the usage page: which there are, and how rows of the API become sums, charts and words. */
import type { UsageRow, UsageSums } from "../../../api/schema";
import { approximate, compare, formatAxis, formatCredits, sum } from "../../../format/money.ts";
import { formatCount, formatShare } from "../../../format/number.ts";
import { formatTime, utcDay } from "../../../format/time.ts";

export const METRICS = {
  cost: "Spend",
  calls: "Calls",
  failed: "Failed calls",
  total_tokens: "Tokens",
  prompt_tokens: "Input tokens",
  completion_tokens: "Output tokens",
  cache_read_tokens: "Tokens from the cache",
  reasoning_tokens: "Reasoning tokens",
};
export type Metric = keyof typeof METRICS;

export const GROUPS = { model: "Model", key: "Key", node: "Node" };
export type Group = keyof typeof GROUPS;

export const STEPS = { hour: "Hour", day: "Day", whole: "Whole span" };
export type Step = keyof typeof STEPS;

const HOUR_MS = 3_600_000;
const MOST_SERIES = 6;
const COLORS = ["indigo.6", "teal.6", "orange.6", "grape.6", "cyan.6", "pink.6", "gray.6"];
const REST = "All others";

/** The sums of one group over the whole span. */
export interface GroupSums extends UsageSums {
  id: string;
  name: string;
}

const NOTHING: UsageSums = {
  calls: 0, failed: 0, prompt_tokens: 0, completion_tokens: 0, total_tokens: 0, cache_read_tokens: 0, reasoning_tokens: 0, cost: "0",
};

/** What a row belongs to: its id, and what people call it. */
function groupOf(row: UsageRow, group: Group): { id: string; name: string } {
  if (group === "key") return { id: row.key_id ?? "", name: row.key_name ?? row.key_id ?? "no key" };
  const id = (group === "model" ? row.model : row.node) ?? "";
  return { id, name: id || (group === "model" ? "no model" : "no node") };
}

export function sumsByGroup(rows: readonly UsageRow[], group: Group): GroupSums[] {
  const found = new Map<string, GroupSums>();
  for (const row of rows) {
    const { id, name } = groupOf(row, group);
    found.set(id, added(found.get(id) ?? { ...NOTHING, id, name }, row));
  }
  return [...found.values()];
}

function added(into: GroupSums, row: UsageSums): GroupSums {
  const total = { ...into };
  for (const name of Object.keys(NOTHING) as (keyof UsageSums)[]) {
    if (name === "cost") total.cost = sum([total.cost, row.cost]);
    else total[name] += row[name];
  }
  return total;
}

export function valueOf(metric: Metric, sums: UsageSums): string | number {
  return sums[metric];
}

/** A figure in words. */
export function figureOf(metric: Metric, sums: UsageSums): string {
  return metric === "cost" ? formatCredits(sums.cost) : formatCount(sums[metric]);
}

/** A figure of a chart's axis in words. */
export function formatFigure(metric: Metric, value: number): string {
  return metric === "cost" ? formatAxis(value) : formatCount(value);
}

/** The larger first. */
export function byFigure(metric: Metric): (a: UsageSums, b: UsageSums) => number {
  return metric === "cost" ? (a, b) => compare(b.cost, a.cost) : (a, b) => b[metric] - a[metric];
}

/** "up 12 % from 1,200": how a figure stands to the one before. */
export function change(now: string | number, before: string | number): string {
  const [x, y] = [Number(now), Number(before)];
  const told = typeof before === "string" ? formatCredits(before) : formatCount(before);
  if (x === y) return x === 0 ? "–" : `as before: ${told}`;
  if (y === 0) return "nothing before";
  return `${x > y ? "up" : "down"} ${formatShare(Math.abs(x - y) / y)} from ${told}`;
}

interface Charted {
  rows: { label: string; values: Record<string, number>; texts: Record<string, string> }[];
  series: { name: string; label: string; color: string }[];
}

/** Bars by step, stacked by the groups with the largest figures; the rest is one series. */
export function asChart(told: { since_ms: number; until_ms: number; data: readonly UsageRow[] }, metric: Metric, group: Group, step: Step): Charted {
  const largest = sumsByGroup(told.data, group).sort(byFigure(metric));
  const own = largest.slice(0, MOST_SERIES);
  const nameOf = new Map(own.map(({ id }, at) => [id, `g${at}`]));
  const series = own.map(({ name }, at) => ({ name: `g${at}`, label: name, color: COLORS[at] ?? "gray.6" }));
  if (largest.length > MOST_SERIES) series.push({ name: "rest", label: REST, color: "gray.6" });
  const width = step === "hour" ? HOUR_MS : 24 * HOUR_MS;
  const sums = new Map<number, Map<string, UsageSums>>();
  for (const row of told.data) {
    const at = (step === "hour" ? row.hour_ms : row.day_ms) ?? 0;
    const name = nameOf.get(groupOf(row, group).id) ?? "rest";
    const here = sums.get(at) ?? new Map<string, UsageSums>();
    here.set(name, added({ ...NOTHING, ...here.get(name), id: "", name: "" }, row));
    sums.set(at, here);
  }
  const rows: Charted["rows"] = [];
  for (let at = Math.floor(told.since_ms / width) * width; at < told.until_ms; at += width) {
    const values: Record<string, number> = {};
    const texts: Record<string, string> = {};
    for (const { name } of series) {
      const here = sums.get(at)?.get(name) ?? NOTHING;
      values[name] = metric === "cost" ? approximate(here.cost) : here[metric];
      texts[name] = figureOf(metric, here);
    }
    rows.push({ label: step === "hour" ? formatTime(at, false).slice(5) : utcDay(at), values, texts });
  }
  return { rows, series };
}
