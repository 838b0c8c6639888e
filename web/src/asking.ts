// The only place that asks the server: one way to ask, what goes wrong with it, and when what is shown is asked for again.

import { useSignalEffect, signal, type Signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";

/** What the server answered when it could not do what was asked. */
export class Refused extends Error {
  constructor(readonly status: number, title: string, readonly detail: string) {
    super(title);
  }
}

const GIVE_UP_MS = 30_000; // a connection that says nothing any more

export type Words = Readonly<Record<string, string | number | boolean | undefined>>;

export function address(path: string, words: Words = {}): string {
  const given = Object.entries(words).filter(([, value]) => value !== undefined && value !== "" && value !== false);
  const query = new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
  return `api/v1/${path}${query.size ? `?${query}` : ""}`;
}

/** Counts the answers of "you need a token": the page then asks for it. */
export const needsToken = signal(false);

export async function ask<T>(where: string): Promise<T> {
  return JSON.parse(await text(where)) as T;
}

async function text(where: string, signal?: AbortSignal): Promise<string> {
  const answer = await fetch(where, { headers: { Accept: "application/json" }, signal: AbortSignal.any([AbortSignal.timeout(GIVE_UP_MS), ...(signal ? [signal] : [])]) });
  if (answer.ok) return answer.text();
  throw await refusal(answer);
}

async function refusal(answer: Response): Promise<Refused> {
  if (answer.status === 401) needsToken.value = true;
  const told = (await answer.json().catch(() => ({}))) as { title?: unknown; detail?: unknown };
  const title = typeof told.title === "string" ? told.title : `The server answered ${answer.status}`;
  return new Refused(answer.status, title, typeof told.detail === "string" ? told.detail : "");
}

/** Send a token for the cookie that stands for it from then on. */
export async function exchange(token: string): Promise<void> {
  const answer = await fetch("api/v1/session", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token }) });
  if (!answer.ok) throw await refusal(answer);
  needsToken.value = false;
}

export interface Asked<T> {
  /** The latest answer, which stays while another is on its way. */
  readonly data: T | null;
  readonly error: Error | null;
  /** What is shown is the answer to another question than the latest. */
  readonly isStale: boolean;
  readonly again: () => void;
}

/** The answer to a question, asked again whenever `news` changes while the page is seen. */
export function useAsked<T>(where: string | null, news: Signal<number>): Asked<T> {
  const [state, setState] = useState<{ where: string | null; data: T | null; error: Error | null }>({ where: null, data: null, error: null });
  const [tries, setTries] = useState(0);
  const running = useRef<{ where: string | null; stop: AbortController; isOutdated: boolean } | null>(null);

  const latest = useRef<string | null>(null);
  const shown = useRef<string | null>(null);

  const load = (asked: string | null) => {
    running.current?.stop.abort();
    running.current = null;
    if (asked === null) return;
    const mine = (running.current = { where: asked, stop: new AbortController(), isOutdated: false });
    const settle = (told: string | null, error: Error | null) => {
      if (running.current !== mine) return;
      running.current = null;
      // What says the same as before is not drawn again.
      if (told === null || told !== latest.current || asked !== shown.current) {
        const data = told === null ? null : (JSON.parse(told) as T);
        setState((before) => ({ where: asked, data: data ?? (before.where === asked ? before.data : null), error }));
        [latest.current, shown.current] = [told, asked];
      }
      if (mine.isOutdated) load(asked);
    };
    text(asked, mine.stop.signal).then((told) => settle(told, null), (error: unknown) => settle(null, error as Error));
  };
  useEffect(() => {
    load(where);
    return () => load(null);
  }, [where, tries]);

  const seen = useRef(news.peek());
  const wanted = useRef(where);
  wanted.current = where;
  useSignalEffect(() => {
    if (news.value === seen.current) return;
    seen.current = news.value;
    // One at a time: a server that is slower than the news still gets to answer.
    if (running.current) running.current.isOutdated = true;
    else load(wanted.current);
  });
  return { data: state.data, error: state.error, isStale: state.where !== where, again: () => setTries((count) => count + 1) };
}
