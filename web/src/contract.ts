// The only place that knows the shapes of what the server sends. docs/json.md and the OpenAPI document say what they mean.

export interface Counts {
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly cache_write_5m_tokens: number;
  readonly cache_write_1h_tokens: number;
  readonly cache_read_tokens: number;
  readonly total_tokens: number;
  readonly replies: number;
  readonly not_final_replies: number;
  readonly web_searches: number;
  readonly cost_usd: number | null;
  readonly cost_is_lower_bound: boolean;
}

export interface ModelCounts extends Counts {
  readonly model: string;
}

export interface Report<Row> {
  readonly timezone: string;
  readonly sources: readonly string[];
  readonly rows: readonly Row[];
  readonly totals: Counts;
  readonly notes: Notes;
}

export interface Notes {
  readonly not_final_replies: number;
  readonly unpriced_models: readonly string[];
  readonly malformed_lines: number;
  readonly degraded: readonly string[];
}

export interface DayRow extends Counts {
  readonly day: string;
  readonly models?: readonly ModelCounts[];
}

export interface ProjectRow extends Counts {
  readonly project: string;
  readonly project_name: string;
  readonly folder: string | null;
  readonly last_at: string;
}

interface MachineCounts extends Counts {
  readonly last_at: string;
}

/** A machine; "" is the server itself. */
export interface HostRow extends MachineCounts {
  readonly host: string;
}

/** Somebody's machines; "" is what the server's own logs say. */
export interface UserRow extends MachineCounts {
  readonly user: string;
}

export interface Part {
  readonly replies: number;
  readonly total_tokens: number;
  readonly cost_usd: number | null;
}

export interface Provenance {
  readonly on_disk: Part;
  readonly deleted: Part;
  readonly rewritten: Part;
  readonly elsewhere: Part;
}

export interface SessionRow extends Counts {
  readonly session: string;
  readonly project: string;
  readonly project_name: string;
  readonly host: string;
  readonly user: string;
  readonly first_at: string;
  readonly last_at: string;
  readonly subagents: ({ readonly agents: number } & Counts) | null;
}

export interface Pace {
  readonly minutes_left: number;
  readonly tokens_per_minute: number;
  readonly cost_usd_per_hour: number | null;
  readonly projected_tokens: number;
  readonly projected_cost_usd: number | null;
}

export interface Limit {
  readonly limit: string;
  readonly standing: "official" | "stale" | "estimate";
  readonly used_percent: number | null;
  readonly said: { readonly used_percent: number; readonly at: string; readonly age_seconds: number } | null;
  readonly start: string | null;
  readonly end: string | null;
  readonly counts: Counts;
  readonly forecast: {
    readonly usd_per_hour: number;
    readonly cost_usd_at_end: number;
    readonly used_percent_at_end: number | null;
    readonly full_at_pace: string | null;
  } | null;
}

/** A reply as it is now. `null` in its names means that it is gone. */
export interface FeedLine extends Counts {
  readonly event: "new" | "grown" | "corrected" | "gone";
  readonly key: string;
  readonly id: string | null;
  readonly at: string | null;
  readonly session: string | null;
  readonly project: string | null;
  readonly agent: string | null;
  readonly model: string | null;
  readonly host: string | null;
  readonly user: string | null;
}

interface Shares {
  readonly p50: number;
  readonly p99: number;
}

export interface Look {
  readonly at: string;
  readonly files_checked: number;
  readonly files_read: number;
  readonly cache_hit_rate: number;
  readonly bytes_read: number;
  readonly entries_parsed: number;
  readonly replies_new: number;
  readonly replies_grown: number;
  readonly replies_corrected: number;
  readonly replies_gone: number;
  readonly malformed_lines: number;
  readonly took_ms: number;
}

