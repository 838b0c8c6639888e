"""The only place that answers from the store: the SQL behind every view, as frozen rows."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence, Set
from typing import Any, NamedTuple

from tokentail import merge
from tokentail.interned import COLUMNS, Interned
from tokentail.model import Cell, Owner, Record, Reply, ReplyChange, Tokens
from tokentail.periods import DAY_MS

_REPLY_COLUMNS = ", ".join(("id", "key", *COLUMNS))
_MINUTE_SUMS = "sum({0}.input), sum({0}.output), sum({0}.cache_read), sum({0}.cache_write_5m), sum({0}.cache_write_1h)"
_BY_MINUTE_CELL = f"""
SELECT at_ms / 60000 AS minute, model, tier, {_MINUTE_SUMS.format("replies")}, count(*), sum(NOT final), sum(web_searches)
FROM replies WHERE at_ms >= ?1 AND at_ms < ?2 GROUP BY minute, model, tier
UNION ALL
SELECT at_ms / 60000 AS minute, extras.model, extras.tier, {_MINUTE_SUMS.format("extras")}, 0, 0, 0
FROM replies JOIN extras ON extras.reply = replies.id WHERE at_ms >= ?1 AND at_ms < ?2 GROUP BY minute, extras.model, extras.tier"""

# With all names in words at once: a look-up of each from here would take twice as long, and be most of what a line costs a reader.
_CHANGES = """
SELECT seq, event, changes.key,
    request_id, sidechain, replies.at_ms, models.name, versions.name, input, output, cache_read, cache_write_5m, cache_write_1h,
    thinking, forms.form, flags, stopped, final, web_searches,
    copied, subagent, sessions.name, projects.name, agents.name, users.name, hosts.name
FROM changes
LEFT JOIN replies ON replies.key = changes.key
LEFT JOIN names AS models ON models.id = model LEFT JOIN names AS versions ON versions.id = version
LEFT JOIN forms ON forms.id = replies.form LEFT JOIN owners ON owners.id = owner
LEFT JOIN names AS sessions ON sessions.id = session LEFT JOIN names AS projects ON projects.id = project
LEFT JOIN names AS agents ON agents.id = agent
LEFT JOIN names AS users ON users.id = user LEFT JOIN names AS hosts ON hosts.id = host
WHERE seq > ? AND seq <= ? ORDER BY seq"""

# The + keeps the query on the index by time, which gives the order.
_OF_MODELS = "+model IN (SELECT id FROM names WHERE name IN (SELECT value FROM json_each(?)))"
_OF_PROJECTS = """+owner IN (
    SELECT owners.id FROM owners JOIN names ON names.id = project WHERE names.name IN (SELECT value FROM json_each(?)))"""

_OF_MACHINES = "+owner IN (SELECT owners.id FROM owners JOIN names ON names.id = {} WHERE name IN (SELECT value FROM json_each(?)))"

_OF_SESSION = "owner IN (SELECT owners.id FROM owners JOIN names ON names.id = session WHERE names.name = ?)"
_OF_EITHER = f"(+owner IN (SELECT value FROM json_each(?)) OR {_OF_MODELS})"


class MinuteCell(NamedTuple):
    """A cell and the minute that it belongs to."""

    minute: int  # minutes since 1970, UTC
    cell: Cell


class Pass(NamedTuple):
    """The metrics of one look at the logs."""

    at_ms: int
    process: int
    metrics: dict[str, int | float]


def cells_by_minute(db: sqlite3.Connection, start_ms: int, end_ms: int) -> Iterator[MinuteCell]:
    """
    Every (minute, model, price tier) that has usage, what is billed besides the replies included; in no order.

    A reply counts in the minute in which it began. For short stretches of time: it reads every reply.
    """
    names = _Names(db)
    for minute, model, tier, *sums in db.execute(_BY_MINUTE_CELL, (start_ms, end_ms)):
        yield MinuteCell(minute, names.cell(minute * 60_000 // DAY_MS, model, tier, sums))


def has_replies(db: sqlite3.Connection) -> bool:
    """Was anything counted yet?"""
    # Of the table and not of an index: so a pass meets damage of the most important table itself.
    return db.execute("SELECT 1 FROM replies NOT INDEXED LIMIT 1").fetchone() is not None


def latest_replies(db: sqlite3.Connection, limit: int) -> list[Reply]:
    """The newest replies by their time, newest first."""
    return _replies(db, f"SELECT {_REPLY_COLUMNS} FROM replies ORDER BY at_ms DESC, key DESC LIMIT ?", (limit,))


def replies_since(db: sqlite3.Connection, start_ms: int) -> list[Reply]:
    """Every reply from a moment on, oldest first."""
    return _replies(db, f"SELECT {_REPLY_COLUMNS} FROM replies WHERE at_ms >= ? ORDER BY at_ms, key", (start_ms,))


def replies_by_key(db: sqlite3.Connection, keys: Iterable[str]) -> list[Reply]:
    """Those of the replies that there are, in the order of the keys."""
    interned, query = Interned(db, ()), f"SELECT {_REPLY_COLUMNS} FROM replies WHERE key = ?"
    return [reply for key in keys for reply in _replies_of(interned, db.execute(query, (key,)))]


def replies_of_session(db: sqlite3.Connection, session: str) -> list[Reply]:
    """Every reply of a session, its subagents' included, oldest first."""
    return _replies(db, f"SELECT {_REPLY_COLUMNS} FROM replies WHERE {_OF_SESSION} ORDER BY at_ms, key", (session,))


