"""Tests of `tokentail.budgets.measuring`: what was used in the period that runs now, exactly."""

from __future__ import annotations

import sqlite3
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from budgeting import MINUTE_MS, NOW_MS, UTC, measured, used
from builders import MODEL, OWNER, SPREAD, replies_in, store_of
from test_build import CONTEXT
from tokentail import prices, samples
from tokentail.budgets.measuring import LEAST_REPLIES, Standing, standings
from tokentail.config import Alias, Blocks, Budget, Config, Projects
from tokentail.limits.now import limit
from tokentail.model import Record
from tokentail.periods import utc_text
from tokentail.reports.build import build
from tokentail.reports.data import Stored
from tokentail.reports.request import Request
from tokentail.samples import Heard, Reading

HOUR, DAY = 60, 24 * 60


def standing(budget: Budget, *lines: Record, zone: ZoneInfo = UTC, said: Config | None = None) -> Standing:
    (found,) = measured([budget], *lines, zone=zone, settings=said)
    return found


@pytest.mark.parametrize(
    ("period", "replies", "name"),
    [
        ("hour", 1, "hour"),
        ("block", 2, "the window from 2026-10-02 08:00"),
        ("day", 3, "2026-10-02"),
        ("week", 4, "the week of 2026-09-28"),
        ("month", 4, "2026-10"),
    ],
)
def test_a_period_has_its_own_replies(period: str, replies: int, name: str) -> None:
    """Of one reply each 1 minute, 3 hours, 11 hours, a day and a half, and ten days ago it is Friday noon."""
    lines = [used(number, ago) for number, ago in enumerate((1, 3.5 * HOUR, 11 * HOUR, 1.4 * DAY, 10 * DAY))]
    found = standing(Budget("b", "tokens", "1", period), *lines)  # type: ignore[arg-type]  # one of the periods
    assert (found.value, found.period) == (replies * 1000, name)


def test_the_hour_is_the_last_sixty_minutes() -> None:
    """To the millisecond: a reply of an hour ago is out, one of just now is in."""
    found = standing(Budget("b", "tokens", "1", "hour"), used(1, 60), used(2, 60 - 1 / 60_000), used(3, 0))
    assert found.value == 2000


def test_a_day_is_that_of_the_zone() -> None:
    """In Auckland it is already Saturday, one in the morning."""
    found = standing(Budget("b", "tokens", "1"), used(1, 30), used(2, 2 * HOUR), zone=ZoneInfo("Pacific/Auckland"))
    assert (found.period, found.value) == ("2026-10-03", 1000)


def test_a_week_begins_when_the_settings_say() -> None:
    """On Thursday, for some."""
    found = standing(Budget("b", "tokens", "1", "week"), used(1, 1), used(2, 3 * DAY), said=Config(week_starts="thursday"))
    assert (found.period, found.value) == ("the week of 2026-10-01", 1000)


def test_without_a_running_window_nothing_is_used_in_it() -> None:
    """Five hours after the first reply it has ended."""
    found = standing(Budget("b", "tokens", "1", "block"), used(1, 6 * HOUR))
    assert (found.period, found.value, found.is_crossed) == ("no window", 0, False)


@pytest.mark.parametrize(("threshold", "is_crossed"), [("0.05", True), ("0.05001", False), ("0.049", True), ("0", True)])
def test_a_cost_is_crossed_when_it_is_reached(threshold: str, is_crossed: bool) -> None:
    """Exactly: two replies of 0.025 USD are 0.05 USD."""
    found = standing(Budget("b", "cost", threshold), used(1, 1), used(2, 2))
    assert (found.value, found.is_crossed) == (0.05, is_crossed)


def test_a_burn_rate_is_what_the_last_hour_cost() -> None:
    """In USD an hour."""
    found = standing(Budget("b", "burn_rate", "0.05", "hour"), used(1, 1), used(2, 59), used(3, 61))
    assert (found.value, found.is_crossed, found.period) == (0.05, True, "hour")


@pytest.mark.parametrize(("threshold", "is_crossed"), [("75", False), ("75.5", True)])
def test_a_cache_hit_rate_is_crossed_below_its_threshold(threshold: str, is_crossed: bool) -> None:
    """Of the prompts' tokens three of four came from the cache here."""
    lines = [used(number, 1, output=0, read=3) for number in range(LEAST_REPLIES - 1)]
    lines.append(used(99, 1, output=0, read=3, model=MODEL))
    fresh = [
        used(100 + number, 1, output=0)._replace(tokens=lines[0].tokens._replace(input=1, cache_read=0)) for number in range(len(lines))
    ]
    found = standing(Budget("b", "cache_hit_rate", threshold), *lines, *fresh)
    assert (found.value, found.is_crossed) == (75, is_crossed)


def test_a_few_replies_have_no_cache_hit_rate() -> None:
    """The first prompt of a day hits nothing, and that is no alarm."""
    found = standing(Budget("b", "cache_hit_rate", "50"), *(used(number, 1) for number in range(LEAST_REPLIES - 1)))
    assert (found.value, found.is_crossed) == (None, False)


