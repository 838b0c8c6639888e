"""The only place that knows what a new store takes over from the old one that it replaces: all that no log gives any more."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from tokentail import database, merge
from tokentail.interned import pack_numbers, records_of, unpack_numbers
from tokentail.model import Record
from tokentail.provenance import has_elsewhere
from tokentail.store import Store

# Every table is one or the other: made from logs and records, or copied as it stands.
DERIVED = (
    *("files", "names", "owners", "forms", "tiers", "projects", "replies", "records", "extras"),
    *("sightings", "rejects", "settled", "quarters", "hours", "days"),
    *("destinations", "outbox"),  # whoever sends to a destination has it given all records anew
)
COPIED = ("forgotten", "samples", "said_sessions", "changes", "passes", "meta")

_BATCH = 50_000  # records
# Lives whose lines were read again: the same file, and at least as much of it.
_STANDING = """
INSERT INTO standing SELECT id FROM old.files AS before WHERE state != 'rewritten' AND EXISTS (
    SELECT 1 FROM main.files AS now WHERE now.path = before.path AND now.state = 'live'
        AND (now.device, now.inode, now.head_bytes, now.head_hash) = (before.device, before.inode, before.head_bytes, before.head_hash)
        AND now.offset_bytes >= before.offset_bytes)"""
# Records that the new store does not have, or, where the rules have changed, of whose group it has none.
_UNKNOWN = """
SELECT id FROM old.records AS before
WHERE NOT EXISTS (SELECT 1 FROM main.records AS now WHERE now.group_text = before.group_text {same})
    AND NOT EXISTS (SELECT 1 FROM main.replies AS now WHERE now.key = key_of_group(before.group_text) {same})
UNION ALL
SELECT id FROM old.replies AS before
WHERE NOT EXISTS (SELECT 1 FROM main.replies AS now WHERE now.key = before.key {same})
    AND NOT EXISTS (SELECT 1 FROM main.records AS now WHERE now.group_text = group_of_key(before.key) {same})
    AND NOT EXISTS (SELECT 1 FROM old.records AS several WHERE several.group_text = group_of_key(before.key))"""
_SAME_KEY = "AND now.request_id = before.request_id AND now.sidechain = before.sidechain"
# Where a file has another life now, that one began after this one.
_LIVES = """
INSERT INTO main.files
SELECT id + ?1, path, root, relative,
    CASE WHEN path IN (SELECT path FROM main.files WHERE state = 'live') THEN 'rewritten' ELSE state END,
    device, inode, size_bytes, mtime_ns, ctime_ns, offset_bytes, head_bytes, head_hash, marker_bytes, marker_hash, malformed_lines, seen_ms
FROM old.files WHERE id NOT IN standing AND (state = 'live' OR id + ?1 IN (SELECT file FROM main.sightings))"""
_REJECTS = """
INSERT INTO main.rejects SELECT file + ?1, offset_bytes, reason FROM old.rejects WHERE file + ?1 IN (SELECT id FROM main.files)"""
_FOLDERS = """
INSERT INTO main.projects (project, at_ms, folder)
SELECT now, at_ms, folder FROM old.projects JOIN same_name ON before = project WHERE now IN (SELECT project FROM main.owners)
ON CONFLICT (project) DO UPDATE SET at_ms = excluded.at_ms, folder = excluded.folder
WHERE (excluded.at_ms, excluded.folder) < (at_ms, folder)"""
# The numbers that names have in the one store and in the other.
_SAME = (
    "INSERT INTO same_name SELECT before.id, now.id FROM old.names AS before JOIN main.names AS now USING (name)",
    "INSERT INTO same_form SELECT before.id, now.id FROM old.forms AS before JOIN main.forms AS now USING (form)",
    """INSERT INTO same_owner SELECT before.id, now.id FROM old.owners AS before
    JOIN same_name AS sessions ON sessions.before = before.session
    JOIN same_name AS projects ON projects.before = before.project
    JOIN same_name AS agents ON agents.before = before.agent
    JOIN same_name AS users ON users.before = before.user JOIN same_name AS hosts ON hosts.before = before.host
    JOIN main.owners AS now ON (now.copied, now.subagent, now.session, now.project, now.agent, now.user, now.host)
        = (before.copied, before.subagent, sessions.now, projects.now, agents.now, users.now, hosts.now)""",
)
_COUNTS = ("at_ms", "input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "thinking", "flags", "final", "web_searches")
_DIFFERENT = f"""
SELECT before.key, now.id IS NULL, now.id IS NULL OR now.output < before.output OR now.at_ms > before.at_ms
    OR now.final < before.final OR now.web_searches < before.web_searches
