// What each day cost, by model: a click chooses the model, a drag chooses the days.

import type { ECharts } from "echarts/core";
import { useRef, useState } from "preact/hooks";
import type { Asked } from "./asking";
import { axes, base, Chart, tip } from "./chart";
import type { DayRow, ModelCounts, Report } from "./contract";
import { colour, hue } from "./looks";
import { Answer, Panel } from "./panel";
import { chooseDays, place, toggle } from "./place";
import { dollars, safe, shortModel, shortUsd, usd } from "./words";

interface Day {
  readonly day: string;
  readonly row: DayRow | null;
}

export function Daily({ asked }: { asked: Asked<Report<DayRow>> }) {
  const [table, setTable] = useState(false);
  const total = asked.data?.totals;
  return (
    <Panel
      title="Cost by day and model"
      name="daily"
      size="w8"
      aside={total && total.replies > 0 && <span class="money">{dollars(total)}</span>}
      tools={<button type="button" class="button" aria-pressed={table} onClick={() => setTable(!table)}>Table</button>}
    >
      <Answer of={asked}>
        {(report) => (report.rows.length === 0 ? <p class="empty">Nothing was used in these days.</p> : table ? <Days rows={report.rows} /> : <Bars rows={report.rows} />)}
      </Answer>
    </Panel>
  );
}

function Bars({ rows }: { rows: readonly DayRow[] }) {
  const days = everyDay(rows);
  const models = costliest(rows);
  const chart = useRef<ECharts | null>(null);
  const names = useRef(days);
  names.current = days;

  const draw = () => ({
    ...base(),
    ...axes(days.map(({ day }) => day), (index) => inShort(days[index]?.day ?? ""), shortUsd),
    tooltip: { ...(base()["tooltip"] as object), formatter: (points: readonly { dataIndex: number }[]) => tipOf(days[points[0]?.dataIndex ?? 0], models) },
    series: models.map(({ model }) => ({
      type: "bar",
      name: model,
      stack: "cost",
      barMaxWidth: 64,
      barCategoryGap: "22%",
      cursor: "pointer",
      itemStyle: { color: colour(hue(model)) },
      emphasis: { disabled: true },
      data: days.map(({ row }) => row?.models?.find((each) => each.model === model)?.cost_usd ?? 0),
    })),
  });

  return (
    <>
      <Brush chart={chart} choose={(from, to) => {
        const [since, until] = [names.current[from]?.day, names.current[to]?.day];
        if (since && until) chooseDays(since, until);
      }}>
        <Chart
          label={`Cost of ${days.length} days by model, ${days[0]?.day} to ${days.at(-1)?.day}. The button "Table" shows the same in words.`}
          draw={draw}
          ready={(made) => {
            chart.current = made;
            made.on("click", (event) => {
              if (event.seriesName) toggle("model", event.seriesName);
            });
          }}
        />
      </Brush>
      <ul class="legend" aria-label="Models">
        {models.map((each) => (
          <li key={each.model}>
            <button type="button" class="button plain" aria-pressed={place.value.model === each.model} onClick={() => toggle("model", each.model)} title={safe(each.model)}>
              <span class="dot" style={{ background: `var(${hue(each.model)})` }} />
              <span class="cut">{shortModel(each.model)}</span>
              <span class="money">{dollars(each)}</span>
            </button>
          </li>
        ))}
      </ul>
    </>
  );
}

