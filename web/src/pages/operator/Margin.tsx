/** What was billed, what nodes charged for it, and what is left, by day and by any other group. */
import { Button, Stack } from "@mantine/core";
import { useState } from "react";
import { call } from "../../api/client";
import { usePages, useRoute } from "../../api/queries";
import type { MarginRow } from "../../api/schema";
import { type ChartRow, ChartWithTable } from "../../components/ChartWithTable";
import { type Column, DataTable } from "../../components/DataTable";
import { EXPORT_PAGE, everyRow } from "../../components/everyRow";
import { Figures } from "../../components/Figures";
import { FilterBar } from "../../components/FilterBar";
import { useFilters } from "../../components/filters";
import { Icon } from "../../components/Icon";
import { Money } from "../../components/Money";
import { PageHeader } from "../../components/PageHeader";
import { RangePicker } from "../../components/RangePicker";
import { useRange } from "../../components/range";
import { Section } from "../../components/Section";
import { Empty, Loaded } from "../../components/States";
import { tellFailure } from "../../components/toasts";
import { approximate, formatAxis, formatCredits, sum } from "../../format/money";
import { formatCount } from "../../format/number";
import { saveCsv } from "../../format/csv";

const GROUPS = [
  { value: "workspace", label: "By workspace" },
  { value: "model", label: "By model" },
  { value: "node", label: "By node" },
  { value: "workspace,model", label: "By workspace and model" },
  { value: "day", label: "By day" },
];

const CSV_COLUMNS = ["workspace_id", "workspace_name", "model", "node", "day_ms", "calls", "failed", "total_tokens", "billed", "node_cost", "attempts", "overrun", "margin"] as const;
const DAY_MS = 86_400_000;

export default function Margin() {
  const { range, setRange, since_ms, until_ms } = useRange("30d");
  const { values, set, clear, active } = useFilters(["group", "workspace"]);
  const group_by = GROUPS.find(({ value }) => value === values.group)?.value ?? "workspace";
  const span = { since_ms, until_ms, workspace: values.workspace };
  const rows = usePages("GET /admin/v1/margin", { query: { ...span, group_by, limit: 200 } });
  const days = useRoute("GET /admin/v1/margin", { query: { ...span, group_by: "day", limit: 1000 } });
  const workspaces = useRoute("GET /admin/v1/workspaces");
  const columns = [...groupColumns(group_by), ...FIGURES];
  return (
    <>
      <PageHeader title="Usage & margin" description="Amounts in credits. The margin is what was billed, less what nodes charged, less paid attempts that failed.">
        <RangePicker range={range} setRange={setRange} />
      </PageHeader>
      <Stack gap="lg">
        <Loaded query={days} height={120}>{({ totals }) => <Totals totals={totals} />}</Loaded>
        <Loaded query={days} height={320}>
          {({ data }) => (
            <ChartWithTable title="Billed and charged by day" description="Days are in UTC" rowTitle="Day" kind="bar" formatValue={formatAxis}
              rows={everyDay(data, since_ms, until_ms)}
              series={[{ name: "billed", label: "Billed", color: "indigo.6" }, { name: "charged", label: "Charged by nodes", color: "orange.6" }]} />
          )}
        </Loaded>
        <div>
          <FilterBar values={values} set={set} clear={clear} active={active} filters={[
            { name: "group", label: "Group", kind: "choice", all: "By workspace", options: GROUPS.slice(1) },
            { name: "workspace", label: "Workspace", kind: "choice", all: "Every workspace", options: (workspaces.data?.data ?? []).map(({ id, name }) => ({ value: id, label: name })) },
          ]} />
          <Section title={GROUPS.find(({ value }) => value === group_by)?.label ?? ""} padded={false} action={rows.rows && rows.rows.length > 0 && <Export name={`mira-margin-${range}.csv`} query={{ ...span, group_by }} />}>
            <DataTable label="Margin" columns={columns} pages={rows} rowKey={(row) => `${row.workspace_id} ${row.model} ${row.node} ${row.day_ms}`}
              empty={<Empty title="No calls">Nothing was called in this time.</Empty>} />
          </Section>
        </div>
      </Stack>
    </>
  );
}

