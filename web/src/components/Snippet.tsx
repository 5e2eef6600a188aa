import { CopyButton } from "./CopyButton";

/** Text to be copied: commands and files. `name` says what it is ("opencode.json"); copying may differ from what is shown. */
export function Snippet({ name, text, copied = text, testId = "snippet" }: { name: string; text: string; copied?: string; testId?: string }) {
  return (
    <figure className="snippet-box">
      <figcaption>
        <span>{name}</span>
        <CopyButton compact text={copied} label={`Copy ${name}`} />
      </figcaption>
      <pre className="snippet" data-testid={testId} tabIndex={0} aria-label={name}>{text}</pre>
    </figure>
  );
}