export interface Status {
  readonly at: string;
  readonly folders: readonly { readonly folder: string; readonly exists: boolean; readonly readable: boolean; readonly files: number; readonly size_bytes: number }[];
  readonly logs: { readonly files: number; readonly size_bytes: number };
  readonly tracked: { readonly live: number; readonly missing: number; readonly rewritten: number; readonly read_bytes: number; readonly malformed_lines: number } | null;
  readonly counted: { readonly replies: number; readonly sessions: number; readonly projects: number; readonly other_hosts: number; readonly first_day: string | null; readonly last_day: string | null } | null;
  readonly store: { readonly path: string; readonly exists: boolean; readonly size_bytes: number; readonly log_bytes: number };
  readonly following: {
    readonly process: number;
    readonly silent_ms: number;
    readonly mode: string | null;
    readonly pending_files: number | null;
    readonly looks: number;
    readonly files_checked: Shares | null;
    readonly bytes_read: Shares | null;
    readonly entries_parsed: Shares | null;
    readonly cache_hit_rate: Shares | null;
    readonly took_ms: Shares | null;
    readonly late_ms: Shares | null;
  } | null;
  readonly looks: readonly Look[];
  readonly problems: readonly { readonly where: string; readonly why: string }[];
  readonly degraded: readonly string[];
}

export interface Budget {
  readonly budget: string;
  readonly measure: "cost" | "tokens" | "burn_rate" | "cache_hit_rate";
  readonly unit: string;
  readonly value: number | null;
  readonly threshold: number;
  readonly value_is_lower_bound: boolean;
  readonly period: string;
  readonly projects: readonly string[];
  readonly models: readonly string[];
  readonly hosts: readonly string[];
  readonly users: readonly string[];
  readonly share: number | null;
  readonly crossed: boolean;
}

interface Spot {
  readonly file: string;
  readonly offset_bytes: number;
}

export interface Line extends Spot {
  readonly stands: string;
  readonly role: string;
  readonly copy_of: Spot | null;
  readonly at: string | null;
  readonly output_tokens: number | null;
  readonly is_final: boolean | null;
  readonly unread: string | null;
}

export interface Priced {
  readonly model: string;
  readonly listed_as: string | null;
  readonly day: string;
  readonly prompt_tokens: number;
  readonly terms: readonly { readonly name: string; readonly amount: number; readonly usd_each: number; readonly cost_usd: number }[];
  readonly factors: readonly unknown[];
  readonly cost_usd: number | null;
  readonly is_assumed: boolean;
  readonly sources: readonly unknown[];
}

export interface Rule {
  readonly rule: string;
  readonly says: string;
}

export interface ReplyStory extends Counts {
  readonly kind: "reply";
  readonly key: string;
  readonly id: string | null;
  readonly request_id: string | null;
  readonly at: string;
  readonly session: string;
  readonly project_name: string;
  readonly agent: string | null;
  readonly host: string;
  readonly user: string;
  readonly model: string;
  readonly version: string;
  readonly is_final: boolean;
  readonly stands: string;
  readonly lines: readonly Line[];
  readonly prices: readonly Priced[];
  readonly rules: readonly Rule[];
}

export interface Overview {
  readonly at: string;
  readonly timezone: string;
  readonly day: string;
  readonly today: Counts;
  readonly week: Counts & { readonly days: readonly { readonly day: string; readonly cost_usd: number | null }[] };
  readonly month: Counts & { readonly month: string; readonly forecast_usd: number | null };
  readonly window: (Counts & { readonly start: string; readonly end: string; readonly pace: Pace }) | null;
  readonly degraded: readonly string[];
  readonly shows_content: boolean;
  readonly version: string;
}

export interface Minute {
  readonly at: string;
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly cache_write_tokens: number;
  readonly cache_read_tokens: number;
}

export interface Minutes {
  readonly buckets: readonly Minute[];
}

export interface Budgets {
  readonly budgets: readonly Budget[];
}

export interface Sessions {
  readonly rows: readonly SessionRow[];
  readonly total: number;
}

export interface SessionStory extends Counts {
  readonly name: string;
  readonly first_at: string | null;
  readonly last_at: string | null;
  readonly projects: readonly string[];
  readonly models: readonly ModelCounts[];
  readonly provenance: Provenance;
  readonly owned_elsewhere: readonly { readonly session: string; readonly replies: number }[];
  readonly copied_to: readonly { readonly session: string; readonly replies: number }[];
  readonly rules: readonly Rule[];
}

export interface Originals {
  readonly lines: readonly { readonly file: string; readonly offset_bytes: number; readonly original: string | null }[];
}

export interface Limits {
  readonly limits: readonly Limit[];
}

export interface Replies {
  readonly replies: readonly FeedLine[];
  readonly next: string | null;
}
