import { Button, Select, TextInput } from "@mantine/core";
import { useDebouncedCallback } from "@mantine/hooks";
import { useEffect, useState } from "react";
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
          <SearchField
            key={filter.name}
            label={filter.label}
            placeholder={filter.placeholder ?? filter.label}
            value={values[filter.name] ?? ""}
            set={(value) => set({ [filter.name]: value })}
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

const TYPING_MS = 250;

/** Holds what is typed until the typing pauses: the address is not written with every letter, and no letter is lost. */
function SearchField({ label, placeholder, value, set }: { label: string; placeholder: string; value: string; set: (value: string) => void }) {
  const [typed, setTyped] = useState(value);
  useEffect(() => setTyped(value), [value]);
  const setLater = useDebouncedCallback(set, { delay: TYPING_MS, flushOnUnmount: false });
  return (
    <TextInput
      type="search"
      aria-label={label}
      placeholder={placeholder}
      leftSection={<Icon name="search" size={16} />}
      value={typed}
      onChange={(event) => {
        setTyped(event.currentTarget.value);
        setLater(event.currentTarget.value);
      }}
    />
  );
}
