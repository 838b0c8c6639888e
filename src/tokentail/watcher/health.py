"""The only place that doubts file events: whether any arrive at all, and whether they do from every folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tokentail.watcher.hints import MOST_PATHS, Events
from tokentail.watcher.pace import Pace
from tokentail.watcher.paths import parent, within
from tokentail.watcher.poller import Finding

_CLOEXEC = getattr(os, "O_CLOEXEC", 0)


class Canary:
    """
    A file of our own that is touched every now and then; if no event says so, none can be expected of any file.

    It proves the way from the kernel to us, not that another file system makes events: for that see `CrossCheck`.

    Attributes:
        is_silent: the last event did not come in time.
        has_answered: it came, or another one did since.
    """

    def __init__(self, path: Path | None, pace: Pace) -> None:
        """Without a path nothing can be proved, nor is anything found to be amiss."""
        self._path = path
        self._pace = pace
        self._due = float("-inf")
        self._sent_at: float | None = None
        self.is_silent = self.has_answered = False

    def fly(self, events: Events, now: float) -> None:
        """Touch the file if it is time, or give up the event that is waited for. Call it after events were taken."""
        if self._sent_at is not None and now - self._sent_at > self._pace.answer_within_s:
            self.is_silent, self.has_answered, self._sent_at = True, False, None
        if self._path is not None and self._sent_at is None and now >= self._due:
            self._due = now + self._pace.canary_every_s
            try:
                self._touch(self._path, events)
                self._sent_at = now
            except OSError:
                self.has_answered = False  # our folder cannot be written or watched: that says nothing about events

    def is_it(self, path: str) -> bool:
        return self._path is not None and path == str(self._path)

    def heard(self) -> bool:
        """An event came, of this or any other file; True when that is news."""
        before = self.is_silent, self.has_answered
        self.is_silent, self.has_answered, self._sent_at = False, self._path is not None, None
        return before != (self.is_silent, self.has_answered)

    def next_due(self) -> float:
        if self._path is None:
            return float("inf")
        return self._due if self._sent_at is None else self._sent_at + self._pace.answer_within_s

    @staticmethod
    def _touch(path: Path, events: Events) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        events.watch_beside(str(path.parent))
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | _CLOEXEC, 0o600)
        try:
            os.write(handle, b"\n")  # always the same byte at the same place: it needs no room on a full disk
        finally:
            os.close(handle)


class CrossCheck:
    """
    Holds what a sweep finds against the events there were: a file that was written without one lies where events do not arrive.

    Attributes:
        mute: such folders, or a whole root if nothing arrives from anywhere in it.
    """

    def __init__(self, roots: Sequence[str], grace_s: float) -> None:
        self._roots = tuple(roots)
        self._grace_s = grace_s
        self._heard: set[str] = set()  # files and trees, since the sweep before began
        self._heard_before: set[str] = set()
        self._excused = 2
        self._suspects: dict[str, float] = {}
        self.mute: set[str] = set()

    def heard(self, path: str) -> str | None:
        """An event came for this file or tree; the mute folder that it disproves, which is none any longer."""
        if len(self._heard) >= MOST_PATHS:
            self.excuse()
        self._heard.add(path)
        if self.mute and (disproved := within(path, self.mute)) is not None:
            self.mute.discard(disproved)
            return disproved
        return None

    def excuse(self) -> None:
        """Events are known to be missing: judge nothing by what this sweep and the next one find."""
        self._heard.clear()
        self._suspects.clear()
        self._excused = 2

    def begin_sweep(self) -> None:
        self._heard_before, self._heard = self._heard, set()
        self._excused = max(0, self._excused - 1)

    def knows(self, finding: Finding) -> bool:
        """Did an event tell of this, too?"""
        return self._is_heard(finding.path)

    def suspect(self, finding: Finding, now: float) -> None:
        """Events should have told of this, and have not yet."""
        if not self._excused and finding.is_written and not finding.is_alias:
            self._suspects.setdefault(finding.path, now + self._grace_s)

    def judge(self, now: float) -> None:
        """Take for mute where the time of grace is over. Call it after events were taken."""
        for path in [path for path, until in self._suspects.items() if until <= now]:
            del self._suspects[path]
            if not self._is_heard(path):
                self.mute.add(self._silent_around(parent(path)))

    def next_due(self) -> float:
        return min(self._suspects.values(), default=float("inf"))

    def _is_heard(self, path: str) -> bool:
        return within(path, self._heard) is not None or within(path, self._heard_before) is not None

    def _silent_around(self, folder: str) -> str:
        """The root that a folder lies in, if nothing was heard of it; else the folder."""
        root = within(folder, self._roots) or folder
        return folder if any(within(path, (root,)) for path in self._heard | self._heard_before) else root
