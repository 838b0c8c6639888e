"""The only place that keeps what Claude Code says of itself: how far its limits are used, and what its sessions cost."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from types import UnionType
from typing import NamedTuple

from tokentail.additions import addition

HOUR_MS = 3_600_000
LENGTHS_MS: Mapping[str, int] = {  # of the windows of each limit
    "five_hour": 5 * HOUR_MS,
    "seven_day": 168 * HOUR_MS,
    "seven_day_opus": 168 * HOUR_MS,
    "seven_day_sonnet": 168 * HOUR_MS,
}
# The tables of what is kept here, their columns and what may stand in these; the key comes first.
TABLES: Mapping[str, Mapping[str, type | UnionType]] = {
    "samples": {"kind": str, "first_ms": int, "last_ms": int, "used_percent": float, "resets_ms": int},
    "said_sessions": {
        "session": str,
        "first_ms": int,
        "last_ms": int,
        "cost_usd": float | None,
        "ended_usd": float,
        "limits": str,
    },
}
MAX_SAMPLES = 50_000  # of a kind; the oldest are dropped
SAME_WINDOW_MS = 120_000  # the end of one window is not said to the second each time


class Reading(NamedTuple):
    """What was said of one limit."""

    kind: str
    used_percent: float
    resets_ms: int  # when its window ends


class Heard(NamedTuple):
    """What a session said of itself."""

    session: str
    cost_usd: float | None  # since it was started or resumed
    readings: tuple[Reading, ...] = ()


class Sample(NamedTuple):
    """A value of a limit, and the moments when it was said first and last."""

    kind: str
    first_ms: int
    last_ms: int
    used_percent: float
    resets_ms: int


class SaidCost(NamedTuple):
    """What Claude Code says that a session cost."""

    cost_usd: float  # all that was said, also before the session was resumed and its figure began anew
    first_ms: int  # when the status line heard of the session first, and when last
    last_ms: int
    ended_usd: float  # of that what was said before its figure began anew


def is_news(db: sqlite3.Connection, heard: Heard) -> bool:
    """
    Does a session say anything else than the last time?

    One that says the same has had no reply since. What it says of limits is then as old as that, whatever other sessions used.
    """
    cost_usd, limits = _before(db, heard.session) or (None, "")
    return heard.cost_usd not in (None, cost_usd) or _limits(heard) not in ("", limits)


def keep(db: sqlite3.Connection, heard: Heard, now_ms: int) -> None:
    """
    Write down what a session said, if it is news; needs no other lock than that of SQLite.

    Raises:
        sqlite3.OperationalError: the store is busy or cannot be written.
    """
    with addition(db):
        if is_news(db, heard):
            is_first = _before(db, heard.session) is None
            db.execute(_SAY, (heard.session, now_ms, heard.cost_usd, _limits(heard)))
            for reading in heard.readings:
                if now_ms < reading.resets_ms <= now_ms + LENGTHS_MS[reading.kind] + SAME_WINDOW_MS:
                    _keep_reading(db, reading, now_ms, is_first=is_first)


def latest(db: sqlite3.Connection, kind: str) -> Sample | None:
    """The newest value of a limit."""
    row = db.execute(f"{_SELECT} WHERE kind = ? ORDER BY first_ms DESC LIMIT 1", (kind,)).fetchone()
    return None if row is None else Sample._make(row)


def since(db: sqlite3.Connection, kind: str, start_ms: int) -> list[Sample]:
    """The values of a limit that were said first from a moment on, oldest first."""
    return [Sample._make(row) for row in db.execute(f"{_SELECT} WHERE kind = ? AND first_ms >= ? ORDER BY first_ms", (kind, start_ms))]


def is_sound(table: str, row: Sequence[object]) -> bool:
    """Can a row of one of `TABLES` be one that was written? Of a damaged store it may be anything."""
    kinds = TABLES[table]
    return len(row) == len(kinds) and all(isinstance(value, kind) for value, kind in zip(row, kinds.values(), strict=True))


def restore(db: sqlite3.Connection, rows: Iterable[tuple[str, Sequence[object]]]) -> None:
    """Take over rows of another store, given with their tables, where there are none of that key; inside a transaction."""
    for table, row in rows:
        db.execute(f"INSERT OR IGNORE INTO {table} VALUES ({', '.join('?' * len(row))})", row)


def said_cost(db: sqlite3.Connection, session: str) -> SaidCost | None:
    """What Claude Code says that a session cost; None where the status line never heard of it."""
    query = "SELECT cost_usd + ended_usd, first_ms, last_ms, ended_usd FROM said_sessions WHERE session = ? AND cost_usd IS NOT NULL"
    row = db.execute(query, (session,)).fetchone()
    return None if row is None else SaidCost._make(row)


_SELECT = "SELECT kind, first_ms, last_ms, used_percent, resets_ms FROM samples"
_SAY = """
INSERT INTO said_sessions (session, first_ms, last_ms, cost_usd, ended_usd, limits) VALUES (?1, ?2, ?2, ?3, 0, ?4)
ON CONFLICT (session) DO UPDATE SET last_ms = ?2, cost_usd = ifnull(?3, cost_usd), limits = CASE ?4 WHEN '' THEN limits ELSE ?4 END,
    ended_usd = ended_usd + CASE WHEN ?3 < cost_usd THEN cost_usd ELSE 0 END"""

_TRIM = """
DELETE FROM samples WHERE kind = ?1 AND first_ms < (
    SELECT first_ms FROM samples WHERE kind = ?1 ORDER BY first_ms DESC LIMIT 1 OFFSET ?2)"""


def _before(db: sqlite3.Connection, session: str) -> tuple[float | None, str] | None:
    """What a session said last."""
    row: tuple[float | None, str] | None = db.execute("SELECT cost_usd, limits FROM said_sessions WHERE session = ?", (session,)).fetchone()
    return row


def _keep_reading(db: sqlite3.Connection, reading: Reading, now_ms: int, *, is_first: bool) -> None:
    before = latest(db, reading.kind)
    first_ms = now_ms
    if before is not None and _is_of_window(before, reading):
        if before.used_percent == reading.used_percent:
            db.execute("UPDATE samples SET last_ms = max(last_ms, ?) WHERE kind = ? AND first_ms = ?", (now_ms, *before[:2]))
            return
        if is_first and reading.used_percent < before.used_percent:
            return  # a session that has been idle for long knows less than the others
    if before is not None:
        first_ms = max(now_ms, before.first_ms + 1)  # a clock may have been put back
    db.execute("INSERT INTO samples VALUES (?, ?, ?, ?, ?)", (reading.kind, first_ms, first_ms, reading.used_percent, reading.resets_ms))
    db.execute(_TRIM, (reading.kind, MAX_SAMPLES - 1))


def _is_of_window(sample: Sample, reading: Reading) -> bool:
    return abs(sample.resets_ms - reading.resets_ms) <= SAME_WINDOW_MS


def _limits(heard: Heard) -> str:
    return " ".join(f"{reading.kind}={reading.used_percent!r}/{reading.resets_ms}" for reading in heard.readings)
