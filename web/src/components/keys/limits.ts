/** The limits of a key as a form holds them (text) and as the API takes them. */
import type { BudgetShown, KeyShown, NewPortalKey } from "../../api/schema";

export type Period = BudgetShown["period"];

export interface KeyForm {
  name: string;
  kind: "proxy" | "inference";
  models: string[];
  amount: string;
  period: Period;
  rpm: string | number;
  tpm: string | number;
  concurrency: string | number;
  /** A day, "2026-12-31", or "". */
  expires: string;
}

export const PERIODS: { value: Period; label: string }[] = [
  { value: "day", label: "per day" },
  { value: "week", label: "per week" },
  { value: "month", label: "per month" },
  { value: "total", label: "in total" },
];

export const EMPTY_FORM: KeyForm = {
  name: "", kind: "proxy", models: [], amount: "", period: "month", rpm: "", tpm: "", concurrency: "", expires: "",
};

/** The form of a key that is there. */
export function formOf(key: KeyShown): KeyForm {
  return {
    name: key.name,
    kind: key.kind,
    models: key.models ?? [],
    amount: key.budget?.amount ?? "",
    period: key.budget?.period ?? "month",
    rpm: key.rpm ?? "",
    tpm: key.tpm ?? "",
    concurrency: key.concurrency ?? "",
    expires: key.expires_at_ms === null ? "" : dayOf(key.expires_at_ms),
  };
}

/** What the API takes: everything that both making and changing a key know. Empty fields are no limit. */
export function limitsOf(form: KeyForm): Required<Omit<NewPortalKey, "kind">> {
  return {
    name: form.name.trim(),
    models: form.models.length > 0 ? form.models : null,
    budget: form.amount.trim() === "" ? null : { amount: form.amount.trim(), period: form.period },
    rpm: wholeOf(form.rpm),
    tpm: wholeOf(form.tpm),
    concurrency: wholeOf(form.concurrency),
    // The whole of the last day counts, in the reader's own zone.
    expires_at_ms: form.expires === "" ? null : new Date(`${form.expires}T23:59:59`).getTime(),
  };
}

function wholeOf(value: string | number): number | null {
  return value === "" ? null : Number(value);
}

function dayOf(moment: number): string {
  const day = new Date(moment);
  const two = (value: number) => String(value).padStart(2, "0");
  return `${day.getFullYear()}-${two(day.getMonth() + 1)}-${two(day.getDate())}`;
}
