"""The only place that reads a damaged store: every record that can still be had, what it was told to forget, what Claude Code said."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tokentail import merge, samples
from tokentail.forgotten import MARK_BYTES
from tokentail.interned import COLUMNS, OWNER_COLUMNS, Interned
from tokentail.model import MAX_COUNT, Owner, Record

_COLUMNS = ", ".join(COLUMNS)
_COUNTS = slice(COLUMNS.index("input"), COLUMNS.index("form"))
_STRIDE = 16  # ids; a page holds more rows than that
_LONGEST_GAP = 100_000  # ids
_PREFIXES = 1 << 16  # of hashes: so many are asked for by themselves where a page is damaged
_BEHIND_ALL = bytes([255]) * (MARK_BYTES + 1)


def records_of(path: Path) -> Iterator[Record]:
    """The records of a store, as far as its pages can be read; nothing when it is no database at all."""
    connection = _opened(path)
    if connection is None:
        return
    if not _can_be_read(connection, "replies, records WHERE replies.id < 0"):
        connection.close()
        return  # nothing to begin with
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


def forgotten_of(path: Path) -> Iterator[tuple[bytes, int]]:
    """The hashes of what the store was told to forget, with the moments, as far as its pages can be read; some may come twice."""
    connection = _opened(path)
    if connection is None:
        return
    try:
        if _can_be_read(connection, "forgotten"):
            yield from _marks(connection, b"", _BEHIND_ALL)
            return
        for prefix in range(_PREFIXES):
            following = (prefix + 1).to_bytes(2) if prefix + 1 < _PREFIXES else _BEHIND_ALL
            yield from _marks(connection, prefix.to_bytes(2), following)
    finally:
        connection.close()


def said_of(path: Path) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """The rows of what Claude Code said, each with its table, up to the first damaged page from either end; some come twice."""
    connection = _opened(path)
    if connection is None:
        return
    try:
        for table, columns in samples.TABLES.items():
            names = ", ".join(columns)
            for order in ("ASC", "DESC"):
                keys = ", ".join(f"{name} {order}" for name in list(columns)[:2])
                rows = _sound_rows(connection, f"SELECT {names} FROM {table} ORDER BY {keys}")
                yield from ((table, row) for row in rows if samples.is_sound(table, row))
    finally:
        connection.close()


def has_all_forgotten(path: Path) -> bool:
    """Can all be read that the store was told to forget?"""
    connection = _opened(path)
    if connection is None:
        return False
    try:
        return _can_be_read(connection, "forgotten")
    finally:
        connection.close()


def _opened(path: Path) -> sqlite3.Connection | None:
    """A connection to read by; None where not even the list of tables can be read."""
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    except sqlite3.DatabaseError:
        return None
    if not _can_be_read(connection, "sqlite_master"):
        connection.close()
        return None
    return connection


def _can_be_read(connection: sqlite3.Connection, rows: str) -> bool:
    """Can all of these rows be gone through?"""
    try:
        connection.execute(f"SELECT count(*) FROM {rows}").fetchone()
    except sqlite3.DatabaseError:
        return False
    return True


def _marks(connection: sqlite3.Connection, first: bytes, end: bytes) -> Iterator[tuple[bytes, int]]:
    query = "SELECT hash, at_ms FROM forgotten WHERE hash >= ? AND hash < ? ORDER BY hash"
    for mark, at_ms in _sound_rows(connection, query, (first, end)):
        if isinstance(mark, bytes) and len(mark) == MARK_BYTES and type(at_ms) is int:
            yield mark, at_ms


class _Rescued(Interned):
    """Names by number, read from the tables and from their indexes: one of the two may be whole."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection, ())
        for order in ("id", "name"):
            self._texts.update(_pairs(connection, f"SELECT id, name FROM names ORDER BY {order}"))
        for order in ("id", "form"):
            self._form_texts.update(_pairs(connection, f"SELECT id, form FROM forms ORDER BY {order}"))
        # A store of an earlier version, which knew of one machine only, may be damaged, too.
        known = {name for _, name, *_ in connection.execute("PRAGMA table_info(owners)")}
        columns = ", ".join(name for name in OWNER_COLUMNS if name in known)
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


def _sound_rows(connection: sqlite3.Connection, query: str, values: tuple[object, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Rows until a damaged page."""
    try:
        yield from connection.execute(query, values)
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
