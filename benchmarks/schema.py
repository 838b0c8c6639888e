"""
The store's tables against the designs that were not chosen, each filled with the same replies in the same commits.

A design is written once: its size does not vary, and its speed is compared with that of its neighbours in the table.
"""

from __future__ import annotations

import hashlib
import sqlite3
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from benchmarks import year
from benchmarks.bench import Bench
from benchmarks.results import Row
from tokentail.model import Chunk
from tokentail.periods import DAY_MS, QUARTER_MS

REPLIES = 200_000
OF_A_YEAR = 2_000_000  # whose first weeks are written, as densely as a heavy user works
_COMMIT_LOOKS = 25  # about 500 replies a commit
_SEVERAL = 50  # one group in so many has two records
_COUNTERS = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")
_REST = (
    "request_id",
    "sidechain",
    "at_ms",
    "model",
    "version",
    *_COUNTERS,
    "thinking",
    "form",
    "flags",
    "stopped",
    "final",
    "web_searches",
)
_COLUMNS = (*_REST, "owner", "tier")
_COLUMNS_DDL = ", ".join(f"{name} {'TEXT' if name == 'request_id' else 'INTEGER'} NOT NULL" for name in _COLUMNS)
_COLUMN_NAMES = ", ".join(_COLUMNS)
_MARKS = ", ".join("?" * len(_COLUMNS))
_REPLIES_DDL = f"""
CREATE TABLE replies (id INTEGER PRIMARY KEY, key TEXT NOT NULL, {_COLUMNS_DDL});
CREATE UNIQUE INDEX replies_by_key ON replies (key);
CREATE INDEX replies_by_time ON replies (at_ms);
CREATE INDEX replies_by_owner ON replies (owner, at_ms);
CREATE TABLE owners (id INTEGER PRIMARY KEY, project INTEGER NOT NULL, session INTEGER NOT NULL);
"""
_INSERT_REPLY = f"INSERT INTO replies (id, key, {_COLUMN_NAMES}) VALUES (?, ?, {_MARKS})"


class Arrived(NamedTuple):
    """A reply with everything that is stored by number."""

    number: int
    key: str
    at_ms: int
    session: int
    project: int
    values: tuple[object, ...]  # in the order of _COLUMNS


class Seen(NamedTuple):
    """What a look at a log found."""

    file: int
    start_bytes: int
    replies: list[Arrived]
    lines: list[int]  # for each line: the index of its reply
    offsets: list[int]


Commit = list[Seen]
Write = Callable[[sqlite3.Connection, Commit], None]
Ask = Callable[[sqlite3.Connection], object]


@dataclass(frozen=True, slots=True)
class Design:
    """A way to lay out tables: how they are made, written and asked; `asked` says what the question is."""

    name: str
    ddl: str
    write: Write
    asked: str = ""
    ask: Ask | None = None


@dataclass(slots=True)
class Numbers:
    """Names by number, as the store keeps them."""

    known: dict[str, int] = field(default_factory=dict)

    def of(self, name: str) -> int:
        return self.known.setdefault(name, len(self.known) + 1)


def run(bench: Bench) -> list[Row]:
    """Every design of every question."""
    commits = list(_commits(REPLIES))
    whole = list(_whole_sessions(commits))
    rows: list[Row] = []
    for question, designs in _QUESTIONS.items():
        rows += [row for design in designs for row in _measured(bench, question, design, commits)]
    return rows + _measured(bench, "sightings", Design("arrays, one a log", *_PACKED), whole)


def _measured(bench: Bench, question: str, design: Design, commits: list[Commit]) -> list[Row]:
    count = sum(len(seen.replies) for commit in commits for seen in commit)
    with bench.scratch() as scratch, closing(_new(scratch / "store.db", design.ddl)) as db:
        began = time.perf_counter()
        for commit in commits:
            db.execute("BEGIN IMMEDIATE")
            design.write(db, commit)
            db.execute("COMMIT")
        took_s = time.perf_counter() - began
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        size = (scratch / "store.db").stat().st_size
        asked = [] if design.ask is None else [_timed(db, design.ask) for _ in range(bench.runs + 1)][1:]
    name = f"{question}: {design.name}"
    rows = [Row(what=name, values=(size / count,), unit="B a reply"), Row(what=name, values=(count / took_s,), unit="replies/s")]
    return rows + ([Row(what=name, values=tuple(asked), unit=f"ms {design.asked}")] if asked else [])


