"""Today's overview: what the bare command prints where there is no terminal, and what the live screen starts from."""

from __future__ import annotations

import sqlite3
from datetime import date, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tokentail import periods
from tokentail.model import Counts, Row, Update, Window
from tokentail.prices import PriceList
from tokentail.reports import text
from tokentail.totals import Adder, costliest_first
from tokentail.usage import Question, usage


class Overview(NamedTuple):
    """What a person wants to know first."""

    day: date
    today: Counts
    week: Counts  # today and the six days before
    models: tuple[Row, ...]  # today's, costliest first
    week_usd: tuple[float, ...] = ()  # what each day of the week cost, today last


def overview(db: sqlite3.Connection, prices: PriceList, zone: ZoneInfo, now_ms: int) -> Overview:
    """The overview at a moment, for the days of a zone."""
    day = periods.day_of(now_ms, zone)
    week = [day - timedelta(days=back) for back in range(6, -1, -1)]
    number = now_ms // periods.DAY_MS
    # A day more at each end, since those are days of UTC.
    local = [each for each in periods.local_days(zone, range(number - 7, number + 2)) if each.day in week]
    windows = [Window(each.day.isoformat(), each.start_ms, each.end_ms) for each in local]
    days, models = Adder[str](prices), Adder[str](prices)
    for used in usage(db, Question(windows), prices):
        days.add(windows[used.window].key, used.cell)
        if windows[used.window].key == day.isoformat():
            models.add(used.cell.model, used.cell)
    costs = {key: counts.cost_usd or 0.0 for key, counts in days.rows()}
    rows = costliest_first(Row(key, counts) for key, counts in models.rows())
    return Overview(day, models.totals(), days.totals(), tuple(rows), tuple(costs.get(each.isoformat(), 0.0) for each in week))


def overview_text(seen: Overview, update: Update, zone: ZoneInfo, style: text.Style) -> str:
    """The overview for a terminal of 80 columns or none at all."""
    names = ["today", "7 days", *(text.safe(row.key) for row in seen.models)]
    rows = [seen.today, seen.week, *(row.counts for row in seen.models)]
    width = max(map(text.text_width, names))
    lines = [f"  {name}{' ' * (width - text.text_width(name))}  {_line(row)}" for name, row in zip(names, rows, strict=True)]
    metrics = update.metrics
    cost = f"{metrics.files_checked:,} files checked, {metrics.files_read:,} read ({metrics.bytes_read / 1e6:,.1f} MB)"
    return "\n".join(
        [
            style(f"{seen.day.isoformat()} ({zone.key})", "1"),
            "",
            *lines[:2],
            *([""] if seen.models else []),
            *lines[2:],
            "",
            style(f"  {cost} in {metrics.took_s * 1000:,.0f} ms", "2"),
            *(f"!  {text.safe(reason)}" for reason in update.degraded),
            "",
        ]
    )


def _line(counts: Counts) -> str:
    tokens = f"{text.short(counts.total_tokens - counts.output_tokens):>6} in {text.short(counts.output_tokens):>6} out"
    return f"$ {text.cost(counts):>9}  {counts.replies:>6,} replies  {tokens}"
