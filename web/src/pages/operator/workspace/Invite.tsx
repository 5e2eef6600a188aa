import { Button, Group, Modal, Select, Stack, Text, TextInput } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { messageOf } from "../../../api/client";
import { useChange } from "../../../api/queries";
import type { InvitationMade, NewInvitation } from "../../../api/schema";
import { SecretDialog } from "../../../components/SecretDialog";
import { INVITATIONS } from "./routes";

type Role = NonNullable<NewInvitation["role"]>;

/** Invites somebody into a workspace; the link is shown once and handed over by whoever invites. */
export function Invite({ workspaceId, close }: { workspaceId: string; close: () => void }) {
  const [email, setEmail] = useState("");
  const [role, setRole] = useState<Role>("member");
  const [made, setMade] = useState<InvitationMade | null>(null);
  const invite = useChange("POST /admin/v1/workspaces/{id}/invitations", INVITATIONS);
  const save = async (event: FormEvent) => {
    event.preventDefault();
    const body: NewInvitation = { email: email.trim(), role };
    await invite.mutateAsync({ path: { id: workspaceId }, body }).then(setMade, () => undefined);
  };
  if (made) {
    return (
      <SecretDialog title={`Invitation for ${made.invitation.email}`} secret={made.url} copyLabel="Copy link" onClose={close}>
        <Text>Send this link to them. It works once, for seven days.</Text>
      </SecretDialog>
    );
  }
  return (
    <Modal opened onClose={close} title="Invite" closeButtonProps={{ "aria-label": "Close" }}>
      <form onSubmit={(event) => void save(event)}>
        <Stack>
          <TextInput label="E-mail" type="email" required value={email} onChange={(event) => setEmail(event.currentTarget.value)} data-autofocus />
          <Select label="Role" allowDeselect={false} value={role} onChange={(value) => value && setRole(value as Role)}
            data={[{ value: "member", label: "Member: this workspace" }, { value: "operator", label: "Operator: everything" }]} />
          {invite.error && <Text c="var(--mantine-color-error)" role="alert">{messageOf(invite.error)}</Text>}
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>Cancel</Button>
            <Button type="submit" loading={invite.isPending}>Invite</Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
