/** One chat with one model: what was said, and what can be done with it. */
import { useCallback, useEffect, useRef, useState } from "react";
import { messageOf, request } from "../../../api/client";
import { type AnswerTurn, bodyOf, emptyAnswer, readable, type Settings, type Turn } from "./chat";
import { Events, withEvent } from "./stream";

const ROUTE = "portal/v1/play/chat/completions";

export interface Chat {
  turns: readonly Turn[];
  busy: boolean;
  /** Says more turns and asks for the answer. */
  say: (more: readonly Turn[]) => void;
  /** Asks for the last answer once more. */
  retry: () => void;
  stop: () => void;
  clear: () => void;
}

export function useChat(model: string, settings: Settings): Chat {
  const [turns, setTurns] = useState<readonly Turn[]>([]);
  const [busy, setBusy] = useState(false);
  const stopping = useRef<AbortController | null>(null);
  useEffect(() => () => stopping.current?.abort(), []);

  const ask = useCallback(
    async (said: readonly Turn[]) => {
      const body = bodyOf(model, said, settings);
      const controller = new AbortController();
      stopping.current = controller;
      const show = (answer: AnswerTurn) => setTurns([...said, answer]);
      const began = performance.now();
      const took = () => Math.round(performance.now() - began);
      let answer = emptyAnswer(readable(body));
      setBusy(true);
      show(answer);
      try {
        const response = await request("POST", ROUTE, { body, signal: controller.signal });
        const { headers } = response;
        answer.figures = { ...answer.figures, requestId: headers.get("x-request-id"), node: headers.get("x-mira-node") };
        const events = new Events();
        for await (const text of pieces(response)) {
          for (const data of events.feed(text)) answer = withEvent(answer, data, took());
          answer = { ...answer, raw: { ...answer.raw, response: answer.raw.response + text } };
          show(answer);
        }
      } catch (error) {
        const stopped = controller.signal.aborted;
        answer = { ...answer, ...(stopped ? { finish: "stopped" } : { error: messageOf(error) }) };
      }
      if (stopping.current === controller) {
        setBusy(false);
        show({ ...answer, figures: { ...answer.figures, durationMs: took() } });
      }
    },
    [model, settings],
  );

  return {
    turns,
    busy,
    say: (more) => void ask([...turns, ...more]),
    retry: () => void ask(turns.slice(0, turns.findLastIndex(({ role }) => role !== "assistant") + 1)),
    stop: () => stopping.current?.abort(),
    clear: () => {
      stopping.current?.abort();
      stopping.current = null;
      setTurns([]);
      setBusy(false);
    },
  };
}

/** The text of an answer's body as it comes. */
async function* pieces(response: Response): AsyncGenerator<string> {
  if (!response.body) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) yield piece.value;
}