function Export({ name, query }: { name: string; query: Record<string, string | number> }) {
  const [busy, setBusy] = useState(false);
  const save = async () => {
    setBusy(true);
    try {
      const rows = await everyRow((cursor) => call("GET /admin/v1/margin", { query: { ...query, limit: EXPORT_PAGE, cursor } }));
      saveCsv(name, CSV_COLUMNS, rows.map((row) => CSV_COLUMNS.map((column) => row[column])));
    } catch (error) {
      tellFailure(error);
    }
    setBusy(false);
  };
  return <Button variant="default" size="xs" leftSection={<Icon name="download" />} loading={busy} onClick={() => void save()}>CSV</Button>;
}

/** A bar for every day of the span, also for those without calls. */
function everyDay(data: readonly MarginRow[], since_ms: number, until_ms: number): ChartRow[] {
  const found = new Map(data.map((row) => [row.day_ms, row]));
  const first = Math.floor(since_ms / DAY_MS) * DAY_MS;
  return Array.from({ length: Math.ceil((until_ms - first) / DAY_MS) }, (_, index) => {
    const row = found.get(first + index * DAY_MS);
    const [billed, paid] = row ? [row.billed, charged(row)] : ["0", "0"];
    return {
      label: new Date(first + index * DAY_MS).toISOString().slice(0, 10),
      values: { billed: approximate(billed), charged: approximate(paid) },
      texts: { billed: formatCredits(billed), charged: formatCredits(paid) },
    };
  });
}

function Totals({ totals }: { totals: MarginRow }) {
  return (
    <Figures label="In this time" figures={[
      { label: "Billed", value: <Money credits={totals.billed} /> },
      { label: "Charged by nodes", value: <Money credits={totals.node_cost} /> },
      { label: "Margin", value: <Money credits={totals.margin} />, note: "billed less charged and lost" },
      { label: "Lost on failed attempts", value: <Money credits={totals.attempts} /> },
      { label: "Beyond what was held", value: <Money credits={totals.overrun} />, note: "overrun, the operator's" },
      { label: "Calls", value: formatCount(totals.calls), note: `${formatCount(totals.failed)} failed` },
    ]} />
  );
}

function groupColumns(group_by: string): Column<MarginRow>[] {
  const columns: Record<string, Column<MarginRow>> = {
    workspace: { title: "Workspace", render: (row) => row.workspace_name ?? row.workspace_id ?? "–" },
    model: { title: "Model", render: (row) => row.model ?? "–" },
    node: { title: "Node", render: (row) => row.node ?? "none was called" },
    day: { title: "Day (UTC)", render: utcDay },
  };
  return group_by.split(",").flatMap((name) => columns[name] ?? []);
}

const FIGURES: readonly Column<MarginRow>[] = [
  { title: "Calls", align: "end", render: (row) => formatCount(row.calls) },
  { title: "Failed", align: "end", render: (row) => formatCount(row.failed) },
  { title: "Tokens", align: "end", render: (row) => formatCount(row.total_tokens) },
  { title: "Billed", align: "end", render: (row) => <Money credits={row.billed} /> },
  { title: "Charged", align: "end", render: (row) => <Money credits={charged(row)} /> },
  { title: "Margin", align: "end", render: (row) => <Money credits={row.margin} /> },
];

/** What nodes took, for answers and for attempts that failed. */
function charged(row: MarginRow): string {
  return sum([row.node_cost, row.attempts]);
}

/** Sums by day are kept by days of UTC. */
function utcDay(row: MarginRow): string {
  return row.day_ms === null ? "–" : new Date(row.day_ms).toISOString().slice(0, 10);
}
