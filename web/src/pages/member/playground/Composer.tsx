/** Where a message is written; pictures come with a button, by pasting, or by dropping. */
import { ActionIcon, Button, CloseButton, FileButton, Group, Textarea } from "@mantine/core";
import { type ClipboardEvent, type DragEvent, type KeyboardEvent, useState } from "react";
import { Icon } from "../../../components/Icon";
import { tell } from "../../../components/toasts";
import { dataUrl } from "../../../format/files";
import type { Picture, Turn } from "./chat";
import styles from "./playground.module.css";

const MOST_BYTES = 8 * 2 ** 20;

interface ComposerProps {
  busy: boolean;
  ready: boolean;
  send: (turn: Turn) => void;
  stop: () => void;
}

export function Composer({ busy, ready, send, stop }: ComposerProps) {
  const [text, setText] = useState("");
  const [pictures, setPictures] = useState<Picture[]>([]);
  const attach = async (files: readonly File[]) => {
    const read = await Promise.all(files.filter(isPicture).map(asPicture));
    setPictures((before) => [...before, ...read]);
  };
  const submit = () => {
    if (!ready || busy || (text.trim() === "" && pictures.length === 0)) return;
    send({ role: "user", text, pictures });
    setText("");
    setPictures([]);
  };
  const keys = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    submit();
  };
  const paste = (event: ClipboardEvent) => {
    const files = [...event.clipboardData.files];
    if (files.length === 0) return;
    event.preventDefault();
    void attach(files);
  };
  const drop = (event: DragEvent) => {
    event.preventDefault();
    void attach([...event.dataTransfer.files]);
  };
  return (
    <form className={`surface ${styles.composer}`} onDrop={drop} onDragOver={(event) => event.preventDefault()}
      onSubmit={(event) => { event.preventDefault(); submit(); }}>
      {pictures.length > 0 && (
        <Group gap="xs">
          {pictures.map(({ name, url }, at) => (
            <div key={url} className={styles.attached}>
              <img src={url} alt={name} />
              <CloseButton size="sm" aria-label={`Remove ${name}`} onClick={() => setPictures(pictures.filter((_, other) => other !== at))} />
            </div>
          ))}
        </Group>
      )}
      <Textarea aria-label="Message" placeholder="Write a message. Enter sends, Shift+Enter begins a new line." autosize minRows={2} maxRows={10}
        value={text} onChange={(event) => setText(event.currentTarget.value)} onKeyDown={keys} onPaste={paste} variant="unstyled" />
      <Group justify="space-between">
        <FileButton accept="image/*" multiple onChange={(files) => void attach(files)} inputProps={{ "aria-label": "Pictures to attach", tabIndex: -1 }}>
          {(props) => <ActionIcon {...props} variant="default" size={36} aria-label="Attach pictures"><Icon name="image" /></ActionIcon>}
        </FileButton>
        {busy ? (
          <Button variant="default" onClick={stop} leftSection={<Icon name="stop" size={16} />}>Stop all</Button>
        ) : (
          <Button type="submit" disabled={!ready}>Send</Button>
        )}
      </Group>
    </form>
  );
}

function isPicture(file: File): boolean {
  if (!file.type.startsWith("image/")) tell(`${file.name} is no picture.`, "warn");
  else if (file.size > MOST_BYTES) tell(`${file.name} is larger than 8 MiB.`, "warn");
  else return true;
  return false;
}

async function asPicture(file: File): Promise<Picture> {
  return { name: file.name, url: await dataUrl(file) };
}
