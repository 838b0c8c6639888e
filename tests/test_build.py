"""Tests of `tokentail.reports.build` and the kinds of reports: one total for all of them, however usage is cut."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import AUTUMN, MODEL, SPREAD, SPRING, record, replies_of, store_of, usage
from logs import PRICES
from tokentail import periods
from tokentail.config import Rounding
from tokentail.errors import UsageError
from tokentail.model import BlockFacts, Counts, Owner, ProjectFacts, Record, Report, Row, SessionFacts
from tokentail.periods import DAY_MS, HOUR_MS
from tokentail.reports.blocks import BLOCK_MS, ROUNDINGS, pace
from tokentail.reports.build import KINDS, build, shown_path
from tokentail.reports.data import Counted, Stored
from tokentail.reports.request import Context, Request
from tokentail.totals import Adder, add_replies

ZONE_NAMES = sorted(name for name in available_timezones() if not name.startswith(("SystemV/", "posix", "right")))
ZONES = st.sampled_from(ZONE_NAMES).map(ZoneInfo)
DAYS = st.one_of(
    st.none(),
    st.dates(date(2026, 3, 26), date(2026, 4, 1)),
    st.dates(date(2026, 10, 22), date(2026, 10, 28)),
    st.sampled_from([date.min, date(1969, 12, 31), date(1970, 1, 1), date.max]),
)
BOTH = {"-a", "-b"}  # the projects of builders.OWNERS
FILTERS: dict[tuple[str, ...], set[str]] = {
    (): BOTH,
    ("-a",): {"-a"},
    ("-b", "nobody"): {"-b"},
    ("-*",): BOTH,
    ("-A",): {"-a"},
    ("x",): set(),
}
HOSTS: dict[tuple[str, ...], set[str]] = {  # likewise
    (): {"", "ci-1", "ci-2"},
    ("this",): {""},
    ("CI-?",): {"ci-1", "ci-2"},
    ("ci-2", "This", "nobody"): {"", "ci-2"},
    ("*",): {"", "ci-1", "ci-2"},
}
USERS: dict[tuple[str, ...], set[str]] = {(): {"", "anna"}, ("anna",): {"anna"}, ("",): {""}, ("bert",): set()}
MODELS = st.sampled_from([(), (MODEL,), ("*haiku*",), ("claude-OPUS-5", "claude-zeta-?")])
NOW_MS = AUTUMN + 9 * DAY_MS
CONTEXT = Context(PRICES, NOW_MS)
BERLIN = ZoneInfo("Europe/Berlin")


def stored(request: Request, *lines: Record, now_ms: int = NOW_MS) -> Report:
    return build(request, Stored(store_of(*lines).connection, PRICES), CONTEXT._replace(now_ms=now_ms))


def counted(request: Request, *lines: Record, now_ms: int = NOW_MS) -> Report:
    return build(request, Counted(replies_of(lines).values(), {}, PRICES), CONTEXT._replace(now_ms=now_ms))


def total_of(rows: tuple[Row, ...], name: str) -> float:
    return sum(getattr(row.counts, name) or 0 for row in rows)


def requests(name: str | None = None) -> st.SearchStrategy[Request]:
    return st.builds(
        Request,
        st.just(name) if name else st.sampled_from(sorted(KINDS)),
        ZONES,
        DAYS,
        DAYS,
        st.sampled_from(sorted(FILTERS)),
        MODELS,
        breakdown=st.booleans(),
        agents=st.booleans(),
        week_starts=st.integers(0, 6),
        rounding=st.sampled_from(sorted(ROUNDINGS)),
        order=st.sampled_from(["", "cost", "tokens", "name"]),
        worktrees=st.just(False),
        provenance=st.just(False),
        not_final=st.booleans(),
        estimate=st.just(False),
        limit=st.none(),
        subagents=st.sampled_from([None, True, False]),
        hosts=st.sampled_from(sorted(HOSTS)),
        users=st.sampled_from(sorted(USERS)),
    )


# One total


@settings(deadline=None, max_examples=200)
@given(SPREAD, requests())
def test_a_report_is_the_same_without_the_store(lines: list[Record], request: Request) -> None:
    """Summaries and single replies give one report, costs, models, moments and notes included."""
    assert stored(request, *lines) == counted(request, *lines)


@settings(deadline=None, max_examples=150)
@given(SPREAD, requests())
def test_all_reports_have_one_total(lines: list[Record], request: Request) -> None:
    """However a choice of replies is cut into rows, they add up to the same: the sum of those replies (R9)."""
    data = Stored(store_of(*lines).connection, PRICES)
    expected = Adder[str](PRICES)
    chosen = build(request, data, CONTEXT)
    for name in KINDS:
        report = build(request._replace(report=name), data, CONTEXT)
        assert report.totals == chosen.totals
        for field in Counts._fields[:9]:
            assert total_of(report.rows, field) == getattr(report.totals, field)
        assert total_of(report.rows, "cost_usd") == pytest.approx(report.totals.cost_usd or 0)
    if not request.models:
        replies = [reply for reply in replies_of(lines).values() if _is_chosen(request, reply.at_ms, reply.owner)]
        add_replies(expected, replies, lambda _: "", PRICES)
        assert chosen.totals == expected.totals()


def _is_chosen(request: Request, at_ms: int, owner: Owner) -> bool:
    day = periods.day_of(at_ms, request.zone)
    is_in = (request.since is None or day >= request.since) and (request.until is None or day <= request.until)
    is_of = owner.host in HOSTS[request.hosts] and owner.user in USERS[request.users]
    return is_in and is_of and owner.project in FILTERS[request.projects] and request.subagents in (None, owner.subagent)


# Periods


@settings(deadline=None, max_examples=150)
@given(SPREAD, requests(), st.sampled_from(["daily", "weekly", "monthly"]))
def test_a_period_holds_the_replies_of_its_days(lines: list[Record], request: Request, name: str) -> None:
    """Each reply is in the row of its local day, that day's week or its month, in every zone, also where clocks change."""
    request = request._replace(report=name, since=None, until=None, projects=(), models=(), subagents=None, hosts=(), users=())
    expected: defaultdict[str, int] = defaultdict(int)
    for reply in replies_of(lines).values():
        day = periods.day_of(reply.at_ms, request.zone)
        week = day
        while week.weekday() != request.week_starts and week > date.min:
            week -= timedelta(days=1)
        expected[{"daily": str(day), "weekly": str(week), "monthly": str(day)[:7]}[name]] += 1
    report = stored(request, *lines)
    assert {row.key: row.counts.replies for row in report.rows} == expected


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/New_York", "UTC"])
def test_a_reply_of_the_last_day_of_all(zone: str) -> None:
    """A line that claims the last hour of the year 9999 is counted on its last day, and holds no report up."""
    last = record(at_ms=253_402_300_799_999)
    report = stored(Request("daily", ZoneInfo(zone), since=date(9000, 1, 1)), last, record("msg_2"))
    assert [(row.key, row.counts.replies) for row in report.rows] == [("9999-12-31", 1)]


