/** The fields of a key: its name, and behind a switch what it may do and spend. */
import { Collapse, Input, MultiSelect, NumberInput, Select, SegmentedControl, SimpleGrid, Stack, Switch, TextInput } from "@mantine/core";
import { useState } from "react";
import { useRoute } from "../../api/queries";
import { type KeyForm, type Period, PERIODS } from "./limits";

interface KeyFieldsProps {
  form: KeyForm;
  set: (changes: Partial<KeyForm>) => void;
  /** The field that the gateway refused, and why. */
  refused: { field: string | null; message: string } | null;
  withKind: boolean;
  open: boolean;
}

export function KeyFields({ form, set, refused, withKind, open }: KeyFieldsProps) {
  const [limited, setLimited] = useState(open);
  const errorOf = (field: string) => (refused?.field?.split(".")[0] === field ? refused.message : null);
  return (
    <Stack>
      <TextInput
        label="Name" description="Where you will use it, for instance “Laptop” or “CI”." required withAsterisk={false}
        data-autofocus maxLength={100} value={form.name} error={errorOf("name")}
        onChange={(event) => set({ name: event.currentTarget.value })}
      />
      {withKind && (
        <div>
          <Input.Label component="div" id="key-kind">Opens</Input.Label>
          <SegmentedControl
            aria-labelledby="key-kind" fullWidth value={form.kind}
            onChange={(kind) => set({ kind: kind as KeyForm["kind"] })}
            data={[{ value: "proxy", label: "Proxy (/v1)" }, { value: "inference", label: "Inference Service" }]}
          />
        </div>
      )}
      <Switch label="Set limits" checked={limited} onChange={(event) => setLimited(event.currentTarget.checked)} />
      <Collapse expanded={limited}>{limited && <Limits form={form} set={set} errorOf={errorOf} />}</Collapse>
    </Stack>
  );
}

function Limits({ form, set, errorOf }: Pick<KeyFieldsProps, "form" | "set"> & { errorOf: (field: string) => string | null }) {
  const models = useRoute("GET /portal/v1/models");
  const known = models.data?.data.map(({ id }) => id) ?? [];
  return (
    <Stack>
      <SimpleGrid cols={{ base: 1, xs: 2 }}>
        <TextInput
          label="Budget" description="Credits; empty for no budget" inputMode="decimal" placeholder="No budget"
          value={form.amount} error={errorOf("budget")} onChange={(event) => set({ amount: event.currentTarget.value })}
        />
        <Select
          label="Period" description="When it starts anew" data={PERIODS} allowDeselect={false} value={form.period}
          onChange={(period) => set({ period: (period ?? "month") as Period })}
        />
      </SimpleGrid>
      <SimpleGrid cols={{ base: 1, xs: 3 }}>
        <NumberInput label="Requests a minute" placeholder="No limit" min={1} hideControls allowDecimal={false} thousandSeparator="," value={form.rpm} error={errorOf("rpm")} onChange={(rpm) => set({ rpm })} />
        <NumberInput label="Tokens a minute" placeholder="No limit" min={1} hideControls allowDecimal={false} thousandSeparator="," value={form.tpm} error={errorOf("tpm")} onChange={(tpm) => set({ tpm })} />
        <NumberInput label="At the same time" placeholder="No limit" min={1} hideControls allowDecimal={false} thousandSeparator="," value={form.concurrency} error={errorOf("concurrency")} onChange={(concurrency) => set({ concurrency })} />
      </SimpleGrid>
      <MultiSelect
        label="Models" description="Only these; empty for every model" placeholder={form.models.length === 0 ? "Every model" : ""}
        data={[...new Set([...known, ...form.models])]} searchable clearable hidePickedOptions nothingFoundMessage="No such model"
        clearButtonProps={{ "aria-label": "Clear models" }}
        value={form.models} error={errorOf("models")} onChange={(chosen) => set({ models: chosen })}
      />
      <TextInput
        label="Last day" description="Empty: it does not expire" type="date" value={form.expires} error={errorOf("expires_at_ms")}
        onChange={(event) => set({ expires: event.currentTarget.value })}
      />
    </Stack>
  );
}
