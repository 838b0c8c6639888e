"""The only place that knows how a record becomes a row and back: names, owners, forms and price tiers are stored once, by number."""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections.abc import Sequence

from tokentail import merge
from tokentail.model import Owner, Record, Tokens

# The columns that `replies` and `records` share, in the order of `Interned.row`.
COLUMNS = (
    *("request_id", "sidechain", "at_ms", "model", "version"),
    *("input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "thinking"),
    *("form", "flags", "stopped", "final", "web_searches", "owner"),
)


class Interned:
    """The numbers of names, with what was met so far in memory. After a rollback make a new one: its numbers may be gone."""

    def __init__(self, connection: sqlite3.Connection, thresholds: Sequence[int]) -> None:
        self._connection = connection
        self._thresholds = tuple(thresholds)
        self._names: dict[str, int] = {}
        self._forms: dict[str, int] = {}
        self._owners: dict[Owner, int] = {}
        self._tiers: dict[tuple[str, int], int] = {}
        self._texts: dict[int, str] = {}
        self._form_texts: dict[int, str] = {}
        self._owner_values: dict[int, Owner] = {}

    def row(self, record: Record) -> tuple[object, ...]:
        """A record as the values of COLUMNS."""
        names, forms, owners = self._names, self._forms, self._owners
        _, request_id, sidechain, at_ms, model, version, tokens, thinking, form, flags, stopped, final, searches, owner = record
        return (
            request_id,
            sidechain,
            at_ms,
            names.get(model) or self.name(model),
            names.get(version) or self.name(version),
            *tokens,
            thinking,
            forms.get(form) or self._form(form),
            flags,
            stopped,
            final,
            searches,
            owners.get(owner) or self._owner(owner),
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
        prompt_class = bisect_left(self._thresholds, tokens[0] + tokens[2] + tokens[3] + tokens[4])
        return self._tiers.get((form, prompt_class)) or self._new_tier(form, prompt_class)

    def name(self, text: str) -> int:
        number = self._names.get(text)
        if number is None:
            number = self._names[text] = self._number("names", ("name",), (text,))
        return number

    def text(self, number: object) -> str:
        return self._back(self._texts, "SELECT name FROM names WHERE id = ?", number)

    def _form(self, form: str) -> int:
        number = self._forms[form] = self._number("forms", ("form",), (form,))
        return number

    def form_text(self, number: object) -> str:
        """The form of that number."""
        return self._back(self._form_texts, "SELECT form FROM forms WHERE id = ?", number)

    def _owner(self, owner: Owner) -> int:
        values = (int(owner.copied), int(owner.subagent), *(self.name(part) for part in owner[2:]))
        number = self._owners[owner] = self._number("owners", ("copied", "subagent", "session", "project", "agent"), values)
        return number

    def _owner_value(self, number: object) -> Owner:
        assert isinstance(number, int)
        if number not in self._owner_values:
            query = "SELECT copied, subagent, session, project, agent FROM owners WHERE id = ?"
            copied, subagent, *names = self._connection.execute(query, (number,)).fetchone()
            self._owner_values[number] = Owner(bool(copied), bool(subagent), *map(self.text, names))
        return self._owner_values[number]

    def _new_tier(self, form: str, prompt_class: int) -> int:
        said = merge.form_of(form)
        values = (prompt_class, said.speed, said.geo, said.service_tier)
        number = self._tiers[form, prompt_class] = self._number("tiers", ("prompt_class", "speed", "geo", "service_tier"), values)
        return number

    def _number(self, table: str, columns: tuple[str, ...], values: tuple[object, ...]) -> int:
        known = self._connection.execute(f"SELECT id FROM {table} WHERE {' AND '.join(f'{column} = ?' for column in columns)}", values)
        if (row := known.fetchone()) is not None:
            return int(row[0])
        made = self._connection.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})", values)
        assert made.lastrowid is not None
        return made.lastrowid

    def _back(self, cache: dict[int, str], query: str, number: object) -> str:
        assert isinstance(number, int)
        if number not in cache:
            cache[number] = self._connection.execute(query, (number,)).fetchone()[0]
        return cache[number]
