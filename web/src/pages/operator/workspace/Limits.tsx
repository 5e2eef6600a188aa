import { Button, Group, Modal, NumberInput, Select, SimpleGrid, Stack, Text, TextInput } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { messageOf } from "../../../api/client";
import type { BudgetShown, MemberLine } from "../../../api/schema";
import { Money } from "../../../components/Money";
import { formatCount } from "../../../format/number";

export type Limited = Pick<MemberLine, "rpm" | "tpm" | "concurrency" | "budget">;
export interface Limits {
  rpm: number | null;
  tpm: number | null;
  concurrency: number | null;
  budget: { amount: string; period: BudgetShown["period"] } | null;
}
type Period = BudgetShown["period"];

const PERIODS: { value: Period; label: string }[] = [
  { value: "day", label: "each day" }, { value: "week", label: "each week" }, { value: "month", label: "each month" }, { value: "total", label: "in total" },
];

/** The limits in a few words, with what is left of the budget. */
export function LimitsInWords({ of }: { of: Limited }) {
  const rates = [
    of.rpm !== null && `${formatCount(of.rpm)} requests / min`,
    of.tpm !== null && `${formatCount(of.tpm)} tokens / min`,
    of.concurrency !== null && `${formatCount(of.concurrency)} at once`,
  ].filter(Boolean);
  if (rates.length === 0 && of.budget === null) return <>none</>;
  return (
    <div>
      {of.budget && <div><Money credits={of.budget.left} /> left of <Money credits={of.budget.amount} /> {PERIODS.find(({ value }) => value === of.budget?.period)?.label}</div>}
      {rates.length > 0 && <Text size="xs" c="dimmed">{rates.join(", ")}</Text>}
    </div>
  );
}

interface EditLimitsProps {
  title: string;
  of: Limited;
  save: (limits: Limits) => Promise<unknown>;
  close: () => void;
}

/** Sets what may be called and spent; empty fields are no limit. */
export function EditLimits({ title, of, save, close }: EditLimitsProps) {
  const [rpm, setRpm] = useState<number | string>(of.rpm ?? "");
  const [tpm, setTpm] = useState<number | string>(of.tpm ?? "");
  const [concurrency, setConcurrency] = useState<number | string>(of.concurrency ?? "");
  const [amount, setAmount] = useState(of.budget?.amount ?? "");
  const [period, setPeriod] = useState<Period>(of.budget?.period ?? "month");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    try {
      await save({
        rpm: whole(rpm), tpm: whole(tpm), concurrency: whole(concurrency),
        budget: amount.trim() === "" ? null : { amount: amount.trim(), period },
      });
      close();
    } catch (reason) {
      setError(reason);
      setBusy(false);
    }
  };
  return (
    <Modal opened onClose={close} title={title} closeButtonProps={{ "aria-label": "Close" }}>
      <form onSubmit={(event) => void submit(event)}>
        <Stack>
          <Text c="dimmed" size="sm">An empty field is no limit.</Text>
          <SimpleGrid cols={{ base: 1, xs: 2 }}>
            <TextInput label="Budget in credits" inputMode="decimal" value={amount} onChange={(event) => setAmount(event.currentTarget.value)} data-autofocus />
            <Select label="Budget counts" data={PERIODS} value={period} allowDeselect={false} onChange={(value) => value && setPeriod(value as Period)} />
            <NumberInput label="Requests per minute" min={1} allowDecimal={false} value={rpm} onChange={setRpm} />
            <NumberInput label="Tokens per minute" min={1} allowDecimal={false} value={tpm} onChange={setTpm} />
            <NumberInput label="Calls at once" min={1} allowDecimal={false} value={concurrency} onChange={setConcurrency} />
          </SimpleGrid>
          {error !== null && <Text c="var(--mantine-color-error)" role="alert">{messageOf(error)}</Text>}
          <Group justify="flex-end">
            <Button variant="default" onClick={close}>Cancel</Button>
            <Button type="submit" loading={busy}>Save limits</Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

function whole(value: number | string): number | null {
  return value === "" ? null : Number(value);
}