def _new(path: Path, ddl: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    # As the store has them.
    connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -32768;" + ddl)
    return connection


def _timed(db: sqlite3.Connection, ask: Ask) -> float:
    began = time.perf_counter()
    ask(db)
    return (time.perf_counter() - began) * 1000


# What is written


def _commits(replies: int) -> Iterator[Commit]:
    numbers, files, count = Numbers(), Numbers(), 0
    commit: Commit = []
    for chunk in year.chunks(OF_A_YEAR):
        commit.append(_seen(chunk, numbers, files, count))
        count += len(chunk.records)
        if count >= replies:
            break
        if len(commit) == _COMMIT_LOOKS:
            yield commit
            commit = []
    yield commit


def _seen(chunk: Chunk, numbers: Numbers, files: Numbers, count: int) -> Seen:
    replies = []
    for number, record in enumerate(chunk.records, start=count + 1):
        _, request, sidechain, at_ms, model, version, tokens, thinking, form, flags, stopped, final, searches, owner = record
        session, project = numbers.of(owner.session), numbers.of(owner.project)
        names = numbers.of(model), numbers.of(version)
        counts = (*tokens, thinking, numbers.of(form), flags, stopped, final, searches)
        tier = 1 + (tokens.prompt > 150_000)
        values = (request, sidechain, at_ms, *names, *counts, files.of(chunk.change.file.path), tier)
        replies.append(Arrived(number, record.group, at_ms, session, project, values))
    return Seen(files.of(chunk.change.file.path), chunk.start_bytes, replies, list(chunk.seen_records), list(chunk.seen_offsets))


def _whole_sessions(commits: list[Commit]) -> Iterator[Commit]:
    """The same, as when all logs are read from their start: one look a log."""
    logs: dict[int, Seen] = {}
    for commit in commits:
        for seen in commit:
            log = logs.setdefault(seen.file, Seen(seen.file, 0, [], [], []))
            log.lines.extend(len(log.replies) + line for line in seen.lines)
            log.offsets.extend(seen.start_bytes + offset for offset in seen.offsets)
            log.replies.extend(seen.replies)
    everything = list(logs.values())
    yield from (everything[start : start + _COMMIT_LOOKS] for start in range(0, len(everything), _COMMIT_LOOKS))


# The key: what says whether a reply is known


def _hash(key: str) -> int:
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big", signed=True)


@dataclass(frozen=True, slots=True)
class _Key:
    """A way to find a reply by its key."""

    name: str
    columns: tuple[str, ...]  # the key's, each with its type
    where: str
    sought: Callable[[str], tuple[object, ...]]  # the values for `where`
    stored: Callable[[int, str], tuple[object, ...]]  # the values of `columns`
    reference: Callable[[int, str], bytes]  # by which a sighting names the reply
    options: str = ""  # of the table
    index: str = ""


_KEYS = (
    _Key(
        "text primary key, WITHOUT ROWID",
        ("key TEXT PRIMARY KEY",),
        "key = ?",
        sought=lambda key: (key,),
        stored=lambda _, key: (key,),
        reference=lambda _, key: key.encode() + b"\0",
        options="WITHOUT ROWID",
    ),
    _Key(
        "rowid, unique index on the text (ours)",
        ("id INTEGER PRIMARY KEY", "key TEXT NOT NULL"),
        "key = ?",
        sought=lambda key: (key,),
        stored=lambda number, key: (number, key),
        reference=lambda number, _: _packed([number]),
        index="CREATE UNIQUE INDEX by_key ON replies (key);",
    ),
    _Key(
        "64-bit hash as primary key",
        ("hash INTEGER PRIMARY KEY", "key TEXT NOT NULL"),
        "hash = ? AND key = ?",
        sought=lambda key: (_hash(key), key),
        stored=lambda _, key: (_hash(key), key),
        reference=lambda _, key: struct.pack("<q", _hash(key)),
    ),
    _Key(
        "rowid, index on a 64-bit hash",
        ("id INTEGER PRIMARY KEY", "key TEXT NOT NULL", "hash INTEGER NOT NULL"),
        "hash = ? AND key = ?",
        sought=lambda key: (_hash(key), key),
        stored=lambda number, key: (number, key, _hash(key)),
        reference=lambda number, _: _packed([number]),
        index="CREATE INDEX by_hash ON replies (hash);",
    ),
)


def _key_design(key: _Key) -> Design:
    """Replies under that key, with their other indexes and their sightings."""
    ddl = f"""
    CREATE TABLE replies ({", ".join(key.columns)}, {_COLUMNS_DDL}) {key.options};
    CREATE INDEX by_time ON replies (at_ms);
    CREATE INDEX by_owner ON replies (owner);
    {key.index}
    {_SIGHTINGS_DDL}
    """
    columns = [column.split()[0] for column in key.columns]
    insert = f"INSERT INTO replies ({', '.join(columns)}, {_COLUMN_NAMES}) VALUES ({', '.join('?' * len(columns))}, {_MARKS})"
    find = f"SELECT owner FROM replies WHERE {key.where}"

    def write(db: sqlite3.Connection, commit: Commit) -> None:
        for seen in commit:
            for reply in seen.replies:
                db.execute(find, key.sought(reply.key)).fetchall()
            db.executemany(insert, [(*key.stored(reply.number, reply.key), *reply.values) for reply in seen.replies])
            names = [key.reference(reply.number, reply.key) for reply in seen.replies]
            db.execute(
                _INSERT_SIGHTINGS, (seen.file, seen.start_bytes, b"".join(names[line] for line in seen.lines), _packed(seen.offsets))
            )

    return Design(key.name, ddl, write, "for all replies of a week by time", _week)


def _week(db: sqlite3.Connection) -> object:
    query = f"SELECT model, {_sums('1')} FROM replies WHERE at_ms >= ? AND at_ms < ? GROUP BY model"
    return db.execute(query, (year.BEGIN_MS + 10 * DAY_MS, year.BEGIN_MS + 17 * DAY_MS)).fetchall()


# Sightings: on which lines a reply stands

_SIGHTINGS_DDL = """
CREATE TABLE sightings (
    file INTEGER NOT NULL, start_bytes INTEGER NOT NULL, records BLOB NOT NULL, offsets BLOB NOT NULL, PRIMARY KEY (file, start_bytes)
) WITHOUT ROWID;
"""
_INSERT_SIGHTINGS = "INSERT INTO sightings (file, start_bytes, records, offsets) VALUES (?, ?, ?, ?)"
_LINES_DDL = """
CREATE TABLE sightings (
    file INTEGER NOT NULL, offset_bytes INTEGER NOT NULL, record INTEGER NOT NULL, PRIMARY KEY (file, offset_bytes)
) WITHOUT ROWID;
"""


def _packed(numbers: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers)


def _write_lines(db: sqlite3.Connection, commit: Commit) -> None:
    for seen in commit:
        rows = [
            (seen.file, seen.start_bytes + offset, seen.replies[line].number) for line, offset in zip(seen.lines, seen.offsets, strict=True)
        ]
        db.executemany("INSERT INTO sightings (file, offset_bytes, record) VALUES (?, ?, ?)", rows)


def _write_arrays(db: sqlite3.Connection, commit: Commit) -> None:
    for seen in commit:
        numbers = [seen.replies[line].number for line in seen.lines]
        db.execute(_INSERT_SIGHTINGS, (seen.file, seen.start_bytes, _packed(numbers), _packed(seen.offsets)))


def _write_small_arrays(db: sqlite3.Connection, commit: Commit) -> None:
    for seen in commit:
        for line, offset in zip(seen.lines, seen.offsets, strict=True):
            row = (seen.file, seen.start_bytes + offset, _packed([seen.replies[line].number]), _packed([0]))
            db.execute(_INSERT_SIGHTINGS, row)


def _where_in_lines(db: sqlite3.Connection) -> object:
    return db.execute("SELECT file, offset_bytes FROM sightings WHERE record = ?", (REPLIES // 2,)).fetchall()


def _where_in_arrays(db: sqlite3.Connection) -> object:
    wanted = _packed([REPLIES // 2])
    found = []
    for file, start_bytes, records, offsets in db.execute("SELECT file, start_bytes, records, offsets FROM sightings"):
        place = records.find(wanted)
        while place >= 0:
            if place % 4 == 0:
                found.append((file, start_bytes + int.from_bytes(offsets[place : place + 4], "little")))
            place = records.find(wanted, place + 1)
    return found


_WHERE = "to find the lines of a reply"
_PACKED: tuple[str, Write, str, Ask] = (_SIGHTINGS_DDL, _write_arrays, _WHERE, _where_in_arrays)
_SIGHTINGS = (
    Design("a row a line", _LINES_DDL, _write_lines, _WHERE, _where_in_lines),
    Design(
        "a row a line, index by record", _LINES_DDL + "CREATE INDEX by_record ON sightings (record);", _write_lines, _WHERE, _where_in_lines
    ),
    Design("arrays, one a line", _SIGHTINGS_DDL, _write_small_arrays, _WHERE, _where_in_arrays),
    Design("arrays, one a look of 20 replies (ours)", *_PACKED),
)

# Records beside the replies that they resolve to

_RECORDS_DDL = f"""
CREATE TABLE records (id INTEGER PRIMARY KEY, group_text TEXT NOT NULL, {_COLUMNS_DDL});
CREATE UNIQUE INDEX records_by_group ON records (group_text, request_id, sidechain);
"""
_INSERT_RECORD = f"INSERT INTO records (id, group_text, {_COLUMN_NAMES}) VALUES (?, ?, {_MARKS})"


def _write_with_records(*, always: bool) -> Write:
    def write(db: sqlite3.Connection, commit: Commit) -> None:
        for seen in commit:
            for reply in seen.replies:
                known = db.execute("SELECT id FROM records WHERE group_text = ?", (reply.key,)).fetchall()
                if not known and not always:
                    db.execute("SELECT id FROM replies WHERE key = ?", (reply.key,)).fetchall()
            kept = [reply for reply in seen.replies if always or reply.number % _SEVERAL == 0]
            rows = [(2 * reply.number, reply.key, *reply.values) for reply in kept]
            rows += [(2 * reply.number + 1, reply.key, "", *reply.values[1:]) for reply in kept if reply.number % _SEVERAL == 0]
            db.executemany(_INSERT_RECORD, rows)
            db.executemany(_INSERT_REPLY, [(reply.number, reply.key, *reply.values) for reply in seen.replies])

    return write


_RECORDS = (
    Design("records of all replies", _REPLIES_DDL + _RECORDS_DDL, _write_with_records(always=True)),
    Design("records of groups of several (ours)", _REPLIES_DDL + _RECORDS_DDL, _write_with_records(always=False)),
)

# Summaries: what a report over all time adds up


def _sums(replies: str) -> str:
    return ", ".join(f"sum({name})" for name in (*_COUNTERS, replies))


def _summary(name: str, *keys: str, span_ms: int = QUARTER_MS) -> Design:
    """Replies added up by those columns and a span of time, which is recomputed whole when a reply in it changes."""
    columns = ("span", *keys)
    ddl = ", ".join(f"{column} INTEGER NOT NULL" for column in (*columns, *_COUNTERS, "replies"))
    table = f"CREATE TABLE summary ({ddl}, PRIMARY KEY ({', '.join(columns)})) WITHOUT ROWID;"
    compute = f"""
    INSERT INTO summary SELECT at_ms / {span_ms} AS {", ".join(columns)}, {_sums("1")}
    FROM replies JOIN owners ON owners.id = owner WHERE at_ms >= ? AND at_ms < ? GROUP BY {", ".join(columns)}"""
    report = f"SELECT span / {DAY_MS // span_ms} AS day, model, tier, {_sums('replies')} FROM summary GROUP BY 1, model, tier"

    def write(db: sqlite3.Connection, commit: Commit) -> None:
        _write_replies(db, commit)
        for span in {reply.at_ms // span_ms for seen in commit for reply in seen.replies}:
            db.execute("DELETE FROM summary WHERE span = ?", (span,))
            db.execute(compute, (span * span_ms, (span + 1) * span_ms))

    return Design(name, _REPLIES_DDL + table, write, _REPORT, lambda db: db.execute(report).fetchall())


def _write_replies(db: sqlite3.Connection, commit: Commit) -> None:
    for seen in commit:
        db.executemany(_INSERT_REPLY, [(reply.number, reply.key, *reply.values) for reply in seen.replies])
        owner = seen.replies[0]
        db.execute("INSERT OR IGNORE INTO owners (id, project, session) VALUES (?, ?, ?)", (seen.file, owner.project, owner.session))


def _report_without_summary(db: sqlite3.Connection) -> object:
    return db.execute(f"SELECT at_ms / {DAY_MS} AS day, model, tier, {_sums('1')} FROM replies GROUP BY 1, model, tier").fetchall()


_REPORT = "for all of its days, a tenth of a year"
_SUMMARIES = (
    Design("none", _REPLIES_DDL, _write_replies, _REPORT, _report_without_summary),
    _summary("quarter, model, project, tier (ours)", "model", "project", "tier"),
    _summary("quarter, session, model, project, tier", "session", "model", "project", "tier"),
    _summary("quarter, model, tier", "model", "tier"),
    _summary("hour, model, tier", "model", "tier", span_ms=4 * QUARTER_MS),
)

_QUESTIONS = {"key": tuple(map(_key_design, _KEYS)), "sightings": _SIGHTINGS, "records": _RECORDS, "summary": _SUMMARIES}
