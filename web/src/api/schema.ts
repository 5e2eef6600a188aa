// Made by scripts/web_types.py from the table of routes; not to be edited.

export interface Abilities {
  images: boolean;
  tools: boolean;
  reasoning: boolean;
  structured_output: boolean;
  sampling: boolean;
}

export interface Arithmetic {
  rule: "free" | "none" | "price" | "reported";
  lines: CostLine[];
  total: string;
  billed: string;
  exact: boolean;
}

export interface AttemptShown {
  number: number;
  node: string;
  outcome: string;
  started_at_ms: number;
  duration_ms: number;
  protocol: string | null;
  cost: string | null;
}

export interface AuditActor {
  kind: string;
  id: string | null;
  name: string | null;
}

export interface AuditEntry {
  id: string;
  at_ms: number;
  actor: AuditActor;
  action: string;
  object_kind: string;
  object_id: string;
  object_name: string | null;
  workspace_id: string | null;
  before: Record<string, unknown> | null;
  after: Record<string, unknown> | null;
  request_id: string;
}

export interface AuditPage {
  data: AuditEntry[];
  next: string | null;
  object?: string;
}

export interface Bar {
  begins_ms: number;
  calls: number;
  failed: number;
  cost: string;
}

export interface Budget {
  amount: string;
  period: "day" | "month" | "total" | "week";
}

export interface BudgetShown {
  amount: string;
  period: "day" | "month" | "total" | "week";
  spent: string;
  held: string;
  left: string;
  resets_at_ms: number | null;
}

export interface CallDetail {
  call: CallShown;
  tried: AttemptShown[];
  arithmetic: Arithmetic;
  transfers: TransferShown[];
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
  histogram: Bar[] | null;
  step: "day" | "hour" | null;
  object?: string;
}

export interface CallPage {
  data: CallShown[];
  next: string | null;
  histogram: Bar[] | null;
  step: "day" | "hour" | null;
  object?: string;
}

export interface CallShown {
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
  key_name: string | null;
}

export interface CallUsage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  cache_read_tokens: number;
  cache_write_tokens: number;
  reasoning_tokens: number;
  images: number;
  seconds: number;
  characters: number;
  pages: number;
  estimated: boolean;
}

export interface Checklist {
  has_credits: boolean;
  has_key: boolean;
  has_model: boolean;
  first_request_at_ms: number | null;
}

export interface Chunk {
  headings: string[];
  score: number;
}

