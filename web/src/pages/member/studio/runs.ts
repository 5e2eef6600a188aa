/** What was run in this visit: each with its state, its cost and what came of it. */
import { useCallback, useEffect, useRef, useState } from "react";
import { messageOf } from "../../../api/client";

export type Output =
  | { kind: "pictures"; files: { name: string; url: string }[] }
  | { kind: "sound" | "film"; name: string; url: string }
  | { kind: "text"; name: string; text: string }
  | { kind: "upload"; id: string; address: string; mimeType: string; bytes: number };

/** Why a run is given up: its page was left. Work that goes on at the gateway is not ended by that. */
export const LEFT = new DOMException("The page was left.", "AbortError");

/** What a run tells when it is done, or on its way: `note` says how it stands. */
export interface Told {
  output?: Output;
  cost?: string | null;
  requestId?: string | null;
  note?: string;
}

export interface Run extends Told {
  id: number;
  /** What it was run with: a kind of the studio. */
  kind: string;
  title: string;
  state: "running" | "succeeded" | "failed" | "stopped";
  tookMs: number | null;
  error?: string;
}

/** Does the work; `tell` says how it stands meanwhile. */
export type Work = (signal: AbortSignal, tell: (told: Told) => void) => Promise<Told>;

export interface Runs {
  runs: readonly Run[];
  start: (kind: string, title: string, work: Work) => void;
  stop: (id: number) => void;
}

/** Costs as their header has them: decimal credits. */
export function costOf(response: Response): Pick<Told, "cost" | "requestId"> {
  return { cost: response.headers.get("x-mira-cost"), requestId: response.headers.get("x-request-id") };
}

export function useRuns(): Runs {
  const [runs, setRuns] = useState<readonly Run[]>([]);
  const stoppers = useRef(new Map<number, AbortController>());
  const last = useRef(0);
  useEffect(() => () => stoppers.current.forEach((stopper) => stopper.abort(LEFT)), []);
  const start = useCallback((kind: string, title: string, work: Work) => {
    const id = ++last.current;
    const stopper = new AbortController();
    stoppers.current.set(id, stopper);
    const began = performance.now();
    const change = (changes: Partial<Run>) => setRuns((before) => before.map((run) => (run.id === id ? { ...run, ...changes } : run)));
    setRuns((before) => [{ id, kind, title, state: "running", tookMs: null }, ...before]);
    void work(stopper.signal, change).then(
      (told) => change({ ...told, state: "succeeded", tookMs: performance.now() - began }),
      (error: unknown) => {
        const stopped = stopper.signal.aborted;
        change({ state: stopped ? "stopped" : "failed", tookMs: performance.now() - began, ...(!stopped && { error: messageOf(error) }) });
      },
    );
  }, []);
  return {
    runs,
    start,
    stop: (id) => stoppers.current.get(id)?.abort(),
  };
}
