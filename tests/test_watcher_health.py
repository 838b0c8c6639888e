"""Tests of `tokentail.watcher.health`: made-up findings, and a canary with real events."""

from __future__ import annotations

from pathlib import Path

import pytest

from tokentail.sources.local import is_log_name
from tokentail.watcher.health import Canary, CrossCheck
from tokentail.watcher.hints import MOST_PATHS
from tokentail.watcher.inotify import InotifyEvents
from tokentail.watcher.pace import Pace
from tokentail.watcher.poller import Finding
from watching import Told

PACE = Pace(canary_every_s=15, answer_within_s=1)


# The canary


class Flown:
    """A canary with real events, which are only taken when a test says so."""

    def __init__(self, folder: Path) -> None:
        self.canary = Canary(folder / "home" / "canary", PACE)
        self.told = Told()
        self.events = InotifyEvents([], is_log_name, self.told)

    def fly(self, now: float, *, hears: bool) -> tuple[bool, bool]:
        """Whether it is silent, and whether it has answered."""
        if hears:
            self.events.take()
            for _ in filter(self.canary.is_it, self.told.files):
                self.canary.heard()
            self.told.clear()
        self.canary.fly(self.events, now)
        return self.canary.is_silent, self.canary.has_answered


def test_canary_answers(tmp_path: Path) -> None:
    """Its event comes in time, every time it is touched."""
    flown = Flown(tmp_path)
    assert flown.fly(0, hears=True) == (False, False)
    assert flown.fly(0.9, hears=True) == (False, True)
    assert flown.canary.next_due() == 15
    assert flown.fly(15, hears=True) == (False, True)
    assert flown.canary.next_due() == 16
    assert flown.fly(15.5, hears=True) == (False, True)
    flown.events.close()


def test_canary_is_silent(tmp_path: Path) -> None:
    """Its event does not come in time; it is tried again, and an event that comes late is one, too."""
    flown = Flown(tmp_path)
    assert flown.fly(0, hears=False) == (False, False)
    assert flown.fly(1.0, hears=False) == (False, False)
    assert flown.fly(1.1, hears=False) == (True, False)
    assert flown.canary.next_due() == 15
    assert flown.fly(14, hears=False) == (True, False)
    assert flown.fly(14.5, hears=True) == (False, True)
    flown.events.close()


def test_any_event_answers(tmp_path: Path) -> None:
    """Where logs are written all the time, no canary is needed to prove that events arrive."""
    flown = Flown(tmp_path)
    flown.fly(0, hears=False)
    flown.canary.heard()
    assert flown.fly(5, hears=False) == (False, True)
    flown.events.close()


def test_canary_is_private(tmp_path: Path) -> None:
    """It holds nothing, and is for its owner alone."""
    flown = Flown(tmp_path)
    flown.fly(0, hears=False)
    path = tmp_path / "home" / "canary"
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"\n", 0o600)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    flown.events.close()


def test_no_canary() -> None:
    """Nothing is found to be amiss, and nothing proved."""
    canary = Canary(None, PACE)
    canary.fly(InotifyEvents([], is_log_name, Told()), 0)
    canary.heard()
    assert (canary.is_silent, canary.has_answered, canary.next_due()) == (False, False, float("inf"))


# The cross-check


@pytest.fixture(name="check")
def fixture_check() -> CrossCheck:
    """One that has seen enough sweeps to judge."""
    check = CrossCheck(["/logs"], 1.0)
    check.begin_sweep()
    check.begin_sweep()
    check.heard("/logs/other/s9.jsonl")
    return check


WRITTEN = Finding("/logs/a/s1.jsonl")


def test_written_without_an_event(check: CrossCheck) -> None:
    """The folder is mute when the time of grace is over, and not before."""
    check.suspect(WRITTEN, 10)
    assert check.next_due() == 11
    check.judge(10.9)
    assert check.mute == set()
    check.judge(11)
    assert check.mute == {"/logs/a"}
    assert check.next_due() == float("inf")


def test_event_that_comes_late(check: CrossCheck) -> None:
    """Within the time of grace it clears its folder."""
    check.suspect(WRITTEN, 10)
    check.heard(WRITTEN.path)
    check.judge(11)
    assert check.mute == set()


@pytest.mark.parametrize("told", ["/logs/a/s1.jsonl", "/logs/a", "/logs"])
def test_known_from_an_event(check: CrossCheck, told: str) -> None:
    """Of the file, or of a tree that it lies in; remembered until the sweep after next begins."""
    check.heard(told)
    check.begin_sweep()
    assert check.knows(WRITTEN)
    check.begin_sweep()
    assert not check.knows(WRITTEN)


@pytest.mark.parametrize("finding", [WRITTEN._replace(is_written=False), WRITTEN._replace(is_alias=True)])
def test_no_event_is_to_be_expected(check: CrossCheck, finding: Finding) -> None:
    """A change of status may come from a name that lies elsewhere, as may what is written to a file with several names."""
    check.suspect(finding, 10)
    check.judge(20)
    assert check.mute == set()


def test_nothing_is_heard_of_a_whole_root() -> None:
    """Then all of it is mute."""
    check = CrossCheck(["/logs", "/more"], 1.0)
    check.begin_sweep()
    check.begin_sweep()
    check.heard("/more/s9.jsonl")
    check.suspect(WRITTEN, 10)
    check.judge(11)
    assert check.mute == {"/logs"}


def test_event_from_a_mute_folder(check: CrossCheck) -> None:
    """It disproves that, once."""
    check.suspect(WRITTEN, 10)
    check.judge(11)
    assert check.heard("/logs/b/s2.jsonl") is None
    assert check.heard("/logs/a/deep/s3.jsonl") == "/logs/a"
    assert check.heard("/logs/a/deep/s3.jsonl") is None
    assert check.mute == set()


def test_after_events_were_lost(check: CrossCheck) -> None:
    """What this sweep and the next one find is held against nobody; the one after that is."""
    check.suspect(WRITTEN, 10)
    check.excuse()
    check.judge(11)
    check.suspect(WRITTEN, 12)
    check.begin_sweep()
    check.suspect(WRITTEN, 13)
    check.judge(20)
    assert check.mute == set()
    check.begin_sweep()
    check.suspect(WRITTEN, 20)
    check.judge(21)
    assert check.mute == {"/logs"}


def test_memory_for_events_is_bounded(check: CrossCheck) -> None:
    """With too many to remember nothing is judged for a while."""
    for number in range(MOST_PATHS + 1):
        check.heard(f"/logs/b/{number}.jsonl")
    check.suspect(WRITTEN, 10)
    check.judge(11)
    assert check.mute == set()
