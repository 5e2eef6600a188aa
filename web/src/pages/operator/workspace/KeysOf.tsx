import { ActionIcon, Menu, Text } from "@mantine/core";
import { useState } from "react";
import { useChange, useList } from "../../../api/queries";
import type { KeyLine } from "../../../api/schema";
import { ConfirmDialog } from "../../../components/ConfirmDialog";
import { type Column, DataTable } from "../../../components/DataTable";
import { Icon } from "../../../components/Icon";
import { Section } from "../../../components/Section";
import { StateBadge } from "../../../components/StateBadge";
import { Empty } from "../../../components/States";
import { Time } from "../../../components/Time";
import { tell, tellFailure } from "../../../components/toasts";
import { EditLimits, LimitsInWords } from "./Limits";
import { KEYS } from "./routes";

type Asked = { key: KeyLine; about: "limits" | "revoke" } | null;

/** The keys of a workspace and what they may spend. Its members make them, or an operator who works in it. */
export function KeysOf({ workspaceId }: { workspaceId: string }) {
  const keys = useList("GET /admin/v1/workspaces/{id}/keys", { path: { id: workspaceId } });
  const [asked, setAsked] = useState<Asked>(null);
  const change = useChange("PATCH /admin/v1/keys/{id}", KEYS);
  const revoke = useChange("DELETE /admin/v1/keys/{id}", KEYS);
  const close = () => setAsked(null);
  const disable = (key: KeyLine, disabled: boolean) =>
    void change.mutateAsync({ path: { id: key.id }, body: { disabled } }).then(() => tell(`${key.name} is ${disabled ? "disabled" : "enabled"}.`), tellFailure);
  return (
    <Section title="Keys" padded={false}>
      <DataTable label="Keys" columns={columns(setAsked, disable)} pages={keys} rowKey={(key) => key.id} empty={<Empty title="No keys yet" />} />
      {asked?.about === "limits" && (
        <EditLimits title={`Limits of ${asked.key.name}`} of={asked.key} close={close}
          save={(body) => change.mutateAsync({ path: { id: asked.key.id }, body }).then(() => tell(`The limits of ${asked.key.name} are set.`))} />
      )}
      {asked?.about === "revoke" && (
        <ConfirmDialog title={`Revoke ${asked.key.name}?`} action="Revoke key" danger onClose={close}
          onConfirm={() => revoke.mutateAsync({ path: { id: asked.key.id } }).then(() => tell(`${asked.key.name} is revoked.`))}>
          Whoever uses it is refused at once. This cannot be undone.
        </ConfirmDialog>
      )}
    </Section>
  );
}

function columns(ask: (asked: Asked) => void, disable: (key: KeyLine, disabled: boolean) => void): readonly Column<KeyLine>[] {
  return [
    {
      title: "Key",
      render: (key) => (
        <div>
          <Text fw={500}>{key.name}</Text>
          <Text size="xs" c="dimmed">{key.prefix}…{key.last4}</Text>
        </div>
      ),
    },
    { title: "Opens", render: (key) => (key.kind === "proxy" ? "the proxy, /v1" : "the Inference Service") },
    { title: "Models", render: (key) => (key.models === null ? "every one" : key.models.join(", ")) },
    { title: "Limits", render: (key) => <LimitsInWords of={key} /> },
    { title: "Expires", render: (key) => (key.expires_at_ms === null ? "never" : <Time at={key.expires_at_ms} />) },
    { title: "State", render: (key) => <StateBadge state={stateOf(key)} /> },
    {
      title: "Actions", quiet: true, align: "end",
      render: (key) => key.revoked_at_ms === null && (
        <Menu position="bottom-end" width={200}>
          <Menu.Target>
            <ActionIcon variant="default" size="lg" aria-label={`Actions for the key ${key.name}`}><Icon name="dots" /></ActionIcon>
          </Menu.Target>
          <Menu.Dropdown>
            <Menu.Item onClick={() => ask({ key, about: "limits" })}>Limits…</Menu.Item>
            <Menu.Item onClick={() => disable(key, !key.disabled)}>{key.disabled ? "Enable" : "Disable"}</Menu.Item>
            <Menu.Item onClick={() => ask({ key, about: "revoke" })}>Revoke…</Menu.Item>
          </Menu.Dropdown>
        </Menu>
      ),
    },
  ];
}

function stateOf(key: KeyLine): string {
  if (key.revoked_at_ms !== null) return "revoked";
  if (key.disabled) return "disabled";
  return key.expires_at_ms !== null && key.expires_at_ms < Date.now() ? "expired" : "active";
}
