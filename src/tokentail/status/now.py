"""The only place that says how things stand: what is tracked and how well, what the store holds, what lies beside it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import NamedTuple

from tokentail import census, database, time_index
from tokentail.census import Census, Look
from tokentail.coordinator import UpdateCoordinator
from tokentail.database import SCHEMA_VERSION
from tokentail.errors import StoreError
from tokentail.leader import Leadership, Seen
from tokentail.model import Listing, Problem
from tokentail.prices import PriceList
from tokentail.reports.build import shown_path
from tokentail.sources import LiveSource, is_address
from tokentail.time_index import Index, index_path

LOOKS = 5  # that found something


class Folder(NamedTuple):
    """A folder that is searched for logs."""

    folder: str
    exists: bool
    readable: bool
    files: int
    size_bytes: int


class StoreFile(NamedTuple):
    """The store as a file."""

    path: str
    exists: bool
    size_bytes: int
    log_bytes: int  # of its write-ahead log
    writer: int | None  # the process that writes it at this moment; 0 where it does not say which, None when there is none


class Copy(NamedTuple):
    """What an update of the store, or the repair of a damaged one, left beside it."""

    name: str
    size_bytes: int


class Prices(NamedTuple):
    """The price list in use."""

    list: str  # shipped, imported
    as_of: date | None
    made_from: str
    own_models: tuple[str, ...]  # whose prices come from a person's config


class Status(NamedTuple):
    """How things stand at a moment."""

    at_ms: int
    folders: tuple[Folder, ...]
    files: int  # that are there now
    size_bytes: int
    store: StoreFile
    copies: tuple[Copy, ...]
    leader: Seen | None  # the process that follows and keeps the store up to date; None: nobody does
    census: Census | None  # None: there is no store yet, or it cannot be read
    last_look: Look | None
    prices: Prices
    problems: tuple[Problem, ...]
    degraded: tuple[str, ...]
    time_index: Index | None = None  # of the logs, for reports without a store; None: there is none


def take_status(source: LiveSource, path: Path, prices: PriceList, *, coordinator: UpdateCoordinator | None, now_ms: int) -> Status:
    """
    How things stand, after a look at the logs by the coordinator, if there is one.

    What cannot be done is told in `degraded`: this is what people ask when something is wrong. Where there is neither a store nor a
    log nothing is made.
    """
    listing = source.list_files()
    problems, degraded = list(listing.problems), list(prices.problems)
    held, last_look = None, None
    leader = _leader(path)
    number = leader.process if leader else None
    try:
        if coordinator is not None and (listing.files or path.exists()):
            held, update = coordinator.answer(lambda db, _: census.take_census(db, looks=LOOKS, leader=number))
            # While another process writes there was no look of ours.
            is_ours = update.metrics.files_checked > 0 or not listing.files
            last_look = Look(update.started_at_ms, os.getpid(), update.metrics) if is_ours else held.latest
            problems += update.problems
            degraded += update.degraded
        elif path.exists():
            held = _read_only(path, number)
            last_look = held.latest
    except StoreError as error:
        degraded.append(str(error))
    sizes = [file.size_bytes for file in listing.files]
    return Status(
        now_ms,
        tuple(_folders(source.names, listing)),
        len(sizes),
        sum(sizes),
        _store_file(path),
        tuple(_copies(path)),
        leader,
        held,
        last_look,
        Prices("imported" if prices.is_imported else "shipped", prices.as_of, prices.made_from, prices.own_models),
        tuple(dict.fromkeys(problems)),
        tuple(degraded),
        time_index.look(index_path(path)),
    )


def _leader(path: Path) -> Seen | None:
    leadership = Leadership(path)
    return leadership.seen() if leadership.leads_elsewhere() else None


def _read_only(path: Path, leader: int | None) -> Census:
    """
    What the store says as it is.

    Raises:
        StoreError: it cannot be read, or only after an update.
    """
    with closing(database.open_for_reading(path)) as db:
        try:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version < SCHEMA_VERSION:
                raise StoreError(
                    f"the store {path} has schema {version}, ours is {SCHEMA_VERSION} (a look without --no-update brings it there)"
                )
            return census.take_census(db, looks=LOOKS, leader=leader)
        except sqlite3.DatabaseError as error:
            raise StoreError(f"cannot read the store {path}: {error} (a look without --no-update repairs it)") from error


def _folders(names: Sequence[str], listing: Listing) -> Iterator[Folder]:
    places = [(f"{file.root.rstrip('/')}/{file.relative}", file.size_bytes) for file in listing.files]
    unread = {problem.where for problem in listing.problems}
    for name in names:
        within = f"{name if is_address(name) else os.path.realpath(name).rstrip('/')}/"
        sizes = [size for place, size in places if place.startswith(within)]
        if is_address(name):
            is_there, can_be_read = True, not any(within.startswith(f"{where}/") for where in unread)
        else:
            is_there, can_be_read = os.path.isdir(name), os.access(name, os.R_OK | os.X_OK)
        yield Folder(shown_path(name), is_there, can_be_read, len(sizes), sum(sizes))


def _store_file(path: Path) -> StoreFile:
    log = path.with_name(f"{path.name}-wal")
    return StoreFile(shown_path(str(path)), path.exists(), _size(path), _size(log), database.lock_holder(path))


def _copies(path: Path) -> Iterator[Copy]:
    """Everything whose name begins like the store's, its own parts left out; a write-ahead log belongs to its copy."""
    beside = {each.name: _size(each) for each in path.parent.glob(f"{path.name}.*")} if path.parent.is_dir() else {}
    own = [f"{path.name}.{part}" for part in ("lock", "leader", "fresh", "index")]
    for name, size in sorted(beside.items()):
        if name not in own and not name.endswith(("-wal", "-shm", "-journal")) and not name.startswith(f"{path.name}.push-"):
            yield Copy(name, size + beside.get(f"{name}-wal", 0) + beside.get(f"{name}-shm", 0))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
