import { saveFile } from "./files.ts";

type Cell = string | number | null;

/** One line of CSV (RFC 4180). Text that a spreadsheet would run as a formula gets an apostrophe before it. */
export function csvLine(cells: readonly Cell[]): string {
  return cells.map(csvCell).join(",");
}

function csvCell(cell: Cell): string {
  if (cell === null) return "";
  if (typeof cell === "number") return String(cell);
  const safe = /^[=+\-@\t\r]/.test(cell) && !/^-?\d+(\.\d+)?$/.test(cell) ? `'${cell}` : cell;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Saves a table as a file of the browser. */
export function saveCsv(name: string, head: readonly string[], lines: readonly (readonly Cell[])[]): void {
  saveFile(name, new Blob([[csvLine(head), ...lines.map(csvLine), ""].join("\r\n")], { type: "text/csv" }));
}
