import { useRoute } from "../../../api/queries";
import { ChartWithTable } from "../../../components/ChartWithTable";
import { useRange } from "../../../components/range";
import { Loaded } from "../../../components/States";
import { formatTime, zoneName } from "../../../format/time";

const HOUR_MS = 3_600_000;

/** Calls of the last 24 hours, by hour. */
export function Traffic({ node }: { node: string }) {
  const { since_ms, until_ms } = useRange("1d");
  const query = useRoute("GET /admin/v1/usage", { query: { node, group_by: "hour", since_ms, until_ms, limit: 1000 } });
  return (
    <Loaded query={query} height={320}>
      {({ data }) => {
        const found = new Map(data.map((row) => [row.hour_ms ?? 0, row]));
        const hours = Array.from({ length: 24 }, (_, index) => until_ms - (24 - index) * HOUR_MS);
        const rows = hours.map((hour) => {
          const { calls = 0, failed = 0 } = found.get(hour) ?? {};
          return { label: formatTime(hour, false).slice(5), values: { answered: calls - failed, failed } };
        });
        return (
          <ChartWithTable title="Calls by hour" description={`The last 24 hours, ${zoneName()}`} rowTitle="Hour" kind="bar" stacked rows={rows}
            series={[{ name: "answered", label: "Answered", color: "indigo.6" }, { name: "failed", label: "Failed", color: "red.6" }]} />
        );
      }}
    </Loaded>
  );
}
