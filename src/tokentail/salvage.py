"""The only place that reads a damaged store: every record that can still be had from it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tokentail import merge
from tokentail.interned import COLUMNS, Interned
from tokentail.model import MAX_COUNT, Owner, Record

_COLUMNS = ", ".join(COLUMNS)
_COUNTS = slice(COLUMNS.index("input"), COLUMNS.index("form"))
_STRIDE = 16  # ids; a page holds more rows than that
_LONGEST_GAP = 100_000  # ids


def records_of(path: Path) -> Iterator[Record]:
    """The records of a store, as far as its pages can be read; nothing when it is no database at all."""
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    except sqlite3.DatabaseError:
        return
    try:
        connection.execute("SELECT count(*) FROM replies, records WHERE replies.id < 0")
    except sqlite3.DatabaseError:
        connection.close()
        return  # not even the list of tables can be read
    try:
        interned = _Rescued(connection)
        several: set[str] = set()
        for group, *row in _rows(connection, "records", f"group_text, {_COLUMNS}"):
            several.add(group)
            yield from _record(interned, group, row)
        for key, *row in _rows(connection, "replies", f"key, {_COLUMNS}"):
            group, request_id = merge.group_of_key(key), merge.request_of_key(key)
            # A reply of several records is their join, not a record; it stands in for them where they are lost.
            if group not in several:
                for record in _record(interned, group, row):
                    yield record._replace(request_id=request_id, sidechain=False) if request_id else record
    finally:
        connection.close()


class _Rescued(Interned):
    """Names by number, read from the tables and from their indexes: one of the two may be whole."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection, ())
        for order in ("id", "name"):
            self._texts.update(_pairs(connection, f"SELECT id, name FROM names ORDER BY {order}"))
        for order in ("id", "form"):
            self._form_texts.update(_pairs(connection, f"SELECT id, form FROM forms ORDER BY {order}"))
        columns = "copied, subagent, session, project, agent"
        for order in ("id", columns):
            for number, copied, subagent, *names in _sound_rows(connection, f"SELECT id, {columns} FROM owners ORDER BY {order}"):
                if all(name in self._texts for name in names):
                    self._owner_values[number] = Owner(bool(copied), bool(subagent), *(self._texts[name] for name in names))

    def text(self, number: object) -> str:
        return self._texts[number]  # type: ignore[index]  # what is no number is not there

    def form_text(self, number: object) -> str:
        return self._form_texts[number]  # type: ignore[index]  # as above

    def _owner_value(self, number: object) -> Owner:
        return self._owner_values[number]  # type: ignore[index]  # as above


def _pairs(connection: sqlite3.Connection, query: str) -> Iterator[tuple[int, str]]:
    for number, text in _sound_rows(connection, query):
        if isinstance(text, str):
            yield number, text


def _sound_rows(connection: sqlite3.Connection, query: str) -> Iterator[tuple[Any, ...]]:
    """Rows until a damaged page."""
    try:
        yield from connection.execute(query)
    except sqlite3.DatabaseError:
        return


def _rows(connection: sqlite3.Connection, table: str, columns: str) -> Iterator[list[Any]]:
    """Rows in the order of their ids; where a page is damaged, those behind it."""
    last = 0
    while True:
        try:
            for number, *row in connection.execute(f"SELECT id, {columns} FROM {table} WHERE id > ? ORDER BY id", (last,)):
                last = number
                yield row
            return
        except (sqlite3.DatabaseError, OverflowError):
            following = _next_readable(connection, table, last)
        if following is None:
            return
        last = following
        # By itself: of a row that stands right before a damaged page, the look ahead would make an error.
        for row in connection.execute(f"SELECT {columns} FROM {table} WHERE id = ?", (last,)):
            yield list(row)


def _next_readable(connection: sqlite3.Connection, table: str, last: int) -> int | None:
    """The id of the first row after `last` that can be read; None where there is none."""
    for number in range(last + 1, last + _LONGEST_GAP, _STRIDE):
        found = _first_from(connection, table, number)
        if found == _DAMAGED:
            continue
        while number > last + 1 and (before := _first_from(connection, table, number - 1)) != _DAMAGED:
            number, found = number - 1, before  # noqa: PLW2901
        return found
    return None


def _first_from(connection: sqlite3.Connection, table: str, number: int) -> int | None:
    """The id of the first row from `number` on."""
    try:
        row = connection.execute(f"SELECT * FROM {table} WHERE id >= ? ORDER BY id LIMIT 1", (number,)).fetchone()
    except (sqlite3.DatabaseError, OverflowError):
        return _DAMAGED
    return None if row is None else int(row[0])


_DAMAGED = -1


def _record(interned: Interned, group: str, row: Sequence[Any]) -> Iterator[Record]:
    request_id, *numbers = row
    if not isinstance(request_id, str) or not all(type(number) is int and number >= 0 for number in numbers):
        return  # a damaged page can look like a sound one
    if max(row[_COUNTS]) > 2 * MAX_COUNT:
        return
    try:
        yield interned.record(group, row)
    except KeyError:
        return  # the names that it refers to were on a damaged page
