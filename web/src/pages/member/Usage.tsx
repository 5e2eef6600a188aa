/** What the workspace used: any figure, by any group, over time, beside the span before. */
import { Anchor, Button, Group, Select, Stack, Switch } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { addressOf, type Answer, call } from "../../api/client";
import type { UsageRow, UsageSums } from "../../api/schema";
import { ChartWithTable } from "../../components/ChartWithTable";
import { CopyButton } from "../../components/CopyButton";
import { Figures } from "../../components/Figures";
import { useFilters } from "../../components/filters";
import { Icon } from "../../components/Icon";
import { PageHeader } from "../../components/PageHeader";
import { useRange } from "../../components/range";
import { RangePicker } from "../../components/RangePicker";
import { Section } from "../../components/Section";
import { Empty, Loaded } from "../../components/States";
import { zoneName } from "../../format/time";
import { asChart, change, figureOf, formatFigure, GROUPS, type Group as GroupName, METRICS, type Metric, STEPS, type Step, sumsByGroup, valueOf } from "./usage/figures";
import { GroupTable } from "./usage/GroupTable";

const PAGE = 1000;
const MOST_ROWS = 20_000;
type Told = Answer<"GET /portal/v1/usage">;

export default function Usage() {
  const { range, setRange, since_ms, until_ms } = useRange("30d");
  const { values, set } = useFilters(["metric", "group", "step", "compare"]);
  const metric = oneOf(values.metric, METRICS, "cost");
  const group = oneOf(values.group, GROUPS, "model");
  const step = oneOf<Step>(values.step, STEPS, range === "1d" ? "hour" : "day");
  const compare = values.compare !== "off";
  const words = { since_ms, until_ms, group_by: step === "whole" ? group : `${group},${step}`, ...(compare && { compare: "previous" }) };
  const usage = useQuery({ queryKey: ["GET /portal/v1/usage", words, "whole"], queryFn: ({ signal }) => everyRow(words, signal) });
  return (
    <>
      <PageHeader title="Usage" description={`Days are those of UTC; hours are shown in ${zoneName()}.`}>
        <CopyButton text={location.href} label="Copy link" />
        <Button component="a" variant="default" leftSection={<Icon name="download" />} href={addressOf("portal/v1/usage", { ...words, format: "csv" })} download>Download CSV</Button>
      </PageHeader>
      <Stack gap="lg">
        <Group gap="sm" align="flex-end">
          <RangePicker range={range} setRange={setRange} />
          <Choice label="Figure" value={metric} options={METRICS} standard="cost" set={(chosen) => set({ metric: chosen })} />
          <Choice label="Grouped by" value={group} options={GROUPS} standard="model" set={(chosen) => set({ group: chosen })} />
          <Choice label="Rolled up by" value={step} options={STEPS} standard="" set={(chosen) => set({ step: chosen })} />
          <Switch label="Compare with the span before" checked={compare} mb={8} onChange={(event) => set({ compare: event.currentTarget.checked ? null : "off" })} />
        </Group>
        <Loaded query={usage}>{(told) => <Shown told={told} metric={metric} group={group} step={step} />}</Loaded>
      </Stack>
    </>
  );
}

function Shown({ told, metric, group, step }: { told: Told; metric: Metric; group: GroupName; step: Step }) {
  const sums = sumsByGroup(told.data, group);
  const before = told.previous ? sumsByGroup(told.previous.data, group) : null;
  return (
    <>
      <Totals now={told.totals} before={told.previous?.totals ?? null} />
      {told.data.length === 0 ? (
        <Empty title="Nothing was used in this span" action={<Anchor href="#/playground">Try a model in the playground</Anchor>} />
      ) : (
        <>
          {step !== "whole" && (
            <ChartWithTable title={`${METRICS[metric]} by ${GROUPS[group].toLowerCase()}`} rowTitle={STEPS[step]} kind="bar" stacked
              formatValue={(value) => formatFigure(metric, value)} {...asChart(told, metric, group, step)} />
          )}
          <Section title={`By ${GROUPS[group].toLowerCase()}`} padded={false}>
            <GroupTable group={group} metric={metric} sums={sums} before={before} />
          </Section>
        </>
      )}
    </>
  );
}

function Totals({ now, before }: { now: UsageSums; before: UsageSums | null }) {
  const shown: Metric[] = ["cost", "calls", "failed", "total_tokens"];
  return (
    <Figures label="The whole span" figures={shown.map((metric) => ({
      label: METRICS[metric],
      value: figureOf(metric, now),
      note: before && change(valueOf(metric, now), valueOf(metric, before)),
    }))} />
  );
}

interface ChoiceProps<T extends string> {
  label: string;
  value: T;
  options: Record<T, string>;
  standard: string;
  set: (chosen: string | null) => void;
}

function Choice<T extends string>({ label, value, options, standard, set }: ChoiceProps<T>) {
  const data = Object.entries<string>(options).map(([name, title]) => ({ value: name, label: title }));
  return <Select label={label} w={160} data={data} value={value} allowDeselect={false} onChange={(chosen) => set(chosen === standard ? null : chosen)} />;
}

function oneOf<T extends string>(given: string, options: Record<T, string>, standard: T): T {
  return given in options ? (given as T) : standard;
}

/** Every row of the span: the route gives them in pages. */
async function everyRow(words: Record<string, string | number>, signal: AbortSignal): Promise<Told> {
  const told = await call("GET /portal/v1/usage", { query: { ...words, limit: PAGE }, signal });
  const rows: UsageRow[] = [...told.data];
  let { next } = told;
  while (next !== null && rows.length < MOST_ROWS) {
    const more: Told = await call("GET /portal/v1/usage", { query: { ...words, limit: PAGE, cursor: next, compare: null }, signal });
    rows.push(...more.data);
    next = more.next;
  }
  return { ...told, data: rows };
}
