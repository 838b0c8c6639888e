"""The only place that makes a store of millions of known replies: by plain SQL, as reading that many lines would take an hour."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import tokentail
from benchmarks import trees, year
from tokentail import database, prices
from tokentail.interned import Interned
from tokentail.model import Owner, Record
from tokentail.periods import DAY_MS, QUARTER_MS
from tokentail.store import Store
from tokentail.summaries import settle

NOW_MS = year.BEGIN_MS + year.DAYS * DAY_MS  # the clock of whoever writes these stores: all of the year is over
SEVERAL_SHARE = 0.01  # of the groups: those that have two records
_SESSION_REPLIES = 400
_SHAPES = 500  # counters repeat, as nobody asks for them
_BATCH = 50_000
_LETTERS = bytes((year.LETTERS * 5)[:256], "ascii")
_MADE = "made.json"  # written last: without it the store is taken for half made
_REPLY = f"INSERT INTO replies VALUES ({', '.join('?' * 20)})"
_RECORD = f"INSERT INTO records VALUES ({', '.join('?' * 19)})"


def filled(cache: Path, replies: int) -> Path:
    """The path of a store of so many replies, kept for the next time; write to copies of it only."""
    package = Path(tokentail.__file__).parent
    code = trees.digest((package / "schema.sql").read_bytes(), Path(__file__).read_bytes(), Path(year.__file__).read_bytes())
    folder = cache / f"known-{replies}-{code}"
    if not (folder / _MADE).exists():
        for old in cache.glob(f"known-{replies}-*"):
            shutil.rmtree(old)
        folder.mkdir(parents=True)
        _fill(database.store_path(folder, None), replies)
        (folder / _MADE).write_text(json.dumps({"replies": replies}))
    return database.store_path(folder, None)


def copy(store: Path, into: Path) -> Path:
    """A store of the same rows that may be written to."""
    into.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(store, database.store_path(into, None)))


def now() -> float:
    """The clock of these stores, in seconds."""
    return NOW_MS / 1000


def _fill(path: Path, replies: int) -> None:
    with closing(database.open_for_writing(path)) as connection:
        thresholds = prices.load().thresholds
        Store(connection, path, thresholds=thresholds, clock=now)
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        indexes = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql NOT NULL").fetchall()
        connection.execute("BEGIN")
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        _insert(connection, Interned(connection, thresholds), replies)
        for _, statement in indexes:
            connection.execute(statement)
        settle(connection, NOW_MS // QUARTER_MS)
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")


def _insert(connection: sqlite3.Connection, interned: Interned, replies: int) -> None:
    """Rows of replies as `Interned.reply_rows` makes them, and of every hundredth group its two records."""
    numbers = count(replies + 1)
    rows = _rows(interned, replies)
    while batch := [row for _, row in zip(range(_BATCH), rows, strict=False)]:
        connection.executemany(_REPLY, batch)
        several = batch[:: int(1 / SEVERAL_SHARE)]
        connection.executemany(_RECORD, [row[:-1] for row in several])
        connection.executemany(_RECORD, [(next(numbers), row[1], f"{row[2]}b", *row[3:-1]) for row in several])


def _rows(interned: Interned, replies: int) -> Iterator[tuple[object, ...]]:
    rng = random.Random(1)
    shapes = [_shape(rng, interned) for _ in range(_SHAPES)]
    spacing_ms = year.DAYS * DAY_MS / replies
    for number in range(replies):
        if number % _SESSION_REPLIES == 0:
            owner = interned.owner(Owner(False, False, f"session-{number // _SESSION_REPLIES:07}", f"-home-dev-{number % 12}", ""))
        key, request = (rng.randbytes(22).translate(_LETTERS).decode() for _ in "..")
        at_ms = year.BEGIN_MS + int(number * spacing_ms)
        model, version, *counters, tier = shapes[number % _SHAPES]
        yield (number + 1, f"msg_01{key}", f"req_01{request}", 0, at_ms, model, version, *counters, owner, tier)


def _shape(rng: random.Random, interned: Interned) -> tuple[object, ...]:
    """All of a row that does not tell whose it is."""
    record: Record = year.record(rng, year.BEGIN_MS, Owner(False, False, "session-0000000", "-home-dev-0", ""), "claude-opus-4-8")
    _, _, _, model, version, *counters, _ = interned.row(record)
    return (model, version, *counters, interned.tier(record.form, record.tokens))
