/** Where a member begins: the first key, what is left, and what was used. */
import { Anchor, Button, SimpleGrid } from "@mantine/core";
import { lazy, Suspense, useState } from "react";
import { Link } from "react-router";
import type { Answer } from "../../api/client";
import { useRoute } from "../../api/queries";
import { ChartWithTable } from "../../components/ChartWithTable";
import { type Figure, Figures } from "../../components/Figures";
import { Icon } from "../../components/Icon";
import { Money } from "../../components/Money";
import { PageHeader } from "../../components/PageHeader";
import { RangePicker } from "../../components/RangePicker";
import { useRange } from "../../components/range";
import { Loaded } from "../../components/States";
import { approximate, formatAxis, formatCredits } from "../../format/money";
import { formatCount, formatDaysLeft, formatMilliseconds, formatShare } from "../../format/number";
import { formatTime, zoneName } from "../../format/time";
import { FirstSteps } from "./overview/FirstSteps";
import { Ranking } from "./overview/Ranking";

const NewKey = lazy(() => import("../../components/keys/NewKey").then(({ NewKey }) => ({ default: NewKey })));

type Data = Answer<"GET /portal/v1/overview">;

export default function Overview() {
  const [making, setMaking] = useState(false);
  const { range, setRange, since_ms, until_ms } = useRange();
  const overview = useRoute("GET /portal/v1/overview", { query: { since_ms, until_ms } });
  const open = () => setMaking(true);
  return (
    <>
      <PageHeader title="Overview">
        <Button onClick={open} leftSection={<Icon name="plus" />}>Create key</Button>
      </PageHeader>
      <Loaded query={overview}>
        {(data) => (
          <div className="stacked">
            {!isThrough(data) && <FirstSteps checklist={data.checklist} createKey={open} />}
            <RangePicker range={range} setRange={setRange} />
            <Figures label="Credits and use" figures={figuresOf(data)} />
            <ChartWithTable
              title="Spend" description={`Credits, by the ${data.step} in which the calls began (${data.step === "hour" ? zoneName() : "UTC"})`} rowTitle={data.step === "hour" ? `Hour (${zoneName()})` : "Day (UTC)"}
              kind="bar" height={220} formatValue={formatAxis}
              series={[{ name: "cost", label: "Credits", color: "indigo.6" }]}
              rows={data.series.map(({ begins_ms, cost }) => ({
                label: labelOf(begins_ms, data.step),
                values: { cost: approximate(cost) },
                texts: { cost: formatCredits(cost) },
              }))}
            />
            <SimpleGrid cols={{ base: 1, md: 2 }}>
              <Ranking
                title="Models by spend" rowTitle="Model" empty="No calls in this time."
                rows={data.by_model.map(({ model, calls, cost }) => ({ key: model, name: model, calls, cost, to: `/logs?model=${encodeURIComponent(model)}` }))}
              />
              <Ranking
                title="Keys by spend" rowTitle="Key" empty="No calls in this time."
                rows={data.top_keys.map(({ key_id, key_name, calls, cost }) => ({ key: key_id, name: key_name ?? key_id, calls, cost, to: `/logs?key=${encodeURIComponent(key_id)}` }))}
              />
            </SimpleGrid>
          </div>
        )}
      </Loaded>
      <Suspense fallback={null}>{making && <NewKey onClose={() => setMaking(false)} />}</Suspense>
    </>
  );
}

function isThrough({ checklist }: Data): boolean {
  return checklist.has_key && checklist.has_credits && checklist.has_model && checklist.first_request_at_ms !== null;
}

function figuresOf({ credits, totals, previous, p95_first_content_ms, sampled_calls }: Data): Figure[] {
  return [
    {
      label: "Credits left",
      value: <Anchor component={Link} to="/credits" inherit c="inherit"><Money credits={credits.available} /></Anchor>,
      note: formatDaysLeft(credits.days_left),
    },
    { label: "Spent", value: <Money credits={totals.cost} />, note: <><Money credits={previous.cost} /> in the time before</> },
    { label: "Requests", value: formatCount(totals.calls), note: `${formatCount(previous.calls)} in the time before` },
    {
      label: "Failed",
      value: totals.calls === 0 ? "–" : formatShare(totals.failed / totals.calls),
      note: totals.failed === 0 ? "None" : <Anchor component={Link} to="/logs?status=failed" inherit>{formatCount(totals.failed)} calls</Anchor>,
    },
    {
      label: "First token, p95",
      value: p95_first_content_ms === null ? "–" : formatMilliseconds(p95_first_content_ms),
      note: sampled_calls === 0 ? "No calls yet" : sampled_calls === 1 ? "of one call" : `of the newest ${formatCount(sampled_calls)} calls`,
    },
  ];
}

function labelOf(moment: number, step: Data["step"]): string {
  return step === "hour" ? formatTime(moment, false).slice(5) : new Date(moment).toISOString().slice(0, 10);
}
