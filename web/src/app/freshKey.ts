/**
 * The key that was made a moment ago, with its secret, so that Connect can show snippets that work as they stand. It is
 * only in this page's memory: a reload forgets it, and so does signing out.
 */
import { useSyncExternalStore } from "react";

export interface FreshKey {
  id: string;
  name: string;
  secret: string;
}

let fresh: FreshKey | null = null;
const listeners = new Set<() => void>();

export function keepFreshKey(key: FreshKey | null): void {
  fresh = key;
  for (const listener of listeners) listener();
}

export function useFreshKey(): FreshKey | null {
  return useSyncExternalStore(subscribe, () => fresh);
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
