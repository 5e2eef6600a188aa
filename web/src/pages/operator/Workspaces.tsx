/** The tenants with their credits, and the people who may sign in. */
import { Anchor, Button, Stack, Text } from "@mantine/core";
import { useState } from "react";
import { Link } from "react-router";
import { useList } from "../../api/queries";
import type { WorkspaceRow } from "../../api/schema";
import { type Column, DataTable } from "../../components/DataTable";
import { useFilters } from "../../components/filters";
import { FilterBar } from "../../components/FilterBar";
import { Icon } from "../../components/Icon";
import { Money } from "../../components/Money";
import { PageHeader } from "../../components/PageHeader";
import { Section } from "../../components/Section";
import { Empty } from "../../components/States";
import { Time } from "../../components/Time";
import { NewWorkspace } from "./workspace/NewWorkspace";
import { TopUp } from "./workspace/TopUp";
import { Users } from "./workspace/Users";

export default function Workspaces() {
  const workspaces = useList("GET /admin/v1/workspaces");
  const { values, set, clear, active } = useFilters(["find"]);
  const [making, setMaking] = useState(false);
  const [paying, setPaying] = useState<WorkspaceRow | null>(null);
  const wanted = values.find.trim().toLowerCase();
  const rows = workspaces.rows?.filter(({ id, name }) => name.toLowerCase().includes(wanted) || id.includes(wanted));
  return (
    <>
      <PageHeader title="Workspaces" description="A workspace owns its credits, its keys and what is recorded of its calls.">
        <Button leftSection={<Icon name="plus" />} onClick={() => setMaking(true)}>New workspace</Button>
      </PageHeader>
      <FilterBar values={values} set={set} clear={clear} active={active} filters={[{ name: "find", label: "Search workspaces", kind: "search" }]} />
      <Stack gap="lg">
        <Section title="Workspaces" padded={false}>
          <DataTable label="Workspaces" columns={columns(setPaying)} pages={{ ...workspaces, rows }} rowKey={(row) => row.id}
            empty={<Empty title={active ? "No workspace matches" : "No workspaces"} />} />
        </Section>
        <Users />
      </Stack>
      {making && <NewWorkspace close={() => setMaking(false)} />}
      {paying && <TopUp workspace={paying} close={() => setPaying(null)} />}
    </>
  );
}

function columns(pay: (row: WorkspaceRow) => void): readonly Column<WorkspaceRow>[] {
  return [
    {
      title: "Workspace",
      render: (row) => (
        <div>
          <Anchor component={Link} to={`/workspaces/${encodeURIComponent(row.id)}`} fw={500}>{row.name}</Anchor>
          <Text size="xs" c="dimmed">{row.id}</Text>
        </div>
      ),
    },
    { title: "Balance", align: "end", render: (row) => <Money credits={row.balance} /> },
    { title: "Held by running calls", align: "end", render: (row) => <Money credits={row.held} /> },
    { title: "Available", align: "end", render: (row) => <Money credits={row.available} /> },
    { title: "Made", render: (row) => <Time at={row.created_at_ms} /> },
    {
      title: "Top up", quiet: true, align: "end",
      render: (row) => <Button size="xs" variant="default" onClick={() => pay(row)} aria-label={`Top up ${row.name}`}>Top up</Button>,
    },
  ];
}
