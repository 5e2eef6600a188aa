import { Checkbox, ScrollArea, SegmentedControl, Stack, Text, TextInput } from "@mantine/core";
import { useState } from "react";
import type { ModelFound } from "../../../api/schema";
import { isByPieceOnly, pieceWords } from "../../../components/PieceUnits";
import { formatCredits } from "../../../format/money";
import { formatCount, formatMilliseconds, formatTokens } from "../../../format/number";

/** The models that the node lists whenever it is asked, also those that come later. */
export const EVERY_MODEL = "every";
export type Chosen = typeof EVERY_MODEL | ReadonlySet<string>;

const MOST_SHOWN = 100;

interface ChooseModelsProps {
  models: readonly ModelFound[];
  chosen: Chosen;
  choose: (chosen: Chosen) => void;
  tookMs: number;
}

/** Which of the listed models the node is to serve. */
export function ChooseModels({ models, chosen, choose, tookMs }: ChooseModelsProps) {
  const [wanted, setWanted] = useState("");
  const matching = models.filter((model) => model.id.toLowerCase().includes(wanted.trim().toLowerCase()));
  const toggle = (id: string, on: boolean) => {
    const next = new Set(chosen === EVERY_MODEL ? [] : chosen);
    if (on) next.add(id);
    else next.delete(id);
    choose(next);
  };
  return (
    <Stack gap="sm">
      <Text role="status">It answered in {formatMilliseconds(tookMs)} and lists {formatCount(models.length)} {models.length === 1 ? "model" : "models"}.</Text>
      <SegmentedControl aria-label="Which models it serves" value={chosen === EVERY_MODEL ? EVERY_MODEL : "some"}
        onChange={(value) => choose(value === EVERY_MODEL ? EVERY_MODEL : new Set<string>())}
        data={[{ value: EVERY_MODEL, label: "All, now and later" }, { value: "some", label: "Only these" }]} />
      {models.length > 8 && (
        <TextInput type="search" aria-label="Search models" placeholder="Search models" value={wanted}
          onChange={(event) => setWanted(event.currentTarget.value)} />
      )}
      <ScrollArea.Autosize mah={320} type="auto" viewportProps={{ tabIndex: 0, role: "group", "aria-label": "Models" }}>
        <Stack gap={8} p={4}>
          {matching.slice(0, MOST_SHOWN).map((model) => (
            <Checkbox key={model.id} label={model.id} description={about(model)} disabled={chosen === EVERY_MODEL}
              checked={chosen === EVERY_MODEL || chosen.has(model.id)} onChange={(event) => toggle(model.id, event.currentTarget.checked)} />
          ))}
        </Stack>
      </ScrollArea.Autosize>
      {matching.length > MOST_SHOWN && <Text size="sm" c="dimmed">{formatCount(matching.length - MOST_SHOWN)} more match; search to see them.</Text>}
      {matching.length === 0 && <Text c="dimmed">No model matches.</Text>}
    </Stack>
  );
}

function about(model: ModelFound): string {
  const context = model.context_length === null ? [] : [`${formatTokens(model.context_length)} context`];
  const { pricing } = model;
  if (pricing === null) return [...context, "no price yet"].join(" · ");
  if (pricing.free) return [...context, "free"].join(" · ");
  const tokens = isByPieceOnly(pricing) ? [] : [`${formatCredits(pricing.input)} in, ${formatCredits(pricing.output)} out per 1M tokens`];
  return [...context, ...tokens, ...pricing.units.map(pieceWords)].join(" · ");
}
