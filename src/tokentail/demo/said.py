"""What Claude Code would have said of the limits of made-up logs, and budgets to set against them."""

from __future__ import annotations

import sqlite3

from tokentail import samples
from tokentail.config import Budget, Config
from tokentail.limits.learnt import costs_of
from tokentail.limits.windows import bounds
from tokentail.model import Window
from tokentail.periods import DAY_MS, MINUTE_MS
from tokentail.prices import PriceList
from tokentail.samples import LENGTHS_MS, Heard, Reading

SETTINGS = Config(budgets=(Budget("a day", "cost", "40"), Budget("a month", "cost", "900", period="month")))
SESSION = "demo"
_USED = {"five_hour": 46.0, "seven_day": 61.0}  # percent, by now
_MINUTES_AGO = (200, 120, 60, 30, 15, 1)  # when it was said
_WEEK_ENDS_IN_MS = 2 * DAY_MS


def say(db: sqlite3.Connection, prices: PriceList, now_ms: int) -> None:
    """Keep what the status line would have kept: percentages that have grown as the costs have."""
    five = bounds(db, "five_hour", None, now_ms, "hour")
    ends_ms = {"five_hour": five.end_ms if five else None, "seven_day": now_ms + _WEEK_ENDS_IN_MS}
    for minutes in _MINUTES_AGO:
        at_ms = now_ms - minutes * MINUTE_MS
        readings = [
            Reading(kind, round(_USED[kind] * _part(db, prices, end_ms - LENGTHS_MS[kind], at_ms, now_ms)), end_ms)
            for kind, end_ms in ends_ms.items()
            if end_ms is not None and end_ms - LENGTHS_MS[kind] < at_ms
        ]
        samples.keep(db, Heard(SESSION, float(-minutes), tuple(readings)), at_ms)


def _part(db: sqlite3.Connection, prices: PriceList, start_ms: int, at_ms: int, now_ms: int) -> float:
    """Of what was used since the start, what was by that moment."""
    by_then, by_now = costs_of(db, prices, [Window("", start_ms, at_ms), Window("", start_ms, now_ms)])
    return by_then / by_now if by_now else 0.0
