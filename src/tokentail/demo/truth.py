"""The only place that adds up what made-up logs hold: the totals that a right reader must report."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import Generic, NamedTuple, TypeVar

from tokentail.model import Extra, Owner, Tokens
from tokentail.periods import DAY_MS, day_from_number

Key = TypeVar("Key")


class Sums(NamedTuple):
    """What a group of replies adds up to, after the rules of docs/counting.md."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    replies: int = 0
    not_final: int = 0
    web_searches: int = 0


class TrueReply(NamedTuple):
    """A reply as its lines written so far show it."""

    key: str  # the message id, or the line's uuid where there is none
    at_ms: int
    model: str
    tokens: Tokens
    web_searches: int = 0
    final: bool = True
    extras: tuple[Extra, ...] = ()


@dataclass(frozen=True, slots=True)
class Truth:
    """What a right reader reports for a tree; the days are UTC, sessions and projects those of the owners (R7)."""

    totals: Sums
    by_day: Mapping[str, Sums]  # 2026-10-01
    by_model: Mapping[str, Sums]
    by_project: Mapping[str, Sums]  # the slug: the folder under `projects`
    by_session: Mapping[str, Sums]
    by_day_model: Mapping[str, Mapping[str, Sums]]  # day, then model
    malformed_lines: int  # R1: only lines that hold "usage"
    files: int
    bytes: int
    lines: int  # newlines, and a last line that has none

    def to_json(self) -> str:
        """One JSON document; the sums are objects with the names of `Sums`."""
        return json.dumps(_plain(asdict(self)), indent=1)


class Ledger:
    """Takes down every reply line while it is written, and what files it went to; a copy of a line changes no total."""

    def __init__(self) -> None:
        self._replies: dict[str, TrueReply] = {}
        self._owners: dict[str, Owner] = {}
        self._malformed = self._files = self._bytes = self._lines = 0

    def see(self, reply: TrueReply, owner: Owner) -> None:
        """A line that shows the reply like this stands, whole, in a file of that owner."""
        known = self._replies.get(reply.key)
        if known is None:
            self._replies[reply.key], self._owners[reply.key] = reply, owner
            return
        if known is not reply:
            self._replies[reply.key] = _merged(known, reply)
        self._owners[reply.key] = min(self._owners[reply.key], owner)

    def add_file(self, *, lines: int, size_bytes: int, malformed: int = 0, files: int = 1) -> None:
        """What was written beside the replies: a new file, or (with `files=0`) more of a known one."""
        self._files += files
        self._lines += lines
        self._bytes += size_bytes
        self._malformed += malformed

    def truth(self) -> Truth:
        days: _Table[tuple[str, str]] = _Table()
        owners: _Table[tuple[str, str]] = _Table()
        for key, reply in self._replies.items():
            owner, day = self._owners[key], _day(reply.at_ms // DAY_MS)
            for model, sums in _parts(reply):
                days.add((day, model), sums)
                owners.add((owner.project, owner.session), sums)
        cells, places = days.sums(), owners.sums()
        return Truth(
            totals=_total(cells.values()),
            by_day=_grouped((day, sums) for (day, _), sums in cells.items()),
            by_model=_grouped((model, sums) for (_, model), sums in cells.items()),
            by_project=_grouped((project, sums) for (project, _), sums in places.items()),
            by_session=_grouped((session, sums) for (_, session), sums in places.items()),
            by_day_model=_nested(cells),
            malformed_lines=self._malformed,
            files=self._files,
            bytes=self._bytes,
            lines=self._lines,
        )


class _Table(Generic[Key]):
    """Sums by key, added up in place: a tuple a reply would cost more than all the rest."""

    def __init__(self) -> None:
        self._cells: dict[Key, list[int]] = {}

    def add(self, key: Key, sums: Sums) -> None:
        cell = self._cells.get(key)
        if cell is None:
            self._cells[key] = list(sums)
            return
        for place, count in enumerate(sums):
            cell[place] += count

    def sums(self) -> dict[Key, Sums]:
        return {key: Sums(*cell) for key, cell in self._cells.items()}


def _merged(known: TrueReply, shown: TrueReply) -> TrueReply:
    """Both as one reply: the usage with the greater output (R4), the earliest time (R7), the most searches (R8)."""
    winner = shown if shown.tokens.output > known.tokens.output else known
    return winner._replace(
        at_ms=min(known.at_ms, shown.at_ms),
        web_searches=max(known.web_searches, shown.web_searches),
        final=known.final or shown.final,
    )


def _parts(reply: TrueReply) -> list[tuple[str, Sums]]:
    """The reply under its model, and what was billed beside it under that model with no reply of its own (R6)."""
    parts = [(reply.model, Sums(*reply.tokens, 1, 0 if reply.final else 1, reply.web_searches))]
    parts.extend((extra.model, Sums(*extra.tokens)) for extra in reply.extras)
    return parts


def _grouped(rows: Iterable[tuple[str, Sums]]) -> dict[str, Sums]:
    table: _Table[str] = _Table()
    for key, sums in rows:
        table.add(key, sums)
    return dict(sorted(table.sums().items()))


def _nested(cells: Mapping[tuple[str, str], Sums]) -> dict[str, dict[str, Sums]]:
    nested: dict[str, dict[str, Sums]] = {}
    for (day, model), sums in sorted(cells.items()):
        nested.setdefault(day, {})[model] = sums
    return nested


def _total(rows: Iterable[Sums]) -> Sums:
    return Sums(*map(sum, zip(Sums(), *rows, strict=True)))


@cache
def _day(number: int) -> str:
    return day_from_number(number).isoformat()


def _plain(value: object) -> object:
    """`asdict` keeps named tuples, and JSON would make lists of them."""
    if isinstance(value, Sums):
        return value._asdict()
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return value
