import { ActionIcon, Button, Menu, Text } from "@mantine/core";
import { useState } from "react";
import { useChange, useList } from "../../../api/queries";
import type { InvitationShown, MemberLine } from "../../../api/schema";
import { ConfirmDialog } from "../../../components/ConfirmDialog";
import { type Column, DataTable } from "../../../components/DataTable";
import { Icon } from "../../../components/Icon";
import { Section } from "../../../components/Section";
import { StateBadge } from "../../../components/StateBadge";
import { Empty } from "../../../components/States";
import { Time } from "../../../components/Time";
import { tell, tellFailure } from "../../../components/toasts";
import { Invite } from "./Invite";
import { EditLimits, LimitsInWords } from "./Limits";
import { INVITATIONS, MEMBERS } from "./routes";

/** Who works in a workspace, with their limits, and who was invited. */
export function People({ workspaceId }: { workspaceId: string }) {
  const path = { id: workspaceId };
  const members = useList("GET /admin/v1/workspaces/{id}/members", { path });
  const invitations = useList("GET /admin/v1/workspaces/{id}/invitations", { path });
  const [limiting, setLimiting] = useState<MemberLine | null>(null);
  const [withdrawing, setWithdrawing] = useState<InvitationShown | null>(null);
  const [inviting, setInviting] = useState(false);
  const change = useChange("PATCH /admin/v1/members/{id}", MEMBERS);
  const withdraw = useChange("DELETE /admin/v1/invitations/{id}", INVITATIONS);
  const disable = (member: MemberLine) =>
    void change.mutateAsync({ path: { id: member.id }, body: { disabled: !member.disabled } })
      .then(() => tell(`${member.name} is ${member.disabled ? "enabled" : "disabled"}.`), tellFailure);
  const pending = invitations.rows?.filter(({ state }) => state === "pending") ?? [];
  return (
    <>
      <Section title="Members" description="A member's limits hold over all keys that are given to them." padded={false}
        action={<Button variant="default" size="xs" leftSection={<Icon name="plus" />} onClick={() => setInviting(true)}>Invite</Button>}>
        <DataTable label="Members" columns={memberColumns(setLimiting, disable)} pages={members} rowKey={(member) => member.id}
          empty={<Empty title="No members yet">Invite somebody by e-mail address.</Empty>} />
      </Section>
      {pending.length > 0 && (
        <Section title="Invitations" padded={false}>
          <DataTable label="Invitations" columns={invitationColumns(setWithdrawing)} pages={{ ...invitations, rows: pending }} rowKey={(one) => one.id} empty={null} />
        </Section>
      )}
      {inviting && <Invite workspaceId={workspaceId} close={() => setInviting(false)} />}
      {limiting && (
        <EditLimits title={`Limits of ${limiting.name}`} of={limiting} close={() => setLimiting(null)}
          save={(body) => change.mutateAsync({ path: { id: limiting.id }, body }).then(() => tell(`The limits of ${limiting.name} are set.`))} />
      )}
      {withdrawing && (
        <ConfirmDialog title={`Withdraw the invitation of ${withdrawing.email}?`} action="Withdraw" danger onClose={() => setWithdrawing(null)}
          onConfirm={() => withdraw.mutateAsync({ path: { id: withdrawing.id } })}>
          Its link stops working at once.
        </ConfirmDialog>
      )}
    </>
  );
}

function memberColumns(limit: (member: MemberLine) => void, disable: (member: MemberLine) => void): readonly Column<MemberLine>[] {
  return [
    {
      title: "Member",
      render: (member) => (
        <div>
          <Text fw={500}>{member.name}</Text>
          {member.email && <Text size="xs" c="dimmed">{member.email}</Text>}
        </div>
      ),
    },
    { title: "Limits", render: (member) => <LimitsInWords of={member} /> },
    { title: "Since", render: (member) => <Time at={member.created_at_ms} /> },
    { title: "State", render: (member) => <StateBadge state={member.disabled ? "disabled" : "active"} /> },
    {
      title: "Actions", quiet: true, align: "end",
      render: (member) => (
        <Menu position="bottom-end" width={200}>
          <Menu.Target>
            <ActionIcon variant="default" size="lg" aria-label={`Actions for ${member.name}`}><Icon name="dots" /></ActionIcon>
          </Menu.Target>
          <Menu.Dropdown>
            <Menu.Item onClick={() => limit(member)}>Limits…</Menu.Item>
            <Menu.Item onClick={() => disable(member)}>{member.disabled ? "Enable" : "Disable"}</Menu.Item>
          </Menu.Dropdown>
        </Menu>
      ),
    },
  ];
}

function invitationColumns(withdraw: (invitation: InvitationShown) => void): readonly Column<InvitationShown>[] {
  return [
    { title: "E-mail", render: (one) => one.email },
    { title: "Role", render: (one) => (one.role === "operator" ? "Operator" : "Member") },
    { title: "Invited by", render: (one) => one.invited_by ?? "–" },
    { title: "Works until", render: (one) => <Time at={one.expires_at_ms} /> },
    {
      title: "Withdraw", quiet: true, align: "end",
      render: (one) => <Button size="xs" variant="default" onClick={() => withdraw(one)} aria-label={`Withdraw the invitation of ${one.email}`}>Withdraw</Button>,
    },
  ];
}
