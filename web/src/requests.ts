// The only place that keeps the latest replies: each once, as it is now, newest first; held still while the feed is paused.

import { signal } from "@preact/signals";
import type { FeedLine } from "./contract";
import { onReply } from "./live";

export interface Request extends FeedLine {
  /** It came while the page was open. */
  readonly isFresh: boolean;
}

const KEPT = 500;

/** What is shown, newest first. */
export const shown = signal<readonly Request[]>([]);
export const isPaused = signal(false);
/** How many replies came or changed since the feed was paused. */
export const heldBack = signal(0);

const known = new Map<string, Request>();
let room = KEPT; // more only where somebody asked for older ones
const heard = new Set<string>(); // since somebody began to ask for what the store has
const changedWhilePaused = new Set<string>();
let isDrawn = true;

onReply((line) => {
  heard.add(line.key);
  if (line.event === "gone") known.delete(line.key);
  else known.set(line.key, { ...line, isFresh: true });
  if (isPaused.peek()) {
    changedWhilePaused.add(line.key);
    heldBack.value = changedWhilePaused.size;
  }
  drawSoon();
});

/** Add what the store says, except about what is heard of while it answers. */
export async function add(asked: () => Promise<readonly FeedLine[]>): Promise<void> {
  heard.clear();
  const told = (await asked()).filter(({ key }) => !heard.has(key));
  for (const line of told) known.set(line.key, { ...line, isFresh: known.get(line.key)?.isFresh ?? false });
  room = Math.max(room, known.size);
  if (isPaused.peek()) shown.value = merged(shown.peek(), told);
  drawSoon();
}

export function pause(held: boolean): void {
  isPaused.value = held;
  changedWhilePaused.clear();
  heldBack.value = 0;
  if (!held) drawSoon();
}

/** Forget what is known, before it is asked for anew. */
export function empty(): void {
  known.clear();
  room = KEPT;
  drawSoon();
}

const CALM_MS = 40;
let drawnAt = 0;

/** At once where nothing was drawn just now, else with the next frame however many came. */
function drawSoon(): void {
  if (!isDrawn) return;
  isDrawn = false;
  if (performance.now() - drawnAt > CALM_MS && !document.hidden) queueMicrotask(draw);
  else requestAnimationFrame(draw); // a page that is not seen gets no frames, and draws when it is
}

function draw(): void {
  isDrawn = true;
  drawnAt = performance.now();
  if (isPaused.peek()) return; // nothing is lost: all of it is known, and shown later
  const sorted = [...known.values()].sort(byTime);
  for (const each of sorted.splice(room)) known.delete(each.key);
  shown.value = sorted;
}

function merged(before: readonly Request[], older: readonly FeedLine[]): readonly Request[] {
  const keys = new Set(before.map((each) => each.key));
  return [...before, ...older.filter((each) => !keys.has(each.key)).map((each) => ({ ...each, isFresh: false }))].sort(byTime);
}

function byTime(one: Request, other: Request): number {
  const [a, b] = [one.at ?? "", other.at ?? ""];
  return a < b ? 1 : a > b ? -1 : one.key < other.key ? 1 : -1;
}
