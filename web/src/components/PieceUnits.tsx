import type { Pricing, PricingUnit } from "../api/schema";
import { formatCredits } from "../format/money";

/** What a model asks by the piece, a line for each kind: "0.04 to 0.25 an image". */
export function PieceUnits({ units }: { units: readonly PricingUnit[] }) {
  return <>{units.map((each) => <div key={each.unit}>{pieceWords(each)}</div>)}</>;
}

/** "0.04 to 0.25 an image". */
export function pieceWords(each: PricingUnit): string {
  return `${spanOf(each)} ${wordsOf(each)}`;
}

function spanOf({ least, most }: PricingUnit): string {
  return least === most ? formatCredits(least) : `${formatCredits(least)} to ${formatCredits(most)}`;
}

function wordsOf({ unit, per }: PricingUnit): string {
  if (per !== 1) return `a million ${unit}s`;
  return unit === "image" ? "an image" : `a ${unit}`;
}

/** Whether tokens cost nothing because the piece has the price. */
export function isByPieceOnly({ units, input, output }: Pricing): boolean {
  return units.length > 0 && input === "0" && output === "0";
}
