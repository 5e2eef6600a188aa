import { Anchor } from "@mantine/core";
import { Link } from "react-router";
import { type Column, DataTable } from "../../../components/DataTable";
import { Money } from "../../../components/Money";
import { formatCount, formatShare } from "../../../format/number";
import { byFigure, change, type Group, GROUPS, type GroupSums, type Metric, METRICS, valueOf } from "./figures";

interface GroupTableProps {
  group: Group;
  metric: Metric;
  sums: readonly GroupSums[];
  before: readonly GroupSums[] | null;
}

/** The groups of a span, the largest first; each leads to its calls. */
export function GroupTable({ group, metric, sums, before }: GroupTableProps) {
  const rows = [...sums].sort(byFigure(metric));
  const earlier = new Map((before ?? []).map((each) => [each.id, each]));
  const columns: Column<GroupSums>[] = [
    { title: GROUPS[group], render: (row) => <Anchor component={Link} size="sm" to={`/logs?${group}=${encodeURIComponent(row.id)}`}>{row.name}</Anchor> },
    { title: "Spend", align: "end", render: (row) => <Money credits={row.cost} /> },
    { title: "Calls", align: "end", render: (row) => formatCount(row.calls) },
    { title: "Failed", align: "end", render: (row) => (row.calls === 0 ? "–" : formatShare(row.failed / row.calls)) },
    { title: "Input", align: "end", render: (row) => formatCount(row.prompt_tokens) },
    { title: "Output", align: "end", render: (row) => formatCount(row.completion_tokens) },
  ];
  if (before) {
    columns.push({
      title: `${METRICS[metric]} against before`, align: "end",
      render: (row) => {
        const then = earlier.get(row.id);
        return change(valueOf(metric, row), then ? valueOf(metric, then) : metric === "cost" ? "0" : 0);
      },
    });
  }
  const pages = { rows, first: undefined, error: null, isFetching: false, hasMore: false, readMore: () => undefined, retry: () => undefined };
  return <DataTable label={`By ${GROUPS[group].toLowerCase()}`} columns={columns} pages={pages} rowKey={({ id }) => id} empty={null} />;
}
