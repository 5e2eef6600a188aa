import { Button, Group, PasswordInput, Select, Stack, Text, TextInput } from "@mantine/core";
import { type FormEvent, useState } from "react";
import { messageOf } from "../../../api/client";
import { useChange } from "../../../api/queries";
import type { NodeTrial, TrialResult } from "../../../api/schema";

type Kind = NodeTrial["kind"];

const KINDS: readonly { value: Kind; label: string; address: string }[] = [
  { value: "openai", label: "OpenAI", address: "https://api.openai.com/v1" },
  { value: "anthropic", label: "Anthropic", address: "https://api.anthropic.com" },
  { value: "gemini", label: "Google Gemini", address: "https://generativelanguage.googleapis.com" },
  { value: "openai-compatible", label: "OpenAI-compatible server", address: "" },
  { value: "mira", label: "Another Mira (Inference Service)", address: "" },
];

export interface Reached extends TrialResult {
  node: { name: string; kind: Kind; base_url: string; api_key: string; provider: string | null };
}

/** Where the node is and how it is spoken to; goes on once it has listed its models. */
export function Connection({ hidden, onReached, close }: { hidden: boolean; onReached: (reached: Reached) => void; close: () => void }) {
  const [kind, setKind] = useState<Kind>("openai");
  const [name, setName] = useState("");
  const [address, setAddress] = useState("https://api.openai.com/v1");
  const [provider, setProvider] = useState("");
  const [key, setKey] = useState("");
  const trial = useChange("POST /admin/v1/nodes/test");
  const choose = (value: string | null) => {
    const next = KINDS.find((one) => one.value === value);
    if (!next) return;
    // An address that was typed stays.
    if (address === "" || KINDS.some((one) => one.address === address)) setAddress(next.address);
    setKind(next.value);
  };
  const test = async (event: FormEvent) => {
    event.preventDefault();
    const node = { kind, base_url: address.trim(), api_key: key, provider: kind === "openai-compatible" ? provider.trim() : null };
    const result = await trial.mutateAsync({ body: node }).catch(() => null);
    if (result?.ok) onReached({ ...result, node: { ...node, name: name.trim() } });
  };
  const wrong = trial.error ? messageOf(trial.error) : trial.data && !trial.data.ok ? trial.data.error : null;
  return (
    <form onSubmit={(event) => void test(event)} autoComplete="off" hidden={hidden}>
      <Stack>
        <Select label="Protocol" data={KINDS.map(({ value, label }) => ({ value, label }))} value={kind} onChange={choose}
          allowDeselect={false} data-autofocus />
        <TextInput label="Name" description="How the node is called here, for instance openai-main" required pattern="[A-Za-z0-9][A-Za-z0-9._\-]*"
          title="Letters, digits, dots, dashes and underscores" value={name} onChange={(event) => setName(event.currentTarget.value)} />
        <TextInput label="Base URL" description="As the vendor's own SDK takes it" type="url" required value={address}
          onChange={(event) => setAddress(event.currentTarget.value)} />
        {kind === "openai-compatible" && (
          <TextInput label="Provider" description="What stands before the slash of its model ids, for instance groq; empty where its list has it already"
            value={provider} onChange={(event) => setProvider(event.currentTarget.value)} />
        )}
        <PasswordInput label="API key" description="Kept encrypted and never shown again. Leave it empty where none is needed." autoComplete="new-password"
          value={key} onChange={(event) => setKey(event.currentTarget.value)} visibilityToggleButtonProps={{ "aria-label": "Show the key" }} />
        {wrong && <Text c="var(--mantine-color-error)" role="alert">{wrong}</Text>}
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>Cancel</Button>
          <Button type="submit" loading={trial.isPending}>Test connection</Button>
        </Group>
      </Stack>
    </form>
  );
}
