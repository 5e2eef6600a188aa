/** The frame of every page behind the sign-in: skip link, header, navigation, and the keys that work everywhere. */
import { Burger, Group, UnstyledButton } from "@mantine/core";
import { useDisclosure, useHotkeys } from "@mantine/hooks";
import { lazy, Suspense, useEffect, useRef } from "react";
import { Outlet, useLocation } from "react-router";
import { Icon } from "../components/Icon";
import { Mark } from "./Mark";
import { Navigation } from "./Navigation";
import { PlainHttpWarning } from "./PlainHttpWarning";
import { ThemeSwitch } from "./ThemeSwitch";
import { UserMenu } from "./UserMenu";
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
      <UnstyledButton className="header-button" hiddenFrom="sm" onClick={open} aria-label="Go to a page">
        <Icon name="search" />
      </UnstyledButton>
    </>
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
