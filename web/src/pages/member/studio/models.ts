/** Which models make what: the rows of `/v1/models`, which say that of every kind of output. */
import { useQuery } from "@tanstack/react-query";
import { request } from "../../../api/client";
import type { ModelRow } from "./prices";

export type Made = "image" | "video" | "speech" | "transcription";

/** The models that can be called for this now; all of them where the gateway does not tell. */
export function useMakers(made: Made): ModelRow[] {
  const models = useQuery({ queryKey: ["play/models"], queryFn: ({ signal }) => readModels(signal) });
  return (models.data ?? []).filter(({ available, architecture }) => available && (architecture?.output_modalities?.includes(made) ?? true));
}

async function readModels(signal: AbortSignal): Promise<ModelRow[]> {
  const response = await request("GET", "portal/v1/play/models", { signal });
  return ((await response.json()) as { data: ModelRow[] }).data;
}
