"""Tests of `tokentail.watcher.poller`: real files, and a clock that is set."""

from __future__ import annotations

import os
import resource
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tokentail.sources.local import is_log_name
from tokentail.watcher.pace import Pace
from tokentail.watcher.poller import Finding, Poller
from watching import NEVER_S, append

PACE = Pace(hot_every_s=1, folders_every_s=10, sweep_in_doubt_s=100, hot_for_s=600, most_share=1e9)


class Polled:
    """A poller that knows a root, at a time that is set."""

    def __init__(self, *roots: Path, pace: Pace = PACE, often: bool = False) -> None:
        self.now = 0.0
        self.ahead_ns = 0
        self.findings: list[Finding] = []
        names = [str(root) for root in roots]
        self.poller = Poller(names, is_log_name, self.findings.append, pace, clock=lambda: self.now, wall_ns=self._wall_ns)
        if often:
            self.poller.poll_often(frozenset(names))
        self.finds(0)
        self.finds(0)

    def _wall_ns(self) -> int:
        return time.time_ns() + self.ahead_ns

    def finds(self, after_s: float) -> dict[str, Finding]:
        """What is found when so much time has gone by, by path."""
        self.now += after_s
        self.findings.clear()
        while self.poller.work(lambda: True):
            pass
        found = {finding.path: finding for finding in self.findings}
        assert len(found) == len(self.findings)
        return found


@pytest.fixture(name="root")
def fixture_root(tmp_path: Path) -> Path:
    for name in ("s1.jsonl", "s2.jsonl"):
        append(tmp_path / "logs" / "a" / name)
    return tmp_path / "logs"


def make_old(path: Path) -> None:
    """As if it was written an hour ago."""
    os.utime(path, (time.time() - 3600,) * 2)


# The sweep


def test_the_first_sweep_tells_nothing(root: Path) -> None:
    """It is where knowledge begins."""
    polled = Polled(root)
    assert polled.poller.sweeps_done == 1
    assert polled.findings == []


def test_sweep_finds_what_was_written_made_and_deleted(root: Path) -> None:
    """Every log that is not as it was, and no other."""
    append(root / "a" / "s3.jsonl")
    polled = Polled(root)
    written, made = append(root / "a" / "s1.jsonl"), append(root / "a" / "s4.jsonl.1")
    (root / "a" / "s2.jsonl").unlink()
    append(root / "a" / "notes.txt")
    assert set(polled.finds(100)) == {str(written), str(made), str(root / "a" / "s2.jsonl")}
    assert polled.finds(100) == {}


def test_sweep_keeps_its_pace(root: Path) -> None:
    """It comes when it is due, and not before."""
    polled = Polled(root)
    append(root / "a" / "s1.jsonl")
    assert polled.finds(99) == {}
    assert polled.poller.next_due() == 100
    assert len(polled.finds(1)) == 1
    polled.poller.sweep_every(1000)
    assert polled.poller.next_due() == 1100


@pytest.mark.parametrize(
    "change",
    [
        lambda path: os.truncate(path, 0),
        lambda path: os.utime(path, ns=(1, path.stat().st_mtime_ns - 3600 * 10**9)),
        lambda path: os.utime(path, ns=(1, path.stat().st_mtime_ns + 3600 * 10**9)),
        lambda path: (shutil.copy2(path, path.with_suffix(".new")), path.with_suffix(".new").rename(path)),
    ],
    ids=["shorter", "earlier", "later", "replaced by one with the same times"],
)
def test_any_difference_counts(root: Path, change: Callable[[Path], object]) -> None:
    """Sizes, times and inodes are compared for being equal, whatever the clock does (S45)."""
    polled = Polled(root)
    change(root / "a" / "s1.jsonl")
    assert list(polled.finds(100)) == [str(root / "a" / "s1.jsonl")]


def test_same_size_and_time(root: Path) -> None:
    """A rewrite that puts the time back is found by the time of that (S28)."""
    path = root / "a" / "s1.jsonl"
    polled = Polled(root)
    status = path.stat()
    with path.open("r+b") as file:
        file.write(b"y")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert list(polled.finds(100)) == [str(path)]


