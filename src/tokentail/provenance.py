"""The only place that knows where replies stand: on lines that are there, deleted or removed by a rewrite, or on other machines."""

from __future__ import annotations

import sqlite3
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from tokentail import merge
from tokentail.interned import unpack_numbers

# Where a reply stands is the least of where its records were seen: as a digit, the number of a field of `model.Provenance`.
ON_DISK, DELETED, REWRITTEN, ELSEWHERE = b"0123"
HAS_ELSEWHERE = "elsewhere"  # the name in `meta` of a store that has taken in records of other machines, which no line here is of
SEVERAL = ord("4")  # of an owner whose replies do not all stand alike

_ANY_GONE = """
SELECT EXISTS (SELECT 1 FROM files WHERE state != 'live' AND EXISTS (SELECT 1 FROM sightings WHERE file = files.id))"""
_LAST_ID = "SELECT max(ifnull((SELECT max(id) FROM replies), 0), ifnull((SELECT max(id) FROM records), 0))"
_SEEN = "SELECT records FROM sightings WHERE file IN (SELECT id FROM files WHERE state = ?)"
_SEVERAL_RECORDS = "SELECT group_text, request_id, sidechain, id FROM records ORDER BY group_text"
_BY_OWNER = "SELECT owner, min(substr(?1, id + 1, 1)), max(substr(?1, id + 1, 1)) FROM replies GROUP BY owner"


def has_elsewhere(db: sqlite3.Connection) -> bool:
    """May records without a line be in order, since they come from other machines?"""
    return db.execute("SELECT 1 FROM meta WHERE name = ?", (HAS_ELSEWHERE,)).fetchone() is not None


class Stands(NamedTuple):
    """Where replies stand: a digit for each number of a reply, and for each number of an owner."""

    replies: bytes
    owners: bytes  # where all of its replies stand, or `SEVERAL`


def stands(db: sqlite3.Connection) -> Stands | None:
    """Where each reply stands; None when all of them are on disk."""
    if not (db.execute(_ANY_GONE).fetchone()[0] or has_elsewhere(db)):
        return None
    replies = bytes(_of_replies(db, _of_records(db)))
    return Stands(replies, bytes(_of_owners(db, replies)))


class _Known(NamedTuple):
    """A record that shares its group with others."""

    group: str
    request_id: str
    sidechain: bool
    number: int


def _of_records(db: sqlite3.Connection) -> bytearray:
    # A byte a record: sets of them would take a hundred times as much memory.
    unseen = ELSEWHERE if has_elsewhere(db) else REWRITTEN
    found = bytearray([unseen]) * (int(db.execute(_LAST_ID).fetchone()[0]) + 1)
    for state, where in (("rewritten", REWRITTEN), ("missing", DELETED), ("live", ON_DISK)):
        for (packed,) in db.execute(_SEEN, (state,)):
            for number in unpack_numbers(packed):
                found[number] = where
    return found


def _of_replies(db: sqlite3.Connection, of_records: bytearray) -> bytearray:
    """A lone record is its reply; those of a group of several are told apart as the counting rules do."""
    found = of_records.copy()
    for _, group in groupby(map(_Known._make, db.execute(_SEVERAL_RECORDS)), attrgetter("group")):
        for key, records in merge.messages(group).items():
            number = db.execute("SELECT id FROM replies WHERE key = ?", (key,)).fetchone()[0]
            found[number] = min(of_records[record.number] for record in records)
    return found


def _of_owners(db: sqlite3.Connection, of_replies: bytes) -> bytearray:
    found = bytearray([ON_DISK]) * (int(db.execute("SELECT ifnull(max(id), 0) FROM owners").fetchone()[0]) + 1)
    for owner, least, greatest in db.execute(_BY_OWNER, (of_replies,)):
        found[owner] = least[0] if least == greatest else SEVERAL
    return found
