"""The only place that brings a single log up to date, at once or not at all: for who has milliseconds and no time for the others."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from tokentail import database
from tokentail.errors import StoreBusyError
from tokentail.model import RULES_VERSION, Listing

if TYPE_CHECKING:
    from tokentail.prices import PriceList
    from tokentail.sources import LiveSource

MOST_BYTES = 1 << 20  # that are read at once; the rest is read by whoever looks next


def has_changed(db: sqlite3.Connection, log: str) -> bool:
    """Is there a file at that path which is not as the store knows it?"""
    try:
        now = os.stat(log)
    except OSError:
        return False
    query = "SELECT device, inode, size_bytes, mtime_ns, ctime_ns FROM files WHERE path = ? AND state = 'live'"
    known = db.execute(query, (os.path.realpath(log),)).fetchone()
    return stat.S_ISREG(now.st_mode) and known != (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns)


def catch_up(db: sqlite3.Connection, source: LiveSource, store_path: Path, prices: PriceList, log: str) -> bool:
    """
    Read what a log has gained, if it is one of the source's and no other process is writing; says whether that was done.

    What would take long is left to others: a store that is new, of other rules or of other long-context limits.

    Raises:
        StoreError: the store cannot be opened or written.
        sqlite3.DatabaseError: it is damaged.
    """
    if not _is_ready(db, prices):
        return False
    listing = source.list_below([os.path.realpath(log)], [])
    if not listing.files:
        return False
    try:
        with database.locked(store_path, wait_s=0):
            _read(source, store_path, prices, listing)
    except StoreBusyError:
        return False
    return True


def _is_ready(db: sqlite3.Connection, prices: PriceList) -> bool:
    found = dict(db.execute("SELECT name, value FROM meta"))
    return found == {"rules_version": str(RULES_VERSION), "thresholds": json.dumps(prices.thresholds)}


def _read(source: LiveSource, store_path: Path, prices: PriceList, listing: Listing) -> None:
    from tokentail.parser import IncrementalParser  # a log that is as it was needs neither
    from tokentail.store import Store
    from tokentail.tracker import FileTracker

    tracker = FileTracker(source)
    parser = IncrementalParser(source, expected_bytes=0)
    with closing(database.open_for_writing(store_path)) as connection:
        store = Store(connection, store_path, thresholds=prices.thresholds)
        tracker.restore(store.lives_of(listing.files))
        for change in tracker.check_changes(listing):
            left = MOST_BYTES
            for chunk in parser.parse_new_entries(change):
                store.apply([chunk])
                left -= chunk.bytes_read
                if left <= 0:
                    break
