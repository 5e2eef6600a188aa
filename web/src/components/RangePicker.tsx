import { SegmentedControl } from "@mantine/core";
import { type Range, RANGES } from "./range";

/** Chooses the span of time of `useRange`. */
export function RangePicker({ range, setRange }: { range: Range; setRange: (range: Range) => void }) {
  return (
    <SegmentedControl
      aria-label="Time range"
      value={range}
      onChange={(value) => setRange(value as Range)}
      data={RANGES.map(({ value, label }) => ({ value, label }))}
    />
  );
}
