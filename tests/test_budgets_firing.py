"""Tests of `tokentail.budgets.firing` and its memory: each crossing is told once, whoever looks and however often."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from budgeting import NOW_MS, hook, measured, used
from tokentail.budgets.channels import Channels
from tokentail.budgets.firing import MOST_TRIES, Fired, fire
from tokentail.budgets.measuring import Standing
from tokentail.budgets.memory import Memory
from tokentail.config import Budget, Config

RULE = Budget("day", "tokens", "1000")


class Place:
    """A store's folder, and a command that writes down what it is told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said = folder / "said"
        self.now_ms = NOW_MS

    def told(self, budget: Budget) -> Budget:
        """The budget, told by that command."""
        return budget._replace(command=("sh", "-c", f'echo "$0" >> "{self.said}"', "{message}"))

    def broken(self, budget: Budget) -> Budget:
        """The budget, told by a command that fails until there is a file `works`."""
        return budget._replace(command=("sh", "-c", f'test -e "{self.folder}/works" && echo "$0" >> "{self.said}"', "{message}"))

    def look(self, standings: Sequence[Standing]) -> Fired:
        """As a process that has just started."""
        return fire(standings, Memory(self.folder / "store.db"), Channels(Config(), {"PATH": "/usr/bin:/bin"}), self.now_ms)

    def heard(self) -> list[str]:
        return self.said.read_text().splitlines() if self.said.exists() else []


@pytest.fixture(name="place")
def fixture_place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_crossing_is_told_once(place: Place) -> None:
    """However often it is looked at, by a process that starts anew each time."""
    crossed = measured([place.told(RULE)], used(1, 1))
    first, *others = [place.look(crossed) for _ in range(3)]
    assert [told.standing.budget.name for told in first.crossed] == ["day"]
    assert others == [Fired((), ())] * 2
    assert place.heard() == ["budget day: 1,000 of 1,000 tokens in 2026-10-02"]


def test_below_its_threshold_nobody_is_told(place: Place) -> None:
    """Not even when it is near."""
    assert place.look(measured([place.told(RULE._replace(threshold="1001"))], used(1, 1))) == Fired((), ())
    assert place.heard() == []


def test_the_next_day_is_another_crossing(place: Place) -> None:
    """Each period has its own."""
    day_ms = 86_400_000
    for now_ms in (NOW_MS, NOW_MS + day_ms):
        place.look(measured([place.told(RULE)], used(1, 1), used(2, -24 * 60), now_ms=now_ms))
    assert len(place.heard()) == 2


def test_a_rate_is_told_again_only_after_it_has_calmed_down(place: Place) -> None:
    """It rises, swings about its threshold, falls by more than a twentieth, and rises again."""
    rule = place.told(RULE._replace(period="hour"))
    for output in (1000, 990, 1010, 960, 1000):
        place.look(measured([rule], used(1, 1, output=output)))
    assert len(place.heard()) == 1
    for output in (940, 1000):
        place.look(measured([rule], used(1, 1, output=output)))
    assert len(place.heard()) == 2


def test_a_day_is_told_once_whatever_becomes_of_its_replies(place: Place) -> None:
    """Somebody may have them forgotten, or a store is filled anew."""
    for lines in ([used(1, 1)], [], [used(1, 1)]):
        place.look(measured([place.told(RULE)], *lines))
    assert len(place.heard()) == 1


LIMIT_MS = 5 * 3_600_000


def window(place: Place, start_ms: int, *, rule: Budget = Budget("plan", "limit", "80", "block")) -> list[Standing]:  # noqa: B008  # it is frozen
    """A limit that is crossed in the window from a moment on."""
    crossed = measured([place.told(rule)], used(1, 1))
    return [each._replace(value=90.0, is_crossed=True, start_ms=start_ms, end_ms=start_ms + LIMIT_MS) for each in crossed]


def test_a_window_of_a_limit_is_told_once_however_its_end_is_said(place: Place) -> None:
    """Claude Code does not say it to the second each time, and before it did, the start was an estimate."""
    for start_ms in (NOW_MS, NOW_MS + 1000, NOW_MS - 60_000, NOW_MS + 3_600_000):
        place.look(window(place, start_ms))
    assert len(place.heard()) == 1


@pytest.mark.parametrize("off_ms", [0, 60_000, -60_000])
def test_the_next_window_of_a_limit_is_another_one(place: Place, off_ms: int) -> None:
    """Even if it begins the moment that the first one ends."""
    place.look(window(place, NOW_MS))
    place.look(window(place, NOW_MS + LIMIT_MS + off_ms))
    assert len(place.heard()) == 2


