/**
 * A chat as the playground keeps it, and what it says on the wire: bodies, and the lines to copy that do the same.
 */

export interface ToolCall {
  id: string;
  name: string;
  arguments: string;
}

export interface Picture {
  name: string;
  /** A data URL, which any node takes. */
  url: string;
}

/** What an answer took, as far as it is known yet. Costs are decimal credits; times are milliseconds from the start. */
export interface Figures {
  requestId: string | null;
  node: string | null;
  cost: string | null;
  promptTokens: number | null;
  completionTokens: number | null;
  firstContentMs: number | null;
  durationMs: number | null;
}

export type Turn =
  | { role: "user"; text: string; pictures: Picture[] }
  | { role: "tool"; callId: string; text: string }
  | {
      role: "assistant";
      text: string;
      reasoning: string;
      pictures: string[];
      toolCalls: ToolCall[];
      figures: Figures;
      finish: string | null;
      /** Why it did not come, or not whole. */
      error: string | null;
      raw: { request: string; response: string };
    };

export type AnswerTurn = Extract<Turn, { role: "assistant" }>;

export interface Settings {
  system: string;
  temperature: string;
  maxTokens: string;
  effort: string;
  /** A JSON list of tools, as in the request; "" for none. */
  tools: string;
}

export const NO_SETTINGS: Settings = { system: "", temperature: "", maxTokens: "", effort: "", tools: "" };

export type Body = Record<string, unknown> & { model: string; messages: unknown[] };

/** The list of tools, or why it cannot be sent. */
export function readTools(text: string): { tools: unknown[] | null; error: string | null } {
  if (text.trim() === "") return { tools: null, error: null };
  try {
    const tools: unknown = JSON.parse(text);
    if (!Array.isArray(tools)) return { tools: null, error: "This has to be a JSON list of tools." };
    return { tools: tools.length > 0 ? tools : null, error: null };
  } catch (error) {
    return { tools: null, error: `This is no JSON: ${error instanceof Error ? error.message : String(error)}` };
  }
}

/** The body of the next request of a chat. */
export function bodyOf(model: string, turns: readonly Turn[], settings: Settings): Body {
  const messages: unknown[] = settings.system.trim() ? [{ role: "system", content: settings.system }] : [];
  for (const turn of turns) messages.push(messageOf(turn));
  const { tools } = readTools(settings.tools);
  return {
    model,
    messages,
    stream: true,
    stream_options: { include_usage: true },
    ...(settings.temperature !== "" && { temperature: Number(settings.temperature) }),
    ...(settings.maxTokens !== "" && { max_tokens: Number(settings.maxTokens) }),
    ...(settings.effort !== "" && { reasoning_effort: settings.effort }),
    ...(tools && { tools }),
  };
}

function messageOf(turn: Turn): unknown {
  if (turn.role === "tool") return { role: "tool", tool_call_id: turn.callId, content: turn.text };
  if (turn.role === "user") {
    if (turn.pictures.length === 0) return { role: "user", content: turn.text };
    const pictures = turn.pictures.map(({ url }) => ({ type: "image_url", image_url: { url } }));
    return { role: "user", content: [{ type: "text", text: turn.text }, ...pictures] };
  }
  const calls = turn.toolCalls.map(({ id, name, arguments: given }) => ({ id, type: "function", function: { name, arguments: given } }));
  return { role: "assistant", content: turn.text, ...(calls.length > 0 && { tool_calls: calls }) };
}

/** An answer that has just been asked for. */
export function emptyAnswer(request: string): AnswerTurn {
  const figures = { requestId: null, node: null, cost: null, promptTokens: null, completionTokens: null, firstContentMs: null, durationMs: null };
  return { role: "assistant", text: "", reasoning: "", pictures: [], toolCalls: [], figures, finish: null, error: null, raw: { request, response: "" } };
}

const LONG_DATA = /"data:([\w/+.-]+);base64,[^"]{64,}"/g;

/** JSON for reading: the data of pictures cut short. */
export function readable(value: unknown): string {
  return JSON.stringify(value, null, 2).replace(LONG_DATA, '"data:$1;base64,…"');
}

/** The request as a curl command. */
export function asCurl(baseUrl: string, body: Body): string {
  const quoted = readable(body).replaceAll("'", "'\\''");
  return [
    `curl ${baseUrl}/v1/chat/completions \\`,
    '  -H "Authorization: Bearer $MIRA_API_KEY" \\',
    '  -H "Content-Type: application/json" \\',
    `  -d '${quoted}'`,
  ].join("\n");
}

/** The request with the openai package for Python. */
export function asPython(baseUrl: string, body: Body): string {
  const { model, messages, stream: _, stream_options: __, ...more } = body;
  const fields = Object.entries({ model, messages, ...more }).map(([name, value]) => `    ${name}=${python(value, 1)},`);
  return [
    "import os",
    "",
    "from openai import OpenAI",
    "",
    `client = OpenAI(base_url=${JSON.stringify(`${baseUrl}/v1`)}, api_key=os.environ["MIRA_API_KEY"])`,
    "stream = client.chat.completions.create(",
    ...fields,
    "    stream=True,",
    ")",
    "for chunk in stream:",
    "    if chunk.choices:",
    '        print(chunk.choices[0].delta.content or "", end="", flush=True)',
    "",
  ].join("\n");
}

/** A JSON value in Python's words. */
export function python(value: unknown, depth = 0): string {
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "number") return String(value);
  if (typeof value === "string") return JSON.stringify(value.startsWith("data:") && value.length > 96 ? `${value.slice(0, value.indexOf(",") + 1)}…` : value);
  const [open, close] = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
  const parts = Array.isArray(value)
    ? value.map((each) => python(each, depth + 1))
    : Object.entries(value as object).map(([name, each]) => `${JSON.stringify(name)}: ${python(each, depth + 1)}`);
  const line = `${open}${parts.join(", ")}${close}`;
  if (line.length < 80 && !line.includes("\n")) return line;
  const indent = "    ".repeat(depth + 1);
  return `${open}\n${parts.map((part) => `${indent}${part},\n`).join("")}${"    ".repeat(depth)}${close}`;
}
