// The only place that words moments: in the zone whose days the server counts.

import { signal } from "@preact/signals";

/** The server's zone, as its answers name it. */
export const zone = signal("UTC");

const shapes = new Map<string, Intl.DateTimeFormat>();

function shape(name: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${zone.value} ${name}`;
  let made = shapes.get(key);
  if (!made) {
    try {
      made = new Intl.DateTimeFormat("en-GB", { ...options, timeZone: zone.value });
    } catch {
      made = new Intl.DateTimeFormat("en-GB", { ...options, timeZone: "UTC" }); // a zone that this browser does not know
    }
    shapes.set(key, made);
  }
  return made;
}

/** 27 Nov 14:05 */
export function zoned(at: string): string {
  return shape("moment", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }).format(new Date(at)).replace(",", "");
}

/** 14:05:09 */
export function clock(at: string): string {
  return shape("clock", { hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(new Date(at));
}

/** 14:05 */
export function minute(at: number | string): string {
  return shape("minute", { hour: "2-digit", minute: "2-digit" }).format(new Date(at));
}

/** 2026-11-27 */
export function dayOf(at: number | string): string {
  return new Intl.DateTimeFormat("en-CA", { timeZone: zone.value, year: "numeric", month: "2-digit", day: "2-digit" }).format(new Date(at));
}
