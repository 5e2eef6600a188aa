import { Button, Group, Modal, Select, Stack, Text, TextInput } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { ApiError, messageOf } from "../../../api/client";
import { useChange } from "../../../api/queries";
import { useSession } from "../../../app/session";
import { SecretDialog } from "../../../components/SecretDialog";
import { Time } from "../../../components/Time";

const DAYS = [
  { value: "1", label: "1 day" },
  { value: "7", label: "7 days" },
  { value: "30", label: "30 days" },
];

/** Invites by e-mail address; the link is shown once, to be sent by hand. */
export function Invite({ onClose }: { onClose: () => void }) {
  const { user } = useSession();
  const [email, setEmail] = useState("");
  const [role, setRole] = useState<"member" | "operator">("member");
  const [days, setDays] = useState("7");
  const invite = useChange("POST /portal/v1/invitations", ["GET /portal/v1/invitations"]);
  if (invite.data) {
    const { invitation, url } = invite.data;
    return (
      <SecretDialog title={`Invitation for ${invitation.email}`} secret={url} copyLabel="Copy link" onClose={onClose}>
        <Text size="sm">Mira sends no mail: send this link yourself. It works once, until <Time at={invitation.expires_at_ms} />.</Text>
      </SecretDialog>
    );
  }
  const field = invite.error instanceof ApiError ? invite.error.field : null;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    invite.mutate({ body: { email: email.trim(), role, days: Number(days) } });
  };
  return (
    <Modal opened onClose={onClose} title="Invite" closeButtonProps={{ "aria-label": "Close" }}>
      <form onSubmit={submit}>
        <Stack>
          <TextInput
            label="E-mail" type="email" required withAsterisk={false} data-autofocus value={email}
            error={field === "email" ? messageOf(invite.error) : null} onChange={(event) => setEmail(event.currentTarget.value)}
          />
          {user.role === "operator" && (
            <Select
              label="Role" allowDeselect={false} value={role} onChange={(value) => setRole(value === "operator" ? "operator" : "member")}
              data={[{ value: "member", label: "Member of this workspace" }, { value: "operator", label: "Operator of this gateway" }]}
            />
          )}
          <Select label="Open for" allowDeselect={false} data={DAYS} value={days} onChange={(value) => setDays(value ?? "7")} />
          {invite.error && field !== "email" && <Text c="var(--mantine-color-error)" role="alert">{messageOf(invite.error)}</Text>}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>Cancel</Button>
            <Button type="submit" loading={invite.isPending}>Make invitation</Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
