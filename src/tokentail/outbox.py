"""The only place that knows which records a destination lacks: noted when they are written, until it says that it keeps them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tokentail import merge
from tokentail.interned import COLUMNS, Interned
from tokentail.model import Record

_AT_ONCE = 500  # numbers in a question
_NOTE = """
INSERT INTO outbox (destination, record, state, refused) SELECT id, ?, random(), 0 FROM destinations WHERE true
ON CONFLICT DO UPDATE SET state = excluded.state, refused = 0"""
_FILL = """
INSERT OR REPLACE INTO outbox (destination, record, state, refused)
SELECT ?1, id, random(), 0 FROM records UNION ALL SELECT ?1, id, random(), 0 FROM replies"""


class Parcel(NamedTuple):
    """A record that is to be sent, as it is now."""

    number: int
    state: int  # another one as soon as the record is not as it was
    record: Record


class Waiting(NamedTuple):
    """How many records a destination does not have."""

    records: int
    refused: int  # of them, those that it will not have as they are


def register(db: sqlite3.Connection, url: str, labels: str) -> int:
    """
    The number of a destination. One that is new, or to which records went by other names, is to have all that there is.

    To be called within a transaction.
    """
    row = db.execute("SELECT id, labels FROM destinations WHERE url = ?", (url,)).fetchone()
    if row is not None and row[1] == labels:
        return int(row[0])
    db.execute("INSERT INTO destinations (url, labels) VALUES (?, ?) ON CONFLICT DO UPDATE SET labels = excluded.labels", (url, labels))
    number = int(db.execute("SELECT id FROM destinations WHERE url = ?", (url,)).fetchone()[0])
    db.execute(_FILL, (number,))
    return number


def find(db: sqlite3.Connection, url: str) -> tuple[int, str] | None:
    """A destination's number and labels; None where nothing was ever sent there, or it was left."""
    row = db.execute("SELECT id, labels FROM destinations WHERE url = ?", (url,)).fetchone()
    return None if row is None else (int(row[0]), str(row[1]))


def leave(db: sqlite3.Connection, url: str) -> bool:
    """Note nothing more for a destination; within a transaction. False where there is none of that name."""
    found = find(db, url)
    if found is not None:
        db.execute("DELETE FROM outbox WHERE destination = ?", found[:1])
        db.execute("DELETE FROM destinations WHERE id = ?", found[:1])
    return found is not None


def note(db: sqlite3.Connection, numbers: Sequence[int]) -> None:
    """These records are new, or not as they were; within the transaction that makes them so."""
    if numbers and db.execute("SELECT EXISTS (SELECT 1 FROM destinations)").fetchone()[0]:
        db.executemany(_NOTE, [(number,) for number in numbers])


def waiting(db: sqlite3.Connection, destination: int) -> Waiting:
    """How many records it does not have."""
    query = "SELECT count(*), ifnull(sum(refused), 0) FROM outbox WHERE destination = ?"
    return Waiting(*db.execute(query, (destination,)).fetchone())


def urls(db: sqlite3.Connection) -> list[tuple[str, Waiting]]:
    """All destinations, by their names."""
    return [(url, waiting(db, number)) for number, url in db.execute("SELECT id, url FROM destinations ORDER BY url").fetchall()]


def parcels(db: sqlite3.Connection, destination: int | None, limit: int, after: int = 0) -> tuple[list[Parcel], list[int]]:
    """
    Records that it does not have, in the order of their numbers, from the one after `after` on; without a destination of all there are.

    Gives them, and the numbers of rows that stand for no record any more: they are to be taken out (`delivered` does).
    """
    query = "SELECT record, state FROM outbox WHERE destination = ? AND record > ? AND NOT refused ORDER BY record LIMIT ?"
    everything = "SELECT id, 0 FROM (SELECT id FROM records UNION SELECT id FROM replies) WHERE id > ? ORDER BY id LIMIT ?"
    rows = db.execute(everything, (after, limit)) if destination is None else db.execute(query, (destination, after, limit))
    states: dict[int, int] = dict(rows)
    found = _records(db, sorted(states))
    return [Parcel(number, states[number], record) for number, record in found.items()], [n for n in states if n not in found]


def delivered(db: sqlite3.Connection, destination: int, sent: Iterable[Parcel], gone: Iterable[int] = ()) -> None:
    """It has these as they were sent; within a transaction."""
    query = "DELETE FROM outbox WHERE destination = ? AND record = ? AND state = ?"
    db.executemany(query, [(destination, parcel.number, parcel.state) for parcel in sent])
    db.executemany("DELETE FROM outbox WHERE destination = ? AND record = ?", [(destination, number) for number in gone])


def refused(db: sqlite3.Connection, destination: int, sent: Iterable[Parcel]) -> None:
    """It will not have these as they are: they wait until they change; within a transaction."""
    query = "UPDATE outbox SET refused = 1 WHERE destination = ? AND record = ? AND state = ?"
    db.executemany(query, [(destination, parcel.number, parcel.state) for parcel in sent])


def retry_refused(db: sqlite3.Connection, destination: int) -> None:
    """Offer them once more: the destination may have learnt since; within a transaction."""
    db.execute("UPDATE outbox SET refused = 0 WHERE destination = ? AND refused", (destination,))


def again(db: sqlite3.Connection, destination: int, sessions: Iterable[str]) -> None:
    """All records of these sessions are to be sent once more; within a transaction."""
    of = "owner IN (SELECT owners.id FROM owners JOIN names ON names.id = session WHERE names.name = ?2)"
    query = f"""
        INSERT OR REPLACE INTO outbox (destination, record, state, refused)
        SELECT ?1, id, random(), 0 FROM records WHERE {of} UNION ALL SELECT ?1, id, random(), 0 FROM replies WHERE {of}"""
    db.executemany(query, [(destination, session) for session in sessions])


def _records(db: sqlite3.Connection, numbers: Sequence[int]) -> dict[int, Record]:
    """Those of these numbers that are of records; a reply that several records make is none."""
    interned, columns = Interned(db, ()), ", ".join(COLUMNS)
    found: dict[int, Record] = {}
    for start in range(0, len(numbers), _AT_ONCE):
        some = numbers[start : start + _AT_ONCE]
        marks = ", ".join("?" * len(some))
        for number, group, *row in db.execute(f"SELECT id, group_text, {columns} FROM records WHERE id IN ({marks})", some).fetchall():
            found[number] = interned.record(group, row)
        for number, key, *row in db.execute(f"SELECT id, key, {columns} FROM replies WHERE id IN ({marks})", some).fetchall():
            group = merge.group_of_key(key)
            if number not in found and not db.execute("SELECT 1 FROM records WHERE group_text = ? LIMIT 1", (group,)).fetchone():
                found[number] = interned.record(group, row)
    return {number: found[number] for number in sorted(found)}
