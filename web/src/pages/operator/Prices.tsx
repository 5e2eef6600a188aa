/** The price of every model; those that have none come first, since they are refused. */
import { Alert, Button, Text } from "@mantine/core";
import { useState } from "react";
import { useList } from "../../api/queries";
import type { PriceRow, Pricing } from "../../api/schema";
import { type Column, DataTable } from "../../components/DataTable";
import { FilterBar } from "../../components/FilterBar";
import { useFilters } from "../../components/filters";
import { Icon } from "../../components/Icon";
import { PageHeader } from "../../components/PageHeader";
import { isByPieceOnly, PieceUnits } from "../../components/PieceUnits";
import { Section } from "../../components/Section";
import { StateBadge } from "../../components/StateBadge";
import { Empty } from "../../components/States";
import { formatCredits } from "../../format/money";
import { formatCount } from "../../format/number";
import { EditPrice } from "./prices/EditPrice";

export default function Prices() {
  const prices = useList("GET /admin/v1/prices");
  const { values, set, clear, active } = useFilters(["model", "source"]);
  const [editing, setEditing] = useState<PriceRow | null>(null);
  const wanted = values.model.trim().toLowerCase();
  const rows = prices.rows?.filter((row) => row.model.toLowerCase().includes(wanted) && (!values.source || sourceOf(row) === values.source));
  const sources = [...new Set((prices.rows ?? []).map(sourceOf))].sort();
  const unpriced = prices.first?.unpriced ?? 0;
  return (
    <>
      <PageHeader title="Models & prices" description="What customers pay, in credits per million tokens or by the piece, with the markup of the node. One credit is one US dollar." />
      {unpriced > 0 && (
        <Alert variant="default" className="notice" icon={<Icon name="warning" />} mb="md"
          title={unpriced === 1 ? "1 model has no price" : `${formatCount(unpriced)} models have no price`}>
          A model without a price is refused before its node is called. Set a price, or say that it is free.
        </Alert>
      )}
      <FilterBar values={values} set={set} clear={clear} active={active} filters={[
        { name: "model", label: "Search models", kind: "search" },
        { name: "source", label: "Source", kind: "choice", all: "Every source", options: sources.map((source) => ({ value: source, label: source })) },
      ]} />
      <Section title="Prices" description={rows && `${formatCount(rows.length)} of ${formatCount(prices.rows?.length ?? 0)} models`} padded={false}>
        <DataTable label="Prices" columns={columns(setEditing)} pages={{ ...prices, rows }} rowKey={(row) => row.model}
          empty={<Empty title={active ? "No model matches" : "No models yet"}>{!active && "Models appear when a node has listed them."}</Empty>} />
      </Section>
      {editing && <EditPrice row={editing} close={() => setEditing(null)} />}
    </>
  );
}

function columns(edit: (row: PriceRow) => void): readonly Column<PriceRow>[] {
  return [
    {
      title: "Model",
      render: (row) => (
        <div>
          <Text fw={500} style={{ overflowWrap: "anywhere" }}>{row.model}</Text>
          <Text size="xs" c="dimmed">{row.nodes.join(", ")}</Text>
        </div>
      ),
    },
    { title: "Source", render: (row) => (row.source === null ? <StateBadge state="unpriced" label="no price" /> : row.source) },
    { title: "Input", align: "end", render: ({ sale, cost }) => <Priced sale={sale} cost={cost} of="input" /> },
    { title: "Output", align: "end", render: ({ sale, cost }) => <Priced sale={sale} cost={cost} of="output" /> },
    { title: "Cache read", align: "end", render: ({ sale, cost }) => <Priced sale={sale} cost={cost} of="cache_read" /> },
    {
      title: "Change", quiet: true, align: "end",
      render: (row) => row.editable
        ? <Button size="xs" variant="default" onClick={() => edit(row)} aria-label={`${row.source === null ? "Set" : "Change"} the price of ${row.model}`}>{row.source === null ? "Set price" : "Change"}</Button>
        : <Text size="xs" c="dimmed">in the file</Text>,
    },
  ];
}

function sourceOf(row: PriceRow): string {
  return row.source ?? "no price";
}

/** What customers pay, and below it what the node asks where it says so. */
function Priced({ sale, cost, of }: { sale: Pricing | null; cost: Pricing | null; of: "input" | "output" | "cache_read" }) {
  const paid = sale?.[of];
  const asked = cost?.[of];
  if (sale?.free) return <>free</>;
  return (
    <div>
      {sale && isByPieceOnly(sale) ? of !== "output" && "–" : paid ? formatCredits(paid) : "–"}
      {of === "output" && sale && <PieceUnits units={sale.units} />}
      {sale && sale.tiers.length > 0 && of !== "cache_read" && <Text size="xs" c="dimmed">more above {formatCount(sale.tiers[0]?.above ?? 0)}</Text>}
      {asked && asked !== paid && <Text size="xs" c="dimmed">costs {formatCredits(asked)}</Text>}
    </div>
  );
}
