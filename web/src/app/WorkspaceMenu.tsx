import { Text } from "@mantine/core";
import { call } from "../api/client";
import { Icon } from "../components/Icon";
import { tellFailure } from "../components/toasts";
import { HeaderMenu, HeaderMenuEntry } from "./HeaderMenu";
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
  const button = <><Text size="sm" truncate maw={160}>{workspace.name}</Text><Icon name="down" size={14} /></>;
  return (
    <HeaderMenu label={`Workspace: ${workspace.name}`} edge="start" button={button}>
      {workspaces.map(({ id, name }) => (
        <HeaderMenuEntry key={id} chosen={id === workspace.id} onClick={() => void choose(id)}>{name}</HeaderMenuEntry>
      ))}
    </HeaderMenu>
  );
}