def test_a_reply_before_1970_in_its_zone_has_the_day_before() -> None:
    """The first hours of 1970 are the last day of 1969 in America."""
    report = stored(Request("daily", ZoneInfo("America/New_York")), record(at_ms=0), record("msg_2", at_ms=5 * HOUR_MS))
    assert [(row.key, row.counts.replies) for row in report.rows] == [("1969-12-31", 1), ("1970-01-01", 1)]


def test_a_day_of_23_hours_and_one_of_25() -> None:
    """A reply an hour is as many replies as the day has hours."""
    hourly = [
        record(f"msg_{number}", at_ms=start + number * HOUR_MS) for start in (SPRING - DAY_MS, AUTUMN - DAY_MS) for number in range(72)
    ]
    hourly = [each._replace(group=f"{each.group}-{each.at_ms}") for each in hourly]
    days = {row.key: row.counts.replies for row in stored(Request("daily", BERLIN), *hourly).rows}
    assert (days["2026-03-29"], days["2026-10-25"]) == (23, 25)


def test_a_week_that_is_cut_by_since_keeps_its_name() -> None:
    """The row is named by the week's first day; what is before `since` is not in it."""
    lines = [record(f"msg_{day}", at_ms=AUTUMN + day * DAY_MS) for day in range(-6, 8)]  # 2026-10-19 to 2026-11-01
    report = stored(Request("weekly", BERLIN, since=date(2026, 10, 22), until=date(2026, 10, 27)), *lines)
    assert [(row.key, row.counts.replies) for row in report.rows] == [("2026-10-19", 4), ("2026-10-26", 2)]


# Blocks


