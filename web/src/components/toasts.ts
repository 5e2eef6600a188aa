import { useSyncExternalStore } from "react";
import { messageOf } from "../api/client";

export interface Toast {
  id: number;
  message: string;
  tone: "good" | "warn" | "bad";
}

let told: readonly Toast[] = [];
const listeners = new Set<() => void>();

/** A short word in the corner. Screen readers say it; faults stay until they are closed. */
export function tell(message: string, tone: Toast["tone"] = "good"): void {
  told = [...told, { id: told.length, message, tone }];
  for (const listener of listeners) listener();
}

/** Says what went wrong. */
export function tellFailure(error: unknown): void {
  tell(messageOf(error), "bad");
}

/** Every toast of this visit, for the one that draws them. */
export function useToasts(): readonly Toast[] {
  return useSyncExternalStore(subscribe, () => told);
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
