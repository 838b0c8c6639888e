"""
The only place for the time index: which stretches of each log hold which times, models and replies, in a file beside the store.

It is advice about bytes and nothing else: it may be thrown away at any time, and one that cannot be used is none.
"""

from __future__ import annotations

import json
import os
import sqlite3
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

from tokentail.digest import blake2b
from tokentail.model import RULES_VERSION, LogFile, LogsRead

VERSION = 1  # raised by every change to what is kept here, and to which lines `recount` takes
WAIT_S = 2.0  # for another process that writes
PROOF_BYTES = 1024

_STAMP = VERSION * 1000 + RULES_VERSION
_SCHEMA = """
DROP TABLE IF EXISTS logs;
DROP TABLE IF EXISTS reads;
CREATE TABLE logs (        -- what is known of each log
    path BLOB PRIMARY KEY,
    stretches INTEGER,     -- how many
    known TEXT,            -- JSON of the rest
    groups BLOB,           -- of all stretches, 4 bytes each
    checked BLOB           -- a hash of all this: SQLite does not notice every damage
) WITHOUT ROWID;
CREATE TABLE reads (at_ms INTEGER, bytes_read INTEGER, bytes_skipped INTEGER);  -- the last one
"""


class Stretch(NamedTuple):
    """Some lines of a log that follow one another."""

    start_bytes: int
    end_bytes: int
    least_ms: int  # of its lines that count; greater than `greatest_ms` where there are none
    greatest_ms: int
    malformed_lines: int
    models: tuple[str, ...]
    groups: array[int]  # hashes of K of R3, ascending, see `hashed`


class Indexed(NamedTuple):
    """What is known of a log, from its start to the end of a line."""

    stamp: str  # see `stamp_of`
    size_bytes: int  # of the file
    end_bytes: int  # of the lines
    head_hash: str  # of the first bytes, see `proof_bytes`
    marker_hash: str  # of the last ones before the end
    has_tail: bool  # something follows that is no line yet
    folder_ms: int
    folder: str  # the earliest `cwd` of a line that counts, and when; "" where none names one
    stretches: tuple[Stretch, ...]


class Index(NamedTuple):
    """The index as a whole."""

    files: int
    stretches: int
    size_bytes: int
    read_at_ms: int | None  # when logs were last read without a store
    last_read: LogsRead | None  # how much of them


def index_path(store: Path) -> Path:
    """Where the index stands that belongs to a store."""
    return store.with_name(f"{store.name}.index")


def stamp_of(file: LogFile) -> str:
    """What changes whenever a file does."""
    return blake2b(repr(file[3:]).encode(), digest_size=16).hexdigest()


def proof_bytes(end_bytes: int) -> int:
    """How many bytes at the start of a log, and how many before the end of its known lines, prove that it has only grown."""
    return min(end_bytes, PROOF_BYTES)


def hashed(group: str) -> int:
    """A small hash of K; two that share one cost a read."""
    return int.from_bytes(blake2b(group.encode(), digest_size=4).digest())


def load(path: Path) -> dict[str, Indexed]:
    """What is known of each log, by its path; nothing where there is no index that can be used."""
    if not path.exists():
        return {}
    try:
        with closing(_connect(path)) as db:
            rows = db.execute("SELECT path, stretches, known, groups, checked FROM logs").fetchall() if _is_ours(db) else []
        return {os.fsdecode(name): _unpacked(known, groups) for name, _, known, groups, _ in filter(_is_sound, rows)}
    except (sqlite3.Error, ValueError, TypeError, OverflowError):
        return {}


def save(path: Path, changed: Mapping[str, Indexed], standing: Collection[str], read: LogsRead, at_ms: int) -> None:
    """Keep what was learnt; logs that do not stand any more are forgotten. Where it cannot be written nothing happens."""
    with suppress(sqlite3.Error, OSError):
        try:
            _save(path, changed, standing, read, at_ms)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):  # somebody is in the way, or there is no room
                raise
            drop(path)
            _save(path, changed, standing, read, at_ms)


