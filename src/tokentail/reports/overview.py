"""Today's overview: what the bare command prints where there is no terminal, and what the live screen starts from."""

from __future__ import annotations

import sqlite3
from datetime import date, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tokentail import periods, queries
from tokentail.model import Counts, Row, Update
from tokentail.prices import PriceList
from tokentail.reports import text
from tokentail.totals import Adder


class Overview(NamedTuple):
    """What a person wants to know first."""

    day: date
    today: Counts
    week: Counts  # today and the six days before
    models: tuple[Row, ...]  # today's, costliest first


def overview(db: sqlite3.Connection, prices: PriceList, zone: ZoneInfo, now_ms: int) -> Overview:
    """The overview at a moment, for the days of a zone."""
    day = periods.day_of(now_ms, zone)
    today, week = Adder(prices), Adder(prices)
    for cell in queries.by_model(db, zone, day, day):
        today.add(cell.model, cell)
    for cell in queries.by_model(db, zone, day - timedelta(days=6), day):
        week.add("", cell)
    models = sorted(today.rows(), key=lambda row: (-(row.counts.cost_usd or 0), row.key))
    return Overview(day, today.totals(), week.totals(), tuple(models))


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
