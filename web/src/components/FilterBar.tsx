import { Button, Select, TextInput } from "@mantine/core";
import { Icon } from "./Icon";

export type Filter =
  | { name: string; label: string; kind: "search"; placeholder?: string }
  | { name: string; label: string; kind: "choice"; options: readonly { value: string; label: string }[]; all?: string };

interface FilterBarProps {
  filters: readonly Filter[];
  values: Record<string, string>;
  set: (changes: Record<string, string | null>) => void;
  clear: () => void;
  active: boolean;
}

/** The filters of a view, as `useFilters` keeps them in the address. `/` goes to the search field. */
export function FilterBar({ filters, values, set, clear, active }: FilterBarProps) {
  return (
    <div className="filter-bar" role="search">
      {filters.map((filter) =>
        filter.kind === "search" ? (
          <TextInput
            key={filter.name}
            type="search"
            aria-label={filter.label}
            placeholder={filter.placeholder ?? filter.label}
            leftSection={<Icon name="search" size={16} />}
            value={values[filter.name] ?? ""}
            onChange={(event) => set({ [filter.name]: event.currentTarget.value })}
          />
        ) : (
          <Select
            key={filter.name}
            aria-label={filter.label}
            placeholder={filter.all ?? filter.label}
            data={[...filter.options]}
            value={values[filter.name] || null}
            onChange={(value) => set({ [filter.name]: value })}
            clearable
            clearButtonProps={{ "aria-label": `Clear ${filter.label}` }}
            searchable={filter.options.length > 10}
            comboboxProps={{ withinPortal: true }}
          />
        ),
      )}
      {active && <Button variant="subtle" color="gray" onClick={clear}>Clear filters</Button>}
    </div>
  );
}