def drop(path: Path) -> None:
    """Delete the index, if there is one."""
    path.unlink(missing_ok=True)
    path.with_name(f"{path.name}-journal").unlink(missing_ok=True)


def look(path: Path) -> Index | None:
    """What the index is like; None where there is none that can be used."""
    if not path.exists():
        return None
    try:
        with closing(_connect(path)) as db:
            if not _is_ours(db):
                return None
            files, stretches = db.execute("SELECT count(*), ifnull(sum(stretches), 0) FROM logs").fetchone()
            last = db.execute("SELECT at_ms, bytes_read, bytes_skipped FROM reads").fetchone()
        read_at_ms, last_read = (None, None) if last is None else (last[0], LogsRead(*last[1:]))
        return Index(files, stretches, path.stat().st_size, read_at_ms, last_read)
    except (sqlite3.Error, OSError):
        return None


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)
    # Nothing waits for the disk: what a power cut spoils is made anew.
    connection.execute("PRAGMA synchronous = OFF")
    return connection


def _is_ours(db: sqlite3.Connection) -> bool:
    return bool(db.execute("PRAGMA user_version").fetchone()[0] == _STAMP)


def _save(path: Path, changed: Mapping[str, Indexed], standing: Collection[str], read: LogsRead, at_ms: int) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    with closing(_connect(path)) as db:
        db.execute("BEGIN IMMEDIATE")
        if not _is_ours(db):
            for statement in _SCHEMA.split(";\n"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {_STAMP}")
        here = {os.fsencode(each) for each in standing}
        gone = [(name,) for (name,) in db.execute("SELECT path FROM logs") if name not in here]
        db.executemany("DELETE FROM logs WHERE path = ?", gone)
        db.executemany("INSERT OR REPLACE INTO logs VALUES (?, ?, ?, ?, ?)", _rows(changed))
        db.execute("DELETE FROM reads")
        db.execute("INSERT INTO reads VALUES (?, ?, ?)", (at_ms, *read))
        db.execute("COMMIT")


def _rows(changed: Mapping[str, Indexed]) -> Iterator[tuple[object, ...]]:
    for path, indexed in changed.items():
        row = (os.fsencode(path), len(indexed.stretches), *_packed(indexed))
        yield *row, _check(row)


def _is_sound(row: Sequence[object]) -> bool:
    return row[-1] == _check(row[:-1])


def _check(row: Sequence[object]) -> bytes:
    return blake2b(repr(row).encode(), digest_size=8).digest()


def _packed(indexed: Indexed) -> tuple[str, bytes]:
    """JSON with each model's name once, and the hashes of all stretches one after the other."""
    models = sorted({model for stretch in indexed.stretches for model in stretch.models})
    numbers = {model: number for number, model in enumerate(models)}
    rows = [[*each[:5], [numbers[model] for model in each.models], len(each.groups)] for each in indexed.stretches]
    known = json.dumps([*indexed[:-1], models, rows], separators=(",", ":"))
    return known, b"".join(each.groups.tobytes() for each in indexed.stretches)


def _unpacked(known: str, groups: bytes) -> Indexed:
    stamp, size, end, head, marker, has_tail, folder_ms, folder, models, rows = json.loads(known)
    hashes = array("I", groups)
    ends = accumulate((count for *_, count in rows), initial=0)
    stretches = [
        Stretch(begin, stop, least_ms, greatest_ms, malformed, tuple(models[number] for number in numbers), hashes[first:beyond])
        for (begin, stop, least_ms, greatest_ms, malformed, numbers, _), (first, beyond) in zip(rows, pairwise(ends), strict=True)
    ]
    return Indexed(stamp, size, end, head, marker, has_tail, folder_ms, folder, tuple(stretches))
