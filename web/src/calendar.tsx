// A year of days whose colours say what each cost. Arrow keys go from day to day, Enter chooses one.

import { useEffect, useRef, useState } from "preact/hooks";
import type { Asked } from "./asking";
import type { DayRow, Report } from "./contract";
import { Answer, Panel } from "./panel";
import { chooseDays, clear, place } from "./place";
import { dollars, many, usd } from "./words";

const WEEKS = 53;
const WEEK_PX = 16;
const NAMES_PX = 34;
const DAY_MS = 86_400_000;
const STEPS: Readonly<Record<string, number>> = { ArrowLeft: -7, ArrowRight: 7, ArrowUp: -1, ArrowDown: 1, PageUp: -28, PageDown: 28 };

export function Calendar({ asked, today }: { asked: Asked<Report<DayRow>>; today: string }) {
  return (
    <Panel
      title="Calendar"
      name="calendar"
      size="w8"
      aside="cost by day"
      tools={<span class="heats" aria-hidden="true">less {[0, 1, 2, 3, 4].map((heat) => <i key={heat} style={{ background: `var(--heat${heat})` }} />)} more</span>}
    >
      <Answer of={asked}>{(report) => <Year rows={report.rows} today={today} />}</Answer>
    </Panel>
  );
}

function Year({ rows, today }: { rows: readonly DayRow[]; today: string }) {
  const grid = useRef<HTMLDivElement>(null);
  const [weeks, setWeeks] = useState(WEEKS);
  useEffect(() => {
    const box = grid.current;
    if (!box) return;
    const watching = new ResizeObserver(() => setWeeks(Math.min(WEEKS, Math.floor((box.clientWidth - NAMES_PX) / WEEK_PX))));
    watching.observe(box);
    return () => watching.disconnect();
  }, []);

  const end = Date.parse(today);
  // Weeks begin on Monday; the last column is the week of today.
  const weekday = (new Date(end).getUTCDay() + 6) % 7;
  const start = end - (weekday + (weeks - 1) * 7) * DAY_MS;
  const count = (weeks - 1) * 7 + weekday + 1;
  const byDay = new Map(rows.map((row) => [row.day, row]));
  const steps = quartiles(rows);
  const [back, setBack] = useState(0); // days before today: where the keys are
  const at = Math.max(count - 1 - back, 0);
  const setAt = (index: number) => setBack(count - 1 - index);

  const move = (event: KeyboardEvent) => {
    const step = event.key === "Home" ? -at : event.key === "End" ? count - 1 - at : STEPS[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const next = Math.min(Math.max(at + step, 0), count - 1);
    setAt(next);
    grid.current?.querySelector<HTMLButtonElement>(`button[data-at="${next}"]`)?.focus();
  };

  return (
    <div class="calendar" ref={grid} role="group" aria-label="Cost of each day; arrow keys move, Enter chooses the day" onKeyDown={move}>
      {["Mon", "", "Wed", "", "Fri", "", "Sun"].map((name, row) => name && <span key={name} class="weekday" aria-hidden="true" style={{ gridRow: row + 2 }}>{name}</span>)}
      {Array.from({ length: count }, (_, index) => {
        const day = dayOf(start, index);
        const [week, weekday] = [Math.floor(index / 7), index % 7];
        const row = byDay.get(day);
        const chosen = place.value.since === day && place.value.until === day;
        return (
          <>
            {weekday === 0 && beginsMonth(start, index) && (
              <span key={`m${week}`} class="month" aria-hidden="true" style={{ gridColumn: week + 2 }}>{monthOf(day)}</span>
            )}
            <button
              type="button"
              key={day}
              data-at={index}
              data-heat={heat(row, steps)}
              data-unpriced={row ? row.cost_usd === null : undefined}
              tabIndex={index === at ? 0 : -1}
              aria-label={`${day}: ${row ? `${dollars(row)}, ${many(row.replies, "reply", "replies")}` : usd(0)}`}
              title={`${day}  ${row ? dollars(row) : usd(0)}`}
              aria-pressed={chosen}
              style={{ gridColumn: week + 2, gridRow: weekday + 2 }}
              onFocus={() => setAt(index)}
              onClick={() => (chosen ? clear() : chooseDays(day, day))}
            />
          </>
        );
      })}
    </div>
  );
}

function dayOf(start: number, index: number): string {
  return new Date(start + index * DAY_MS).toISOString().slice(0, 10);
}

function monthOf(day: string): string {
  return new Date(`${day}T00:00:00Z`).toLocaleDateString("en-GB", { month: "short", timeZone: "UTC" });
}

/** Whether the week that begins there is the first one to begin in its month. */
function beginsMonth(start: number, index: number): boolean {
  return index === 0 ? dayOf(start, 0).slice(8) <= "14" : dayOf(start, index).slice(5, 7) !== dayOf(start, index - 7).slice(5, 7);
}

/** The costs that a quarter, half and three quarters of the days with a cost are below. */
function quartiles(rows: readonly DayRow[]): number[] {
  const costs = rows.flatMap(({ cost_usd }) => (cost_usd ? [cost_usd] : [])).sort((a, b) => a - b);
  return [0.25, 0.5, 0.75].map((part) => costs[Math.floor(costs.length * part)] ?? 0);
}

function heat(row: DayRow | undefined, steps: readonly number[]): number {
  if (!row || !row.cost_usd) return 0;
  const cost = row.cost_usd;
  return 1 + steps.filter((step) => cost >= step && step > 0).length;
}
