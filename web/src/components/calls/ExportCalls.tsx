import { Button } from "@mantine/core";
import { useState } from "react";
import type { QueryValue } from "../../api/client";
import type { CallLine, CallShown } from "../../api/schema";
import { saveCsv } from "../../format/csv";
import { EXPORT_PAGE, everyRow } from "../everyRow";
import { Icon } from "../Icon";
import { tellFailure } from "../toasts";

const HEAD = ["protocol", "model", "node", "status", "error", "attempts", "duration_ms", "first_content_ms", "input_tokens", "output_tokens", "cost"];

type Query = Record<string, QueryValue>;

interface ExportCallsProps<T> {
  file: string;
  /** Reads one page of what fits. */
  read: (query: Query) => Promise<{ data: T[]; next: string | null }>;
  query: Query;
  /** When and whose: the columns between the id and what every call has. */
  first: readonly (readonly [string, (call: T) => string])[];
}

/** Saves the calls that fit as a table for spreadsheets. */
export function ExportCalls<T extends CallShown | CallLine>({ file, read, query, first }: ExportCallsProps<T>) {
  const [busy, setBusy] = useState(false);
  const save = async () => {
    setBusy(true);
    try {
      const lines = (await everyRow((cursor) => read({ ...query, limit: EXPORT_PAGE, cursor }))).map((call) => [call.id, ...first.map(([, told]) => told(call)), ...restOf(call)]);
      saveCsv(file, ["id", ...first.map(([name]) => name), ...HEAD], lines);
    } catch (error) {
      tellFailure(error);
    }
    setBusy(false);
  };
  return <Button variant="default" leftSection={<Icon name="download" />} loading={busy} onClick={() => void save()}>Export CSV</Button>;
}

function restOf(call: CallShown | CallLine): (string | number | null)[] {
  return [
    call.protocol, call.model, call.node, call.status, call.error, call.attempts, call.duration_ms, call.first_content_ms,
    call.usage.prompt_tokens, call.usage.completion_tokens, call.cost,
  ];
}
