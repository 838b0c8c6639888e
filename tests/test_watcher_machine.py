"""Random changes of a tree: each file that is not as it was is covered by a hint, whether events or polling gave it."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tokentail.model import LogFile
from tokentail.sources import LocalFolders
from tokentail.sources.local import is_log_name
from tokentail.watcher.inotify import InotifyEvents
from tokentail.watcher.pace import Pace
from tokentail.watcher.poller import Finding, Poller
from watching import NEVER_S, Told, append

# Few names, so that things meet; one of a log, one of none.
FOLDERS = st.lists(st.sampled_from(["a", "b", "c.jsonl"]), max_size=3).map("/".join)
FILES = st.sampled_from(["s1.jsonl", "s1.jsonl.1", "note.txt"])


class TreeMachine(RuleBasedStateMachine):
    """Changes a tree in any way, looks in between at any moment, and holds the hints against what a listing shows."""

    def __init__(self) -> None:
        super().__init__()
        self.top = Path(tempfile.mkdtemp(prefix="tree-"))
        self.root = self.top / "home" / "logs"
        self.outside = self.top / "outside"
        self.outside.mkdir()
        self.numbers = itertools.count(1)
        self.told = Told()
        self.known: dict[str, LogFile] = {}
        self.begin()
        self.settle()

    def begin(self) -> None:
        """Start to watch."""
        raise NotImplementedError

    def look(self) -> None:
        """Look a little, at whatever is due."""
        raise NotImplementedError

    def settle(self) -> None:
        """Look until there is nothing more to see."""
        raise NotImplementedError

    def teardown(self) -> None:
        self.changes_are_covered()
        shutil.rmtree(self.top)

    @initialize()
    def make_root(self) -> None:
        append(self.root / "a" / "s1.jsonl")

    @rule(folder=FOLDERS, name=FILES)
    def write(self, folder: str, name: str) -> None:
        # Each write has another size: two within one tick of the clock would look the same, to whoever reads the log, too.
        with contextlib.suppress(OSError):
            append(self.root / folder / name, b"x" * next(self.numbers))

    @rule(folder=FOLDERS)
    def make_folder(self, folder: str) -> None:
        with contextlib.suppress(OSError):
            (self.root / folder).mkdir(parents=True)

    @rule(folder=FOLDERS, name=FILES)
    def delete(self, folder: str, name: str) -> None:
        with contextlib.suppress(OSError):
            (self.root / folder / name).unlink()

    @rule(folder=FOLDERS)
    def delete_folder(self, folder: str) -> None:
        with contextlib.suppress(OSError):
            shutil.rmtree(self.root / folder)

    @rule(folder=FOLDERS, name=FILES, to_folder=FOLDERS, to_name=FILES)
    def rename(self, folder: str, name: str, to_folder: str, to_name: str) -> None:
        with contextlib.suppress(OSError):
            (self.root / folder / name).rename(self.root / to_folder / to_name)

    @rule(folder=FOLDERS, to=FOLDERS)
    def rename_folder(self, folder: str, to: str) -> None:
        with contextlib.suppress(OSError):
            (self.root / folder).rename(self.root / to)

    @rule(folder=FOLDERS)
    def move_out(self, folder: str) -> None:
        with contextlib.suppress(OSError):
            (self.root / folder).rename(self.outside / str(next(self.numbers)))

    @rule(folder=FOLDERS, pick=st.integers(0, 5))
    def move_in(self, folder: str, pick: int) -> None:
        with contextlib.suppress(OSError, IndexError):
            sorted(self.outside.iterdir())[pick].rename(self.root / folder)

    @rule(pick=st.integers(0, 5))
    def write_outside(self, pick: int) -> None:
        with contextlib.suppress(OSError, IndexError):
            append(sorted(self.outside.iterdir())[pick] / "s1.jsonl", b"x" * next(self.numbers))

    @rule(is_parent=st.booleans())
    def replace_root(self, is_parent: bool) -> None:
        with contextlib.suppress(OSError):
            (self.root.parent if is_parent else self.root).rename(self.outside / str(next(self.numbers)))

    @rule(times=st.integers(1, 3))
    def look_a_little(self, times: int) -> None:
        for _ in range(times):
            self.look()

    @rule()
    def changes_are_covered(self) -> None:
        """Whoever takes the hints now and lists what they name knows all that is to be known."""
        self.settle()
        now = {file.path: file for file in LocalFolders([self.root]).list_files().files}
        changed = [path for path in self.known.keys() | now.keys() if self.known.get(path) != now.get(path)]
        assert [path for path in changed if not self.told.covers(path)] == []
        self.known = now
        self.told.clear()


class InotifyMachine(TreeMachine):
    """With the kernel's events."""

    def begin(self) -> None:
        self.events = InotifyEvents([str(self.root)], is_log_name, self.told)

    def look(self) -> None:
        self.events.take()
        self.events.work(lambda: True)

    def settle(self) -> None:
        counted = -1
        while counted != (counted := len(self.told.files) + len(self.told.trees) + self.told.losses):
            self.events.take()
            while self.events.work(lambda: False):
                pass

    def teardown(self) -> None:
        super().teardown()
        self.events.close()


class PollerMachine(TreeMachine):
    """By looking again; the clock stands still, but for what is due in a pass."""

    pace = Pace(sweep_in_doubt_s=NEVER_S, hot_every_s=1, folders_every_s=1, most_share=1e9)

    def begin(self) -> None:
        self.now = 0.0
        self.poller = Poller([str(self.root)], is_log_name, self._found, self.pace, clock=lambda: self.now)
        self.poller.poll_often(frozenset([str(self.root)]))

    def _found(self, finding: Finding) -> None:
        (self.told.dirty_tree if finding.is_tree else self.told.dirty)(finding.path)

    def look(self) -> None:
        self.poller.work(lambda: True)

    def settle(self) -> None:
        while self.poller.work(lambda: False):  # what was begun may have looked too early
            pass
        self.now += 1
        while self.poller.work(lambda: False):
            pass


class SweepMachine(PollerMachine):
    """By the sweep alone."""

    pace = Pace(sweep_in_doubt_s=1, most_share=1e9)

    def begin(self) -> None:
        self.now = 0.0
        self.poller = Poller([str(self.root)], is_log_name, self._found, self.pace, clock=lambda: self.now)


SETTINGS = settings(max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TestInotify = InotifyMachine.TestCase
TestInotify.settings = SETTINGS
TestPoller = PollerMachine.TestCase
TestPoller.settings = SETTINGS
TestSweep = SweepMachine.TestCase
TestSweep.settings = SETTINGS