@settings(deadline=None, max_examples=100)
@given(SPREAD, st.sampled_from(sorted(ROUNDINGS)))
def test_blocks_follow_the_rule_reply_by_reply(lines: list[Record], rounding: Rounding) -> None:
    """docs/counting.md: a reply at or after the end, or more than five hours after the one before it, opens a window at its own floor."""
    blocks: dict[str, list[int]] = {}
    start = before = -(1 << 60)
    for at_ms in sorted(reply.at_ms for reply in replies_of(lines).values()):
        if at_ms >= start + BLOCK_MS or at_ms - before > BLOCK_MS:
            start = at_ms // ROUNDINGS[rounding] * ROUNDINGS[rounding]
        blocks.setdefault(datetime.fromtimestamp(start // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), []).append(at_ms)
        before = at_ms
    report = stored(Request("blocks", BERLIN, rounding=rounding), *lines)
    found = {
        row.key: (row.counts.replies, row.about.first_ms, row.about.last_ms) for row in report.rows if isinstance(row.about, BlockFacts)
    }
    assert found == {key: (len(times), min(times), max(times)) for key, times in blocks.items()}


def test_a_reply_at_the_end_of_a_window_opens_the_next() -> None:
    """The end belongs to the next window; a millisecond before, it is still this one's."""
    first = AUTUMN + 20 * 60_000
    lines = [record("msg_1", at_ms=first), record("msg_2", at_ms=AUTUMN + BLOCK_MS - 1), record("msg_3", at_ms=AUTUMN + BLOCK_MS)]
    report = stored(Request("blocks", BERLIN), *lines)
    assert [(row.key, row.counts.replies) for row in report.rows] == [("2026-10-25T01:00:00Z", 2), ("2026-10-25T06:00:00Z", 1)]


def test_the_running_window_has_a_pace() -> None:
    """It is of all usage in the window since its first reply, whatever was chosen; windows that ended have none."""
    lines = [
        record("msg_0", at_ms=AUTUMN - DAY_MS),
        record(at_ms=AUTUMN),
        record("msg_2", at_ms=AUTUMN + HOUR_MS, owner=Owner(False, False, "s", "-b", "")),
    ]
    report = stored(Request("blocks", BERLIN, projects=("-b",)), *lines, now_ms=AUTUMN + 2 * HOUR_MS)
    (row,) = report.rows
    assert isinstance(row.about, BlockFacts)
    assert row.about.pace is not None
    assert (row.counts.replies, row.about.pace.minutes_left, row.about.pace.tokens_per_minute) == (1, 180, 2 * 2314 / 120)
    assert row.about.pace.projected_tokens == 2 * 2314 * 300 // 120
    later = stored(Request("blocks", BERLIN), *lines, now_ms=AUTUMN + BLOCK_MS)
    assert [row.about.pace for row in later.rows if isinstance(row.about, BlockFacts)] == [None, None]


def test_a_pace_without_a_price_has_no_cost() -> None:
    """Unknown is not zero; and the first seconds of a window do not make a wild forecast."""
    seen = pace(Counts(total_tokens=600, cost_usd=None), 0, BLOCK_MS, 1000)
    assert (seen.cost_usd_per_hour, seen.projected_cost_usd, seen.tokens_per_minute) == (None, None, 600)


# Sessions and projects


def test_a_session_holds_what_its_subagents_used() -> None:
    """Their use is part of the session's, told apart beside it, and on request one by one."""
    main, one, other = (Owner(False, bool(agent), "s1", "-a", agent) for agent in ("", "a1", "a2"))
    lines = [record("msg_1", owner=main), record("msg_2", owner=one), record("msg_3", owner=other), record("msg_4", owner=other)]
    (row,) = stored(Request("sessions", BERLIN, agents=True), *lines).rows
    assert isinstance(row.about, SessionFacts)
    assert (row.key, row.counts.replies, row.about.subagents, row.about.by_subagents.replies) == ("s1", 4, 2, 3)
    assert {agent.key: agent.counts.replies for agent in row.about.agents} == {"a1": 1, "a2": 2}


def test_a_session_of_two_projects_is_one_row() -> None:
    """It is shown with the project that has most of its replies."""
    owners = [Owner(False, False, "s1", project, "") for project in ("-a", "-b", "-b")]
    (row,) = stored(Request("sessions", BERLIN), *(record(f"msg_{n}", owner=owner) for n, owner in enumerate(owners))).rows
    assert isinstance(row.about, SessionFacts)
    assert (row.key, row.about.project, row.counts.replies) == ("s1", "-b", 3)


def test_sessions_and_projects_know_their_first_and_last_moment() -> None:
    """Of the replies that were chosen, to the millisecond."""
    lines = [record(f"msg_{number}", at_ms=AUTUMN + number * HOUR_MS + number) for number in range(30)]
    for name, kind in (("sessions", SessionFacts), ("projects", ProjectFacts)):
        (row,) = stored(Request(name, BERLIN, since=date(2026, 10, 26)), *lines).rows
        assert isinstance(row.about, kind)
        assert (row.about.first_ms, row.about.last_ms) == (AUTUMN + 22 * HOUR_MS + 22, AUTUMN + 29 * HOUR_MS + 29)


# Choice, order, limit


def test_a_name_that_means_nothing_is_answered_with_near_ones() -> None:
    """The report is empty and hints at what may have been meant."""
    report = stored(Request("daily", BERLIN, projects=("-home-dev-ap",), models=("opus",)), record())
    assert report.rows == ()
    assert report.hints == (
        "no project is called '-home-dev-ap' (did you mean '-home-dev-app'?)",
        f"no model is called 'opus' (did you mean '{MODEL}'?)",
    )


@pytest.mark.parametrize(
    ("chosen", "hint"),
    [
        ({"since": date(2027, 1, 1)}, "the period begins in the future (2027-01-01; today is 2026-11-02)"),
        ({"since": date(2026, 10, 26)}, "the period begins after the last usage, which was on 2026-10-25"),
        ({"until": date(2026, 10, 23)}, "the period ends before the first usage, which was on 2026-10-24"),
        (
            {"since": date(2026, 10, 25), "projects": ("-home-*",)},
            "the period begins after the last usage of what was chosen, which was on 2026-10-24",
        ),
        (
            {"until": date(2026, 10, 24), "models": ("*haiku*",)},
            "the period ends before the first usage of what was chosen, which was on 2026-10-25",
        ),
    ],
)
def test_a_period_without_usage_says_why(chosen: dict[str, Any], hint: str) -> None:
    """In the days of the report's zone, and by what was chosen."""
    haiku = record("msg_2", at_ms=AUTUMN + 12 * HOUR_MS, model="claude-haiku-4-5", owner=Owner(False, False, "s", "-b", ""))
    report = stored(Request("weekly", ZoneInfo("America/New_York"), **chosen), record(at_ms=AUTUMN - DAY_MS + 4 * HOUR_MS), haiku)
    assert (report.rows, report.hints) == ((), (hint,))


@pytest.mark.parametrize("lines", [[], [record("msg_1", at_ms=AUTUMN), record("msg_2", at_ms=AUTUMN + 9 * DAY_MS)]])
def test_a_period_without_usage_that_nothing_is_known_of(lines: list[Record]) -> None:
    """Before any usage, and between some and some, there is nothing to say."""
    report = stored(Request("daily", BERLIN, since=date(2026, 10, 27), until=date(2026, 10, 28)), *lines)
    assert (report.rows, report.hints) == ((), ())


def test_a_model_is_found_by_its_name_in_the_price_list() -> None:
    """However a log writes it: with a vendor, a date, a context window."""
    lines = [record("msg_1", model="us.anthropic.claude-opus-4-6-v1:0"), record("msg_2", model="claude-opus-4-6[1m]"), record("msg_3")]
    assert stored(Request("models", BERLIN, models=("claude-opus-4-6",)), *lines).totals.replies == 2


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("", ["a", "b", "c"]),
        ("oldest", ["a", "b", "c"]),
        ("newest", ["c", "b", "a"]),
        ("cost", ["b", "c", "a"]),
        ("tokens", ["b", "c", "a"]),
    ],
)
def test_order_and_limit(order: str, expected: list[str]) -> None:
    """A limit keeps the first rows, of those shown oldest first the newest; the totals stay those of all."""
    outputs = {"a": 10, "b": 3000, "c": 200}
    lines = [
        record(f"msg_{n}", at_ms=AUTUMN + n, owner=Owner(False, False, name, "-a", ""), usage=usage(output))
        for n, (name, output) in enumerate(outputs.items())
    ]
    report = stored(Request("sessions", BERLIN, order=order), *lines)
    assert [row.key for row in report.rows] == expected
    limited = stored(Request("sessions", BERLIN, order=order, limit=2), *lines)
    assert [row.key for row in limited.rows] == (expected[1:] if order in ("", "oldest") else expected[:2])
    assert limited.totals == report.totals


def test_models_have_no_age() -> None:
    """An order that a report cannot have is refused with those that it can."""
    with pytest.raises(UsageError, match="models cannot be ordered by 'newest'"):
        stored(Request("models", BERLIN, order="newest"), record())


def test_breakdown_adds_up_to_its_row() -> None:
    """Each row's models, costliest first."""
    lines = [record("msg_1"), record("msg_2", model="claude-haiku-4-5"), record("msg_3", model="claude-haiku-4-5")]
    (row,) = stored(Request("daily", BERLIN, breakdown=True), *lines).rows
    assert [(model.key, model.counts.replies) for model in row.models] == [(MODEL, 1), ("claude-haiku-4-5", 2)]
    assert sum(model.counts.total_tokens for model in row.models) == row.counts.total_tokens


def test_the_home_folder_is_shown_as_a_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    """As people write it; a folder that only begins like it is another one."""
    monkeypatch.setenv("HOME", "/home/dev")
    assert [shown_path(path) for path in ("/home/dev", "/home/dev/a", "/home/device")] == ["~", "~/a", "/home/device"]