def test_permissions_are_no_writing(root: Path) -> None:
    """A change of status alone is worth a look, but no sign that events are missing."""
    polled = Polled(root)
    (root / "a" / "s1.jsonl").chmod(0o600)
    append(root / "a" / "s2.jsonl")
    found = polled.finds(100)
    assert {Path(path).name: finding.is_written for path, finding in found.items()} == {"s1.jsonl": False, "s2.jsonl": True}


def test_folders(root: Path) -> None:
    """A new folder and one that is gone are told as trees, once, whatever is in them."""
    append(root / "b" / "c" / "s3.jsonl")
    polled = Polled(root)
    append(root / "d" / "e" / "s4.jsonl")
    shutil.rmtree(root / "b")
    assert polled.finds(100) == {str(root / name): Finding(str(root / name), is_tree=True) for name in "bd"}
    path = append(root / "d" / "e" / "s4.jsonl")
    assert list(polled.finds(100)) == [str(path)]


def test_folder_replaced(root: Path, tmp_path: Path) -> None:
    """Another folder under the same name is another tree."""
    polled = Polled(root)
    (root / "a").rename(tmp_path / "a")
    shutil.copytree(tmp_path / "a", root / "a")
    assert list(polled.finds(100)) == [str(root / "a")]


def test_root_that_goes_and_comes(root: Path, tmp_path: Path) -> None:
    """Also one that was never there."""
    later = tmp_path / "later"
    polled = Polled(root, later)
    shutil.rmtree(root)
    assert list(polled.finds(100)) == [str(root)]
    paths = [append(root / "s1.jsonl"), append(later / "s2.jsonl")]
    assert list(polled.finds(100)) == [str(root), str(later)]
    for path in paths:
        append(path)
    assert list(polled.finds(100)) == [str(path) for path in paths]


def test_nothing_can_be_read_for_a_while(root: Path) -> None:
    """Too many open files prove nothing: what was known stays known, and what changed meanwhile is found afterwards (S36)."""
    append(root / "a" / "b" / "s3.jsonl")
    polled = Polled(root)
    path = append(root / "a" / "b" / "s3.jsonl")
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limit[1]))
    try:
        assert polled.finds(100) == {}
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    assert list(polled.finds(100)) == [str(path)]


def test_links_to_folders_are_not_followed(root: Path) -> None:
    """A loop of them is no trap (S32)."""
    (root / "a" / "loop").symlink_to(root)
    polled = Polled(root)
    path = append(root / "a" / "s1.jsonl")
    assert list(polled.finds(100)) == [str(path)]


def test_no_regular_file(root: Path) -> None:
    """A pipe named like a log is none, nor is a link that leads nowhere."""
    polled = Polled(root)
    os.mkfifo(root / "a" / "pipe.jsonl")
    (root / "a" / "link.jsonl").symlink_to("nowhere")
    assert polled.finds(100) == {}


def test_too_many_files(root: Path) -> None:
    """A sweep comes less often when it would take more than its share."""
    polled = Polled(root, pace=PACE._replace(sweep_in_doubt_s=0.0, most_share=1e-9))
    assert polled.poller.next_due() > 1000


def test_long_work_has_pauses(root: Path) -> None:
    """Between two folders, and within a folder of many files, others have a turn."""
    for number in range(200):
        append(root / "b" / f"{number}.jsonl")
    polled = Polled(root)
    polled.now += 100
    steps = 0
    while polled.poller.work(lambda: True):
        steps += 1
    assert steps > 5


# What is polled often


def test_hot_files_are_looked_at_often(root: Path) -> None:
    """One that was written in the last ten minutes, second by second; then it is as cold as the others."""
    make_old(root / "a" / "s2.jsonl")
    polled = Polled(root, often=True)
    for _ in range(3):
        path = append(root / "a" / "s1.jsonl")
        assert list(polled.finds(1)) == [str(path)]
    append(root / "a" / "s2.jsonl")
    assert polled.finds(1) == {}
    assert list(polled.finds(90)) == [str(root / "a" / "s2.jsonl")]
    append(root / "a" / "s2.jsonl")
    assert list(polled.finds(1)) == [str(root / "a" / "s2.jsonl")]
    polled.poller.sweep_every(NEVER_S)
    polled.finds(601)
    append(root / "a" / "s2.jsonl")
    assert polled.finds(1) == {}


