import type { ReactNode } from "react";

export interface Figure {
  label: string;
  value: ReactNode;
  /** A quiet line below: what it is compared with, since when. */
  note?: ReactNode;
}

/** A row of labelled figures. */
export function Figures({ label, figures }: { label: string; figures: readonly Figure[] }) {
  return (
    <dl className="figure-row" aria-label={label}>
      {figures.map(({ label: name, value, note }) => (
        <div key={name} className="surface figure">
          <dt>{name}</dt>
          <dd className="figures">{value}</dd>
          {note && <dd className="figure-note">{note}</dd>}
        </div>
      ))}
    </dl>
  );
}
