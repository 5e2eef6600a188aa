/** A page of calls: filters in the address, a table, and one call in a sheet. The same for a member's log and for the whole gateway. */
import { Button, Group, Stack, Switch } from "@mantine/core";
import type { ReactNode } from "react";
import type { QueryValue } from "../../api/client";
import type { Pages } from "../../api/queries";
import type { CallShown } from "../../api/schema";
import { zoneName } from "../../format/time";
import { type Column, DataTable } from "../DataTable";
import { type Filter, FilterBar } from "../FilterBar";
import { useFilters } from "../filters";
import { PageHeader } from "../PageHeader";
import { useRange } from "../range";
import { RangePicker } from "../RangePicker";
import { Section } from "../Section";
import { Empty } from "../States";

const LIVE_MS = 5000;

export const STATUS: Filter = {
  name: "status", label: "Status", all: "Every status", kind: "choice",
  options: [{ value: "ok", label: "Well" }, { value: "failed", label: "Failed" }, { value: "429", label: "429 rate limited" }, { value: "402", label: "402 credits" }, { value: "499", label: "499 client left" }],
};

/** What such a page keeps in its address; `names` are its filters. */
export function useCallFilters(names: readonly string[]) {
  const span = useRange();
  const { values, set } = useFilters<string>([...names, "live", "call"]);
  const filters = Object.fromEntries(names.map((name) => [name, values[name] ?? ""]));
  const live = Boolean(values.live);
  const within: Record<string, QueryValue> = { ...filters, since_ms: span.since_ms };
  return {
    span, filters, set, live,
    /** The call that is open in the sheet, "" for none. */
    shown: values.call ?? "",
    open: ({ id }: { id: string }) => set({ call: id }),
    close: () => set({ call: null }),
    active: Object.values(filters).some((value) => value !== ""),
    clear: () => set(Object.fromEntries(names.map((name) => [name, null]))),
    /** What the calls of the span are asked for with; live ones have no end. */
    within: { ...within, until_ms: span.until_ms },
    reading: { query: live ? within : { ...within, until_ms: span.until_ms }, everyMs: live ? LIVE_MS : (false as const) },
  };
}

interface CallListProps {
  title: string;
  /** What is listed here, as a sentence. */
  description: string;
  kept: ReturnType<typeof useCallFilters>;
  filters: readonly Filter[];
  columns: readonly Column<CallShown>[];
  pages: Pages<CallShown>;
  /** The button that saves them. */
  exported: ReactNode;
  sheet: (id: string, close: () => void) => ReactNode;
  children?: ReactNode;
}

export function CallList({ title, description, kept, filters, columns, pages, exported, sheet, children }: CallListProps) {
  const { span, live, set, active, clear, open, shown, close } = kept;
  return (
    <>
      <PageHeader title={title} description={`${description} Times are in ${zoneName()}.`}>{exported}</PageHeader>
      <Stack gap="lg">
        <Group justify="space-between">
          <RangePicker range={span.range} setRange={span.setRange} />
          <Switch label="Live" checked={live} onChange={(event) => set({ live: event.currentTarget.checked ? "on" : null })} />
        </Group>
        <FilterBar values={kept.filters} set={set} clear={clear} active={active} filters={filters} />
        {children}
        <Section title="Calls" padded={false}>
          <DataTable label="Calls" pages={pages} rowKey={({ id }) => id} onOpen={open} columns={columns}
            empty={<Empty title="No calls here" action={active ? <Button variant="default" onClick={clear}>Clear filters</Button> : undefined}>
              {active ? "No call of this span fits the filters." : "Nothing was called in this span."}
            </Empty>} />
        </Section>
      </Stack>
      {shown && sheet(shown, close)}
    </>
  );
}
