"""The only place that looks at what came of past windows: how much of a pace remains, and how wrong looking ahead would have been."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from tokentail import usage
from tokentail.config import Rounding
from tokentail.limits import ahead
from tokentail.limits.learnt import costs_of
from tokentail.model import Window
from tokentail.periods import DAY_MS, HOUR_MS, QUARTER_MS
from tokentail.prices import PriceList
from tokentail.reports.blocks import ROUNDINGS
from tokentail.samples import LENGTHS_MS

LOOK_BACK_MS = 120 * DAY_MS
MOMENTS = (0.25, 0.5, 0.75)  # of a window: when it is looked ahead
LEAST_WINDOWS = 10  # that tell something of a person's habits
KINDS = ("five_hour", "seven_day")


class Moment(NamedTuple):
    """A moment of a past window, in dollars."""

    at: float  # as a part of the window
    used: float  # until then
    at_pace: float  # what would have been added if it had gone on at the pace of that moment
    added: float  # what was


class Error(NamedTuple):
    """How wrong a way to look ahead was at that moment of past windows: the difference, as a part of what they used in the end."""

    kind: str
    way: str
    moment: float
    windows: int
    median: float
    worst: float  # nine of ten were no worse


def steadiness(db: sqlite3.Connection, prices: PriceList, now_ms: int, *, rounding: Rounding = "hour") -> dict[str, float]:
    """
    How much of what a pace promised came, in the windows of the last 120 days, added up: 1 where everything went on as it did.

    By limit; only of those of which there are enough windows. It takes a fifth of a second in a store of a year, and hardly changes
    within a day: whoever asks often keeps it.
    """
    windows = _windows(db, prices, now_ms, rounding)
    return {kind: _steadiness(moments) for kind, moments in windows.items() if len(moments) >= LEAST_WINDOWS}


class Habits:
    """What `steadiness` says, asked for once a day: it takes longer than all else about limits, and hardly changes."""

    def __init__(self, prices: PriceList, rounding: Rounding) -> None:
        self._prices, self._rounding = prices, rounding
        self._day, self._parts = -1, dict[str, float]()

    def steadiness(self, db: sqlite3.Connection, now_ms: int) -> dict[str, float]:
        if self._day != now_ms // DAY_MS:
            self._parts = steadiness(db, self._prices, now_ms, rounding=self._rounding)
            self._day = now_ms // DAY_MS
        return self._parts


def backtest(db: sqlite3.Connection, prices: PriceList, now_ms: int, *, rounding: Rounding = "hour") -> list[Error]:
    """
    The errors of our way to look ahead and of two plain ones, by limit, moment and way.

    The older half of the windows of the last 120 days says how steady the pace is, the newer half is looked ahead in. Five-hour
    windows are those of the logs, weeks begin on each day. A moment at which nothing had been used lately is left out: who does not
    work does not ask.
    """
    found = []
    for kind, windows in _windows(db, prices, now_ms, rounding).items():
        half = len(windows) // 2
        steady = _steadiness(windows[:half]) if half >= LEAST_WINDOWS else 1.0
        ways = {"expected": steady, "at the pace": 1.0, "nothing more": 0.0}
        moments = [moment for each in windows[half:] for moment in each]
        for at in MOMENTS:
            here = [moment for moment in moments if moment.at == at]
            found += [_error(kind, way, share, here) for way, share in ways.items() if here]
    return found


def _steadiness(windows: Sequence[Sequence[Moment]]) -> float:
    moments = [moment for each in windows for moment in each]
    at_pace = sum(moment.at_pace for moment in moments)
    return min(sum(moment.added for moment in moments) / at_pace, 2.0) if at_pace else 1.0


def _error(kind: str, way: str, share: float, moments: Sequence[Moment]) -> Error:
    errors = sorted(abs(share * each.at_pace - each.added) / (each.used + each.added) for each in moments)
    return Error(kind, way, moments[0].at, len(errors), errors[len(errors) // 2], errors[int(len(errors) * 0.9)])


def _windows(db: sqlite3.Connection, prices: PriceList, now_ms: int, rounding: Rounding) -> dict[str, list[list[Moment]]]:
    """The windows that have ended, oldest first, with those of their moments at which somebody worked."""
    start_ms = (now_ms - LOOK_BACK_MS) // DAY_MS * DAY_MS
    between = _costs(db, prices, start_ms, now_ms)
    own = usage.own_machine(db)
    opened = usage.window_starts(db, LENGTHS_MS["five_hour"], ROUNDINGS[rounding], users=own, hosts=own)
    fives = [start for start in opened if start >= start_ms]
    found = {}
    for kind, starts in zip(KINDS, (fives, range(start_ms, now_ms, DAY_MS)), strict=True):
        ended = (start for start in starts if start + LENGTHS_MS[kind] <= now_ms)
        windows = (list(_moments(kind, start, between)) for start in ended)
        found[kind] = [moments for moments in windows if moments]
    return found


def _moments(kind: str, start_ms: int, between: Callable[[int, int], float]) -> Iterator[Moment]:
    length = LENGTHS_MS[kind]
    for at in MOMENTS:
        now_ms, end_ms = start_ms + round(length * at), start_ms + length
        used, recent = between(start_ms, now_ms), between(ahead.recent_since(kind, start_ms, now_ms), now_ms)
        if recent > 0:
            usd_per_hour = ahead.pace(kind, recent, used, start_ms, now_ms)
            yield Moment(at, used, usd_per_hour * (end_ms - now_ms) / HOUR_MS, between(now_ms, end_ms))


def _costs(db: sqlite3.Connection, prices: PriceList, start_ms: int, end_ms: int) -> Callable[[int, int], float]:
    """What was used between two moments, to the quarter of an hour."""
    windows = [Window("", at_ms, at_ms + QUARTER_MS) for at_ms in range(start_ms, end_ms, QUARTER_MS)]
    sums = [0.0, *accumulate(costs_of(db, prices, windows))]

    def until(at_ms: int) -> float:
        return sums[min(max((at_ms - start_ms) // QUARTER_MS, 0), len(sums) - 1)]

    return lambda start, end: until(end) - until(start)
