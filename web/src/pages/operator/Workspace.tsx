/** One workspace: its credits, its people, its keys with their limits, and its statement. */
import { Anchor, Button, Stack } from "@mantine/core";
import { useState } from "react";
import { Link, useNavigate, useParams } from "react-router";
import { call } from "../../api/client";
import { usePages, useRoute } from "../../api/queries";
import type { TransferLine, WorkspaceRow } from "../../api/schema";
import { enterSession } from "../../app/session";
import { type Column, DataTable } from "../../components/DataTable";
import { Figures } from "../../components/Figures";
import { Money } from "../../components/Money";
import { PageHeader } from "../../components/PageHeader";
import { Section } from "../../components/Section";
import { Empty, Loaded } from "../../components/States";
import { Time } from "../../components/Time";
import { tellFailure } from "../../components/toasts";
import { KeysOf } from "./workspace/KeysOf";
import { People } from "./workspace/People";
import { Rename } from "./workspace/Rename";
import { TopUp } from "./workspace/TopUp";

export default function Workspace() {
  const { id = "" } = useParams();
  const query = useRoute("GET /admin/v1/workspaces/{id}", { path: { id } });
  const [dialog, setDialog] = useState<"pay" | "rename" | null>(null);
  const navigate = useNavigate();
  const work = async () => {
    try {
      enterSession(await call("PUT /portal/v1/session/workspace", { body: { workspace_id: id } }));
      void navigate("/");
    } catch (error) {
      tellFailure(error);
    }
  };
  const close = () => setDialog(null);
  const workspace = query.data;
  return (
    <>
      <PageHeader title={workspace ? `Workspace ${workspace.name}` : "Workspace"} description={<Anchor component={Link} to="/workspaces">All workspaces</Anchor>}>
        {workspace && (
          <>
            <Button onClick={() => setDialog("pay")}>Top up</Button>
            <Button variant="default" onClick={() => setDialog("rename")}>Rename</Button>
            <Button variant="default" onClick={() => void work()}>Work in it</Button>
          </>
        )}
      </PageHeader>
      <Loaded query={query}>{(row) => <Parts workspace={row} />}</Loaded>
      {workspace && dialog === "pay" && <TopUp workspace={workspace} close={close} />}
      {workspace && dialog === "rename" && <Rename workspace={workspace} close={close} />}
    </>
  );
}

function Parts({ workspace }: { workspace: WorkspaceRow }) {
  const transfers = usePages("GET /admin/v1/workspaces/{id}/transfers", { path: { id: workspace.id }, query: { limit: 20 } });
  const account = `workspace:${workspace.id}`;
  return (
    <Stack gap="lg">
      <Figures label="Credits" figures={[
        { label: "Balance", value: <Money credits={workspace.balance} /> },
        { label: "Held by running calls", value: <Money credits={workspace.held} /> },
        { label: "Available", value: <Money credits={workspace.available} /> },
      ]} />
      <People workspaceId={workspace.id} />
      <KeysOf workspaceId={workspace.id} />
      <Section title="Statement" description="Every movement of its credits, newest first" padded={false}
        action={<Anchor component={Link} size="sm" to={`/calls?workspace=${encodeURIComponent(workspace.id)}`}>Its calls</Anchor>}>
        <DataTable label="Statement" columns={statement(account)} pages={transfers} rowKey={(line) => line.id}
          empty={<Empty title="No movements yet">It has not been topped up.</Empty>} />
      </Section>
    </Stack>
  );
}

function statement(account: string): readonly Column<TransferLine>[] {
  return [
    { title: "When", render: (line) => <Time at={line.created_at_ms} seconds /> },
    { title: "Reference", render: (line) => <span style={{ overflowWrap: "anywhere" }}>{line.reference}</span> },
    { title: "From", render: (line) => (line.debit === account ? "this workspace" : line.debit) },
    { title: "To", render: (line) => (line.credit === account ? "this workspace" : line.credit) },
    { title: "Amount", align: "end", render: (line) => <Money credits={line.debit === account ? `-${line.amount}` : line.amount} /> },
  ];
}
