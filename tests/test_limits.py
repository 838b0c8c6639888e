"""Tests of `tokentail.limits`: how far limits are used, where that leads, whose work it was, and what is said of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import AT_MS, MODEL, memory_store, record, store_of, write_logs
from tokentail import prices, samples
from tokentail.cli import main
from tokentail.limits import Limit, Share, ahead, learnt, limits, past
from tokentail.limits.as_text import errors_text, limits_text
from tokentail.limits.now import FRESH_MS, limit
from tokentail.limits.windows import Bounds, bounds
from tokentail.model import Owner, Record
from tokentail.periods import DAY_MS, HOUR_MS
from tokentail.reports.text import Style
from tokentail.samples import Heard, Reading, Sample

PRICES = prices.load()
HOUR = AT_MS - AT_MS % HOUR_MS  # a whole hour
FIVE, WEEK = 5 * HOUR_MS, 7 * DAY_MS
UTC = ZoneInfo("UTC")
APP, WEB = Owner(False, False, "s1", "-home-dev-app", ""), Owner(False, False, "s2", "-home-dev-web", "")
HELPER = Owner(False, True, "s1", "-home-dev-app", "a1")


def spent(usd: float, at_ms: int, *, owner: Owner = APP, model: str = MODEL) -> Record:
    """A reply that costs so much: opus 5 takes 25 USD for a million tokens of output."""
    return record(f"msg_{at_ms}_{usd}_{owner.project}", at_ms=at_ms, usage={"output_tokens": round(usd * 40_000)}, owner=owner, model=model)


def db_of(*records: Record) -> sqlite3.Connection:
    return store_of(*records).connection


def say(db: sqlite3.Connection, percent: float, *, at_ms: int, end_ms: int, kind: str = "five_hour", session: str = "s1") -> None:
    samples.keep(db, Heard(session, at_ms / 1000, (Reading(kind, percent, end_ms),)), at_ms)


def five(db: sqlite3.Connection, now_ms: int) -> Limit:
    return limit(db, PRICES, now_ms, "five_hour")


# Official, stale, estimate


def test_what_was_said_just_now_is_official() -> None:
    """The window is the one that was said, and so is the percentage; the costs in it are those of the logs."""
    db = db_of(spent(1, HOUR - HOUR_MS), spent(2, HOUR + 60_000))
    say(db, 42, at_ms=HOUR + 2 * HOUR_MS, end_ms=HOUR + FIVE)
    found = five(db, HOUR + 2 * HOUR_MS + FRESH_MS)
    assert (found.standing, found.percent, found.start_ms, found.end_ms) == ("official", 42.0, HOUR, HOUR + FIVE)
    assert found.counts.cost_usd == 2


def test_what_was_said_some_time_ago_is_stale() -> None:
    """To it comes what was used since, by what a percent costs: 2 USD were 40 %, so 1 USD more is 20 % more."""
    db = db_of(spent(2, HOUR + 1000), spent(1, HOUR + HOUR_MS))
    say(db, 40, at_ms=HOUR + 60_000, end_ms=HOUR + FIVE)
    found = five(db, HOUR + 2 * HOUR_MS)
    assert (found.standing, found.sample and found.sample.used_percent) == ("stale", 40.0)
    assert found.percent == pytest.approx(60)


def test_without_a_saying_it_is_an_estimate() -> None:
    """A past window says what a percent costs: 1 USD was 10 %, so the 3 USD of this one are 30 %."""
    db = db_of(spent(1, HOUR + 1000), spent(3, HOUR + FIVE + HOUR_MS))
    say(db, 10, at_ms=HOUR + 60_000, end_ms=HOUR + FIVE)
    found = five(db, HOUR + FIVE + HOUR_MS + 1000)
    assert (found.standing, found.sample, found.start_ms) == ("estimate", None, HOUR + FIVE + HOUR_MS)
    assert found.percent == pytest.approx(30)


def test_nobody_knows_a_percentage_that_was_never_said() -> None:
    """Unknown is not zero."""
    found = five(db_of(spent(1, HOUR)), HOUR + 1)
    assert (found.standing, found.percent, found.rate) == ("estimate", None, None)


@pytest.mark.parametrize("say_first", [True, False])
def test_no_window_is_running_where_nothing_was_used_since_the_last(say_first: bool) -> None:
    """Then nothing of the limit is used."""
    db = db_of(spent(1, HOUR))
    if say_first:
        say(db, 10, at_ms=HOUR + 60_000, end_ms=HOUR + FIVE)
    found = five(db, HOUR + FIVE)
    assert (found.percent, found.start_ms, found.end_ms, found.counts.replies) == (0.0, None, None, 0)


def test_an_empty_store_has_limits_too() -> None:
    """Nothing was used, and nobody knows of what."""
    found = limits(memory_store(PRICES.thresholds).connection, PRICES, AT_MS)
    assert [each.kind for each in found] == ["five_hour", "seven_day"]
    assert [each.counts.replies for each in found] == [0, 0]


def test_a_model_has_a_limit_of_its_own_where_one_was_said() -> None:
    """Only its replies are in it."""
    db = db_of(spent(1, HOUR), spent(2, HOUR + 1, model="claude-opus-4-8"), record("other", at_ms=HOUR, model="claude-haiku-4-5"))
    say(db, 50, at_ms=HOUR + 1000, end_ms=HOUR + DAY_MS, kind="seven_day_opus")
    *_, found = limits(db, PRICES, HOUR + 2000)
    assert (found.kind, found.counts.cost_usd, found.counts.replies) == ("seven_day_opus", 3, 2)


# Windows


def sample(end_ms: int, kind: str = "five_hour") -> Sample:
    return Sample(kind, end_ms - 1000, end_ms - 1000, 10.0, end_ms)


def test_without_a_saying_the_windows_are_those_of_the_blocks_report() -> None:
    """The first reply opens one at its hour, and the first one after its end the next."""
    db = db_of(spent(1, HOUR + 60_000), spent(1, HOUR + FIVE + 60_000))
    assert bounds(db, "five_hour", None, HOUR + FIVE + 120_000, "hour") == Bounds(HOUR + FIVE, HOUR + 2 * FIVE)
    assert bounds(db, "five_hour", None, HOUR + FIVE + 120_000, "none") == Bounds(HOUR + FIVE + 60_000, HOUR + 2 * FIVE + 60_000)


def test_after_a_window_that_was_said_the_next_one_follows_from_the_replies() -> None:
    """It begins no earlier than the said one ended, whatever the rounding."""
    end = HOUR + 20 * 60_000
    db = db_of(spent(1, end - 1), spent(1, end + 1000), spent(1, end + FIVE + HOUR_MS))
    assert bounds(db, "five_hour", sample(end), end + 2000, "hour") == Bounds(end, end + FIVE)
    third = end + FIVE + HOUR_MS
    assert bounds(db, "five_hour", sample(end), third, "none") == Bounds(third, third + FIVE)


def test_weeks_follow_one_another() -> None:
    """An end that was said once tells all later ones; without one it is the last seven days, and nobody knows the end."""
    db = db_of()
    assert bounds(db, "seven_day", sample(HOUR, "seven_day"), HOUR + 2 * WEEK + 5, "hour") == Bounds(HOUR + 2 * WEEK, HOUR + 3 * WEEK)
    assert bounds(db, "seven_day", sample(HOUR, "seven_day"), HOUR, "hour") == Bounds(HOUR, HOUR + WEEK)
    assert bounds(db, "seven_day", None, HOUR, "hour") == Bounds(HOUR - WEEK, None)


@given(st.lists(st.integers(0, 20 * HOUR_MS), max_size=12), st.integers(0, 25 * HOUR_MS), st.sampled_from(["hour", "10min", "none"]))
def test_a_running_window_holds_now(moments: Sequence[int], later: int, rounding: str) -> None:
    """It is five hours long, now is in it, and so is a reply."""
    db = db_of(*(spent(1, HOUR + at_ms) for at_ms in set(moments)))
    for said in (None, sample(HOUR - 7)):
        window = bounds(db, "five_hour", said, HOUR + later, rounding)  # type: ignore[arg-type]  # drawn from the right words
        if window is not None:
            assert window.end_ms == window.start_ms + FIVE
            assert window.start_ms <= HOUR + later < window.end_ms
            assert any(window.start_ms <= HOUR + at_ms < window.end_ms for at_ms in moments)


# What a percent costs


def test_a_percent_costs_the_median_of_the_past_windows() -> None:
    """Of each window it is what was used until its greatest percentage was said, from its start on, where it was at 0 %."""
    starts = [HOUR + number * FIVE for number in range(3)]
    db = db_of(*(spent(usd, start + 1000) for usd, start in zip((1, 2, 6), starts, strict=True)), spent(9, starts[0] + HOUR_MS))
    for start in starts:
        say(db, 10, at_ms=start + 60_000, end_ms=start + FIVE)
    rate = learnt.learn(db, PRICES, "five_hour", HOUR + 4 * FIVE)
    assert rate is not None
    assert [*rate] == pytest.approx([0.2, 0.15, 0.4, 3])


@pytest.mark.parametrize(("percent", "usd"), [(4.9, 1), (50, 0)])
def test_too_little_teaches_nothing(percent: float, usd: float) -> None:
    """A small percentage is mostly rounding, and a window that the logs know nothing of was used elsewhere."""
    db = db_of(*([spent(usd, HOUR + 1000)] if usd else []))
    say(db, percent, at_ms=HOUR + 60_000, end_ms=HOUR + FIVE)
    assert learnt.learn(db, PRICES, "five_hour", HOUR + FIVE) is None


# Ahead


def test_a_pace_is_the_mean_of_lately_and_of_all() -> None:
    """4 USD in two hours of which 3 in the last one: 2 and 3 an hour, so 2.5."""
    assert ahead.pace("five_hour", 3, 4, 0, 2 * HOUR_MS) == pytest.approx(2.5)


def test_the_first_moments_are_too_short_to_tell() -> None:
    """A cent in the first second is not 36 USD an hour."""
    assert ahead.pace("five_hour", 0.01, 0.01, 0, 1000) == pytest.approx(0.04)


def test_where_a_window_leads() -> None:
    """1 USD an hour for two more hours: at 0.1 USD a percent 20 % more, or half of that where half of a pace remains."""
    said = {"percent": 85.0, "usd_per_percent": 0.1, "now_ms": 0, "end_ms": 2 * HOUR_MS}
    full = round(1.5 * HOUR_MS)
    assert ahead.forecast(5, 1, steadiness=1, **said) == ahead.Forecast(1, 7, 105, full)  # type: ignore[arg-type]  # mypy sees no types in **
    assert ahead.forecast(5, 1, steadiness=0.5, **said) == ahead.Forecast(1, 6, 95, full)  # type: ignore[arg-type]  # as above


def test_who_does_not_know_a_percent_looks_ahead_in_dollars() -> None:
    """No percentage is made up."""
    coming = ahead.forecast(5, 1, steadiness=1, percent=50, usd_per_percent=None, now_ms=0, end_ms=HOUR_MS)
    assert coming == ahead.Forecast(1, 6, None, None)


# What came of past windows


def working(days: int, *, hours: int) -> sqlite3.Connection:
    """A store of so many days on which a dollar is spent in each of the first hours, minute by minute; the last one ends at HOUR."""
    start = HOUR - HOUR % DAY_MS - days * DAY_MS
    return db_of(*(spent(0.25, start + day * DAY_MS + quarter * 900_000) for day in range(days) for quarter in range(hours * 4)))


def test_who_always_goes_on_is_steady() -> None:
    """What a pace promises comes, and looking ahead is right."""
    db = working(30, hours=24)
    now_ms = HOUR - HOUR % DAY_MS
    assert past.steadiness(db, PRICES, now_ms)["five_hour"] == pytest.approx(1, abs=0.02)
    errors = [error for error in past.backtest(db, PRICES, now_ms) if error.way == "expected" and error.kind == "five_hour"]
    assert [error.moment for error in errors] == [0.25, 0.5, 0.75]
    assert all(error.median < 0.02 for error in errors)


def test_who_stops_is_not() -> None:
    """Who works for two hours a day uses little of what the pace promises, and looking ahead learns that."""
    db = working(60, hours=2)
    now_ms = HOUR - HOUR % DAY_MS
    assert past.steadiness(db, PRICES, now_ms)["five_hour"] < 0.4
    errors = {(error.moment, error.way): error.median for error in past.backtest(db, PRICES, now_ms) if error.kind == "five_hour"}
    assert errors[0.25, "expected"] < errors[0.25, "at the pace"]


def test_few_windows_tell_nothing() -> None:
    """Then a pace is taken to remain."""
    assert past.steadiness(working(3, hours=2), PRICES, HOUR) == {}


# Whose work


def test_whose_work_it_was() -> None:
    """A share is a project's, its sessions' own and its subagents' apart, costliest first; together they are all."""
    db = db_of(spent(1, HOUR), spent(2, HOUR + 1, owner=WEB), spent(5, HOUR + 2, owner=HELPER))
    shares = five(db, HOUR + 3).shares
    assert [(share.project, share.subagent, share.part) for share in shares] == [
        *(("-home-dev-app", True, 0.625), ("-home-dev-web", False, 0.25), ("-home-dev-app", False, 0.125)),
    ]