def test_a_limit_that_is_corrected_is_not_told_again(place: Place) -> None:
    """A stale percentage was too high; what Claude Code says then is below, and rises to it once more."""
    high = window(place, NOW_MS)
    low = [each._replace(value=60.0, is_crossed=False, is_calm=True) for each in high]
    for found in (high, low, high):
        place.look(found)
    assert len(place.heard()) == 1


def test_a_rule_that_was_changed_begins_anew(place: Place) -> None:
    """Whoever lowers a threshold wants to know that it is crossed, too; who only adds a way to be told is told in that way."""
    place.look(measured([RULE], used(1, 1)))
    place.look(measured([place.told(RULE)], used(1, 1)))
    assert len(place.heard()) == 1
    place.look(measured([place.told(RULE._replace(threshold="900"))], used(1, 1)))
    assert len(place.heard()) == 2


def test_a_budget_that_is_gone_is_forgotten(place: Place) -> None:
    """Should it come back, it is a new one."""
    crossed = measured([place.told(RULE)], used(1, 1))
    place.look(crossed)
    place.look([])
    place.look(crossed)
    assert len(place.heard()) == 2


def test_what_fails_is_tried_again_after_a_pause(place: Place) -> None:
    """In a minute, then in five, then every half an hour; what worked is not done again."""
    crossed = measured([place.broken(RULE)], used(1, 1))
    assert place.look(crossed).problems == ("budget day cannot be told by command: sh ended with exit code 1",)
    assert place.look(crossed).problems == ()  # not yet
    for pause_ms in (60_000, 300_000, 1_800_000, 1_800_000):
        place.now_ms += pause_ms - 1
        assert place.look(crossed).problems == ()
        place.now_ms += 1
        assert len(place.look(crossed).problems) == 1
    (place.folder / "works").touch()
    place.now_ms += 1_800_000
    assert place.look(crossed) == Fired((), ())
    assert len(place.heard()) == 1


def test_what_never_works_is_given_up(place: Place) -> None:
    """A webhook that is gone is not asked for ever."""
    crossed = measured([place.broken(RULE)], used(1, 1))
    failed = 0
    for _ in range(MOST_TRIES + 5):
        failed += len(place.look(crossed).problems)
        place.now_ms += 1_800_000
    assert failed == MOST_TRIES


def test_one_way_that_fails_does_not_repeat_another(place: Place) -> None:
    """Each way is told once by itself."""
    with hook() as web:
        web.answers = [400, 204]
        crossed = measured([place.told(RULE)._replace(webhook=web.address)], used(1, 1))
        assert place.look(crossed).problems == ("budget day cannot be told by webhook: the webhook answered with status 400",)
        place.now_ms += 60_000
        assert place.look(crossed).problems == ()
        assert len(web.heard) == 2
        assert web.heard[0].json["id"] == web.heard[1].json["id"]
    assert len(place.heard()) == 1


def test_two_processes_that_look_at_once_tell_once(place: Place) -> None:
    """The screen and a check of a script, for example."""
    crossed = measured([place.told(RULE)], used(1, 1))
    threads = [threading.Thread(target=place.look, args=(crossed,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(place.heard()) == 1


def test_a_process_that_died_while_it_told_is_replaced(place: Place) -> None:
    """After three minutes another one tells it."""
    crossed = measured([place.told(RULE)], used(1, 1))
    memory = Memory(place.folder / "store.db")
    place.look(measured([RULE], used(1, 1)))
    with memory.changing() as crossings:
        crossings["day"] = crossings["day"]._replace(next_ms=NOW_MS + 180_000)
    place.look(crossed)
    assert place.heard() == []
    place.now_ms += 180_000
    place.look(crossed)
    assert len(place.heard()) == 1


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"crossings": {"day": {}}}', b'{"crossings": {"day": 1}}', b"\xff", b'{"crossings": 7}']
)
def test_a_damaged_memory_is_told_and_begun_anew(place: Place, damage: bytes) -> None:
    """It may lead to a second notification, and never to an error or to silence."""
    crossed = measured([place.told(RULE)], used(1, 1))
    place.look(crossed)
    Memory(place.folder / "store.db").path.write_bytes(damage)
    (problem,) = place.look(crossed).problems
    assert problem.startswith(f"cannot read {place.folder}/store.db.budgets: ")
    assert place.look(crossed).problems == ()
    assert len(place.heard()) == 2


def test_the_memory_is_for_its_owner_alone(place: Place) -> None:
    """It says what somebody spends."""
    place.look(measured([RULE], used(1, 1)))
    assert Memory(place.folder / "store.db").path.stat().st_mode & 0o077 == 0