FROM old.replies AS before LEFT JOIN main.replies AS now USING (key)
WHERE now.id IS NULL OR {" OR ".join(f"now.{name} IS NOT before.{name}" for name in _COUNTS)}
    OR now.owner IS NOT (SELECT same_owner.now FROM same_owner WHERE same_owner.before = before.owner)
    OR now.model IS NOT (SELECT same_name.now FROM same_name WHERE same_name.before = before.model)
    OR now.form IS NOT (SELECT same_form.now FROM same_form WHERE same_form.before = before.form)"""
_NEW = "SELECT key FROM main.replies AS now WHERE NOT EXISTS (SELECT 1 FROM old.replies AS before WHERE before.key = now.key)"


class Differences(NamedTuple):
    """The replies, by key, that the new store does not have as the old one has them."""

    corrected: list[str]  # their logs were read again and give something else
    lost: list[str]  # they would count less, and nothing explains why


class CarryOver:
    """The way from an old store, which stays as it is, to a new one that has read the logs anew."""

    def __init__(self, old_path: Path, new: Store) -> None:
        self._new = new
        self._db = new.connection
        self._old = database.open_for_reading(old_path)
        self._db.execute("ATTACH ? AS old", (os.fsencode(old_path),))
        for name, function in (("key_of_group", merge.escape), ("group_of_key", merge.group_of_key)):
            self._db.create_function(name, 1, function, deterministic=True)
        self._db.execute("CREATE TEMP TABLE standing (id INTEGER PRIMARY KEY)")
        for name in ("same_name", "same_form", "same_owner"):
            self._db.execute(f"CREATE TEMP TABLE {name} (before INTEGER PRIMARY KEY, now INTEGER NOT NULL)")
        # What a new store reads is no news.
        self._db.execute("CREATE TEMP TRIGGER quiet BEFORE INSERT ON main.changes BEGIN SELECT RAISE(IGNORE); END")
        self._carried = bytearray()

    def close(self) -> None:
        self._db.execute("DROP TRIGGER IF EXISTS quiet")
        self._db.execute("DETACH old")
        self._old.close()

    def copy_forgotten(self) -> None:
        """To be done before the logs are read."""
        with self._new.transaction():
            self._db.execute("INSERT INTO main.forgotten SELECT * FROM old.forgotten")

    def take_over(self, origin: Path, *, by_other_rules: bool) -> int:
        """
        Join the records that not only today's logs speak for, with the lives of files that they were seen in; gives how many.

        Where the old store was counted by other rules, only those of groups that the new one does not know: the others would mix
        what two rules say. What was seen nowhere, or only in logs that do not give it, is said to come from `origin`; but for what other
        machines have sent.
        """
        self._db.execute(_STANDING)
        standing = {number for (number,) in self._db.execute("SELECT id FROM standing")}
        here, elsewhere = self._seen(standing)
        unknown = bytearray(len(here))
        for (number,) in self._db.execute(_UNKNOWN.format(same="" if by_other_rules else _SAME_KEY)):
            unknown[number] = 1
        # One number a record, 0 or 1.
        outside = bytearray(gone | (not seen) for gone, seen in zip(elsewhere, here, strict=True))
        pairs = zip(outside, unknown, strict=True)
        self._carried = bytearray(out & new if by_other_rules else out | new for out, new in pairs)
        numbers = array("I", bytes(4 * len(here)))  # the new one of each record
        count = self._join(numbers, elsewhere)
        sent = has_elsewhere(self._old)
        count += self._take(record for number, record in self._records() if sent and not (here[number] or elsewhere[number]))
        rest = (record for number, record in self._records() if not elsewhere[number] and (here[number] or not sent))
        count += self._new.keep(origin, rest)
        with self._new.transaction():
            self._copy_lives(numbers, standing)
            self._copy_rest()
        return count

    def differences(self) -> Differences:
        """Hold the new store against the old one, reply by reply, and write the difference down as changes for those who follow."""
        several = "SELECT id FROM old.records WHERE group_text = ? UNION ALL SELECT id FROM old.replies WHERE key = ?"
        found = Differences([], [])
        events = [("new", key) for (key,) in self._db.execute(_NEW)]
        for key, is_gone, is_less in self._db.execute(_DIFFERENT).fetchall():
            events.append(("gone" if is_gone else "corrected", key))
            numbers = self._db.execute(several, (merge.group_of_key(key), key))
            if not any(self._carried[number] for (number,) in numbers):
                found.corrected.append(key)
            elif is_less:
                found.lost.append(key)
        with self._new.transaction():
            self._db.executemany("INSERT INTO main.changes (event, key) VALUES (?, ?)", events)
        return found

    def _seen(self, standing: set[int]) -> tuple[bytearray, bytearray]:
        """By number: was a record seen in a life that stands, and was it in one that does not?"""
        last = "SELECT max(ifnull((SELECT max(id) FROM replies), 0), ifnull((SELECT max(id) FROM records), 0))"
        size = int(self._old.execute(last).fetchone()[0]) + 1
        here, elsewhere = bytearray(size), bytearray(size)
        for file, packed in self._old.execute("SELECT file, records FROM sightings"):
            flags = here if file in standing else elsewhere
            for number in unpack_numbers(packed):
                if number < size:
                    flags[number] = 1
        return here, elsewhere

    def _records(self) -> Iterator[tuple[int, Record]]:
        """All records of the old store that are to be carried over, with their numbers."""
        return records_of(self._old, self._carried.__getitem__)

    def _join(self, numbers: array[int], elsewhere: bytearray) -> int:
        """Join the records that have a place of their own, and note their new numbers; gives how many they are."""
        count = 0
        records = ((number, record) for number, record in self._records() if elsewhere[number])
        while batch := list(islice(records, _BATCH)):
            ids = self._new.adopt([record for _, record in batch])
            for number, record in batch:
                numbers[number] = ids.get(record[:3], 0)
            count += len(batch)
        return count

    def _take(self, records: Iterator[Record]) -> int:
        """Join the records that come from other machines; gives how many they are."""
        count = 0
        while batch := list(islice(records, _BATCH)):
            self._new.take(batch)
            count += len(batch)
        return count

    def _copy_lives(self, numbers: array[int], standing: set[int]) -> None:
        """The lives that records were carried over from, and those of files that nobody could read this time."""
        shift = int(self._db.execute("SELECT ifnull(max(id), 0) FROM main.files").fetchone()[0])
        for file, start, packed, offsets in self._old.execute("SELECT file, start_bytes, records, offsets FROM sightings"):
            if file in standing:
                continue
            pairs = zip(unpack_numbers(packed), unpack_numbers(offsets), strict=True)
            lines = [(numbers[number], offset) for number, offset in pairs if number < len(numbers) and numbers[number]]
            if lines:
                columns = [pack_numbers(array("I", column)) for column in zip(*lines, strict=True)]
                self._db.execute("INSERT INTO main.sightings VALUES (?, ?, ?, ?)", (file + shift, start, *columns))
        self._db.execute(_LIVES, (shift,))
        self._db.execute(_REJECTS, (shift,))

    def _copy_rest(self) -> None:
        for statement in (*_SAME, _FOLDERS, "DROP TRIGGER temp.quiet"):
            self._db.execute(statement)
        for table in COPIED:
            self._db.execute(f"INSERT OR IGNORE INTO main.{table} SELECT * FROM old.{table}")
        # Changes go on being numbered where they stood: who follows has heard of those before.
        self._db.execute("DELETE FROM main.sqlite_sequence")
        self._db.execute("INSERT INTO main.sqlite_sequence SELECT * FROM old.sqlite_sequence")
