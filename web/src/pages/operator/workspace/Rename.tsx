import { Button, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { messageOf } from "../../../api/client";
import { useChange } from "../../../api/queries";
import type { WorkspaceRow } from "../../../api/schema";
import { WORKSPACES } from "./routes";

/** Gives a workspace another name; its id stays. */
export function Rename({ workspace, close }: { workspace: WorkspaceRow; close: () => void }) {
  const [name, setName] = useState(workspace.name);
  const rename = useChange("PATCH /admin/v1/workspaces/{id}", [...WORKSPACES, "GET /portal/v1/session"]);
  const save = async (event: FormEvent) => {
    event.preventDefault();
    await rename.mutateAsync({ path: { id: workspace.id }, body: { name: name.trim() } }).then(close, () => undefined);
  };
  return (
    <Modal opened onClose={close} title={`Rename ${workspace.name}`} closeButtonProps={{ "aria-label": "Close" }}>
      <form onSubmit={(event) => void save(event)}>
        <Stack>
          <TextInput label="Name" required maxLength={200} value={name} onChange={(event) => setName(event.currentTarget.value)} data-autofocus />
          {rename.error && <Text c="var(--mantine-color-error)" role="alert">{messageOf(rename.error)}</Text>}
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>Cancel</Button>
            <Button type="submit" loading={rename.isPending}>Rename</Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
