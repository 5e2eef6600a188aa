/** Every model that can be asked: what it costs, what it can do, and how it was measured here. */
import { ActionIcon, Anchor, Button, Checkbox, Menu, Text } from "@mantine/core";
import { useState } from "react";
import { Link } from "react-router";
import { useList } from "../../api/queries";
import type { ModelShown } from "../../api/schema";
import { useSession } from "../../app/session";
import { CopyButton } from "../../components/CopyButton";
import { type Column, DataTable } from "../../components/DataTable";
import { FilterBar } from "../../components/FilterBar";
import { useFilters } from "../../components/filters";
import { Icon } from "../../components/Icon";
import { Money } from "../../components/Money";
import { PageHeader } from "../../components/PageHeader";
import { isByPieceOnly, PieceUnits } from "../../components/PieceUnits";
import { StateBadge } from "../../components/StateBadge";
import { Empty } from "../../components/States";
import { formatMilliseconds, formatShare, formatTokens } from "../../format/number";
import { ABILITIES, CONTEXTS, matching, MODEL_FILTERS, PRICES } from "./models/filters";
import { Comparison } from "./models/Comparison";
import { ModelSnippet } from "./models/ModelSnippet";
import classes from "./models/models.module.css";

const MOST_COMPARED = 4;
const MADE: Record<ModelShown["outputs"][number], string> = {
  text: "text", image: "images", video: "videos", speech: "speech", transcription: "transcriptions", embedding: "embeddings",
};

export default function Models() {
  const { operator_pages } = useSession();
  const { values, set, clear, active } = useFilters(MODEL_FILTERS);
  const models = useList("GET /portal/v1/models");
  const [chosen, setChosen] = useState<string[]>([]);
  const [comparing, setComparing] = useState(false);
  const [snippetOf, setSnippetOf] = useState<ModelShown | null>(null);
  const providers = [...new Set(models.rows?.map(({ provider }) => provider))].sort();
  const shown = models.rows && matching(models.rows, values);
  const toggle = (id: string) =>
    setChosen(chosen.includes(id) ? chosen.filter((each) => each !== id) : [...chosen, id].slice(-MOST_COMPARED));
  return (
    <>
      <PageHeader title="Models" description="Prices are credits per million tokens, or by the piece where it says so; one credit is one US dollar. Speed is measured over this gateway's own calls." />
      <FilterBar
        values={values} set={set} clear={clear} active={active}
        filters={[
          { name: "search", label: "Search models", kind: "search" },
          { name: "provider", label: "Provider", kind: "choice", all: "Every provider", options: providers.map((value) => ({ value, label: value })) },
          { name: "can", label: "Ability", kind: "choice", all: "Any ability", options: ABILITIES },
          { name: "context", label: "Context", kind: "choice", all: "Any context", options: CONTEXTS },
          { name: "price", label: "Input price", kind: "choice", all: "Any price", options: PRICES },
        ]}
      />
      <div className="surface">
        <DataTable
          label="Models" pages={{ ...models, rows: shown }} rowKey={({ id }) => id}
          columns={columns(chosen, toggle, setSnippetOf)}
          empty={
            active ? (
              <Empty title="No model matches" action={<Button variant="default" onClick={clear}>Clear filters</Button>} />
            ) : (
              <Empty title="No models yet" action={operator_pages && <Button component={Link} to="/fleet">Open the fleet</Button>}>
                Models appear when a node of the fleet lists them.
              </Empty>
            )
          }
        />
      </div>
      <div className={classes.tray} data-empty={chosen.length === 0 || undefined}>
        <span role="status">{chosen.length > 0 && `${chosen.length} of ${MOST_COMPARED} chosen`}</span>
        {chosen.length > 0 && (
          <>
            <Button variant="subtle" size="compact-sm" onClick={() => setChosen([])}>Clear</Button>
            <Button size="compact-sm" disabled={chosen.length < 2} onClick={() => setComparing(true)}>Compare</Button>
          </>
        )}
      </div>
      {comparing && <Comparison models={(models.rows ?? []).filter(({ id }) => chosen.includes(id))} onClose={() => setComparing(false)} />}
      {snippetOf && <ModelSnippet model={snippetOf.id} onClose={() => setSnippetOf(null)} />}
    </>
  );
}

