import { Alert, Button, Group, Modal, Stack } from "@mantine/core";
import { type ReactNode, useState } from "react";
import { CopyButton } from "./CopyButton";
import { Icon } from "./Icon";

interface SecretDialogProps {
  title: string;
  secret: string;
  /** What the button copies: "Copy key". */
  copyLabel: string;
  onClose: () => void;
  children?: ReactNode;
}

/** Shows a secret once. It closes by its button only, so that no stray click loses what cannot be shown again. */
export function SecretDialog({ title, secret, copyLabel, onClose, children }: SecretDialogProps) {
  const [copied, setCopied] = useState(false);
  return (
    <Modal opened onClose={onClose} title={title} size="lg" closeOnClickOutside={false} closeOnEscape={false} withCloseButton={false}>
      <Stack>
        <Alert variant="default" className="notice" icon={<Icon name="warning" />} title="This is shown only once">
          Mira keeps no copy that it could show again. Copy it now and keep it in a safe place.
        </Alert>
        <div className="secret">
          <code data-testid="secret">{secret}</code>
          <CopyButton text={secret} label={copyLabel} variant="filled" onCopied={() => setCopied(true)} />
        </div>
        {children}
        <Group justify="flex-end">
          <Button variant={copied ? "filled" : "default"} onClick={onClose}>{copied ? "Done" : "I have kept it"}</Button>
        </Group>
      </Stack>
    </Modal>
  );
}
