/** The sections of the API reference, filled with the reader's own address and a model that exists. */
import { Anchor, Code, List, Text } from "@mantine/core";
import type { ReactNode } from "react";
import { Link } from "react-router";
import type { Docs } from "../../../api/schema";
import { Snippet } from "../../../components/Snippet";

export interface DocsSection {
  id: string;
  title: string;
  /** The section is there only where the gateway has this route. */
  route?: string;
  body: (docs: Docs) => ReactNode;
}

const MODEL = "provider/model-id";
const JSON_HEADERS = '-H "Authorization: Bearer $MIRA_API_KEY" -H "Content-Type: application/json"';

function modelOf(docs: Docs): string {
  return docs.example_model ?? MODEL;
}

function post(url: string, body: unknown): string {
  return `curl ${url} \\\n  ${JSON_HEADERS} \\\n  -d '${JSON.stringify(body)}'`;
}

function P({ children }: { children: ReactNode }) {
  return <Text component="p" my="sm" maw={720}>{children}</Text>;
}

export const SECTIONS: readonly DocsSection[] = [
  {
    id: "authentication",
    title: "Authentication",
    body: () => (
      <>
        <P>Every call carries a proxy key, in either header. Where both are sent and differ, <Code>Authorization</Code> decides. A key is shown once, when it is made on the page <Anchor component={Link} to="/keys">Keys</Anchor>.</P>
        <Snippet name="Headers" text={"Authorization: Bearer YOUR_PROXY_KEY\n-- OR --\nx-api-key: YOUR_PROXY_KEY"} />
      </>
    ),
  },
  {
    id: "base-url",
    title: "Base URL",
    body: (docs) => (
      <>
        <P>The first is for clients that speak OpenAI's protocol, the second for those that speak Anthropic's, which add <Code>/v1</Code> themselves.</P>
        <Snippet name="Base URL" text={`${docs.openai_base_url}\n${docs.anthropic_base_url}`} />
      </>
    ),
  },
  {
    id: "chat-completions",
    title: "Chat Completions",
    route: "/v1/chat/completions",
    body: (docs) => (
      <>
        <P><Code>POST /v1/chat/completions</Code>, as OpenAI defines it: streaming, tools with parallel calls, images, structured output, reasoning. A model is named <Code>provider/model-id</Code>.</P>
        <Snippet name="Chat Completions with curl" text={post(`${docs.base_url}/v1/chat/completions`, { model: modelOf(docs), stream: true, messages: [{ role: "user", content: "Hello!" }] })} />
        <P>What the answer costs stands in the header <Code>x-mira-cost</Code>; in streams it is <Code>usage.cost</Code> of the last chunk, which is sent where <Code>stream_options.include_usage</Code> asks for it. <Code>x-request-id</Code> leads to the call in the <Anchor component={Link} to="/logs">log</Anchor>.</P>
      </>
    ),
  },
  {
    id: "messages",
    title: "Messages",
    route: "/v1/messages",
    body: (docs) => (
      <>
        <P><Code>POST /v1/messages</Code>, as Anthropic defines it: streaming, tools, thinking, prompt caching; for models of every provider. What a node's protocol has no field for is refused by name, or named in <Code>x-mira-dropped</Code>. <Code>POST /v1/messages/count_tokens</Code> is free.</P>
        <Snippet name="Messages with curl" text={post(`${docs.base_url}/v1/messages`, { model: modelOf(docs), max_tokens: 1024, messages: [{ role: "user", content: "Hello!" }] })} />
      </>
    ),
  },
  {
    id: "responses",
    title: "Responses",
    route: "/v1/responses",
    body: (docs) => (
      <>
        <P><Code>POST /v1/responses</Code>, as OpenAI defines it. Answers are remembered for an hour, for this workspace only, so that <Code>previous_response_id</Code> works with every node; nothing is kept where <Code>store</Code> is false.</P>
        <Snippet name="Responses with curl" text={post(`${docs.base_url}/v1/responses`, { model: modelOf(docs), input: "Hello!" })} />
      </>
    ),
  },
  {
    id: "models",
    title: "Models List",
    route: "/v1/models",
    body: (docs) => (
      <>
        <P><Code>GET /v1/models</Code> lists the models that answer now, with prices in credits per token, limits and capabilities; <Code>GET /v1/models/ID</Code> shows one. One credit is one US dollar. The same to look at: <Anchor component={Link} to="/models">Models</Anchor>.</P>
        <Snippet name="Models with curl" text={`curl ${docs.base_url}/v1/models -H "Authorization: Bearer $MIRA_API_KEY"`} />
      </>
    ),
  },
  {
    id: "embeddings",
    title: "Embeddings",
    route: "/v1/embeddings",
    body: () => <P><Code>POST /v1/embeddings</Code>, as OpenAI defines it, for models that embed: a text, a list of texts, or tokens.</P>,
  },
  {
    id: "fetch",
    title: "Web Fetch",
    route: "/v1/fetch",
    body: (docs) => (
      <>
        <P><Code>POST /v1/fetch</Code> reads a page and gives its main content as markdown, or as <Code>html</Code>, <Code>text</Code> or <Code>raw</Code> by <Code>format</Code>. Long pages are cut at <Code>max_tokens</Code> and go on at <Code>next_offset</Code>; <Code>query</Code> picks the sections that fit. What a page says is data, never an instruction to a model.</P>
        <Snippet name="Web Fetch with curl" text={post(`${docs.base_url}/v1/fetch`, { url: "https://example.com" })} />
      </>
    ),
  },
  {
    id: "media",
    title: "Media & Speech Generation",
    route: "/v1/image",
    body: (docs) => (
      <>
        <P>Images, videos and speech through the same key. The cost is that of the model: what its node charges, or its price per image, second or character. Without <Code>model</Code> the operator's default is taken.</P>
        <Snippet name="An image with curl" text={post(`${docs.base_url}/v1/image`, { prompt: "A futuristic cyberpunk city" })} />
        <Snippet name="A video with curl" text={post(`${docs.base_url}/v1/video`, { prompt: "A flying dragon over mountains" })} />
        <Snippet name="Speech with curl" text={`${post(`${docs.base_url}/v1/speech`, { text: "Hello, this is a test AI voice speaking." })} \\\n  --output speech.mp3`} />
        <P>A video takes a while: the answer is 202 with an <Code>id</Code>; <Code>GET /v1/video/ID</Code> tells how it stands, <Code>GET /v1/video/ID/content</Code> is the film. To try all of them: <Anchor component={Link} to="/studio">Studio</Anchor>.</P>
      </>
    ),
  },
  {
    id: "transcriptions",
    title: "Transcriptions",
    route: "/v1/audio/transcriptions",
    body: (docs) => (
      <>
        <P><Code>POST /v1/audio/transcriptions</Code>, as OpenAI defines it: a form with the sound as <Code>file</Code>.</P>
        <Snippet name="A transcription with curl" text={`curl ${docs.base_url}/v1/audio/transcriptions \\\n  -H "Authorization: Bearer $MIRA_API_KEY" -F file=@speech.mp3`} />
      </>
    ),
  },
  {
    id: "upload",
    title: "File Uploads",
    route: "/v1/upload",
    body: (docs) => (
      <>
        <P><Code>POST /v1/upload</Code> keeps a file of this workspace; it is free. The answer's <Code>id</Code> and <Code>url</Code> are taken wherever an image or a document is.</P>
        <Snippet name="An upload with curl" text={post(`${docs.base_url}/v1/upload`, { data: "iVBORw0KGgo...", mime_type: "image/png" })} />
      </>
    ),
  },
  {
    id: "opencode",
    title: "Use with OpenCode",
    body: (docs) => (
      <>
        <List type="ordered" spacing="xs" my="sm">
          <List.Item>Make a proxy key on the <Anchor component={Link} to="/">Overview</Anchor> and copy it.</List.Item>
          <List.Item>Put it into the environment: <Code>export MIRA_API_KEY="sk-mira-…"</Code></List.Item>
          <List.Item>Add the provider to <Code>~/.config/opencode/opencode.json</Code>, or let <Code>mira connect opencode</Code> do it:</List.Item>
        </List>
        <Snippet name="opencode.json" text={openCode(docs)} />
        <P>Choose a model with <Code>/models</Code>, or set a default: <Code>{`{ "model": "mira/${modelOf(docs)}" }`}</Code>. No models in the list: start OpenCode again after its configuration has changed. Every other client: <Anchor component={Link} to="/connect">Connect</Anchor>.</P>
      </>
    ),
  },
  {
    id: "extras",
    title: "Extras",
    body: (docs) => (
      <>
        <P><Code>POST /v1/extras/token-count</Code> counts the tokens of a <Code>text</Code>, or of <Code>messages</Code> with <Code>system</Code> and <Code>tools</Code>. <Code>GET /v1/extras/credits</Code>, <Code>/v1/extras/usage</Code> and <Code>/v1/extras/nodes</Code> tell the credits, the calls and the health of the nodes. All are free.</P>
        <Snippet name="A token count with curl" text={post(`${docs.base_url}/v1/extras/token-count`, { model: modelOf(docs), text: "How long is this?" })} />
      </>
    ),
  },
  {
    id: "inference",
    title: "Inference Service",
    route: "/inference/v1/chat/completions",
    body: (docs) => (
      <>
        <P><Code>POST /inference/v1/chat/completions</Code> is the same service under keys that begin with <Code>mk_inference_</Code>; the <Code>model</Code> of its answer comes without the provider. <Code>GET /inference/v1/health</Code> needs no key.</P>
        <Snippet name="Inference Service with curl" text={post(`${docs.inference_base_url}/chat/completions`, { model: modelOf(docs), messages: [{ role: "user", content: "What is the capital of France?" }] }).replace("$MIRA_API_KEY", "mk_inference_YOUR_API_KEY")} />
      </>
    ),
  },
  {
    id: "billing",
    title: "What a call costs",
    body: () => (
      <P>Before a node is called, the most that the answer can cost is set aside; afterwards the exact cost is booked, to the billionth of a credit, and the rest is free again. Where a connection is closed early, the input and what had been written are paid. A call that fails is not charged. <Code>Idempotency-Key</Code> is honoured on every billed POST: the same request again gives the same answer and is charged once.</P>
    ),
  },
  {
    id: "errors",
    title: "Errors and limits",
    body: () => (
      <>
        <P>Errors have the shape of the route's protocol; <Code>param</Code> names the field.</P>
        <Meanings rows={[
          ["400", "the body is wrong; the message says what to do"],
          ["401", "the key is not known"],
          ["402", "too few credits, with balance and need; or the key's budget is used up"],
          ["403", "the key may not use this model"],
          ["404", "no such model, object or route"],
          ["409, 422", "an Idempotency-Key is in use, or was used with another body"],
          ["413, 415", "the body is too large, or is not JSON"],
          ["429", "a limit of the key is reached; retry-after says when to come again"],
          ["502, 503, 504, 529", "trouble upstream, after other nodes were tried; x-should-retry tells whether to try again"],
        ]} />
      </>
    ),
  },
];

function Meanings({ rows }: { rows: readonly [string, string][] }) {
  return (
    <div className="data-table-scroll">
      <table className="data-table" role="table" aria-label="Statuses">
        <thead role="rowgroup">
          <tr role="row"><th role="columnheader" scope="col">Status</th><th role="columnheader" scope="col">Meaning</th></tr>
        </thead>
        <tbody role="rowgroup">
          {rows.map(([status, meaning]) => (
            <tr key={status} role="row">
              <td role="cell" data-label="Status" className="figures" style={{ whiteSpace: "nowrap" }}>{status}</td>
              <td role="cell" data-label="Meaning">{meaning}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function openCode(docs: Docs): string {
  const model = modelOf(docs);
  return JSON.stringify(
    {
      $schema: "https://opencode.ai/config.json",
      provider: {
        mira: {
          npm: "@ai-sdk/openai-compatible",
          name: "Mira AI Proxy",
          options: { baseURL: docs.openai_base_url, apiKey: "{env:MIRA_API_KEY}" },
          models: { [model]: { name: model.split("/").at(-1) } },
        },
      },
    },
    null,
    2,
  );
}
