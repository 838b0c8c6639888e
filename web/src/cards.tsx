// What was used today, in the five-hour window that runs, in seven days and in this month, and where the last two lead.

import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";
import type { Counts, Overview } from "./contract";
import { Meter } from "./meter";
import { minute } from "./times";
import { dollars, duration, many, percent, short, usd } from "./words";

export function Cards({ overview }: { overview: Overview | null }) {
  return (
    <>
      <Card title="Today" name="today" aside={overview?.day} counts={overview?.today}>
        {overview && <Amounts counts={overview.today} />}
      </Card>
      <FiveHours overview={overview} />
      <Card title="7 days" name="week" counts={overview?.week} aside={overview && <Spark costs={overview.week.days.map(({ cost_usd }) => cost_usd ?? 0)} />}>
        {overview && <Amounts counts={overview.week} />}
      </Card>
      <Card title="This month" name="month" counts={overview?.month} aside={overview && <span class="wide-only">{nameOf(overview.month.month)}</span>}>
        {overview && (
          <>
            <Amounts counts={overview.month}>
              {overview.month.forecast_usd !== null && <div><dt>→ <span class="money">{overview.month.cost_is_lower_bound && "≥ "}{usd(overview.month.forecast_usd)}</span> at its end</dt><dd><span class="tag">forecast</span></dd></div>}
            </Amounts>
          </>
        )}
      </Card>
    </>
  );
}

function FiveHours({ overview }: { overview: Overview | null }) {
  const window = overview?.window;
  if (overview && !window) {
    return <Card title="5-hour window" name="window"><p class="under">No window is open: nothing was used for five hours.</p></Card>;
  }
  const [start, end, now] = [window?.start ?? 0, window?.end ?? 0, overview?.at ?? 0].map((at) => new Date(at).getTime()) as [number, number, number];
  const pace = window?.pace;
  return (
    <Card title="5-hour window" name="window" counts={window} aside={window && `${duration(end - now)} left`}>
      {window && pace && (
        <>
          <Meter label="Time that is over" part={(now - start) / (end - start)} />
          <dl>
            <div><dt>→ <span class="money">{pace.projected_cost_usd === null ? short(pace.projected_tokens) : (window.cost_is_lower_bound ? "≥ " : "") + usd(pace.projected_cost_usd)}</span> at {minute(window.end)}</dt><dd><span class="tag">forecast</span></dd></div>
            <div><dt>{pace.cost_usd_per_hour === null ? "?" : usd(pace.cost_usd_per_hour)} an hour</dt><dd class="wide-only">{short(pace.tokens_per_minute)} tokens a minute</dd></div>
          </dl>
        </>
      )}
    </Card>
  );
}

function Card({ title, name, aside, counts, children }: { title: string; name: string; aside?: ComponentChildren; counts?: Counts | null | undefined; children?: ComponentChildren }) {
  const id = useId();
  return (
    <section class="panel card w3" aria-labelledby={id} id={name}>
      <h2><span id={id}>{title}</span>{aside && <span>{aside}</span>}</h2>
      {counts !== null && <p class="big">{counts ? <Money counts={counts} /> : " "}</p>}
      {children}
    </section>
  );
}

function Money({ counts }: { counts: Counts }) {
  const why = counts.cost_usd === null ? "Nothing in it has a known price" : counts.cost_is_lower_bound ? `A lower bound: ${many(counts.not_final_replies, "reply", "replies")} not final, or a model without a price` : undefined;
  return <span class="money" title={why}>{counts.cost_usd === null ? "$ ?" : dollars(counts)}</span>;
}

function Amounts({ counts, children }: { counts: Counts; children?: ComponentChildren }) {
  const prompt = counts.total_tokens - counts.output_tokens;
  return (
    <dl>
      {children}
      <div><dt>{short(counts.total_tokens)} tokens</dt><dd class="wide-only">{short(counts.output_tokens)} out</dd></div>
      <div><dt>{many(counts.replies, "reply", "replies")}{counts.not_final_replies > 0 && <span class="tag" title="The log never gave their final output count">{short(counts.not_final_replies)} not final</span>}</dt><dd class="muted wide-only">{prompt > 0 && `${percent(counts.cache_read_tokens / prompt)} cached`}</dd></div>
    </dl>
  );
}

function Spark({ costs }: { costs: readonly number[] }) {
  const most = Math.max(...costs, 1e-9);
  return <span class="spark" role="img" aria-label={`Cost of each day: ${costs.map((cost) => usd(cost)).join(", ")}`}>{costs.map((cost, index) => <i key={index} style={{ height: `${(cost / most) * 100}%` }} />)}</span>;
}

function nameOf(month: string): string {
  return new Date(`${month}-01T00:00:00Z`).toLocaleDateString("en-GB", { month: "long", year: "numeric", timeZone: "UTC" });
}
