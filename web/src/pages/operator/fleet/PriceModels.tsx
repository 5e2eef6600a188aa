import { Group, ScrollArea, Select, Stack, Text, TextInput } from "@mantine/core";
import type { ModelFound, NewPrice } from "../../../api/schema";
import { formatCount } from "../../../format/number";
import { PIECES, type Piece } from "../prices/pieces";
import classes from "./fleet.module.css";

/** What was chosen and typed for a model. */
export interface PriceGiven {
  by: "tokens" | Piece | "free";
  input: string;
  output: string;
  /** For one piece. */
  each: string;
}

const NOTHING: PriceGiven = { by: "tokens", input: "", output: "", each: "" };
const WAYS = [
  { value: "tokens", label: "Million tokens" },
  ...PIECES.map(({ name, label }) => ({ value: name, label })),
  { value: "free", label: "Nothing: free" },
];
const MOST_SHOWN = 50;

/** What is sent for it; null where nothing was said. */
export function bodyOf(given: PriceGiven | undefined): NewPrice | null {
  if (!given) return null;
  const [input, output, each] = [given.input.trim(), given.output.trim(), given.each.trim()];
  if (given.by === "free") return { free: true };
  if (given.by !== "tokens") return each === "" ? null : { [given.by]: each };
  return input === "" && output === "" ? null : { input: input || "0", output: output || "0" };
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
        A model without a price is refused until it has one. Amounts are credits.
      </Text>
      <ScrollArea.Autosize mah={360} type="auto" viewportProps={{ tabIndex: 0, role: "group", "aria-label": "Prices" }}>
        <Stack gap="md" p={4}>
          {unpriced.slice(0, MOST_SHOWN).map(({ id }) => {
            const given = prices[id] ?? NOTHING;
            return (
              <fieldset key={id} className={classes.price}>
                <legend>{id}</legend>
                <Group gap="sm" align="flex-end">
                  <Select label="Priced by" w={230} data={WAYS} value={given.by} allowDeselect={false}
                    onChange={(by) => change(id, { by: by as PriceGiven["by"] })} />
                  {given.by === "tokens" && (
                    <>
                      <TextInput label="Input" inputMode="decimal" w={110} value={given.input}
                        onChange={(event) => change(id, { input: event.currentTarget.value })} />
                      <TextInput label="Output" inputMode="decimal" w={110} value={given.output}
                        onChange={(event) => change(id, { output: event.currentTarget.value })} />
                    </>
                  )}
                  {given.by !== "tokens" && given.by !== "free" && (
                    <TextInput label="For one" inputMode="decimal" w={110} value={given.each}
                      onChange={(event) => change(id, { each: event.currentTarget.value })} />
                  )}
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
