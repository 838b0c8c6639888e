"""The only place that asks the store for what the status line shows."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

from tokentail import periods, samples, usage
from tokentail.config import Rounding
from tokentail.model import Counts, Window
from tokentail.prices import PriceList
from tokentail.statusline.said import Said
from tokentail.totals import Adder
from tokentail.usage import Question

Use: TypeAlias = tuple[float, bool]  # percent used, and whether Claude Code says so


class Figures(NamedTuple):
    """What there is to show; None where nobody knows."""

    session: Counts | None = None
    today: Counts | None = None
    last_hour: Counts | None = None
    limits: Mapping[str, Use] = {}
    resets_ms: Mapping[str, int] = {}


def of_claude(said: Said) -> Figures:
    """What can be told without a store: what Claude Code says itself."""
    session = None if said.cost_usd is None else Counts(cost_usd=said.cost_usd)
    used = {reading.kind: (reading.used_percent, True) for reading in said.readings}
    return Figures(session, limits=used, resets_ms={reading.kind: reading.resets_ms for reading in said.readings})


def of_store(
    db: sqlite3.Connection, prices: PriceList, said: Said, zone: ZoneInfo, now_ms: int, *, rounding: Rounding, wanted: Sequence[str]
) -> Figures:
    """The same with what the store knows, and the wanted limits; where it does not know the session yet, what Claude Code says of it."""
    own = of_claude(said)
    windows = _windows(zone, now_ms)
    today, last_hour = Adder[str](prices), Adder[str](prices)
    this = usage.own_machine(db)  # the line is a person's, whatever others send here
    for used in usage.usage(db, Question(windows, users=this, hosts=this), prices):
        key = windows[used.window].key
        if "today" in key:
            today.add("", used.cell)
        if "hour" in key:
            last_hour.add("", used.cell)
    figures = own._replace(session=_session(db, prices, said.session) or own.session, today=today.totals(), last_hour=last_hour.totals())
    return _with_limits(figures, db, prices, now_ms, rounding, wanted)


def _windows(zone: ZoneInfo, now_ms: int) -> list[Window]:
    """The day of a zone and the last hour, cut where the one begins or ends in the other."""
    day = periods.day_of(now_ms, zone)
    start, hour = periods.day_start_ms(day, zone), now_ms - periods.HOUR_MS
    first, second = sorted((start, hour))
    return [Window("today" if start < hour else "hour", first, second), Window("today hour", second, now_ms + 1)]


def _session(db: sqlite3.Connection, prices: PriceList, session: str) -> Counts | None:
    span = usage.span_of_session(db, session) if session else None
    if span is None:
        return None
    adder = Adder[str](prices)
    for used in usage.usage(db, Question([span], sessions={session}), prices):
        adder.add("", used.cell)
    return adder.totals()


def _with_limits(
    figures: Figures, db: sqlite3.Connection, prices: PriceList, now_ms: int, rounding: Rounding, wanted: Sequence[str]
) -> Figures:
    """The limits that this session says nothing of, as others said them or as they follow from the logs."""
    used, resets_ms = dict(figures.limits), dict(figures.resets_ms)
    missing = [kind for kind in wanted if kind not in used and samples.latest(db, kind) is not None]
    if missing:
        from tokentail.limits.now import limit  # hardly ever needed: a subscriber's session says its limits itself

        for kind in missing:
            found = limit(db, prices, now_ms, kind, rounding=rounding)
            if found.percent is not None:
                used[kind] = found.percent, found.standing == "official"
            if found.end_ms is not None:
                resets_ms[kind] = found.end_ms
    return figures._replace(limits=used, resets_ms=resets_ms)
