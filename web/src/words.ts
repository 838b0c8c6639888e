// The only place that words what the page shows: numbers, times and names.

import type { Counts } from "./contract";

type Cost = Pick<Counts, "cost_usd" | "cost_is_lower_bound">;

/** A cost; `≥` before a lower bound, `?` where nothing has a price. */
export function dollars(cost: Cost, places = 2): string {
  if (cost.cost_usd === null) return "?";
  return (cost.cost_is_lower_bound ? "≥ " : "") + usd(cost.cost_usd, places);
}

export function usd(amount: number, places = 2): string {
  return `$${amount.toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places })}`;
}

/** The same where there is little room, as on an axis. */
export function shortUsd(amount: number): string {
  return amount >= 1000 ? `$${short(amount)}` : Number.isInteger(amount) ? `$${amount}` : `$${amount.toFixed(2)}`;
}

/** A number in four characters or so: 950, 12.3k, 4.56M. */
export function short(number: number): string {
  for (const [unit, size] of [["G", 1e9], ["M", 1e6], ["k", 1e3]] as const) {
    if (number >= size) {
      const digits = number / size;
      return digits.toFixed(digits < 10 ? 2 : digits < 100 ? 1 : 0) + unit;
    }
  }
  return String(Math.round(number));
}

export function whole(number: number): string {
  return Math.round(number).toLocaleString("en-US");
}

export function many(count: number, one: string, more = `${one}s`): string {
  return `${whole(count)} ${count === 1 ? one : more}`;
}

/** A share that is called 100 % only when it is all. */
export function percent(part: number): string {
  return part >= 1 ? `${(part * 100).toFixed(0)} %` : `${Math.min(part * 100, 99.9).toFixed(1)} %`;
}

/** A stretch of time in its two greatest units: 45s, 12m, 2h 13m, 3d 4h. */
export function duration(milliseconds: number): string {
  const minutes = Math.floor(Math.max(milliseconds, 0) / 60_000);
  if (minutes < 1) return `${Math.floor(Math.max(milliseconds, 0) / 1000)}s`;
  const [hours, days] = [Math.floor(minutes / 60), Math.floor(minutes / 1440)];
  return days ? `${days}d ${hours % 24}h` : hours ? `${hours}h ${minutes % 60}m` : `${minutes}m`;
}

export function took(milliseconds: number): string {
  return milliseconds < 1000 ? `${milliseconds.toFixed(1)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}

export function size(bytes: number): string {
  if (bytes < 1000) return `${whole(bytes)} B`;
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

const ACTED_ON = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;
const TOO_MANY_MARKS = /([\p{Mn}\p{Me}]{4})[\p{Mn}\p{Me}]+/gu;

/** A name from a log without what could turn the text around it, or paint over it. It is still only text. */
export function safe(name: string): string {
  return name.replace(ACTED_ON, "\ufffd").replace(TOO_MANY_MARKS, "$1");
}

/** An id of which the beginning is enough. */
export function shortId(id: string): string {
  return safe(id.length > 12 ? id.slice(0, 8) : id);
}

/** A model's name where there is little room. */
export function shortModel(name: string): string {
  return safe(name.replace(/^claude-/, ""));
}
