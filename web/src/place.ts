// The only place that knows the page's address: what is chosen stands in it, so that a view can be shared, reloaded and gone back to.

import { computed, signal } from "@preact/signals";

const NAMES = ["range", "since", "until", "project", "model", "agent", "host", "user", "session", "reply", "chart", "find", "order", "feed", "sessions"] as const;
type Name = (typeof NAMES)[number];
type Place = Partial<Record<Name, string>>;

export type Range = "today" | "7d" | "30d" | "90d" | "all" | "days";
export const RANGES: readonly (readonly [Range, string])[] = [
  ["today", "Today"],
  ["7d", "7 d"],
  ["30d", "30 d"],
  ["90d", "90 d"],
  ["all", "All"],
  ["days", "Dates"],
];
export const USUAL_RANGE = "30d";

function read(): Place {
  const given = new URLSearchParams(location.search);
  return Object.fromEntries(NAMES.flatMap((name) => (given.get(name) ? [[name, given.get(name)]] : []))) as Place;
}

export const place = signal<Place>(read());
window.addEventListener("popstate", () => (place.value = read()));

/** Change what is chosen; `undefined` and an empty text choose nothing. What is typed letter by letter replaces the address it had. */
export function go(change: { [name in Name]?: string | undefined }, how: "push" | "replace" = "push"): void {
  const next = { ...place.peek(), ...change };
  const words = new URLSearchParams(NAMES.flatMap((name) => (next[name] ? [[name, next[name]]] : [])));
  const address = `${location.pathname}${words.size ? `?${words}` : ""}`;
  if (address === location.pathname + location.search) return;
  history[how === "push" ? "pushState" : "replaceState"](null, "", address);
  place.value = read();
}

export const range = computed<Range>(() => {
  const { range, since, until } = place.value;
  if (since || until) return "days";
  return range !== "days" && RANGES.some(([each]) => each === range) ? (range as Range) : USUAL_RANGE;
});

const DAY = /^\d{4}-\d\d-\d\d$/;

/** The first and last day as the server takes them: days, or a number of days up to today. */
export const days = computed<{ since?: string; until?: string }>(() => {
  const { since = "", until = "" } = place.value;
  switch (range.value) {
    case "days":
      return { ...(DAY.test(since) && { since }), ...(DAY.test(until) && { until }) };
    case "today":
      return { since: "1d" };
    case "all":
      return {};
    default:
      return { since: range.value };
  }
});

/** Whose usage: what the lists of the filter bar choose. */
export const whose = computed<{ project?: string; model?: string; agent?: string; host?: string; user?: string }>(() => {
  const { project, model, agent, host, user } = place.value;
  return { ...(project && { project }), ...(model && { model }), ...(agent && { agent }), ...(host && { host }), ...(user && { user }) };
});

export const isFiltered = computed(() => Object.keys(whose.value).length > 0 || range.value !== USUAL_RANGE);

export function chooseRange(range: Range, today: string): void {
  if (range === "days") chooseDays(dayBefore(today, 6), today);
  else go({ range: range === USUAL_RANGE ? undefined : range, since: undefined, until: undefined });
}

export function chooseDays(since: string, until: string): void {
  go({ range: undefined, since, until });
}

function dayBefore(day: string, days: number): string {
  return new Date(Date.parse(day) - days * 86_400_000).toISOString().slice(0, 10);
}

/** Choose it, or nothing where it is chosen already. */
export function toggle(name: "project" | "model" | "agent" | "host" | "user", value: string): void {
  go({ [name]: place.peek()[name] === value ? undefined : value });
}

export function clear(): void {
  go({ range: undefined, since: undefined, until: undefined, project: undefined, model: undefined, agent: undefined, host: undefined, user: undefined });
}
