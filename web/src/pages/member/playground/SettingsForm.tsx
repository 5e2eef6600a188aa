/** What goes with every request of the playground. */
import { Select, SimpleGrid, Stack, Textarea, TextInput } from "@mantine/core";
import { readTools, type Settings } from "./chat";

const EXAMPLE = `[{"type": "function", "function": {
  "name": "weather",
  "description": "The weather of a city",
  "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}
}}]`;

export function SettingsForm({ settings, set }: { settings: Settings; set: (settings: Settings) => void }) {
  const change = (changes: Partial<Settings>) => set({ ...settings, ...changes });
  return (
    <Stack gap="sm">
      <Textarea label="System message" autosize minRows={2} maxRows={8} value={settings.system} onChange={(event) => change({ system: event.currentTarget.value })} />
      <SimpleGrid cols={{ base: 1, xs: 3 }} spacing="sm">
        <TextInput label="Temperature" inputMode="decimal" placeholder="The model's own" value={settings.temperature}
          error={isNumber(settings.temperature, 0, 2) ? null : "0 to 2"} onChange={(event) => change({ temperature: event.currentTarget.value })} />
        <TextInput label="Most tokens" inputMode="numeric" placeholder="The model's own" value={settings.maxTokens}
          error={isNumber(settings.maxTokens, 1, 10_000_000) ? null : "A whole number"} onChange={(event) => change({ maxTokens: event.currentTarget.value })} />
        <Select label="Reasoning effort" placeholder="The model's own" clearable data={["minimal", "low", "medium", "high"]}
          clearButtonProps={{ "aria-label": "Clear reasoning effort" }} value={settings.effort || null} onChange={(value) => change({ effort: value ?? "" })} />
      </SimpleGrid>
      <Textarea label="Tools" description="A JSON list, as in the request" placeholder={EXAMPLE} autosize minRows={3} maxRows={14} value={settings.tools}
        error={readTools(settings.tools).error} onChange={(event) => change({ tools: event.currentTarget.value })}
        styles={{ input: { fontFamily: "var(--mantine-font-family-monospace)", fontSize: 13 } }} />
    </Stack>
  );
}

/** Whether every setting can be sent. */
export function isSendable(settings: Settings): boolean {
  return isNumber(settings.temperature, 0, 2) && isNumber(settings.maxTokens, 1, 10_000_000) && readTools(settings.tools).error === null;
}

function isNumber(text: string, least: number, most: number): boolean {
  return text === "" || (/^\d+(\.\d+)?$/.test(text) && Number(text) >= least && Number(text) <= most && (least === 0 || Number.isInteger(Number(text))));
}
