"""The only place that knows when to look: it keeps the store up to date with the logs, once or for as long as somebody watches."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tokentail import database, queries
from tokentail.errors import StoreBusyError, StoreError
from tokentail.model import Chunk, Listing, LogFile, Problem, ReplyChange, Update
from tokentail.passes import PassCounter
from tokentail.prices import PriceList
from tokentail.sources import LocalFolders
from tokentail.store import Store
from tokentail.tracker import FileTracker

if TYPE_CHECKING:
    from tokentail.renewal import Renewed, Tell

HOT_EVERY_S = 1.0  # how often files are looked at that changed lately
HEARTBEAT_S = 5.0  # how often a process that watches says so when it finds nothing
ALL_EVERY_S = 5.0  # and all the others, new ones included
HOT_S = 600.0  # what "lately" means
BATCH_RECORDS = 60_000  # a commit's worth: bounds memory while a backlog is read
WAIT_S = 10.0  # for another process's pass

Answer = TypeVar("Answer")
Progress = Callable[[int, int], None]  # bytes read so far, bytes to read


class UpdateCoordinator:
    """Brings a store up to date with its sources: one pass a call, or a stream of updates."""

    def __init__(
        self,
        source: LocalFolders,
        store_path: Path,
        *,
        prices: PriceList,
        clock: Callable[[], float] = time.time,
        progress: Progress | None = None,
        wait_s: float = WAIT_S,
    ) -> None:
        self._source = source
        self._path = store_path
        self._prices = prices
        self._clock = clock
        self._progress = progress
        self._wait_s = wait_s
        self._store: Store | None = None
        self._opened: tuple[int, int] | None = None
        self._reader: sqlite3.Connection | None = None
        self._tracker = FileTracker(source)
        self._known_version = -1
        self._seen_change: int | None = None
        self._was_empty = False  # the store, after the update before
        # A lone pass that finds nothing is not worth a write.
        self._next_heartbeat = time.monotonic() + HEARTBEAT_S

    @property
    def db(self) -> sqlite3.Connection:
        """
        The connection to ask queries on.

        Raises:
            StoreError: there is no store yet, or it cannot be read.
        """
        if self._store is not None:
            return self._store.connection
        if self._reader is None:  # another process is writing: what it has committed can be read all the same
            self._reader = database.open_for_reading(self._path)
        return self._reader

    def report_progress(self, progress: Progress | None) -> None:
        """From now on tell `progress` how far a pass has read, a call a file; what it raises ends the pass between two commits."""
        self._progress = progress

    def check_for_updates(self, hot: Iterable[LogFile] | None = None) -> Update:
        """
        Bring the store up to date with every file that changed: one pass.

        Args:
            hot: look at these files only, instead of listing all places.

        Raises:
            StoreError: the store cannot be opened or written.
            StoreBusyError: another process holds it, and there is nothing to show yet.
        """
        started, began = self._clock(), time.perf_counter()
        degraded: list[str] = []
        counted = PassCounter()
        try:
            with database.locked(self._path, wait_s=self._wait_s):
                try:
                    load_changes = self._pass(hot, degraded, counted, started, began)
                except sqlite3.DatabaseError as error:
                    self._replace_damaged(error, degraded)
                    load_changes = self._pass(None, degraded, counted, started, began)
            files_checked = self._tracker.files_checked
        except StoreBusyError as error:
            if not self._path.exists():
                raise
            degraded.append(f"{error}; shown is what it had committed")
            load_changes, files_checked = self._changes_from(self._store), 0
        metrics = counted.metrics(files_checked, time.perf_counter() - began)
        problems = [*self._tracker.problems, *counted.problems]
        return Update(int(started * 1000), metrics, problems, degraded, load_changes)

    def answer(self, question: Callable[[sqlite3.Connection, Update], Answer]) -> tuple[Answer, Update]:
        """
        One pass, and what the question says of the store then.

        Where the question meets damage that the pass did not, the store is replaced and asked again.

        Raises:
            StoreError: the store cannot be opened, read or written.
            StoreBusyError: another process holds it, and there is nothing to show yet.
        """
        update = self.check_for_updates()
        try:
            return question(self.db, update), update
        except sqlite3.DatabaseError as error:
            degraded: list[str] = []
            with database.locked(self._path, wait_s=self._wait_s):
                self._replace_damaged(error, degraded)
        update = self.check_for_updates()
        update.degraded[:0] = degraded
        return question(self.db, update), update

    def change_store(self, work: Callable[[Store], Answer]) -> Answer:
        """
        Do something to the store while no other process ingests into it.

        Raises:
            StoreError: the store cannot be opened, read or written; or it was damaged and had to be replaced first.
            StoreBusyError: another process holds it.
        """
        with database.locked(self._path, wait_s=self._wait_s):
            try:
                return work(self._ready_store())
            except sqlite3.DatabaseError as error:
                degraded: list[str] = []
                self._replace_damaged(error, degraded)
                raise StoreError(f"{degraded[0]} (nothing else was done: give the command again)") from error
            finally:
                self._known_version = -1  # what the tracker knows may be gone

    def rebuild(self, *, keeps_old: bool = True, tell: Tell = lambda _: None) -> tuple[Renewed, Update]:
        """
        Make the store anew from the logs, with all that they no longer hold taken over from the old one.

        Raises:
            StoreError: it cannot be read or written, or the new one would count less: then the old one stays as it is.
            StoreBusyError: another process holds it.
        """
        started, began = self._clock(), time.perf_counter()
        degraded: list[str] = []
        counted = PassCounter()

        def made_anew() -> Renewed:
            self._pass(None, degraded, PassCounter(), started, began)  # from here on it is known which logs are gone
            return self._renewed(self._ready_store(), "before-rebuild", counted, keeps_old=keeps_old, by_other_rules=False, tell=tell)

        with database.locked(self._path, wait_s=self._wait_s):
            try:
                renewed = made_anew()
            except sqlite3.DatabaseError as error:
                self._replace_damaged(error, degraded)
                renewed = made_anew()
            load_changes = self._changes_from(self._ready_store())
        metrics = counted.metrics(self._tracker.files_checked, time.perf_counter() - began)
        problems = [*self._tracker.problems, *counted.problems]
        return renewed, Update(int(started * 1000), metrics, problems, degraded, load_changes)

    def follow(self, stop: threading.Event) -> Iterator[Update]:
        """
        Updates until `stop` is set: one at once, then after every look, whether it found anything or not.

        Files that changed in the last ten minutes are looked at every second, the rest and new ones every five.
        """
        yield self.check_for_updates()
        next_full = time.monotonic() + ALL_EVERY_S
        while not stop.wait(HOT_EVERY_S):
            if time.monotonic() >= next_full:
                next_full = time.monotonic() + ALL_EVERY_S
                yield self.check_for_updates()
            else:
                yield self.check_for_updates(self._tracker.active_since(self._clock() - HOT_S))

    def close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _pass(
        self, hot: Iterable[LogFile] | None, degraded: list[str], counted: PassCounter, started: float, began: float
    ) -> Callable[[], list[ReplyChange]]:
        """Read what is new, and write down that we did; gives a way to load the changes."""
        store = self._ready_store()
        if store.has_old_rules:
            store = self._rederive(store, degraded, counted)
        self._read_into(store, hot, counted)
        metrics = counted.metrics(self._tracker.files_checked, time.perf_counter() - began)
        if not metrics.is_idle or time.monotonic() >= self._next_heartbeat:
            store.add_pass(int(started * 1000), metrics._asdict(), idle=metrics.is_idle)
            self._next_heartbeat = time.monotonic() + HEARTBEAT_S
        return self._changes_from(store)

    def _read_into(self, store: Store, hot: Iterable[LogFile] | None, counted: PassCounter) -> None:
        store.trim_changes()
        for chunks in _batches(self._chunks(hot, counted)):
            applied = store.apply(chunks)
            counted.add(chunks, applied.tally)
            for life in applied.lives:
                self._tracker.update_position(life)
        store.restate(self._tracker.persist())

    def _chunks(self, hot: Iterable[LogFile] | None, counted: PassCounter) -> Iterator[Chunk]:
        """What every changed file gained; files that cannot be read are named and tried again by the next pass."""
        changes = list(self._tracker.check_changes(None if hot is None else self._restat(hot)))
        if not changes:
            return
        # Not at the top: what parsing needs takes time to import, and most passes find nothing new.
        from tokentail.backlog import read, unread_bytes

        total = sum(map(unread_bytes, changes))
        done = 0
        for change, outcome in read(changes, self._source, total):
            if isinstance(outcome, Chunk):
                yield outcome
                continue
            if isinstance(outcome, OSError):
                counted.problems.append(Problem(change.file.path, outcome.strerror or str(outcome)))
            counted.files_read += 1
            done += unread_bytes(change)
            if self._progress is not None:
                self._progress(done, total)

    def _restat(self, files: Iterable[LogFile]) -> Listing:
        return Listing([fresh for file in files if (fresh := self._source.look_again(file)) is not None], [])

    def _ready_store(self) -> Store:
        """The open store, with a tracker that knows what it knows."""
        if self._store is not None and _identity(self._path) != self._opened:
            self.close()  # another process has moved a damaged one aside
            self._seen_change = None
        if is_new := self._store is None:
            self._store, self._opened = self._open(), _identity(self._path)
        store = self._store
        # Another process may have moved the cursors since we looked.
        version = int(store.connection.execute("PRAGMA data_version").fetchone()[0])
        if is_new or version != self._known_version:
            store.check_list()
            self._tracker.restore(store.lives("live"), recall=lambda: store.lives("missing"))
            self._known_version = version
        if self._seen_change is None:
            self._seen_change = queries.latest_change(store.connection)
        return store

    def _open(self, path: Path | None = None) -> Store:
        connection = database.open_for_writing(path or self._path)
        try:
            return Store(connection, path or self._path, thresholds=self._prices.thresholds, clock=self._clock)
        except BaseException:
            connection.close()
            raise

    def _replace_damaged(self, error: sqlite3.DatabaseError, degraded: list[str]) -> Store:
        """Start a new store with what can still be read of a damaged one; the pass that follows re-derives the rest."""
        from tokentail import renewal  # hardly ever needed, as below

        self.close()
        self._seen_change = None  # changes are numbered anew
        degraded.append(renewal.replace_damaged(self._path, self._open, error, self._clock))
        return self._ready_store()

    def _rederive(self, store: Store, degraded: list[str], counted: PassCounter) -> Store:
        """Count everything that is still in the logs by the new rules; what is not is carried over as it was counted."""
        renewed = self._renewed(store, "old-rules", counted, keeps_old=True, by_other_rules=True, tell=lambda _: None)
        degraded.append(
            f"the counting rules have changed: all logs were read again, and {renewed.carried} records kept whose logs are gone"
        )
        return self._ready_store()

    def _renewed(self, store: Store, why: str, counted: PassCounter, *, keeps_old: bool, by_other_rules: bool, tell: Tell) -> Renewed:
        """Make the store anew from the logs; it is closed afterwards."""
        from tokentail import renewal

        def read_logs(new: Store) -> None:
            self._tracker.restore([])
            self._read_into(new, None, counted)

        origin = database.name_aside(self._path, why, self._clock)
        try:
            return renewal.renew(store, self._open, read_logs, origin=origin, keeps_old=keeps_old, by_other_rules=by_other_rules, tell=tell)
        finally:
            self.close()

    def _changes_from(self, store: Store | None) -> Callable[[], list[ReplyChange]]:
        """A way to load what changed since the update before, without what later updates will tell."""
        if store is None or self._seen_change is None:
            return list
        first, last = self._seen_change, queries.latest_change(store.connection)
        self._seen_change = last
        # The first fill is not written down as changes; to somebody who follows, it is news.
        filled, self._was_empty = self._was_empty, not queries.latest_replies(store.connection, 1)
        if filled and not self._was_empty:
            return lambda: [ReplyChange(last, "new", reply.key, reply) for reply in queries.replies_since(store.connection, 0)]
        return lambda: queries.changes_between(store.connection, first, last)


def _batches(chunks: Iterable[Chunk]) -> Iterator[list[Chunk]]:
    batch: list[Chunk] = []
    records = 0
    for chunk in chunks:
        batch.append(chunk)
        records += len(chunk.records)
        if records >= BATCH_RECORDS:
            yield batch
            batch, records = [], 0
    if batch:
        yield batch


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file that is, or None when there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
