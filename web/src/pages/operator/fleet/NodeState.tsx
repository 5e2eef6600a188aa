import { Text } from "@mantine/core";
import { StateBadge, type Tone } from "../../../components/StateBadge";

const TONES: Record<string, Tone> = {
  "active": "good", "degraded": "warn", "draining": "warn", "limited": "warn", "half-open": "warn",
  "ejected": "bad", "exhausted": "bad", "bad-credentials": "bad", "model-missing": "bad",
  "probing": "busy", "loading": "busy", "disabled": "calm",
};

interface Standing {
  state: string;
  reason: string | null;
  returns_in_s: number | null;
}

/** How a node or a model at it stands: the word, why, and when it is tried again. */
export function NodeState({ standing }: { standing: Standing }) {
  const { state, reason, returns_in_s } = standing;
  return (
    <div>
      <StateBadge state={state} tone={TONES[state] ?? "calm"} />
      {reason && <Text size="xs" c="dimmed" maw={260}>{reason}</Text>}
      {returns_in_s !== null && <Text size="xs" c="dimmed" className="figures">tried again in {inWords(returns_in_s)}</Text>}
    </div>
  );
}

/** 75 → "75 s", 4000 → "67 min". */
export function inWords(seconds: number): string {
  if (seconds < 120) return `${Math.ceil(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}
