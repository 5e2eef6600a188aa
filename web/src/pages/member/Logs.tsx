/** The calls of the workspace: filters in the address, bars over time, and everything about one call in a sheet. */
import { call } from "../../api/client";
import { usePages, useRoute } from "../../api/queries";
import type { CallShown } from "../../api/schema";
import { CallList, STATUS, useCallFilters } from "../../components/calls/CallList";
import { CallSheet } from "../../components/calls/CallSheet";
import { callColumns } from "../../components/calls/columns";
import { ExportCalls } from "../../components/calls/ExportCalls";
import { Histogram } from "../../components/calls/histogram";
import type { Filter } from "../../components/FilterBar";
import { Loading } from "../../components/States";
import { formatTime, zoneName } from "../../format/time";

export default function Logs() {
  const kept = useCallFilters(["key", "model", "node", "status"]);
  const { query, everyMs } = kept.reading;
  const pages = usePages("GET /portal/v1/calls", { query: { ...query, histogram: true }, everyMs });
  return (
    <CallList title="Logs" description="Every call of this workspace." kept={kept} filters={useChoices()} columns={callColumns(kept.open)} pages={pages}
      exported={<ExportCalls file="mira-calls.csv" read={(words) => call("GET /portal/v1/calls", { query: words })} query={kept.within} first={FIRST} />}
      sheet={(id, close) => <Shown id={id} close={close} />}>
      {pages.first ? <Histogram page={pages.first} since_ms={kept.span.since_ms} until_ms={kept.span.until_ms} status={kept.filters.status ?? ""} /> : !pages.error && <Loading height={220} />}
    </CallList>
  );
}

function Shown({ id, close }: { id: string; close: () => void }) {
  const query = useRoute("GET /portal/v1/calls/{id}", { path: { id } });
  return <CallSheet id={id} query={query} close={close} />;
}

function useChoices(): readonly Filter[] {
  const keys = useRoute("GET /portal/v1/keys");
  const models = useRoute("GET /portal/v1/models");
  const nodes = new Set((models.data?.data ?? []).flatMap((model) => model.nodes.map(({ name }) => name)));
  return [
    { name: "key", label: "Key", all: "Every key", kind: "choice", options: (keys.data?.data ?? []).map(({ id, name }) => ({ value: id, label: name })) },
    { name: "model", label: "Model", all: "Every model", kind: "choice", options: (models.data?.data ?? []).map(({ id }) => ({ value: id, label: id })) },
    { name: "node", label: "Node", all: "Every node", kind: "choice", options: [...nodes].sort().map((name) => ({ value: name, label: name })) },
    STATUS,
  ];
}

const FIRST = [
  ["started_at", ({ started_at_ms }: CallShown) => `${formatTime(started_at_ms)} ${zoneName(started_at_ms)}`],
  ["key", ({ key_name, key_id }: CallShown) => key_name ?? key_id],
] as const;