export interface Condition {
  model: string;
  state: string;
  reason: string | null;
  returns_in_s: number | null;
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

export interface CostLine {
  name: string;
  quantity: string;
  unit: "character" | "image" | "page" | "search" | "second" | "token";
  per: number;
  price: string;
  cost: string;
}

export interface Credits {
  balance: string;
  held: string;
  available: string;
  currency: string;
  spend_per_day: string;
  days_left: number | null;
  spent_today: string;
  spent_this_month: string;
}

export interface Docs {
  base_url: string;
  openai_base_url: string;
  anthropic_base_url: string;
  inference_base_url: string;
  example_model: string | null;
  routes: RouteShown[];
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

export interface FirstRequest {
  received: boolean;
  call: CallShown | null;
}

export interface FleetShown {
  data: NodeRow[];
  object?: string;
}

export interface InvitationAccepted {
  token: string;
  password: string;
  name?: string | null;
}

export interface InvitationList {
  data: InvitationShown[];
  object?: string;
}

export interface InvitationMade {
  invitation: InvitationShown;
  url: string;
}

export interface InvitationSeen {
  email: string;
  role: "member" | "operator";
  workspace_name: string;
  has_account: boolean;
  expires_at_ms: number;
}

export interface InvitationShown {
  id: string;
  email: string;
  role: "member" | "operator";
  workspace_id: string;
  invited_by: string | null;
  state: "accepted" | "expired" | "pending" | "withdrawn";
  created_at_ms: number;
  expires_at_ms: number;
}

export interface InvitationToken {
  token: string;
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
  budget: BudgetShown | null;
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
  budget: BudgetShown | null;
  secret: string;
}

export interface KeyLines {
  data: KeyLine[];
  object?: string;
}

export interface KeyMade {
  key: KeyShown;
  secret: string;
}

export interface KeyRotated {
  key: KeyShown;
  secret: string;
  old: KeyShown;
}

export interface KeyShown {
  id: string;
  name: string;
  kind: "inference" | "proxy";
  prefix: string;
  last4: string;
  state: "active" | "disabled" | "expired" | "owner_disabled" | "revoked";
  managed: boolean;
  models: string[] | null;
  member_id: string | null;
  member_name: string | null;
  rpm: number | null;
  tpm: number | null;
  concurrency: number | null;
  budget: BudgetShown | null;
  created_at_ms: number;
  expires_at_ms: number | null;
  revoked_at_ms: number | null;
  last_used_at_ms: number | null;
  calls: number;
  spend: string;
}

export interface KeySpend {
  key_id: string;
  key_name: string | null;
  calls: number;
  cost: string;
}

export interface Keys {
  data: KeyShown[];
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

export interface Margin {
  since_ms: number;
  until_ms: number;
  totals: MarginRow;
  data: MarginRow[];
  next: string | null;
}

export interface MarginRow {
  workspace_id: string | null;
  workspace_name: string | null;
  model: string | null;
  node: string | null;
  day_ms: number | null;
  calls: number;
  failed: number;
  total_tokens: number;
  billed: string;
  node_cost: string;
  attempts: string;
  overrun: string;
  margin: string;
}

export interface Measured {
  calls: number;
  p50_first_content_ms: number | null;
  p95_first_content_ms: number | null;
  tokens_per_s: number | null;
  success: number;
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
  budget: BudgetShown | null;
}

export interface MemberLines {
  data: MemberLine[];
  object?: string;
}

export interface MemberList {
  data: MemberShown[];
  object?: string;
}

export interface MemberShown {
  id: string;
  name: string;
  email: string | null;
  user_id: string | null;
  role: "member" | "operator" | null;
  disabled: boolean;
  you: boolean;
  rpm: number | null;
  tpm: number | null;
  concurrency: number | null;
  budget: BudgetShown | null;
  created_at_ms: number;
  seen_at_ms: number | null;
}

export interface Metadata {
  description?: string | null;
  author?: string | null;
  published?: string | null;
  site_name?: string | null;
  canonical?: string | null;
  language?: string | null;
}

export interface ModelFound {
  id: string;
  upstream_model: string;
  context_length: number | null;
  pricing: Pricing | null;
}

export interface ModelShown {
  id: string;
  provider: string;
  name: string;
  context_length: number | null;
  max_output_tokens: number | null;
  outputs: ("embedding" | "image" | "speech" | "text" | "transcription" | "video")[];
  abilities: Abilities;
  pricing: Pricing | null;
  available: boolean;
  nodes: NodeOfModel[];
  measured: Measured | null;
  note: string | null;
}

export interface ModelSpend {
  model: string;
  calls: number;
  failed: number;
  total_tokens: number;
  cost: string;
}

export interface Models {
  data: ModelShown[];
  object?: string;
}

export interface NewCredits {
  amount: string;
  reference: string;
}

export interface NewInvitation {
  email: string;
  role?: "member" | "operator";
  days?: number;
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
  image_route?: "auto" | "chat" | "images";
}

export interface NewPortalKey {
  name: string;
  kind?: "inference" | "proxy";
  models?: string[] | null;
  expires_at_ms?: number | null;
  rpm?: number | null;
  tpm?: number | null;
  concurrency?: number | null;
  budget?: Budget | null;
}

export interface NewPrice {
  input?: string | null;
  output?: string | null;
  cache_read?: string | null;
  cache_write_5m?: string | null;
  cache_write_1h?: string | null;
  reasoning?: string | null;
  audio_input?: string | null;
  audio_output?: string | null;
  image_input?: string | null;
  image_output?: string | null;
  web_search?: string | null;
  image?: string | null;
  second?: string | null;
  character?: string | null;
  page?: string | null;
  tiers?: (Record<string, string | number>)[] | null;
  free?: boolean | null;
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
  image_route?: "auto" | "chat" | "images";
}

export interface NodeOfModel {
  name: string;
  state: string;
}

export interface NodeRow {
  name: string;
  kind: string;
  origin: "api" | "environment" | "file";
  base_url: string | null;
  provider: string | null;
  endpoint: string;
  has_api_key: boolean;
  weight: number;
  markup: string;
  max_in_flight: number | null;
  first_token_s: number;
  reported_cost: boolean;
  state: string;
  reason: string | null;
  returns_in_s: number | null;
  conditions: Condition[];
  draining: boolean;
  disabled: boolean;
  in_flight: number;
  consecutive_faults: number;
  latency_ms: number | null;
  credits: string | null;
  runway_s: number | null;
  last_error: string | null;
  models: string[];
  unpriced_models: string[];
  calls_last_hour: number;
  calls_per_minute: number;
  failed_share: number | null;
  p95_first_content_ms: number | null;
  last_check_at_ms: number | null;
}

export interface NodeTrial {
  kind: "anthropic" | "gemini" | "mira" | "openai" | "openai-compatible";
  base_url: string;
  api_key?: string;
  provider?: string | null;
}

export interface Overview {
  since_ms: number;
  until_ms: number;
  credits: Credits;
  totals: UsageSums;
  previous: UsageSums;
  p50_first_content_ms: number | null;
  p95_first_content_ms: number | null;
  sampled_calls: number;
  series: Bar[];
  step: "day" | "hour";
  by_model: ModelSpend[];
  top_keys: KeySpend[];
  checklist: Checklist;
}

export interface PasswordChange {
  new: string;
  current?: string | null;
}

export interface PasswordReset {
  id: string;
  email: string;
  password: string;
}

export interface PortalKeyChange {
  name?: string;
  models?: string[] | null;
  expires_at_ms?: number | null;
  disabled?: boolean;
  rpm?: number | null;
  tpm?: number | null;
  concurrency?: number | null;
  budget?: Budget | null;
}

export interface PriceRow {
  model: string;
  nodes: string[];
  source: string | null;
  editable: boolean;
  sale: Pricing | null;
  cost: Pricing | null;
  in_force: NewPrice | null;
  varied: ("image" | "second")[];
}

export interface Prices {
  data: PriceRow[];
  unpriced: number;
  object?: string;
}

export interface Pricing {
  input: string;
  output: string;
  cache_read: string | null;
  cache_write: string | null;
  reasoning: string | null;
  web_search: string | null;
  free: boolean;
  source: string;
  tiers: PricingTier[];
  units: PricingUnit[];
}

export interface PricingTier {
  above: number;
  input: string;
  output: string;
}

export interface PricingUnit {
  unit: "character" | "image" | "page" | "second";
  per: number;
  least: string;
  most: string;
}

export interface Profile {
  name: string;
}

export interface Rotation {
  overlap_s?: number;
}

export interface RouteShown {
  method: string;
  path: string;
  summary: string;
  group: string;
  policy: string;
  billing: string;
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

export interface Setting {
  name: string;
  value: unknown;
  secret: boolean;
  applies: "live" | "restart";
}

export interface SettingsShown {
  data: Setting[];
  path: string | null;
  version: string;
  notices: string[];
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

export interface Statement {
  data: TransferShown[];
  next: string | null;
  object?: string;
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

export interface TransferShown {
  id: string;
  kind: string;
  reference: string;
  call_id: string | null;
  debit: string;
  credit: string;
  amount: string;
  balance: string | null;
  created_at_ms: number;
}

export interface TrialResult {
  ok: boolean;
  error: string | null;
  took_ms: number;
  models: ModelFound[];
}

export interface Trouble {
  seen: string;
  remedy: string;
}

export interface Usage {
  since_ms: number;
  until_ms: number;
  totals: UsageSums;
  data: UsageRow[];
  next: string | null;
  previous: UsageSpan | null;
}

export interface UsageRow {
  calls: number;
  failed: number;
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  cache_read_tokens: number;
  reasoning_tokens: number;
  cost: string;
  model?: string | null;
  key_id?: string | null;
  key_name?: string | null;
  node?: string | null;
  day_ms?: number | null;
  hour_ms?: number | null;
}

export interface UsageSpan {
  since_ms: number;
  until_ms: number;
  totals: UsageSums;
  data: UsageRow[];
}

export interface UsageSums {
  calls: number;
  failed: number;
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  cache_read_tokens: number;
  reasoning_tokens: number;
  cost: string;
}

export interface User {
  id: string;
  email: string;
  name: string | null;
  role: "member" | "operator";
  has_password: boolean;
}

export interface UserChange {
  name?: string;
  role?: "member" | "operator";
  disabled?: boolean;
}

export interface UserList {
  data: UserRow[];
  object?: string;
}

export interface UserRow {
  id: string;
  email: string;
  name: string | null;
  role: "member" | "operator";
  disabled: boolean;
  has_password: boolean;
  single_sign_on: boolean;
  keys: number;
  workspaces: Workspace[];
  created_at_ms: number;
  seen_at_ms: number | null;
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
  "DELETE /admin/v1/invitations/{id}": { body: undefined; answer: unknown };
  "DELETE /admin/v1/keys/{id}": { body: undefined; answer: unknown };
  "DELETE /admin/v1/nodes/{name}": { body: undefined; answer: unknown };
  "DELETE /admin/v1/prices/{model}": { body: undefined; answer: unknown };
  "DELETE /portal/v1/invitations/{id}": { body: undefined; answer: unknown };
  "DELETE /portal/v1/keys/{id}": { body: undefined; answer: unknown };
  "DELETE /portal/v1/session": { body: undefined; answer: unknown };
  "DELETE /portal/v1/sessions/{id}": { body: undefined; answer: unknown };
  "GET /admin/v1/audit": { body: undefined; answer: AuditPage };
  "GET /admin/v1/calls": { body: undefined; answer: CallLines };
  "GET /admin/v1/calls/{id}": { body: undefined; answer: unknown };
  "GET /admin/v1/calls/{id}/detail": { body: undefined; answer: CallDetail };
  "GET /admin/v1/fleet": { body: undefined; answer: FleetShown };
  "GET /admin/v1/fleet/{name}": { body: undefined; answer: NodeRow };
  "GET /admin/v1/keys/{id}/fetch": { body: undefined; answer: unknown };
  "GET /admin/v1/ledger/check": { body: undefined; answer: LedgerCheck };
  "GET /admin/v1/margin": { body: undefined; answer: Margin };
  "GET /admin/v1/members/{id}": { body: undefined; answer: unknown };
  "GET /admin/v1/models": { body: undefined; answer: unknown };
  "GET /admin/v1/nodes": { body: undefined; answer: unknown };
  "GET /admin/v1/nodes/{name}": { body: undefined; answer: unknown };
  "GET /admin/v1/prices": { body: undefined; answer: Prices };
  "GET /admin/v1/settings": { body: undefined; answer: SettingsShown };
  "GET /admin/v1/usage": { body: undefined; answer: SumLines };
  "GET /admin/v1/users": { body: undefined; answer: UserList };
  "GET /admin/v1/workspaces": { body: undefined; answer: WorkspaceList };
  "GET /admin/v1/workspaces/{id}": { body: undefined; answer: WorkspaceRow };
  "GET /admin/v1/workspaces/{id}/invitations": { body: undefined; answer: InvitationList };
  "GET /admin/v1/workspaces/{id}/keys": { body: undefined; answer: KeyLines };
  "GET /admin/v1/workspaces/{id}/members": { body: undefined; answer: MemberLines };
  "GET /admin/v1/workspaces/{id}/transfers": { body: undefined; answer: TransferLines };
  "GET /portal/v1/audit": { body: undefined; answer: AuditPage };
  "GET /portal/v1/calls": { body: undefined; answer: CallPage };
  "GET /portal/v1/calls/{id}": { body: undefined; answer: CallDetail };
  "GET /portal/v1/connect": { body: undefined; answer: Connect };
  "GET /portal/v1/credits": { body: undefined; answer: Credits };
  "GET /portal/v1/docs": { body: undefined; answer: Docs };
  "GET /portal/v1/invitations": { body: undefined; answer: InvitationList };
  "GET /portal/v1/keys": { body: undefined; answer: Keys };
  "GET /portal/v1/keys/{id}": { body: undefined; answer: KeyShown };
  "GET /portal/v1/keys/{id}/first-request": { body: undefined; answer: FirstRequest };
  "GET /portal/v1/members": { body: undefined; answer: MemberList };
  "GET /portal/v1/models": { body: undefined; answer: Models };
  "GET /portal/v1/oidc/callback": { body: undefined; answer: unknown };
  "GET /portal/v1/oidc/start": { body: undefined; answer: unknown };
  "GET /portal/v1/overview": { body: undefined; answer: Overview };
  "GET /portal/v1/session": { body: undefined; answer: Session };
  "GET /portal/v1/sessions": { body: undefined; answer: Sessions };
  "GET /portal/v1/transfers": { body: undefined; answer: Statement };
  "GET /portal/v1/usage": { body: undefined; answer: Usage };
  "PATCH /admin/v1/keys/{id}": { body: KeyChange; answer: KeyLine };
  "PATCH /admin/v1/members/{id}": { body: MemberChange; answer: MemberLine };
  "PATCH /admin/v1/nodes/{name}": { body: NodeChange; answer: unknown };
  "PATCH /admin/v1/users/{id}": { body: UserChange; answer: UserRow };
  "PATCH /admin/v1/workspaces/{id}": { body: NewWorkspace; answer: WorkspaceRow };
  "PATCH /portal/v1/keys/{id}": { body: PortalKeyChange; answer: KeyShown };
  "PATCH /portal/v1/me": { body: Profile; answer: Session };
  "POST /admin/v1/fetch": { body: FetchRequest; answer: FetchAnswer };
  "POST /admin/v1/nodes": { body: NewNode; answer: unknown };
  "POST /admin/v1/nodes/test": { body: NodeTrial; answer: TrialResult };
  "POST /admin/v1/nodes/{name}/probe": { body: undefined; answer: unknown };
  "POST /admin/v1/nodes/{name}/reconcile": { body: undefined; answer: unknown };
  "POST /admin/v1/reload": { body: undefined; answer: unknown };
  "POST /admin/v1/users/{id}/reset-password": { body: undefined; answer: PasswordReset };
  "POST /admin/v1/workspaces": { body: NewWorkspace; answer: WorkspaceRow };
  "POST /admin/v1/workspaces/{id}/credits": { body: NewCredits; answer: unknown };
  "POST /admin/v1/workspaces/{id}/invitations": { body: NewInvitation; answer: InvitationMade };
  "POST /admin/v1/workspaces/{id}/keys": { body: NewKey; answer: KeyLineMade };
  "POST /admin/v1/workspaces/{id}/members": { body: NewMember; answer: MemberLine };
  "POST /portal/v1/invitations": { body: NewInvitation; answer: InvitationMade };
  "POST /portal/v1/invitations/accept": { body: InvitationAccepted; answer: Session };
  "POST /portal/v1/invitations/look": { body: InvitationToken; answer: InvitationSeen };
  "POST /portal/v1/keys": { body: NewPortalKey; answer: KeyMade };
  "POST /portal/v1/keys/{id}/rotate": { body: Rotation; answer: KeyRotated };
  "POST /portal/v1/session": { body: SignIn; answer: Session };
  "PUT /admin/v1/keys/{id}/fetch": { body: KeyDomains; answer: KeyDomains };
  "PUT /admin/v1/prices/{model}": { body: NewPrice; answer: PriceRow };
  "PUT /portal/v1/me/password": { body: PasswordChange; answer: Session };
  "PUT /portal/v1/session/workspace": { body: WorkspaceChoice; answer: Session };
}
