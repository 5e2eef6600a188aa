// Made by scripts/web_types.py from the table of routes; not to be edited.

export interface Budget {
  amount: string;
  period: "day" | "month" | "total" | "week";
}

export interface BudgetLine {
  amount: string;
  period: "day" | "month" | "total" | "week";
  spent: string;
  held: string;
  left: string;
  resets_at_ms: number | null;
}

export interface CallLine {
  id: string;
  client_request_id: string | null;
  upstream_request_id: string | null;
  workspace_id: string;
  key_id: string;
  face: string;
  protocol: string;
  model: string;
  node: string | null;
  stream: boolean;
  started_at_ms: number;
  first_content_ms: number | null;
  duration_ms: number;
  attempts: number;
  status: number;
  error: string | null;
  usage: CallUsage;
  cost: string;
  held: string;
  computed_cost: string;
  reported_cost: string | null;
}

export interface CallLines {
  data: CallLine[];
  next: string | null;
  object?: string;
}

export interface CallUsage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  cache_read_tokens: number;
  cache_write_tokens: number;
  reasoning_tokens: number;
  estimated: boolean;
}

export interface Chunk {
  headings: string[];
  score: number;
}

export interface Connect {
  base_url: string;
  placeholder: string;
  model: string | null;
  models: string[];
  clients: ConnectClient[];
  troubles: Trouble[];
}

export interface ConnectClient {
  id: string;
  title: string;
  protocol: string;
  environment: ConnectSnippet | null;
  files: ConnectFile[];
  snippet: ConnectSnippet | null;
  command: ConnectSnippet | null;
  run: ConnectSnippet | null;
  notes: string[];
}

export interface ConnectFile {
  path: string;
  language: "javascript" | "json" | "python" | "shell" | "toml" | "yaml";
  text: string;
  secret: boolean;
}

export interface ConnectSnippet {
  language: "javascript" | "json" | "python" | "shell" | "toml" | "yaml";
  text: string;
}

export interface FetchAnswer {
  id?: string;
  object?: string;
  url: string;
  final_url: string;
  status: number;
  content_type: string;
  title: string | null;
  format: "html" | "markdown" | "raw" | "text";
  content: string;
  markdown?: string;
  encoding?: "base64" | "utf-8";
  metadata: Metadata;
  links: Link[];
  chunks?: Chunk[];
  tokens: number;
  total_tokens: number;
  truncated: boolean;
  next_offset: number | null;
  cached: boolean;
  age_s: number;
  fetched_at: string;
  rendered: boolean;
  warnings: string[];
  timing_ms: Timing;
  usage?: Spent;
}

export interface FetchRequest {
  url: string;
  format?: "html" | "markdown" | "raw" | "text";
  main_content?: boolean;
  include_selectors?: string[];
  exclude_selectors?: string[];
  links?: "inline" | "list" | "text";
  images?: "alt" | "inline" | "none";
  max_tokens?: number;
  offset?: number;
  query?: string | null;
  max_chunks?: number;
  max_age?: number;
  timeout_ms?: number;
  render?: "always" | "auto" | "never";
  wait_for?: string | null;
  pages?: string | null;
  headers?: Record<string, string>;
  respect_robots?: boolean;
}

export interface KeyChange {
  name?: string;
  models?: string[] | null;
  expires_at?: string | null;
  disabled?: boolean;
  member?: string | null;
  rpm?: number | null;
  tpm?: number | null;
  concurrency?: number | null;
  budget?: Budget | null;
}

export interface KeyDomains {
  allow?: string[] | null;
  block?: string[];
}

export interface KeyLine {
  id: string;
  workspace_id: string;
  member: string | null;
  name: string;
  kind: "inference" | "proxy";
  prefix: string;
  last4: string;
  models: string[] | null;
  expires_at_ms: number | null;
  disabled: boolean;
  revoked_at_ms: number | null;
  created_at_ms: number;
  rpm: number | null;
  tpm: number | null;
  concurrency: number | null;
  budget: BudgetLine | null;
}

