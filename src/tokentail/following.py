"""The only place that knows when to look while somebody watches: at each hint, now and then in doubt, and when others commit."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from tokentail.checkpoints import Checkpoints
from tokentail.commits import Commits
from tokentail.errors import StoreBlockedError
from tokentail.leader import Leadership, Seen
from tokentail.model import Listing, Live, Recent, Update
from tokentail.patience import LONGEST_PAUSE_S, Patience
from tokentail.sources import LiveSource
from tokentail.sources.local import is_log_name
from tokentail.sweep import Sweep
from tokentail.watcher import FileWatcher, Hints
from tokentail.watcher import Pace as WatchPace

FIRST_BYTES = 700_000_000  # of what was there are read at once, by two processes: nobody has been promised anything yet
SLICE_BYTES = 1 << 20  # of the rest, and of a backlog that comes later; between two slices whatever is live is read

MOST_SPARED = 4  # safety looks in a row; the next one we do ourselves, whatever the watcher does
LOOKS_IN_IDLING = 5  # every so many idle updates one looks: at what left, at what others changed


class Pace(NamedTuple):
    """
    How often what is done.

    Attributes:
        idle_every_s: an update that found nothing says that we are still there.
        in_doubt_every_s: all places are listed, while it is not proven that events arrive.
        in_calm_every_s: and when it is.
        stop_within_s: how long a stop may go unnoticed where nobody calls `wake`.
        succeed_every_s: how often those who read try to take the lead.
        silent_after_s: how long who leads may say nothing before the others name it and look at the logs themselves.
        retry_at_most_s: between two attempts to write a store that cannot be written.
        watch: the watcher's own.
    """

    idle_every_s: float = 1.0
    in_doubt_every_s: float = 10.0
    in_calm_every_s: float = 60.0
    stop_within_s: float = 0.9
    succeed_every_s: float = 0.25
    silent_after_s: float = 3.0
    retry_at_most_s: float = LONGEST_PAUSE_S
    watch: WatchPace = WatchPace()


OpenWatcher = Callable[[Sequence[str], Path, WatchPace], FileWatcher]  # of some roots, with a canary there


def open_watcher(roots: Sequence[str], canary: Path, pace: WatchPace) -> FileWatcher:
    """A watcher by this operating system's file events."""
    return FileWatcher(roots, is_log_name, canary=canary, pace=pace)


class Looking(Protocol):
    """What following needs of whoever keeps the store up to date."""

    wake: Callable[[], None]  # called by any thread that wants us to look, or to see that it is over
    mode: str  # set before a look: how we hear of what is written

    @property
    def source(self) -> LiveSource: ...

    @property
    def store_path(self) -> Path: ...

    def look(self, only: Listing | None, *, most_bytes: int | None) -> Update:
        """A pass over all places or some files, which ends after about so many bytes."""

    @property
    def pending(self) -> int:
        """How many files it left for later passes."""

    @property
    def recent(self) -> Recent | None:
        """What the latest looks were like."""

    def is_wanted(self) -> bool:
        """Did somebody ask for a look at all places?"""

    @property
    def has_news(self) -> bool:
        """Did this process commit something beside us that is still to be told?"""

    def next_pending(self, most_bytes: int) -> Listing:
        """Those of them which were written last, as they are now, about so many bytes."""

    def sweep(self) -> Sweep:
        """A look at all places that lets others have their turn."""

    def heard(self) -> Update:
        """What others have committed."""

    def commits(self) -> Commits:
        """A way to wait for that."""

    def lead(self, leads: bool) -> None:
        """From now on we commit often, or no longer."""


def follow(looking: Looking, stop: threading.Event, pace: Pace, open_watcher: OpenWatcher) -> Iterator[Update]:
    """
    Updates until `stop` is set, whether we lead or another process does.

    The first one comes when the watches stand and what was there is committed or on its way (see `Update.catching_up`); then one
    whenever something was found or heard, and one a second all the same. From then on a store that cannot be written is waited for.

    Raises:
        StoreError: there is nothing to show: the store cannot be opened or written; or it is of no use to us any longer.
    """
    leadership = Leadership(looking.store_path)
    is_first = True
    try:
        while not stop.is_set():
            role = (
                _Leader(looking, leadership, stop, pace, open_watcher)
                if leadership.try_take()
                else _Reader(looking, leadership, stop, pace)
            )
            yield from role.updates(is_first=is_first)
            is_first = False
    finally:
        leadership.release()


