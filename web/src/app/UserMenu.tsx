import { Text } from "@mantine/core";
import { Icon } from "../components/Icon";
import { HeaderMenu, HeaderMenuEntry } from "./HeaderMenu";
import { useSession } from "./session";
import { signOut } from "./signOut";

export function UserMenu({ openHelp }: { openHelp: () => void }) {
  const { user } = useSession();
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
      <HeaderMenuEntry onClick={() => void signOut()} icon="exit">Sign out everywhere</HeaderMenuEntry>
    </HeaderMenu>
  );
}