def test_a_share_of_what_has_no_price_is_unknown() -> None:
    """Unknown is not zero."""
    (share,) = five(db_of(record("x", at_ms=HOUR, model="claude-zeta-9")), HOUR + 1).shares
    assert isinstance(share, Share)
    assert share.part is None


# What is shown


def shown(db: sqlite3.Connection, now_ms: int) -> str:
    found = limits(db, PRICES, now_ms, steadiness={"five_hour": 0.5})
    return limits_text(found, now_ms, UTC, Style(False), {"-home-dev-app": "app", "-home-dev-web": "\x1b[31mweb"}.__getitem__)


def test_the_text(tmp_path: Path) -> None:
    """Whole outputs: official, stale, estimate, and nothing known."""
    db = db_of(
        spent(4, HOUR + 1000), spent(2, HOUR + HOUR_MS, owner=HELPER), spent(1, HOUR + HOUR_MS + 1, owner=WEB), spent(8, HOUR - DAY_MS)
    )
    say(db, 40, at_ms=HOUR + 60_000, end_ms=HOUR + FIVE)
    say(db, 60, at_ms=HOUR + 60_000, end_ms=HOUR + 2 * DAY_MS, kind="seven_day", session="s2")
    whole = "\n".join(
        [
            "# Fresh",
            shown(db, HOUR + 5 * 60_000),
            "# Stale",
            shown(db, HOUR + 2 * HOUR_MS),
            "# No window",
            shown(db, HOUR + FIVE),
            "# Unknown",
            shown(db_of(spent(1, HOUR)), HOUR + 1),
        ]
    )
    assert whole == Path(__file__).with_name("data").joinpath("limits.txt").read_text(encoding="utf-8")


def test_the_errors_as_a_table() -> None:
    """A row a limit, moment and way."""
    assert errors_text([]) == "There are no past windows to look ahead in.\n"
    rows = errors_text([past.Error("five_hour", "expected", 0.25, 12, 0.301, 1.2)]).splitlines()
    assert rows[2:] == [
        "Limit      After  Windows   Way             Median  1 in 10",
        "5 hours      25%       12   expected           30%     120%",
    ]


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It reads what is new, and says the same as text and as JSON, whose fields docs/json.md explains."""
    monkeypatch.setenv("TOKENTAIL_HOME", str(tmp_path / "home"))
    logs = write_logs(tmp_path / "logs", {"-home-dev-app/s1.jsonl": b""})
    assert main(["limits", "--source", str(logs), "--timezone", "UTC", "--backtest"]) == 0
    assert "There are no past windows" in capsys.readouterr().out
    assert main(["limits", "--source", str(logs), "--json", "--rounding", "10min"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "tokentail/limits/1"
    assert [each["limit"] for each in document["limits"]] == ["five_hour", "seven_day"]
