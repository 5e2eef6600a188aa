/** Everything that is known of one call, in a sheet at the side. */
import { Anchor, Drawer, Group, Stack, Text, Title } from "@mantine/core";
import type { ReactNode } from "react";
import type { UseQueryResult } from "@tanstack/react-query";
import type { AttemptShown, CallDetail, CallShown } from "../../api/schema";
import { formatCount, formatMilliseconds } from "../../format/number";
import { CopyButton } from "../CopyButton";
import { Money } from "../Money";
import { Loaded } from "../States";
import { Time } from "../Time";
import { Arithmetic } from "./Arithmetic";
import { CallStatus } from "./columns";
import { Waterfall } from "./Waterfall";

const PROTOCOLS: Record<string, string> = { chat: "Chat Completions", messages: "Messages", responses: "Responses", embeddings: "Embeddings", gemini: "Gemini" };

interface CallSheetProps {
  id: string;
  /** What `GET …/calls/{id}` answers. */
  query: UseQueryResult<CallDetail>;
  close: () => void;
}

export function CallSheet({ id, query, close }: CallSheetProps) {
  return (
    <Drawer opened onClose={close} position="right" size="xl" title="Call" closeButtonProps={{ "aria-label": "Close" }}>
      <Stack gap="lg">
        <Group gap="xs">
          <Text className="figures" size="sm" style={{ overflowWrap: "anywhere" }}>{id}</Text>
          <CopyButton compact text={id} label="Copy request id" />
          <CopyButton text={location.href} label="Copy link" />
        </Group>
        <Loaded query={query} height={320}>{(detail) => <Detail detail={detail} />}</Loaded>
      </Stack>
    </Drawer>
  );
}

function Detail({ detail: { call, tried, arithmetic, transfers } }: { detail: CallDetail }) {
  const { usage } = call;
  return (
    <>
      <Facts rows={[
        ["Status", <CallStatus key="status" call={call} />],
        ["Began", <Time key="began" at={call.started_at_ms} seconds />],
        ["Took", `${formatMilliseconds(call.duration_ms)}${call.first_content_ms === null ? "" : `, first word after ${formatMilliseconds(call.first_content_ms)}`}`],
        ["Model", call.model || "–"],
        ["Node", call.node ?? "none"],
        ["Protocol", spoken(call, tried)],
        ["Key", call.key_name ?? call.key_id],
        ["Cost", <Money key="cost" credits={call.cost} unit />],
        call.node !== null && ["By the price table", <Money key="computed" credits={call.computed_cost} unit />],
        call.reported_cost !== null && ["Reported by the node", <Money key="reported" credits={call.reported_cost} unit />],
        ["Set aside before", <Money key="held" credits={call.held} unit />],
        call.client_request_id && ["The client's id", call.client_request_id],
        call.upstream_request_id && ["The node's id", call.upstream_request_id],
      ]} />
      <Part title="Attempts"><Waterfall call={call} tried={tried} /></Part>
      <Part title="Usage">
        <Facts rows={[
          ["Input", formatCount(usage.prompt_tokens)],
          usage.cache_read_tokens > 0 && ["of it read from the cache", formatCount(usage.cache_read_tokens)],
          usage.cache_write_tokens > 0 && ["of it written to the cache", formatCount(usage.cache_write_tokens)],
          ["Output", formatCount(usage.completion_tokens)],
          usage.reasoning_tokens > 0 && ["of it reasoning", formatCount(usage.reasoning_tokens)],
          usage.images > 0 && ["Images", formatCount(usage.images)],
          usage.seconds > 0 && ["Seconds", String(usage.seconds)],
          usage.characters > 0 && ["Characters", formatCount(usage.characters)],
          usage.pages > 0 && ["Pages", formatCount(usage.pages)],
          call.node !== null && ["Counted by", usage.estimated ? "Mira, since the node told nothing" : "the node"],
        ]} />
      </Part>
      <Part title="Cost"><Arithmetic sum={arithmetic} /></Part>
      {transfers.length > 0 && (
        <Part title="Bookings">
          <Facts rows={transfers.map((each) => [
            <Time key={each.id} at={each.created_at_ms} seconds />,
            <span key={`${each.id}-sum`}><Money credits={each.amount} /> <Text span c="dimmed" size="sm">{each.kind.replaceAll("_", " ")}</Text></span>,
          ])} />
        </Part>
      )}
      <Text size="sm" c="dimmed">What was asked and answered is not kept. <Anchor href="#/docs" size="sm">How calls are billed</Anchor></Text>
    </>
  );
}

/** What the client spoke, and what was spoken with the node. */
function spoken(call: CallShown, tried: readonly AttemptShown[]): string {
  const told = (protocol: string) => PROTOCOLS[protocol] ?? protocol;
  const there = tried.at(-1)?.protocol ?? null;
  return `${told(call.protocol)}${call.stream ? ", streamed" : ""}${there === null ? "" : ` → ${told(there)}`}`;
}

function Part({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section>
      <Title order={3} size="h4" mb="xs">{title}</Title>
      {children}
    </section>
  );
}

/** Names and values; rows that do not apply are false or empty. */
function Facts({ rows }: { rows: readonly ([ReactNode, ReactNode] | false | "" | null)[] }) {
  return (
    <dl className="fact-list">
      {rows.map((row, at) => row && (
        <div key={at}>
          <dt>{row[0]}</dt>
          <dd className="figures">{row[1]}</dd>
        </div>
      ))}
    </dl>
  );
}
