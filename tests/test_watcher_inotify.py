"""Tests of `tokentail.watcher.inotify`: real trees and the kernel's own events."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from test_sources_local import NOBODY, as_nobody, fixture_open_path  # noqa: F401  # a fixture is used by its name
from tokentail.sources.local import is_log_name
from tokentail.watcher.inotify import InotifyEvents
from tokentail.watcher.kernel import IN_Q_OVERFLOW, Event, Kernel
from watching import Told, append, in_namespace

MAX_QUEUED = Path("/proc/sys/fs/inotify/max_queued_events")


class Watched:
    """Inotify on some roots, without a thread: events are taken when a test says so."""

    def __init__(self, *roots: Path, kernel: Kernel | None = None) -> None:
        self.told = Told()
        self.events = InotifyEvents([str(root) for root in roots], is_log_name, self.told, open_kernel=lambda: kernel or Kernel())
        self.settle()
        assert self.told.losses == 1
        self.told.clear()

    def settle(self) -> None:
        """Take all events, and do all that they ask for, until there are no more."""
        before = None
        while before != (len(self.told.files), len(self.told.trees), self.told.losses):
            before = (len(self.told.files), len(self.told.trees), self.told.losses)
            self.events.take()
            while self.events.work(lambda: False):
                pass

    def tells(self) -> tuple[set[str], set[str], int]:
        """What was told since the last time."""
        self.settle()
        told = (set(self.told.files), set(self.told.trees), self.told.losses)
        self.told.clear()
        return told


@pytest.fixture(name="root")
def fixture_root(tmp_path: Path) -> Path:
    root = tmp_path / "logs"
    append(root / "a" / "s1.jsonl")
    return root


@pytest.fixture(name="watched")
def fixture_watched(root: Path) -> Iterator[Watched]:
    watched = Watched(root)
    yield watched
    watched.events.close()


# Files


def test_append(root: Path, watched: Watched) -> None:
    """The file that was written is told, and nothing else."""
    path = append(root / "a" / "s1.jsonl")
    assert watched.tells() == ({str(path)}, set(), 0)


def test_only_logs(root: Path, watched: Watched) -> None:
    """Other files are none of our business; a rotated log is one."""
    append(root / "a" / "notes.txt")
    path = append(root / "a" / "s1.jsonl.1")
    assert watched.tells() == ({str(path)}, set(), 0)


def test_reading_is_no_change(root: Path, watched: Watched) -> None:
    """Our own looking does not make us look again."""
    (root / "a" / "s1.jsonl").read_bytes()
    os.listdir(root / "a")
    assert watched.tells() == (set(), set(), 0)


def test_rename(root: Path, watched: Watched) -> None:
    """Both the old place and the new one."""
    (root / "a" / "s1.jsonl").rename(root / "a" / "s1.jsonl.1")
    assert watched.tells()[0] == {str(root / "a" / "s1.jsonl"), str(root / "a" / "s1.jsonl.1")}


def test_permissions(root: Path, watched: Watched) -> None:
    """A file that may be read again is worth a look."""
    (root / "a" / "s1.jsonl").chmod(0o600)
    assert watched.tells()[0] == {str(root / "a" / "s1.jsonl")}


def test_moved_in_and_out(tmp_path: Path, root: Path, watched: Watched) -> None:
    """A file that comes from elsewhere, and one that goes; what happens to it there is not told."""
    outside = append(tmp_path / "s2.jsonl")
    outside.rename(root / "s2.jsonl")
    assert watched.tells()[0] == {str(root / "s2.jsonl")}
    (root / "s2.jsonl").rename(outside)
    assert watched.tells()[0] == {str(root / "s2.jsonl")}
    append(outside)
    assert watched.tells() == (set(), set(), 0)


def test_deleted(root: Path, watched: Watched) -> None:
    """A log that is gone."""
    (root / "a" / "s1.jsonl").unlink()
    assert watched.tells()[0] == {str(root / "a" / "s1.jsonl")}


@pytest.mark.parametrize("name", [b"\xff\xfe.jsonl", b"a\nb.jsonl", b"x" * 249 + b".jsonl", b"\x1b[31m.jsonl"])
def test_hostile_names(root: Path, watched: Watched, name: bytes) -> None:
    """Names are bytes to the kernel: files and folders of any name are told as `os.fsdecode` gives them (S54)."""
    path = os.path.join(os.fsencode(root), b"dir-" + name[:-6], name)
    os.mkdir(os.path.dirname(path))
    watched.settle()
    append(os.fsdecode(path))
    assert os.fsdecode(path) in watched.tells()[0]


# Folders


def test_new_folder_that_looks_empty(root: Path, watched: Watched) -> None:
    """It is told as a tree, for nobody knows what was made in it before its watch stood."""
    (root / "b").mkdir()
    assert watched.tells() == (set(), {str(root / "b")}, 0)
    path = append(root / "b" / "s2.jsonl")
    assert watched.tells() == ({str(path)}, set(), 0)


def test_deep_folders_and_files_at_once(root: Path, watched: Watched) -> None:
    """300 times a path of folders and a file at the end of it: not one is missed (S37)."""
    paths = [append(root / f"{number}" / "b" / "c" / "d" / "s.jsonl") for number in range(300)]
    watched.settle()
    assert [path for path in paths if not watched.told.covers(path)] == []
    watched.told.clear()
    for path in paths:
        append(path)
    assert watched.tells()[0] == set(map(str, paths))


class Hurried(Kernel):
    """Somebody does something just before or just after the folder `new` is watched the first time."""

    def __init__(self, *, before: Callable[[], object] = bool, after: Callable[[], object] = bool) -> None:
        super().__init__()
        self._before, self._after = [before], [after]

    def add(self, folder: str, mask: int) -> int:
        is_it = Path(folder).name == "new"
        if is_it and self._before:
            self._before.pop()()
        watch = super().add(folder, mask)
        if is_it and self._after:
            self._after.pop()()
        return watch


@pytest.mark.parametrize("moment", ["before", "after"])
def test_made_while_a_watch_is_set_up(root: Path, moment: str) -> None:
    """A folder is listed after its watch stands, so what is made at any moment is seen by one of the two."""
    watched = Watched(root, kernel=Hurried(**{moment: lambda: append(root / "new" / "inner" / "s.jsonl")}))
    (root / "new").mkdir()
    watched.settle()
    watched.told.clear()
    path = append(root / "new" / "inner" / "s.jsonl")
    assert watched.tells()[0] == {str(path)}
    watched.events.close()


def test_moved_while_a_watch_is_set_up(root: Path) -> None:
    """A folder is found in its new place before the events of its move are read: it stays watched there."""
    watched = Watched(root, kernel=Hurried(after=lambda: (root / "a").rename(root / "new" / "a")))
    (root / "new").mkdir()
    watched.settle()
    assert watched.told.covers(root / "new" / "a" / "s1.jsonl")
    watched.told.clear()
    path = append(root / "new" / "a" / "s1.jsonl")
    assert watched.tells()[0] == {str(path)}
    watched.events.close()


def test_replaced_by_a_link_while_a_watch_is_set_up(root: Path) -> None:
    """What a link leads to is not watched by way of the link: it may be watched already, and goes on to be."""

    def replace() -> None:
        (root / "new").rmdir()
        (root / "new").symlink_to(root / "a")

    watched = Watched(root, kernel=Hurried(before=replace))
    (root / "new").mkdir()
    watched.settle()
    watched.told.clear()
    path = append(root / "a" / "s1.jsonl")
    assert watched.tells() == ({str(path)}, set(), 0)
    watched.events.close()


def test_tree_moved_in(tmp_path: Path, root: Path, watched: Watched) -> None:
    """A tree that comes as a whole is told as a whole, and all of it is watched from then on (S38)."""
    path = append(tmp_path / "tree" / "b" / "c" / "s2.jsonl")
    (tmp_path / "tree").rename(root / "tree")
    assert watched.tells() == (set(), {str(root / "tree")}, 0)
    path = append(root / path.relative_to(tmp_path))
    assert watched.tells() == ({str(path)}, set(), 0)


def test_tree_moved_out(tmp_path: Path, root: Path, watched: Watched) -> None:
    """A tree that goes is told, and what is written to it elsewhere is not (S38)."""
    append(root / "tree" / "b" / "s2.jsonl")
    watched.settle()
    watched.told.clear()
    (root / "tree").rename(tmp_path / "tree")
    assert watched.tells() == (set(), {str(root / "tree")}, 0)
    append(tmp_path / "tree" / "b" / "s2.jsonl")
    (tmp_path / "tree" / "c").mkdir()
    assert watched.tells() == (set(), set(), 0)


def test_renamed_folder(root: Path, watched: Watched) -> None:
    """Its old and new place are told, and later writes by the new one, however deep."""
    append(root / "a" / "deep" / "s2.jsonl")
    watched.settle()
    watched.told.clear()
    (root / "a").rename(root / "b")
    assert watched.tells() == (set(), {str(root / "a"), str(root / "b")}, 0)
    path = append(root / "b" / "deep" / "s2.jsonl")
    assert watched.tells() == ({str(path)}, set(), 0)


def test_folders_that_trade_names(root: Path, watched: Watched) -> None:
    """Three renames before anybody looks: each folder is watched by the name it has in the end."""
    append(root / "b" / "s2.jsonl")
    watched.settle()
    (root / "a").rename(root / "t")
    (root / "b").rename(root / "a")
    (root / "t").rename(root / "b")
    watched.settle()
    watched.told.clear()
    paths = [append(root / "a" / "s2.jsonl"), append(root / "b" / "s1.jsonl")]
    assert watched.tells()[0] == set(map(str, paths))


def test_folder_replaced_by_another(root: Path, watched: Watched) -> None:
    """Deleted and made again under the same name: the new one is watched."""
    shutil.rmtree(root / "a")
    append(root / "a" / "s3.jsonl")
    watched.settle()
    assert watched.told.covers(root / "a" / "s3.jsonl")
    watched.told.clear()
    path = append(root / "a" / "s3.jsonl")
    assert watched.tells()[0] == {str(path)}


def test_links_to_folders_are_not_followed(tmp_path: Path, root: Path, watched: Watched) -> None:
    """As they are not searched for logs, a loop of them is no trap and what lies behind them is not told (S32)."""
    append(tmp_path / "outside" / "s9.jsonl")
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "a" / "loop").symlink_to(root)
    watched.settle()
    watched.told.clear()
    append(tmp_path / "outside" / "s9.jsonl")
    path = append(root / "a" / "s1.jsonl")
    assert watched.tells() == ({str(path)}, set(), 0)


def test_link_to_a_file(tmp_path: Path, root: Path, watched: Watched) -> None:
    """The place of a link is told when the link is made, turned or deleted."""
    link = root / "a" / "link.jsonl"
    for target in ("one", "two"):
        link.symlink_to(append(tmp_path / target))
        assert watched.tells()[0] == {str(link)}
        link.unlink()
        assert watched.tells()[0] == {str(link)}


def test_no_watch_is_left_behind(tmp_path: Path, root: Path, watched: Watched) -> None:
    """Folders that come and go leave nothing in the kernel: as many watches as folders, and those above the root."""
    before = watches(watched)
    for number in range(20):
        append(root / f"{number}" / "b" / "s.jsonl")
        watched.settle()
        shutil.rmtree(root / f"{number}")
        append(tmp_path / "tree" / "b" / "s.jsonl")
        (tmp_path / "tree").rename(root / "tree")
        watched.settle()
        (root / "tree").rename(tmp_path / "gone")
        watched.settle()
        shutil.rmtree(tmp_path / "gone")
    assert watches(watched) == before


def watches(watched: Watched) -> int:
    """How many the kernel keeps for this instance."""
    return Path(f"/proc/self/fdinfo/{watched.events.fileno()}").read_text().count("inotify wd:")


# Roots


def test_root_removed_and_made_again(root: Path, watched: Watched) -> None:
    """Its end is told, and everything once it is back, as often as one likes (S39)."""
    for _ in range(3):
        shutil.rmtree(root)
        assert str(root) in watched.tells()[1]
        path = append(root / "b" / "c" / "s2.jsonl")
        watched.settle()
        assert watched.told.covers(path)
        watched.told.clear()
        append(path)
        assert watched.tells()[0] == {str(path)}


def test_root_that_comes_later(tmp_path: Path) -> None:
    """The nearest folder that is there is watched for it, step by step or all at once."""
    watched = Watched(tmp_path / "home" / ".claude" / "projects")
    (tmp_path / "home").mkdir()
    watched.settle()
    (tmp_path / "home" / ".claude").mkdir()
    watched.settle()
    watched.told.clear()
    path = append(tmp_path / "home" / ".claude" / "projects" / "p" / "s1.jsonl")
    watched.settle()
    assert watched.told.covers(path)
    watched.told.clear()
    append(path)
    assert watched.tells() == ({str(path)}, set(), 0)
    watched.events.close()


def test_folder_above_the_root_is_moved_away(tmp_path: Path) -> None:
    """What is written to the old root by its new path is not told, and the new root is watched."""
    path = append(tmp_path / "home" / "logs" / "s1.jsonl")
    watched = Watched(tmp_path / "home" / "logs")
    (tmp_path / "home").rename(tmp_path / "old")
    watched.settle()
    watched.told.clear()
    append(tmp_path / "old" / "logs" / "s1.jsonl")
    assert watched.tells() == (set(), set(), 0)
    append(path)
    watched.settle()
    assert watched.told.covers(path)
    watched.told.clear()
    append(path)
    assert watched.tells()[0] == {str(path)}
    watched.events.close()


def test_neighbours_of_a_missing_root_are_not_told(tmp_path: Path) -> None:
    """What others make beside it is theirs."""
    watched = Watched(tmp_path / "home" / "logs")
    append(tmp_path / "else" / "s1.jsonl")
    assert watched.tells() == (set(), set(), 0)
    watched.events.close()


def test_several_roots(tmp_path: Path) -> None:
    """One instance serves them all, there or not."""
    watched = Watched(tmp_path / "one", tmp_path / "two" / "logs")
    paths = [append(tmp_path / "one" / "s1.jsonl"), append(tmp_path / "two" / "logs" / "s2.jsonl")]
    watched.settle()
    assert all(map(watched.told.covers, paths))
    watched.events.close()


# What the kernel cannot do


def test_overflow(root: Path, tmp_path: Path, watched: Watched) -> None:
    """When the queue was full everything is told as lost; what came or went without an event is watched, or is no longer (S40)."""
    append(root / "b" / "s3.jsonl")
    watched.tells()
    files = [open(root / "a" / f"{name}.jsonl", "ab", 0) for name in "12"]  # noqa: SIM115  # closed below
    for _ in range(int(MAX_QUEUED.read_text()) // 2 + 10):
        for file in files:  # in turn, because the kernel joins equal events
            file.write(b"x")
    for file in files:
        file.close()
    append(root / "new" / "folder" / "s2.jsonl")
    (root / "b").rename(tmp_path / "b")
    assert watched.tells()[2] == 1
    append(tmp_path / "b" / "s3.jsonl")
    path = append(root / "new" / "folder" / "s2.jsonl")
    assert watched.tells() == ({str(path)}, set(), 0)


@pytest.mark.parametrize("which", ["logs", "logs/a"])
def test_folder_that_may_not_be_read_for_a_while(open_path: Path, which: str) -> None:
    """As soon as it may be, it is told and watched: by an event, or for a root by trying again (S35)."""
    root = open_path / "logs"
    path = append(root / "a" / "b" / "s1.jsonl")
    for place in (root, root / "a", root / "a" / "b", path):
        if os.geteuid() == 0:
            os.chown(place, NOBODY, NOBODY)
    closed = open_path / which

    def check() -> None:
        closed.chmod(0)
        watched = Watched(root)
        closed.chmod(0o755)
        watched.events.take()
        watched.events.retry()
        assert str(closed) in watched.tells()[1]
        assert watched.events.refused == {}
        append(path)
        assert watched.tells()[0] == {str(path)}

    as_nobody(check)


class Overflowing(Kernel):
    """A queue that has run over each time it is read, so many times."""

    times = 2

    def read(self) -> list[Event]:
        self.times -= 1
        return [Event(-1, IN_Q_OVERFLOW, "")] if self.times >= 0 else super().read()


def test_overflow_while_beginning(root: Path) -> None:
    """Everything is watched anew once more, but not before it was told, or a storm of events would keep all from being told."""
    told = Told()
    events = InotifyEvents([str(root)], is_log_name, told, open_kernel=Overflowing)
    events.take()
    while events.work(lambda: True) and not told.losses:
        events.take()
    assert told.losses == 1
    while events.work(lambda: True):
        pass
    assert told.losses == 2
    events.close()


LIMITED_WATCHES = """
import sys
from pathlib import Path
from test_watcher_inotify import Watched
from watching import append

