// The line above the page: whether it is live, what is chosen, and how it looks.

import { state } from "./live";
import { looks, otherContrast, otherGround } from "./looks";
import { Choice } from "./panel";
import { chooseDays, chooseRange, clear, days, go, isFiltered, place, range, RANGES, type Range } from "./place";
import { facets, hasOthers } from "./facets";
import { dayOf } from "./times";
import { safe } from "./words";

const STATES = { connecting: "connecting …", live: "live", reconnecting: "reconnecting …" } as const;

export function Top() {
  return (
    <header class="top">
      <div>
        <h1 class="brand">
          <svg width="20" height="20" viewBox="0 0 22 22" aria-hidden="true"><path d="M1 15h3.4v-5h3.4v2.6h3.4V3h3.4v8H18V9h3" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round" /></svg>
          tokentail
        </h1>
        <span class="state" data-state={state.value} role="status">
          <i aria-hidden="true" />
          {STATES[state.value]}
        </span>
        <Filters />
        <div class="sides">
          <button type="button" class="button plain" aria-pressed={looks.value.contrast} onClick={otherContrast} title="More contrast, or less again">Contrast</button>
          <button type="button" class="button plain" onClick={otherGround} title="Dark or light">{looks.value.ground === "dark" ? "Light" : "Dark"}</button>
        </div>
      </div>
    </header>
  );
}

function Filters() {
  const { projects, models, hosts, users } = facets.value;
  const { host, user } = place.value;
  return (
    <form class="filters" role="search" aria-label="What is shown" onSubmit={(event) => event.preventDefault()}>
      <Choice<Range> label="Time range" of={RANGES} chosen={range.value} choose={(chosen) => chooseRange(chosen, dayOf(Date.now()))} />
      {range.value === "days" && <span class="dates">
        <Day label="First day" value={place.value.since ?? ""} choose={(since) => chooseDays(since, place.value.until ?? "")} />
        <span class="muted" aria-hidden="true">–</span>
        <Day label="Last day" value={place.value.until ?? ""} choose={(until) => chooseDays(place.value.since ?? "", until)} />
      </span>}
      <Select name="project" all="All projects" of={projects} />
      <Select name="model" all="All models" of={models} />
      <Select name="agent" all="All agents" of={[["main", "Main conversation"], ["subagents", "Subagents"]]} />
      {(hasOthers.value || host) && <Select name="host" all="All machines" of={hosts} />}
      {(hasOthers.value || user) && <Select name="user" all="All people" of={users} />}
      {isFiltered.value && <button type="button" class="button plain" onClick={clear}>Clear</button>}
    </form>
  );
}

function Day({ label, value, choose }: { label: string; value: string; choose: (day: string) => void }) {
  return <input type="date" aria-label={label} value={value} onChange={(event) => choose(event.currentTarget.value)} />;
}

function Select({ name, all, of }: { name: "project" | "model" | "agent" | "host" | "user"; all: string; of: readonly (readonly [string, string])[] }) {
  const chosen = place.value[name] ?? "";
  // What the address names is shown as chosen also where no list has it.
  const listed = chosen && !of.some(([value]) => value === chosen) ? [...of, [chosen, chosen] as const] : of;
  return (
    <label>
      <span class="unseen">{name}</span>
      <select value={chosen} data-set={chosen !== ""} onChange={(event) => go({ [name]: event.currentTarget.value || undefined })}>
        <option value="">{all}</option>
        {listed.map(([value, words]) => <option key={value} value={value} selected={value === chosen}>{safe(words)}</option>)}
      </select>
    </label>
  );
}

/** What days are chosen, in words. */
export function inDays(): string {
  const { since, until } = days.value;
  if (range.value !== "days") return { today: "today", "7d": "7 days", "30d": "30 days", "90d": "90 days", all: "all time" }[range.value];
  return since === until ? (since ?? "") : `${since ?? "the first day"} to ${until ?? "today"}`;
}
