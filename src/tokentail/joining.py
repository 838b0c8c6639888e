"""The only place that joins what another machine has counted into our store: whatever both know of a reply becomes what both say of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from tokentail.errors import StoreError
from tokentail.interned import records_of
from tokentail.model import RULES_VERSION, Record
from tokentail.store import Store

BATCH_RECORDS = 20_000  # of a commit
Folder = tuple[str, int, str]  # of a project: slug, moment and folder
Label = Callable[[Iterable[Record]], Iterable[Record]]  # says of records whose they are, where they do not


class Joined(NamedTuple):
    """What a join brought."""

    records: int  # that came
    joined: int  # of them, those that said something new
    replies_new: int
    replies: int  # that our store holds now


def as_they_are(records: Iterable[Record]) -> Iterable[Record]:
    """Records that know whose they are, or belong to nobody in particular."""
    return records


def join_store(store: Store, other: sqlite3.Connection, origin: Path, label: Label = as_they_are) -> Joined:
    """
    Join all records of a store, and the names of its projects. Done again it changes nothing.

    What was forgotten here stays forgotten, and what was forgotten there is not forgotten here. What Claude Code said of its limits and
    costs stays where it was said.

    Args:
        other: a connection to the other store, of our version.
        origin: where it stands.

    Raises:
        StoreError: it was counted by other rules; or ours cannot be written.
    """
    if (found := dict(other.execute("SELECT name, value FROM meta")).get("rules_version")) != str(RULES_VERSION):
        raise StoreError(f"cannot merge {origin}: it was counted by other rules, {found} (run a report there with this version first)")
    return join_records(store, _batches(other), label)


def join_records(store: Store, batches: Iterable[tuple[list[Record], Iterable[Folder]]], label: Label = as_they_are) -> Joined:
    """
    Join records and what their projects are called, a batch a commit. Done again it changes nothing.

    Raises:
        StoreError: the store cannot be written; the batches before are kept.
    """
    before = _replies(store.connection)
    count = joined = 0
    for records, folders in batches:
        count += len(records)
        store.trim_changes()
        joined += store.take(label(records), folders)
    replies = _replies(store.connection)
    return Joined(count, joined, replies - before, replies)


def _batches(other: sqlite3.Connection) -> Iterator[tuple[list[Record], Iterable[Folder]]]:
    """Each project's folder comes with its records, and last those of projects that have none any more."""
    rows = other.execute("SELECT name, at_ms, folder FROM projects JOIN names ON id = project").fetchall()
    folders: dict[str, Folder] = {row[0]: row for row in rows}
    told: set[str] = set()
    records = (record for _, record in records_of(other))
    while batch := list(islice(records, BATCH_RECORDS)):
        slugs = {record.owner.project for record in batch}
        told |= slugs
        yield batch, [folders[slug] for slug in slugs & folders.keys()]
    yield [], [folder for slug, folder in folders.items() if slug not in told]


def _replies(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT count(*) FROM replies").fetchone()[0])
