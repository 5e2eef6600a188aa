import { ActionIcon, Menu } from "@mantine/core";
import { useState } from "react";
import { useNavigate } from "react-router";
import { useChange } from "../../../api/queries";
import type { NodeRow } from "../../../api/schema";
import { ConfirmDialog } from "../../../components/ConfirmDialog";
import { Icon } from "../../../components/Icon";
import { tell, tellFailure } from "../../../components/toasts";
import { EditNode } from "./EditNode";
import { ReplaceKey } from "./ReplaceKey";

type Dialog = "edit" | "key" | "disable" | "remove" | null;
export const FLEET = ["GET /admin/v1/fleet", "GET /admin/v1/fleet/{name}"] as const;

/** Everything that can be done with a node. Those of the file or the environment can only be drained and disabled. */
export function NodeMenu({ node }: { node: NodeRow }) {
  const [dialog, setDialog] = useState<Dialog>(null);
  const navigate = useNavigate();
  const { name, origin } = node;
  const change = useChange("PATCH /admin/v1/nodes/{name}", FLEET);
  const probe = useChange("POST /admin/v1/nodes/{name}/probe", FLEET);
  const remove = useChange("DELETE /admin/v1/nodes/{name}", FLEET);
  const set = (body: { draining?: boolean; disabled?: boolean }, said: string) =>
    change.mutateAsync({ path: { name }, body }).then(() => tell(said));
  const own = origin === "api";
  const close = () => setDialog(null);
  return (
    <>
      <Menu position="bottom-end" width={230}>
        <Menu.Target>
          <ActionIcon variant="default" size="lg" aria-label={`Actions for ${name}`}><Icon name="dots" /></ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          {node.draining ? (
            <Menu.Item leftSection={<Icon name="play" />} onClick={() => void set({ draining: false }, `${name} takes calls again.`).catch(tellFailure)}>
              Return to service
            </Menu.Item>
          ) : (
            <Menu.Item leftSection={<Icon name="pause" />} onClick={() => void set({ draining: true }, `${name} takes no new calls.`).catch(tellFailure)}>
              Drain
            </Menu.Item>
          )}
          {node.disabled ? (
            <Menu.Item leftSection={<Icon name="play" />} onClick={() => void set({ disabled: false }, `${name} is enabled.`).catch(tellFailure)}>
              Enable
            </Menu.Item>
          ) : (
            <Menu.Item leftSection={<Icon name="stop" />} onClick={() => setDialog("disable")}>Disable…</Menu.Item>
          )}
          <Menu.Item
            leftSection={<Icon name="refresh" />}
            onClick={() => void probe.mutateAsync({ path: { name } }).then(() => tell(`${name} was asked for its models.`)).catch(tellFailure)}
          >
            Probe now
          </Menu.Item>
          <Menu.Divider />
          <Menu.Item leftSection={<Icon name="edit" />} disabled={!own} onClick={() => setDialog("edit")}>Weight and limits…</Menu.Item>
          <Menu.Item leftSection={<Icon name="key" />} disabled={!own} onClick={() => setDialog("key")}>Replace key…</Menu.Item>
          <Menu.Item leftSection={<Icon name="trash" />} disabled={!own} onClick={() => setDialog("remove")}>Remove…</Menu.Item>
          {!own && <Menu.Label>Set in the {origin}; change it there</Menu.Label>}
        </Menu.Dropdown>
      </Menu>
      {dialog === "edit" && <EditNode node={node} close={close} />}
      {dialog === "key" && <ReplaceKey node={node} close={close} />}
      {dialog === "disable" && (
        <ConfirmDialog title={`Disable ${name}?`} action="Disable node" danger onClose={close}
          onConfirm={() => set({ disabled: true }, `${name} is disabled.`)}>
          It takes no calls and is no longer asked how it is, until it is enabled. To let it finish what it has, drain it.
        </ConfirmDialog>
      )}
      {dialog === "remove" && (
        <ConfirmDialog title={`Remove ${name}?`} action="Remove node" danger onClose={close}
          onConfirm={() => remove.mutateAsync({ path: { name } }).then(() => { tell(`${name} is removed.`); void navigate("/fleet"); })}>
          Its address and its key are forgotten. Calls that it is answering are finished; its past calls stay in the books.
        </ConfirmDialog>
      )}
    </>
  );
}
