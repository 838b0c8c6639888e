"""The only place that runs the old way beside the live one: full re-reads at an interval while a store follows its logs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import NamedTuple

from tokentail import database
from tokentail.coordinator import UpdateCoordinator
from tokentail.errors import TokentailError
from tokentail.model import Listing, LogFile, Problem, Source
from tokentail.recount import Recount, recount
from tokentail.verify import Verdict, verify

ASK_EVERY_S = 10.0  # a look fails where another process keeps the store for long


class Round(NamedTuple):
    """One comparison: what stands in both ways, and where they differ in a way that was not told before."""

    verdict: Verdict  # its differences are confirmed, and new
    counted: Recount
    problems: list[Problem]  # what the live way could not read
    degraded: list[str]


def rounds(coordinator: UpdateCoordinator, logs: Source, stop: threading.Event, *, every_s: float) -> Iterator[Round]:
    """
    A comparison every so many seconds, the first one at once, until `stop` is set.

    Of each the re-read comes first, then the live way looks at all places, then they are compared. So what is written meanwhile
    may stand in the store and not in the re-read: a difference counts when a second comparison finds the very same.

    Args:
        logs: the same logs as the coordinator's, for us alone: it reads them in a thread of its own.

    Raises:
        TokentailError: the store cannot be followed or read.
    """
    told: set[tuple[str, str]] = set()
    with _following(coordinator, stop) as live:
        while not stop.is_set():
            due = time.monotonic() + every_s
            try:
                found = _confirmed(coordinator, _UntilStopped(logs, stop), live)
            except _StoppedError:
                break
            new = [one for one in found.verdict.differences if (one.key, one.why) not in told]
            told.update((one.key, one.why) for one in new)
            yield found._replace(verdict=found.verdict._replace(differences=new))
            stop.wait(max(due - time.monotonic(), 0.0))
    live.check()


def _confirmed(coordinator: UpdateCoordinator, logs: Source, live: _Live) -> Round:
    first = _compared(coordinator, logs, live)
    if first.verdict.agrees:
        return first
    again = _compared(coordinator, logs, live)
    before = {(one.key, one.why) for one in first.verdict.differences}
    same = [one for one in again.verdict.differences if (one.key, one.why) in before]
    return again._replace(verdict=again.verdict._replace(differences=same))


def _compared(coordinator: UpdateCoordinator, logs: Source, live: _Live) -> Round:
    counted = recount(logs)
    live.look(coordinator)
    with closing(database.open_for_reading(coordinator.store_path)) as db:
        return Round(verify(db, counted), counted, *live.problems())


class _StoppedError(Exception):
    """We were told to stop in the middle of a re-read."""


class _UntilStopped:
    """A source that ends a long re-read as soon as that is over."""

    def __init__(self, source: Source, stop: threading.Event) -> None:
        self._source = source
        self._stop = stop

    @property
    def names(self) -> list[str]:
        return list(self._source.names)

    def list_files(self) -> Listing:
        return self._source.list_files()

    def read(self, file: LogFile, start_bytes: int, length_bytes: int) -> bytes:
        if self._stop.is_set():
            raise _StoppedError
        return self._source.read(file, start_bytes, length_bytes)


class _Live:
    """What the thread that follows has to say."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._heard = threading.Condition()
        self._looked_at_all_s = 0.0
        self._problems: list[Problem] = []
        self._degraded: list[str] = []
        self._error: TokentailError | None = None

    def run(self, coordinator: UpdateCoordinator) -> None:
        """Follow until we are stopped."""
        try:
            for update in coordinator.follow(self._stop):
                with self._heard:
                    if not update.catching_up:
                        self._looked_at_all_s = coordinator.looked_at_all_s
                    self._problems, self._degraded = update.problems, update.degraded
                    self._heard.notify_all()
        except TokentailError as error:
            self._error = error
        finally:
            self._stop.set()
            with self._heard:
                self._heard.notify_all()

    def look(self, coordinator: UpdateCoordinator) -> None:
        """Let it look at all places now; a look at some of them will not do, since it does not see what was deleted."""
        wanted_s = time.time()
        with self._heard:
            coordinator.look_now()
            while not self._heard.wait_for(lambda: self._looked_at_all_s >= wanted_s or self._stop.is_set(), ASK_EVERY_S):
                coordinator.look_now()
        if self._stop.is_set():
            raise _StoppedError

    def problems(self) -> tuple[list[Problem], list[str]]:
        """What its last look could not read, and how it is degraded."""
        with self._heard:
            return self._problems, self._degraded

    def check(self) -> None:
        if self._error is not None:
            raise self._error


@contextmanager
def _following(coordinator: UpdateCoordinator, stop: threading.Event) -> Iterator[_Live]:
    live = _Live(stop)
    thread = threading.Thread(target=live.run, args=(coordinator,), name="live", daemon=True)
    thread.start()
    try:
        yield live
    finally:
        stop.set()
        coordinator.wake()
        thread.join()
