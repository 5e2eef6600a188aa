/** Reads a streamed answer of Chat Completions, piece by piece, in whatever pieces it comes. */
import { decimalText } from "../../../format/money.ts";
import type { AnswerTurn, ToolCall } from "./chat";

/** Cuts a stream of server-sent events into their data. Comments, which keep a connection alive, are left out. */
export class Events {
  #rest = "";

  feed(text: string): string[] {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? "";
    return lines.flatMap((line) => (line.startsWith("data:") ? [line.slice(5).trimStart()] : []));
  }
}

interface Delta {
  content?: string | null;
  reasoning?: string | null;
  reasoning_content?: string | null;
  tool_calls?: { index: number; id?: string; function?: { name?: string; arguments?: string } }[];
  images?: { image_url?: { url?: string } }[];
}

interface Chunk {
  choices?: { delta?: Delta; finish_reason?: string | null }[];
  usage?: { prompt_tokens?: number; completion_tokens?: number; cost?: number | string | null } | null;
  error?: { message?: string };
}

/** The answer with one event's data in it; `afterMs` is how long after the start it came. */
export function withEvent(answer: AnswerTurn, data: string, afterMs: number): AnswerTurn {
  if (data === "[DONE]") return answer;
  let chunk: Chunk;
  try {
    chunk = JSON.parse(data) as Chunk;
  } catch {
    return { ...answer, error: "The answer has a part that cannot be read." };
  }
  if (chunk.error) return { ...answer, error: chunk.error.message ?? "The answer was broken off." };
  const next = { ...answer, figures: { ...answer.figures } };
  const choice = chunk.choices?.[0];
  if (choice?.delta) {
    addDelta(next, choice.delta);
    if (isContent(choice.delta)) next.figures.firstContentMs ??= afterMs;
  }
  if (choice?.finish_reason) next.finish = choice.finish_reason;
  if (chunk.usage) {
    next.figures.promptTokens = chunk.usage.prompt_tokens ?? null;
    next.figures.completionTokens = chunk.usage.completion_tokens ?? null;
    if (chunk.usage.cost !== undefined && chunk.usage.cost !== null) next.figures.cost = decimalText(chunk.usage.cost);
  }
  return next;
}

function addDelta(answer: AnswerTurn, delta: Delta): void {
  answer.text += delta.content ?? "";
  answer.reasoning += delta.reasoning_content ?? delta.reasoning ?? "";
  const pictures = (delta.images ?? []).flatMap((image) => image.image_url?.url ?? []);
  if (pictures.length > 0) answer.pictures = [...answer.pictures, ...pictures];
  for (const piece of delta.tool_calls ?? []) {
    const calls = [...answer.toolCalls];
    const before: ToolCall = calls[piece.index] ?? { id: "", name: "", arguments: "" };
    calls[piece.index] = {
      id: before.id || (piece.id ?? ""),
      name: before.name + (piece.function?.name ?? ""),
      arguments: before.arguments + (piece.function?.arguments ?? ""),
    };
    answer.toolCalls = calls;
  }
}

function isContent(delta: Delta): boolean {
  return Boolean(delta.content || delta.reasoning_content || delta.reasoning || delta.tool_calls?.length || delta.images?.length);
}
