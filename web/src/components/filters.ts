import { useCallback, useMemo } from "react";
import { useSearchParams } from "react-router";

/** Filters that stand in the page's address, so that a view can be linked, kept and gone back to. Absent ones are "". */
export function useFilters<N extends string>(names: readonly N[]) {
  const [parameters, setParameters] = useSearchParams();
  const values = useMemo(
    () => Object.fromEntries(names.map((name) => [name, parameters.get(name) ?? ""])) as Record<N, string>,
    // The names of a page never change.
    [parameters],
  );
  const set = useCallback(
    (changes: Partial<Record<N, string | null>>) => {
      setParameters(
        (before) => {
          const after = new URLSearchParams(before);
          for (const [name, value] of Object.entries(changes) as [N, string | null][]) {
            if (value) after.set(name, value);
            else after.delete(name);
          }
          return after;
        },
        { replace: true },
      );
    },
    [setParameters],
  );
  const clear = useCallback(() => setParameters({}, { replace: true }), [setParameters]);
  return { values, set, clear, active: names.some((name) => values[name] !== "") };
}
