/** What is left, every movement of it, and what things cost. */
import { Anchor, Button, Text } from "@mantine/core";
import { Link } from "react-router";
import type { Answer } from "../../api/client";
import { addressOf } from "../../api/client";
import { usePages, useRoute } from "../../api/queries";
import type { TransferShown } from "../../api/schema";
import { type Column, DataTable } from "../../components/DataTable";
import { type Figure, Figures } from "../../components/Figures";
import { Icon } from "../../components/Icon";
import { Money } from "../../components/Money";
import { PageHeader } from "../../components/PageHeader";
import { Section } from "../../components/Section";
import { Empty, Loaded } from "../../components/States";
import { Time } from "../../components/Time";
import { formatDaysLeft } from "../../format/number";
import { useSession } from "../../app/session";

const KINDS: Record<string, string> = { call: "Call", top_up: "Top-up", attempt: "Attempt", overrun: "Overrun" };

const COLUMNS: Column<TransferShown>[] = [
  { title: "When", render: ({ created_at_ms }) => <Time at={created_at_ms} seconds /> },
  { title: "What", render: ({ kind }) => KINDS[kind] ?? kind },
  {
    title: "Reference",
    render: ({ call_id, reference }) =>
      call_id ? <Anchor component={Link} to={`/logs?call=${call_id}`} inherit>{reference}</Anchor> : reference,
  },
  { title: "Amount", align: "end", render: ({ amount }) => <Signed amount={amount} /> },
  { title: "Balance after", align: "end", render: ({ balance }) => (balance === null ? "–" : <Money credits={balance} />) },
];

export default function Credits() {
  const { operator_pages, workspace } = useSession();
  const credits = useRoute("GET /portal/v1/credits");
  const statement = usePages("GET /portal/v1/transfers");
  return (
    <>
      <PageHeader title="Credits" description="One credit is one US dollar. The most a call can cost is held before it begins; its exact cost is booked when it ends.">
        {operator_pages && <Button component={Link} to={`/workspaces/${workspace.id}`}>Add credits</Button>}
      </PageHeader>
      <Loaded query={credits} height={90}>{(data) => <Figures label="Balance" figures={figuresOf(data)} />}</Loaded>
      <Section
        title="Statement" description="Every movement, newest first." padded={false}
        action={
          <Button component="a" href={addressOf("portal/v1/transfers", { format: "csv" })} download variant="default" size="xs" leftSection={<Icon name="download" size={16} />}>
            CSV
          </Button>
        }
      >
        <DataTable
          label="Statement" pages={statement} rowKey={({ id }) => id} columns={COLUMNS}
          empty={<Empty title="No movements yet">Top-ups and calls will stand here.</Empty>}
        />
      </Section>
      <Section title="What things cost">
        <Text size="sm">
          Tokens of models: <Anchor component={Link} to="/models" inherit>the price list of the models</Anchor>. Other routes, with what each is billed by:{" "}
          <Anchor component={Link} to="/docs" inherit>Docs</Anchor>. Uploads, token counts and lists are free.
        </Text>
      </Section>
    </>
  );
}

function figuresOf(data: Answer<"GET /portal/v1/credits">): Figure[] {
  return [
    { label: "Available", value: <Money credits={data.available} />, note: formatDaysLeft(data.days_left) },
    { label: "Balance", value: <Money credits={data.balance} /> },
    { label: "Held by running calls", value: <Money credits={data.held} /> },
    { label: "Spent today", value: <Money credits={data.spent_today} />, note: "Days are those of UTC" },
    { label: "Spent this month", value: <Money credits={data.spent_this_month} />, note: <><Money credits={data.spend_per_day} /> a day</> },
  ];
}

/** What came in has a plus; what went out already has its minus. */
function Signed({ amount }: { amount: string }) {
  return amount.startsWith("-") ? <Money credits={amount} /> : <span style={{ color: "var(--portal-good)" }}>+<Money credits={amount} /></span>;
}
