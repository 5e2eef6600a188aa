/** The forms of the studio, one for each kind of work. */
import { Autocomplete, Button, CloseButton, FileButton, Group, Select, SimpleGrid, Text, Textarea, TextInput } from "@mantine/core";
import { type FormEvent, type ReactNode, useState } from "react";
import { Icon } from "../../../components/Icon";
import { dataUrl } from "../../../format/files";
import { given, image, page, speech, transcription, upload, video } from "./kinds";
import { type Made, useMakers } from "./models";
import { priceOf } from "./prices";
import type { Work } from "./runs";

interface FormProps {
  start: (title: string, work: Work) => void;
}

function Form({ action, ready, submit, children }: { action: string; ready: boolean; submit: () => void; children: ReactNode }) {
  const run = (event: FormEvent) => {
    event.preventDefault();
    if (ready) submit();
  };
  return (
    <form onSubmit={run}>
      <SimpleGrid cols={1} spacing="sm">
        {children}
        <Group><Button type="submit" disabled={!ready} leftSection={<Icon name="play" size={16} />}>{action}</Button></Group>
      </SimpleGrid>
    </form>
  );
}

function ModelField({ made, value, set }: { made: Made; value: string; set: (value: string) => void }) {
  const models = useMakers(made);
  const chosen = models.find(({ id }) => id === value);
  return (
    <Autocomplete label="Model" placeholder="The gateway's own choice" data={models.map(({ id }) => id)} value={value} onChange={set} limit={20}
      inputWrapperOrder={["label", "input", "description"]} description={chosen ? priceOf(chosen) : undefined} />
  );
}

function Choice({ label, value, set, data }: { label: string; value: string; set: (value: string) => void; data: string[] }) {
  return (
    <Select label={label} placeholder="The model's own" clearable clearButtonProps={{ "aria-label": `Clear ${label}` }} data={data}
      value={value || null} onChange={(chosen) => set(chosen ?? "")} />
  );
}

function Upload({ label, accept, file, set }: { label: string; accept: string; file: File | null; set: (file: File | null) => void }) {
  return (
    <Group gap="sm">
      <FileButton accept={accept} onChange={set} inputProps={{ "aria-label": label, tabIndex: -1 }}>
        {(props) => <Button {...props} variant="default" leftSection={<Icon name="upload" size={16} />}>{label}</Button>}
      </FileButton>
      <Text size="sm" c="dimmed" style={{ overflowWrap: "anywhere" }}>{file ? file.name : "Nothing chosen"}</Text>
      {file && <CloseButton size="sm" aria-label={`Remove ${file.name}`} onClick={() => set(null)} />}
    </Group>
  );
}

export function ImageForm({ start }: FormProps) {
  const [form, setForm] = useState({ prompt: "", model: "", size: "", quality: "" });
  const [file, setFile] = useState<File | null>(null);
  const set = (changes: Partial<typeof form>) => setForm({ ...form, ...changes });
  const run = async () => {
    const picture = file && (await dataUrl(file));
    start(form.prompt, image(given({ ...form, image: picture })));
  };
  return (
    <Form action={file ? "Change picture" : "Make image"} ready={form.prompt.trim() !== ""} submit={() => void run()}>
      <Textarea label="What it shows" required autosize minRows={3} maxRows={8} value={form.prompt} onChange={(event) => set({ prompt: event.currentTarget.value })} />
      <SimpleGrid cols={{ base: 1, xs: 3 }} spacing="sm">
        <ModelField made="image" value={form.model} set={(model) => set({ model })} />
        <Choice label="Size" value={form.size} set={(size) => set({ size })} data={["1024x1024", "1536x1024", "1024x1536"]} />
        <Choice label="Quality" value={form.quality} set={(quality) => set({ quality })} data={["low", "medium", "high"]} />
      </SimpleGrid>
      <Upload label="Picture to change" accept="image/*" file={file} set={setFile} />
    </Form>
  );
}

