"""The only place that says what a file of records holds; its columns are a contract (docs/fleet-backfill.md)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from tokentail.digest import blake2b
from tokentail.interned import records_of
from tokentail.model import Owner, Record, Tokens

RECORDS_SCHEMA = "tokentail/records/1"
_COUNTS = (
    *("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "thinking_tokens"),
    *("flags", "web_searches", "at_ms", "folder_at_ms"),
)
_TRUTHS = ("sidechain", "stopped", "final", "copied", "subagent")
_NAMES = (
    *("group", "request_id", "sidechain", "at_ms", "model", "version", *_COUNTS[:6], "form", "flags", "stopped", "final", "web_searches"),
    *("copied", "subagent", "session", "project", "agent", "user", "host", "folder", "folder_at_ms"),
)
COLUMNS: Mapping[str, type] = {name: int if name in _COUNTS else bool if name in _TRUTHS else str for name in _NAMES}
# Each text of these once a row group; those of the other columns hardly ever come twice.
REPEATED = [name for name, kind in COLUMNS.items() if kind is str and name not in ("group", "request_id")]
_Row = tuple[object, ...]
_encode = msgspec.msgpack.Encoder().encode


class Written(NamedTuple):
    """What became of an export of records."""

    records: int
    left_out: int  # since nobody would take them: names without end, say


class Digest:
    """A hash over rows, which a file of them carries: bytes that are whole may still be the wrong ones."""

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=16)

    def add(self, row: Sequence[object]) -> None:
        self._hash.update(_encode(row))

    def text(self) -> str:
        return self._hash.hexdigest()


class RecordRows:
    """All records of a store as rows, read as they are asked for; those that no other tokentail takes are counted and left out."""

    def __init__(self, db: sqlite3.Connection, is_sound: Callable[[Record], bool]) -> None:
        self._db = db
        self._is_sound = is_sound
        self._count = self._left_out = 0
        self.digest = Digest()

    def __iter__(self) -> Iterator[_Row]:
        folders = _folders(self._db)
        for _, record in records_of(self._db):
            if not self._is_sound(record):
                self._left_out += 1
                continue
            self._count += 1
            row = _row(record, folders.get(record.owner.project, (0, "")))
            self.digest.add(row)
            yield row

    def written(self) -> Written:
        return Written(self._count, self._left_out)


def record_of(row: Sequence[object]) -> tuple[Record, tuple[str, int, str]]:
    """The record of a row, and what its project is called: slug, moment and folder. Nothing is known yet of their values."""
    folder, at_ms = row[24:]
    owner = Owner._make(row[17:24])
    record = Record._make((*row[:6], Tokens._make(row[6:11]), *row[11:17], owner))
    return record, (owner.project, at_ms, folder)  # type: ignore[return-value]  # whoever asks checks them


def _row(record: Record, folder: tuple[int, str]) -> _Row:
    return (*record[:6], *record.tokens, *record[7:13], *record.owner, folder[1], folder[0])


def _folders(db: sqlite3.Connection) -> dict[str, tuple[int, str]]:
    """By slug the least moment and folder that a log named."""
    rows = db.execute("SELECT name, at_ms, folder FROM projects JOIN names ON id = project")
    return {slug: (at_ms, folder) for slug, at_ms, folder in rows}
