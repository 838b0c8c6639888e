"""Tests of `tokentail.watcher.watch`: step by step, without a thread, with a clock that is set."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tokentail.sources.local import is_log_name
from tokentail.watcher.box import Box
from tokentail.watcher.hints import OpenEvents
from tokentail.watcher.pace import Pace
from tokentail.watcher.watch import Place, Watch
from watching import Faulty, append, no_events

# One piece of work a step.
PACE = Pace(
    slice_s=0.0,
    hot_every_s=1,
    folders_every_s=10,
    sweep_in_doubt_s=100,
    sweep_in_calm_s=1000,
    most_share=1e9,
    canary_every_s=20,
    answer_within_s=1,
    grace_s=1,
    retry_every_s=50,
)


class Stepped:
    """A watch that does all that is due when it is told what time it is."""

    def __init__(self, root: Path, open_events: OpenEvents | None, **place: str) -> None:
        self.now = 0.0
        self.box = Box()
        canary = root.parent / "home" / "canary"
        self.watch = Watch(Place([str(root)], is_log_name, PACE, canary, clock=lambda: self.now, **place), self.box, open_events)
        while not self.watch.is_ready:
            self.watch.step()

    def tells(self, at: float, *, wakes: int = 1) -> tuple[set[str], set[str], bool]:
        self.now = at
        for _ in range(1 + wakes):  # what a step does may make an event, for which a thread would be woken
            while self.watch.step() == 0.0:
                pass
        files, trees, lost, _ = self.box.take()
        return set(files), set(trees), lost

    def close(self) -> None:
        self.watch.close()
        self.box.close()


@pytest.fixture(name="root")
def fixture_root(tmp_path: Path) -> Path:
    append(tmp_path / "logs" / "a" / "s1.jsonl")
    append(tmp_path / "logs" / "b" / "s2.jsonl")
    return tmp_path / "logs"


@pytest.mark.parametrize("has_events", [True, False])
def test_ready_means_that_nothing_is_missed(root: Path, tmp_path: Path, has_events: bool) -> None:
    """What is written the moment after `lost` was told is told, be it by a name of which no event tells."""
    target = append(tmp_path / "target")
    (root / "b" / "link.jsonl").symlink_to(target)
    stepped = Stepped(root, Faulty() if has_events else no_events)
    assert stepped.box.take().lost
    append(target)
    assert str(root / "b" / "link.jsonl") in stepped.tells(1)[0]
    stepped.close()


def test_idle(root: Path) -> None:
    """When all is well and nothing changes there is nothing to do until the next beat."""
    stepped = Stepped(root, Faulty())
    stepped.tells(1)
    assert stepped.watch.status == ((), "events", True)
    assert stepped.watch.step() == PACE.beat_every_s
    stepped.close()


def test_proven_events_are_swept_seldom(root: Path) -> None:
    """Once the canary has answered; in doubt ten times as often."""
    faults = Faulty()
    stepped = Stepped(root, faults)
    stepped.tells(1)
    faults.mute_below = str(root)
    path = append(root / "a" / "s1.jsonl")
    assert stepped.tells(999) == (set(), set(), False)
    assert stepped.tells(1001) == ({str(path)}, set(), False)
    stepped.close()


def test_folder_that_is_mute_no_more(root: Path) -> None:
    """What was made while it was is watched from the first event on, and the folder is told."""
    faults = Faulty()
    stepped = Stepped(root, faults)
    stepped.tells(1)
    faults.mute_below = str(root / "a")
    for at in (1001, 2002):
        append(root / "a" / "s1.jsonl")
        append(root / "b" / "s2.jsonl")
        stepped.tells(at)
    stepped.tells(2003)
    assert stepped.watch.status.degraded == (f"file events do not arrive from {root}/a; polled instead",)
    stepped.tells(2010)
    path = append(root / "a" / "new" / "s3.jsonl")
    stepped.tells(2010)  # nothing is due: the events are read, and swallowed
    faults.mute_below = ""
    append(root / "a" / "s1.jsonl")
    assert str(root / "a") in stepped.tells(2010)[1]
    assert not stepped.watch.status.degraded
    append(path)
    assert stepped.tells(2010) == ({str(path)}, set(), False)
    stepped.close()


def test_folder_found_by_a_sweep_is_watched(root: Path) -> None:
    """At once, not only when there is something else to do."""
    faults = Faulty()
    stepped = Stepped(root, faults)
    stepped.tells(1)
    faults.mute_below = str(root)
    path = append(root / "new" / "s3.jsonl")
    stepped.tells(1)
    faults.mute_below = ""
    assert stepped.tells(1001, wakes=0) == (set(), {str(root / "new")}, False)
    assert faults.events is not None
    assert faults.events.is_watched(str(path.parent))
    stepped.close()


def test_folder_that_is_refused(root: Path) -> None:
    """It is polled at once, and watched as soon as that can be, not only when there is something else to do."""
    faults = Faulty()
    stepped = Stepped(root, faults)
    stepped.tells(1)
    faults.refusal = OSError(errno.ENOSPC, "the limit is reached")
    append(root / "new" / "s3.jsonl")
    assert stepped.tells(1.5)[1] == {str(root / "new")}
    assert stepped.watch.status.degraded == (f"{root}/new cannot be watched: the limit is reached; polled instead",)
    faults.refusal = None
    assert stepped.tells(51, wakes=0)[1] == {str(root / "new")}
    assert not stepped.watch.status.degraded
    stepped.close()


def test_area_that_is_polled_no_more(root: Path, tmp_path: Path) -> None:
    """It is told, for what was written since it was polled the last time."""
    table = tmp_path / "mountinfo"
    table.write_text(f"1 0 0:9 / {root}/a rw - nfs host:/ rw\n")
    faults = Faulty()
    faults.mute_below = str(root / "a")
    stepped = Stepped(root, faults, mountinfo=str(table))
    stepped.tells(1)
    append(root / "a" / "s1.jsonl")
    table.write_text("")
    assert stepped.tells(51) == (set(), {str(root / "a")}, False)
    stepped.close()


def test_mounts_are_looked_at_again(root: Path, tmp_path: Path) -> None:
    """A network file system that is mounted later is polled from then on."""
    table = tmp_path / "mountinfo"
    table.write_text("")
    stepped = Stepped(root, Faulty(), mountinfo=str(table))
    stepped.tells(1)
    table.write_text(f"1 0 0:9 / {root} rw - nfs host:/ rw\n")
    assert stepped.tells(51)[1] == {str(root)}
    assert stepped.watch.status.live == "polling"
    stepped.close()
