// The only place that listens to the server: whether it is there, each reply as it happens, and when figures are asked for again.

import { signal } from "@preact/signals";
import type { FeedLine, Look } from "./contract";

export type State = "connecting" | "live" | "reconnecting";
export const state = signal<State>("connecting");

/** Grows when something was counted, at most once in `FIGURES_EVERY_MS`; what adds up is then asked for again. */
export const news = signal(0);
/** The same, for what is looked at more seldom. */
export const slowNews = signal(0);

const FIGURES_EVERY_MS = 1000;
const SLOW_EVERY_MS = 5000;
const SETTLED_MS = 700; // an answer may be half a second old
const RETRY_MS = [500, 1000, 2000, 4000] as const;

type Listener = (line: FeedLine) => void;
const listeners = new Set<Listener>();
const returnListeners = new Set<() => void>();
let source: EventSource | null = null;
let failures = 0;
let lastId = "";
let heardSinceLook = 0;

export function onReply(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Something may have been missed: what was heard has to be asked for. */
export function onReturn(listener: () => void): () => void {
  returnListeners.add(listener);
  return () => returnListeners.delete(listener);
}

/** Listen from now on. A lost connection is made again by itself, and goes on behind the last event that came. */
export function listen(): void {
  source?.close();
  source = new EventSource(`api/v1/stream${lastId && `?last_event_id=${encodeURIComponent(lastId)}`}`);
  source.onopen = () => {
    failures = 0;
    if (state.peek() === "reconnecting") comeBack();
    else setTimeout(askAnew, SETTLED_MS); // what was written between the first answers and now
    state.value = "live";
  };
  source.addEventListener("reply", (event: MessageEvent<string>) => {
    lastId = event.lastEventId || lastId;
    heardSinceLook++;
    const line = JSON.parse(event.data) as FeedLine;
    for (const listener of listeners) listener(line);
    soon();
  });
  source.addEventListener("look", (event: MessageEvent<string>) => {
    const look = JSON.parse(event.data) as Pick<Look, "replies_new">;
    // What fills an empty store is not told reply by reply.
    if (look.replies_new > 0 && heardSinceLook === 0) comeBack();
    heardSinceLook = 0;
    soon();
  });
  source.addEventListener("reset", () => {
    comeBack();
  });
  source.onerror = () => {
    state.value = state.peek() === "connecting" ? "connecting" : "reconnecting";
    source?.close();
    setTimeout(listen, RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)]);
  };
}

/** At once, and when no answer is left that the server gave to somebody else before. */
function comeBack(): void {
  askAnew();
  setTimeout(askAnew, SETTLED_MS);
}

function askAnew(): void {
  for (const listener of returnListeners) listener();
  refresh();
}

/** Ask for all figures again. */
export function refresh(): void {
  news.value++;
  slowNews.value++;
}

const waiting = new Map<typeof news, number>();

let happenedAt = 0;

function soon(): void {
  happenedAt = performance.now();
  later(news, FIGURES_EVERY_MS);
  later(slowNews, SLOW_EVERY_MS);
}

function later(which: typeof news, every: number): void {
  if (waiting.has(which)) return;
  const tell = () => {
    // A page that nobody looks at asks for nothing, and catches up when it is seen again.
    if (document.hidden) return void document.addEventListener("visibilitychange", tell, { once: true });
    waiting.delete(which);
    which.value++;
    // The answer to this may be older than what happened last.
    if (performance.now() - happenedAt < SETTLED_MS) later(which, every);
  };
  waiting.set(which, window.setTimeout(tell, every));
}

// Days and windows end also while nothing is written.
setInterval(() => document.hidden || refresh(), 60_000);
