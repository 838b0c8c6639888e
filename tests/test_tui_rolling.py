"""The last 24 hours by minute: kept up to date, they are what the store says now."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from builders import line, usage
from tokentail import prices
from tokentail.coordinator import UpdateCoordinator
from tokentail.sources import LocalFolders
from tokentail.tui.rolling import MOST_MINUTES, Kinds, RollingWindow

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
LOG = "-home-dev-app/s1.jsonl"


class Logs:
    """A log, its store, and a window that is told of every change."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "logs" / LOG
        self.log.parent.mkdir(parents=True)
        self.now = NOON
        self.coordinator = UpdateCoordinator(LocalFolders([folder / "logs"]), folder / "store.db", prices=prices.load(), clock=self._clock)
        self.window = RollingWindow(prices.load())

    def _clock(self) -> float:
        return self.now.timestamp()

    def write(self, *lines: bytes) -> None:
        with self.log.open("ab") as log:
            log.writelines(lines)
        self.window.expect(self.coordinator.check_for_updates().changes)

    def reply(self, name: str, *, minutes_ago: float = 0.0, output: int = 10, **fields: Any) -> bytes:
        at = (self.now - timedelta(minutes=minutes_ago)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return line(name, output=output, **{"timestamp": at, **fields})

    @property
    def now_ms(self) -> int:
        return int(self.now.timestamp() * 1000)

    def outputs(self) -> dict[int, float]:
        """Output tokens by how many minutes ago; those of the minutes that have some."""
        tokens = self.window.minutes(self.coordinator.db, self.now_ms).tokens
        return {MOST_MINUTES - 1 - place: kinds.output for place, kinds in enumerate(tokens) if kinds.output}

    def is_exact(self) -> bool:
        """Does the window say what one says that is filled just now?"""
        fresh = RollingWindow(prices.load()).minutes(self.coordinator.db, self.now_ms)
        return self.window.minutes(self.coordinator.db, self.now_ms) == fresh


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    return Logs(tmp_path)


def test_past_is_there_from_the_start(logs: Logs) -> None:
    """The window is filled from the store: who opens the screen and widens the chart sees what was before."""
    logs.write(logs.reply("a", minutes_ago=1200, output=7), logs.reply("b", output=9))

    assert logs.outputs() == {1200: 7, 0: 9}


def test_reply_that_grows_counts_once(logs: Logs) -> None:
    """What changes is read anew and never added to."""
    logs.write(logs.reply("a", minutes_ago=3, output=5, stop_reason=None))
    assert logs.outputs() == {3: 5}

    logs.write(logs.reply("a", minutes_ago=3, output=50))

    assert logs.outputs() == {3: 50}


def test_reply_that_turns_out_to_be_older_moves(logs: Logs) -> None:
    """A line with an earlier time, found later, takes the reply to its minute and out of the other one."""
    logs.write(logs.reply("a", minutes_ago=3, output=5))
    assert logs.outputs() == {3: 5}

    logs.write(logs.reply("a", minutes_ago=8, output=6))

    assert logs.outputs() == {8: 6}


def test_reply_that_is_gone_leaves_its_minute(logs: Logs) -> None:
    """Where one id turns out to serve two requests, both count, and what was taken for one reply does not."""
    logs.write(logs.reply("a", minutes_ago=3, output=5, requestId="req_1"))
    assert logs.outputs() == {3: 5}

    logs.write(logs.reply("a", minutes_ago=2, output=6, requestId="req_2"))

    assert logs.outputs() == {3: 5, 2: 6}


def test_minutes_move_on_with_the_clock(logs: Logs) -> None:
    """What is older than a day leaves the window, and nothing of it stays in memory."""
    logs.write(logs.reply("a", output=5))
    assert logs.outputs() == {0: 5}

    logs.now += timedelta(minutes=MOST_MINUTES - 1)
    assert logs.outputs() == {MOST_MINUTES - 1: 5}
    logs.now += timedelta(minutes=1)
    assert logs.outputs() == {}
    assert logs.window._minutes == {}


def test_reply_from_the_future_comes_with_its_minute(logs: Logs) -> None:
    """A clock that is ahead of ours wrote it: it appears when our clock is there."""
    logs.write(logs.reply("a", minutes_ago=-5, output=5))
    assert logs.outputs() == {}

    logs.now += timedelta(minutes=5)

    assert logs.outputs() == {0: 5}


def test_model_without_a_price_has_tokens_and_no_dollars(logs: Logs) -> None:
    """Unknown is drawn as nothing; the cards say that it is a lower bound."""
    logs.write(logs.reply("a", model="claude-unknown-9", usage=usage(3, input_tokens=1)))

    minutes = logs.window.minutes(logs.coordinator.db, logs.now_ms)

    assert minutes.tokens[-1].output == 3
    assert minutes.costs_usd[-1] == Kinds()


@pytest.mark.parametrize("seed", range(8))
def test_window_that_is_kept_up_to_date_is_exact(logs: Logs, seed: int) -> None:
    """Whatever comes, grows, moves, splits, and however time goes on: it is the same as one that is filled just now."""
    chance = random.Random(seed)
    for _ in range(40):
        lines = [
            logs.reply(
                f"m{chance.randrange(12)}",
                minutes_ago=chance.choice([0, 0, 1, 3, 50, 1430]),
                output=chance.randrange(1, 99),
                model=chance.choice(["claude-opus-5", "claude-haiku-4-5"]),
                requestId=chance.choice(["req_1", "req_1", "req_1", "req_2"]),
                stop_reason=chance.choice([None, "end_turn"]),
            )
            for _ in range(chance.randrange(4))
        ]
        logs.write(*lines)
        if chance.random() < 0.6:
            logs.now += timedelta(minutes=chance.choice([0, 0, 1, 7, 200]))
        if chance.random() < 0.5:
            assert logs.is_exact()
    assert logs.is_exact()
