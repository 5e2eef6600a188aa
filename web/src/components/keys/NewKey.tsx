/** Makes a key: a form, then its secret, shown once, with a command that works as it stands. */
import { Button, Group, Modal, Stack, Text } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { useNavigate } from "react-router";
import { type Answer, addressOf, ApiError, call, messageOf } from "../../api/client";
import { forget } from "../../api/queries";
import { keepFreshKey } from "../../app/freshKey";
import { useSession } from "../../app/session";
import { SecretDialog } from "../SecretDialog";
import { Snippet } from "../Snippet";
import { KeyFields } from "./KeyFields";
import { EMPTY_FORM, type KeyForm, limitsOf } from "./limits";

type Made = Pick<Answer<"POST /portal/v1/keys">, "key" | "secret">;

export function NewKey({ onClose }: { onClose: () => void }) {
  const [made, setMade] = useState<Made | null>(null);
  return made ? <KeySecret made={made} title="Your new key" onClose={onClose} /> : <NewKeyForm onClose={onClose} onMade={setMade} />;
}

function NewKeyForm({ onClose, onMade }: { onClose: () => void; onMade: (made: Made) => void }) {
  const [form, setForm] = useState<KeyForm>(EMPTY_FORM);
  const [busy, setBusy] = useState(false);
  const [refused, setRefused] = useState<{ field: string | null; message: string } | null>(null);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    try {
      const made = await call("POST /portal/v1/keys", { body: { ...limitsOf(form), kind: form.kind } });
      keepFreshKey({ id: made.key.id, name: made.key.name, secret: made.secret });
      await forget("GET /portal/v1/keys", "GET /portal/v1/overview");
      onMade(made);
    } catch (error) {
      setRefused({ field: error instanceof ApiError ? error.field : null, message: messageOf(error) });
      setBusy(false);
    }
  };
  return (
    <Modal opened onClose={onClose} title="Create key" size="lg" closeButtonProps={{ "aria-label": "Close" }}>
      <form onSubmit={(event) => void submit(event)}>
        <Stack>
          <KeyFields form={form} set={(changes) => setForm({ ...form, ...changes })} refused={refused} withKind open={false} />
          {refused && <Text c="var(--mantine-color-error)" role="alert">{refused.message}</Text>}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>Cancel</Button>
            <Button type="submit" loading={busy}>Create key</Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

/** A key's secret, once, with what to do next. */
export function KeySecret({ made, title, onClose }: { made: Made; title: string; onClose: () => void }) {
  const { base_url } = useSession();
  const navigate = useNavigate();
  const list = made.key.kind === "proxy" ? "v1/models" : "inference/v1/models";
  return (
    <SecretDialog title={title} secret={made.secret} copyLabel="Copy key" onClose={onClose}>
      <Snippet name="Try it in a terminal" testId="key-snippet" text={`curl ${base_url}/${list} \\\n  -H "Authorization: Bearer ${made.secret}"`} />
      <Group justify="space-between">
        <KeyTest secret={made.secret} path={list} />
        {made.key.kind === "proxy" && (
          <Button variant="default" onClick={() => { onClose(); void navigate("/connect"); }}>Connect a client</Button>
        )}
      </Group>
    </SecretDialog>
  );
}

/** Asks for the models with the key itself, as a client would; costs nothing. */
function KeyTest({ secret, path }: { secret: string; path: string }) {
  const [state, setState] = useState<{ tone: "good" | "bad"; text: string } | null>(null);
  const [busy, setBusy] = useState(false);
  const test = async () => {
    setBusy(true);
    setState(await tryKey(secret, path));
    setBusy(false);
  };
  return (
    <Group gap="sm">
      <Button variant="default" loading={busy} onClick={() => void test()}>Test this key</Button>
      <span role="status">{state && <span className="state" data-tone={state.tone} style={{ whiteSpace: "normal" }}>{state.text}</span>}</span>
    </Group>
  );
}

async function tryKey(secret: string, path: string): Promise<{ tone: "good" | "bad"; text: string }> {
  try {
    const response = await fetch(addressOf(path), { headers: { authorization: `Bearer ${secret}` }, credentials: "omit" });
    const body = (await response.json()) as { data?: unknown[]; error?: { message: string } };
    if (!response.ok) return { tone: "bad", text: body.error?.message ?? `Status ${response.status}` };
    const count = body.data?.length ?? 0;
    return { tone: "good", text: `It works: ${count} ${count === 1 ? "model" : "models"}` };
  } catch (error) {
    return { tone: "bad", text: messageOf(error) };
  }
}
