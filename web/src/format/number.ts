/** 1,234,567: counts and tokens. */
export function formatCount(value: number): string {
  return value.toLocaleString("en-US");
}

/** Milliseconds as people read them: "340 ms", "2.41 s". */
export function formatMilliseconds(milliseconds: number): string {
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(2)} s`;
}

/** 0.0123 → "1.2 %". */
export function formatShare(share: number): string {
  return `${(share * 100).toLocaleString("en-US", { maximumFractionDigits: 1 })}\u00a0%`;
}

const MANY_DAYS = 3650;

/** How long credits last: "About 12 days at this rate". */
export function formatDaysLeft(days: number | null): string {
  if (days === null) return "Nothing spent in seven days";
  if (days > MANY_DAYS) return "More than ten years at this rate";
  return days < 1 ? "Less than a day at this rate" : `About ${formatCount(Math.floor(days))} days at this rate`;
}

/** "128K", "1M": sizes of contexts. */
export function formatTokens(tokens: number): string {
  return new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 }).format(tokens);
}