class _Leader:
    """Ingests."""

    def __init__(self, looking: Looking, leadership: Leadership, stop: threading.Event, pace: Pace, open_watcher: OpenWatcher) -> None:
        self._open_watcher = open_watcher
        self._looking = looking
        self._leadership = leadership
        self._stop = stop
        self._pace = pace
        self._patience = Patience(stop, idle_every_s=pace.idle_every_s, longest_pause_s=pace.retry_at_most_s)
        self._hints: Hints  # the latest
        self._rescan_due = self._idle_due = self._look_due = 0.0
        self._watcher: FileWatcher
        self._sweep: Sweep | None = None
        self._is_taking = False  # what arrived was looked at, and there may be more
        self._spared = self._sweeps_known = 0
        self._has_problems = False  # there were some since the last look at all places

    def updates(self, *, is_first: bool) -> Iterator[Update]:
        source, path = self._looking.source, self._looking.store_path
        canary = path.with_name(f"{path.name}.watch") / "canary"
        try:
            with self._open_watcher(source.roots, canary, self._pace.watch) as watcher, Checkpoints(path):
                # Watched first and listed then: what one of the two misses the other one sees.
                self._watcher = watcher
                self._looking.wake = watcher.wake
                self._wait(self._pace.idle_every_s)
                try:
                    update = self._look(None, most_bytes=FIRST_BYTES)
                except StoreBlockedError as error:
                    if is_first:
                        raise
                    yield from self._outlast(error)
                    self._looking.lead(True)
                else:
                    self._looking.lead(True)  # before we say that we are there: the first line would wait for what it imports
                    yield update
                while not self._stop.is_set():
                    try:
                        yield from self._turn()
                    except StoreBlockedError as error:
                        yield from self._outlast(error)
        finally:
            self._looking.lead(False)

    def _wait(self, timeout_s: float) -> Hints:
        self._hints = self._watcher.wait(timeout_s)
        return self._hints

    def _outlast(self, error: StoreBlockedError) -> Iterator[Update]:
        """Until the store can be written; hints that come meanwhile are dropped, since all places are looked at then."""
        return self._patience.outlast(
            error,
            look=lambda: self._look(None),
            hear=lambda: self._told(self._looking.heard()),
            wait=lambda timeout_s: self._wait(min(timeout_s, self._pace.stop_within_s)),
        )

    def _turn(self) -> Iterator[Update]:
        """Wait for hints and look; of a backlog a slice."""
        looking = self._looking
        hints = self._wait(0.0 if looking.pending or self._sweep or self._is_taking or looking.has_news else self._wait_s())
        now = time.monotonic()
        if hints.lost or self._looking.is_wanted():
            yield self._look(None)
        elif hints.files or hints.trees:
            yield self._look(self._looking.source.list_below(hints.files, hints.trees))
        elif self._looking.pending:
            yield self._look(self._looking.next_pending(SLICE_BYTES))
        elif (arrived := self._arrived()) is not None:
            yield self._look(arrived)
        elif self._looking.has_news:
            yield self._told(self._looking.heard())
        elif now >= self._idle_due:
            # To hear whether others have committed costs a fifth of a look at nothing, which is most of what idling costs.
            yield self._look(Listing([], [])) if now >= self._look_due else self._told(self._looking.heard())
        if now >= self._rescan_due and not self._is_spared():
            yield from self._swept()

    def _arrived(self) -> Listing | None:
        """What has come from far away."""
        arrived = self._looking.source.arrived()
        self._is_taking = arrived is not None
        return arrived

    def _is_spared(self) -> bool:
        """The watcher has looked at all places itself since the safety look before, so another one would be for nothing."""
        if self._sweep is not None or self._has_problems or self._spared >= MOST_SPARED or self._watcher.sweeps == self._sweeps_known:
            return False
        self._spared, self._sweeps_known = self._spared + 1, self._watcher.sweeps
        self._rescan_due = time.monotonic() + self._rescan_every_s()
        return True

    def _rescan_every_s(self) -> float:
        return self._pace.in_calm_every_s if self._hints.proven else self._pace.in_doubt_every_s

    def _swept(self) -> Iterator[Update]:
        """Look at all places, a slice a turn: whoever writes a line meanwhile does not wait for ten thousand files."""
        self._sweep = self._sweep or self._looking.sweep()
        if self._sweep.go_on():
            yield self._look(self._sweep.outcome(), ends_sweep=True)

    def _wait_s(self) -> float:
        due = min(self._rescan_due, self._idle_due) - time.monotonic()
        return max(min(due, self._pace.stop_within_s), 0.0)

    def _look(self, only: Listing | None, *, most_bytes: int = SLICE_BYTES, ends_sweep: bool = False) -> Update:
        hints = self._hints
        self._looking.mode = hints.live
        update = self._looking.look(only, most_bytes=most_bytes)
        now = time.monotonic()
        self._look_due = now + LOOKS_IN_IDLING * self._pace.idle_every_s
        if only is None or ends_sweep:
            self._sweep = None
            self._spared, self._sweeps_known = 0, self._watcher.sweeps
            self._has_problems = False
            self._rescan_due = now + self._rescan_every_s()
        self._has_problems |= bool(update.problems)
        if not hints.proven or update.problems:  # what cannot be read now may be soon, and nothing need tell of it
            self._rescan_due = min(self._rescan_due, now + self._pace.in_doubt_every_s)
        return self._told(update)

    def _told(self, update: Update) -> Update:
        hints = self._hints
        self._leadership.beat()
        self._idle_due = time.monotonic() + self._pace.idle_every_s
        update.degraded += hints.degraded
        update.catching_up = self._looking.pending > 0
        update.live = Live(True, 0, hints.live, self._looking.pending, self._looking.recent)
        return update


