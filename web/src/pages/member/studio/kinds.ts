/** How each kind of work is asked for, under the session. */
import { ApiError, addressOf, request } from "../../../api/client";
import { dataUrl } from "../../../format/files";
import { decimalText } from "../../../format/money";
import { costOf, LEFT, type Told, type Work } from "./runs";

const PLAY = "portal/v1/play/";
const LOOK_EVERY_MS = 2000;

type Body = Record<string, unknown>;

/** Leaves out what was not filled in: the gateway has its own standards. */
export function given(body: Body): Body {
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== "" && value !== null && value !== undefined));
}

export function image(body: Body): Work {
  return async (signal) => {
    const response = await request("POST", `${PLAY}image`, { body: { ...body, response_format: "b64_json" }, signal });
    const made = (await response.json()) as { data: { b64_json?: string; url?: string }[]; output_format?: string };
    const type = made.output_format ?? "png";
    const files = made.data.map(({ b64_json, url }, at) => ({
      name: `image-${at + 1}.${type}`,
      url: b64_json ? `data:${typeOf(b64_json)};base64,${b64_json}` : (url ?? ""),
    }));
    return { ...costOf(response), output: { kind: "pictures", files } };
  };
}

/** A job for a video. Times are Unix seconds. */
export interface Job {
  id: string;
  status: string;
  model?: string;
  created_at?: number;
  progress?: number | null;
  error?: { message?: string } | null;
  usage?: { cost?: number | string | null } | null;
}

export function video(body: Body): Work {
  return async (signal, tell) => {
    const response = await request("POST", `${PLAY}video`, { body, signal });
    const { requestId, cost } = costOf(response);
    let job = (await response.json()) as Job;
    const cancel = () => {
      if (signal.reason !== LEFT) void request("DELETE", `${PLAY}video/${job.id}`).catch(() => undefined);
    };
    signal.addEventListener("abort", cancel, { once: true });
    while (job.status !== "completed" && job.status !== "failed") {
      tell({ requestId: requestId ?? null, note: job.progress ? `${job.status.replaceAll("_", " ")}, ${job.progress} %` : job.status.replaceAll("_", " ") });
      await wait(LOOK_EVERY_MS, signal);
      job = (await (await request("GET", `${PLAY}video/${job.id}`, { signal })).json()) as Job;
    }
    signal.removeEventListener("abort", cancel);
    if (job.status === "failed") throw new ApiError(job.error?.message ?? "The video could not be made.", 502);
    const told: Told = { requestId: requestId ?? null, note: "", cost: job.usage?.cost === undefined || job.usage.cost === null ? (cost ?? null) : decimalText(job.usage.cost) };
    return { ...told, output: { kind: "film", name: `${job.id}.mp4`, url: addressOf(`${PLAY}video/${job.id}/content`) } };
  };
}

export function speech(body: Body): Work {
  return async (signal) => {
    // As JSON, since bare sound is sent before its cost is known.
    const response = await request("POST", `${PLAY}speech`, { body, signal, accept: "application/json" });
    const made = (await response.json()) as { audio: string; format: string; mime_type: string };
    return { ...costOf(response), output: { kind: "sound", name: `speech.${made.format}`, url: `data:${made.mime_type};base64,${made.audio}` } };
  };
}

export function transcription(file: File, fields: Body): Work {
  return async (signal) => {
    const form = new FormData();
    form.set("file", file);
    for (const [name, value] of Object.entries(fields)) form.set(name, String(value));
    const response = await request("POST", `${PLAY}audio/transcriptions`, { body: form, signal });
    const { text } = (await response.json()) as { text: string };
    return { ...costOf(response), output: { kind: "text", name: `${file.name}.txt`, text } };
  };
}

export function page(body: Body): Work {
  return async (signal) => {
    const response = await request("POST", `${PLAY}fetch`, { body, signal });
    const found = (await response.json()) as { content: string; encoding: string; format: string; final_url: string; status: number; warnings: string[] };
    const ending = { markdown: "md", html: "html" }[found.format] ?? "txt";
    const said = [`status ${found.status}`, found.final_url, ...found.warnings].join(" · ");
    const text = found.encoding === "base64" ? "The page is no text; the download is in base64.\n\n" + found.content : found.content;
    return { ...costOf(response), note: said, output: { kind: "text", name: `page.${ending}`, text } };
  };
}

export function upload(file: File): Work {
  return async (signal) => {
    const response = await request("POST", `${PLAY}upload`, { body: { data: await base64Of(file), mime_type: file.type || "application/octet-stream", filename: file.name }, signal });
    const kept = (await response.json()) as { id: string; url: string; mime_type: string; bytes: number };
    return { ...costOf(response), cost: "0", output: { kind: "upload", id: kept.id, address: kept.url, mimeType: kept.mime_type, bytes: kept.bytes } };
  };
}

/** Removes an upload. */
export async function removeUpload(id: string): Promise<void> {
  await request("DELETE", `${PLAY}files/${id}`);
}


async function base64Of(file: File): Promise<string> {
  const url = await dataUrl(file);
  return url.slice(url.indexOf(",") + 1);
}

/** The type of a picture by its first bytes, as base64 shows them. */
function typeOf(data: string): string {
  if (data.startsWith("/9j/")) return "image/jpeg";
  if (data.startsWith("UklGR")) return "image/webp";
  if (data.startsWith("R0lGOD")) return "image/gif";
  return data.startsWith("PHN2Zy") || data.startsWith("PD94bW") ? "image/svg+xml" : "image/png";
}

function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    }, { once: true });
  });
}
