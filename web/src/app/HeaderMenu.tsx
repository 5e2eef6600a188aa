/** A menu of the header. Small on purpose: every page loads it, and Mantine's would bring 25 KB with it. */
import { UnstyledButton } from "@mantine/core";
import { useClickOutside, useDisclosure } from "@mantine/hooks";
import { type KeyboardEvent, type ReactNode, useEffect, useId, useRef } from "react";
import { Link } from "react-router";
import { Icon, type IconName } from "../components/Icon";

interface HeaderMenuProps {
  /** What the button says to screen readers. */
  label: string;
  button: ReactNode;
  /** At which edge of the button the menu begins. */
  edge: "start" | "end";
  head?: ReactNode;
  children: ReactNode;
}

/** Opens under its button; arrows go through its entries, Escape and a click elsewhere close it. */
export function HeaderMenu({ label, button, edge, head, children }: HeaderMenuProps) {
  const [opened, { close, toggle }] = useDisclosure();
  const id = useId();
  const frame = useClickOutside<HTMLDivElement>(close);
  const trigger = useRef<HTMLButtonElement>(null);
  const menu = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (opened) entries(menu.current)[0]?.focus();
  }, [opened]);
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "Tab") close();
    if (event.key === "Escape") {
      close();
      trigger.current?.focus();
    }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const all = entries(menu.current);
    const at = all.indexOf(document.activeElement as HTMLElement);
    all[(at + step + all.length) % all.length]?.focus();
  };
  return (
    <div className="header-menu" ref={frame}>
      <UnstyledButton
        ref={trigger} className="header-button" onClick={toggle} aria-label={label} aria-haspopup="menu" aria-expanded={opened} aria-controls={opened ? id : undefined}
      >
        {button}
      </UnstyledButton>
      {opened && (
        <div className="header-menu-list" data-edge={edge}>
          {head}
          <div id={id} ref={menu} role="menu" aria-label={label} onKeyDown={onKeyDown} onClick={close}>{children}</div>
        </div>
      )}
    </div>
  );
}

interface EntryProps {
  icon?: IconName;
  /** A page to go to, else what to do. */
  to?: string;
  onClick?: () => void;
  /** One of several of which one is chosen. */
  chosen?: boolean;
  children: ReactNode;
}

export function HeaderMenuEntry({ icon, to, onClick, chosen, children }: EntryProps) {
  const shown = (
    <>
      {icon && <Icon name={icon} />}
      <span>{children}</span>
      {chosen && <Icon name="check" size={16} />}
    </>
  );
  if (to) return <Link className="header-menu-entry" role="menuitem" tabIndex={-1} to={to}>{shown}</Link>;
  const role = chosen === undefined ? "menuitem" : "menuitemradio";
  return <button type="button" className="header-menu-entry" role={role} aria-checked={chosen} tabIndex={-1} onClick={onClick}>{shown}</button>;
}

function entries(menu: HTMLElement | null): HTMLElement[] {
  return [...(menu?.querySelectorAll<HTMLElement>(".header-menu-entry") ?? [])];
}
