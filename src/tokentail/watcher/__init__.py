"""
When to look: a watcher tells which logs may have changed, as soon as they may have.

    with FileWatcher(roots, is_log, canary=home / "watcher" / "canary") as watcher:
        while not is_over:
            hints = watcher.wait(1.0)
            ...  # look at hints.files, list hints.trees, list everything if hints.lost

Nothing that is counted depends on it. Hints may be told twice, for nothing, or of files that have gone; when one is missing, it
is late by a sweep and not forever. See "Events are hints" in ARCHITECTURE.md.
"""

from __future__ import annotations

import selectors
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from tokentail.watcher.box import Box
from tokentail.watcher.hints import MOST_PATHS, Events, Hints, IsLog, OpenEvents, Sink
from tokentail.watcher.mounts import MOUNTINFO
from tokentail.watcher.pace import Pace
from tokentail.watcher.watch import Place, Status, Watch

__all__ = ["Events", "FileWatcher", "Hints", "Pace", "Sink", "open_events"]

_LEAVE_WITHIN_S = 2.0


def open_events(roots: Sequence[str], is_log: IsLog, sink: Sink) -> Events:
    """
    The file events of this operating system.

    Raises:
        OSError: there are none to be had now.
        ImportError: the package that reads them is not installed.
    """
    if sys.platform == "linux":
        from tokentail.watcher.inotify import InotifyEvents

        return InotifyEvents(roots, is_log, sink)
    from tokentail.watcher.native import NativeEvents

    return NativeEvents(roots, is_log, sink)


class FileWatcher:
    """
    Watches the logs below some folders, in a thread of its own, for one thread that waits.

    The first hints say `lost`, when everything is watched or its state is known. If the watching thread ends or hangs, whoever
    waits polls in its stead until there is a new one.
    """

    def __init__(
        self,
        roots: Sequence[str],
        is_log: IsLog,
        *,
        canary: Path | None,
        pace: Pace | None = None,
        most_paths: int = MOST_PATHS,
        open_events: OpenEvents = open_events,
        mountinfo: str = MOUNTINFO,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            roots: real paths, none within another, as `LocalFolders.roots` gives them; they need not exist.
            is_log: says by its name whether a file is one, as `sources.local.is_log_name`.
            canary: a file that we may make and write to, alone in a folder of its own, none of the logs'; None does without.
            most_paths: more of them at a time are told as `lost`.
            open_events: given by tests; as `mountinfo` and `clock`.
        """
        self._place = Place(roots, is_log, pace or Pace(), canary, mountinfo, clock)
        self._open_events = open_events
        self._box = Box(most_paths)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._box, selectors.EVENT_READ)
        self._attempt: _Attempt | None = None
        self._stand_in: Watch | None = None
        self._why = ""  # there is a stand-in
        self._next_look = float("-inf")
        self._restart_due = float("-inf")
        self._backoff_s = self._place.pace.restart_after_s

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close()

    def start(self) -> None:
        """Begin to watch; what happens from then on is told once `lost` was."""
        self._attempt = _Attempt(self._place, self._box, self._open_events)

    def wait(self, timeout_s: float) -> Hints:
        """
        What may have changed since the call before; comes back at once when something may have, or when `wake` is called.

        Quiet hints mean that the time is over, that `wake` was called, or that `degraded`, `live` or `proven` changed.
        """
        clock = self._place.clock
        until = clock() + timeout_s
        while True:
            pause = self._look_after(clock())
            files, trees, lost, was_woken = self._box.take()
            if files or trees or lost or was_woken or clock() >= until:
                return Hints(files, trees, lost, *self._status())
            self._selector.select(max(0.0, min(until - clock(), pause)))

    @property
    def sweeps(self) -> int:
        """Changes whenever it has looked at everything itself, and told what it found."""
        watch = self._stand_in or (self._attempt.watch if self._attempt is not None else None)
        return watch.sweeps if watch is not None else 0

    def wake(self) -> None:
        """Let `wait` come back. May be called by any thread and by a signal handler."""
        self._box.wake()

    def fileno(self) -> int:
        """Readable when `wait` would come back at once; who waits for that instead calls `wait(0)` every few seconds all the same."""
        return self._box.fileno()

    def close(self) -> None:
        """Watch no longer; a thread that hangs is left behind."""
        if self._attempt is not None:
            self._attempt.end(_LEAVE_WITHIN_S)
            self._attempt = None
        self._dismiss_stand_in()
        self._selector.close()
        self._box.close()

    def _status(self) -> Status:
        if self._stand_in is not None:
            status = self._stand_in.status
            return status._replace(degraded=(self._why, *status.degraded))
        return self._attempt.watch.status if self._attempt is not None else Status((), "polling", False)

    # Whether the thread lives, and what is done if not

    def _look_after(self, now: float) -> float:
        """See to it that files are watched; how long that need not be done again unless there are hints."""
        if now >= self._next_look or (self._attempt is not None and self._attempt.has_ended):
            self._next_look = now + self._place.pace.beat_every_s
            if self._attempt is not None and (trouble := self._attempt.trouble()):
                self._stand_in_for(self._attempt, trouble, now)
        if self._stand_in is not None:
            self._try_to_hand_back(now)
        pause = self._next_look - now
        return pause if self._stand_in is None else min(pause, self._stand_in.step())

    def _try_to_hand_back(self, now: float) -> None:
        if self._attempt is None:
            if now >= self._restart_due:
                self._attempt = _Attempt(self._place, self._box, self._open_events)
        elif self._attempt.watch.is_ready:
            self._dismiss_stand_in()

    def _stand_in_for(self, attempt: _Attempt, trouble: str, now: float) -> None:
        pace = self._place.pace
        if now - attempt.started_at > pace.restart_at_most_s:
            self._backoff_s = pace.restart_after_s  # it was well for a long time
        self._restart_due = now + self._backoff_s
        self._backoff_s = min(2 * self._backoff_s, pace.restart_at_most_s)
        self._why = f"the thread that watches files {trouble}; files are polled until it runs again"
        attempt.watch.stop()
        self._attempt = None
        self._stand_in = self._stand_in or Watch(self._place, self._box, None)

    def _dismiss_stand_in(self) -> None:
        if self._stand_in is not None:
            self._stand_in.close()
            self._stand_in = None


class _Attempt:
    """
    A watch in a thread of its own.

    Attributes:
        has_ended: the thread has, or could not be started.
    """

    def __init__(self, place: Place, box: Box, open_events: OpenEvents) -> None:
        self.watch = Watch(place, box, open_events)
        self.started_at = place.clock()
        self.has_ended = False
        self._place = place
        self._box = box
        self._error: Exception | None = None
        self._beats = -1
        self._missed = 0
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # too many of them
            self._error, self.has_ended = error, True

    def trouble(self) -> str:
        """What is wrong with the thread; asked once a beat."""
        if self.has_ended:
            return f"has ended: {type(self._error).__name__}: {self._error}"
        self._missed = self._missed + 1 if self.watch.beats == self._beats else 0
        self._beats = self.watch.beats
        # Beats are counted by looks that lie apart, not by a clock: that goes on when the whole process is stopped.
        return "hangs" if self._missed >= self._place.pace.hung_after_beats else ""

    def end(self, within_s: float) -> None:
        self.watch.stop()
        if self._thread.ident is not None:
            self._thread.join(within_s)

    def _run(self) -> None:
        try:
            self.watch.run()
        except Exception as error:  # noqa: BLE001  # a thread's last frame: the hints of who polls in its stead name it
            self._error = error
        finally:
            self.has_ended = True
            self._box.wake()