root = Path(sys.argv[1])
for number in range(60):
    append(root / f"p{number}" / "s.jsonl")
Path("/proc/sys/user/max_inotify_watches").write_text("20")
watched = Watched(root)
refused = watched.events.refused
assert 0 < len(refused) < 60 and all("limit of watches" in why for why in refused.values()), refused
for path in root.rglob("*.jsonl"):
    append(path)
files = watched.tells()[0]
assert len(files) + len(refused) == 60, (len(files), len(refused))
watched.events.retry()
watched.settle()
assert len(files) + len(refused) == 60
Path("/proc/sys/user/max_inotify_watches").write_text("1000")
watched.events.retry()
assert watched.tells()[1] == {folder for folder in map(str, root.iterdir())} - {str(Path(file).parent) for file in files}
assert refused == {}
for path in root.rglob("*.jsonl"):
    append(path)
assert len(watched.tells()[0]) == 60
"""


def test_limit_of_watches(tmp_path: Path) -> None:
    """Folders beyond the limit are named with the reason, the others are watched; when there is room they are, too (S41)."""
    in_namespace(LIMITED_WATCHES, str(tmp_path / "logs"))


LIMITED_INSTANCES = """
from pathlib import Path
from tokentail.watcher.kernel import IN_Q_OVERFLOW, Event, Kernel
Path("/proc/sys/user/max_inotify_instances").write_text("1")
first = Kernel()
try:
    Kernel()
except OSError as error:
    print(error.errno, error.strerror)
"""


def test_limit_of_instances() -> None:
    """The error names the setting to raise (S42)."""
    said = "24 too many instances of inotify (fs.inotify.max_user_instances) or open files (ulimit -n)\n"
    assert in_namespace(LIMITED_INSTANCES) == said
