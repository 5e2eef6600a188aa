/** What can be done with a key that is there. */
import { Button, Group, Modal, Select, Stack, Text } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { type Answer, ApiError, call, messageOf } from "../../../api/client";
import { useChange } from "../../../api/queries";
import type { KeyShown } from "../../../api/schema";
import { keepFreshKey } from "../../../app/freshKey";
import { ConfirmDialog } from "../../../components/ConfirmDialog";
import { KeyFields } from "../../../components/keys/KeyFields";
import { formOf, type KeyForm, limitsOf } from "../../../components/keys/limits";
import { KeySecret } from "../../../components/keys/NewKey";
import { forget } from "../../../api/queries";
import { tell } from "../../../components/toasts";

interface DialogProps {
  keyShown: KeyShown;
  onClose: () => void;
}

const KEYS = "GET /portal/v1/keys";

export function EditKey({ keyShown, onClose }: DialogProps) {
  const [form, setForm] = useState<KeyForm>(formOf(keyShown));
  const change = useChange("PATCH /portal/v1/keys/{id}", [KEYS]);
  const refused = change.error && {
    field: change.error instanceof ApiError ? change.error.field : null,
    message: messageOf(change.error),
  };
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const body = limitsOf(form);
    // A budget that is sent again would be the same; the time of expiry would move to the end of its day.
    const expires = form.expires === formOf(keyShown).expires ? {} : { expires_at_ms: body.expires_at_ms };
    const { expires_at_ms: _, ...limits } = body;
    await change.mutateAsync({ path: { id: keyShown.id }, body: { ...limits, ...expires } }).then(
      () => { tell(`${form.name} was changed.`); onClose(); },
      () => undefined,
    );
  };
  return (
    <Modal opened onClose={onClose} title={`Edit ${keyShown.name}`} size="lg" closeButtonProps={{ "aria-label": "Close" }}>
      <form onSubmit={(event) => void submit(event)}>
        <Stack>
          <KeyFields form={form} set={(changes) => setForm({ ...form, ...changes })} refused={refused} withKind={false} open />
          {refused && <Text c="var(--mantine-color-error)" role="alert">{refused.message}</Text>}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>Cancel</Button>
            <Button type="submit" loading={change.isPending}>Save</Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

const OVERLAPS = [
  { value: "0", label: "None: the old key ends at once" },
  { value: "3600", label: "1 hour" },
  { value: "86400", label: "1 day" },
  { value: "604800", label: "1 week" },
];

export function RotateKey({ keyShown, onClose }: DialogProps) {
  const [overlap, setOverlap] = useState("86400");
  const [made, setMade] = useState<Answer<"POST /portal/v1/keys/{id}/rotate"> | null>(null);
  const rotate = async () => {
    const answer = await call("POST /portal/v1/keys/{id}/rotate", { path: { id: keyShown.id }, body: { overlap_s: Number(overlap) } });
    keepFreshKey({ id: answer.key.id, name: answer.key.name, secret: answer.secret });
    await forget(KEYS);
    setMade(answer);
  };
  if (made) return <KeySecret made={made} title={`The new secret of ${keyShown.name}`} onClose={onClose} />;
  return (
    <ConfirmDialog title={`Rotate ${keyShown.name}`} action="Rotate key" onConfirm={rotate} onClose={onClose} staysOpen>
      <Stack>
        A new key with the same limits takes its place. The old one goes on working for a while, so that you can change it
        in your programs without a gap.
        <Select label="Both work for" data={OVERLAPS} allowDeselect={false} value={overlap} onChange={(value) => setOverlap(value ?? "86400")} />
      </Stack>
    </ConfirmDialog>
  );
}

export function DisableKey({ keyShown, onClose }: DialogProps) {
  const disabled = keyShown.state === "disabled";
  const change = useChange("PATCH /portal/v1/keys/{id}", [KEYS]);
  return (
    <ConfirmDialog
      title={`${disabled ? "Enable" : "Disable"} ${keyShown.name}`} action={disabled ? "Enable key" : "Disable key"} onClose={onClose}
      onConfirm={() => change.mutateAsync({ path: { id: keyShown.id }, body: { disabled: !disabled } })}
    >
      {disabled ? "Requests with this key are taken again." : "Requests with this key are refused until you enable it again."}
    </ConfirmDialog>
  );
}

export function DeleteKey({ keyShown, onClose }: DialogProps) {
  const remove = useChange("DELETE /portal/v1/keys/{id}", [KEYS, "GET /portal/v1/overview"]);
  return (
    <ConfirmDialog
      title={`Delete ${keyShown.name}`} action="Delete key" danger onClose={onClose}
      onConfirm={async () => {
        await remove.mutateAsync({ path: { id: keyShown.id } });
        tell(`${keyShown.name} was deleted.`);
      }}
    >
      Every program that uses it is refused from now on. This cannot be undone. Its calls stay in the logs and on the bill.
    </ConfirmDialog>
  );
}
