"""What the tests of watchers share: a pace that need not be waited for, what was told, and events that fail on purpose."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tokentail.sources.local import is_log_name
from tokentail.watcher import Events, FileWatcher, Hints, Pace, Sink
from tokentail.watcher.hints import IsLog, OpenEvents
from tokentail.watcher.inotify import InotifyEvents
from tokentail.watcher.kernel import Event, Kernel
from tokentail.watcher.paths import within

SOURCE = Path(__file__).resolve().parents[1] / "src"
DEADLINE_S = 20.0
NEVER_S = 10_000.0

# Nothing is found by looking again: what is told is told by events.
EVENTS_ONLY = Pace(sweep_in_doubt_s=NEVER_S, sweep_in_calm_s=NEVER_S, canary_every_s=NEVER_S, answer_within_s=NEVER_S)
HASTY = Pace(
    hot_every_s=0.005,
    folders_every_s=0.01,
    sweep_in_doubt_s=0.03,
    sweep_in_calm_s=0.03,
    most_share=1.0,
    canary_every_s=0.05,
    answer_within_s=0.2,
    grace_s=0.2,
    retry_every_s=0.02,
    beat_every_s=0.02,
    hung_after_beats=10,
    restart_after_s=0.02,
    restart_at_most_s=0.04,
)


def append(path: Path | str, data: bytes = b"x\n") -> Path:
    """Write at the end of a file, in a folder that is made if need be."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(data)
    return path


class Told:
    """A sink that keeps what it is told."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.files: list[str] = []
        self.trees: list[str] = []
        self.losses = 0

    def dirty(self, path: str) -> None:
        self.files.append(path)

    def dirty_tree(self, folder: str) -> None:
        self.trees.append(folder)

    covered = dirty_tree

    def lost(self) -> None:
        self.losses += 1

    def covers(self, path: Path | str) -> bool:
        """Would whoever acts on all this look at that file?"""
        return self.losses > 0 or str(path) in self.files or within(str(path), set(self.trees)) is not None


class Seen(Told):
    """What a watcher has told, added up."""

    def __init__(self, watcher: FileWatcher) -> None:
        super().__init__()
        self.watcher = watcher
        self.last = Hints(frozenset(), frozenset(), False, (), "polling", False)

    def look(self, timeout_s: float = 0.05) -> Hints:
        self.last = self.watcher.wait(timeout_s)
        self.files.extend(self.last.files)
        self.trees.extend(self.last.trees)
        self.losses += self.last.lost
        return self.last

    def until(self, is_so: Callable[[], bool]) -> None:
        ends = time.monotonic() + DEADLINE_S
        while not is_so():
            assert time.monotonic() < ends, f"it did not come: {self.last}, {self.files[-5:]}, {self.trees[-5:]}"
            self.look()

    def until_covers(self, *paths: Path | str) -> None:
        self.until(lambda: all(map(self.covers, paths)))


@contextlib.contextmanager
def watching(
    *roots: Path, pace: Pace = EVENTS_ONLY, canary: Path | None = None, open_events: OpenEvents | None = None, **options: Any
) -> Iterator[Seen]:
    """A watcher that is ready, and what it tells from then on."""
    chosen = options if open_events is None else {**options, "open_events": open_events}
    with FileWatcher([os.path.realpath(root) for root in roots], is_log_name, canary=canary, pace=pace, **chosen) as watcher:
        seen = Seen(watcher)
        seen.until(lambda: seen.losses > 0)
        seen.look(0)
        seen.clear()
        yield seen


class Faulty:
    """Opens events whose faults can be switched on and off while they run."""

    def __init__(self) -> None:
        self.is_mute = False  # no event arrives
        self.mute_below = ""  # nor from there
        self.refusal: OSError | None = None  # of any new watch
        self.no_instance: OSError | None = None
        self.error: Exception | None = None  # of the next read
        self.may_read = threading.Event()
        self.may_read.set()
        self.opened = 0
        self.events: InotifyEvents | None = None  # the last that were opened

    def __call__(self, roots: Sequence[str], is_log: IsLog, sink: Sink) -> Events:
        self.opened += 1
        if self.no_instance is not None:
            raise self.no_instance
        self.events = InotifyEvents(roots, is_log, sink, open_kernel=lambda: _FaultyKernel(self))
        return self.events


class _FaultyKernel(Kernel):
    def __init__(self, faults: Faulty) -> None:
        super().__init__()
        self._faults = faults
        self._paths: dict[int, str] = {}

    def add(self, folder: str, mask: int) -> int:
        if self._faults.refusal is not None:
            raise self._faults.refusal
        watch = super().add(folder, mask)
        self._paths[watch] = folder
        return watch

    def read(self) -> list[Event]:
        self._faults.may_read.wait(DEADLINE_S)
        if self._faults.error is not None:
            error, self._faults.error = self._faults.error, None
            raise error
        events = super().read()
        if self._faults.is_mute:
            return []
        below = self._faults.mute_below
        return [event for event in events if not below or within(self._paths.get(event.watch, ""), (below,)) is None]


def no_events(roots: Sequence[str], is_log: IsLog, sink: Sink) -> Events:
    raise OSError("this system has none")


def in_namespace(script: str, *words: str) -> str:
    """
    Run Python as root of a user namespace, whose limits are its own; what it prints.

    Skips the test where namespaces are refused.
    """
    if subprocess.run(["unshare", "-Ur", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system refuses user namespaces")
    environment = {**os.environ, "PYTHONPATH": f"{SOURCE}:{Path(__file__).parent}"}
    ran = subprocess.run(
        ["unshare", "-Ur", sys.executable, "-c", script, *words], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout
