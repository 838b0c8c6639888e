"""The only place that knows when to look: it keeps the store up to date with the logs, once or for as long as somebody watches."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tokentail import database, queries
from tokentail.errors import StoreBlockedError, StoreBusyError, StoreError
from tokentail.model import Chunk, Listing, Metrics, Problem, Recent, Update
from tokentail.notes import Notes
from tokentail.passes import PassCounter
from tokentail.pending import Pending
from tokentail.prices import PriceList
from tokentail.sources import LiveSource
from tokentail.store import Store
from tokentail.told import News, Told
from tokentail.tracker import FileTracker

if TYPE_CHECKING:
    from tokentail.commits import Commits
    from tokentail.following import OpenWatcher, Pace
    from tokentail.parser import IncrementalParser
    from tokentail.renewal import Renewed, Tell
    from tokentail.sweep import Sweep

LEFT_EVERY_S = 5.0  # how often who leads looks whether a log that it has open has gone without an event
BATCH_RECORDS = 60_000  # a commit's worth: bounds memory while a backlog is read
WAIT_S = 10.0  # for another process's pass

Answer = TypeVar("Answer")
Progress = Callable[[int, int], None]  # bytes read so far, bytes to read


class UpdateCoordinator:
    """Brings a store up to date with its sources: one pass a call, or a stream of updates."""

    def __init__(
        self,
        source: LiveSource,
        store_path: Path,
        *,
        prices: PriceList,
        clock: Callable[[], float] = time.time,
        progress: Progress | None = None,
        wait_s: float = WAIT_S,
        pace: Pace | None = None,
        open_watcher: OpenWatcher | None = None,
    ) -> None:
        self.source = source
        self.store_path = store_path
        self._pace = pace
        self._open_watcher = open_watcher
        self._prices = prices
        self._clock = clock
        self._progress = progress
        self._wait_s = wait_s
        self._store: Store | None = None
        self._opened: tuple[int, int] | None = None
        self._reader: sqlite3.Connection | None = None
        self._tracker = FileTracker(source, is_gone=lambda file, _: source.is_gone(file))
        self._known_version = -1
        self._told = Told()
        self._parser: IncrementalParser | None = None  # of a process that leads
        self._pending = Pending()
        self._notes = Notes()
        self._is_wanted = self._has_news = False
        self.looked_at_all_s = 0.0  # when the last pass over all places began, by our clock
        self.mode = "events"  # how whoever leads hears of what is written
        self.wake: Callable[[], None] = _nobody_waits
        self._next_left = 0.0

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
            self._reader = database.open_for_reading(self.store_path)
        return self._reader

    def report_progress(self, progress: Progress | None) -> None:
        """From now on tell `progress` how far a pass has read, a call a file; what it raises ends the pass between two commits."""
        self._progress = progress

    def check_for_updates(self) -> Update:
        """
        Bring the store up to date with every file that changed: one pass.

        Raises:
            StoreError: the store cannot be opened or written.
            StoreBusyError: another process holds it, and there is nothing to show yet.
        """
        return self.look(None)

    def look(self, only: Listing | None, *, most_bytes: int | None = None) -> Update:
        """
        The same for these files only, where some are given; it ends after about so many bytes, and `pending` has what is left.

        Raises:
            StoreError: the store cannot be opened or written.
            StoreBusyError: another process holds it, and there is nothing to show yet.
        """
        started, began = self._clock(), time.perf_counter()
        degraded: list[str] = []
        counted = PassCounter(self._clock)
        try:
            with database.locked(self.store_path, wait_s=self._wait_s):
                try:
                    news = self._pass(only, most_bytes, degraded, counted, started, began)
                except sqlite3.DatabaseError as error:
                    self._replace_damaged(error, degraded)
                    news = self._pass(None, most_bytes, degraded, counted, started, began)
            files_checked = self._tracker.files_checked
        except StoreBusyError as error:
            if not self.store_path.exists():
                raise
            degraded.append(f"{error}; shown is what it had committed")
            news, files_checked = self._news_of_others(), 0
        except StoreBlockedError:
            self._forget_reads()
            raise
        metrics = counted.metrics(files_checked, time.perf_counter() - began)
        problems = [*self._tracker.problems, *counted.problems]
        return Update(int(started * 1000), metrics, problems, degraded, news)

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
            degraded = self.repair(error)
        update = self.check_for_updates()
        update.degraded[:0] = degraded
        return question(self.db, update), update

    def repair(self, error: sqlite3.DatabaseError) -> list[str]:
        """
        Replace a store that a question found damaged, unless another process has done so; says what was done. A look must follow.

        Raises:
            StoreError: the error does not mean damage, or the store cannot be replaced.
        """
        degraded: list[str] = []
        with database.locked(self.store_path, wait_s=self._wait_s):
            if self._store is None or database.identity(self.store_path) == self._opened:
                self._replace_damaged(error, degraded)
        return degraded

    def change_store(self, work: Callable[[Store], Answer]) -> Answer:
        """
        Do something to the store while no other process ingests into it.

        Raises:
            StoreError: the store cannot be opened, read or written; or it was damaged and had to be replaced first.
            StoreBusyError: another process holds it.
        """
        with database.locked(self.store_path, wait_s=self._wait_s):
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
        counted = PassCounter(self._clock)

        def made_anew() -> Renewed:
            self._pass(None, None, degraded, PassCounter(self._clock), started, began)  # from here on it is known which logs are gone
            return self._renewed(self._ready_store(), "before-rebuild", counted, keeps_old=keeps_old, by_other_rules=False, tell=tell)

        with database.locked(self.store_path, wait_s=self._wait_s):
            try:
                renewed = made_anew()
            except sqlite3.DatabaseError as error:
                self._replace_damaged(error, degraded)
                renewed = made_anew()
            news = self._told.news(self._ready_store().connection)
        metrics = counted.metrics(self._tracker.files_checked, time.perf_counter() - began)
        problems = [*self._tracker.problems, *counted.problems]
        return renewed, Update(int(started * 1000), metrics, problems, degraded, news)

    def follow(self, stop: threading.Event) -> Iterator[Update]:
        """
        Updates until `stop` is set: as soon as logs are written, and one a second all the same.

        One of all processes that follow reads the logs, the others hear what it commits: what is told is the same.
        """
        from tokentail import following  # a report does without

        self.source.follow(True)
        try:
            yield from following.follow(self, stop, self._pace or following.Pace(), self._open_watcher or following.open_watcher)
        finally:
            self.source.follow(False)

    def look_now(self) -> None:
        """Let whoever follows look at all places at once. May be called by any thread."""
        self._is_wanted = True
        self.source.look_now()
        self.wake()

    def hear_now(self) -> None:
        """Let whoever follows tell at once what another thread has committed. May be called by any thread."""
        self._has_news = True
        self.wake()

    def _wake_follower(self) -> None:
        """Whoever it is by then."""
        self.wake()

    def is_wanted(self) -> bool:
        """Did somebody ask for that since the last time?"""
        wanted, self._is_wanted = self._is_wanted, False
        return wanted

    @property
    def has_news(self) -> bool:
        """Was something committed beside us that is still to be told?"""
        return self._has_news

    @property
    def recent(self) -> Recent | None:
        """What our latest looks were like while leading, as of a second ago."""
        return self._notes.recent

    @property
    def replaced(self) -> int:
        """How often another store has come into the place of the one before, with changes that are numbered anew."""
        return self._told.stores

    @property
    def pending(self) -> int:
        """How many files a pass has left to be read."""
        return len(self._pending)

    def next_pending(self, most_bytes: int) -> Listing:
        """Those of them which were written last, as they are now: at least one, and otherwise about so many bytes."""
        return self._pending.latest(most_bytes, self.source.look_again)

    def sweep(self) -> Sweep:
        """A look at all places that lets others have their turn."""
        from tokentail.sweep import Sweep  # a report does without

        return Sweep(self.source, self._tracker)

    def heard(self) -> Update:
        """What others have committed since the update before; no file is looked at."""
        self._has_news = False
        if self._store is None or database.identity(self.store_path) != self._opened:
            return self.look(None)
        try:
            news = self._told.news(self._store.connection)
        except sqlite3.DatabaseError:
            return self.look(None)  # it is replaced, unless whoever leads has done so meanwhile
        return Update(int(self._clock() * 1000), Metrics(), [], [], news)

    def commits(self) -> Commits:
        """A way to wait for what other processes commit."""
        from tokentail.commits import Commits  # as above

        return Commits(lambda: self.db, self.store_path)

    def lead(self, leads: bool) -> None:
        """From now on small commits come often: what they need stays in memory, and checkpoints are made beside them. Or no longer."""
        from tokentail.parser import IncrementalParser  # as above
        from tokentail.sources.handles import most_handles

        self._parser = IncrementalParser(self.source) if leads else None
        self.source.hold(most_handles() if leads else 0)
        self.source.listen(self._tracker.living if leads else None, self._wake_follower)
        if not leads:
            self._notes.write(self._store)
        if self._store is not None:
            database.checkpoint_by_itself(self._store.connection, not leads)

    def close(self) -> None:
        self._notes.write(self._store)
        if self._store is not None:
            self._store.close()
            self._store = None
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _pass(
        self, only: Listing | None, most_bytes: int | None, degraded: list[str], counted: PassCounter, started: float, began: float
    ) -> News:
        """Read what is new, and write down that we did; gives a way to load the changes."""
        store = self._ready_store()
        if store.has_old_rules:
            store = self._rederive(store, degraded, counted)
        if self._parser is not None:
            self._read_left_behind(store, only is None, counted)
        self._read_into(store, only, most_bytes, counted)
        if only is None:
            if counted.vanished:  # renamed, maybe, to where the listing had been already
                self._read_into(store, None, most_bytes, counted)
            self.looked_at_all_s = started
        metrics = counted.metrics(self._tracker.files_checked, time.perf_counter() - began)
        mode = self.mode if self._parser is not None else None
        self._notes.add(store, int(started * 1000), counted, metrics, mode=mode, pending=self.pending)
        self._has_news = False
        return self._told.news(store.connection)

    def _read_left_behind(self, store: Store, thorough: bool, counted: PassCounter) -> None:
        """The rest of logs that were deleted or moved away while we had them open; before anything that stands at their places now."""
        now = time.monotonic()
        if thorough or now >= self._next_left:
            self._next_left, thorough = now + LEFT_EVERY_S, True
        left = self.source.left_behind(thorough=thorough)
        if left.files:
            self._read_into(store, left, None, counted)
        self.source.let_go()

    def _read_into(self, store: Store, only: Listing | None, most_bytes: int | None, counted: PassCounter) -> None:
        store.trim_changes()
        for chunks in _batches(self._chunks(only, most_bytes, counted)):
            applied = store.apply(chunks)
            counted.add(chunks, applied.tally)
            for life in applied.lives:
                self._tracker.update_position(life)
        store.restate(self._tracker.persist())

    def _chunks(self, only: Listing | None, most_bytes: int | None, counted: PassCounter) -> Iterator[Chunk]:
        """What every changed file gained; files that cannot be read are named and tried again by the next pass."""
        changes = list(self._tracker.check_changes(only))
        for file in only.files if only else ():
            self._pending.done(file)
        if not changes:
            return
        # Not at the top: what parsing needs takes time to import, and most passes find nothing new.
        from tokentail.backlog import read, unread_bytes

        total = sum(map(unread_bytes, changes))
        done = 0
        left: int | None = most_bytes
        if most_bytes is not None:
            changes.sort(key=lambda change: change.file.mtime_ns, reverse=True)
            self._pending.add(change.file for change in changes)
        for change, outcome in read(changes, self.source, total, parser=self._parser):
            if isinstance(outcome, Chunk):
                yield outcome
                if left is not None:
                    left -= outcome.bytes_read
                    if left <= 0 and (outcome.more or change is not changes[-1]):
                        if not outcome.more:
                            self._pending.done(change.file)
                        return
                continue
            if isinstance(outcome, OSError):
                if self.source.has_gone(change.file, outcome):
                    counted.vanished += 1
                else:
                    counted.problems.append(Problem(change.file.path, outcome.strerror or str(outcome)))
            self._pending.done(change.file)
            counted.files_read += 1
            done += unread_bytes(change)
            if self._progress is not None:
                self._progress(done, total)

    def _news_of_others(self) -> News:
        """What they have committed; nothing where the store is damaged, which whoever holds it replaces."""
        try:
            return self._told.news(self._store.connection if self._store else None)
        except sqlite3.DatabaseError:
            return list

    def _forget_reads(self) -> None:
        """What was read could not be kept: the next pass goes by what the store knows."""
        self._known_version = -1
        self.source.take_back()

    def _ready_store(self) -> Store:
        """The open store, with a tracker that knows what it knows."""
        is_another = self._store is not None and database.identity(self.store_path) != self._opened
        if is_another:
            self.close()  # another process has moved a damaged one aside
            self._told.begin_anew()
            self._is_wanted = True  # it may know nothing of the files that nobody writes
        if is_new := self._store is None:
            self._store, self._opened = self._open(), database.identity(self.store_path)
        store = self._store
        if is_another and not queries.has_replies(store.connection):
            store.begin_changes()  # somebody has deleted it
        # Another process may have moved the cursors since we looked.
        version = int(store.connection.execute("PRAGMA data_version").fetchone()[0])
        if is_new or version != self._known_version:
            store.check_list()
            self._tracker.restore(store.lives("live"), recall=lambda: store.lives("missing"))
            self._known_version = version
        self._told.begin(store.connection)
        return store

    def _open(self, path: Path | None = None) -> Store:
        connection = database.open_for_writing(path or self.store_path)
        try:
            return Store(connection, path or self.store_path, thresholds=self._prices.thresholds, clock=self._clock)
        except BaseException:
            connection.close()
            raise

    def _replace_damaged(self, error: sqlite3.DatabaseError, degraded: list[str]) -> Store:
        """Start a new store with what can still be read of a damaged one; the pass that follows re-derives the rest."""
        from tokentail import renewal  # hardly ever needed, as below

        if database.is_damaged(error):
            self.close()
            self._told.begin_anew()
        degraded.append(renewal.replace_damaged(self.store_path, self._open, error, self._clock))
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
            self._read_into(new, None, None, counted)

        origin = database.name_aside(self.store_path, why, self._clock)
        try:
            return renewal.renew(store, self._open, read_logs, origin=origin, keeps_old=keeps_old, by_other_rules=by_other_rules, tell=tell)
        finally:
            self.close()


def _nobody_waits() -> None:
    """There is nobody to be woken."""


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
