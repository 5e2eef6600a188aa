/** Who changed what, when, from what to what. */
import { Button, Code, Group, Text } from "@mantine/core";
import { useState } from "react";
import { call } from "../../api/client";
import { useRoute, usePages } from "../../api/queries";
import type { AuditEntry } from "../../api/schema";
import { type Column, DataTable } from "../../components/DataTable";
import { EXPORT_PAGE, everyRow } from "../../components/everyRow";
import { FilterBar } from "../../components/FilterBar";
import { useFilters } from "../../components/filters";
import { Icon } from "../../components/Icon";
import { PageHeader } from "../../components/PageHeader";
import { RangePicker } from "../../components/RangePicker";
import { useRange } from "../../components/range";
import { Section } from "../../components/Section";
import { Empty } from "../../components/States";
import { Time } from "../../components/Time";
import { tellFailure } from "../../components/toasts";
import { saveCsv } from "../../format/csv";
import classes from "./audit.module.css";

const WAYS: Record<string, string> = { operator_key: "operator key", cli: "command line", oidc: "single sign-on", invitation: "invitation" };

export default function Audit() {
  const { values, set, clear, active } = useFilters(["action", "actor", "workspace"]);
  const { range, setRange, since_ms } = useRange("30d");
  const entries = usePages("GET /admin/v1/audit", { query: { ...values, since_ms } });
  const workspaces = useRoute("GET /admin/v1/workspaces");
  return (
    <>
      <PageHeader title="Audit" description="Every change by people, by the operator key and by commands. Entries are never changed; secrets are never in them.">
        <Export query={{ ...values, since_ms }} />
      </PageHeader>
      <Group mb="md"><RangePicker range={range} setRange={setRange} /></Group>
      <FilterBar values={values} set={set} clear={clear} active={active} filters={[
        { name: "action", label: "Action", kind: "search", placeholder: "Action" },
        { name: "actor", label: "Who", kind: "search", placeholder: "Who" },
        { name: "workspace", label: "Workspace", kind: "choice", all: "Every workspace", options: (workspaces.data?.data ?? []).map(({ id, name }) => ({ value: id, label: name })) },
      ]} />
      <Section title="Changes" description="Newest first" padded={false}>
        <DataTable label="Changes" columns={COLUMNS} pages={entries} rowKey={(entry) => entry.id}
          empty={<Empty title="No changes">{active ? "None matches these filters." : "Nothing was changed in this time."}</Empty>} />
      </Section>
    </>
  );
}

const HEAD = ["id", "at", "actor_kind", "actor", "action", "object_kind", "object_id", "object_name", "workspace_id", "before", "after", "request_id"];

function Export({ query }: { query: Record<string, string | number> }) {
  const [busy, setBusy] = useState(false);
  const save = async () => {
    setBusy(true);
    try {
      const entries = await everyRow((cursor) => call("GET /admin/v1/audit", { query: { ...query, limit: EXPORT_PAGE, cursor } }));
      saveCsv("mira-audit.csv", HEAD, entries.map(lineOf));
    } catch (error) {
      tellFailure(error);
    }
    setBusy(false);
  };
  return <Button variant="default" leftSection={<Icon name="download" />} loading={busy} onClick={() => void save()}>Export CSV</Button>;
}

function lineOf(entry: AuditEntry): (string | null)[] {
  const { actor, before, after } = entry;
  return [
    entry.id, new Date(entry.at_ms).toISOString(), actor.kind, actor.name ?? actor.id, entry.action, entry.object_kind, entry.object_id, entry.object_name,
    entry.workspace_id, before && JSON.stringify(before), after && JSON.stringify(after), entry.request_id,
  ];
}

const COLUMNS: readonly Column<AuditEntry>[] = [
  { title: "When", render: (entry) => <Time at={entry.at_ms} seconds /> },
  {
    title: "Who",
    render: ({ actor }) => (
      <div>
        {actor.name ?? WAYS[actor.kind] ?? actor.kind}
        {actor.name && actor.kind !== "user" && <Text size="xs" c="dimmed">{WAYS[actor.kind] ?? actor.kind}</Text>}
      </div>
    ),
  },
  { title: "What", render: (entry) => <code>{entry.action}</code> },
  {
    title: "Of",
    render: (entry) => (
      <div>
        {entry.object_name ?? entry.object_id}
        <Text size="xs" c="dimmed">{entry.object_kind}{entry.object_name && entry.object_name !== entry.object_id && ` ${entry.object_id}`}</Text>
      </div>
    ),
  },
  { title: "Change", render: (entry) => <Change entry={entry} /> },
];

/** Each changed field with what it was and what it is. */
function Change({ entry: { before, after } }: { entry: AuditEntry }) {
  // Of what was made, fields that hold nothing say nothing.
  const names = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})])].filter((name) => before || holds(after?.[name]));
  if (names.length === 0) return <Text c="dimmed" size="sm">no fields</Text>;
  return (
    <ul className={classes.changes}>
      {names.map((name) => (
        <li key={name}>
          <span>{name}</span>: {before && name in before && <><Code>{shown(before[name])}</Code> → </>}
          <Code>{after && name in after ? shown(after[name]) : "gone"}</Code>
        </li>
      ))}
    </ul>
  );
}

function holds(value: unknown): boolean {
  return value !== null && value !== undefined && value !== false && value !== "";
}

function shown(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
