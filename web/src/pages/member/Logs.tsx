/** The calls of the workspace: filters in the address, bars over time, and everything about one call in a sheet. */
import { Button, Group, Stack, Switch } from "@mantine/core";
import { useState } from "react";
import { call } from "../../api/client";
import { usePages, useRoute } from "../../api/queries";
import type { CallShown } from "../../api/schema";
import { CallSheet } from "../../components/calls/CallSheet";
import { callColumns } from "../../components/calls/columns";
import { Histogram } from "../../components/calls/histogram";
import { DataTable } from "../../components/DataTable";
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
import { formatTime, zoneName } from "../../format/time";

const LIVE_MS = 5000;
const STATUSES = [{ value: "ok", label: "Well" }, { value: "failed", label: "Failed" }, { value: "429", label: "429 rate limited" }, { value: "402", label: "402 credits" }, { value: "499", label: "499 client left" }];

export default function Logs() {
  const { range, setRange, since_ms, until_ms } = useRange();
  const { values, set } = useFilters(["key", "model", "node", "status", "live", "call"]);
  const { live, call: shown, ...filters } = values;
  const words = { ...filters, since_ms };
  const everyMs = live ? LIVE_MS : false;
  const pages = usePages("GET /portal/v1/calls", { query: { ...words, ...(live ? {} : { until_ms }), histogram: true }, everyMs });
  const active = Object.values(filters).some((value) => value !== "");
  const clear = () => set({ key: null, model: null, node: null, status: null });
  return (
    <>
      <PageHeader title="Logs" description={`Every call of this workspace. Times are in ${zoneName()}.`}>
        <Export query={{ ...words, until_ms }} />
      </PageHeader>
      <Stack gap="lg">
        <Group justify="space-between">
          <RangePicker range={range} setRange={setRange} />
          <Switch label="Live" checked={live !== ""} onChange={(event) => set({ live: event.currentTarget.checked ? "on" : null })} />
        </Group>
        <Filters values={filters} set={set} clear={clear} active={active} />
        {pages.first ? <Histogram page={pages.first} since_ms={since_ms} until_ms={until_ms} status={filters.status} /> : !pages.error && <Loading height={220} />}
        <Section title="Calls" padded={false}>
          <DataTable label="Calls" pages={pages} rowKey={({ id }) => id} onOpen={({ id }) => set({ call: id })}
            columns={callColumns(({ id }) => set({ call: id }))}
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
  const query = useRoute("GET /portal/v1/calls/{id}", { path: { id } });
  return <CallSheet id={id} query={query} close={close} />;
}

type Words = Record<"key" | "model" | "node" | "status", string>;

function Filters({ values, set, clear, active }: { values: Words; set: (changes: Partial<Words>) => void; clear: () => void; active: boolean }) {
  const keys = useRoute("GET /portal/v1/keys");
  const models = useRoute("GET /portal/v1/models");
  const nodes = new Set((models.data?.data ?? []).flatMap((model) => model.nodes.map(({ name }) => name)));
  return (
    <FilterBar values={values} set={set as (changes: Record<string, string | null>) => void} clear={clear} active={active} filters={[
      { name: "key", label: "Key", all: "Every key", kind: "choice", options: (keys.data?.data ?? []).map(({ id, name }) => ({ value: id, label: name })) },
      { name: "model", label: "Model", all: "Every model", kind: "choice", options: (models.data?.data ?? []).map(({ id }) => ({ value: id, label: id })) },
      { name: "node", label: "Node", all: "Every node", kind: "choice", options: [...nodes].sort().map((name) => ({ value: name, label: name })) },
      { name: "status", label: "Status", all: "Every status", kind: "choice", options: STATUSES },
    ]} />
  );
}

function Export({ query }: { query: Record<string, string | number> }) {
  const [busy, setBusy] = useState(false);
  const save = async () => {
    setBusy(true);
    try {
      saveCsv("mira-calls.csv", HEAD, (await everyCall(query)).map(lineOf));
    } catch (error) {
      tellFailure(error);
    }
    setBusy(false);
  };
  return <Button variant="default" leftSection={<Icon name="download" />} loading={busy} onClick={() => void save()}>Export CSV</Button>;
}

function everyCall(query: Record<string, string | number>): Promise<CallShown[]> {
  return everyRow((cursor) => call("GET /portal/v1/calls", { query: { ...query, limit: EXPORT_PAGE, cursor } }));
}

const HEAD = ["id", "started_at", "key", "protocol", "model", "node", "status", "error", "attempts", "duration_ms", "first_content_ms", "input_tokens", "output_tokens", "cost"];

function lineOf(each: CallShown): (string | number | null)[] {
  return [
    each.id, `${formatTime(each.started_at_ms)} ${zoneName(each.started_at_ms)}`, each.key_name ?? each.key_id, each.protocol, each.model, each.node, each.status, each.error,
    each.attempts, each.duration_ms, each.first_content_ms, each.usage.prompt_tokens, each.usage.completion_tokens, each.cost,
  ];
}
