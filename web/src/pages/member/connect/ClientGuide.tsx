import { Anchor, List, Stack, Text, Title } from "@mantine/core";
import type { ReactNode } from "react";
import type { ConnectClient } from "../../../api/schema";
import { Snippet } from "../../../components/Snippet";

interface ClientGuideProps {
  client: ConnectClient;
  placeholder: string;
  /** The key that was made a moment ago; else the placeholder stays. */
  secret: string | null;
}

/** The steps of one client: its files, its commands, and what to mind. */
export function ClientGuide({ client, placeholder, secret }: ClientGuideProps) {
  const filled = (text: string) => (secret ? text.replaceAll(placeholder, secret) : text);
  const { command, environment, files, notes, run, snippet } = client;
  return (
    <Stack>
      <Text size="sm" c="dimmed">Speaks {client.protocol}.</Text>
      {environment && <Step title="Put the key into the environment"><Snippet name="Terminal" text={filled(environment.text)} /></Step>}
      {files.length > 0 && (
        <Step title={files.length === 1 ? "Write its file" : "Write its files"}>
          {files.map(({ path, text }) => (
            <div key={path}>
              <Snippet name={path} text={filled(text)} />
              <Download path={path} text={filled(text)} />
            </div>
          ))}
          {command && (
            <>
              <Text size="sm">Or let Mira write it, into what is there already:</Text>
              <Snippet name="Terminal, where mira is installed" text={filled(command.text)} />
            </>
          )}
        </Step>
      )}
      {snippet && <Snippet name={client.title} text={filled(snippet.text)} />}
      {run && <Step title="Ask something"><Snippet name="Terminal" text={filled(run.text)} /></Step>}
      {notes.length > 0 && <List size="sm" spacing={4}>{notes.map((note) => <List.Item key={note}>{note}</List.Item>)}</List>}
    </Stack>
  );
}

function Step({ title, children }: { title: string; children: ReactNode }) {
  return (
    <Stack gap="xs">
      <Title order={2} size="h4">{title}</Title>
      {children}
    </Stack>
  );
}

/** The file as a download, made in the page: the key does not go over the network again. */
function Download({ path, text }: { path: string; text: string }) {
  const name = path.split("/").at(-1) ?? path;
  const save = () => {
    const address = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
    const link = document.createElement("a");
    link.href = address;
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  };
  return <Anchor component="button" type="button" size="sm" mt={4} onClick={save}>Download {name}</Anchor>;
}
