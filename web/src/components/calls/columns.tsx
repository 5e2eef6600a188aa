/** The columns of a table of calls; the same for a member's log and for the whole gateway. */
import { Anchor, Text } from "@mantine/core";
import type { CallShown } from "../../api/schema";
import { formatCount, formatMilliseconds } from "../../format/number";
import type { Column } from "../DataTable";
import { Money } from "../Money";
import { StateBadge, type Tone } from "../StateBadge";
import { Time } from "../Time";

const OK_BELOW = 400;
const CLIENT_LEFT = 499;
const OURS_FROM = 500;

/** How a call ended, in a word and its number. */
export function CallStatus({ call }: { call: Pick<CallShown, "status" | "error"> }) {
  return <StateBadge state={String(call.status)} tone={toneOf(call.status)} label={`${call.status} ${wordOf(call)}`} />;
}

function wordOf({ status, error }: Pick<CallShown, "status" | "error">): string {
  if (status < OK_BELOW) return "ok";
  return status === CLIENT_LEFT ? "client left" : (error ?? "failed");
}

function toneOf(status: number): Tone {
  if (status < OK_BELOW) return "good";
  return status === CLIENT_LEFT || status < OURS_FROM ? "warn" : "bad";
}

/** `open` shows a call; `showKey` is left out where all calls are of one key. */
export function callColumns(open: (call: CallShown) => void, showKey = true): readonly Column<CallShown>[] {
  return [
    {
      title: "Time",
      render: (call) => (
        <Anchor component="button" type="button" size="sm" onClick={() => open(call)} aria-label={`Open call ${call.id}`}>
          <Time at={call.started_at_ms} seconds />
        </Anchor>
      ),
    },
    {
      title: "Model",
      render: (call) => (
        <div>
          <Text size="sm">{call.model || call.protocol.replaceAll("_", " ")}</Text>
          <Text size="xs" c="dimmed">{call.node ?? "no node"}</Text>
        </div>
      ),
    },
    ...(showKey ? [{ title: "Key", render: (call: CallShown) => call.key_name ?? call.key_id }] : []),
    { title: "Status", render: (call) => <CallStatus call={call} /> },
    { title: "Tokens", align: "end" as const, render: (call) => `${formatCount(call.usage.prompt_tokens)} → ${formatCount(call.usage.completion_tokens)}` },
    { title: "Took", align: "end" as const, render: (call) => formatMilliseconds(call.duration_ms) },
    { title: "Cost", align: "end" as const, render: (call) => <Money credits={call.cost} /> },
  ];
}
