"""The only place that answers from the store: the SQL behind every view, as frozen rows."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import date, timedelta, tzinfo
from typing import NamedTuple

from tokentail import merge, periods
from tokentail.interned import COLUMNS, Interned
from tokentail.model import Cell, Record, Reply, ReplyChange, Tokens
from tokentail.periods import DAY_MS, HOUR_MS, QUARTER_MS

_REPLY_COLUMNS = ", ".join(("id", "key", *COLUMNS))
_SUMS = """sum(input), sum(output), sum(cache_read), sum(cache_write_5m), sum(cache_write_1h),
    sum(replies), sum(not_final), sum(web_searches)"""
# Days before 1970 of zones west of Greenwich are negative, and SQLite divides towards zero: hence the day added and taken off.
_BY_DAY = f"""
SELECT day, utc_day, model, tier, {_SUMS}
FROM (SELECT ({{unit}} * {{unit_ms}} + ?1 + {DAY_MS}) / {DAY_MS} - 1 AS day, {{unit}} / ({DAY_MS} / {{unit_ms}}) AS utc_day, *
      FROM {{table}} WHERE {{unit}} >= ?2 / {{unit_ms}} AND {{unit}} < ?3 / {{unit_ms}})
GROUP BY day, utc_day, model, tier"""
_BY_DAY_FROM_QUARTERS = _BY_DAY.format(table="quarters", unit="quarter", unit_ms=QUARTER_MS)
_BY_DAY_FROM_HOURS = _BY_DAY.format(table="hours", unit="hour", unit_ms=HOUR_MS)
_BY_MODEL = f"""
SELECT quarter / {DAY_MS // QUARTER_MS} AS utc_day, model, tier, {_SUMS} FROM quarters
WHERE quarter >= ?1 AND quarter < ?2 GROUP BY utc_day, model, tier"""

_MINUTE_SUMS = "sum({0}.input), sum({0}.output), sum({0}.cache_read), sum({0}.cache_write_5m), sum({0}.cache_write_1h)"
_BY_MINUTE_CELL = f"""
SELECT at_ms / 60000 AS minute, model, tier, {_MINUTE_SUMS.format("replies")}, count(*), sum(NOT final), sum(web_searches)
FROM replies WHERE at_ms >= ?1 AND at_ms < ?2 GROUP BY minute, model, tier
UNION ALL
SELECT at_ms / 60000 AS minute, extras.model, extras.tier, {_MINUTE_SUMS.format("extras")}, 0, 0, 0
FROM replies JOIN extras ON extras.reply = replies.id WHERE at_ms >= ?1 AND at_ms < ?2 GROUP BY minute, extras.model, extras.tier"""


class DayCell(NamedTuple):
    """A cell and the local day that it belongs to."""

    day: date
    cell: Cell


class Minute(NamedTuple):
    """What one minute used."""

    minute: int  # minutes since 1970, UTC
    tokens: Tokens
    replies: int


class MinuteCell(NamedTuple):
    """A cell and the minute that it belongs to."""

    minute: int  # minutes since 1970, UTC
    cell: Cell


class Pass(NamedTuple):
    """The metrics of one look at the logs."""

    at_ms: int
    process: int
    metrics: dict[str, int | float]


def by_day(db: sqlite3.Connection, zone: tzinfo, since: date | None = None, until: date | None = None) -> Iterator[DayCell]:
    """
    Every (local day, UTC day, model, price tier) that has usage, from `since` to `until` inclusive; in no order.

    Days run from midnight to midnight in `zone`, so one of them can last 23 or 25 hours. The UTC day is told apart
    because prices are dated by it.
    """
    names = _Names(db)
    for start, end in _stretches(db, *_quarters(db, zone, since, until)):
        for span in periods.spans(zone, start * QUARTER_MS, end * QUARTER_MS):
            whole = span.offset_ms % HOUR_MS == span.start_ms % HOUR_MS == span.end_ms % HOUR_MS == 0
            query = _BY_DAY_FROM_HOURS if whole else _BY_DAY_FROM_QUARTERS
            for day, utc_day, model, tier, *sums in db.execute(query, (span.offset_ms, span.start_ms, span.end_ms)):
                yield DayCell(periods.day_from_number(day), names.cell(utc_day, model, tier, sums))


def by_model(db: sqlite3.Connection, zone: tzinfo, since: date | None = None, until: date | None = None) -> Iterator[Cell]:
    """Every (UTC day, model, price tier) that has usage from `since` to `until`, days of `zone`."""
    names = _Names(db)
    for utc_day, model, tier, *sums in db.execute(_BY_MODEL, _quarters(db, zone, since, until)):
        yield names.cell(utc_day, model, tier, sums)


def by_minute(db: sqlite3.Connection, start_ms: int, end_ms: int) -> list[Minute]:
    """Every minute that has a reply, oldest first. A reply counts in the minute in which it began."""
    rows = db.execute(
        "SELECT at_ms / 60000, sum(input), sum(output), sum(cache_read), sum(cache_write_5m), sum(cache_write_1h), count(*)"
        " FROM replies WHERE at_ms >= ? AND at_ms < ? GROUP BY 1 ORDER BY 1",
        (start_ms, end_ms),
    )
    return [Minute(row[0], Tokens(*row[1:6]), row[6]) for row in rows]


def cells_by_minute(db: sqlite3.Connection, start_ms: int, end_ms: int) -> Iterator[MinuteCell]:
    """
    Every (minute, model, price tier) that has usage, what is billed besides the replies included; in no order.

    A reply counts in the minute in which it began. For short stretches of time: it reads every reply.
    """
    names = _Names(db)
    for minute, model, tier, *sums in db.execute(_BY_MINUTE_CELL, (start_ms, end_ms)):
        yield MinuteCell(minute, names.cell(minute * 60_000 // DAY_MS, model, tier, sums))


def latest_replies(db: sqlite3.Connection, limit: int) -> list[Reply]:
    """The newest replies by their time, newest first."""
    return _replies(db, f"SELECT {_REPLY_COLUMNS} FROM replies ORDER BY at_ms DESC, key DESC LIMIT ?", (limit,))


def replies_since(db: sqlite3.Connection, start_ms: int) -> list[Reply]:
    """Every reply from a moment on, oldest first."""
    return _replies(db, f"SELECT {_REPLY_COLUMNS} FROM replies WHERE at_ms >= ? ORDER BY at_ms, key", (start_ms,))


def records_of(db: sqlite3.Connection, group: str) -> list[Record]:
    """What the store keeps of a group, before it is resolved."""
    rows = db.execute(f"SELECT {', '.join(COLUMNS)} FROM records WHERE group_text = ?", (group,)).fetchall()
    if not rows:  # a lone record is its reply
        rows = db.execute(f"SELECT {', '.join(COLUMNS)} FROM replies WHERE key = ?", (merge.escape(group),)).fetchall()
    interned = Interned(db, ())
    return [interned.record(group, row) for row in rows]


def latest_change(db: sqlite3.Connection) -> int:
    """The number of the newest change: where a follower that starts now begins."""
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'changes'").fetchone()
    return int(row[0]) if row else 0


def changes_between(db: sqlite3.Connection, after: int, until: int) -> list[ReplyChange]:
    """
    What changed by the changes numbered `after` + 1 to `until`: one entry a reply, in the replies' time order.

    Replies that are gone come last.
    """
    events: dict[str, tuple[int, str]] = {}
    for number, event, key in db.execute("SELECT seq, event, key FROM changes WHERE seq > ? AND seq <= ? ORDER BY seq", (after, until)):
        known = events.get(key)
        is_new = known is not None and known[1] == "new"
        if is_new and event == "gone":
            del events[key]  # this reader never heard of it
        else:
            events[key] = number, "new" if is_new else event  # however often it grew on the way
    found = {reply.key: reply for key in events for reply in _replies(db, f"SELECT {_REPLY_COLUMNS} FROM replies WHERE key = ?", (key,))}
    changes = []
    for key, (number, event) in events.items():
        reply = found.get(key)
        changes.append(ReplyChange(number, event if reply is not None and event != "gone" else _lost(event, reply), key, reply))
    return sorted(changes, key=lambda change: (change.reply is None, change.reply.at_ms if change.reply else 0, change.key))


def project_folders(db: sqlite3.Connection) -> dict[str, str]:
    """The folder's real name of each project slug."""
    return dict(db.execute("SELECT names.name, folder FROM projects JOIN names ON names.id = projects.project"))


def malformed_lines(db: sqlite3.Connection) -> int:
    """Lines that could have carried usage and could not be read, in the current life of every known file."""
    return int(db.execute("SELECT ifnull(sum(malformed_lines), 0) FROM files WHERE state != 'rewritten'").fetchone()[0])


def passes(db: sqlite3.Connection, limit: int) -> list[Pass]:
    """The latest looks at the logs, newest first."""
    rows = db.execute("SELECT at_ms, process, metrics FROM passes ORDER BY id DESC LIMIT ?", (limit,))
    return [Pass(at_ms, process, json.loads(metrics)) for at_ms, process, metrics in rows]


def _lost(event: str, reply: Reply | None) -> str:
    """A reply that went and came back while nobody looked was corrected; one that is not there is gone."""
    return "gone" if reply is None else ("corrected" if event == "gone" else event)


class _Names:
    """Turns the numbers in summary rows back into words."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._interned = Interned(db, ())
        self._tiers = {row[0]: row[1:] for row in db.execute("SELECT id, prompt_class, speed, geo, service_tier FROM tiers")}

    def cell(self, utc_day: int, model: int, tier: int, sums: list[int]) -> Cell:
        prompt_class, speed, geo, service_tier = self._tiers[tier]
        replies, not_final, web_searches = sums[5:]
        name, tokens = self._interned.text(model), Tokens(*sums[:5])
        return Cell(utc_day * DAY_MS, name, "", prompt_class, speed, geo, service_tier, tokens, replies, not_final, web_searches)


def _quarters(db: sqlite3.Connection, zone: tzinfo, since: date | None, until: date | None) -> tuple[int, int]:
    """The quarters of an hour from the first moment of `since` to the last of `until`, as far as there is usage; [first, end)."""
    # Two look-ups: asked for both in one, SQLite scans the table.
    first = db.execute("SELECT ifnull(min(quarter), 0) FROM quarters").fetchone()[0]
    end = db.execute("SELECT ifnull(max(quarter), -1) FROM quarters").fetchone()[0] + 1
    first, end = first // 4 * 4, -(-end // 4) * 4  # whole hours, where nobody asks for less
    if since is not None:
        first = max(first, periods.day_start_ms(since, zone) // QUARTER_MS)
    if until is not None and until < date.max - timedelta(days=2):
        end = min(end, periods.day_start_ms(until + timedelta(days=1), zone) // QUARTER_MS)
    return first, max(end, first)


def _stretches(db: sqlite3.Connection, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut [start, end) into years with usage: a line of a wrong clock may stand millennia from all others."""
    query = "SELECT min(quarter) FROM quarters WHERE quarter >= ? AND quarter < ?"
    while (first := db.execute(query, (start, end)).fetchone()[0]) is not None:
        first = max(first // 4 * 4, start)
        start = min(first + 366 * DAY_MS // QUARTER_MS, end)
        yield first, start


def _replies(db: sqlite3.Connection, query: str, values: tuple[object, ...]) -> list[Reply]:
    interned = Interned(db, ())
    return [merge.reply(row[1], interned.record(merge.group_of_key(row[1]), row[2:])) for row in db.execute(query, values)]
