import { Button, Group, Modal, Stack, Text } from "@mantine/core";
import { type ReactNode, useState } from "react";
import { messageOf } from "../api/client";

interface ConfirmDialogProps {
  title: string;
  /** What will happen, and whether it can be undone. */
  children: ReactNode;
  /** The verb on the button: "Delete key". */
  action: string;
  danger?: boolean;
  /** Does it; what it throws is shown in the dialog, which then stays. */
  onConfirm: () => Promise<unknown>;
  onClose: () => void;
  /** What was done shows something of its own; the dialog does not close itself. */
  staysOpen?: boolean;
}

/** Asks before something that cannot be undone easily. */
export function ConfirmDialog({ title, children, action, danger = false, onConfirm, onClose, staysOpen = false }: ConfirmDialogProps) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const confirm = async () => {
    setBusy(true);
    setError(null);
    try {
      await onConfirm();
      if (!staysOpen) onClose();
    } catch (reason) {
      setError(reason);
      setBusy(false);
    }
  };
  return (
    <Modal opened onClose={onClose} title={title} closeButtonProps={{ "aria-label": "Close" }}>
      <Stack>
        <Text component="div" size="sm">{children}</Text>
        {error !== null && <Text size="sm" c="var(--mantine-color-error)" role="alert">{messageOf(error)}</Text>}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose} data-autofocus>Cancel</Button>
          <Button color={danger ? "red.9" : undefined} loading={busy} onClick={() => void confirm()}>{action}</Button>
        </Group>
      </Stack>
    </Modal>
  );
}
