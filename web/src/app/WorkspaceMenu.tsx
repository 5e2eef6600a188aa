import { Button, Menu, Text } from "@mantine/core";
import { call } from "../api/client";
import { Icon } from "../components/Icon";
import { tellFailure } from "../components/toasts";
import { enterSession, useSession } from "./session";

/** The workspace that is worked in, and the others where there are any. */
export function WorkspaceMenu() {
  const { workspace, workspaces } = useSession();
  const choose = async (id: string) => {
    try {
      enterSession(await call("PUT /portal/v1/session/workspace", { body: { workspace_id: id } }));
    } catch (error) {
      tellFailure(error);
    }
  };
  if (!workspaces.some(({ id }) => id !== workspace.id)) {
    return <Text size="sm" c="dimmed" truncate visibleFrom="xs">{workspace.name}</Text>;
  }
  return (
    <Menu position="bottom-start" width={240}>
      <Menu.Target>
        <Button variant="subtle" color="gray" size="compact-sm" rightSection={<Icon name="down" size={14} />} aria-label={`Workspace: ${workspace.name}`}>
          <Text size="sm" truncate maw={160}>{workspace.name}</Text>
        </Button>
      </Menu.Target>
      <Menu.Dropdown mah={360} style={{ overflowY: "auto" }}>
        <Menu.Label>Workspace</Menu.Label>
        {workspaces.map(({ id, name }) => (
          <Menu.Item
            key={id}
            role="menuitemradio"
            aria-checked={id === workspace.id}
            rightSection={id === workspace.id ? <Icon name="check" /> : null}
            onClick={() => void choose(id)}
          >
            {name}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}
