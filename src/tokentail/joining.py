"""The only place that joins the store of another machine into ours: whatever both know of a reply becomes what both say of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from tokentail import merge
from tokentail.errors import StoreError
from tokentail.interned import COLUMNS, Interned, records_of
from tokentail.merge import RecordKey
from tokentail.model import RULES_VERSION, Record
from tokentail.store import Store

_COLUMNS = ", ".join(COLUMNS)
_BATCH = 400  # groups that are asked for at once


class Joined(NamedTuple):
    """What a join brought."""

    records: int  # that the other store holds
    joined: int  # of them, those that said something new
    replies_new: int
    replies: int  # that our store holds now


def join_store(store: Store, other: sqlite3.Connection, origin: Path) -> Joined:
    """
    Join all records of a store, and the names of its projects. Done again it changes nothing.

    What was forgotten here stays forgotten, and what was forgotten there is not forgotten here. What Claude Code said of its limits and
    costs stays where it was said.

    Args:
        other: a connection to the other store, of our version.
        origin: where it stands: what its records bring is said to come from there.

    Raises:
        StoreError: it was counted by other rules; or ours cannot be written.
    """
    if (found := dict(other.execute("SELECT name, value FROM meta")).get("rules_version")) != str(RULES_VERSION):
        raise StoreError(f"cannot merge {origin}: it was counted by other rules, {found} (run a report there with this version first)")
    before = _replies(store.connection)
    count = _Count(record for _, record in records_of(other))
    joined = store.keep(origin, _with_news(store.connection, count))
    store.keep_folders(other.execute("SELECT name, at_ms, folder FROM projects JOIN names ON id = project").fetchall())
    replies = _replies(store.connection)
    return Joined(count.count, joined, replies - before, replies)


class _Count:
    """Records, counted as they pass."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._records = records
        self.count = 0

    def __iter__(self) -> Iterator[Record]:
        for record in self._records:
            self.count += 1
            yield record


def _with_news(db: sqlite3.Connection, records: Iterable[Record]) -> Iterator[Record]:
    """Those that would change what is known: the others need no place of their own."""
    iterator = iter(records)
    while batch := list(islice(iterator, _BATCH)):
        known = _known(db, {record.group for record in batch})
        for record in batch:
            before = known.get(record[:3])
            if before is None or merge.join(before, record) != before:
                yield record


def _known(db: sqlite3.Connection, groups: set[str]) -> dict[RecordKey, Record]:
    """The records of these groups."""
    interned = Interned(db, ())
    rows = [*_asked(db, "records", "group_text", groups)]
    several = {group for group, *_ in rows}
    keys = {merge.escape(group) for group in groups - several}
    rows += [[merge.group_of_key(key), *row] for key, *row in _asked(db, "replies", "key", keys)]
    found = (interned.record(group, row) for group, *row in rows)
    return {record[:3]: record for record in found}


def _asked(db: sqlite3.Connection, table: str, column: str, values: set[str]) -> list[Sequence[Any]]:
    query = f"SELECT {column}, {_COLUMNS} FROM {table} WHERE {column} IN (SELECT value FROM json_each(?))"
    return db.execute(query, (json.dumps(sorted(values)),)).fetchall()


def _replies(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT count(*) FROM replies").fetchone()[0])