def replies_between(
    db: sqlite3.Connection,
    start_ms: int,
    end_ms: int,
    *,
    projects: Set[str] | None = None,
    models: Set[str] | None = None,
    not_final: bool = False,
    users: Set[str] | None = None,
    hosts: Set[str] | None = None,
) -> Iterator[Reply]:
    """
    The replies in [start_ms, end_ms), oldest first; only those of these projects, by their slugs, of these models, or not final.

    And only of these users' and these hosts' machines; "" is this one.

    As they are when the first one is taken: until the last one is, the connection stays at that moment.
    """
    conditions = ["at_ms >= ?", "at_ms < ?", *(["NOT final"] if not_final else [])]
    values: list[object] = [start_ms, end_ms]
    of_machines = ((users, _OF_MACHINES.format("user")), (hosts, _OF_MACHINES.format("host")))
    for names, condition in ((models, _OF_MODELS), (projects, _OF_PROJECTS), *of_machines):
        if names is not None:
            conditions.append(condition)
            values.append(json.dumps(sorted(names)))
    query = f"SELECT {_REPLY_COLUMNS} FROM replies WHERE {' AND '.join(conditions)} ORDER BY at_ms, key"
    interned = Interned(db, ())
    for row in db.execute(query, values):
        yield merge.reply(row[1], interned.record(merge.group_of_key(row[1]), row[2:]))


def older_replies(
    db: sqlite3.Connection, before: tuple[int, str], limit: int, *, of: Sequence[tuple[Set[int], Set[str]]] = ()
) -> list[Reply]:
    """
    The replies before a (moment, key), newest first.

    Args:
        of: numbers of owners and names of models; of each pair a reply has one or the other.
    """
    either = " AND ".join(["(at_ms, key) < (?, ?)", *(_OF_EITHER for _ in of)])
    names = [json.dumps(sorted(each)) for pair in of for each in pair]
    query = f"SELECT {_REPLY_COLUMNS} FROM replies WHERE {either} ORDER BY at_ms DESC, key DESC LIMIT ?"
    return _replies(db, query, (*before, *names, limit))


def owners(db: sqlite3.Connection) -> dict[int, Owner]:
    """Whoever owns replies, by number."""
    query = """
        SELECT owners.id, copied, subagent, sessions.name, projects.name, agents.name, users.name, hosts.name FROM owners
        JOIN names AS sessions ON sessions.id = session JOIN names AS projects ON projects.id = project
        JOIN names AS agents ON agents.id = agent JOIN names AS users ON users.id = user JOIN names AS hosts ON hosts.id = host"""
    return {number: Owner(bool(copied), bool(subagent), *said) for number, copied, subagent, *said in db.execute(query)}


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
    events: dict[str, tuple[int, str, list[Any]]] = {}
    for number, event, key, *row in db.execute(_CHANGES, (after, until)):
        known = events.get(key)
        is_new = known is not None and known[1] == "new"
        if is_new and event == "gone":
            del events[key]  # this reader never heard of it
        else:
            events[key] = number, "new" if is_new else event, row  # however often it grew on the way
    changes = []
    for key, (number, event, row) in events.items():
        reply = _reply_in_words(key, row) if row[0] is not None else None
        changes.append(ReplyChange(number, event if reply is not None and event != "gone" else _lost(event, reply), key, reply))
    return sorted(changes, key=lambda change: (change.reply is None, change.reply.at_ms if change.reply else 0, change.key))


def changed_keys(db: sqlite3.Connection, after: int, until: int) -> list[str]:
    """Which replies these changes are of; a store in which no more than this table can be read will do."""
    return [key for (key,) in db.execute("SELECT DISTINCT key FROM changes WHERE seq > ? AND seq <= ? ORDER BY seq", (after, until))]


def project_folders(db: sqlite3.Connection) -> dict[str, str]:
    """The folder's real name of each project slug, "" where no log names it."""
    query = """
        SELECT name, ifnull(folder, '') FROM (SELECT DISTINCT project FROM owners) AS known
        JOIN names ON names.id = known.project LEFT JOIN projects ON projects.project = known.project"""
    return dict(db.execute(query))


def thresholds(db: sqlite3.Connection) -> tuple[int, ...]:
    """The long-context limits by which price tiers go."""
    return tuple(json.loads(db.execute("SELECT value FROM meta WHERE name = 'thresholds'").fetchone()[0]))


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


def _reply_in_words(key: str, row: Sequence[Any]) -> Reply:
    """The reply of a row of `_CHANGES`."""
    request_id, sidechain, at_ms, model, version, i, o, r, w5, w1, thinking, form, flags, stopped, final, searches, *owner = row
    copied, subagent, *names = owner
    record = Record(
        *(merge.group_of_key(key), request_id, bool(sidechain), at_ms, model, version, Tokens(i, o, r, w5, w1), thinking, form),
        *(flags, bool(stopped), bool(final), searches, Owner(bool(copied), bool(subagent), *names)),
    )
    return merge.reply(key, record)


def _replies(db: sqlite3.Connection, query: str, values: tuple[object, ...]) -> list[Reply]:
    return _replies_of(Interned(db, ()), db.execute(query, values))


def _replies_of(interned: Interned, rows: Iterable[tuple[Any, ...]]) -> list[Reply]:
    return [merge.reply(row[1], interned.record(merge.group_of_key(row[1]), row[2:])) for row in rows]
