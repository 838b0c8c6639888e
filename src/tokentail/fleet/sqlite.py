"""The only place that keeps the records of many machines in a store of ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from tokentail import database
from tokentail.errors import StoreBlockedError, StoreError
from tokentail.fleet.sessions import SessionCounts, by_session
from tokentail.model import Record
from tokentail.store import Store

LOCK_WITHIN_S = 10.0  # for whoever reads logs into the same store


class SqliteCentral:
    """A central store that is also the store of the hub's own machine: whoever follows that one's logs writes it, too."""

    def __init__(self, path: Path, thresholds: Sequence[int], *, wait_s: float = LOCK_WITHIN_S) -> None:
        """`thresholds` are the price list's long-context limits in prompt tokens, ascending."""
        self._path, self._thresholds, self._wait_s = path, thresholds, wait_s
        self._store: Store | None = None
        self._opened: tuple[int, int] | None = None
        self._version = -1

    def add(self, records: Sequence[Record], folders: Sequence[tuple[str, int, str]]) -> int:
        """See `Central`."""
        with database.locked(self._path, wait_s=self._wait_s):
            try:
                store = self._ready()
                store.trim_changes()
                return store.take(records, folders)
            except sqlite3.DatabaseError as error:
                self.close()
                raise StoreBlockedError(f"the store {self._path} is damaged: {error} (the next look at the logs replaces it)") from error

    def sessions(self, host: str, user: str) -> Mapping[str, SessionCounts]:
        """See `Central`."""
        try:
            with closing(database.open_for_reading(self._path)) as db:
                return by_session(db, user, host)
        except sqlite3.DatabaseError as error:
            raise StoreError(f"cannot read the store {self._path}: {error} (`tokentail verify` compares it with the logs)") from error

    def close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    def _ready(self) -> Store:
        """The open store; another one where another file has come into its place."""
        if self._store is not None and database.identity(self._path) != self._opened:
            self.close()
        if self._store is None:
            self._store, self._opened, self._version = self._open(), database.identity(self._path), -1
        version = int(self._store.connection.execute("PRAGMA data_version").fetchone()[0])
        if version != self._version:
            self._store.check_list()
            self._version = version
        return self._store

    def _open(self) -> Store:
        connection = database.open_for_writing(self._path)
        try:
            # Who sent them forgets what we say we keep, so it must be on the disk: a power cut may not take it back.
            connection.execute("PRAGMA synchronous = FULL")
            store = Store(connection, self._path, thresholds=self._thresholds)
            if store.has_old_rules:
                raise StoreBlockedError(f"the store {self._path} is still counted by older rules (the next look at the logs renews it)")
        except BaseException:
            connection.close()
            raise
        return store
