"""Tests of `tokentail.tui.allowances`: how far limits and budgets are used, on the cards and on their page."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from budgeting import NOW_MS, UTC, measured, used
from desk import NOON, desk, reply
from tokentail import database, samples
from tokentail.config import Budget, Config
from tokentail.limits import Forecast, Limit, Share
from tokentail.model import Counts
from tokentail.projects import Projects
from tokentail.reports.text import text_width
from tokentail.samples import Sample
from tokentail.tui.allowances import Allowances, Gauge, budget_gauge, gauge_line, limit_gauge, on_cards, page

HOUR_MS, MINUTE_MS = 3_600_000, 60_000
SAID = Sample("five_hour", NOW_MS, NOW_MS, 42.0, NOW_MS + 2 * HOUR_MS)
LIMIT = Limit("five_hour", "official", 42.0, SAID, NOW_MS - 3 * HOUR_MS, NOW_MS + 2 * HOUR_MS, Counts(), None, None, ())
NOBODY = Projects({}, {})


def leading(percent: float | None, full_ms: int | None = None) -> Forecast:
    return Forecast(1.0, 2.0, percent, full_ms)


def text_of(allowances: Allowances, width: int = 120) -> str:
    return "\n".join(line.plain for line in page(allowances, UTC, width))


def test_a_limit_says_how_sure_it_is() -> None:
    """What was said a moment ago is official, what was said long ago stale with its age, and all else an estimate."""
    stale = LIMIT._replace(standing="stale", sample=SAID._replace(last_ms=NOW_MS - 75 * MINUTE_MS))
    guess = LIMIT._replace(standing="estimate", sample=None)
    found = [limit_gauge(each, NOW_MS, UTC) for each in (LIMIT, stale, guess)]
    assert [(each.figure, each.standing) for each in found if each] == [
        ("42 %", "official"),
        ("42 %", "stale 1h 15m"),
        ("~42 %", "estimate"),
    ]
    assert limit_gauge(LIMIT._replace(percent=None), NOW_MS, UTC) is None
    assert limit_gauge(LIMIT._replace(start_ms=None, percent=0.0), NOW_MS, UTC) is None


@pytest.mark.parametrize(
    ("forecast", "short", "wide"),
    [
        (None, "", ""),
        (leading(None), "", ""),
        (leading(85.4), "→ 85 %", "→ 85 % at 14:00"),
        (leading(85.4, NOW_MS + HOUR_MS), "→ 85 %", "→ 85 % at 14:00"),  # the pace of now seldom lasts
        (leading(130.0, NOW_MS + HOUR_MS), "full 13:00", "full at 13:00"),
        (leading(130.0, NOW_MS + 30 * HOUR_MS), "full Sat", "full at Sat 18:00"),
    ],
)
def test_a_limit_says_where_it_leads(forecast: Forecast | None, short: str, wide: str) -> None:
    """What is expected at its end, or when it is full where that comes before."""
    gauge = limit_gauge(LIMIT._replace(forecast=forecast), NOW_MS, UTC)
    assert gauge is not None
    assert (gauge.ahead, gauge.ahead_wide) == (short, wide)


def test_a_budget_says_how_far_it_is_used() -> None:
    """A lower bound is marked, what is crossed is said; a rate of cache hits is on the page only, as less of it is worse."""
    lines = [used(number, 30) for number in range(20)]  # 0.5 USD
    budgets = [Budget("a day", "cost", "2"), Budget("spent", "cost", "0.4"), Budget("hits", "cache_hit_rate", "80")]
    near, crossed, hits = measured(budgets, *lines)
    assert [budget_gauge(each) for each in (near, crossed, hits)] == [
        Gauge("a day", 0.25, "25 %", "", "of 2.00 USD", ""),
        Gauge("spent", 1.25, "125 %", "crossed", "crossed", ""),
        None,
    ]
    bound = budget_gauge(near._replace(is_lower_bound=True))
    assert bound is not None
    assert bound.figure == "≥ 25 %"


def test_each_card_has_what_is_used_the_most() -> None:
    """Five-hour limits and budgets of a window belong to one card, those of a week to another, all others to today's."""
    budgets = [
        Budget("a day", "cost", "2"),
        Budget("a month", "cost", "0.6", period="month"),
        Budget("a window", "cost", "1", period="block"),
        Budget("a week", "cost", "100", period="week"),
    ]
    standings = measured(budgets, *(used(number, 30) for number in range(20)))
    week = LIMIT._replace(kind="seven_day", percent=12.0)
    opus = LIMIT._replace(kind="seven_day_opus", percent=70.0)
    cards = on_cards(Allowances(NOW_MS, (LIMIT, week, opus), tuple(standings), NOBODY), UTC)
    assert {card: (gauge.label, round(gauge.share, 2)) for card, gauge in cards.items()} == {
        "today": ("a month", 0.83),
        "window": ("a window", 0.5),
        "week": ("opus", 0.7),
    }
    assert on_cards(Allowances(NOW_MS, (), (), NOBODY), UTC) == {}


