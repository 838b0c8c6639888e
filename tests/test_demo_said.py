"""Tests of `tokentail.demo.said`: the demo's limits and budgets stand as those of a person would."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from tokentail import demo, prices
from tokentail.budgets.measuring import standings
from tokentail.coordinator import UpdateCoordinator
from tokentail.demo import said
from tokentail.limits import limits
from tokentail.sources import LocalFolders

NOW = datetime(2026, 11, 18, 14, 30, tzinfo=UTC)


def test_the_demo_has_limits_and_budgets(tmp_path: Path) -> None:
    """Both limits are official, have grown with the costs and cost something a percent; both budgets are used in part."""
    demo.write_demo(tmp_path, now=NOW)
    now_ms, price_list = int(NOW.timestamp() * 1000), prices.load()
    with closing(UpdateCoordinator(LocalFolders([tmp_path / "projects"]), tmp_path / "store.db", prices=price_list)) as coordinator:
        coordinator.check_for_updates()
        said.say(coordinator.db, price_list, now_ms)
        found = limits(coordinator.db, price_list, now_ms)
        budgets = standings(coordinator.db, said.SETTINGS, price_list, ZoneInfo("UTC"), now_ms)
    assert [(limit.kind, limit.standing) for limit in found] == [("five_hour", "official"), ("seven_day", "official")]
    assert all(limit.percent and 20 < limit.percent < 80 and limit.rate for limit in found)
    assert all(budget.share and 0.05 < budget.share < 1 for budget in budgets)


def test_made_up_logs_that_are_empty_have_no_window(tmp_path: Path) -> None:
    """Nothing is said of a window that does not run, and nothing fails."""
    (tmp_path / "projects").mkdir()
    with closing(UpdateCoordinator(LocalFolders([tmp_path / "projects"]), tmp_path / "store.db", prices=prices.load())) as coordinator:
        coordinator.check_for_updates()
        said.say(coordinator.db, prices.load(), int(NOW.timestamp() * 1000))
        assert [limit.percent for limit in limits(coordinator.db, prices.load(), int(NOW.timestamp() * 1000))] == [0.0, 0.0]
