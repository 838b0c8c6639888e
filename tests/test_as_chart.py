"""Tests of `tokentail.reports.as_chart`: what is compared, and that a chart of time shows where there is none."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from builders import AUTUMN, record
from test_as_table import periods
from test_build import counted
from tokentail.periods import HOUR_MS
from tokentail.reports.as_chart import report_chart
from tokentail.reports.columns import KINDS
from tokentail.reports.request import Request
from tokentail.reports.text import Style

PLAIN = Style(False)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize("name", sorted(KINDS))
def test_what_has_no_price_is_not_compared_by_it(name: str) -> None:
    """Shares and bars are of tokens where nothing has a price."""
    lines = [record("msg_1", model="claude-zeta-9"), record("msg_2", model="claude-zeta-8", at_ms=AUTUMN)]
    report = counted(Request(name, BERLIN), *lines)
    chart = report_chart(report, width=100, style=PLAIN)
    assert "Tokens" in chart
    assert "█" in chart
    assert "Cost" not in chart


@pytest.mark.parametrize(
    ("name", "keys", "said"),
    [
        ("daily", ("2026-10-01", "2026-10-02", "2026-10-05"), ["  2 days without usage"]),
        ("daily", ("2026-10-05", "2026-10-03"), ["  1 day without usage"]),
        ("weekly", ("2026-09-28", "2026-10-05", "2026-10-26"), ["  2 weeks without usage"]),
        ("monthly", ("2025-12", "2026-01", "2026-03"), ["  1 month without usage"]),
        ("daily", ("2026-10-05", "2026-10-01", "2026-10-09"), []),
    ],
)
def test_a_chart_says_where_time_is_left_out(name: str, keys: tuple[str, ...], said: list[str]) -> None:
    """Bars that stand side by side are not always days in a row; in another order than that of time nobody takes them for it."""
    chart = report_chart(periods(*keys, name=name), width=80, style=PLAIN).splitlines()
    assert [line for line in chart if "without" in line] == said


def test_a_gap_stands_where_it_is() -> None:
    """Behind all that belongs to the row before."""
    lines = [record("msg_1", at_ms=AUTUMN), record("msg_2", at_ms=AUTUMN + 72 * HOUR_MS)]
    report = counted(Request("daily", BERLIN, breakdown=True), *lines)
    chart = report_chart(report, width=80, style=PLAIN, breakdown=True).splitlines()
    assert [line.split("  ")[1] for line in chart[1:6]] == ["Sun", "opus 5", "2 days without usage", "Wed", "opus 5"]
