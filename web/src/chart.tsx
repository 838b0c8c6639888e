// The only place that puts a drawing of ECharts on the page: its size, its theme, its words for who cannot see it.

import { useSignalEffect } from "@preact/signals";
import type { ECharts, EChartsCoreOption } from "echarts/core";
import { useEffect, useRef } from "preact/hooks";
import { colour, looks } from "./looks";

const AGAIN_MS = 2000;

// Safari has no idle callbacks.
const whenIdle: (work: () => void) => number = "requestIdleCallback" in window ? (work) => requestIdleCallback(work, { timeout: 400 }) : (work) => window.setTimeout(work, 50);
const cancelIdle: (number: number) => void = "cancelIdleCallback" in window ? cancelIdleCallback : clearTimeout;

interface Props {
  /** What is to be seen, in a sentence. */
  readonly label: string;
  /** Called again whenever the theme changes. */
  readonly draw: () => EChartsCoreOption;
  readonly ready?: (chart: ECharts) => void;
}

export function Chart({ label, draw, ready }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<ECharts | null>(null);
  const drawn = useRef(draw);
  drawn.current = draw;
  const waiting = useRef(0);
  const redraw = () => chart.current?.setOption(drawn.current(), { replaceMerge: ["series"] });
  // A chart takes long to draw, so it lets go first what has just happened.
  const redrawSoon = () => {
    cancelIdle(waiting.current);
    waiting.current = whenIdle(redraw);
  };

  useEffect(() => {
    let gone = false;
    let watching: ResizeObserver | undefined;
    const load = (): void => void import("./drawing").then(drawOn, () => gone || setTimeout(load, AGAIN_MS)); // the server may be away
    const drawOn = ({ init }: typeof import("./drawing")) => {
      if (gone || !place.current) return;
      const made = init(place.current, null, { renderer: "canvas" });
      chart.current = made;
      redraw();
      ready?.(made);
      watching = new ResizeObserver(() => made.resize());
      watching.observe(place.current);
    };
    load();
    return () => {
      gone = true;
      cancelIdle(waiting.current);
      watching?.disconnect();
      chart.current?.dispose();
      chart.current = null;
    };
  }, []);
  useSignalEffect(() => {
    void looks.value;
    redraw();
  });
  useEffect(redrawSoon);

  return <div class="chart" role="img" aria-label={label} ref={place} />;
}

/** What all drawings share. */
export function base(): EChartsCoreOption {
  const muted = colour("--muted");
  return {
    animation: false,
    textStyle: { fontFamily: "Inter, system-ui, sans-serif", fontSize: 11, color: muted },
    tooltip: {
      trigger: "axis",
      confine: true,
      transitionDuration: 0,
      backgroundColor: colour("--raised"),
      borderColor: colour("--edge"),
      borderWidth: 1,
      padding: [7, 10],
      textStyle: { color: colour("--text"), fontSize: 12 },
      axisPointer: { type: "shadow", shadowStyle: { color: colour("--edge"), opacity: 0.16 } },
    },
    grid: { left: 4, right: 4, top: 10, bottom: 2, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
  };
}

export function axes(words: readonly string[], label: (index: number) => string, amount: (value: number) => string): EChartsCoreOption {
  const muted = colour("--muted");
  return {
    xAxis: {
      type: "category",
      data: words,
      axisTick: { show: false },
      axisLine: { lineStyle: { color: colour("--line") } },
      axisLabel: { color: muted, fontSize: 11, hideOverlap: true, interval: "auto", formatter: (_: string, index: number) => label(index) },
    },
    yAxis: {
      type: "value",
      splitNumber: 4,
      axisLabel: { color: muted, fontSize: 11, formatter: (value: number) => amount(value) },
      splitLine: { lineStyle: { color: colour("--line"), opacity: 0.7 } },
    },
  };
}

/** A box with words beside the pointer. It is made of elements and texts, never of markup: names from logs stand in it. */
export function tip(title: string, rows: readonly (readonly [string, string, string])[]): HTMLElement {
  const box = document.createElement("div");
  box.className = "tip";
  const heading = document.createElement("b");
  heading.textContent = title;
  box.append(heading);
  for (const [paint, name, amount] of rows) {
    const [dot, words, number] = [document.createElement("span"), document.createElement("span"), document.createElement("span")];
    if (paint) {
      dot.className = "dot";
      dot.style.background = paint;
    }
    words.className = "name";
    words.textContent = name;
    number.textContent = amount;
    box.append(dot, words, number);
  }
  return box;
}
