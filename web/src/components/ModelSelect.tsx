import { Select } from "@mantine/core";
import { useRoute } from "../api/queries";
import type { ModelShown } from "../api/schema";

interface ModelSelectProps {
  label: string;
  value: string;
  onChange: (model: string) => void;
}

/** Chooses one of the models that can answer a chat now. */
export function ModelSelect({ label, value, onChange }: ModelSelectProps) {
  const models = useRoute("GET /portal/v1/models");
  const ids = (models.data?.data ?? []).filter(canChat).map(({ id }) => id);
  return (
    <Select
      aria-label={label}
      placeholder={models.isPending ? "Models…" : ids.length === 0 ? "No model can answer yet" : "Choose a model"}
      data={value && !ids.includes(value) ? [value, ...ids] : ids}
      value={value || null}
      onChange={(chosen) => chosen && onChange(chosen)}
      searchable
      allowDeselect={false}
      nothingFoundMessage="No such model"
      style={{ flex: 1, minWidth: 0 }}
    />
  );
}

/** Whether a model can answer a chat now. */
export function canChat({ available, pricing, outputs }: ModelShown): boolean {
  return available && pricing !== null && outputs.includes("text");
}
