import { Anchor, Text, TextInput } from "@mantine/core";
import { useState } from "react";
import { Link } from "react-router";
import type { NodeRow } from "../../../api/schema";
import { Section } from "../../../components/Section";
import { StateBadge } from "../../../components/StateBadge";
import { formatCount } from "../../../format/number";
import classes from "./models.module.css";

const MOST_SHOWN = 60;

/** The models that it serves; those without a price are refused and said first. */
export function ModelsOfNode({ node }: { node: NodeRow }) {
  const [wanted, setWanted] = useState("");
  const unpriced = new Set(node.unpriced_models);
  const models = node.models
    .filter((model) => model.toLowerCase().includes(wanted.trim().toLowerCase()))
    .sort((a, b) => Number(unpriced.has(b)) - Number(unpriced.has(a)) || a.localeCompare(b));
  const search = node.models.length > 10 && (
    <TextInput type="search" size="xs" aria-label="Search models" placeholder="Search models" value={wanted}
      onChange={(event) => setWanted(event.currentTarget.value)} />
  );
  return (
    <Section title="Models" description={`${formatCount(node.models.length)} served, ${formatCount(unpriced.size)} without a price`} action={search}>
      <ul className={classes.models}>
        {models.slice(0, MOST_SHOWN).map((model) => (
          <li key={model}>
            <span>{model}</span>
            {unpriced.has(model) && <Anchor component={Link} to={`/prices?model=${encodeURIComponent(model)}`} size="sm"><StateBadge state="unpriced" label="no price" /></Anchor>}
          </li>
        ))}
      </ul>
      {models.length > MOST_SHOWN && <Text size="sm" c="dimmed" mt="sm">{formatCount(models.length - MOST_SHOWN)} more; search to see them.</Text>}
      {models.length === 0 && <Text c="dimmed">{node.models.length === 0 ? "It has listed no models yet." : "No model matches."}</Text>}
    </Section>
  );
}