def test_two_appends_in_one_second(root: Path) -> None:
    """Times are compared to the nanosecond, and sizes too (S46)."""
    polled = Polled(root, often=True)
    for _ in range(20):
        path = append(root / "a" / "s1.jsonl")
        assert list(polled.finds(1)) == [str(path)]


def test_new_files_are_found_by_their_folder(root: Path) -> None:
    """Without waiting for the sweep, and so are files that went."""
    polled = Polled(root, often=True)
    path = append(root / "a" / "s3.jsonl")
    assert list(polled.finds(10)) == [str(path)]
    make_old(root / "a" / "s2.jsonl")
    (root / "a" / "s2.jsonl").unlink()
    assert list(polled.finds(10)) == [str(root / "a" / "s2.jsonl")]


def test_new_folders_are_found_by_their_folder(root: Path) -> None:
    """With all that is below them, which is polled often from then on."""
    polled = Polled(root, often=True)
    path = append(root / "b" / "c" / "s3.jsonl")
    assert list(polled.finds(10)) == [str(root / "b")]
    append(path)
    assert list(polled.finds(1)) == [str(path)]
    shutil.rmtree(root / "b")
    assert str(root / "b") in polled.finds(10)


def test_folder_whose_time_stands_still(root: Path) -> None:
    """A file made in the same tick of the clock leaves the folder's time as it is: a folder that changed lately is listed again."""
    polled = Polled(root, often=True)
    status = (root / "a").stat()
    polled.finds(10)
    path = append(root / "a" / "s3.jsonl")
    os.utime(root / "a", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert list(polled.finds(10)) == [str(path)]


def test_quiet_folders_are_not_listed(root: Path) -> None:
    """One whose time is long past and unchanged costs one look; this proves it by a file whose coming left no trace."""
    polled = Polled(root, often=True)
    polled.ahead_ns = 10**12
    polled.finds(10)
    make_old(root / "a" / "s1.jsonl")
    append(root / "a" / "s1.jsonl", b"more")
    polled.poller.sweep_every(NEVER_S)
    polled.finds(10)
    polled.finds(700)
    append(root / "a" / "s1.jsonl", b"and more")
    assert polled.finds(10) == {}


def test_root_that_comes_later_is_found_soon(tmp_path: Path) -> None:
    """The sweep is not waited for."""
    polled = Polled(tmp_path / "logs", often=True)
    append(tmp_path / "logs" / "s1.jsonl")
    assert list(polled.finds(10)) == [str(tmp_path / "logs")]


def test_area_among_others(root: Path) -> None:
    """Only what is in it is polled often; its tree is told when it begins, for what happened before is not known."""
    append(root / "b" / "s3.jsonl")
    polled = Polled(root)
    polled.poller.poll_often(frozenset({str(root / "b")}))
    assert polled.finds(0) == {str(root / "b"): Finding(str(root / "b"), is_tree=True)}
    append(root / "a" / "s1.jsonl")
    append(root / "a" / "s9.jsonl")
    path = append(root / "b" / "s3.jsonl")
    assert list(polled.finds(10)) == [str(path)]
    polled.poller.poll_often(frozenset())
    append(root / "b" / "s3.jsonl")
    assert polled.finds(10) == {}
    assert len(polled.finds(100)) == 3


def test_file_with_a_name_elsewhere(root: Path, tmp_path: Path) -> None:
    """A link's target and a file with a second name are looked at often wherever they are: no event tells of them (S31, S44)."""
    target = append(tmp_path / "target")
    (root / "a" / "link.jsonl").symlink_to(target)
    os.link(root / "a" / "s2.jsonl", tmp_path / "twin")
    polled = Polled(root)
    append(target)
    append(tmp_path / "twin")
    append(root / "a" / "s1.jsonl")
    found = polled.finds(1)
    assert {path: finding.is_alias for path, finding in found.items()} == {
        str(root / "a" / "link.jsonl"): True,
        str(root / "a" / "s2.jsonl"): True,
    }
