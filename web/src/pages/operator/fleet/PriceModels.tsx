import { Checkbox, Group, ScrollArea, Stack, Text, TextInput } from "@mantine/core";
import type { ModelFound, NewPrice } from "../../../api/schema";
import { formatCount } from "../../../format/number";
import classes from "./fleet.module.css";

/** What was typed for a model. */
export interface PriceGiven {
  input: string;
  output: string;
  free: boolean;
}

const NOTHING: PriceGiven = { input: "", output: "", free: false };
const MOST_SHOWN = 50;

/** What is sent for it; null where nothing was said. */
export function bodyOf(given: PriceGiven | undefined): NewPrice | null {
  if (given?.free) return { free: true };
  if (!given || (given.input.trim() === "" && given.output.trim() === "")) return null;
  return { input: given.input.trim() || "0", output: given.output.trim() || "0" };
}

interface PriceModelsProps {
  models: readonly ModelFound[];
  prices: Record<string, PriceGiven>;
  setPrices: (prices: Record<string, PriceGiven>) => void;
}

/** Asks for the prices of the models that have none. They may be left out: such a model is refused until it has one. */
export function PriceModels({ models, prices, setPrices }: PriceModelsProps) {
  const unpriced = models.filter((model) => model.pricing === null);
  const priced = models.length - unpriced.length;
  const change = (id: string, changes: Partial<PriceGiven>) => setPrices({ ...prices, [id]: { ...(prices[id] ?? NOTHING), ...changes } });
  if (unpriced.length === 0) {
    return <Text>All {formatCount(models.length)} models have a price. They can be changed on “Models & prices”.</Text>;
  }
  return (
    <Stack gap="sm">
      <Text>
        {formatCount(unpriced.length)} {unpriced.length === 1 ? "model has" : "models have"} no price{priced > 0 && `, ${formatCount(priced)} have one`}.
        A model without a price is refused until it has one. Amounts are credits per million tokens.
      </Text>
      <ScrollArea.Autosize mah={360} type="auto" viewportProps={{ tabIndex: 0, role: "group", "aria-label": "Prices" }}>
        <Stack gap="md" p={4}>
          {unpriced.slice(0, MOST_SHOWN).map(({ id }) => {
            const given = prices[id] ?? NOTHING;
            return (
              <fieldset key={id} className={classes.price}>
                <legend>{id}</legend>
                <Group gap="sm" align="flex-end">
                  <TextInput label="Input" inputMode="decimal" w={120} disabled={given.free} value={given.input}
                    onChange={(event) => change(id, { input: event.currentTarget.value })} />
                  <TextInput label="Output" inputMode="decimal" w={120} disabled={given.free} value={given.output}
                    onChange={(event) => change(id, { output: event.currentTarget.value })} />
                  <Checkbox label="Free" mb={8} checked={given.free} onChange={(event) => change(id, { free: event.currentTarget.checked })} />
                </Group>
              </fieldset>
            );
          })}
        </Stack>
      </ScrollArea.Autosize>
      {unpriced.length > MOST_SHOWN && <Text size="sm" c="dimmed">{formatCount(unpriced.length - MOST_SHOWN)} more can be priced on “Models & prices”.</Text>}
    </Stack>
  );
}
