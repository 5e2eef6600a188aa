/** Every promise of the ledger, recomputed from its rows, with the figures that show it. */
import { Button, Code, Stack, Text } from "@mantine/core";
import { useRoute } from "../../api/queries";
import type { LedgerCheck } from "../../api/schema";
import { Icon } from "../../components/Icon";
import { PageHeader } from "../../components/PageHeader";
import { Section } from "../../components/Section";
import { StateBadge } from "../../components/StateBadge";
import { Loaded } from "../../components/States";
import { formatCredits } from "../../format/money";
import { formatCount } from "../../format/number";
import { Time } from "../../components/Time";
import classes from "./ledger.module.css";

type Figures = Record<string, unknown>;
const ALARMS: Record<string, string> = {
  overrun: "Charged beyond what was held and left",
  attempt_cost: "Paid for attempts that failed",
  calls_reported_otherwise_than_computed: "Calls that a node reported otherwise than computed",
  reported_less_computed: "Reported less computed",
};

export default function Ledger() {
  const query = useRoute("GET /admin/v1/ledger/check");
  const again = (
    <Button variant="default" leftSection={<Icon name="refresh" />} loading={query.isFetching} onClick={() => void query.refetch()}>Check again</Button>
  );
  return (
    <>
      <PageHeader title="Ledger" description="Each promise is recomputed from every row of the ledger. What does not hold here is a fault, and worth a look at once.">
        {again}
      </PageHeader>
      <Loaded query={query}>{(check) => <Checked check={check} at={query.dataUpdatedAt} />}</Loaded>
    </>
  );
}

function Checked({ check, at }: { check: LedgerCheck; at: number }) {
  const found = Object.entries(check.invariants);
  const broken = found.filter(([, figures]) => !figures.ok).length;
  return (
    <Stack gap="lg">
      <Section title={check.ok ? "Every promise holds" : `${formatCount(broken)} of ${found.length} promises do not hold`}
        description={<>Checked <Time at={at} seconds />. {found.length} promises.</>} padded={false}>
        <ul className={classes.promises}>
          {found.map(([name, figures]) => <Promised key={name} name={name} figures={figures} />)}
        </ul>
      </Section>
      <Section title="What should be 0" description="The operator's own losses, and where nodes charge otherwise than the price table says.">
        <FigureList figures={Object.fromEntries(Object.entries(check.alarms).map(([name, value]) => [ALARMS[name] ?? name, value]))} />
      </Section>
    </Stack>
  );
}

function Promised({ name, figures: { ok, promise, ...figures } }: { name: string; figures: Figures }) {
  return (
    <li>
      <div>
        <Text fw={500}><span className={classes.name}>{name}</span> {String(promise)}</Text>
        <FigureList figures={figures} />
      </div>
      <StateBadge state={ok ? "holds" : "broken"} tone={ok ? "good" : "bad"} />
    </li>
  );
}

/** Figures by name; what is made of several is shown as it is. */
function FigureList({ figures }: { figures: Figures }) {
  const shown = Object.entries(figures).filter(([, value]) => !(Array.isArray(value) && value.length === 0));
  return (
    <dl className={classes.figures}>
      {shown.flatMap(([name, value]) => told(name, value)).map(([name, value]) => (
        <div key={name}>
          <Text component="dt" size="sm" c="dimmed">{name.replaceAll("_", " ")}</Text>
          <dd className="figures">{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function told(name: string, value: unknown): [string, React.ReactNode][] {
  if (Array.isArray(value)) return value.map((one, index) => [`${name} ${index + 1}`, <Code key={index}>{JSON.stringify(one)}</Code>]);
  if (value !== null && typeof value === "object") return Object.entries(value).map(([inner, of]) => [inner, figure(of)]);
  return [[name, figure(value)]];
}

/** Counts are numbers, amounts decimal text. */
function figure(value: unknown): string {
  return typeof value === "number" ? formatCount(value) : formatCredits(String(value));
}
