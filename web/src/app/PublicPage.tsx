import { Title } from "@mantine/core";
import { type ReactNode, useEffect } from "react";
import { Mark } from "./Mark";
import { PlainHttpWarning } from "./PlainHttpWarning";
import { ThemeSwitch } from "./ThemeSwitch";

/** The frame of the pages before the sign-in: one box in the middle. */
export function PublicPage({ title, children }: { title: string; children: ReactNode }) {
  useEffect(() => {
    document.title = `${title} · Mira`;
  }, [title]);
  return (
    <div className="public">
      <header className="public-head"><Mark asLink={false} /><ThemeSwitch /></header>
      <main>
        <PlainHttpWarning />
        <div className="surface public-box">
          <Title order={1} mb="md">{title}</Title>
          {children}
        </div>
      </main>
    </div>
  );
}
