/** The workspace's keys: what each may do, what it has spent, and everything that can be done with it. */
import { ActionIcon, Button, Menu, Switch, Text } from "@mantine/core";
import { useState } from "react";
import { useList } from "../../api/queries";
import type { KeyShown } from "../../api/schema";
import { type Column, DataTable } from "../../components/DataTable";
import { useFilters } from "../../components/filters";
import { Icon } from "../../components/Icon";
import { NewKey } from "../../components/keys/NewKey";
import { Money } from "../../components/Money";
import { PageHeader } from "../../components/PageHeader";
import { StateBadge } from "../../components/StateBadge";
import { Empty } from "../../components/States";
import { Time } from "../../components/Time";
import { formatCount } from "../../format/number";
import { KeyLimits } from "./keys/KeyLimits";
import { DeleteKey, DisableKey, EditKey, RotateKey } from "./keys/KeyDialogs";
import classes from "./keys/keys.module.css";

type Action = "edit" | "rotate" | "disable" | "delete";

export default function Keys() {
  const [making, setMaking] = useState(false);
  const [acting, setActing] = useState<{ action: Action; key: KeyShown } | null>(null);
  const { values, set } = useFilters(["revoked"]);
  const keys = useList("GET /portal/v1/keys", { query: { revoked: values.revoked } });
  const close = () => setActing(null);
  return (
    <>
      <PageHeader title="Keys" description="A key opens the API to a program. Give each program its own, so that you can see and limit what it spends.">
        <Button onClick={() => setMaking(true)} leftSection={<Icon name="plus" />}>Create key</Button>
      </PageHeader>
      <div className={classes.bar}>
        <Switch
          label="Revoked keys" checked={values.revoked === "true"}
          onChange={(event) => set({ revoked: event.currentTarget.checked ? "true" : null })}
        />
      </div>
      <div className="surface">
        <DataTable
          label="Keys" pages={keys} rowKey={({ id }) => id}
          columns={columns((action, key) => setActing({ action, key }))}
          empty={
            values.revoked ? (
              <Empty title="No revoked keys" />
            ) : (
              <Empty title="No keys yet" action={<Button onClick={() => setMaking(true)}>Create key</Button>}>
                Create one, copy it, and put it into your first program.
              </Empty>
            )
          }
        />
      </div>
      {making && <NewKey onClose={() => setMaking(false)} />}
      {acting?.action === "edit" && <EditKey keyShown={acting.key} onClose={close} />}
      {acting?.action === "rotate" && <RotateKey keyShown={acting.key} onClose={close} />}
      {acting?.action === "disable" && <DisableKey keyShown={acting.key} onClose={close} />}
      {acting?.action === "delete" && <DeleteKey keyShown={acting.key} onClose={close} />}
    </>
  );
}

function columns(act: (action: Action, key: KeyShown) => void): Column<KeyShown>[] {
  return [
    {
      title: "Name",
      render: (key) => (
        <div className={classes.name}>
          <Text fw={500} size="sm">{key.name}</Text>
          <code>{key.prefix}…{key.last4}</code>
          <Text size="xs" c="dimmed">{key.managed ? "For the playground" : key.kind === "inference" ? "Inference Service" : "Proxy"}{key.member_name && ` · ${key.member_name}`}</Text>
        </div>
      ),
    },
    { title: "State", render: ({ state }) => <StateBadge state={state} /> },
    { title: "Limits", render: (key) => <KeyLimits shown={key} /> },
    {
      title: "Last used",
      render: ({ last_used_at_ms, expires_at_ms }) => (
        <div>
          {last_used_at_ms === null ? <Text size="sm" c="dimmed">Never</Text> : <Time at={last_used_at_ms} relative />}
          {expires_at_ms !== null && <Text size="xs" c="dimmed">Expires <Time at={expires_at_ms} relative /></Text>}
        </div>
      ),
    },
    { title: "Requests", align: "end", render: ({ calls }) => formatCount(calls) },
    { title: "Spent", align: "end", render: ({ spend }) => <Money credits={spend} /> },
    { title: "Actions", quiet: true, align: "end", render: (key) => <KeyMenu shown={key} act={act} /> },
  ];
}

function KeyMenu({ shown, act }: { shown: KeyShown; act: (action: Action, key: KeyShown) => void }) {
  if (shown.state === "revoked") return null;
  return (
    <Menu position="bottom-end" width={200}>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" aria-label={`Actions for ${shown.name}`}><Icon name="dots" /></ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item leftSection={<Icon name="edit" />} onClick={() => act("edit", shown)}>Edit</Menu.Item>
        <Menu.Item leftSection={<Icon name="refresh" />} onClick={() => act("rotate", shown)} disabled={shown.managed || shown.state !== "active"}>Rotate</Menu.Item>
        <Menu.Item leftSection={<Icon name={shown.state === "disabled" ? "play" : "pause"} />} onClick={() => act("disable", shown)}>
          {shown.state === "disabled" ? "Enable" : "Disable"}
        </Menu.Item>
        <Menu.Divider />
        <Menu.Item leftSection={<Icon name="trash" />} c="var(--mantine-color-error)" onClick={() => act("delete", shown)}>Delete</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
