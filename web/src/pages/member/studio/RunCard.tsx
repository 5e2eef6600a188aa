/** One run: how it stands, what it cost, and what came of it, to be seen, heard and saved. */
import { Alert, Anchor, Button, Group, Text } from "@mantine/core";
import { useState } from "react";
import { Link } from "react-router";
import { addressOf } from "../../../api/client";
import { CopyButton } from "../../../components/CopyButton";
import { Icon } from "../../../components/Icon";
import { Money } from "../../../components/Money";
import { StateBadge } from "../../../components/StateBadge";
import { tell, tellFailure } from "../../../components/toasts";
import { saveFile } from "../../../format/files";
import { formatCount, formatMilliseconds } from "../../../format/number";
import { removeUpload } from "./kinds";
import type { Output, Run } from "./runs";
import styles from "./studio.module.css";

export function RunCard({ run, stop }: { run: Run; stop: () => void }) {
  return (
    <article className={`surface ${styles.run}`} aria-label={run.title}>
      <Group justify="space-between" gap="xs" wrap="nowrap" align="flex-start">
        <Text fw={500} size="sm" lineClamp={2} style={{ overflowWrap: "anywhere" }}>{run.title}</Text>
        <StateBadge state={run.state} tone={run.state === "stopped" ? "calm" : undefined} />
      </Group>
      {run.note && <Text size="sm" c="dimmed" style={{ overflowWrap: "anywhere" }}>{run.note}</Text>}
      {run.error && <Alert color="red" className="notice" title="It did not work">{run.error}</Alert>}
      {run.output && <Made output={run.output} />}
      <Group gap="md">
        {run.state === "running" && <Button variant="default" size="xs" leftSection={<Icon name="stop" size={14} />} onClick={stop}>Stop</Button>}
        {run.cost && run.output?.kind !== "upload" && <Text size="xs" c="dimmed">Cost <Money credits={run.cost} unit /></Text>}
        {run.tookMs !== null && <Text size="xs" c="dimmed">{formatMilliseconds(run.tookMs)}</Text>}
        {run.requestId && run.output?.kind !== "upload" && <Anchor component={Link} to={`/logs?call=${run.requestId}`} size="xs">In the log</Anchor>}
      </Group>
    </article>
  );
}

function Made({ output }: { output: Output }) {
  switch (output.kind) {
    case "pictures":
      return (
        <div className={styles.pictures}>
          {output.files.map(({ name, url }) => (
            <figure key={name}>
              <img src={url} alt={name} />
              <Save name={name} url={url} />
            </figure>
          ))}
        </div>
      );
    case "sound":
      return (
        <Group>
          <audio controls src={output.url} className={styles.sound}>Your browser plays no sound.</audio>
          <Save name={output.name} url={output.url} />
        </Group>
      );
    case "film":
      return (
        <div>
          <video controls src={output.url} className={styles.film}>Your browser plays no films.</video>
          <Save name={output.name} url={output.url} />
        </div>
      );
    case "text":
      return (
        <>
          <pre className={styles.text} tabIndex={0} aria-label={output.name}>{output.text}</pre>
          <Group gap="xs">
            <CopyButton text={output.text} label="Copy text" />
            <Button variant="default" leftSection={<Icon name="download" size={16} />} onClick={() => saveFile(output.name, new Blob([output.text], { type: "text/plain" }))}>Download</Button>
          </Group>
        </>
      );
    case "upload":
      return <Kept output={output} />;
  }
}

function Save({ name, url }: { name: string; url: string }) {
  return <Button component="a" href={url} download={name} variant="default" size="xs" leftSection={<Icon name="download" size={14} />}>Download</Button>;
}

function Kept({ output }: { output: Extract<Output, { kind: "upload" }> }) {
  const [removed, setRemoved] = useState(false);
  const remove = async () => {
    try {
      await removeUpload(output.id);
      setRemoved(true);
      tell("Removed");
    } catch (error) {
      tellFailure(error);
    }
  };
  if (removed) return <Text c="dimmed">Removed.</Text>;
  return (
    <>
      {output.mimeType.startsWith("image/") && <img src={addressOf(`portal/v1/play/files/${output.id}`)} alt="The upload" className={styles.kept} />}
      <Text size="sm" className="figures" style={{ overflowWrap: "anywhere" }}>{output.id} · {output.mimeType} · {formatCount(output.bytes)} bytes</Text>
      <Group gap="xs">
        <CopyButton text={output.id} label="Copy id" />
        <CopyButton text={output.address} label="Copy address" />
        <Button variant="default" onClick={() => void remove()} leftSection={<Icon name="trash" size={16} />}>Remove</Button>
      </Group>
    </>
  );
}
