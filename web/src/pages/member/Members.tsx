/** Who works in this workspace, and who is asked to. */
import { Button, Text } from "@mantine/core";
import { useState } from "react";
import { useChange, useList } from "../../api/queries";
import type { InvitationShown } from "../../api/schema";
import { useSession } from "../../app/session";
import { ConfirmDialog } from "../../components/ConfirmDialog";
import { DataTable } from "../../components/DataTable";
import { Icon } from "../../components/Icon";
import { PageHeader } from "../../components/PageHeader";
import { Section } from "../../components/Section";
import { StateBadge } from "../../components/StateBadge";
import { Empty } from "../../components/States";
import { Time } from "../../components/Time";
import { tell } from "../../components/toasts";
import { KeyLimits } from "./keys/KeyLimits";
import { Invite } from "./members/Invite";

export default function Members() {
  const { workspace, user } = useSession();
  const [inviting, setInviting] = useState(false);
  const members = useList("GET /portal/v1/members");
  const own = members.rows?.find(({ you }) => you);
  // Who has limits may not make a second self without them.
  const invites = user.role === "operator" || !own || [own.rpm, own.tpm, own.concurrency, own.budget].every((limit) => limit === null);
  return (
    <>
      <PageHeader title="Members" description={`Who may work in ${workspace.name}: see its keys and calls, and spend its credits.`}>
        {invites && <Button onClick={() => setInviting(true)} leftSection={<Icon name="plus" />}>Invite</Button>}
      </PageHeader>
      <Section title="Members" padded={false}>
        <DataTable
          label="Members" pages={members} rowKey={({ id }) => id} empty={<Empty title="No members yet">Invite the people who will work here.</Empty>}
          columns={[
            {
              title: "Name",
              render: ({ name, email, you }) => (
                <div>
                  <Text size="sm" fw={500}>{name}{you && " (you)"}</Text>
                  {email && email !== name && <Text size="xs" c="dimmed">{email}</Text>}
                </div>
              ),
            },
            { title: "Role", render: ({ role }) => (role === "operator" ? "Operator" : role === "member" ? "Member" : "No account") },
            { title: "State", render: ({ disabled }) => <StateBadge state={disabled ? "disabled" : "active"} /> },
            { title: "Limits", render: (member) => <KeyLimits shown={member} /> },
            { title: "Member since", render: ({ created_at_ms }) => <Time at={created_at_ms} /> },
            { title: "Last seen", render: ({ seen_at_ms }) => (seen_at_ms === null ? "–" : <Time at={seen_at_ms} relative />) },
          ]}
        />
      </Section>
      <Invitations invite={invites ? () => setInviting(true) : null} />
      {inviting && <Invite onClose={() => setInviting(false)} />}
    </>
  );
}

function Invitations({ invite }: { invite: (() => void) | null }) {
  const invitations = useList("GET /portal/v1/invitations");
  const withdraw = useChange("DELETE /portal/v1/invitations/{id}", ["GET /portal/v1/invitations"]);
  const [withdrawing, setWithdrawing] = useState<InvitationShown | null>(null);
  return (
    <Section title="Invitations" padded={false}>
      <DataTable
        label="Invitations" pages={invitations} rowKey={({ id }) => id}
        empty={<Empty title="No invitations" action={invite && <Button variant="default" onClick={invite}>Invite somebody</Button>}>An invitation is a link that you send yourself.</Empty>}
        columns={[
          { title: "E-mail", render: ({ email }) => email },
          { title: "Role", render: ({ role }) => (role === "operator" ? "Operator" : "Member") },
          { title: "State", render: ({ state }) => <StateBadge state={state} /> },
          { title: "Invited by", render: ({ invited_by }) => (invited_by === "operator_key" ? "the operator" : invited_by ?? "–") },
          { title: "Made", render: ({ created_at_ms }) => <Time at={created_at_ms} relative /> },
          { title: "Open until", render: ({ expires_at_ms }) => <Time at={expires_at_ms} /> },
          {
            title: "Actions", quiet: true, align: "end",
            render: (row) =>
              row.state === "pending" && (
                <Button size="xs" variant="default" aria-label={`Withdraw the invitation of ${row.email}`} onClick={() => setWithdrawing(row)}>Withdraw</Button>
              ),
          },
        ]}
      />
      {withdrawing && (
        <ConfirmDialog
          title="Withdraw invitation" action="Withdraw" onClose={() => setWithdrawing(null)}
          onConfirm={async () => {
            await withdraw.mutateAsync({ path: { id: withdrawing.id } });
            tell(`The invitation of ${withdrawing.email} was withdrawn.`);
          }}
        >
          The link that was sent to {withdrawing.email} no longer opens.
        </ConfirmDialog>
      )}
    </Section>
  );
}
