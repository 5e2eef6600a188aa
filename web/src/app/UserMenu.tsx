import { Text } from "@mantine/core";
import { call } from "../api/client";
import { Icon } from "../components/Icon";
import { tellFailure } from "../components/toasts";
import { HeaderMenu, HeaderMenuEntry } from "./HeaderMenu";
import { leaveSession, useSession } from "./session";

export function UserMenu({ openHelp }: { openHelp: () => void }) {
  const { user } = useSession();
  const signOut = async () => {
    try {
      await call("DELETE /portal/v1/session");
      await leaveSession();
    } catch (error) {
      tellFailure(error);
    }
  };
  const head = (
    <div className="menu-head">
      <Text size="sm" fw={500} truncate>{user.name ?? user.email}</Text>
      <Text size="xs" c="dimmed" truncate>{user.role === "operator" ? "Operator" : "Member"}{user.name && ` · ${user.email}`}</Text>
    </div>
  );
  return (
    <HeaderMenu label={`Account of ${user.email}`} edge="end" head={head} button={<Icon name="person" />}>
      <HeaderMenuEntry to="/account" icon="gear">Account</HeaderMenuEntry>
      <HeaderMenuEntry onClick={openHelp} icon="help">Keyboard</HeaderMenuEntry>
      <HeaderMenuEntry onClick={() => void signOut()} icon="exit">Sign out</HeaderMenuEntry>
    </HeaderMenu>
  );
}
