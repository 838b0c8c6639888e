"""Tests of `tokentail.budgets.watching`: crossings are told beside whatever else runs."""

from __future__ import annotations

import queue
from contextlib import closing
from pathlib import Path

import pytest

from builders import coordinator, write_logs
from test_budget_command import Home
from tokentail import database, prices
from tokentail.budgets.firing import Fired
from tokentail.budgets.watching import Watched, watching
from tokentail.config import Budget, Config
from tokentail.periods import parse_zone

UTC = parse_zone("UTC")
ONE = Budget("hour", "tokens", "1000", "hour")


class Heard:
    """What the watching thread tells."""

    def __init__(self) -> None:
        self._said: queue.Queue[Fired] = queue.Queue()

    def tell(self, fired: Fired) -> None:
        self._said.put(fired)

    def next(self) -> Fired:
        return self._said.get(timeout=30)


def watched(folder: Path, *budgets: Budget) -> Watched:
    return Watched(folder / "store.db", Config(budgets=budgets), prices.load(), UTC)


def fill(folder: Path, number: int) -> None:
    """One more reply of 1 000 tokens, written now."""
    with (write_logs(folder / "logs", {}) / "s1.jsonl").open("ab") as log:
        log.write(Home.reply(number))
    with closing(coordinator(folder / "logs", folder / "store.db")) as engine:
        engine.check_for_updates()


def test_a_store_that_is_made_while_it_is_watched_is_found(tmp_path: Path) -> None:
    """The first start of all."""
    (tmp_path / "logs").mkdir()
    heard = Heard()
    with watching(watched(tmp_path, ONE), heard.tell, every_s=0.01):
        fill(tmp_path, 1)
        assert [told.standing.value for told in heard.next().crossed] == [1000]


def test_what_others_commit_is_seen(tmp_path: Path) -> None:
    """Whoever reads the logs."""
    (tmp_path / "logs").mkdir()
    fill(tmp_path, 1)
    heard = Heard()
    with watching(watched(tmp_path, ONE._replace(threshold="2000")), heard.tell, every_s=0.01):
        fill(tmp_path, 2)
        assert [told.standing.value for told in heard.next().crossed] == [2000]


def test_a_store_that_is_replaced_is_followed(tmp_path: Path) -> None:
    """As after damage: another file stands at its place."""
    (tmp_path / "logs").mkdir()
    fill(tmp_path, 1)
    heard = Heard()
    with watching(watched(tmp_path, ONE, Budget("more", "tokens", "3000", "hour")), heard.tell, every_s=0.01):
        assert [told.standing.budget.name for told in heard.next().crossed] == ["hour"]
        for path in tmp_path.glob("store.db*"):
            if not path.name.endswith((".budgets", ".lock")):
                path.unlink()
        fill(tmp_path, 2)
        fill(tmp_path, 3)
        assert [told.standing.budget.name for told in heard.next().crossed] == ["more"]


def test_a_store_that_is_no_database_is_told_once(tmp_path: Path) -> None:
    """And does not end the watching."""
    (tmp_path / "store.db").write_bytes(b"no database at all, whatever its name says" * 100)
    heard = Heard()
    with watching(watched(tmp_path, ONE), heard.tell, every_s=0.01):
        assert len(heard.next().problems) == 1
        (tmp_path / "store.db").unlink()
        (tmp_path / "logs").mkdir()
        fill(tmp_path, 1)
        assert len(heard.next().crossed) == 1


def test_without_budgets_nothing_runs(tmp_path: Path) -> None:
    """Nobody pays for what nobody asked for."""
    with watching(watched(tmp_path), Heard().tell):
        assert not database.store_path(tmp_path, None).exists()


def test_the_feed_tells_of_crossings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Beside its lines: on stderr, and in the ways of the budget."""
    monkeypatch.setenv("TOKENTAIL_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("TOKENTAIL_HOME", str(tmp_path / "home"))
    home = Home(tmp_path, capsys)
    home.budget(threshold=2000)
    home.tells_of_a_crossing("feed", "--json")
