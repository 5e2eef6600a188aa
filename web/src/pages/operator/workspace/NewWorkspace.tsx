import { Button, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { useNavigate } from "react-router";
import { messageOf } from "../../../api/client";
import { useChange } from "../../../api/queries";
import { tell } from "../../../components/toasts";
import { WORKSPACES } from "./routes";

/** Makes a workspace and goes there. It has no credits until it is topped up. */
export function NewWorkspace({ close }: { close: () => void }) {
  const [name, setName] = useState("");
  const navigate = useNavigate();
  const create = useChange("POST /admin/v1/workspaces", WORKSPACES);
  const save = async (event: FormEvent) => {
    event.preventDefault();
    const made = await create.mutateAsync({ body: { name: name.trim() } }).catch(() => null);
    if (!made) return;
    tell(`${made.name} is there. It has no credits yet.`);
    close();
    void navigate(`/workspaces/${encodeURIComponent(made.id)}`);
  };
  return (
    <Modal opened onClose={close} title="New workspace" closeButtonProps={{ "aria-label": "Close" }}>
      <form onSubmit={(event) => void save(event)}>
        <Stack>
          <TextInput label="Name" required maxLength={200} value={name} onChange={(event) => setName(event.currentTarget.value)} data-autofocus />
          {create.error && <Text c="var(--mantine-color-error)" role="alert">{messageOf(create.error)}</Text>}
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>Cancel</Button>
            <Button type="submit" loading={create.isPending}>Create workspace</Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