class _Reader:
    """Hears what the process that leads commits, and takes the lead when that ends."""

    def __init__(self, looking: Looking, leadership: Leadership, stop: threading.Event, pace: Pace) -> None:
        self._looking = looking
        self._leadership = leadership
        self._stop = stop
        self._pace = pace
        self._patience = Patience(stop, idle_every_s=pace.idle_every_s, longest_pause_s=pace.retry_at_most_s)
        self._seen: Seen | None = None  # who leads, as of the last time that we tried to
        self._succeed_due = self._idle_due = 0.0

    def updates(self, *, is_first: bool) -> Iterator[Update]:
        # Once like a report: whoever leads may have stopped.
        self._seen = self._leadership.seen()
        try:
            update = self._look()
        except StoreBlockedError as error:
            if is_first:
                raise
            yield from self._outlast(error)
        else:
            yield update
        with contextlib.closing(self._looking.commits()) as commits:
            while not self._stop.is_set():
                has_changed = commits.wait(self._pace.succeed_every_s)
                # Not for each commit: it would be told later by as long as that takes.
                if time.monotonic() >= self._succeed_due:
                    self._succeed_due = time.monotonic() + self._pace.succeed_every_s
                    if self._leadership.try_take():
                        return
                    self._seen = self._leadership.seen()
                try:
                    yield from self._turn(has_changed)
                except StoreBlockedError as error:
                    yield from self._outlast(error)

    def _turn(self, has_changed: bool) -> Iterator[Update]:
        if self._looking.is_wanted():
            yield self._look()
        elif has_changed:
            yield self._hear()
        elif time.monotonic() >= self._idle_due:
            seen = self._seen
            yield self._hear() if seen is None or seen.silent_s < self._pace.silent_after_s else self._look()

    def _outlast(self, error: StoreBlockedError) -> Iterator[Update]:
        return self._patience.outlast(
            error, look=self._look, hear=self._hear, wait=lambda timeout_s: self._stop.wait(min(timeout_s, self._pace.stop_within_s))
        )

    def _look(self) -> Update:
        return self._told(self._looking.look(None, most_bytes=None))

    def _hear(self) -> Update:
        return self._told(self._looking.heard())

    def _told(self, update: Update) -> Update:
        self._idle_due = time.monotonic() + self._pace.idle_every_s
        seen = self._seen
        if seen is not None and seen.silent_s >= self._pace.silent_after_s:
            update.degraded.append(
                f"process {seen.process}, which keeps the store up to date, has not been heard of since {_utc(seen.beat_s)} "
                "(is it stopped, or at a long piece of work?); the logs are looked at from here once a second"
            )
        update.live = Live(False, seen.process if seen else 0, "events", 0)
        return update


def _utc(moment_s: float) -> str:
    """Told so, a silence is one reason for as long as it lasts."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(moment_s))
