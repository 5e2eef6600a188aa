/** What a model asks for what it makes, in words. */
import { formatCredits } from "../../../format/money.ts";

/** A row of `/v1/models`. */
export interface ModelRow {
  id: string;
  available: boolean;
  architecture?: { output_modalities?: string[] };
  pricing: { free?: boolean; prompt?: string; completion?: string; units?: Record<string, string | Record<string, string>> } | null;
}

const UNITS: Record<string, string> = { image: "an image", second: "a second", page: "a page" };

/** What a model costs, in words. */
export function priceOf({ pricing }: Pick<ModelRow, "pricing">): string {
  if (pricing === null) return "No price is set: calls are refused.";
  if (pricing.free) return "Free";
  const parts = Object.entries(pricing.units ?? {}).map(([unit, price]) => {
    if (typeof price !== "string") return `${spanOf(Object.values(price))} credits ${UNITS[unit] ?? unit}, by quality and size`;
    return unit === "character" ? `${formatCredits(perMillion(price))} credits a million characters` : `${formatCredits(price)} credits ${UNITS[unit] ?? unit}`;
  });
  const tokens = [pricing.prompt, pricing.completion].map((price) => perMillion(price ?? "0"));
  if (tokens.some((price) => price !== "0")) parts.push(`${tokens.map(formatCredits).join(" / ")} credits a million tokens in / out`);
  return parts.join(" · ");
}

function spanOf(prices: readonly string[]): string {
  const sorted = [...prices].sort((a, b) => Number(a) - Number(b));
  const [least, most] = [sorted[0] ?? "0", sorted.at(-1) ?? "0"];
  return least === most ? formatCredits(least) : `${formatCredits(least)} to ${formatCredits(most)}`;
}

/** A price of one as the price of a million: the point moves by six places, so that nothing is rounded. */
export function perMillion(price: string): string {
  const [whole = "0", fraction = ""] = price.split(".");
  const digits = whole + fraction.slice(0, 6).padEnd(6, "0");
  const rest = fraction.slice(6).replace(/0+$/, "");
  return `${digits.replace(/^0+(?=\d)/, "")}${rest && `.${rest}`}`;
}