@given(
    st.text(min_size=1, max_size=30),
    st.floats(0, 20),
    st.sampled_from(["", "→ 85 %", "full 13:00", "crossed"]),
    st.integers(22, 120),
)
def test_a_line_has_the_width_that_there_is(label: str, share: float, ahead: str, width: int) -> None:
    """Whatever a budget is called and however far it is exceeded."""
    line = gauge_line(Gauge(label, share, f"{share * 100:.0f} %", ahead, ahead, ""), width)
    assert text_width(line.plain) == width
    assert line.plain.endswith(ahead)


def test_the_page_has_all_of_them() -> None:
    """Each limit with how sure it is, where it leads and whose work it was; each budget with what is measured."""
    shares = tuple(
        Share(f"-home-dev-p{number}", number == 1, Counts(total_tokens=1, replies=1, cost_usd=1.0 - number / 10), (8 - number) / 36)
        for number in range(8)
    )
    limit = LIMIT._replace(shares=shares, forecast=leading(85.4), counts=Counts(replies=8, cost_usd=5.2))
    budget = measured([Budget("a day", "cost", "2")], used(1, 30))
    assert text_of(Allowances(NOW_MS, (limit,), tuple(budget), Projects({"-home-dev-p1": "/home/dev/mill"}, {}))) == "\n".join(
        [
            "5 hours         ━━━━━━━━━━━━━━━━━╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌  42 %",
            "                official, 0s ago",
            "                from 09:00 to 14:00, in 2h 0m",
            "                $ 5.20 in 8 replies on this machine",
            "                now $ 1.00 an hour; expected at the end: 85 %, $ 2.00",
            "                -home-dev-p0                     ━━        22 %    9.3 % of the limit  $1.00",
            "                mill, subagents                  ━╸        19 %    8.2 % of the limit  $0.90",
            "                -home-dev-p2                     ━╸        17 %    7.0 % of the limit  $0.80",
            "                -home-dev-p3                     ━         14 %    5.8 % of the limit  $0.70",
            "                -home-dev-p4                     ━         11 %    4.7 % of the limit  $0.60",
            "                -home-dev-p5                     ╸          8 %    3.5 % of the limit  $0.50",
            "                and 2 more",
            "",
            "a day           ╸╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌  1.2 %",
            "                cost, 2026-10-02: 0.03 of 2.00 USD",
            "",
        ]
    )


def test_an_empty_page_says_what_to_do() -> None:
    """Without a window, a word of Claude Code or a budget."""
    nothing = LIMIT._replace(standing="estimate", percent=0.0, sample=None, start_ms=None, end_ms=None)
    shown = text_of(Allowances(NOW_MS, (nothing,), (), NOBODY))
    assert "no window is running: the next reply opens one" in shown
    assert "tokentail statusline --install" in shown
    assert "docs/budgets.md" in shown


def test_hostile_names_are_text() -> None:
    """Control bytes and markup of a project's name do nothing, and a line stays a line."""
    share = Share("-x\x1b[31m\n[bold]b[/bold]", False, Counts(cost_usd=1.0), 1.0)
    hostile, plain = (
        text_of(Allowances(NOW_MS, (LIMIT._replace(shares=(each,)),), (), NOBODY)) for each in (share, share._replace(project="x"))
    )
    assert "\x1b" not in hostile
    assert "[bold]b[/bold]" in hostile
    assert len(hostile.splitlines()) == len(plain.splitlines())


async def test_the_screen_shows_them(tmp_path: Path) -> None:
    """What the status line kept and what the settings say, on the cards and on a page of their own."""
    settings = Config(budgets=(Budget("a day", "cost", "0.01"),))
    async with desk(tmp_path, reply(60, output=400), settings=settings) as at_desk:
        await at_desk.until(lambda: "a day ━" in at_desk.text)
        assert "limit" not in at_desk.text
        with closing(database.open_for_writing(tmp_path / "store.db")) as db:
            at_ms = int(NOON.timestamp() * 1000)
            samples.keep(db, samples.Heard("s1", 1.0, (samples.Reading("five_hour", 37.0, at_ms + HOUR_MS),)), at_ms - MINUTE_MS)
        at_desk.app._allowances_due = 0.0
        await at_desk.write(reply(30))
        await at_desk.until(lambda: "5 hours · official" in at_desk.text)
        await at_desk.until(lambda: "37 %" in at_desk.text)
        await at_desk.press("6")
        await at_desk.until(lambda: "official, 1m ago" in at_desk.text)
        await at_desk.pilot.resize_terminal(160, 50)
        await at_desk.until(lambda: "cost, 2026-10-01" in at_desk.text)
