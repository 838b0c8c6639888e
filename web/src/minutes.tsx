// Tokens a minute by kind, while they are used: of the last hour, six hours or day.

import { useAsked, address } from "./asking";
import { axes, base, Chart, tip } from "./chart";
import type { Minute, Minutes as Answered } from "./contract";
import { news, slowNews } from "./live";
import { colour, KINDS } from "./looks";
import { Answer, Choice, Panel } from "./panel";
import { go, place, whose } from "./place";
import { minute } from "./times";
import { short } from "./words";

const WINDOWS = [["1h", "1 h"], ["6h", "6 h"], ["24h", "24 h"]] as const;
type Window = (typeof WINDOWS)[number][0];
const LENGTH: Readonly<Record<Window, number>> = { "1h": 60, "6h": 360, "24h": 1440 };
const STEP: Readonly<Record<Window, number>> = { "1h": 1, "6h": 2, "24h": 10 }; // minutes in a bar

export function Minutes() {
  const window: Window = place.value.chart === "6h" || place.value.chart === "24h" ? place.value.chart : "1h";
  const asked = useAsked<Answered>(address("minutes", { minutes: LENGTH[window], ...whose.value }), window === "1h" ? news : slowNews);
  const last = asked.data?.buckets.at(-2);
  return (
    <Panel
      title="Tokens a minute"
      name="minutes"
      size="w8"
      aside={last && `${short(totalOf(last))} in the last one`}
      tools={<Choice<Window> label="How far back" of={WINDOWS} chosen={window} choose={(chart) => go({ chart: chart === "1h" ? undefined : chart })} />}
    >
      <Answer of={asked}>{({ buckets }) => <Bars buckets={inSteps(buckets, STEP[window])} step={STEP[window]} window={window} />}</Answer>
      <ul class="legend" aria-label="Kinds of tokens">
        {[...KINDS].reverse().map(([kind, name, paint]) => <li key={kind} class="text"><span class="dot" style={{ background: `var(${paint})` }} />{name}</li>)}
      </ul>
    </Panel>
  );
}

function Bars({ buckets, step, window }: { buckets: readonly Minute[]; step: number; window: Window }) {
  const draw = () => ({
    ...base(),
    ...axes(buckets.map(({ at }) => at), (index) => minute(buckets[index]?.at ?? 0), short),
    tooltip: {
      ...(base()["tooltip"] as object),
      formatter: (points: readonly { dataIndex: number }[]) => {
        const bucket = buckets[points[0]?.dataIndex ?? 0];
        return bucket ? tip(`${minute(bucket.at)}  ${short(totalOf(bucket) / step)} a minute`, [...KINDS].reverse().map(([kind, name, paint]) => [colour(paint), name, short(bucket[kind] / step)] as const)) : "";
      },
    },
    series: KINDS.map(([kind, name, paint]) => ({
      type: "bar",
      name,
      stack: "tokens",
      barCategoryGap: buckets.length > 100 ? "0%" : "18%",
      large: false,
      itemStyle: { color: colour(paint) },
      emphasis: { disabled: true },
      data: buckets.map((bucket) => bucket[kind] / step),
    })),
  });
  const most = Math.max(...buckets.map(totalOf), 0) / step;
  const span = window === "1h" ? "hour" : window.replace("h", " hours");
  if (most === 0) return <p class="empty tall">Nothing was used in the last {span}.</p>;
  return <Chart label={`Tokens a minute by kind, the last ${span}; ${short(most)} at most.`} draw={draw} />;
}

/** Several minutes in one; the newest one is never cut, the oldest may be. */
function inSteps(minutes: readonly Minute[], step: number): Minute[] {
  const steps: Minute[] = [];
  for (let end = minutes.length; end > 0; end -= step) {
    const some = minutes.slice(Math.max(end - step, 0), end);
    const first = some[0];
    if (first) steps.unshift({ at: first.at, ...Object.fromEntries(KINDS.map(([kind]) => [kind, some.reduce((sum, each) => sum + each[kind], 0)])) } as unknown as Minute);
  }
  return steps;
}

function totalOf(bucket: Minute): number {
  return bucket.input_tokens + bucket.output_tokens + bucket.cache_write_tokens + bucket.cache_read_tokens;
}
