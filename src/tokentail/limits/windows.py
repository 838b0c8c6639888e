"""The only place that says when the window of a limit that is running began and when it ends."""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from typing import NamedTuple

from tokentail import usage
from tokentail.config import Rounding
from tokentail.periods import DAY_MS
from tokentail.samples import LENGTHS_MS, Sample

_CHAIN_MS = 30 * DAY_MS  # from an end that was said so long ago windows are not followed one by one


class Bounds(NamedTuple):
    start_ms: int
    end_ms: int | None  # None: what was used longer ago counts no more, but nobody knows when it ends


def bounds(db: sqlite3.Connection, kind: str, said: Sample | None, now_ms: int, rounding: Rounding) -> Bounds | None:
    """
    The window that is running: as it was said; or else as it follows from an end that was said before, and from the replies.

    None where none is running, because nothing was used since the last one ended.
    """
    length = LENGTHS_MS[kind]
    if said is not None and said.resets_ms > now_ms:
        return Bounds(said.resets_ms - length, said.resets_ms)
    if kind == "five_hour":
        return _five_hours(db, said, now_ms, length, rounding)
    if said is None:
        return Bounds(now_ms - length, None)
    # Weekly windows follow one another, whether something is used or not.
    passed = (now_ms - said.resets_ms) // length
    start = said.resets_ms + passed * length
    return Bounds(start, start + length)


def _five_hours(db: sqlite3.Connection, said: Sample | None, now_ms: int, length: int, rounding: Rounding) -> Bounds | None:
    """The first reply after a window opens the next one."""
    from tokentail.reports.blocks import ROUNDINGS  # who is told by Claude Code does without

    step, own = ROUNDINGS[rounding], usage.own_machine(db)
    if said is None or now_ms - said.resets_ms > _CHAIN_MS:
        starts = usage.window_starts(db, length, step, users=own, hosts=own)
        place = bisect_right(starts, now_ms) - 1
        return Bounds(starts[place], starts[place] + length) if place >= 0 and now_ms < starts[place] + length else None
    end = said.resets_ms
    while (first := usage.first_since(db, end, own)) is not None and first <= now_ms:
        start = max(first - first % step, end)  # windows do not overlap
        end = start + length
        if now_ms < end:
            return Bounds(start, end)
    return None
