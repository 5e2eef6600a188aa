/** One of the two columns: a model, what was said with it, and what to do with the chat. */
import { ActionIcon, Button, Group, Menu, Text, VisuallyHidden } from "@mantine/core";
import { useEffect, useRef } from "react";
import { useSession } from "../../../app/session";
import { Icon } from "../../../components/Icon";
import { ModelSelect } from "../../../components/ModelSelect";
import { tell } from "../../../components/toasts";
import { Answer } from "./Answer";
import { asCurl, asPython, bodyOf, type Settings, type Turn } from "./chat";
import styles from "./playground.module.css";
import type { Chat } from "./useChat";

interface PaneProps {
  label: string;
  model: string;
  setModel: (model: string) => void;
  chat: Chat;
  settings: Settings;
  /** Takes the column away, where there are two. */
  remove?: (() => void) | undefined;
}

export function Pane({ label, model, setModel, chat, settings, remove }: PaneProps) {
  const { base_url } = useSession();
  const end = useRef<HTMLDivElement>(null);
  const last = chat.turns.at(-1);
  useEffect(() => {
    // Newer browsers answer with a promise, which is no way to clean up.
    void end.current?.scrollIntoView({ block: "nearest" });
  }, [last]);
  const copy = async (text: string, what: string) => {
    try {
      await navigator.clipboard.writeText(text);
      tell(`Copied as ${what}`);
    } catch {
      tell("The browser did not let this page copy. Over HTTPS it would.", "warn");
    }
  };
  const body = () => bodyOf(model, chat.turns.slice(0, chat.turns.findLastIndex(({ role }) => role !== "assistant") + 1), settings);
  const asked = chat.turns.length > 0;
  return (
    <section className={`surface ${styles.pane}`} aria-label={label}>
      <Group gap="xs" className={styles.head} wrap="nowrap">
        <ModelSelect label={`Model of ${label.toLowerCase()}`} value={model} onChange={setModel} />
        {chat.busy ? (
          <Button variant="default" onClick={chat.stop} leftSection={<Icon name="stop" size={16} />}>Stop</Button>
        ) : (
          asked && <Button variant="default" onClick={chat.retry} leftSection={<Icon name="refresh" size={16} />}>Retry</Button>
        )}
        <Menu position="bottom-end">
          <Menu.Target>
            <ActionIcon variant="default" size={36} aria-label={`More for ${label.toLowerCase()}`}><Icon name="dots" /></ActionIcon>
          </Menu.Target>
          <Menu.Dropdown>
            <Menu.Item disabled={!asked} onClick={() => void copy(asCurl(base_url, body()), "curl")}>Copy as curl</Menu.Item>
            <Menu.Item disabled={!asked} onClick={() => void copy(asPython(base_url, body()), "Python")}>Copy as Python</Menu.Item>
            <Menu.Item disabled={!asked} onClick={chat.clear}>Clear</Menu.Item>
            {remove && <Menu.Item onClick={remove}>Remove this column</Menu.Item>}
          </Menu.Dropdown>
        </Menu>
      </Group>
      <div className={styles.turns} tabIndex={0} role="log" aria-label={`Chat with ${model || "no model"}`} aria-live="off">
        {!asked && <Text c="dimmed" ta="center" my="auto">Nothing said yet.</Text>}
        {chat.turns.map((turn, at) => (
          <Said key={at} turn={turn} busy={chat.busy && at === chat.turns.length - 1} isLast={at === chat.turns.length - 1} chat={chat} />
        ))}
        <div ref={end} />
      </div>
      <VisuallyHidden role="status" aria-live="polite">{announced(last, chat.busy)}</VisuallyHidden>
    </section>
  );
}

/** What a screen reader is told: whole sentences as they come would be cut by each other, so the answer is said when it is whole. */
function announced(last: Turn | undefined, busy: boolean): string {
  if (last?.role !== "assistant") return "";
  if (busy) return "The answer is being written.";
  // An error stands in an alert, which speaks for itself.
  return last.error ? "" : `Answer: ${last.text}`;
}

function Said({ turn, busy, isLast, chat }: { turn: Turn; busy: boolean; isLast: boolean; chat: Chat }) {
  if (turn.role === "assistant") return <Answer answer={turn} busy={busy} isLast={isLast} say={chat.say} />;
  if (turn.role === "tool") return <div className={styles.asked}><Text size="xs" c="dimmed">Result of a tool</Text><p className={styles.text}>{turn.text}</p></div>;
  return (
    <div className={styles.asked}>
      <p className={styles.text}>{turn.text}</p>
      {turn.pictures.map(({ name, url }) => <img key={url} src={url} alt={name} className={styles.sent} />)}
    </div>
  );
}
