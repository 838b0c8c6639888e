// The only place that frames a part of the page: its title, its tools, and what it says while there is nothing to show.

import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";
import { Refused, type Asked } from "./asking";

interface Props {
  readonly title: string;
  readonly name: string;
  readonly size: string;
  readonly aside?: ComponentChildren;
  readonly tools?: ComponentChildren;
  readonly children: ComponentChildren;
}

export function Panel({ title, name, size, aside, tools, children }: Props) {
  const id = useId();
  return (
    <section class={`panel ${size}`} aria-labelledby={id} id={name}>
      <header>
        <h2 id={id}>{title}</h2>
        {aside && <span class="aside">{aside}</span>}
        {tools && <div class="tools">{tools}</div>}
      </header>
      <div class="body">{children}</div>
    </section>
  );
}

/** What was asked for, or why it is not there. */
export function Answer<T>({ of, children }: { of: Asked<T>; children: (data: T) => ComponentChildren }) {
  if (of.data !== null) return <div class={of.isStale ? "answer stale" : "answer"}>{children(of.data)}</div>;
  if (of.error) return <Failed error={of.error} again={of.again} />;
  return <p class="empty" aria-busy="true">…</p>;
}

export function Failed({ error, again }: { error: Error; again: () => void }) {
  const detail = error instanceof Refused ? error.detail : "The server does not answer.";
  return (
    <p class="failed" role="alert">
      {error instanceof Refused ? error.message : "Nothing to show"}
      {detail && `: ${detail}`}
      <button type="button" class="button" onClick={again}>Try again</button>
    </p>
  );
}

/** One of a few. */
export function Choice<T extends string>({ label, of, chosen, choose }: { label: string; of: readonly (readonly [T, string])[]; chosen: T | null; choose: (one: T) => void }) {
  return (
    <div class="choice" role="group" aria-label={label}>
      {of.map(([value, words]) => (
        <button type="button" key={value} aria-pressed={value === chosen} onClick={() => choose(value)}>{words}</button>
      ))}
    </div>
  );
}
