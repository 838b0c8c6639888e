"""The only place that puts events and polling together: what is watched, what is polled instead, and why."""

from __future__ import annotations

import selectors
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from tokentail.watcher.box import Box, Signal
from tokentail.watcher.health import Canary, CrossCheck
from tokentail.watcher.hints import Events, IsLog, OpenEvents
from tokentail.watcher.mounts import MOUNTINFO, silent_areas
from tokentail.watcher.pace import Pace
from tokentail.watcher.paths import outermost, parent
from tokentail.watcher.poller import Finding, Poller

MOST_AREAS = 200  # that are polled each by itself; more of them are all roots


class Place(NamedTuple):
    """What to watch, and with what."""

    roots: Sequence[str]
    is_log: IsLog
    pace: Pace
    canary: Path | None
    mountinfo: str = MOUNTINFO
    clock: Callable[[], float] = time.monotonic


class Status(NamedTuple):
    """How well it goes; the words are those of `Hints`."""

    degraded: tuple[str, ...]
    live: Literal["events", "polling"]
    proven: bool


class Watch:
    """
    One attempt at watching, from its start to its end. It belongs to one thread, which calls `run`, or `step` again and again.

    Attributes:
        status: replaced, never changed, so that other threads may read it.
        is_ready: what changes from now on is told; `lost` was told for what was before.
        beats: grows as long as the thread lives.
    """

    def __init__(self, place: Place, box: Box, open_events: OpenEvents | None) -> None:
        """Without `open_events` everything is polled."""
        self._place = place
        self._pace = place.pace
        self._box = box
        self._open_events = open_events
        self._events: Events | None = None
        self._is_covered = False
        self._why_no_events = ""
        self._has_asked = False  # events for something that they have not done yet
        self._due = self._open_due = float("-inf")
        self._retry_due = place.clock() + place.pace.retry_every_s
        self._canary = Canary(place.canary, place.pace)
        self._check = CrossCheck(place.roots, place.pace.grace_s)
        self._poller = Poller(place.roots, place.is_log, self._found, place.pace, clock=place.clock)
        self._sweeps_begun = 0
        self._networks = silent_areas(place.roots, place.mountinfo)
        self._was_silent = False
        self._settled: object = None
        self._areas: frozenset[str] = frozenset()
        self._stop: Signal | None = None
        self._is_stopped = False
        self.status = Status((), "polling", False)
        self.is_ready = False
        self.beats = 0

    def run(self) -> None:
        """Watch until `stop`."""
        # Made here, so that whatever fails ends the thread and not whoever starts it.
        self._stop = Signal()
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self._stop, selectors.EVENT_READ)
                is_listening = False
                while not self._is_stopped:
                    pause = self.step()
                    if self._events is not None and not is_listening:
                        selector.register(self._events, selectors.EVENT_READ)
                        is_listening = True
                    selector.select(pause)
        finally:
            self.close()

    def stop(self) -> None:
        """Let `run` end. May be called by any thread."""
        self._is_stopped = True
        if self._stop is not None:
            self._stop.set()

    def close(self) -> None:
        if self._stop is not None:
            self._stop.close()
        if self._events is not None:
            self._events.close()

    def step(self) -> float:
        """Do what is due; for how many seconds there is nothing more to do, unless an event comes."""
        clock = self._place.clock
        self.beats += 1
        slice_ends = clock() + self._pace.slice_s

        def is_over() -> bool:
            return clock() >= slice_ends

        is_busy = self._work_on_events(is_over)
        if not is_busy and clock() < self._due:  # as for most events
            return max(0.0, self._due - clock())
        self._has_asked = False
        self._doubt_events(clock())
        self._retry(clock())
        self._settle(clock())
        if not is_busy:  # what is new is watched before anything else is done
            is_busy = self._poll(is_over)
        is_busy = is_busy or self._has_asked
        self._due = float("-inf") if is_busy else min(self._next_due(), clock() + self._pace.beat_every_s)
        return max(0.0, self._due - clock())

    # What events tell

    def dirty(self, path: str) -> None:
        if self._canary.is_it(path):
            self._prove()
        else:
            self._box.dirty(path)
            self._hear(path)

    def dirty_tree(self, folder: str) -> None:
        self._box.dirty_tree(folder)
        self._hear(folder)
        self._due = float("-inf")

    @property
    def sweeps(self) -> int:
        """How often it has looked at everything."""
        return self._poller.sweeps_done

    def covered(self, folder: str) -> None:
        self._box.dirty_tree(folder)
        self._due = float("-inf")

    def lost(self) -> None:
        self._check.excuse()
        self._is_covered = True
        self._due = float("-inf")
        if self._poller.sweeps_done:
            self._begin_to_tell()

    def _hear(self, path: str) -> None:
        self._prove()
        if (folder := self._check.heard(path)) is not None:
            self._cover(folder)  # what was made there while it was mute may not be watched

    def _prove(self) -> None:
        if self._canary.heard():
            self._due = float("-inf")

    def _cover(self, folder: str) -> None:
        if self._events is not None:
            self._has_asked = True
            self._events.cover(folder)

    def _work_on_events(self, is_over: Callable[[], bool]) -> bool:
        events = self._events = self._events or self._opened()
        if events is None:
            return False
        events.take()
        return events.work(is_over)

    def _doubt_events(self, now: float) -> None:
        if self._events is not None and self.is_ready:
            self._canary.fly(self._events, now)
            if self._was_silent and not self._canary.is_silent:
                self._has_asked = True
                self._events.begin_anew()  # what was made meanwhile is not watched
            self._was_silent = self._canary.is_silent

    def _opened(self) -> Events | None:
        now = self._place.clock()
        if self._open_events is None or now < self._open_due:
            return None
        self._open_due = now + self._pace.retry_every_s
        self._is_covered = False
        try:
            events = self._open_events(self._place.roots, self._place.is_log, self)
        except (OSError, ImportError) as error:
            self._why_no_events = (error.strerror if isinstance(error, OSError) else None) or str(error)
            return None
        self._why_no_events = ""
        self.is_ready = False
        return events

    # What polling finds

    def _poll(self, is_over: Callable[[], bool]) -> bool:
        is_busy = self._poller.work(is_over)
        if self._poller.sweeps_begun != self._sweeps_begun:
            self._sweeps_begun = self._poller.sweeps_begun
            self._check.begin_sweep()
        # Not before the first sweep: what it does not know is not found by the next one.
        if not self.is_ready and self._poller.sweeps_done and (self._is_covered or self._events is None):
            self._begin_to_tell()
        return is_busy

    def _begin_to_tell(self) -> None:
        self.is_ready = True
        self._settle(self._place.clock())
        self._box.lost()

    def _found(self, finding: Finding) -> None:
        # Told even if an event told of it: something else may have been written after that without one.
        (self._box.dirty_tree if finding.is_tree else self._box.dirty)(finding.path)
        if self._should_make_event(finding) and not self._check.knows(finding):
            self._check.suspect(finding, self._place.clock())
        if finding.is_tree:
            self._cover(finding.path)

    def _should_make_event(self, finding: Finding) -> bool:
        is_watched = self._events is not None and self._events.is_watched(parent(finding.path))
        return is_watched and not self._poller.is_often(finding.path)

    # What is watched, what is polled instead, and why

    def _retry(self, now: float) -> None:
        if now < self._retry_due:
            return
        self._retry_due = now + self._pace.retry_every_s
        self._networks = silent_areas(self._place.roots, self._place.mountinfo)
        if self._events is not None and self._events.refused:
            self._has_asked = True
            self._events.retry()

    def _settle(self, now: float) -> None:
        """Draw the conclusions from what is known about events."""
        self._check.judge(now)
        refused = frozenset(self._events.refused) if self._events is not None else frozenset()
        wanted = refused.union(self._check.mute, self._networks)
        known = (wanted, self._canary.is_silent, self._canary.has_answered, self._why_no_events, self.is_ready, self._events is None)
        if known != self._settled:
            self._settled = known
            self._poll_often(wanted)
            self._say()

    def _poll_often(self, wanted: frozenset[str]) -> None:
        is_all = self._events is None or self._canary.is_silent or len(wanted) > MOST_AREAS
        areas = outermost(self._place.roots if is_all else wanted)
        if areas != self._areas:
            for area in self._areas - areas:
                self._box.dirty_tree(area)
            self._areas = areas
            self._poller.poll_often(areas)

    def _say(self) -> None:
        reasons = tuple(self._reasons())
        has_events = self._events is not None and self.is_ready and not self._canary.is_silent
        is_live = has_events and not self._areas.issuperset(self._place.roots)
        proven = is_live and not reasons and self._canary.has_answered and self._events is not None and self._events.tells_loss
        self._poller.sweep_every(self._pace.sweep_in_calm_s if proven else self._pace.sweep_in_doubt_s)
        if (status := Status(reasons, "events" if is_live else "polling", proven)) != self.status:
            self.status = status
            self._box.wake()

    def _reasons(self) -> Iterator[str]:
        if self._why_no_events:
            yield f"there are no file events: {self._why_no_events}; files are polled"
        elif self._canary.is_silent:
            yield "file events do not arrive; files are polled"
        elif self._events is not None:
            if refused := self._events.refused:
                yield f"{_some(refused)} cannot be watched: {next(iter(refused.values()))}; polled instead"
            if mute := self._check.mute:
                yield f"file events do not arrive from {_some(mute)}; polled instead"
        for area, kind in self._networks.items():
            yield f"{area} is on {kind}, where what others write makes no events; polled instead"

    def _next_due(self) -> float:
        due = [self._poller.next_due(), self._retry_due, self._check.next_due()]
        if self._events is not None and self.is_ready:
            due.append(self._canary.next_due())
        elif self._events is None and self._open_events is not None:
            due.append(self._open_due)
        return min(due)


def _some(folders: Iterable[str]) -> str:
    """One folder by name, and how many more."""
    first, *others = sorted(folders)
    return f"{first} and {len(others)} more" if others else first
