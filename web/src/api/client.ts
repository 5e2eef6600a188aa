/**
 * The only way to the gateway: typed by the routes of `schema.ts`, which is made from the gateway's own table.
 *
 * Addresses are relative to the page, so that the portal works under a path prefix. The session's cookie goes with every
 * request; what changes anything also carries the session's CSRF token in a header.
 */
import type { Routes } from "./schema";

export type RouteName = keyof Routes;
export type Answer<R extends RouteName> = Routes[R]["answer"];
export type Body<R extends RouteName> = Routes[R]["body"];
export type QueryValue = string | number | boolean | null | undefined;

export interface CallOptions<R extends RouteName> {
  /** Values of `{name}` in the route's path. */
  path?: Record<string, string>;
  query?: Record<string, QueryValue>;
  body?: Body<R>;
  signal?: AbortSignal | undefined;
}

/** What the gateway refused, or that it could not be reached (`status` 0). */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
    /** The gateway's own word for the error, for instance `budget_exceeded`. */
    readonly code: string | null = null,
    /** The field of the body that was wrong. */
    readonly field: string | null = null,
    readonly requestId: string | null = null,
  ) {
    super(message);
    this.name = "ApiError";
  }
}

const CSRF_HEADER = "x-csrf-token";
let csrfToken = "";
let onSignedOut: () => void = () => undefined;

/** Keeps the token of the session that was opened or read. */
export function keepCsrfToken(token: string): void {
  csrfToken = token;
}

/** Says what to do when the gateway no longer knows the session. */
export function whenSignedOut(act: () => void): void {
  onSignedOut = act;
}

/** The absolute address of a path of the gateway, below its path prefix. */
export function addressOf(path: string, query: Record<string, QueryValue> = {}): string {
  const url = new URL(path.replace(/^\//, ""), document.baseURI.split("#")[0]);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, String(value));
  }
  return url.href;
}

/** A request under the session whose answer is read by the caller: streams and files. Refusals throw an ApiError. */
export async function request(
  method: string,
  path: string,
  options: { query?: Record<string, QueryValue>; body?: unknown; signal?: AbortSignal | undefined; accept?: string } = {},
): Promise<Response> {
  const headers = new Headers(options.accept === undefined ? {} : { accept: options.accept });
  if (method !== "GET") headers.set(CSRF_HEADER, csrfToken);
  const isForm = options.body instanceof FormData;
  // A form says its own type, with the boundary of its parts.
  if (options.body !== undefined && !isForm) headers.set("content-type", "application/json");
  let response: Response;
  try {
    response = await fetch(addressOf(path, options.query), {
      method,
      headers,
      credentials: "same-origin",
      body: options.body === undefined ? null : isForm ? (options.body as FormData) : JSON.stringify(options.body),
      signal: options.signal ?? null,
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError("Mira cannot be reached. Check that the gateway runs, then try again.", 0);
  }
  if (response.ok) return response;
  if (response.status === 401) onSignedOut();
  throw await refusal(response);
}

/** Calls a route of the table and reads its answer. */
export async function call<R extends RouteName>(route: R, options: CallOptions<R> = {}): Promise<Answer<R>> {
  const [method = "GET", template = ""] = route.split(" ");
  const path = template.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = options.path?.[name];
    if (value === undefined) throw new TypeError(`${route} needs ${name}`);
    // The ids of models have a slash, which their routes take as it is.
    return encodeURIComponent(value).replaceAll("%2F", "/");
  });
  const response = await request(method, path, options);
  const text = await response.text();
  return (text === "" ? undefined : JSON.parse(text)) as Answer<R>;
}

async function refusal(response: Response): Promise<ApiError> {
  const requestId = response.headers.get("x-request-id");
  try {
    const { error } = (await response.json()) as {
      error: { message: string; code?: string | null; type?: string; param?: string | null };
    };
    return new ApiError(error.message, response.status, error.code ?? error.type ?? null, error.param ?? null, requestId);
  } catch {
    return new ApiError(`The gateway answered with status ${response.status}.`, response.status, null, null, requestId);
  }
}

/** What to tell the reader of any thrown thing. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
