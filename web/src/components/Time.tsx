import { formatRelative, formatTime, zoneName } from "../format/time";

/** A moment in the reader's zone, the zone beside it; `relative` says how long ago and has the moment as its title. */
export function Time({ at, relative = false, seconds = false }: { at: number; relative?: boolean; seconds?: boolean }) {
  const exact = `${formatTime(at, seconds)} ${zoneName(at)}`;
  return (
    <time className="figures" dateTime={new Date(at).toISOString()} title={relative ? exact : undefined} style={{ whiteSpace: "nowrap" }}>
      {relative ? formatRelative(at) : exact}
    </time>
  );
}