def test_what_has_no_price_has_no_cost() -> None:
    """Unknown is neither zero nor crossed."""
    found = standing(Budget("b", "cost", "0"), used(1, 1, model="claude-zeta-9"))
    assert (found.value, found.is_crossed, found.message) == (None, False, "? of 0.00 USD in 2026-10-02")


def test_a_part_without_a_price_makes_a_lower_bound() -> None:
    """What is known can cross it all the same."""
    found = standing(Budget("b", "cost", "0.02"), used(1, 1, model="claude-zeta-9"), used(2, 1))
    assert (found.value, found.is_crossed, found.is_lower_bound) == (0.025, True, True)


def test_a_budget_may_be_of_some_projects_and_models() -> None:
    """By the names that reports take, aliases among them."""
    lines = [used(1, 1), used(2, 1, project="-home-dev-shop"), used(3, 1, project="-home-dev-shop", model="claude-haiku-4-5")]
    said = Config(projects=Projects(aliases=(Alias("-home-dev-shop", "The shop"),)))
    assert standing(Budget("b", "tokens", "1", projects=("the shop",)), *lines, said=said).value == 2000
    assert standing(Budget("b", "tokens", "1", projects=("the shop",), models=("*opus*",)), *lines, said=said).value == 1000


def test_a_budget_may_be_of_some_machines_and_people() -> None:
    """Where others send to this one; the five-hour window of one person is the one that their replies opened."""
    anna = OWNER._replace(user="anna", host="ci-1")
    lines = [used(1, 200), used(2, 30)._replace(owner=anna), used(3, 20)._replace(owner=anna)]
    for budget, value, start in (
        (Budget("b", "tokens", "1", hosts=("this",)), 1000, "2026-10-02T00:00:00Z"),
        (Budget("b", "tokens", "1", users=("ANN*",)), 2000, "2026-10-02T00:00:00Z"),
        (Budget("b", "tokens", "1", period="block"), 3000, "2026-10-02T08:00:00Z"),
        (Budget("b", "tokens", "1", period="block", users=("anna",)), 2000, "2026-10-02T11:00:00Z"),
        (Budget("b", "tokens", "1", period="block", hosts=("this",)), 1000, "2026-10-02T08:00:00Z"),
    ):
        found = standing(budget, *lines)
        assert (found.value, utc_text(found.start_ms)) == (value, start)
    assert standing(Budget("b", "tokens", "1", users=("bert",)), *lines).hints == ("no user is called 'bert'",)


def test_a_name_that_means_nothing_is_told() -> None:
    """A budget that never is crossed because of a slip of the pen is worse than none."""
    found = standing(Budget("b", "tokens", "1", projects=("-home-dev-ap",)), used(1, 1))
    assert (found.value, found.hints) == (0, ("no project is called '-home-dev-ap' (did you mean '-home-dev-app'?)",))


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (Budget("b", "cost", "20"), "0.03 of 20.00 USD in 2026-10-02"),
        (Budget("b", "tokens", "2_000".replace("_", "")), "1,000 of 2,000 tokens in 2026-10-02"),
        (Budget("b", "burn_rate", "5", "hour"), "0.03 of 5.00 USD/h in the last hour"),
        (Budget("b", "cache_hit_rate", "90"), "? below 90.0 % in 2026-10-02"),
    ],
)
def test_a_message_says_it_in_a_sentence(budget: Budget, message: str) -> None:
    """For a notification."""
    assert standing(budget, used(1, 1)).message == message


def test_it_is_calm_when_it_has_gone_back_by_a_twentieth() -> None:
    """A rate that swings about its threshold is told once."""
    for threshold, is_crossed, is_calm in (("1000", True, False), ("1001", False, False), ("1053", False, True)):
        found = standing(Budget("b", "tokens", threshold, "hour"), used(1, 1))
        assert (found.is_crossed, found.is_calm) == (is_crossed, is_calm)


# Limits


def said_of(*lines: Record, minutes_ago: float, percent: float, kind: str = "five_hour", end_in: float = 2 * HOUR) -> sqlite3.Connection:
    """A store of those records, and what Claude Code said of a limit so many minutes ago."""
    db = store_of(*lines).connection
    at_ms = NOW_MS - round(minutes_ago * MINUTE_MS)
    samples.keep(db, Heard("s1", 1.0, (Reading(kind, percent, NOW_MS + round(end_in * MINUTE_MS)),)), at_ms)
    return db


def limit_of(db: sqlite3.Connection, budget: Budget, now_ms: int = NOW_MS, said: Config = Config()) -> Standing:  # noqa: B008  # it is frozen
    (found,) = standings(db, said._replace(budgets=(budget,)), prices.load(), UTC, now_ms)
    return found


FIVE, SEVEN = Budget("b", "limit", "80", "block"), Budget("b", "limit", "80", "week")


def test_a_limit_is_what_claude_code_said() -> None:
    """In the window that it said, which is no five-hour window of the logs."""
    found = limit_of(said_of(used(1, 1), minutes_ago=3, percent=80), FIVE)
    assert (found.value, found.is_crossed, found.standing, found.age_s) == (80, True, "official", None)
    assert (found.start_ms, found.end_ms) == (NOW_MS - 3 * HOUR * MINUTE_MS, NOW_MS + 2 * HOUR * MINUTE_MS)
    assert found.message == "80.0 of 80.0 % of the limit in the 5 hours from 2026-10-02 09:00 (official)"


