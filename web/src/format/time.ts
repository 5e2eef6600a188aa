/** The zone that times are shown in: the reader's choice on the Account page, else the browser's. */
const CHOSEN = "mira-time-zone";

export function timeZone(): string {
  return chosenTimeZone() ?? Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** The zone that the reader chose in this browser; null: as the system. */
export function chosenTimeZone(): string | null {
  try {
    return localStorage.getItem(CHOSEN);
  } catch {
    return null;
  }
}

/** Keeps a zone for this browser; null follows the system again. */
export function chooseTimeZone(zone: string | null): void {
  if (zone === null) localStorage.removeItem(CHOSEN);
  else localStorage.setItem(CHOSEN, zone);
}

/** "2026-11-22 14:03:07", in the shown zone. */
export function formatTime(moment: string | number | Date, seconds = true): string {
  const parts = new Intl.DateTimeFormat("sv-SE", {
    dateStyle: "short",
    timeStyle: seconds ? "medium" : "short",
    timeZone: timeZone(),
  });
  return parts.format(new Date(moment));
}

/** "2026-11-22", in the shown zone. */
export function formatDay(moment: string | number | Date): string {
  return formatTime(moment, false).slice(0, 10);
}

/** "2026-11-22" of UTC: the days that usage is summed by. */
export function utcDay(moment: number): string {
  return new Date(moment).toISOString().slice(0, 10);
}

/** "GMT+1" of a moment in the shown zone. */
export function zoneName(moment: string | number | Date = Date.now()): string {
  const parts = new Intl.DateTimeFormat("en-GB", { timeZoneName: "short", timeZone: timeZone() });
  return parts.formatToParts(new Date(moment)).find((part) => part.type === "timeZoneName")?.value ?? timeZone();
}

const STEPS: readonly [Intl.RelativeTimeFormatUnit, number][] = [
  ["year", 31_536_000], ["month", 2_592_000], ["day", 86_400], ["hour", 3_600], ["minute", 60],
];

/** "3 minutes ago", "in 2 days", "just now". */
export function formatRelative(moment: string | number | Date, now = Date.now()): string {
  const seconds = (new Date(moment).getTime() - now) / 1000;
  for (const [unit, size] of STEPS) {
    if (Math.abs(seconds) >= size) {
      return new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(Math.trunc(seconds / size), unit);
    }
  }
  return Math.abs(seconds) < 10 ? "just now" : new Intl.RelativeTimeFormat("en").format(Math.trunc(seconds), "second");
}
