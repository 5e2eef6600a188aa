/** The calls of all workspaces, and everything about one of them, with what its nodes charged. */
import { Button, Group, Stack, Switch } from "@mantine/core";
import { useState } from "react";
import { call } from "../../api/client";
import { usePages, useRoute } from "../../api/queries";
import type { CallLine, CallShown } from "../../api/schema";
import { CallSheet } from "../../components/calls/CallSheet";
import { callColumns } from "../../components/calls/columns";
import { Histogram } from "../../components/calls/histogram";
import { type Column, DataTable } from "../../components/DataTable";
import { EXPORT_PAGE, everyRow } from "../../components/everyRow";
import { FilterBar } from "../../components/FilterBar";
import { useFilters } from "../../components/filters";
import { Icon } from "../../components/Icon";
import { PageHeader } from "../../components/PageHeader";
import { useRange } from "../../components/range";
import { RangePicker } from "../../components/RangePicker";
import { Section } from "../../components/Section";
import { Empty, Loading } from "../../components/States";
import { tellFailure } from "../../components/toasts";
import { saveCsv } from "../../format/csv";
import { zoneName } from "../../format/time";

const LIVE_MS = 5000;
const STATUSES = [{ value: "ok", label: "Well" }, { value: "failed", label: "Failed" }, { value: "429", label: "429 rate limited" }, { value: "402", label: "402 credits" }, { value: "499", label: "499 client left" }];

export default function Calls() {
  const { range, setRange, since_ms, until_ms } = useRange();
  const { values, set } = useFilters(["workspace", "model", "node", "status", "live", "call"]);
  const { live, call: shown, ...filters } = values;
  const query = { ...filters, since_ms, ...(live ? {} : { until_ms }) };
  const lines = usePages("GET /admin/v1/calls", { query: { ...query, histogram: true }, everyMs: live ? LIVE_MS : false });
  const workspaces = useRoute("GET /admin/v1/workspaces");
  const nodes = useRoute("GET /admin/v1/nodes");
  const models = useRoute("GET /admin/v1/prices");
  const names = new Map((workspaces.data?.data ?? []).map(({ id, name }) => [id, name]));
  const open = ({ id }: { id: string }) => set({ call: id });
  const active = Object.values(filters).some((value) => value !== "");
  const clear = () => set({ workspace: null, model: null, node: null, status: null });
  const nodeNames = ((nodes.data as { data: { name: string }[] } | undefined)?.data ?? []).map(({ name }) => name);
  return (
    <>
      <PageHeader title="Calls" description={`The calls of every workspace, without their content. Times are in ${zoneName()}.`}>
        <Export query={query} />
      </PageHeader>
      <Stack gap="lg">
        <Group justify="space-between">
          <RangePicker range={range} setRange={setRange} />
          <Switch label="Live" checked={live !== ""} onChange={(event) => set({ live: event.currentTarget.checked ? "on" : null })} />
        </Group>
        <FilterBar values={filters} set={set} clear={clear} active={active} filters={[
          { name: "workspace", label: "Workspace", all: "Every workspace", kind: "choice", options: [...names].map(([value, label]) => ({ value, label })) },
          { name: "model", label: "Model", all: "Every model", kind: "choice", options: (models.data?.data ?? []).map(({ model }) => ({ value: model, label: model })) },
          { name: "node", label: "Node", all: "Every node", kind: "choice", options: nodeNames.map((name) => ({ value: name, label: name })) },
          { name: "status", label: "Status", all: "Every status", kind: "choice", options: STATUSES },
        ]} />
        {lines.first ? <Histogram page={lines.first} since_ms={since_ms} until_ms={until_ms} status={filters.status} /> : !lines.error && <Loading height={220} />}
        <Section title="Calls" padded={false}>
          <DataTable label="Calls" columns={columns(open, names)} pages={{ ...lines, rows: lines.rows?.map(asShown) }} rowKey={({ id }) => id} onOpen={open}
            empty={<Empty title="No calls here" action={active ? <Button variant="default" onClick={clear}>Clear filters</Button> : undefined}>
              {active ? "No call of this span fits the filters." : "Nothing was called in this span."}
            </Empty>} />
        </Section>
      </Stack>
      {shown && <Shown id={shown} close={() => set({ call: null })} />}
    </>
  );
}

function Shown({ id, close }: { id: string; close: () => void }) {
  const query = useRoute("GET /admin/v1/calls/{id}/detail", { path: { id } });
  return <CallSheet id={id} query={query} close={close} />;
}

/** The table of a member's log, with the workspace in the place of the key, whose names are the workspaces' own. */
function columns(open: (call: CallShown) => void, names: ReadonlyMap<string, string>): readonly Column<CallShown>[] {
  const [time, ...others] = callColumns(open, false);
  const workspace = { title: "Workspace", render: ({ workspace_id }: CallShown) => names.get(workspace_id) ?? workspace_id };
  return time ? [time, workspace, ...others] : others;
}

function asShown(line: CallLine): CallShown {
  return { ...line, key_name: null };
}

type Query = Record<string, string | number>;

function Export({ query }: { query: Query }) {
  const [busy, setBusy] = useState(false);
  const save = async () => {
    setBusy(true);
    try {
      saveCsv("mira-all-calls.csv", HEAD, (await everyCall(query)).map(lineOf));
    } catch (error) {
      tellFailure(error);
    }
    setBusy(false);
  };
  return <Button variant="default" leftSection={<Icon name="download" />} loading={busy} onClick={() => void save()}>Export CSV</Button>;
}

function everyCall(query: Query): Promise<CallLine[]> {
  return everyRow((cursor) => call("GET /admin/v1/calls", { query: { ...query, limit: EXPORT_PAGE, cursor } }));
}

const HEAD = ["id", "started_at", "workspace_id", "key_id", "protocol", "model", "node", "status", "error", "attempts", "duration_ms", "first_content_ms", "input_tokens", "output_tokens", "cost"];

function lineOf(line: CallLine): (string | number | null)[] {
  return [
    line.id, new Date(line.started_at_ms).toISOString(), line.workspace_id, line.key_id, line.protocol, line.model, line.node, line.status, line.error,
    line.attempts, line.duration_ms, line.first_content_ms, line.usage.prompt_tokens, line.usage.completion_tokens, line.cost,
  ];
}
