import { Button, Checkbox, Group, Modal, SimpleGrid, Stack, Text, TextInput } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { ApiError, messageOf } from "../../../api/client";
import { useChange } from "../../../api/queries";
import type { NewPrice, PriceRow } from "../../../api/schema";
import { tell } from "../../../components/toasts";

const FIELDS = [
  { name: "input", label: "Input", required: true },
  { name: "output", label: "Output", required: true },
  { name: "cache_read", label: "Cache read" },
  { name: "cache_write_5m", label: "Cache write, 5 minutes" },
  { name: "cache_write_1h", label: "Cache write, 1 hour" },
  { name: "reasoning", label: "Reasoning" },
  { name: "web_search", label: "Web search, each" },
] as const;
type Amounts = Partial<Record<(typeof FIELDS)[number]["name"], string>>;

const FORGETS = ["GET /admin/v1/prices", "GET /admin/v1/fleet", "GET /admin/v1/fleet/{name}", "GET /portal/v1/models"] as const;

/** Sets the price of a model, or gives it back to what the node or a public list says. */
export function EditPrice({ row, close }: { row: PriceRow; close: () => void }) {
  const { sale, cost } = row;
  const known = cost ?? sale;
  const [free, setFree] = useState(sale?.free ?? false);
  const [amounts, setAmounts] = useState<Amounts>(known && !known.free ? { input: known.input, output: known.output, cache_read: known.cache_read ?? "" } : {});
  const put = useChange("PUT /admin/v1/prices/{model}", FORGETS);
  const remove = useChange("DELETE /admin/v1/prices/{model}", FORGETS);
  const path = { model: row.model };
  const save = async (event: FormEvent) => {
    event.preventDefault();
    const given = Object.fromEntries(Object.entries(amounts).map(([name, text]) => [name, text.trim()]).filter(([, text]) => text !== ""));
    const body: NewPrice = free ? { free: true } : given;
    await put.mutateAsync({ path, body }).then(() => { tell(`${row.model} has a price.`); close(); }, () => undefined);
  };
  const giveBack = () => remove.mutateAsync({ path }).then(() => { tell(`The price of ${row.model} is no longer set here.`); close(); }, () => undefined);
  const error = put.error ?? remove.error;
  const wrong = (name: string) => error instanceof ApiError && error.field === name && error.message;
  return (
    <Modal opened onClose={close} title={`Price of ${row.model}`} closeButtonProps={{ "aria-label": "Close" }}>
      <form onSubmit={(event) => void save(event)}>
        <Stack>
          <Text c="dimmed" size="sm">Credits per million tokens, before the markup of the node. An empty class costs what its base class does.</Text>
          <Checkbox label="Free: calls of it cost nothing" checked={free} onChange={(event) => setFree(event.currentTarget.checked)} />
          {!free && (
            <SimpleGrid cols={{ base: 1, xs: 2 }}>
              {FIELDS.map(({ name, label, ...more }) => (
                <TextInput key={name} label={label} inputMode="decimal" {...more} value={amounts[name] ?? ""} error={wrong(name)}
                  onChange={(event) => setAmounts({ ...amounts, [name]: event.currentTarget.value })} />
              ))}
            </SimpleGrid>
          )}
          {error && !(error instanceof ApiError && error.field) && <Text c="var(--mantine-color-error)" role="alert">{messageOf(error)}</Text>}
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