export interface KeyLineMade {
  id: string;
  workspace_id: string;
  member: string | null;
  name: string;
  kind: "inference" | "proxy";
  prefix: string;
  last4: string;
  models: string[] | null;
  expires_at_ms: number | null;
  disabled: boolean;
  revoked_at_ms: number | null;
  created_at_ms: number;
  rpm: number | null;
  tpm: number | null;
  concurrency: number | null;
  budget: BudgetLine | null;
  secret: string;
}

export interface KeyLines {
  data: KeyLine[];
  object?: string;
}

export interface LedgerCheck {
  ok: boolean;
  invariants: Record<string, Record<string, unknown>>;
  alarms: Record<string, unknown>;
}

export interface Link {
  text: string;
  url: string;
}

export interface MemberChange {
  name?: string;
  email?: string | null;
  disabled?: boolean;
  rpm?: number | null;
  tpm?: number | null;
  concurrency?: number | null;
  budget?: Budget | null;
}

export interface MemberLine {
  id: string;
  workspace_id: string;
  name: string;
  email: string | null;
  disabled: boolean;
  created_at_ms: number;
  rpm: number | null;
  tpm: number | null;
  concurrency: number | null;
  budget: BudgetLine | null;
}

export interface MemberLines {
  data: MemberLine[];
  object?: string;
}

export interface Metadata {
  description?: string | null;
  author?: string | null;
  published?: string | null;
  site_name?: string | null;
  canonical?: string | null;
  language?: string | null;
}

export interface NewCredits {
  amount: string;
  reference: string;
}

export interface NewKey {
  name: string;
  kind?: "inference" | "proxy";
  models?: string[] | null;
  expires_at?: string | null;
  member?: string | null;
  rpm?: number | null;
  tpm?: number | null;
  concurrency?: number | null;
  budget?: Budget | null;
}

export interface NewMember {
  name: string;
  email?: string | null;
  rpm?: number | null;
  tpm?: number | null;
  concurrency?: number | null;
  budget?: Budget | null;
}

export interface NewNode {
  name: string;
  kind: "anthropic" | "gemini" | "mira" | "openai" | "openai-compatible";
  base_url: string;
  api_key?: string;
  weight?: number;
  models?: string[] | null;
  markup?: string;
  reported_cost?: boolean;
  max_in_flight?: number | null;
  first_token_s?: number;
  provider?: string | null;
  endpoint?: "auto" | "chat" | "responses";
}

export interface NewWorkspace {
  name: string;
}

export interface NodeChange {
  draining?: boolean;
  disabled?: boolean;
  base_url?: string;
  api_key?: string;
  weight?: number;
  models?: string[] | null;
  markup?: string;
  max_in_flight?: number | null;
  first_token_s?: number;
  reported_cost?: boolean;
  endpoint?: "auto" | "chat" | "responses";
}

export interface PasswordChange {
  new: string;
  current?: string | null;
}

export interface Profile {
  name: string;
}

export interface Session {
  signed_in: boolean;
  user: User | null;
  workspace: Workspace | null;
  workspaces: Workspace[];
  csrf_token: string | null;
  expires_at_ms: number | null;
  secure: boolean;
  operator_pages: boolean;
  sso: SignOn | null;
  base_url: string;
  version: string;
}

export interface SessionRow {
  id: string;
  current: boolean;
  created_at_ms: number;
  seen_at_ms: number;
  expires_at_ms: number;
  address: string | null;
  user_agent: string | null;
  way: "invitation" | "oidc" | "password";
}

export interface Sessions {
  data: SessionRow[];
  object?: string;
}

export interface SignIn {
  email: string;
  password: string;
}

export interface SignOn {
  issuer: string;
  href: string;
}

export interface Spent {
  pages: number;
  cost: number;
}

export interface SumLine {
  calls: number;
  failed: number;
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  cost: string;
  workspace_id?: string | null;
  key_id?: string | null;
  model?: string | null;
  node?: string | null;
  day_ms?: number | null;
  hour_ms?: number | null;
}

export interface SumLines {
  data: SumLine[];
  next: string | null;
  object?: string;
}

export interface Timing {
  dns?: number;
  connect?: number;
  fetch?: number;
  convert?: number;
}

export interface TransferLine {
  id: string;
  reference: string;
  debit: string;
  credit: string;
  amount: string;
  created_at_ms: number;
}