def test_a_week_is_that_of_the_subscription() -> None:
    """Its weeks begin when Claude Code says."""
    found = limit_of(said_of(minutes_ago=3, percent=79.9, kind="seven_day", end_in=DAY), SEVEN)
    assert (found.value, found.is_crossed) == (79.9, False)
    assert found.message == "79.9 of 80.0 % of the limit in the 7 days from 2026-09-26 12:00 (official)"


def test_a_stale_limit_says_how_old_it_is() -> None:
    """To what was said comes what the logs show since: 0.025 USD were 40 %, and as much again was used after that."""
    found = limit_of(said_of(used(1, 2 * HOUR), used(2, 1), minutes_ago=HOUR, percent=40), FIVE)
    assert (found.value, found.is_crossed, found.standing, found.age_s) == (80, True, "stale", 3600)
    assert found.message == "80.0 of 80.0 % of the limit in the 5 hours from 2026-10-02 09:00 (stale, 1h 0m old)"


def test_a_limit_without_a_saying_is_an_estimate() -> None:
    """A past window says what a percent costs; the running one is that of the replies, to the rounding of the settings."""
    db = said_of(used(1, 7 * HOUR), used(2, 30), minutes_ago=6.5 * HOUR, percent=10, end_in=-2 * HOUR)
    found = limit_of(db, FIVE, said=Config(blocks=Blocks("none")))
    assert (found.value, found.standing) == (10, "estimate")
    assert found.message == "10.0 of 80.0 % of the limit in the 5 hours from 2026-10-02 11:30 (estimate)"


@pytest.mark.parametrize(("budget", "name"), [(FIVE, "5 hours"), (SEVEN, "7 days")])
def test_a_limit_that_nobody_knows_is_not_crossed(budget: Budget, name: str) -> None:
    """Whoever set such a budget hears why it tells nothing."""
    found = limit_of(said_of(used(1, 1), minutes_ago=1, percent=99, kind="seven_day_opus"), budget._replace(threshold="0"))
    assert (found.value, found.is_crossed, found.standing) == (None, False, "estimate")
    assert found.hints == (f"budget b: nobody has said how far the limit of {name} is used (`tokentail statusline --install` keeps it)",)


@pytest.mark.parametrize("measure", ["limit", "cost"])
def test_nothing_is_crossed_where_no_window_runs(measure: str) -> None:
    """Not even a threshold of 0, which would be crossed anew at each look."""
    found = limit_of(said_of(used(1, 6 * HOUR), minutes_ago=6 * HOUR, percent=99, end_in=-HOUR), Budget("b", measure, "0", "block"))  # type: ignore[arg-type]  # a measure
    assert (found.value, found.is_crossed, found.period, found.instance) == (0, False, "no window", "no window")


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.integers(0, 12 * HOUR), max_size=8, unique=True),
    st.lists(st.tuples(st.integers(0, 12 * HOUR), st.integers(0, 100), st.integers(-HOUR, 6 * HOUR)), max_size=4),
    st.sampled_from([("five_hour", FIVE), ("seven_day", SEVEN)]),
)
def test_a_limit_stands_as_the_limits_command_says(replies: list[int], said: list[tuple[int, int, int]], asked: tuple[str, Budget]) -> None:
    """Whatever was used and said when."""
    kind, budget = asked
    db = store_of(*(used(number, ago) for number, ago in enumerate(replies))).connection
    for ago, percent, end_in in sorted(said, reverse=True):
        at_ms = NOW_MS - ago * MINUTE_MS
        samples.keep(db, Heard(f"s{ago}", 1.0, (Reading(kind, float(percent), at_ms + end_in * MINUTE_MS),)), at_ms)
    shown = limit(db, prices.load(), NOW_MS, kind)
    found = limit_of(db, budget)
    assert (found.value, found.standing) == (shown.percent, shown.standing)
    if shown.start_ms is not None:
        assert (found.start_ms, found.end_ms) == (shown.start_ms, shown.end_ms or NOW_MS + 1)


@settings(deadline=None, max_examples=100)
@given(SPREAD, st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Chatham"]))
def test_a_day_is_that_of_the_daily_report(lines: list[Record], zone_name: str) -> None:
    """Cost and tokens are those of its row, on the day of each reply."""
    zone = ZoneInfo(zone_name)
    db = store_of(*lines).connection
    data = Stored(db, prices.load())
    rows = {row.key: row.counts for row in build(Request("daily", zone), data, CONTEXT).rows}
    for at_ms in {reply.at_ms for reply in replies_in(db).values()}:
        cost, tokens = measured([Budget("c", "cost", "1"), Budget("t", "tokens", "1")], *lines, zone=zone, now_ms=at_ms)
        counts = rows[cost.period]
        assert (cost.value, tokens.value) == (counts.cost_usd, counts.total_tokens)
        assert cost.start_ms <= at_ms < cost.end_ms
