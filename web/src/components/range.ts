import { useMemo } from "react";
import { useFilters } from "./filters";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

export const RANGES = [
  { value: "1d", label: "24 hours", days: 1 },
  { value: "7d", label: "7 days", days: 7 },
  { value: "30d", label: "30 days", days: 30 },
  { value: "90d", label: "90 days", days: 90 },
] as const;

export type Range = (typeof RANGES)[number]["value"];

/** The span of time that a view shows, kept in its address as `range`. It ends with the present hour, so that it stands still while the page does. */
export function useRange(standard: Range = "7d") {
  const { values, set } = useFilters(["range"]);
  const found = RANGES.find(({ value }) => value === values.range) ?? RANGES.find(({ value }) => value === standard);
  const { value: range, days } = found ?? RANGES[1];
  return useMemo(() => {
    const until_ms = Math.ceil(Date.now() / HOUR_MS) * HOUR_MS;
    const setRange = (chosen: Range) => set({ range: chosen === standard ? null : chosen });
    return { range, setRange, since_ms: until_ms - days * DAY_MS, until_ms };
  }, [range, days, standard, set]);
}
