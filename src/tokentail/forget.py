"""The only place that knows how to forget: what a choice of replies takes with it, and how all of that leaves the store."""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Collection, Iterator
from typing import NamedTuple

from tokentail import forgotten, merge
from tokentail.interned import Interned, pack_numbers, unpack_numbers
from tokentail.ledger import Ledger
from tokentail.model import Cell, Tokens
from tokentail.periods import DAY_MS, QUARTER_MS
from tokentail.summaries import every, summarize, summarize_all

MAX_TOLD = 50_000  # changes that are kept for those who follow: of more replies the newest are told to be gone
MANY_PLACES = 20_000  # sums; from here on all of them are computed anew
_AT_ONCE = 1_000  # rows of sightings

_CELLS = f"""
SELECT at_ms / {DAY_MS}, names.name, prompt_class, speed, geo, service_tier,
    sum(input), sum(output), sum(cache_read), sum(cache_write_5m), sum(cache_write_1h), sum(replies), sum(not_final), sum(web_searches)
FROM (
    SELECT at_ms, model, tier, input, output, cache_read, cache_write_5m, cache_write_1h,
        1 AS replies, 1 - final AS not_final, web_searches
    FROM replies WHERE {{where}}
    UNION ALL
    SELECT at_ms, extras.model, extras.tier,
        extras.input, extras.output, extras.cache_read, extras.cache_write_5m, extras.cache_write_1h, 0, 0, 0
    FROM replies JOIN extras ON extras.reply = replies.id WHERE {{where}}
) JOIN names ON names.id = model JOIN tiers ON tiers.id = tier GROUP BY 1, 2, tier"""
_CHOSEN = "FROM chosen JOIN replies USING (id)"
_TELL = f"""
INSERT INTO changes (event, key)
SELECT 'gone', key FROM (SELECT key, at_ms {_CHOSEN} ORDER BY at_ms DESC, key DESC LIMIT ?) ORDER BY at_ms, key"""
# What nobody refers to any more. Names come last: the others refer to them.
_SWEEP = (
    "DELETE FROM files WHERE state != 'live' AND NOT EXISTS (SELECT 1 FROM sightings WHERE file = files.id)",
    "DELETE FROM rejects WHERE file NOT IN (SELECT id FROM files)",
    "DELETE FROM owners WHERE NOT EXISTS (SELECT 1 FROM replies WHERE owner = owners.id) AND id NOT IN (SELECT owner FROM records)",
    "DELETE FROM projects WHERE project NOT IN (SELECT project FROM owners)",
    "DELETE FROM forms WHERE id NOT IN (SELECT form FROM replies UNION SELECT form FROM records)",
    f"""DELETE FROM names WHERE id NOT IN (
        {every("model")} UNION SELECT version FROM replies UNION SELECT model FROM records UNION SELECT version FROM records
        UNION SELECT session FROM owners UNION SELECT project FROM owners UNION SELECT agent FROM owners
        UNION SELECT user FROM owners UNION SELECT host FROM owners)""",
    "DELETE FROM said_sessions WHERE session NOT IN (SELECT name FROM names)",
)


class Choice(NamedTuple):
    """Which replies: those that meet every condition that is given, at least one."""

    projects: Collection[str] | None = None  # slugs
    session: str | None = None
    start_ms: int | None = None
    end_ms: int | None = None  # exclusive
    last_id: int | None = None  # what arrived after that reply stays
    hosts: Collection[str] | None = None  # whose machines' replies; "" is this one
    users: Collection[str] | None = None


class Taken(NamedTuple):
    """What a choice takes with it."""

    replies: int
    sessions: int
    projects: list[str]  # slugs
    first_ms: int  # of the first reply and ...
    last_ms: int  # of the last one
    in_logs: int  # replies that still have a line in a log on disk
    last_id: int  # of the replies in order of arrival
    cells: list[Cell]
    machines: list[tuple[str, str]]  # (user, host)


