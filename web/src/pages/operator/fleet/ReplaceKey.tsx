import { Button, Group, Modal, PasswordInput, Stack, Text } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { messageOf } from "../../../api/client";
import { useChange } from "../../../api/queries";
import type { NodeRow } from "../../../api/schema";
import { tell } from "../../../components/toasts";
import { FLEET } from "./NodeMenu";

/** Puts another key in the place of the node's; neither is ever shown. */
export function ReplaceKey({ node, close }: { node: NodeRow; close: () => void }) {
  const [key, setKey] = useState("");
  const change = useChange("PATCH /admin/v1/nodes/{name}", FLEET);
  const save = async (event: FormEvent) => {
    event.preventDefault();
    await change.mutateAsync({ path: { name: node.name }, body: { api_key: key } })
      .then(() => { tell(`${node.name} uses the new key.`); close(); }, () => undefined);
  };
  return (
    <Modal opened onClose={close} title={`Replace the key of ${node.name}`} closeButtonProps={{ "aria-label": "Close" }}>
      <form onSubmit={(event) => void save(event)} autoComplete="off">
        <Stack>
          <PasswordInput label="New API key" description="Kept encrypted. It cannot be read again, here or over the API." required
            autoComplete="new-password" value={key} onChange={(event) => setKey(event.currentTarget.value)}
            visibilityToggleButtonProps={{ "aria-label": "Show the key" }} data-autofocus />
          {change.error && <Text c="var(--mantine-color-error)" role="alert">{messageOf(change.error)}</Text>}
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>Cancel</Button>
            <Button type="submit" loading={change.isPending}>Replace key</Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
