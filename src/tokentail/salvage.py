"""The only place that reads a damaged store: every record that can still be had from it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from tokentail import merge
from tokentail.interned import COLUMNS, Interned
from tokentail.model import Record

_COLUMNS = ", ".join(COLUMNS)


def records_of(path: Path) -> Iterator[Record]:
    """The records of a store, as far as its pages can be read; nothing when it is no database at all."""
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    except sqlite3.DatabaseError:
        return
    try:
        interned = Interned(connection, ())
        several: set[str] = set()
        for group, *row in _rows(connection, f"SELECT group_text, {_COLUMNS} FROM records"):
            several.add(group)
            yield from _record(interned, group, row)
        for key, *row in _rows(connection, f"SELECT key, {_COLUMNS} FROM replies"):
            group = merge.group_of_key(key)
            # A reply of several records is their join, not a record; a key with a slash is one part of such a group.
            if group not in several and "/" not in key:
                yield from _record(interned, group, row)
    finally:
        connection.close()


def _rows(connection: sqlite3.Connection, query: str) -> Iterator[list[str]]:
    """Rows from the front until a damaged page, then from the back until one."""
    seen = 0
    last: int | None = None
    for order in ("ASC", "DESC"):
        try:
            for number, *row in connection.execute(f"{query.replace('SELECT', 'SELECT id,')} ORDER BY id {order}"):
                if order == "DESC" and number == last:
                    return
                yield row
                seen += 1
                if order == "ASC":
                    last = number
            if order == "ASC":
                return
        except (sqlite3.DatabaseError, OverflowError):
            continue


def _record(interned: Interned, group: str, row: list[str]) -> Iterator[Record]:
    try:
        yield interned.record(group, row)
    except (sqlite3.DatabaseError, TypeError, ValueError):
        return  # the names that it refers to were on a damaged page
