import { Button, Checkbox, Group, Modal, SimpleGrid, Stack, Text, TextInput } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { ApiError, messageOf } from "../../../api/client";
import { useChange } from "../../../api/queries";
import type { NewPrice, PriceRow } from "../../../api/schema";
import { tell } from "../../../components/toasts";
import { formatCount } from "../../../format/number";
import { PIECES } from "./pieces";

const BESIDE = [...PIECES, { name: "web_search", label: "Web search" }] as const;
const TOKENS = [
  { name: "input", label: "Input" },
  { name: "output", label: "Output" },
  { name: "cache_read", label: "Cache read" },
  { name: "cache_write_5m", label: "Cache write, 5 minutes" },
  { name: "cache_write_1h", label: "Cache write, 1 hour" },
  { name: "reasoning", label: "Reasoning" },
  { name: "audio_input", label: "Sound in" },
  { name: "audio_output", label: "Sound out" },
  { name: "image_input", label: "Images in" },
  { name: "image_output", label: "Images out" },
] as const;
const FIELDS = [...TOKENS, ...BESIDE];
type Name = (typeof FIELDS)[number]["name"];
type Amounts = Partial<Record<Name, string>>;

const FORGETS = ["GET /admin/v1/prices", "GET /admin/v1/fleet", "GET /admin/v1/fleet/{name}", "GET /portal/v1/models"] as const;

/** Sets the price of a model, or gives it back to what the node or a public list says. */
export function EditPrice({ row, close }: { row: PriceRow; close: () => void }) {
  const { in_force: known, varied } = row;
  const [free, setFree] = useState(known?.free ?? false);
  const [amounts, setAmounts] = useState<Amounts>(Object.fromEntries(FIELDS.map(({ name }) => [name, known?.[name] ?? ""])));
  const [keepsTiers, setKeepsTiers] = useState(true);
  const tiers = known?.tiers ?? [];
  const put = useChange("PUT /admin/v1/prices/{model}", FORGETS);
  const remove = useChange("DELETE /admin/v1/prices/{model}", FORGETS);
  const path = { model: row.model };
  const save = async (event: FormEvent) => {
    event.preventDefault();
    const given = Object.fromEntries(Object.entries(amounts).map(([name, text]) => [name, text.trim()]).filter(([, text]) => text !== ""));
    const body: NewPrice = free ? { free: true } : { ...given, ...(tiers.length > 0 && keepsTiers ? { tiers } : {}) };
    await put.mutateAsync({ path, body }).then(() => { tell(`${row.model} has a price.`); close(); }, () => undefined);
  };
  const giveBack = () => remove.mutateAsync({ path }).then(() => { tell(`The price of ${row.model} is no longer set here.`); close(); }, () => undefined);
  const error = put.error ?? remove.error;
  const isShown = error instanceof ApiError && FIELDS.some(({ name }) => name === error.field) && !free;
  const field = ({ name, label }: { name: Name; label: string }) => (
    <TextInput key={name} label={label} inputMode="decimal" value={amounts[name] ?? ""}
      error={isShown && error.field === name && error.message}
      onChange={(event) => setAmounts({ ...amounts, [name]: event.currentTarget.value })} />
  );
  return (
    <Modal opened onClose={close} title={`Price of ${row.model}`} closeButtonProps={{ "aria-label": "Close" }}>
      <form onSubmit={(event) => void save(event)}>
        <Stack>
          <Text c="dimmed" size="sm">What is saved here is the whole price, before the markup of the node.</Text>
          <Checkbox label="Free: calls of it cost nothing" checked={free} onChange={(event) => setFree(event.currentTarget.checked)} />
          {!free && (
            <>
              <Text c="dimmed" size="sm">Credits per million tokens. An empty class costs what its base class does.</Text>
              <SimpleGrid cols={{ base: 1, xs: 2 }}>{TOKENS.map(field)}</SimpleGrid>
              <Text c="dimmed" size="sm">Credits for one, beside the tokens. With a price by the piece, input and output may stay empty.</Text>
              {varied.length > 0 && (
                <Text size="sm">
                  This model has prices by quality, size or resolution ({varied.join(", ")}). A price from here takes their place: one for every kind.
                  Prices by kind are written in the configuration file.
                </Text>
              )}
              <SimpleGrid cols={{ base: 1, xs: 2 }}>{BESIDE.map(field)}</SimpleGrid>
              {tiers.length > 0 && (
                <Checkbox label={`Keep the prices of long prompts (above ${tiers.map(({ above }) => formatCount(Number(above))).join(", ")} tokens)`}
                  checked={keepsTiers} onChange={(event) => setKeepsTiers(event.currentTarget.checked)} />
              )}
            </>
          )}
          {error && !isShown && <Text c="var(--mantine-color-error)" role="alert">{messageOf(error)}</Text>}
          <Group justify="space-between">
            {row.source === "portal" ? <Button variant="subtle" color="gray" loading={remove.isPending} onClick={() => void giveBack()}>Remove this price</Button> : <span />}
            <Group gap="xs">
              <Button variant="default" onClick={close}>Cancel</Button>
              <Button type="submit" loading={put.isPending}>Save price</Button>
            </Group>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