function columns(chosen: string[], toggle: (id: string) => void, showSnippet: (model: ModelShown) => void): Column<ModelShown>[] {
  return [
    {
      title: "Compare", quiet: true,
      render: ({ id }) => (
        <Checkbox
          size="xs" className={classes.compare} aria-label={`Compare ${id}`} label={<span className={classes.compareWord}>Compare</span>}
          checked={chosen.includes(id)} onChange={() => toggle(id)}
        />
      ),
    },
    {
      title: "Model",
      render: ({ id, note }) => (
        <div className={classes.model}>
          <span><code>{id}</code><CopyButton compact text={id} label={`Copy ${id}`} /></span>
          {note && <Text size="xs" c="dimmed">{note}</Text>}
        </div>
      ),
    },
    { title: "State", render: ({ available, pricing }) => <StateBadge state={pricing === null ? "unpriced" : available ? "available" : "unavailable"} label={pricing === null ? "no price" : available ? "available" : "unavailable"} /> },
    { title: "Context", align: "end", render: ({ context_length }) => (context_length === null ? "–" : formatTokens(context_length)) },
    { title: "Input", align: "end", render: (model) => <Price model={model} name="input" /> },
    { title: "Output", align: "end", render: (model) => <Price model={model} name="output" /> },
    { title: "Cached", align: "end", render: ({ pricing }) => (pricing?.cache_read && !pricing.free ? <Money credits={pricing.cache_read} /> : "–") },
    { title: "Can", render: ({ abilities, outputs }) => <span className={classes.abilities}>{[...ABILITIES.filter(({ value }) => abilities[value]).map(({ label }) => label), ...outputs.filter((made) => made !== "text").map((made) => `makes ${MADE[made]}`)].join(", ") || "text"}</span> },
    {
      title: "Measured",
      render: ({ measured, outputs }) =>
        measured === null ? (
          <Text size="sm" c="dimmed">No calls yet</Text>
        ) : (
          <span className={classes.measured}>
            {measured.p50_first_content_ms !== null && <>{formatMilliseconds(measured.p50_first_content_ms)} to {outputs.includes("text") ? "first token" : "its answer"}<br /></>}
            {measured.tokens_per_s !== null && `${Math.round(measured.tokens_per_s)} tokens/s, `}
            {formatShare(measured.success)} ok
          </span>
        ),
    },
    {
      title: "Actions", quiet: true, align: "end",
      render: (model) => (
        <Menu position="bottom-end">
          <Menu.Target>
            <ActionIcon variant="subtle" color="gray" aria-label={`Actions for ${model.id}`}><Icon name="dots" /></ActionIcon>
          </Menu.Target>
          <Menu.Dropdown>
            {model.outputs.includes("text") && <Menu.Item leftSection={<Icon name="copy" />} onClick={() => showSnippet(model)}>Show a snippet</Menu.Item>}
            {model.outputs.includes("text") ? (
              <>
                <Menu.Item component={Link} to={`/connect?model=${encodeURIComponent(model.id)}`} leftSection={<Icon name="plug" />}>Connect a client</Menu.Item>
                <Menu.Item component={Link} to={`/playground?model=${encodeURIComponent(model.id)}`} leftSection={<Icon name="chat" />}>Try it</Menu.Item>
              </>
            ) : !model.outputs.includes("embedding") && (
              <Menu.Item component={Link} to="/studio" leftSection={<Icon name="image" />}>Open the studio</Menu.Item>
            )}
            <Menu.Item component={Link} to={`/logs?model=${encodeURIComponent(model.id)}`} leftSection={<Icon name="list" />}>Show its calls</Menu.Item>
          </Menu.Dropdown>
        </Menu>
      ),
    },
  ];
}

function Price({ model: { pricing, id }, name }: { model: ModelShown; name: "input" | "output" }) {
  const { operator_pages } = useSession();
  if (pricing === null) {
    return name === "input" && operator_pages ? <Anchor component={Link} to={`/prices?model=${encodeURIComponent(id)}`} inherit>Set a price</Anchor> : <>–</>;
  }
  if (pricing.free) return <>free</>;
  return (
    <>
      {isByPieceOnly(pricing) ? name === "input" && "–" : <Money credits={pricing[name]} />}
      {name === "output" && <PieceUnits units={pricing.units} />}
    </>
  );
}
