// How much of the limits and of the budgets is used, and where that leads. What is not said by Claude Code itself is called an estimate.

import type { Asked } from "./asking";
import type { Budget, Limit, Budgets as AnsweredBudgets, Limits as Answered } from "./contract";
import { level, Meter } from "./meter";
import { Answer, Panel } from "./panel";
import { minute, zoned } from "./times";
import { dollars, duration, safe, short, usd } from "./words";

const NAMES: Readonly<Record<string, string>> = { five_hour: "5 hours", seven_day: "7 days", seven_day_opus: "7 days, Opus", seven_day_sonnet: "7 days, Sonnet" };

export function Limits({ asked }: { asked: Asked<Answered> }) {
  return (
    <Panel title="Limits" name="limits" size="">
      <Answer of={asked}>
        {({ limits }) => (limits.length === 0 ? <p class="empty">No limit is known yet. The status line of Claude Code tells them.</p> : <ul class="meters">{limits.map((each) => <One key={each.limit} limit={each} />)}</ul>)}
      </Answer>
    </Panel>
  );
}

function One({ limit }: { limit: Limit }) {
  const { used_percent: used, forecast } = limit;
  const name = NAMES[limit.limit] ?? safe(limit.limit);
  const then = forecast?.used_percent_at_end ?? null;
  return (
    <li>
      <div class="row">
        <span>{name}<span class={`tag ${limit.standing === "stale" ? "warn" : ""}`} title={limit.said ? `Claude Code said ${limit.said.used_percent} % ${duration(limit.said.age_seconds * 1000)} ago` : "Claude Code has said nothing in this window"}>{limit.standing}</span></span>
        <b>{used === null ? "? %" : `${used.toFixed(used < 10 ? 1 : 0)} %`}</b>
      </div>
      <Meter label={`${name} used`} part={(used ?? 0) / 100} ahead={then === null ? null : then / 100} level={level((used ?? 0) / 100)} />
      <div class="note">
        <span>{limit.start === null ? "no window runs" : `${dollars(limit.counts)}${limit.end ? `, until ${limit.limit === "five_hour" ? minute(limit.end) : zoned(limit.end)}` : ""}`}</span>
        <span class={forecast?.full_at_pace ? "bad" : ""}>{forecast ? (forecast.full_at_pace ? `full at ${zoned(forecast.full_at_pace)}` : `→ ${then === null ? usd(forecast.cost_usd_at_end) : `${then.toFixed(0)} %`} expected`) : ""}</span>
      </div>
    </li>
  );
}

export function Budgets({ asked }: { asked: Asked<AnsweredBudgets> }) {
  return (
    <Panel title="Budgets" name="budgets" size="">
      <Answer of={asked}>
        {({ budgets }) => (budgets.length === 0 ? <p class="empty">No budget is set. They stand in the settings; <code>tokentail budget --help</code> says how.</p> : <ul class="meters">{budgets.map((each) => <OneBudget key={each.budget} budget={each} />)}</ul>)}
      </Answer>
    </Panel>
  );
}

function OneBudget({ budget }: { budget: Budget }) {
  const about = [...budget.projects, ...budget.models, ...budget.hosts, ...budget.users].map(safe).join(", ");
  const isRate = budget.measure === "cache_hit_rate";
  return (
    <li>
      <div class="row">
        <span class="cut">{safe(budget.budget)}{budget.crossed && <span class="tag bad">crossed</span>}</span>
        <b>{budget.value_is_lower_bound && "≥ "}{amount(budget.value, budget)} <span class="muted">/ {amount(budget.threshold, budget)}</span></b>
      </div>
      <Meter label={`${safe(budget.budget)} used`} part={budget.share ?? 0} level={isRate ? (budget.crossed ? "error" : "usual") : level(budget.share ?? 0)} />
      <div class="note"><span class="cut">{safe(budget.period)}{about && `; ${about}`}</span></div>
    </li>
  );
}

function amount(value: number | null, { measure }: Budget): string {
  if (value === null) return "?";
  return { cost: usd(value), tokens: short(value), burn_rate: `${usd(value)}/h`, cache_hit_rate: `${value.toFixed(0)} %` }[measure];
}
