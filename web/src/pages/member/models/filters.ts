import type { ModelShown } from "../../../api/schema";
import { isByPieceOnly } from "../../../components/PieceUnits";
import { compare } from "../../../format/money";

export const MODEL_FILTERS = ["search", "provider", "can", "context", "price"] as const;

export const ABILITIES: { value: keyof ModelShown["abilities"]; label: string }[] = [
  { value: "images", label: "images" },
  { value: "tools", label: "tools" },
  { value: "reasoning", label: "reasoning" },
  { value: "structured_output", label: "structured output" },
];

export const CONTEXTS = [
  { value: "32000", label: "32K tokens or more" },
  { value: "128000", label: "128K tokens or more" },
  { value: "400000", label: "400K tokens or more" },
  { value: "1000000", label: "1M tokens or more" },
];

export const PRICES = [
  { value: "0", label: "Free" },
  { value: "0.5", label: "Up to 0.50" },
  { value: "2", label: "Up to 2.00" },
  { value: "10", label: "Up to 10.00" },
];

/** The models that every set filter lets through. */
export function matching(models: readonly ModelShown[], filters: Record<(typeof MODEL_FILTERS)[number], string>): ModelShown[] {
  const words = filters.search.toLowerCase().split(/\s+/).filter(Boolean);
  return models.filter(({ id, name, provider, abilities, context_length, pricing }) => {
    const text = `${id} ${name}`.toLowerCase();
    return (
      words.every((word) => text.includes(word)) &&
      (filters.provider === "" || provider === filters.provider) &&
      (filters.can === "" || abilities[filters.can as keyof ModelShown["abilities"]]) &&
      (filters.context === "" || (context_length ?? 0) >= Number(filters.context)) &&
      (filters.price === "" || (pricing !== null && (pricing.free || (!isByPieceOnly(pricing) && compare(pricing.input, filters.price) <= 0))))
    );
  });
}
