/** The frame of every page behind the sign-in: skip link, header, navigation, and the keys that work everywhere. */
import { ActionIcon, AppShell, Burger, Group, Menu, NavLink, ScrollArea, Text, UnstyledButton } from "@mantine/core";
import { useDisclosure, useHotkeys } from "@mantine/hooks";
import { lazy, Suspense, useEffect, useRef } from "react";
import { Link, Outlet, useLocation, useMatch } from "react-router";
import { call } from "../api/client";
import { Icon } from "../components/Icon";
import { tellFailure } from "../components/toasts";
import { Mark } from "./Mark";
import { navigation, type Page } from "./registry";
import { leaveSession, useSession } from "./session";
import { PlainHttpWarning } from "./PlainHttpWarning";
import { ThemeSwitch } from "./ThemeSwitch";
import { WorkspaceMenu } from "./WorkspaceMenu";

const Palette = lazy(() => import("./Palette"));
const KeyboardHelp = lazy(() => import("./KeyboardHelp"));

export function Shell() {
  const [drawer, { toggle, close }] = useDisclosure();
  const [palette, paletteControl] = useDisclosure();
  const [help, helpControl] = useDisclosure();
  const { pathname } = useLocation();
  const main = useFocusOnPageChange(pathname);
  useEffect(close, [pathname, close]);
  useHotkeys([
    ["/", () => focusSearch(paletteControl.open)],
    ["shift+?", helpControl.open],
    ["?", helpControl.open],
    ["Escape", close],
  ]);
  useHotkeys([["mod+K", paletteControl.open]], []);
  return (
    <>
      <a className="skip-link" href="#main" onClick={(event) => { event.preventDefault(); main.current?.focus(); }}>
        Skip to content
      </a>
      <AppShell
        header={{ height: 56 }}
        navbar={{ width: 232, breakpoint: "md", collapsed: { mobile: !drawer } }}
        padding={{ base: "md", md: "xl" }}
      >
        <AppShell.Header bg="var(--portal-surface)">
          <Group h="100%" px="md" justify="space-between" wrap="nowrap">
            <Group gap="sm" wrap="nowrap" style={{ minWidth: 0 }}>
              <Burger opened={drawer} onClick={toggle} hiddenFrom="md" size="sm" aria-label="Navigation" aria-expanded={drawer} />
              <Mark />
              <WorkspaceMenu />
            </Group>
            <Group gap={6} wrap="nowrap">
              <SearchButton open={paletteControl.open} />
              <ThemeSwitch />
              <UserMenu openHelp={helpControl.open} />
            </Group>
          </Group>
        </AppShell.Header>
        <AppShell.Navbar bg="var(--portal-surface)" aria-label="Pages">
          <Navigation />
        </AppShell.Navbar>
        <AppShell.Main id="main" ref={main} tabIndex={-1}>
          <div className="page">
            <PlainHttpWarning />
            <Outlet />
          </div>
        </AppShell.Main>
      </AppShell>
      <Suspense fallback={null}>
        {palette && <Palette close={paletteControl.close} />}
        {help && <KeyboardHelp close={helpControl.close} />}
      </Suspense>
    </>
  );
}

function Navigation() {
  const session = useSession();
  return (
    <ScrollArea h="100%" type="auto" scrollbarSize={6}>
      <div className="navigation">
        {navigation(session.operator_pages).map(([group, pages]) => (
          <div key={group} role="group" aria-label={group}>
            <Text size="xs" c="dimmed" fw={500} px="sm" pt="md" pb={4}>{group}</Text>
            {pages.map((page) => <PageLink key={page.id} page={page} />)}
          </div>
        ))}
      </div>
    </ScrollArea>
  );
}

function PageLink({ page }: { page: Page }) {
  const active = useMatch(page.path) !== null;
  return (
    <NavLink
      component={Link}
      to={page.path}
      label={page.title}
      leftSection={page.icon && <Icon name={page.icon} />}
      active={active}
      aria-current={active ? "page" : undefined}
    />
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
