"""The only place that finds the records behind a reply, and the lines on which they were seen, as the store remembers them."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Collection, Iterable, Mapping, Set
from typing import NamedTuple

from tokentail import merge
from tokentail.interned import name_of, pack_numbers, unpack_numbers
from tokentail.model import LogFile, Provenance

ON_DISK, DELETED, REWRITTEN, ELSEWHERE = Provenance._fields
_STANDS = {"live": ON_DISK, "missing": DELETED, "rewritten": REWRITTEN}
_FILE = "SELECT path, root, relative, device, inode, size_bytes, mtime_ns, ctime_ns, state FROM files WHERE id = ?"
_SIGHTINGS = "SELECT file, start_bytes, records, offsets FROM sightings {} ORDER BY file, start_bytes"
_FEW = 8  # records that SQLite looks for faster than we unpack all


class Known(NamedTuple):
    """A record by its number and by what R10 keeps it by."""

    group: str
    request_id: str
    sidechain: bool
    number: int


class Behind(NamedTuple):
    """What a reply was made of."""

    records: tuple[Known, ...]
    replays: tuple[Known, ...]  # of its group, dropped by R3; with the first of several replies of one group


class Sighting(NamedTuple):
    """A line that a record was seen on."""

    file: LogFile
    stands: str  # on_disk, deleted, rewritten
    offset_bytes: int


def behind(db: sqlite3.Connection, keys: Iterable[str]) -> dict[str, Behind]:
    """The records of each reply, by its key."""
    found: dict[str, Behind] = {}
    for key in keys:
        if key not in found:
            found.update(_of_group(db, key))
    return found


def sightings(db: sqlite3.Connection, numbers: Set[int]) -> dict[int, list[Sighting]]:
    """The lines of each of those records, by its number; in order of place. A line that was read twice is one."""
    found: dict[int, dict[tuple[int, int], Sighting]] = {number: {} for number in numbers}
    files: dict[int, tuple[LogFile, str]] = {}
    for file, start_bytes, packed, offsets in _packed(db, numbers):
        seen = unpack_numbers(packed)
        if numbers.isdisjoint(seen):
            continue
        if file not in files:
            files[file] = _file(db, file)
        for number, offset in zip(seen, unpack_numbers(offsets), strict=True):
            if number in found:
                found[number][file, start_bytes + offset] = Sighting(*files[file], start_bytes + offset)
    return {number: _once(each.values()) for number, each in found.items()}


def _packed(db: sqlite3.Connection, numbers: Set[int]) -> sqlite3.Cursor:
    """The rows that may hold one of those records."""
    if not 0 < len(numbers) <= _FEW:
        return db.execute(_SIGHTINGS.format(""))
    wanted = [pack_numbers(array("I", [number])) for number in numbers]
    return db.execute(_SIGHTINGS.format("WHERE " + " OR ".join(["instr(records, ?)"] * len(wanted))), wanted)


def numbers_in(db: sqlite3.Connection, files: Collection[int]) -> set[int]:
    """The records that were seen in those lives of files."""
    found: set[int] = set()
    for file in files:
        for (packed,) in db.execute("SELECT records FROM sightings WHERE file = ?", (file,)):
            found.update(unpack_numbers(packed))
    return found


def files(db: sqlite3.Connection) -> dict[int, LogFile]:
    """Every life of a log that the store knows, by its number."""
    return {number: _file(db, number)[0] for (number,) in db.execute("SELECT id FROM files").fetchall()}


def keys_of(db: sqlite3.Connection, numbers: Iterable[int]) -> set[str]:
    """The keys of the replies that those records are of; replays are of the replies of their group."""
    keys: set[str] = set()
    for number in numbers:
        row = db.execute("SELECT group_text FROM records WHERE id = ?", (number,)).fetchone()
        if row is not None:
            keys.update(merge.messages(_known(db, row[0])))
        else:
            keys.update(key for (key,) in db.execute("SELECT key FROM replies WHERE id = ?", (number,)))
    return keys


def _of_group(db: sqlite3.Connection, key: str) -> Mapping[str, Behind]:
    group = merge.group_of_key(key)
    known = _known(db, group)
    if not known:  # a lone record is its reply
        rows = db.execute("SELECT request_id, sidechain, id FROM replies WHERE key = ?", (key,))
        return {key: Behind(tuple(Known(group, request, bool(side), number) for request, side, number in rows), ())}
    messages = merge.messages(known)
    kept = {record.number for records in messages.values() for record in records}
    replays = tuple(record for record in known if record.number not in kept)
    first = min(messages)
    return {each: Behind(tuple(records), replays if each == first else ()) for each, records in messages.items()}


def _known(db: sqlite3.Connection, group: str) -> list[Known]:
    rows = db.execute("SELECT request_id, sidechain, id FROM records WHERE group_text = ?", (group,))
    return [Known(group, request, bool(side), number) for request, side, number in rows]


def _file(db: sqlite3.Connection, number: int) -> tuple[LogFile, str]:
    row = db.execute(_FILE, (number,)).fetchone()
    path, root, relative = map(name_of, row[:3])
    return LogFile(path, root, relative, *map(int, row[3:8])), _STANDS[row[8]]


def _once(seen: Iterable[Sighting]) -> list[Sighting]:
    """A rewrite that kept a line leaves it in two lives of its file, at one place or another; those on disk are told first."""
    by_place: dict[tuple[str, int], Sighting] = {}
    for each in seen:
        place = each.file.path, each.offset_bytes
        if place not in by_place or each.stands == ON_DISK:
            by_place[place] = each
    return sorted(by_place.values(), key=lambda each: (each.file.path, each.offset_bytes))
