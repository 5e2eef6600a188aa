/**
 * Credits as they come from the API: decimal text, never a float. Sums and comparisons are made of whole nano-credits
 * (`bigint`), so that what is shown is what was booked.
 */

const NANO_DIGITS = 9;
const DECIMAL = /^(-?)(\d+)(?:\.(\d+))?$/;

/** Decimal text → nano-credits. What lies beyond the ninth digit is cut; text that is no decimal throws a RangeError. */
export function nano(credits: string): bigint {
  const match = DECIMAL.exec(credits.trim());
  if (!match) throw new RangeError(`not a decimal: ${credits}`);
  const [, sign, whole = "0", fraction = ""] = match;
  const value = BigInt(whole + fraction.slice(0, NANO_DIGITS).padEnd(NANO_DIGITS, "0"));
  return sign ? -value : value;
}

/** Nano-credits → decimal text without trailing zeros. */
export function decimal(nanocredits: bigint): string {
  const digits = (nanocredits < 0n ? -nanocredits : nanocredits).toString().padStart(NANO_DIGITS + 1, "0");
  const fraction = digits.slice(-NANO_DIGITS).replace(/0+$/, "");
  return `${nanocredits < 0n ? "-" : ""}${digits.slice(0, -NANO_DIGITS)}${fraction && `.${fraction}`}`;
}

/** Exact credits for reading: thousands apart, at least two digits after the point, never rounded. */
export function formatCredits(credits: string): string {
  const match = DECIMAL.exec(credits.trim());
  if (!match) return credits;
  const [, sign, whole = "0", fraction = ""] = match;
  const grouped = whole.replace(/^0+(?=\d)/, "").replace(/\B(?=(\d{3})+$)/g, ",");
  return `${sign ? "−" : ""}${grouped}.${fraction.replace(/0+$/, "").padEnd(2, "0")}`;
}

/** The sum of decimal texts, exact to the nano-credit. */
export function sum(amounts: readonly string[]): string {
  return decimal(amounts.reduce((total, amount) => total + nano(amount), 0n));
}

/** a < b: −1, a = b: 0, a > b: 1. */
export function compare(a: string, b: string): number {
  const [x, y] = [nano(a), nano(b)];
  return x < y ? -1 : x > y ? 1 : 0;
}

/** How much of `whole` is `part`, in whole per cent between 0 and 100; 0 of nothing is 0. For bars, not for books. */
export function percent(part: string, whole: string): number {
  const [x, y] = [nano(part), nano(whole)];
  if (y <= 0n || x <= 0n) return 0;
  return Number(x >= y ? 100n : (x * 100n) / y);
}

/** For the axes of charts only, where a pixel is coarser than a float. */
export function approximate(credits: string): number {
  return Number(credits);
}

/** What `approximate` made, for the ticks and the tips of a chart. */
export function formatAxis(credits: number): string {
  return credits.toLocaleString("en-US", { maximumSignificantDigits: 6 });
}

/** A cost as decimal text: the numbers of JSON come out of the browser in exponents where they are small. */
export function decimalText(cost: number | string): string {
  if (typeof cost === "string") return cost;
  return cost.toFixed(NANO_DIGITS).replace(/\.?0+$/, "");
}