/** A drag over the bars chooses the days under it. */
function Brush({ chart, choose, children }: { chart: { current: ECharts | null }; choose: (from: number, to: number) => void; children: preact.ComponentChildren }) {
  const [span, setSpan] = useState<{ from: number; to: number } | null>(null);
  const started = useRef<number | null>(null);
  const x = (event: PointerEvent) => event.clientX - (event.currentTarget as HTMLElement).getBoundingClientRect().left;
  const index = (at: number) => chart.current?.convertFromPixel({ xAxisIndex: 0 }, at) as number | undefined;

  const end = (event: PointerEvent) => {
    const from = started.current;
    started.current = null;
    setSpan(null);
    if (from === null || Math.abs(x(event) - from) < 6) return;
    const [one, other] = [index(Math.min(from, x(event))), index(Math.max(from, x(event)))];
    if (one !== undefined && other !== undefined) choose(Math.max(one, 0), other);
  };
  return (
    <div
      class="brushed"
      onPointerDown={(event) => {
        if (event.button === 0 && event.pointerType !== "touch") started.current = x(event);
      }}
      onPointerMove={(event) => {
        const from = started.current;
        if (from === null) return;
        if (Math.abs(x(event) - from) >= 6) {
          event.currentTarget.setPointerCapture(event.pointerId);
          setSpan({ from: Math.min(from, x(event)), to: Math.max(from, x(event)) });
        }
      }}
      onPointerUp={end}
      onPointerCancel={() => {
        started.current = null;
        setSpan(null);
      }}
    >
      {children}
      {span && <div class="brush" style={{ left: `${span.from}px`, width: `${span.to - span.from}px`, top: "8px", height: "calc(100% - 62px)" }} />}
    </div>
  );
}

function Days({ rows }: { rows: readonly DayRow[] }) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Cost by day and model as a table">
      <table>
        <thead><tr><th scope="col">Day</th><th scope="col">Models</th><th scope="col" class="number">Replies</th><th scope="col" class="number">Cost</th></tr></thead>
        <tbody>
          {[...rows].reverse().map((row) => (
            <tr key={row.day}>
              <td class="time"><button type="button" class="link" onClick={() => chooseDays(row.day, row.day)}>{row.day}</button></td>
              <td>
                {row.models?.map((each) => (
                  <span key={each.model} class="model" style={{ marginRight: "14px" }}>
                    <span class="dot" style={{ background: `var(${hue(each.model)})` }} />
                    <button type="button" class="link" onClick={() => toggle("model", each.model)}>{safe(each.model)}</button>
                    <span class="money">{dollars(each)}</span>
                  </span>
                ))}
              </td>
              <td class="number">{row.replies}</td>
              <td class="number money">{dollars(row)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function tipOf(day: Day | undefined, models: readonly { model: string }[]): HTMLElement {
  const used = models.flatMap(({ model }) => day?.row?.models?.filter((each) => each.model === model) ?? []);
  const rows = used.map((each) => [colour(hue(each.model)), safe(each.model), dollars(each)] as const);
  return tip(day ? `${day.day}  ${day.row ? dollars(day.row) : usd(0)}` : "", rows);
}

/** Days without usage, too: a gap is to be seen. */
export function everyDay(rows: readonly DayRow[]): Day[] {
  const first = rows[0]?.day;
  const last = rows.at(-1)?.day;
  if (!first || !last) return [];
  const byDay = new Map(rows.map((row) => [row.day, row]));
  const days: Day[] = [];
  for (let at = Date.parse(first); at <= Date.parse(last); at += 86_400_000) {
    const day = new Date(at).toISOString().slice(0, 10);
    days.push({ day, row: byDay.get(day) ?? null });
  }
  return days;
}

/** The models of all rows together, costliest first; those without a price last. */
function costliest(rows: readonly DayRow[]): (Pick<ModelCounts, "model" | "cost_usd" | "cost_is_lower_bound"> & { tokens: number })[] {
  const sums = new Map<string, { model: string; cost_usd: number | null; cost_is_lower_bound: boolean; tokens: number }>();
  for (const each of rows.flatMap((row) => row.models ?? [])) {
    const sum = sums.get(each.model) ?? { model: each.model, cost_usd: null, cost_is_lower_bound: false, tokens: 0 };
    if (each.cost_usd !== null) sum.cost_usd = (sum.cost_usd ?? 0) + each.cost_usd;
    sum.cost_is_lower_bound ||= each.cost_is_lower_bound;
    sum.tokens += each.total_tokens;
    sums.set(each.model, sum);
  }
  return [...sums.values()].sort((a, b) => (b.cost_usd ?? -1) - (a.cost_usd ?? -1) || b.tokens - a.tokens);
}

function inShort(day: string): string {
  return new Date(`${day}T00:00:00Z`).toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
}
