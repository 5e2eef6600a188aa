import { formatCredits } from "../format/money";

/** An amount of credits, exact; one credit is one US dollar. `unit` writes "credits" behind it. */
export function Money({ credits, unit = false }: { credits: string; unit?: boolean }) {
  return (
    <span className="figures" style={{ whiteSpace: "nowrap" }}>
      {formatCredits(credits)}
      {unit && " credits"}
    </span>
  );
}
