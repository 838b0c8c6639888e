"""The only place that knows what was forgotten on purpose: the hashes that stand for it, and which records are among it."""

from __future__ import annotations

import sqlite3
from array import array
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from tokentail import merge
from tokentail.digest import blake2b
from tokentail.merge import RecordKey
from tokentail.model import Chunk

MARK_BYTES = 16
_AT_ONCE = 500  # hashes that one statement asks about


class Forgetting(NamedTuple):
    """One time that a person had something forgotten."""

    at_ms: int
    marks: int  # how many hashes it left: one a reply, some more where one id serves several requests


def mark_of_group(group: str) -> bytes:
    """What stands for all records of a group."""
    return _hash(merge.escape(group))


def mark_of_request(group: str, request_id: str) -> bytes:
    """What stands for the records of one request in a group that several requests share, as with gateways that use an id again."""
    return _hash(f"{merge.escape(group)}/{merge.escape(request_id)}")


def mark_of_sharing(group: str) -> bytes:
    """What stands for the fact that several requests share a group; nothing is forgotten by it."""
    return _hash(f"{merge.escape(group)}//")


def among(connection: sqlite3.Connection, keys: Collection[RecordKey]) -> set[RecordKey]:
    """Those of the records that were forgotten. It costs nothing where nothing ever was."""
    if not connection.execute("SELECT EXISTS (SELECT 1 FROM forgotten)").fetchone()[0]:
        return set()
    marked: defaultdict[bytes, list[RecordKey]] = defaultdict(list)
    for key in keys:
        marked[mark_of_group(key[0])].append(key)
        marked[mark_of_request(key[0], key[1])].append(key)
    marks = iter(marked)
    found: set[RecordKey] = set()
    while some := list(islice(marks, _AT_ONCE)):
        query = f"SELECT hash FROM forgotten WHERE hash IN ({', '.join('?' * len(some))})"
        for (mark,) in connection.execute(query, some):
            found.update(marked[mark])
    return found


def without(chunk: Chunk, gone: Collection[RecordKey]) -> Chunk:
    """The chunk as if its file did not hold these records."""
    kept = [index for index, record in enumerate(chunk.records) if record[:3] not in gone]
    if len(kept) == len(chunk.records):
        return chunk
    places = {index: place for place, index in enumerate(kept)}
    behind = len(chunk.seen_records) - chunk.tail_lines
    lines = [number for number, index in enumerate(chunk.seen_records) if index in places]
    rest = Chunk(
        *(chunk.change, chunk.restarted, chunk.start_bytes, chunk.cursor, [chunk.records[index] for index in kept]),
        array("I", [places[chunk.seen_records[number]] for number in lines]),
        array("I", [chunk.seen_offsets[number] for number in lines]),
    )
    rest.tail_lines = sum(number >= behind for number in lines)
    rest.rejects, rest.bytes_read = chunk.rejects, chunk.bytes_read
    rest.folder = chunk.folder if kept else None
    return rest


def remember(connection: sqlite3.Connection, marks: Iterable[tuple[bytes, int]]) -> None:
    """Keep hashes, each with the moment in milliseconds; inside a transaction that the store holds."""
    connection.executemany("INSERT OR IGNORE INTO forgotten (hash, at_ms) VALUES (?, ?)", marks)


def forgettings(connection: sqlite3.Connection) -> Iterator[Forgetting]:
    """When something was forgotten and how much, oldest first."""
    yield from map(Forgetting._make, connection.execute("SELECT at_ms, count(*) FROM forgotten GROUP BY at_ms ORDER BY at_ms"))


def _hash(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=MARK_BYTES).digest()
