import { ActionIcon, Menu, Text } from "@mantine/core";
import { useState } from "react";
import { useChange, useList } from "../../../api/queries";
import type { PasswordReset, UserRow } from "../../../api/schema";
import { useSession } from "../../../app/session";
import { ConfirmDialog } from "../../../components/ConfirmDialog";
import { type Column, DataTable } from "../../../components/DataTable";
import { Icon } from "../../../components/Icon";
import { SecretDialog } from "../../../components/SecretDialog";
import { Section } from "../../../components/Section";
import { StateBadge } from "../../../components/StateBadge";
import { Empty } from "../../../components/States";
import { Time } from "../../../components/Time";
import { tell, tellFailure } from "../../../components/toasts";

type Asked = { user: UserRow; about: "disable" | "password" | "operator" } | null;

/** Everybody who may sign in, over all workspaces. */
export function Users() {
  const users = useList("GET /admin/v1/users");
  const [asked, setAsked] = useState<Asked>(null);
  const [reset, setReset] = useState<PasswordReset | null>(null);
  const change = useChange("PATCH /admin/v1/users/{id}", ["GET /admin/v1/users"]);
  const newPassword = useChange("POST /admin/v1/users/{id}/reset-password", ["GET /admin/v1/users"]);
  const set = (user: UserRow, body: { role?: UserRow["role"]; disabled?: boolean }) =>
    change.mutateAsync({ path: { id: user.id }, body }).then(() => tell(`${user.email} is changed.`));
  const close = () => setAsked(null);
  return (
    <Section title="Users" description="Who may sign in. People join a workspace by an invitation, or by single sign-on." padded={false}>
      <DataTable label="Users" columns={columns(setAsked, set)} pages={users} rowKey={(user) => user.id} empty={<Empty title="No users" />} />
      {asked?.about === "disable" && (
        <ConfirmDialog title={`Disable ${asked.user.email}?`} action="Disable user" danger onClose={close} onConfirm={() => set(asked.user, { disabled: true })}>
          Every session of theirs ends at once, and they cannot sign in until they are enabled. {keysOf(asked.user)} Enabling them brings
          back these alone: a key that was revoked or disabled stays so. Keys that belong to nobody, such as those that operators make in workspaces
          where they are no member, go on working; rotate what they may have kept.
        </ConfirmDialog>
      )}
      {asked?.about === "operator" && (
        <ConfirmDialog title={`Make ${asked.user.email} an operator?`} action="Make operator" onClose={close} onConfirm={() => set(asked.user, { role: "operator" })}>
          Operators see every workspace, its calls and its credits, and change nodes and prices.
        </ConfirmDialog>
      )}
      {asked?.about === "password" && (
        <ConfirmDialog title={`Reset the password of ${asked.user.email}?`} action="Reset password" danger onClose={close}
          onConfirm={() => newPassword.mutateAsync({ path: { id: asked.user.id } }).then(setReset)}>
          They get a new password, which you hand over, and every session of theirs ends at once.
        </ConfirmDialog>
      )}
      {reset && <SecretDialog title={`New password of ${reset.email}`} secret={reset.password} copyLabel="Copy password" onClose={() => setReset(null)} />}
    </Section>
  );
}

function keysOf({ keys }: UserRow): string {
  if (keys === 0) return "No key in use belongs to them.";
  return keys === 1 ? "The key that belongs to them is refused until then." : `The ${keys} keys that belong to them, in all workspaces, are refused until then.`;
}

function columns(ask: (asked: Asked) => void, set: (user: UserRow, body: { role?: UserRow["role"]; disabled?: boolean }) => Promise<void>): readonly Column<UserRow>[] {
  return [
    {
      title: "User",
      render: (user) => (
        <div>
          <Text fw={500}>{user.email}</Text>
          {user.name && <Text size="xs" c="dimmed">{user.name}</Text>}
        </div>
      ),
    },
    { title: "Role", render: (user) => (user.role === "operator" ? "Operator" : "Member") },
    { title: "Workspaces", render: (user) => (user.role === "operator" ? "every one" : user.workspaces.map(({ name }) => name).join(", ") || "none") },
    { title: "Signs in by", render: (user) => [user.has_password && "password", user.single_sign_on && "single sign-on"].filter(Boolean).join(", ") || "nothing yet" },
    { title: "Seen", render: (user) => (user.seen_at_ms === null ? "not yet" : <Time at={user.seen_at_ms} relative />) },
    { title: "State", render: (user) => <StateBadge state={user.disabled ? "disabled" : "active"} /> },
    { title: "Actions", quiet: true, align: "end", render: (user) => <UserMenu user={user} ask={ask} set={set} /> },
  ];
}

function UserMenu({ user, ask, set }: { user: UserRow; ask: (asked: Asked) => void; set: (user: UserRow, body: { role?: UserRow["role"]; disabled?: boolean }) => Promise<void> }) {
  const self = useSession().user.id === user.id;
  return (
    <Menu position="bottom-end" width={220}>
      <Menu.Target>
        <ActionIcon variant="default" size="lg" aria-label={`Actions for ${user.email}`}><Icon name="dots" /></ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        {user.role === "operator"
          ? <Menu.Item disabled={self} onClick={() => void set(user, { role: "member" }).catch(tellFailure)}>Make member</Menu.Item>
          : <Menu.Item onClick={() => ask({ user, about: "operator" })}>Make operator…</Menu.Item>}
        {user.disabled
          ? <Menu.Item onClick={() => void set(user, { disabled: false }).catch(tellFailure)}>Enable</Menu.Item>
          : <Menu.Item disabled={self} onClick={() => ask({ user, about: "disable" })}>Disable…</Menu.Item>}
        <Menu.Item disabled={self} onClick={() => ask({ user, about: "password" })}>Reset password…</Menu.Item>
        {self && <Menu.Label>Change your own on “Account”</Menu.Label>}
      </Menu.Dropdown>
    </Menu>
  );
}
