"""The only place that writes the store: what was read and how far it was read, together or not at all."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tokentail import database, forgotten, merge, outbox, provenance, samples
from tokentail.errors import StoreError
from tokentail.interned import COLUMNS, Interned, name_of, pack_numbers, storable, stored_name, unpack_numbers
from tokentail.ledger import Group, Ledger, Tally
from tokentail.merge import RecordKey
from tokentail.model import RULES_VERSION, START, Change, Chunk, Cursor, Life, LogFile, Record
from tokentail.periods import QUARTER_MS
from tokentail.summaries import settle

if TYPE_CHECKING:
    from tokentail.forget import Choice

MAX_REJECTS = 1000  # named a file life; all are counted
MAX_CHANGES = 50_000  # kept for processes that follow
MAX_PASSES = 1000
_INSERT_FILE = """
INSERT OR REPLACE INTO files (id, path, root, relative, state, device, inode, size_bytes, mtime_ns, ctime_ns,
    offset_bytes, head_bytes, head_hash, marker_bytes, marker_hash, malformed_lines, seen_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
# For a file that has only grown: its names stay, and so does the index on them.
_UPDATE_FILE = """
UPDATE files SET state = ?, device = ?, inode = ?, size_bytes = ?, mtime_ns = ?, ctime_ns = ?,
    offset_bytes = ?, head_bytes = ?, head_hash = ?, marker_bytes = ?, marker_hash = ?, malformed_lines = ?, seen_ms = ?
WHERE id = ?"""
_SELECT_LIVES = """
SELECT id, path, root, relative, device, inode, size_bytes, mtime_ns, ctime_ns, state,
    offset_bytes, head_bytes, head_hash, marker_bytes, marker_hash
FROM files WHERE state IN (?, ?) {where} ORDER BY id"""
_INSERT_SIGHTINGS = "INSERT OR REPLACE INTO sightings (file, start_bytes, records, offsets) VALUES (?, ?, ?, ?)"
_JOIN_FOLDER = """
INSERT INTO projects (project, at_ms, folder) VALUES (?, ?, ?)
ON CONFLICT (project) DO UPDATE SET at_ms = excluded.at_ms, folder = excluded.folder
WHERE (excluded.at_ms, excluded.folder) < (at_ms, folder)"""


class Applied(NamedTuple):
    """What one commit changed."""

    lives: list[Life]  # one a chunk, as it stands now
    tally: Tally


class Store:
    """The writing side of a store; `queries` is the reading one. Use it with the lock held."""

    def __init__(
        self, connection: sqlite3.Connection, path: Path, *, thresholds: Sequence[int], clock: Callable[[], float] = time.time
    ) -> None:
        """`thresholds` are the price list's long-context limits in prompt tokens, ascending."""
        self.connection = connection
        self.path = path
        self._thresholds = tuple(thresholds)
        self._clock = clock
        self._interned = Interned(connection, self._thresholds)
        self._known_version = -1
        self._last: tuple[Change, Life, int] | None = None
        self._check_meta()

    def lives(self, *states: str) -> list[Life]:
        """Every file life of these states, one or two; without any, of those that have not ended: live and missing."""
        return _lives(self.connection.execute(_SELECT_LIVES.format(where=""), ((states or ("live", "missing")) * 2)[:2]))

    def lives_of(self, files: Iterable[LogFile]) -> list[Life]:
        """Of the lives that have not ended those that may be the lives of these files: by their path, or else by their inode."""
        found: dict[int, Life] = {}
        for file in files:
            here = self._lives_where("path = ?", stored_name(file.path))
            if not any(life.file[3:5] == file[3:5] for life in here):  # it was moved here, or is new: that is looked for in all of them
                here += self._lives_where("device = ? AND inode = ?", storable(file.device), storable(file.inode))
            found.update((life.id, life) for life in here)
        return [found[number] for number in sorted(found)]

    def _lives_where(self, condition: str, *values: object) -> list[Life]:
        query = _SELECT_LIVES.format(where=f"AND {condition}")
        return _lives(self.connection.execute(query, ("live", "missing", *values)))

    def apply(self, chunks: Sequence[Chunk]) -> Applied:
        """
        Join chunks into the store and move their files' cursors: one transaction.

        Chunks of one file come in order. Applying a chunk again, or in another company, changes nothing.

        Raises:
            StoreError: the store cannot be written; nothing of this call was kept.
        """
        with self.transaction():
            joined = _join_all(chain.from_iterable(chunk.records for chunk in chunks))
            if gone := forgotten.among(self.connection, joined):
                chunks = [forgotten.without(chunk, gone) for chunk in chunks]
                joined = {key: record for key, record in joined.items() if key not in gone}
            lives = self._place(chunks)
            ids, tally = self._add(joined)
            self._write_sightings(chunks, lives, ids)
            self._write_rejects(chunks, lives)
            self._write_folders(chunks)
            self._write_changes(tally.changes)
        return Applied(lives, tally)

    def trim_changes(self) -> None:
        """Drop the oldest changes. Before a pass, not in it: however much one pass changes, its followers are told all of it."""
        first, last = self.connection.execute("SELECT (SELECT min(seq) FROM changes), (SELECT max(seq) FROM changes)").fetchone()
        if first is not None and last - first >= MAX_CHANGES:
            with self.transaction():
                self.connection.execute("DELETE FROM changes WHERE seq <= ?", (last - MAX_CHANGES,))

    def keep(self, origin: Path, records: Iterable[Record]) -> int:
        """
        Join records that came from no log: those of a damaged store. Gives how many there were.

        Their sightings name `origin`, as a file that is gone.
        """
        count = 0
        file = LogFile(os.fspath(origin), os.fspath(origin.parent), origin.name, 0, 0, 0, 0, 0)
        change = Change(file, None, None)
        iterator = iter(records)
        restarted = True
        while batch := list(islice(iterator, MAX_CHANGES)):
            unique = list(_join_all(batch).values())
            numbers = array("I", range(len(unique)))
            chunk = Chunk(change, restarted, count, START, unique, numbers, array("I", [0] * len(unique)))
            self.restate([self.apply([chunk]).lives[0]._replace(state="missing")])
            count += len(batch)
            restarted = False
        return count

    def take(self, records: Iterable[Record], folders: Iterable[tuple[str, int, str]] = ()) -> int:
        """
        Join records of another machine, which no log of this one gives, and what it calls its projects: slug, moment and folder.

        Gives how many of them said something new. What was forgotten here does not come back.

        Raises:
            StoreError: the store cannot be written; nothing of this call was kept.
        """
        with self.transaction():
            joined = _join_all(records)
            gone = {joined.pop(key).owner.project for key in forgotten.among(self.connection, joined)}
            _, tally = self._add(joined)
            gone -= {record.owner.project for record in joined.values()}
            rows = [(self._interned.name(slug), *folder) for slug, *folder in folders if slug not in gone]
            self.connection.executemany(_JOIN_FOLDER, rows)
            self._write_changes(tally.changes)
            self.connection.execute("INSERT OR IGNORE INTO meta (name, value) VALUES (?, '1')", (provenance.HAS_ELSEWHERE,))
        return len(tally.records)

    def begin_changes(self) -> None:
        """From now on all that is read is told to those who follow, also a first fill; what is here already is no news to them."""
        with self.transaction():
            self.connection.execute("INSERT INTO changes (event, key) VALUES ('new', '')")
            self.connection.execute("DELETE FROM changes")

    def adopt(self, records: Iterable[Record]) -> dict[RecordKey, int]:
        """Join records whose lines the caller notes; gives their ids. What was forgotten gets none."""
        with self.transaction():
            joined = _join_all(records)
            for key in forgotten.among(self.connection, joined):
                del joined[key]
            ids, tally = self._add(joined)
            self._write_changes(tally.changes)
        return ids

    def keep_forgotten(self, marks: Iterable[tuple[bytes, int]]) -> None:
        """Take over what another store was told to forget, and when."""
        with self.transaction():
            forgotten.remember(self.connection, marks)

    def keep_said(self, rows: Iterable[tuple[str, Sequence[object]]]) -> None:
        """Take over what another store holds of what Claude Code said."""
        with self.transaction():
            samples.restore(self.connection, rows)

    def forget(self, choice: Choice) -> int:
        """
        Remove the chosen replies, and remember that they were, so that no read brings them back. Gives how many they were.

        Raises:
            StoreError: the store cannot be written; nothing of this call was kept.
        """
        from tokentail.forget import purge  # hardly ever needed

        self.connection.execute("PRAGMA secure_delete = 1")
        with self.transaction():
            count = purge(self.connection, self._interned, choice, int(self._clock() * 1000))
        self._interned = Interned(self.connection, self._thresholds)
        return count

    def restate(self, lives: Iterable[Life]) -> None:
        """Write file lives whose state changed without a read: gone, or back again."""
        rows = [(life.state, life.id) for life in lives]
        if rows:
            with self.transaction():
                self.connection.executemany("UPDATE files SET state = ? WHERE id = ?", rows)

    def add_pass(self, at_ms: int, metrics: dict[str, object], *, idle: bool) -> None:
        """Keep the metrics of a pass; of those that found nothing only the newest one stays."""
        with self.transaction():
            if idle:
                self.connection.execute("DELETE FROM passes WHERE idle")
            row = (at_ms, os.getpid(), idle, json.dumps(metrics))
            self.connection.execute("INSERT INTO passes (at_ms, process, idle, metrics) VALUES (?, ?, ?, ?)", row)
            self.connection.execute("DELETE FROM passes WHERE id <= (SELECT max(id) FROM passes) - ?", (MAX_PASSES,))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """
        All or nothing, for whoever writes with the lock held.

        Raises:
            StoreError: the store cannot be written.
        """
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            self._refresh()
            yield
            self.connection.execute("COMMIT")
        except BaseException as error:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            # What was interned in this transaction is gone: its numbers must not be used again.
            self._interned = Interned(self.connection, self._thresholds)
            self._last = None
            if isinstance(error, sqlite3.DatabaseError) and not database.is_damaged(error):
                raise database.cannot_write(self.path, error) from error
            raise

    def close(self) -> None:
        self.connection.close()

    def check_list(self) -> None:
        """
        Price tiers still go by our thresholds.

        Raises:
            StoreError: another process, which uses another price list, has computed them anew since the store was opened.
        """
        query = "SELECT value FROM meta WHERE name = 'thresholds'"
        if self.connection.execute(query).fetchone() != (json.dumps(self._thresholds),):
            raise StoreError("a price list with other long-context limits was imported while this was running (start it again)")

    def _check_meta(self) -> None:
        """
        Price tiers depend on the price list's thresholds: where those differ, tiers and summaries are computed anew.

        Records depend on the counting rules: where those differ, `has_old_rules` says so.
        """
        wanted = {"rules_version": str(RULES_VERSION), "thresholds": json.dumps(self._thresholds)}
        found = dict(self.connection.execute("SELECT name, value FROM meta"))
        self.has_old_rules = found.get("rules_version", wanted["rules_version"]) != wanted["rules_version"]
        if found.items() >= wanted.items():
            return
        with self.transaction():
            missing = [(name, value) for name, value in wanted.items() if name not in found or name == "thresholds"]
            self.connection.executemany("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", missing)
            if found.get("thresholds", wanted["thresholds"]) != wanted["thresholds"]:
                Ledger(self.connection, self._interned).summarize_all()

    def _refresh(self) -> None:
        """Another process may have had names forgotten, and given their numbers to others."""
        version = int(self.connection.execute("PRAGMA data_version").fetchone()[0])
        if version != self._known_version:
            self._interned, self._known_version = Interned(self.connection, self._thresholds), version

    def _add(self, joined: Group) -> tuple[dict[RecordKey, int], Tally]:
        """Join records, with the sums of what is over."""
        added = Ledger(self.connection, self._interned).add(joined)
        settle(self.connection, int(self._clock() * 1000) // QUARTER_MS)
        outbox.note(self.connection, added[1].records)
        return added

    def _place(self, chunks: Sequence[Chunk]) -> list[Life]:
        """Write each chunk's file and cursor; a restarted file gets a new life and its old one ends, as does one that the file replaces."""
        lives: list[Life] = []
        placed: dict[int, tuple[Life, int]] = {}  # with their malformed lines; a life may begin and end in one commit
        latest: dict[str, tuple[Life, int]] = {}
        known: dict[int, Life] = {}  # of them, those that are in the store
        ended: list[tuple[int]] = []
        next_id = int(self.connection.execute("SELECT ifnull(max(id), 0) + 1 FROM files").fetchone()[0])
        for chunk in chunks:
            file = chunk.change.file
            before, malformed = latest.get(file.path) or self._before(chunk.change)
            ended += [(life.id,) for life in (before if chunk.restarted else None, chunk.change.ends) if life is not None]
            if chunk.restarted:
                before, malformed = None, 0
            if before is not None and before is chunk.change.life:
                known[before.id] = before
            life = Life(before.id if before else next_id, chunk.file_so_far, "live", chunk.cursor)
            next_id += before is None
            placed[life.id] = latest[file.path] = life, malformed + len(chunk.rejects)
            lives.append(life)
            self._last = chunk.change, *latest[file.path]
        grown = [placed.pop(number) for number, life in known.items() if placed[number][0].file[:3] == life.file[:3]]
        self.connection.executemany(_UPDATE_FILE, [(*row[4:], row[0]) for row in (self._file_row(*each) for each in grown)])
        self.connection.executemany(_INSERT_FILE, [self._file_row(*each) for each in placed.values()])
        if ended:
            self.connection.executemany("UPDATE files SET state = 'rewritten' WHERE id = ?", ended)
        return lives

    def _before(self, change: Change) -> tuple[Life | None, int]:
        """The life that a chunk goes on with, and its malformed lines so far; a file may span commits."""
        if self._last is not None and self._last[0] is change:
            return self._last[1:]
        if change.life is None:
            return None, 0
        row = self.connection.execute("SELECT malformed_lines FROM files WHERE id = ?", (change.life.id,)).fetchone()
        return change.life, int(row[0])

    def _file_row(self, life: Life, malformed: int) -> tuple[object, ...]:
        names = map(stored_name, life.file[:3])
        return (life.id, *names, life.state, *map(storable, life.file[3:]), *life.cursor, malformed, int(self._clock() * 1000))

    def _write_sightings(self, chunks: Sequence[Chunk], lives: Sequence[Life], ids: dict[RecordKey, int]) -> None:
        rows = []
        for chunk, life in zip(chunks, lives, strict=True):
            numbers = [ids[record[:3]] for record in chunk.records]
            seen = array("I", map(numbers.__getitem__, chunk.seen_records))
            # A last line without its newline is read again with the next chunk: what was seen behind the cursor is seen anew.
            if not chunk.restarted:
                self._take_back(chunk, life, ids)
            behind = len(seen) - chunk.tail_lines
            if behind:
                rows.append((life.id, chunk.start_bytes, pack_numbers(seen[:behind]), pack_numbers(chunk.seen_offsets[:behind])))
            if chunk.tail_lines:
                rows.append(
                    (life.id, chunk.cursor.offset_bytes, pack_numbers(seen[behind:]), pack_numbers(array("I", [0] * chunk.tail_lines)))
                )
        self.connection.executemany(_INSERT_SIGHTINGS, rows)

    def _take_back(self, chunk: Chunk, life: Life, ids: dict[RecordKey, int]) -> None:
        """
        Forget what was seen behind the cursor.

        What is not seen again there, or was more than what is seen now, was removed: it stays as part of a life that ended.
        """
        place = (life.id, chunk.start_bytes)
        behind = self.connection.execute("SELECT records FROM sightings WHERE file = ? AND start_bytes >= ?", place).fetchall()
        if not behind:
            return
        self.connection.execute("DELETE FROM sightings WHERE file = ? AND start_bytes >= ?", place)
        first = [chunk.records[index] for index, offset in zip(chunk.seen_records, chunk.seen_offsets, strict=True) if not offset]
        again = {ids[record[:3]] for record in first if self._record(ids[record[:3]]) == record}
        removed = sorted({number for (packed,) in behind for number in unpack_numbers(packed)} - again)
        if removed:
            ended = int(self.connection.execute("SELECT max(id) + 1 FROM files").fetchone()[0])
            self.connection.execute(_INSERT_FILE, self._file_row(Life(ended, life.file, "rewritten", life.cursor), 0))
            row = (ended, chunk.start_bytes, pack_numbers(array("I", removed)), pack_numbers(array("I", [0] * len(removed))))
            self.connection.execute(_INSERT_SIGHTINGS, row)

    def _record(self, number: int) -> Record:
        """The record of that number: a lone one is its reply."""
        query = f"SELECT group_text, {', '.join(COLUMNS)} FROM records WHERE id = ?"
        row = self.connection.execute(query, (number,)).fetchone()
        if row is not None:
            return self._interned.record(row[0], row[1:])
        row = self.connection.execute(f"SELECT key, {', '.join(COLUMNS)} FROM replies WHERE id = ?", (number,)).fetchone()
        return self._interned.record(merge.group_of_key(row[0]), row[1:])

    def _write_rejects(self, chunks: Sequence[Chunk], lives: Sequence[Life]) -> None:
        for chunk, life in zip(chunks, lives, strict=True):
            if chunk.rejects:
                known = self.connection.execute("SELECT count(*) FROM rejects WHERE file = ?", (life.id,)).fetchone()[0]
                rows = [(life.id, *reject) for reject in chunk.rejects[: MAX_REJECTS - known]]
                self.connection.executemany("INSERT OR REPLACE INTO rejects (file, offset_bytes, reason) VALUES (?, ?, ?)", rows)

    def _write_folders(self, chunks: Sequence[Chunk]) -> None:
        best: dict[str, tuple[int, str]] = {}
        for chunk in chunks:
            if chunk.folder is not None:
                project = chunk.records[0].owner.project
                best[project] = min(best.get(project, chunk.folder), chunk.folder)
        self.connection.executemany(_JOIN_FOLDER, [(self._interned.name(project), *folder) for project, folder in best.items()])

    def _write_changes(self, changes: list[tuple[str, str]]) -> None:
        if changes:
            self.connection.executemany("INSERT INTO changes (event, key) VALUES (?, ?)", changes)


def _lives(rows: Iterable[tuple[Any, ...]]) -> list[Life]:
    new = tuple.__new__  # ten thousand files are usual, and this makes a named tuple without a call into Python
    return [
        new(Life, (row[0], new(LogFile, (*map(name_of, row[1:4]), *map(int, row[4:9]))), row[9], new(Cursor, row[10:])))
        if bytes in map(type, row[1:9])
        else new(Life, (row[0], new(LogFile, row[1:9]), row[9], new(Cursor, row[10:])))
        for row in rows
    ]


def _join_all(records: Iterable[Record]) -> Group:
    joined: Group = {}
    for record in records:
        key = record[:3]
        known = joined.get(key)
        joined[key] = record if known is None else merge.join(known, record)
    return joined
