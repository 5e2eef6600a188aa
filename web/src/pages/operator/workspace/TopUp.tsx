import { Button, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { ApiError, messageOf } from "../../../api/client";
import { useChange } from "../../../api/queries";
import type { WorkspaceRow } from "../../../api/schema";
import { Money } from "../../../components/Money";
import { tell } from "../../../components/toasts";
import { WORKSPACES } from "./routes";

/** Adds credits. The reference keeps a payment that is sent twice from counting twice. */
export function TopUp({ workspace, close }: { workspace: WorkspaceRow; close: () => void }) {
  const [amount, setAmount] = useState("");
  const [reference, setReference] = useState("");
  const [known, setKnown] = useState(false);
  const pay = useChange("POST /admin/v1/workspaces/{id}/credits", WORKSPACES);
  const wrong = (field: string) => pay.error instanceof ApiError && pay.error.field === field && pay.error.message;
  const save = async (event: FormEvent) => {
    event.preventDefault();
    setKnown(false);
    const body = { amount: amount.trim(), reference: reference.trim() };
    const answer = (await pay.mutateAsync({ path: { id: workspace.id }, body }).catch(() => null)) as { counted: boolean } | null;
    if (answer?.counted) {
      tell(`${workspace.name} has ${body.amount} credits more.`);
      close();
    } else if (answer) setKnown(true);
  };
  const told = pay.error && !(pay.error instanceof ApiError && pay.error.field);
  return (
    <Modal opened onClose={close} title={`Top up ${workspace.name}`} closeButtonProps={{ "aria-label": "Close" }}>
      <form onSubmit={(event) => void save(event)}>
        <Stack>
          <Text>Its balance is <Money credits={workspace.balance} unit />.</Text>
          <TextInput label="Amount" description="In credits, for instance 25 or 0.50" required inputMode="decimal" value={amount}
            onChange={(event) => setAmount(event.currentTarget.value)} error={wrong("amount")} data-autofocus />
          <TextInput label="Reference" description="What it is for, for instance an invoice. The same reference counts once." required
            value={reference} onChange={(event) => setReference(event.currentTarget.value)} error={wrong("reference")} />
          {known && <Text role="alert">This reference was counted before; nothing was added.</Text>}
          {told && <Text c="var(--mantine-color-error)" role="alert">{messageOf(pay.error)}</Text>}
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>Cancel</Button>
            <Button type="submit" loading={pay.isPending}>Top up</Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