export interface TransferLines {
  data: TransferLine[];
  next: string | null;
  object?: string;
}

export interface Trouble {
  seen: string;
  remedy: string;
}

export interface User {
  id: string;
  email: string;
  name: string | null;
  role: "member" | "operator";
  has_password: boolean;
}

export interface Workspace {
  id: string;
  name: string;
}

export interface WorkspaceChoice {
  workspace_id: string;
}

export interface WorkspaceList {
  data: WorkspaceRow[];
  object?: string;
}

export interface WorkspaceRow {
  id: string;
  name: string;
  created_at_ms: number;
  balance: string;
  held: string;
  available: string;
  currency: string;
}

export interface Routes {
  "DELETE /admin/v1/keys/{id}": { body: undefined; answer: unknown };
  "DELETE /admin/v1/nodes/{name}": { body: undefined; answer: unknown };
  "DELETE /portal/v1/session": { body: undefined; answer: unknown };
  "DELETE /portal/v1/sessions/{id}": { body: undefined; answer: unknown };
  "GET /admin/v1/calls": { body: undefined; answer: CallLines };
  "GET /admin/v1/calls/{id}": { body: undefined; answer: unknown };
  "GET /admin/v1/keys/{id}/fetch": { body: undefined; answer: unknown };
  "GET /admin/v1/ledger/check": { body: undefined; answer: LedgerCheck };
  "GET /admin/v1/members/{id}": { body: undefined; answer: unknown };
  "GET /admin/v1/models": { body: undefined; answer: unknown };
  "GET /admin/v1/nodes": { body: undefined; answer: unknown };
  "GET /admin/v1/nodes/{name}": { body: undefined; answer: unknown };
  "GET /admin/v1/usage": { body: undefined; answer: SumLines };
  "GET /admin/v1/workspaces": { body: undefined; answer: WorkspaceList };
  "GET /admin/v1/workspaces/{id}": { body: undefined; answer: WorkspaceRow };
  "GET /admin/v1/workspaces/{id}/keys": { body: undefined; answer: KeyLines };
  "GET /admin/v1/workspaces/{id}/members": { body: undefined; answer: MemberLines };
  "GET /admin/v1/workspaces/{id}/transfers": { body: undefined; answer: TransferLines };
  "GET /portal/v1/connect": { body: undefined; answer: Connect };
  "GET /portal/v1/session": { body: undefined; answer: Session };
  "GET /portal/v1/sessions": { body: undefined; answer: Sessions };
  "PATCH /admin/v1/keys/{id}": { body: KeyChange; answer: KeyLine };
  "PATCH /admin/v1/members/{id}": { body: MemberChange; answer: MemberLine };
  "PATCH /admin/v1/nodes/{name}": { body: NodeChange; answer: unknown };
  "PATCH /admin/v1/workspaces/{id}": { body: NewWorkspace; answer: WorkspaceRow };
  "PATCH /portal/v1/me": { body: Profile; answer: Session };
  "POST /admin/v1/fetch": { body: FetchRequest; answer: FetchAnswer };
  "POST /admin/v1/nodes": { body: NewNode; answer: unknown };
  "POST /admin/v1/nodes/{name}/probe": { body: undefined; answer: unknown };
  "POST /admin/v1/nodes/{name}/reconcile": { body: undefined; answer: unknown };
  "POST /admin/v1/workspaces": { body: NewWorkspace; answer: WorkspaceRow };
  "POST /admin/v1/workspaces/{id}/credits": { body: NewCredits; answer: unknown };
  "POST /admin/v1/workspaces/{id}/keys": { body: NewKey; answer: KeyLineMade };
  "POST /admin/v1/workspaces/{id}/members": { body: NewMember; answer: MemberLine };
  "POST /portal/v1/session": { body: SignIn; answer: Session };
  "PUT /admin/v1/keys/{id}/fetch": { body: KeyDomains; answer: KeyDomains };
  "PUT /portal/v1/me/password": { body: PasswordChange; answer: Session };
  "PUT /portal/v1/session/workspace": { body: WorkspaceChoice; answer: Session };
}