def preview(db: sqlite3.Connection, choice: Choice) -> Taken:
    """What would go; nothing does yet."""
    where, values = _conditions(choice)
    query = f"""
        SELECT count(*), count(DISTINCT session), ifnull(min(at_ms), 0), ifnull(max(at_ms), 0), ifnull(max(replies.id), 0)
        FROM replies JOIN owners ON owners.id = owner WHERE {where}"""
    replies, sessions, first_ms, last_ms, last_id = db.execute(query, values).fetchone()
    of_projects = f"""
        SELECT DISTINCT name FROM replies JOIN owners ON owners.id = owner JOIN names ON names.id = project WHERE {where} ORDER BY name"""
    projects = [name for (name,) in db.execute(of_projects, values)]
    rows = db.execute(_CELLS.format(where=where), (*values, *values))
    cells = [
        Cell(day * DAY_MS, model, "", prompt_class, speed, geo, service_tier, Tokens(*sums[:5]), *sums[5:])
        for day, model, prompt_class, speed, geo, service_tier, *sums in rows
    ]
    of_machines = f"""
        SELECT users.name, hosts.name
        FROM (SELECT DISTINCT user, host FROM owners WHERE id IN (SELECT owner FROM replies WHERE {where}))
        JOIN names AS users ON users.id = user JOIN names AS hosts ON hosts.id = host ORDER BY 1, 2"""
    machines = db.execute(of_machines, values).fetchall()
    return Taken(replies, sessions, projects, first_ms, last_ms, _in_logs(db, where, values), last_id, cells, machines)


def sessions_like(db: sqlite3.Connection, text: str) -> list[str]:
    """The sessions that a person may mean: that one, or else those whose ids begin so."""
    query = "SELECT DISTINCT name FROM owners JOIN names ON names.id = session WHERE substr(name, 1, ?) = ? ORDER BY name"
    found = [name for (name,) in db.execute(query, (len(text), text))]
    return [text] if text in found else found


def purge(connection: sqlite3.Connection, interned: Interned, choice: Choice, at_ms: int) -> int:
    """
    Remove the chosen replies with all that belongs to them, and remember their hashes; gives how many they were.

    Inside a transaction that the store holds. Names that nobody refers to any more go too, so numbers of names that somebody keeps
    may be wrong afterwards.
    """
    connection.create_function("group_of_key", 1, merge.group_of_key, deterministic=True)
    connection.create_function("mark_of_group", 1, forgotten.mark_of_group, deterministic=True)
    connection.create_function("mark_of_sharing", 1, forgotten.mark_of_sharing, deterministic=True)
    connection.execute("CREATE TEMP TABLE chosen (id INTEGER PRIMARY KEY)")  # replies
    connection.execute("CREATE TEMP TABLE taken (id INTEGER PRIMARY KEY)")  # their records
    where, values = _conditions(choice)
    count = connection.execute(f"INSERT INTO chosen SELECT replies.id FROM replies WHERE {where}", values).rowcount
    last_id = _last_id(connection)
    query = f"SELECT DISTINCT at_ms / {QUARTER_MS}, owner {_CHOSEN} LIMIT {MANY_PLACES}"
    touched = connection.execute(query).fetchall()
    touched += _take_parts(connection, interned, at_ms)
    _take_groups(connection, at_ms)
    _take_sightings(connection, last_id)
    if len(touched) < MANY_PLACES:
        summarize(connection, touched)
    else:
        summarize_all(connection)
    for statement in (*_SWEEP, "DROP TABLE chosen", "DROP TABLE taken"):
        connection.execute(statement)
    return count


def _conditions(choice: Choice) -> tuple[str, list[str | int]]:
    """For the WHERE of a query on replies, and the values for it."""
    of_owner = "owner IN (SELECT owners.id FROM owners JOIN names ON names.id = owners.{} WHERE name {})"
    all_of_them = {
        of_owner.format("project", "IN (SELECT value FROM json_each(?))"): _json(choice.projects),
        of_owner.format("session", "= ?"): choice.session,
        of_owner.format("host", "IN (SELECT value FROM json_each(?))"): _json(choice.hosts),
        of_owner.format("user", "IN (SELECT value FROM json_each(?))"): _json(choice.users),
        "at_ms >= ?": choice.start_ms,
        "at_ms < ?": choice.end_ms,
        "replies.id <= ?": choice.last_id,
    }
    given = {condition: value for condition, value in all_of_them.items() if value is not None}
    assert given
    return " AND ".join(given), list(given.values())


def _json(names: Collection[str] | None) -> str | None:
    return None if names is None else json.dumps(sorted(names))


def _in_logs(db: sqlite3.Connection, where: str, values: list[str | int]) -> int:
    """How many of the replies have a line in a log that is there."""
    seen = bytearray(_last_id(db) + 1)
    for (packed,) in db.execute("SELECT records FROM sightings JOIN files ON files.id = file WHERE state = 'live'"):
        for number in unpack_numbers(packed):
            if number < len(seen):
                seen[number] = 1
    db.create_function("group_of_key", 1, merge.group_of_key, deterministic=True)
    db.create_function("seen", 1, seen.__getitem__, deterministic=True)
    query = f"""
        SELECT count(*) FROM replies WHERE {where} AND (seen(replies.id)
            OR EXISTS (SELECT 1 FROM records WHERE group_text = group_of_key(key) AND seen(records.id)))"""
    return int(db.execute(query, values).fetchone()[0])


