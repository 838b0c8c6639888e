"""The only place that knows how values become rows and back: names, owners, forms and tiers by number, packed numbers, names of files."""

from __future__ import annotations

import os
import sqlite3
import sys
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from tokentail import merge
from tokentail.model import Owner, Record, Tokens

# The columns that `replies` and `records` share, in the order of `Interned.row`.
COLUMNS = (
    *("request_id", "sidechain", "at_ms", "model", "version"),
    *("input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "thinking"),
    *("form", "flags", "stopped", "final", "web_searches", "owner"),
)

OWNER_COLUMNS = ("copied", "subagent", "session", "project", "agent", "user", "host")  # of `owners`; all but the first two are names


def records_of(connection: sqlite3.Connection, is_wanted: Callable[[int], object] = lambda _: True) -> Iterator[tuple[int, Record]]:
    """
    The records of a store, with their numbers: those of groups with several, and the replies that are their group's only one.

    `is_wanted` is asked by number.
    """
    interned = Interned(connection, ())
    columns = ", ".join(COLUMNS)
    several: set[str] = set()
    for number, group, *row in connection.execute(f"SELECT id, group_text, {columns} FROM records"):
        several.add(group)
        if is_wanted(number):
            yield number, interned.record(group, row)
    for number, key, *row in connection.execute(f"SELECT id, key, {columns} FROM replies"):
        if is_wanted(number) and (group := merge.group_of_key(key)) not in several:
            yield number, interned.record(group, row)


class _Numbers(dict[Any, int]):
    """The number of each value; one that was not met yet is looked up in its table, and added there where it is new."""

    def __init__(
        self, connection: sqlite3.Connection, table: str, columns: tuple[str, ...], values_of: Callable[[Any], tuple[Any, ...]]
    ) -> None:
        super().__init__()
        self._connection = connection
        self._values_of = values_of
        self._select = f"SELECT id FROM {table} WHERE {' AND '.join(f'{column} = ?' for column in columns)}"
        self._insert = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"

    def __missing__(self, value: Any) -> int:
        values = self._values_of(value)
        row = self._connection.execute(self._select, values).fetchone()
        number = self[value] = int(row[0]) if row is not None else self._connection.execute(self._insert, values).lastrowid or 0
        return number


class Interned:
    """The numbers of names, with what was met so far in memory. After a rollback make a new one: its numbers may be gone."""

    def __init__(self, connection: sqlite3.Connection, thresholds: Sequence[int]) -> None:
        self._connection = connection
        self._thresholds = tuple(thresholds)
        self._names = _Numbers(connection, "names", ("name",), lambda name: (name,))
        self._forms = _Numbers(connection, "forms", ("form",), lambda form: (form,))
        self._owners = _Numbers(connection, "owners", OWNER_COLUMNS, self._owner_row)
        self._tiers = _Numbers(connection, "tiers", ("prompt_class", "speed", "geo", "service_tier"), _tier_row)
        self._texts: dict[int, str] = {}
        self._form_texts: dict[int, str] = {}
        self._owner_values: dict[int, Owner] = {}

    def row(self, record: Record) -> tuple[object, ...]:
        """A record as the values of COLUMNS."""
        _, request_id, sidechain, at_ms, model, version, tokens, thinking, form, flags, stopped, final, searches, owner = record
        names = self._names
        return (
            *(request_id, sidechain, at_ms, names[model], names[version], *tokens, thinking),
            *(self._forms[form], flags, stopped, final, searches, self._owners[owner]),
        )

    def reply_rows(self, records: Iterable[tuple[int, str, Record]]) -> Iterator[tuple[object, ...]]:
        """
        Rows of `replies` for (id, key, message): `row` and `tier` in one, for the many rows of a first fill.

        Written out flat, with numbers for truth values: sqlite3 looks for an adapter for every bool, and this loop was a quarter
        of the time of a cold start.
        """
        names, forms, owners, tiers, thresholds = self._names, self._forms, self._owners, self._tiers, self._thresholds
        for number, key, record in records:
            _, request_id, sidechain, at_ms, model, version, tokens, thinking, form, flags, stopped, final, searches, owner = record
            i, o, r, w5, w1 = tokens
            tier = tiers[form, bisect_left(thresholds, i + r + w5 + w1)]
            yield (
                number,
                key,
                request_id,
                +sidechain,
                at_ms,
                names[model],
                names[version],
                i,
                o,
                r,
                w5,
                w1,
                thinking,
                forms[form],
                flags,
                +stopped,
                +final,
                searches,
                owners[owner],
                tier,
            )

    def record(self, group: str, row: Sequence[object]) -> Record:
        """The record whose `row` this is."""
        request_id, sidechain, at_ms, model, version, i, o, r, w5, w1, thinking, form, flags, stopped, final, searches, owner = row
        return Record(
            *(group, request_id, bool(sidechain), at_ms, self.text(model), self.text(version), Tokens(i, o, r, w5, w1), thinking),  # type: ignore[arg-type]
            *(self.form_text(form), flags, bool(stopped), bool(final), searches, self._owner_value(owner)),  # type: ignore[arg-type]
        )

    def tier(self, form: str, tokens: Tokens) -> int:
        """The price tier of tokens that were logged in a usage object of that form."""
        return self._tiers[form, bisect_left(self._thresholds, tokens.prompt)]

    def owner(self, owner: Owner) -> int:
        """The number of an owner."""
        return self._owners[owner]

    def name(self, text: str) -> int:
        """The number of a name."""
        return self._names[text]

    def text(self, number: object) -> str:
        return self._back(self._texts, "SELECT name FROM names WHERE id = ?", number)

    def form_text(self, number: object) -> str:
        """The form of that number."""
        return self._back(self._form_texts, "SELECT form FROM forms WHERE id = ?", number)

    def _owner_row(self, owner: Owner) -> tuple[int, ...]:
        return (int(owner.copied), int(owner.subagent), *(self._names[part] for part in owner[2:]))

    def _owner_value(self, number: object) -> Owner:
        assert isinstance(number, int)
        if number not in self._owner_values:
            query = f"SELECT {', '.join(OWNER_COLUMNS)} FROM owners WHERE id = ?"
            copied, subagent, *names = self._connection.execute(query, (number,)).fetchone()
            self._owner_values[number] = Owner(bool(copied), bool(subagent), *map(self.text, names))
        return self._owner_values[number]

    def _back(self, cache: dict[int, str], query: str, number: object) -> str:
        assert isinstance(number, int)
        if number not in cache:
            cache[number] = self._connection.execute(query, (number,)).fetchone()[0]
        return cache[number]


def _tier_row(value: tuple[str, int]) -> tuple[int, str, str, str]:
    form, prompt_class = value
    said = merge.form_of(form)
    return prompt_class, said.speed, said.geo, said.service_tier


def pack_numbers(numbers: array[int]) -> bytes:
    """32-bit numbers, little end first."""
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()


def unpack_numbers(stored: bytes) -> array[int]:
    """The numbers that `pack_numbers` packed."""
    numbers = array("I")
    numbers.frombytes(stored)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def storable(number: int) -> int | bytes:
    """SQLite's integers have 64 bits with a sign; some file systems number files beyond that, and some clocks are centuries off."""
    return number if -(1 << 63) <= number < 1 << 63 else str(number).encode()


def stored_name(name: str) -> str | bytes:
    """A file's name as text, or as bytes where it is none: names are bytes, and not all of them are UTF-8."""
    return name if name.isascii() or _is_text(name) else os.fsencode(name)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def name_of(stored: str | bytes) -> str:
    return stored if isinstance(stored, str) else os.fsdecode(stored)
