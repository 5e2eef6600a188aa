/** One answer: its reasoning, text, pictures and tool calls, and what it took. */
import { Alert, Anchor, Button, Group, Modal, SegmentedControl, Stack, Text, TextInput } from "@mantine/core";
import { useState } from "react";
import { Link } from "react-router";
import { Icon } from "../../../components/Icon";
import { Snippet } from "../../../components/Snippet";
import { formatCredits } from "../../../format/money";
import { formatCount, formatMilliseconds } from "../../../format/number";
import type { AnswerTurn, Turn } from "./chat";
import styles from "./playground.module.css";

interface AnswerProps {
  answer: AnswerTurn;
  busy: boolean;
  /** The answer is the last turn, so its tools may be given their results. */
  isLast: boolean;
  say: (more: readonly Turn[]) => void;
}

export function Answer({ answer, busy, isLast, say }: AnswerProps) {
  const [showsRaw, setShowsRaw] = useState(false);
  return (
    <div className={styles.answer}>
      {answer.reasoning && (
        <details className={styles.reasoning} open={busy && answer.text === ""}>
          <summary>Reasoning</summary>
          <p>{answer.reasoning}</p>
        </details>
      )}
      {answer.text && <p className={styles.text}>{answer.text}</p>}
      {answer.pictures.map((url, at) => <img key={at} src={url} alt={`Picture ${at + 1} of the answer`} className={styles.made} />)}
      {answer.toolCalls.length > 0 && <ToolCalls answer={answer} open={isLast && !busy} say={say} />}
      {busy && !answer.text && !answer.reasoning && <Text c="dimmed">Waiting for the first word…</Text>}
      {answer.error && <Alert color="red" className="notice" title="It did not work">{answer.error}</Alert>}
      {!busy && <Took answer={answer} showRaw={() => setShowsRaw(true)} />}
      {showsRaw && <Raw answer={answer} close={() => setShowsRaw(false)} />}
    </div>
  );
}

function Took({ answer, showRaw }: { answer: AnswerTurn; showRaw: () => void }) {
  const { figures } = answer;
  const tokens = figures.completionTokens;
  const parts = [
    figures.cost !== null && `${formatCredits(figures.cost)} credits`,
    figures.firstContentMs !== null && `first word ${formatMilliseconds(figures.firstContentMs)}`,
    figures.durationMs !== null && `${formatMilliseconds(figures.durationMs)} in all`,
    figures.promptTokens !== null && tokens !== null && `${formatCount(figures.promptTokens)} + ${formatCount(tokens)} tokens`,
    answer.finish && answer.finish !== "stop" && `ended: ${answer.finish.replaceAll("_", " ")}`,
  ].filter((part): part is string => Boolean(part));
  return (
    <Group gap="xs" className={styles.took}>
      <Text size="xs" c="dimmed" className="figures">{parts.join(" · ")}</Text>
      <Button variant="subtle" color="gray" size="compact-xs" onClick={showRaw}>Raw</Button>
      {figures.requestId && <Anchor component={Link} to={`/logs?call=${figures.requestId}`} size="xs">In the log</Anchor>}
    </Group>
  );
}

function ToolCalls({ answer, open, say }: { answer: AnswerTurn; open: boolean; say: (more: readonly Turn[]) => void }) {
  const [results, setResults] = useState<Record<string, string>>({});
  const whole = answer.toolCalls.every(({ id }) => results[id]);
  return (
    <Stack gap="xs">
      {answer.toolCalls.map(({ id, name, arguments: given }) => (
        <div key={id} className={styles.tool}>
          <Text size="sm"><Icon name="gear" size={14} /> <strong>{name}</strong></Text>
          <code>{given}</code>
          {open && (
            <TextInput label={`Result of ${name}`} size="xs" value={results[id] ?? ""}
              onChange={(event) => setResults({ ...results, [id]: event.currentTarget.value })} />
          )}
        </div>
      ))}
      {open && (
        <Button variant="default" size="xs" disabled={!whole} style={{ alignSelf: "start" }}
          onClick={() => say(answer.toolCalls.map(({ id }) => ({ role: "tool" as const, callId: id, text: results[id] ?? "" })))}>
          Send results
        </Button>
      )}
    </Stack>
  );
}

function Raw({ answer, close }: { answer: AnswerTurn; close: () => void }) {
  const [shown, setShown] = useState<"request" | "response">("request");
  return (
    <Modal opened onClose={close} title="Request and response" size="xl" closeButtonProps={{ "aria-label": "Close" }}>
      <Stack>
        <SegmentedControl value={shown} onChange={(value) => setShown(value as typeof shown)} aria-label="Which side"
          data={[{ value: "request", label: "Request" }, { value: "response", label: "Response" }]} />
        <Snippet name={shown === "request" ? "POST /v1/chat/completions" : "Response, as it came"} text={answer.raw[shown] || "Nothing came."} testId="raw" />
        {answer.figures.requestId && <Text size="xs" c="dimmed">Request {answer.figures.requestId}</Text>}
      </Stack>
    </Modal>
  );
}
