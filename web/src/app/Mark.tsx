import { Link } from "react-router";

/** The name, which leads to the overview. */
export function Mark({ asLink = true }: { asLink?: boolean }) {
  const drawn = (
    <>
      <svg viewBox="0 0 32 32" width="26" height="26" aria-hidden="true">
        <rect width="32" height="32" rx="8" fill="#3b5bdb" />
        <path d="M8 23V10l8 8 8-8v13" fill="none" stroke="#fff" strokeWidth="3.2" strokeLinecap="round" strokeLinejoin="round" />
      </svg>
      <span>Mira</span>
    </>
  );
  return asLink ? <Link to="/" className="mark" aria-label="Mira, overview">{drawn}</Link> : <span className="mark">{drawn}</span>;
}
