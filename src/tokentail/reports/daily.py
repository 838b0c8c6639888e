"""The daily report: from the store's summaries, or from a full re-read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

from tokentail import periods, queries
from tokentail.model import Notes, Reply, Report
from tokentail.prices import PriceList
from tokentail.totals import Adder, add_replies


def from_store(
    db: sqlite3.Connection,
    prices: PriceList,
    *,
    zone: ZoneInfo,
    since: date | None,
    until: date | None,
    sources: Sequence[str],
    degraded: Sequence[str],
) -> Report:
    """Every day from `since` to `until` inclusive that has a reply, oldest first."""
    adder = Adder(prices)
    for day, cell in queries.by_day(db, zone, since, until):
        adder.add(day.isoformat(), cell)
    return _report(adder, zone, sources, queries.malformed_lines(db), degraded)


def from_replies(
    replies: Iterable[Reply],
    prices: PriceList,
    *,
    zone: ZoneInfo,
    since: date | None,
    until: date | None,
    sources: Sequence[str],
    malformed_lines: int,
) -> Report:
    """The same from replies that were counted without a store."""
    start = None if since is None else periods.day_start_ms(since, zone)
    end = None if until is None or until == date.max else periods.day_start_ms(date.fromordinal(until.toordinal() + 1), zone)
    chosen = (reply for reply in replies if (start is None or reply.at_ms >= start) and (end is None or reply.at_ms < end))
    adder = Adder(prices)
    add_replies(adder, chosen, lambda reply: periods.day_of(reply.at_ms, zone).isoformat(), prices)
    return _report(adder, zone, sources, malformed_lines, ())


def _report(adder: Adder, zone: ZoneInfo, sources: Sequence[str], malformed_lines: int, degraded: Sequence[str]) -> Report:
    totals = adder.totals()
    notes = Notes(totals.not_final_replies, adder.unpriced_models(), malformed_lines, tuple(degraded))
    return Report("daily", zone.key, tuple(map(shown_path, sources)), adder.rows(), totals, notes)


def shown_path(path: str) -> str:
    """A path as a person writes it: the home folder as `~`."""
    home = str(Path.home())
    return f"~{path[len(home) :]}" if path == home or path.startswith(f"{home}/") else path