def _take_parts(connection: sqlite3.Connection, interned: Interned, at_ms: int) -> list[tuple[int, int]]:
    """
    Of groups that several requests share, take the chosen replies only; gives the places whose sums are no longer right.

    The others may be another session's, and more of them may come: each request is remembered by itself.
    """
    ledger, touched = Ledger(connection, interned), []
    # Of a group that was shared before, one request may be left: it is remembered by itself like the others.
    is_shared = "instr(key, '/') OR mark_of_sharing(group_of_key(key)) IN (SELECT hash FROM forgotten)"
    shared = connection.execute(f"SELECT DISTINCT group_of_key(key) {_CHOSEN} WHERE {is_shared}").fetchall()
    for (group,) in shared:
        prefix = merge.escape(group)
        query = f"SELECT id, key {_CHOSEN} WHERE key = ? OR (key > ? AND key < ?)"
        chosen = connection.execute(query, (prefix, f"{prefix}/", f"{prefix}0")).fetchall()  # "0" is what follows "/"
        # Before the rest is written anew, maybe under one of these ids.
        connection.executemany("DELETE FROM chosen WHERE id = ?", [(number,) for number, _ in chosen])
        gone, tally = ledger.remove(group, {key for _, key in chosen})
        connection.executemany("INSERT INTO taken (id) VALUES (?)", [(number,) for number in gone.values()])
        marks = {forgotten.mark_of_sharing(group), *(forgotten.mark_of_request(group, request) for _, request, _ in gone)}
        forgotten.remember(connection, [(mark, at_ms) for mark in marks])
        connection.executemany("INSERT INTO changes (event, key) VALUES (?, ?)", tally.changes)
        touched += [(quarter, interned.owner(owner)) for quarter, owner in tally.touched]
    return touched


def _take_groups(connection: sqlite3.Connection, at_ms: int) -> None:
    """Take the chosen replies that are all of their group, with its records."""
    connection.execute("INSERT OR IGNORE INTO taken SELECT id FROM chosen")
    connection.execute(f"INSERT OR IGNORE INTO taken SELECT records.id {_CHOSEN} JOIN records ON group_text = group_of_key(key)")
    connection.execute(_TELL, (MAX_TOLD,))
    # In order, so that the table grows at its end and not everywhere.
    connection.execute(
        f"INSERT OR IGNORE INTO forgotten (hash, at_ms) SELECT mark_of_group(group_of_key(key)), ? {_CHOSEN} ORDER BY 1", (at_ms,)
    )
    connection.execute("DELETE FROM extras WHERE reply IN chosen")
    connection.execute("DELETE FROM replies WHERE id IN chosen")
    connection.execute("DELETE FROM records WHERE id IN taken")


def _take_sightings(connection: sqlite3.Connection, last_id: int) -> None:
    """Take the records out of the lists of what was seen where."""
    gone = bytearray(last_id + 1)
    for (number,) in connection.execute("SELECT id FROM taken"):
        gone[number] = 1
    for file, start, packed, offsets in _sightings(connection):
        lines = list(zip(unpack_numbers(packed), unpack_numbers(offsets), strict=True))
        rest = [line for line in lines if line[0] > last_id or not gone[line[0]]]
        if len(rest) == len(lines):
            continue
        connection.execute("DELETE FROM sightings WHERE file = ? AND start_bytes = ?", (file, start))
        if rest:
            columns = [pack_numbers(array("I", column)) for column in zip(*rest, strict=True)]
            connection.execute("INSERT INTO sightings (file, start_bytes, records, offsets) VALUES (?, ?, ?, ?)", (file, start, *columns))


def _sightings(connection: sqlite3.Connection) -> Iterator[tuple[int, int, bytes, bytes]]:
    """Every row, some at a time, so that rows may be rewritten meanwhile."""
    last = (0, -1)
    query = (
        "SELECT file, start_bytes, records, offsets FROM sightings WHERE (file, start_bytes) > (?, ?) ORDER BY file, start_bytes LIMIT ?"
    )
    while rows := connection.execute(query, (*last, _AT_ONCE)).fetchall():
        yield from rows
        last = rows[-1][:2]


def _last_id(connection: sqlite3.Connection) -> int:
    """The greatest number that a record or a reply has."""
    query = "SELECT max(ifnull((SELECT max(id) FROM replies), 0), ifnull((SELECT max(id) FROM records), 0))"
    return int(connection.execute(query).fetchone()[0])
