import type { MarginRow } from "../../../api/schema";

const COLUMNS = ["workspace_id", "workspace_name", "model", "node", "day_ms", "calls", "failed", "total_tokens", "billed", "node_cost", "attempts", "overrun", "margin"] as const;

/** Offers rows as a file. */
export function saveCsv(name: string, rows: readonly MarginRow[]): void {
  const lines = [COLUMNS.join(","), ...rows.map((row) => COLUMNS.map((column) => cell(row[column])).join(","))];
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([`${lines.join("\r\n")}\r\n`], { type: "text/csv" }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

/** Quoted where it must be. Names that a spreadsheet would run as a formula get a quote before them; figures do not. */
function cell(value: string | number | null): string {
  if (value === null) return "";
  const text = String(value);
  const isFigure = /^-?[\d.]+$/.test(text);
  const harmless = !isFigure && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}
