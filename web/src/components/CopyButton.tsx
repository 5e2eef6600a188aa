import { ActionIcon, Button, type ButtonProps, Tooltip, VisuallyHidden } from "@mantine/core";
import { useEffect, useState } from "react";
import { Icon } from "./Icon";
import { tell } from "./toasts";

interface CopyButtonProps {
  text: string;
  /** What it copies, in words: "Copy key". */
  label: string;
  /** Only the sign, with the label for screen readers. */
  compact?: boolean;
  variant?: ButtonProps["variant"];
  onCopied?: () => void;
}

/** Copies a text and says so. Over plain HTTP browsers have no clipboard for pages; then the text is selected by hand. */
export function CopyButton({ text, label, compact = false, variant = "default", onCopied }: CopyButtonProps) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 2000);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = async () => {
    if (await toClipboard(text)) {
      setCopied(true);
      onCopied?.();
    } else {
      tell("The browser did not let this page copy. Select the text and copy it by hand.", "warn");
    }
  };
  const said = <VisuallyHidden role="status">{copied ? "Copied" : ""}</VisuallyHidden>;
  if (compact) {
    return (
      <Tooltip label={copied ? "Copied" : label} openDelay={400}>
        <ActionIcon variant="subtle" color="gray" onClick={() => void copy()} aria-label={label}>
          <Icon name={copied ? "check" : "copy"} size={16} />
          {said}
        </ActionIcon>
      </Tooltip>
    );
  }
  return (
    <Button variant={variant} onClick={() => void copy()} leftSection={<Icon name={copied ? "check" : "copy"} size={16} />} aria-label={label}>
      {copied ? "Copied" : label}
      {said}
    </Button>
  );
}

async function toClipboard(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return byHiddenField(text);
  }
}

/** The old way, which works without TLS. The field stands in the open dialog, whose focus trap would take it back. */
function byHiddenField(text: string): boolean {
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "off-screen";
  const before = document.activeElement as HTMLElement | null;
  (before?.parentElement ?? document.body).append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  before?.focus();
  return done;
}
