/** What is more than chat: pictures, films, sound, pages and files, paid by the workspace. */
import { Stack, Tabs, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { useRoute } from "../../api/queries";
import { useFilters } from "../../components/filters";
import { PageHeader } from "../../components/PageHeader";
import { Section } from "../../components/Section";
import { Loaded } from "../../components/States";
import { FetchForm, ImageForm, SpeechForm, TranscriptionForm, UploadForm, VideoForm } from "./studio/forms";
import { EarlierVideos } from "./studio/EarlierVideos";
import { RunCard } from "./studio/RunCard";
import { type Runs, useRuns, type Work } from "./studio/runs";

interface Kind {
  id: string;
  title: string;
  /** The tab is there only where the gateway has this route. */
  route: string;
  Form: (props: { start: (title: string, work: Work) => void }) => ReactNode;
  /** What the gateway knows of earlier runs, where it keeps them. */
  Earlier?: () => ReactNode;
}

const KINDS: readonly Kind[] = [
  { id: "image", title: "Image", route: "/v1/image", Form: ImageForm },
  { id: "video", title: "Video", route: "/v1/video", Form: VideoForm, Earlier: EarlierVideos },
  { id: "speech", title: "Speech", route: "/v1/speech", Form: SpeechForm },
  { id: "transcription", title: "Transcription", route: "/v1/audio/transcriptions", Form: TranscriptionForm },
  { id: "fetch", title: "Web page", route: "/v1/fetch", Form: FetchForm },
  { id: "upload", title: "Upload", route: "/v1/upload", Form: UploadForm },
];

export default function Studio() {
  const docs = useRoute("GET /portal/v1/docs");
  return (
    <>
      <PageHeader title="Studio" description="Runs are paid by this workspace and stand in its log, under the key “Portal playground”." />
      <Loaded query={docs}>{({ routes }) => <Shown kinds={KINDS.filter(({ route }) => routes.some(({ path }) => path === route))} />}</Loaded>
    </>
  );
}

function Shown({ kinds }: { kinds: readonly Kind[] }) {
  const { values, set } = useFilters(["kind"]);
  // Above the tabs: a hidden panel's own effects end, and its runs would with them.
  const runs = useRuns();
  const first = kinds[0]?.id ?? "";
  const shown = kinds.some(({ id }) => id === values.kind) ? values.kind : first;
  return (
    <Tabs value={shown} onChange={(chosen) => set({ kind: chosen === first ? null : chosen })} keepMounted>
      <Tabs.List mb="lg">
        {kinds.map(({ id, title }) => <Tabs.Tab key={id} value={id}>{title}</Tabs.Tab>)}
      </Tabs.List>
      {kinds.map((kind) => (
        <Tabs.Panel key={kind.id} value={kind.id}><Bench kind={kind} runs={runs} isShown={kind.id === shown} /></Tabs.Panel>
      ))}
    </Tabs>
  );
}

/** A form, and below it what was run with it in this visit. */
function Bench({ kind: { id, title, Form, Earlier }, runs, isShown }: { kind: Kind; runs: Runs; isShown: boolean }) {
  const own = runs.runs.filter(({ kind }) => kind === id);
  return (
    <Stack gap="lg">
      <Section title={title}><Form start={(name, work) => runs.start(id, name, work)} /></Section>
      <Stack gap="sm" role="log" aria-live="polite" aria-label={`Runs: ${title}`}>
        {own.map((run) => <RunCard key={run.id} run={run} stop={() => runs.stop(run.id)} />)}
      </Stack>
      {Earlier && isShown && <Earlier />}
      {own.length === 0 && !Earlier && <Text c="dimmed" size="sm" ta="center">What you run is shown here. It is gone when the page is closed.</Text>}
    </Stack>
  );
}
