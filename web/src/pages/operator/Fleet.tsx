/** The nodes: how they stand and why, what they carry, and what can be done with them. */
import { Anchor, Button, Stack, Text } from "@mantine/core";
import { lazy, Suspense, useState } from "react";
import { Link } from "react-router";
import { useList } from "../../api/queries";
import type { NodeRow } from "../../api/schema";
import { type Column, DataTable } from "../../components/DataTable";
import { Figures } from "../../components/Figures";
import { Icon } from "../../components/Icon";
import { PageHeader } from "../../components/PageHeader";
import { Section } from "../../components/Section";
import { Empty } from "../../components/States";
import { Time } from "../../components/Time";
import { formatCount, formatMilliseconds, formatShare } from "../../format/number";
import { NodeMenu } from "./fleet/NodeMenu";
import { NodeState } from "./fleet/NodeState";

const AddNode = lazy(() => import("./fleet/AddNode"));
const READ_EVERY_MS = 5000;

export default function Fleet() {
  const nodes = useList("GET /admin/v1/fleet", { everyMs: READ_EVERY_MS });
  const [adding, setAdding] = useState(false);
  const add = <Button leftSection={<Icon name="plus" />} onClick={() => setAdding(true)}>Add node</Button>;
  return (
    <>
      <PageHeader title="Fleet" description="The upstreams that answer for your models. A node that fails is left alone for a while and tried again by itself.">
        {add}
      </PageHeader>
      <Stack gap="lg">
        {nodes.rows && nodes.rows.length > 0 && <Totals nodes={nodes.rows} />}
        <Section title="Nodes" description="Read again every 5 seconds. Rates, errors and times are those of the last hour." padded={false}>
          <DataTable label="Nodes" columns={COLUMNS} pages={nodes} rowKey={(node) => node.name}
            empty={<Empty title="No nodes yet" action={add}>A node is a provider account, another Mira, or any server that speaks one of the protocols.</Empty>} />
        </Section>
      </Stack>
      <Suspense fallback={null}>{adding && <AddNode close={() => setAdding(false)} />}</Suspense>
    </>
  );
}

function Totals({ nodes }: { nodes: readonly NodeRow[] }) {
  const serving = nodes.filter((node) => node.state === "active" || node.state === "degraded").length;
  const unpriced = new Set(nodes.flatMap((node) => node.unpriced_models)).size;
  const total = (of: (node: NodeRow) => number) => nodes.reduce((sum, node) => sum + of(node), 0);
  return (
    <Figures label="The fleet as a whole" figures={[
      { label: "Nodes that serve", value: `${serving} of ${nodes.length}` },
      { label: "In flight", value: formatCount(total((node) => node.in_flight)) },
      { label: "Calls per minute", value: rate(total((node) => node.calls_per_minute)) },
      {
        label: "Models without a price", value: formatCount(unpriced),
        note: unpriced > 0 && <Anchor component={Link} to="/prices" size="xs">Set their prices</Anchor>,
      },
    ]} />
  );
}

const COLUMNS: readonly Column<NodeRow>[] = [
  {
    title: "Node",
    render: (node) => (
      <div>
        <Anchor component={Link} to={pageOf(node)} fw={500}>{node.name}</Anchor>
        <Text size="xs" c="dimmed">{node.kind} · {node.origin === "api" ? "added here" : node.origin}</Text>
      </div>
    ),
  },
  { title: "State", render: (node) => <NodeState standing={node} /> },
  {
    title: "Models", align: "end",
    render: (node) => (
      <div>
        {formatCount(node.models.length)}
        {node.unpriced_models.length > 0 && <Text size="xs" c="dimmed">{formatCount(node.unpriced_models.length)} unpriced</Text>}
      </div>
    ),
  },
  { title: "Weight", align: "end", render: (node) => node.weight },
  { title: "In flight", align: "end", render: (node) => formatCount(node.in_flight) },
  { title: "Calls / min", align: "end", render: (node) => rate(node.calls_per_minute) },
  { title: "Errors", align: "end", render: (node) => (node.failed_share === null ? "–" : formatShare(node.failed_share)) },
  {
    title: "First token, p95", align: "end",
    render: (node) => (node.p95_first_content_ms === null ? "–" : formatMilliseconds(node.p95_first_content_ms)),
  },
  { title: "Last check", render: (node) => (node.last_check_at_ms === null ? "–" : <Time at={node.last_check_at_ms} relative />) },
  { title: "Actions", quiet: true, align: "end", render: (node) => <NodeMenu node={node} /> },
];

function pageOf(node: NodeRow): string {
  return `/nodes/${encodeURIComponent(node.name)}`;
}

function rate(perMinute: number): string {
  return perMinute.toLocaleString("en-US", { maximumFractionDigits: 1 });
}
