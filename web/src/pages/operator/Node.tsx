/** One node: how it stands, what it was asked, which models it has, and what went wrong last. */
import { Anchor, List, Stack, Text } from "@mantine/core";
import { Link, useParams } from "react-router";
import { usePages, useRoute } from "../../api/queries";
import type { NodeRow } from "../../api/schema";
import { type Column, DataTable } from "../../components/DataTable";
import { Figures } from "../../components/Figures";
import { PageHeader } from "../../components/PageHeader";
import { Section } from "../../components/Section";
import { Empty, Loaded } from "../../components/States";
import { Time } from "../../components/Time";
import { formatCredits } from "../../format/money";
import { formatCount, formatMilliseconds, formatShare } from "../../format/number";
import { NodeMenu } from "./fleet/NodeMenu";
import { inWords, NodeState } from "./fleet/NodeState";
import { Facts } from "./node/Facts";
import { ModelsOfNode } from "./node/ModelsOfNode";
import { Traffic } from "./node/Traffic";

const READ_EVERY_MS = 5000;

export default function Node() {
  const { name = "" } = useParams();
  const query = useRoute("GET /admin/v1/fleet/{name}", { path: { name }, everyMs: READ_EVERY_MS });
  return (
    <>
      <PageHeader title={`Node ${name}`} description={<Anchor component={Link} to="/fleet">All nodes</Anchor>}>
        {query.data && <NodeMenu node={query.data} />}
      </PageHeader>
      <Loaded query={query}>{(node) => <NodeParts node={node} />}</Loaded>
    </>
  );
}

function NodeParts({ node }: { node: NodeRow }) {
  const { p95_first_content_ms: p95, failed_share: failed, credits, runway_s: runway } = node;
  return (
    <Stack gap="lg">
      <Figures label="The last hour" figures={[
        { label: "State", value: <NodeState standing={node} /> },
        { label: "In flight", value: formatCount(node.in_flight), note: node.max_in_flight === null ? "no limit" : `of ${node.max_in_flight} at once` },
        { label: "Calls per minute", value: node.calls_per_minute.toLocaleString("en-US", { maximumFractionDigits: 1 }), note: `${formatCount(node.calls_last_hour)} in the last hour` },
        { label: "Errors", value: failed === null ? "–" : formatShare(failed), note: node.consecutive_faults > 0 && `${node.consecutive_faults} in a row now` },
        { label: "First token, p95", value: p95 === null ? "–" : formatMilliseconds(p95) },
        ...(credits === null ? [] : [{ label: "Its credits", value: formatCredits(credits), note: runway === null ? null : `enough for ${inWords(runway)}` }]),
      ]} />
      {node.last_error && (
        <Section title="What it said last"><Text style={{ overflowWrap: "anywhere" }}>{node.last_error}</Text></Section>
      )}
      {node.conditions.length > 0 && (
        <Section title="Models that it does not serve well now">
          <List>
            {node.conditions.map((condition) => (
              <List.Item key={condition.model}><code>{condition.model}</code><NodeState standing={condition} /></List.Item>
            ))}
          </List>
        </Section>
      )}
      <Traffic node={node.name} />
      <LastErrors node={node.name} />
      <ModelsOfNode node={node} />
      <Facts node={node} />
    </Stack>
  );
}

interface Fault {
  id: string;
  model: string;
  status: number;
  error: string | null;
  started_at_ms: number;
}

function LastErrors({ node }: { node: string }) {
  const faults = usePages("GET /admin/v1/calls", { query: { node, status: "failed", limit: 10 } });
  return (
    <Section title="Last failed calls" description="Calls that ended in an error after this node was tried last." padded={false}>
      <DataTable label="Last failed calls" columns={FAULTS} pages={faults} rowKey={(call) => call.id}
        empty={<Empty title="None">No call failed here, as far back as calls are kept.</Empty>} />
    </Section>
  );
}

const FAULTS: readonly Column<Fault>[] = [
  { title: "When", render: (call) => <Time at={call.started_at_ms} seconds /> },
  { title: "Model", render: (call) => call.model },
  { title: "Error", render: (call) => <span>{call.status} {call.error}</span> },
  { title: "Call", render: (call) => <Anchor component={Link} to={`/calls?call=${encodeURIComponent(call.id)}`} size="sm">{call.id}</Anchor> },
];
