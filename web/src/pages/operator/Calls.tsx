/** The calls of all workspaces, and everything about one of them, with what its nodes charged. */
import { call } from "../../api/client";
import { usePages, useRoute } from "../../api/queries";
import type { CallLine, CallShown } from "../../api/schema";
import { CallList, STATUS, useCallFilters } from "../../components/calls/CallList";
import { CallSheet } from "../../components/calls/CallSheet";
import { callColumns } from "../../components/calls/columns";
import { ExportCalls } from "../../components/calls/ExportCalls";
import { Histogram } from "../../components/calls/histogram";
import type { Column } from "../../components/DataTable";
import type { Filter } from "../../components/FilterBar";
import { Loading } from "../../components/States";

export default function Calls() {
  const kept = useCallFilters(["workspace", "model", "node", "status"]);
  const { query, everyMs } = kept.reading;
  const lines = usePages("GET /admin/v1/calls", { query: { ...query, histogram: true }, everyMs });
  const workspaces = useRoute("GET /admin/v1/workspaces");
  const names = new Map((workspaces.data?.data ?? []).map(({ id, name }) => [id, name]));
  return (
    <CallList title="Calls" description="The calls of every workspace, without their content." kept={kept} filters={useChoices(names)}
      columns={columns(kept.open, names)} pages={{ ...lines, rows: lines.rows?.map(asShown) }}
      exported={<ExportCalls file="mira-all-calls.csv" read={(words) => call("GET /admin/v1/calls", { query: words })} query={kept.within} first={FIRST} />}
      sheet={(id, close) => <Shown id={id} close={close} />}>
      {lines.first ? <Histogram page={lines.first} since_ms={kept.span.since_ms} until_ms={kept.span.until_ms} status={kept.filters.status ?? ""} /> : !lines.error && <Loading height={220} />}
    </CallList>
  );
}

function Shown({ id, close }: { id: string; close: () => void }) {
  const query = useRoute("GET /admin/v1/calls/{id}/detail", { path: { id } });
  return <CallSheet id={id} query={query} close={close} />;
}

function useChoices(names: ReadonlyMap<string, string>): readonly Filter[] {
  const nodes = useRoute("GET /admin/v1/nodes");
  const models = useRoute("GET /admin/v1/prices");
  const nodeNames = ((nodes.data as { data: { name: string }[] } | undefined)?.data ?? []).map(({ name }) => name);
  return [
    { name: "workspace", label: "Workspace", all: "Every workspace", kind: "choice", options: [...names].map(([value, label]) => ({ value, label })) },
    { name: "model", label: "Model", all: "Every model", kind: "choice", options: (models.data?.data ?? []).map(({ model }) => ({ value: model, label: model })) },
    { name: "node", label: "Node", all: "Every node", kind: "choice", options: nodeNames.map((name) => ({ value: name, label: name })) },
    STATUS,
  ];
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

const FIRST = [
  ["started_at", ({ started_at_ms }: CallLine) => new Date(started_at_ms).toISOString()],
  ["workspace_id", ({ workspace_id }: CallLine) => workspace_id],
  ["key_id", ({ key_id }: CallLine) => key_id],
] as const;
