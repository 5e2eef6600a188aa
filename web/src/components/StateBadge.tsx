export type Tone = "good" | "warn" | "bad" | "busy" | "calm";

const TONES: Record<string, Tone> = {
  active: "good", ok: "good", available: "good", accepted: "good", succeeded: "good",
  degraded: "warn", limited: "warn", draining: "warn", expiring: "warn", unpriced: "warn",
  ejected: "bad", failed: "bad", revoked: "bad", exhausted: "bad", unavailable: "bad", error: "bad",
  pending: "busy", running: "busy", probing: "busy",
};

/** A state as a word with a dot beside it; the colour only repeats the word. */
export function StateBadge({ state, tone, label = state }: { state: string; tone?: Tone; label?: string }) {
  return <span className="state" data-tone={tone ?? TONES[state] ?? "calm"}>{label.replaceAll("_", " ")}</span>;
}
