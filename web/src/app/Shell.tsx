/** The frame of every page behind the sign-in: skip link, header, navigation, and the keys that work everywhere. */
import { ActionIcon, Burger, Group, Menu, Text, UnstyledButton } from "@mantine/core";
import { useDisclosure, useHotkeys } from "@mantine/hooks";
import { lazy, Suspense, useEffect, useRef } from "react";
import { Link, Outlet, useLocation } from "react-router";
import { call } from "../api/client";
import { Icon } from "../components/Icon";
import { tellFailure } from "../components/toasts";
import { Mark } from "./Mark";
import { Navigation } from "./Navigation";
import { leaveSession, useSession } from "./session";
import { PlainHttpWarning } from "./PlainHttpWarning";
import { ThemeSwitch } from "./ThemeSwitch";
import { WorkspaceMenu } from "./WorkspaceMenu";

const NavigationDrawer = lazy(() => import("./NavigationDrawer"));
const Palette = lazy(() => import("./Palette"));
const KeyboardHelp = lazy(() => import("./KeyboardHelp"));

export function Shell() {
  const [drawer, drawerControl] = useDisclosure();
  const [palette, paletteControl] = useDisclosure();
  const [help, helpControl] = useDisclosure();
  const { pathname } = useLocation();
  const main = useFocusOnPageChange(pathname);
  useEffect(drawerControl.close, [pathname]);
  useHotkeys([
    ["/", () => focusSearch(paletteControl.open)],
    ["shift+?", helpControl.open],
    ["?", helpControl.open],
  ]);
  useHotkeys([["mod+K", paletteControl.open]], []);
  return (
    <>
      <a className="skip-link" href="#main" onClick={(event) => { event.preventDefault(); main.current?.focus(); }}>
        Skip to content
      </a>
      <header className="shell-header">
        <Group gap="sm" wrap="nowrap" style={{ minWidth: 0 }}>
          <Burger opened={drawer} onClick={drawerControl.toggle} hiddenFrom="md" size="sm" aria-label="Navigation" aria-expanded={drawer} />
          <Mark />
          <WorkspaceMenu />
        </Group>
        <Group gap={6} wrap="nowrap">
          <SearchButton open={paletteControl.open} />
          <ThemeSwitch />
          <UserMenu openHelp={helpControl.open} />
        </Group>
      </header>
      <div className="shell">
        <nav className="shell-navigation" aria-label="Pages"><Navigation /></nav>
        <main id="main" ref={main} tabIndex={-1}>
          <div className="page">
            <PlainHttpWarning />
            <Outlet />
          </div>
        </main>
      </div>
      <Suspense fallback={null}>
        {drawer && <NavigationDrawer close={drawerControl.close} />}
        {palette && <Palette close={paletteControl.close} />}
        {help && <KeyboardHelp close={helpControl.close} />}
      </Suspense>
    </>
  );
}

function SearchButton({ open }: { open: () => void }) {
  return (
    <>
      <UnstyledButton className="search-button" visibleFrom="sm" onClick={open} aria-keyshortcuts="Control+K Meta+K">
        <Icon name="search" size={15} />
        <span>Go to…</span>
        <kbd>{navigator.platform.startsWith("Mac") ? "⌘K" : "Ctrl K"}</kbd>
      </UnstyledButton>
      <ActionIcon hiddenFrom="sm" variant="subtle" color="gray" size="lg" onClick={open} aria-label="Go to a page">
        <Icon name="search" />
      </ActionIcon>
    </>
  );
}

function UserMenu({ openHelp }: { openHelp: () => void }) {
  const { user } = useSession();
  const signOut = async () => {
    try {
      await call("DELETE /portal/v1/session");
      await leaveSession();
    } catch (error) {
      tellFailure(error);
    }
  };
  return (
    <Menu position="bottom-end" width={240}>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" size="lg" aria-label={`Account of ${user.email}`}>
          <Icon name="person" />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <div className="menu-head">
          <Text size="sm" fw={500} truncate>{user.name ?? user.email}</Text>
          <Text size="xs" c="dimmed" truncate>{user.role === "operator" ? "Operator" : "Member"} · {user.email}</Text>
        </div>
        <Menu.Divider />
        <Menu.Item component={Link} to="/account" leftSection={<Icon name="gear" />}>Account</Menu.Item>
        <Menu.Item onClick={openHelp} leftSection={<Icon name="help" />}>Keyboard</Menu.Item>
        <Menu.Item onClick={() => void signOut()} leftSection={<Icon name="exit" />}>Sign out</Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

/** `/` goes to the page's own search field, and to the palette where there is none. */
function focusSearch(openPalette: () => void) {
  const field = document.querySelector<HTMLInputElement>("main input[type=search], main [data-search]");
  if (field) field.focus();
  else openPalette();
}

/** Another page begins at its top, with the focus on its content, so that a screen reader says that it has changed. */
function useFocusOnPageChange(pathname: string) {
  const main = useRef<HTMLElement>(null);
  const before = useRef(pathname);
  useEffect(() => {
    if (before.current === pathname) return;
    before.current = pathname;
    window.scrollTo(0, 0);
    main.current?.focus({ preventScroll: true });
  }, [pathname]);
  return main;
}