export function VideoForm({ start }: FormProps) {
  const [form, setForm] = useState({ prompt: "", model: "", size: "", seconds: "" });
  const set = (changes: Partial<typeof form>) => setForm({ ...form, ...changes });
  const [file, setFile] = useState<File | null>(null);
  const run = async () => {
    const picture = file && (await dataUrl(file));
    start(form.prompt, video(given({ ...form, seconds: form.seconds === "" ? null : Number(form.seconds), image: picture })));
  };
  return (
    <Form action="Make video" ready={form.prompt.trim() !== ""} submit={() => void run()}>
      <Textarea label="What happens" required autosize minRows={3} maxRows={8} value={form.prompt} onChange={(event) => set({ prompt: event.currentTarget.value })} />
      <SimpleGrid cols={{ base: 1, xs: 3 }} spacing="sm">
        <ModelField made="video" value={form.model} set={(model) => set({ model })} />
        <Choice label="Size" value={form.size} set={(size) => set({ size })} data={["1280x720", "720x1280", "1920x1080"]} />
        <Choice label="Seconds" value={form.seconds} set={(seconds) => set({ seconds })} data={["4", "6", "8", "12"]} />
      </SimpleGrid>
      <Upload label="Picture to begin from" accept="image/*" file={file} set={setFile} />
      <Text size="sm" c="dimmed">A video takes minutes, and goes on when you leave this page.</Text>
    </Form>
  );
}

export function SpeechForm({ start }: FormProps) {
  const [form, setForm] = useState({ text: "", model: "", voice: "", format: "" });
  const set = (changes: Partial<typeof form>) => setForm({ ...form, ...changes });
  return (
    <Form action="Speak" ready={form.text.trim() !== ""} submit={() => start(form.text, speech(given(form)))}>
      <Textarea label="What is said" required autosize minRows={3} maxRows={10} value={form.text} onChange={(event) => set({ text: event.currentTarget.value })} />
      <SimpleGrid cols={{ base: 1, xs: 3 }} spacing="sm">
        <ModelField made="speech" value={form.model} set={(model) => set({ model })} />
        <TextInput label="Voice" placeholder="The model's own" value={form.voice} onChange={(event) => set({ voice: event.currentTarget.value })} />
        <Choice label="Format" value={form.format} set={(format) => set({ format })} data={["mp3", "wav", "flac", "opus", "aac"]} />
      </SimpleGrid>
    </Form>
  );
}

export function TranscriptionForm({ start }: FormProps) {
  const [file, setFile] = useState<File | null>(null);
  const [form, setForm] = useState({ model: "", language: "" });
  return (
    <Form action="Write down" ready={file !== null} submit={() => file && start(file.name, transcription(file, given(form)))}>
      <Upload label="Choose sound" accept="audio/*,video/*" file={file} set={setFile} />
      <SimpleGrid cols={{ base: 1, xs: 2 }} spacing="sm">
        <ModelField made="transcription" value={form.model} set={(model) => setForm({ ...form, model })} />
        <TextInput label="Language" placeholder="Found out by the model" value={form.language} onChange={(event) => setForm({ ...form, language: event.currentTarget.value })} />
      </SimpleGrid>
    </Form>
  );
}

export function FetchForm({ start }: FormProps) {
  const [form, setForm] = useState({ url: "", format: "markdown", render: "never", query: "" });
  const set = (changes: Partial<typeof form>) => setForm({ ...form, ...changes });
  return (
    <Form action="Fetch page" ready={/^https?:\/\/./.test(form.url.trim())} submit={() => start(form.url, page(given({ ...form, url: form.url.trim() })))}>
      <TextInput label="Address" required type="url" placeholder="https://example.com/" value={form.url} onChange={(event) => set({ url: event.currentTarget.value })} />
      <SimpleGrid cols={{ base: 1, xs: 3 }} spacing="sm">
        <Select label="As" allowDeselect={false} data={["markdown", "text", "html", "raw"]} value={form.format} onChange={(format) => set({ format: format ?? "markdown" })} />
        <Select label="In a browser" allowDeselect={false} data={["never", "auto", "always"]} value={form.render} onChange={(render) => set({ render: render ?? "never" })} />
        <TextInput label="Only what fits" placeholder="Words to look for" value={form.query} onChange={(event) => set({ query: event.currentTarget.value })} />
      </SimpleGrid>
    </Form>
  );
}

export function UploadForm({ start }: FormProps) {
  const [file, setFile] = useState<File | null>(null);
  return (
    <Form action="Upload" ready={file !== null} submit={() => file && start(file.name, upload(file))}>
      <Upload label="Choose a file" accept="" file={file} set={setFile} />
      <Text size="sm" c="dimmed">Uploads are free. The id is taken wherever an image or a document is, by keys of this workspace alone.</Text>
    </Form>
  );
}
