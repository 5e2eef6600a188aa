import { Text } from "@mantine/core";
import type { NodeRow } from "../../../api/schema";
import { Section } from "../../../components/Section";
import { Time } from "../../../components/Time";
import classes from "./node.module.css";

/** How the node is set up. */
export function Facts({ node }: { node: NodeRow }) {
  const facts: [string, React.ReactNode][] = [
    ["Protocol", node.kind],
    ["Base URL", node.base_url ?? "inside of this gateway"],
    ["API key", node.has_api_key ? "kept, not shown" : "none"],
    ["Provider of its models", node.provider || "as it lists them"],
    ["Endpoint", node.endpoint],
    ["Weight", node.weight],
    ["Markup", node.markup],
    ["Its own charge", node.reported_cost ? "trusted: it is what customers pay" : "compared with the price table"],
    ["Patience", `${node.first_token_s} s for the first word`],
    ["Set up in", node.origin === "api" ? "this portal or its API" : `the ${node.origin}`],
    ["Last asked for its models", node.last_check_at_ms === null ? "not yet" : <Time key="at" at={node.last_check_at_ms} relative />],
  ];
  return (
    <Section title="Configuration">
      <dl className={classes.facts}>
        {facts.map(([name, value]) => (
          <div key={name}>
            <Text component="dt" c="dimmed">{name}</Text>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </Section>
  );
}
