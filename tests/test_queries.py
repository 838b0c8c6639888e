"""Tests of `tokentail.queries`: what a view is told is what the replies in the store add up to."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import AT_MS, MODEL, OWNERS, THRESHOLDS, USAGES, after, chunk, memory_store, record, replies_of, usage
from tokentail import periods, prices, queries
from tokentail.model import Cell, Record, Reject, Reply, Tokens
from tokentail.periods import DAY_MS, QUARTER_MS
from tokentail.reports import daily
from tokentail.store import Store
from tokentail.totals import Adder, add_replies, cells_of

PRICES = prices.load()
ZONE_NAMES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "Pacific/Kiritimati"]
ZONES = st.sampled_from(ZONE_NAMES).map(ZoneInfo)
SPRING, AUTUMN = 1_774_746_000_000, 1_792_890_000_000  # clocks change in Europe on 2026-03-29 and 2026-10-25, both at 01:00 UTC
TIMES = st.one_of(
    st.sampled_from([0, 1, QUARTER_MS, DAY_MS - 1, SPRING, SPRING - 1, AUTUMN, AUTUMN - 1, AUTUMN + 4 * QUARTER_MS]),
    st.integers(SPRING - 3 * DAY_MS, SPRING + 3 * DAY_MS),
    st.integers(AUTUMN - 3 * DAY_MS, AUTUMN + 3 * DAY_MS),
)
SPREAD: st.SearchStrategy[list[Record]] = st.lists(
    st.builds(
        lambda number, at_ms, said, stopped, owner, model: record(
            f"msg_{number}", at_ms=at_ms, usage=said, stopped=stopped, owner=owner, model=model
        ),
        *(st.integers(0, 20), TIMES, USAGES, st.booleans(), OWNERS, st.sampled_from([MODEL, "claude-haiku-4-5", "claude-zeta-9"])),
    ),
    max_size=8,
)
DAYS = st.one_of(
    st.none(),
    st.dates(date(2026, 3, 26), date(2026, 4, 1)),
    st.dates(date(2026, 10, 22), date(2026, 10, 28)),
    st.sampled_from([date.min, date(1969, 12, 31), date(1970, 1, 1), date.max]),
)


def store_of(*lines: Record) -> Store:
    """A store with those records, tiered as the shipped prices want it."""
    store = memory_store(PRICES.thresholds)
    store.apply([chunk(*lines)])
    return store


def summed(cells: Iterable[tuple[date | int | None, Cell]]) -> dict[object, list[int]]:
    """Cells added up by (day, UTC day, model, price tier)."""
    sums: defaultdict[object, list[int]] = defaultdict(lambda: [0] * 8)
    for day, cell in cells:
        key = (day, cell.at_ms // DAY_MS, cell.model, cell.prompt_class, cell.speed, cell.geo, cell.service_tier)
        counts = (*cell.tokens, cell.replies, cell.not_final, cell.web_searches)
        sums[key] = [one + other for one, other in zip(sums[key], counts, strict=True)]
    return dict(sums)


def chosen(lines: list[Record], zone: ZoneInfo, since: date | None, until: date | None) -> list[tuple[date, Reply]]:
    """The replies of those days, each with its day, by looking at every one."""
    dated = [(periods.day_of(reply.at_ms, zone), reply) for reply in replies_of(lines).values()]
    return [(day, reply) for day, reply in dated if (since is None or day >= since) and (until is None or day <= until)]


# Days and models


@settings(deadline=None, max_examples=150)
@given(SPREAD, ZONES, DAYS, DAYS)
def test_by_day_is_what_the_replies_add_up_to(lines: list[Record], zone: ZoneInfo, since: date | None, until: date | None) -> None:
    """Every local day of any zone, from `since` to `until`, holds what its replies hold, one by one (R9)."""
    db = store_of(*lines).connection
    expected = [(day, cell) for day, reply in chosen(lines, zone, since, until) for cell in cells_of(reply, PRICES)]
    assert summed([(day, cell) for day, cell in queries.by_day(db, zone, since, until)]) == summed(expected)


@settings(deadline=None, max_examples=60)
@given(SPREAD, ZONES, DAYS, DAYS)
def test_by_model_is_what_the_replies_add_up_to(lines: list[Record], zone: ZoneInfo, since: date | None, until: date | None) -> None:
    """The same for all days at once."""
    db = store_of(*lines).connection
    expected = [(None, cell) for _, reply in chosen(lines, zone, since, until) for cell in cells_of(reply, PRICES)]
    assert summed([(None, cell) for cell in queries.by_model(db, zone, since, until)]) == summed(expected)


@settings(deadline=None, max_examples=60)
@given(SPREAD, ZONES, DAYS, DAYS)
def test_the_daily_report_is_the_same_without_the_store(
    lines: list[Record], zone: ZoneInfo, since: date | None, until: date | None
) -> None:
    """Summaries and single replies give one report, costs and notes included."""
    db = store_of(*lines).connection
    options = {"zone": zone, "since": since, "until": until, "sources": ["/logs"]}
    stored = daily.from_store(db, PRICES, **options, degraded=())  # type: ignore[arg-type]  # each option has its own type
    counted = daily.from_replies(replies_of(lines).values(), PRICES, **options, malformed_lines=0)  # type: ignore[arg-type]
    assert stored == counted


def test_extras_count_no_reply_at_their_own_model() -> None:
    """An extra iteration stands under its model with its tokens and 0 replies (R6)."""
    spent = [{"type": "compaction", "model": "claude-haiku-4-5", "input_tokens": 50}]
    db = store_of(record(usage=usage(iterations=spent))).connection
    cells = {cell.model: (cell.tokens.total, cell.replies) for _, cell in queries.by_day(db, UTC)}
    assert cells == {MODEL: (2314, 1), "claude-haiku-4-5": (50, 0)}


def test_a_reply_before_1970_in_its_zone_has_the_day_before() -> None:
    """The first hours of 1970 are the last day of 1969 in America."""
    db = store_of(record(at_ms=0), record("msg_2", at_ms=5 * 4 * QUARTER_MS)).connection
    days = {day: cell.replies for day, cell in queries.by_day(db, ZoneInfo("America/New_York"))}
    assert days == {date(1969, 12, 31): 1, date(1970, 1, 1): 1}


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/New_York", "UTC"])
def test_a_reply_of_the_last_day_of_all(zone: str) -> None:
    """A line that claims the last hour of the year 9999 is counted on its last day."""
    last = record(at_ms=253_402_300_799_999)
    db = store_of(last, record("msg_2")).connection
    found = {day: cell.replies for day, cell in queries.by_day(db, ZoneInfo(zone)) if day.year > 9000}
    assert found == {date(9999, 12, 31): 1}


def test_an_empty_store_answers() -> None:
    """Every query of a new store has nothing to say."""
    db = memory_store().connection
    assert list(queries.by_day(db, UTC)) == []
    assert list(queries.by_model(db, UTC, date(2026, 1, 1), date(2026, 1, 2))) == []
    assert (queries.by_minute(db, 0, AT_MS), queries.latest_replies(db, 5), queries.replies_since(db, 0)) == ([], [], [])
    assert (queries.latest_change(db), queries.changes_between(db, 0, 9), queries.malformed_lines(db)) == (0, [], 0)
    assert (queries.project_folders(db), queries.passes(db, 5)) == ({}, [])


# Minutes


@settings(deadline=None, max_examples=60)
@given(SPREAD, st.integers(SPRING - DAY_MS, SPRING + DAY_MS), st.integers(0, 2 * DAY_MS))
def test_by_minute_is_what_the_replies_add_up_to(lines: list[Record], start_ms: int, length_ms: int) -> None:
    """A reply counts in the minute in which it began; a stretch ends before its end."""
    db = store_of(*lines).connection
    found = queries.by_minute(db, start_ms, start_ms + length_ms)
    sums: defaultdict[int, list[int]] = defaultdict(lambda: [0] * 6)
    for reply in replies_of(lines).values():
        if start_ms <= reply.at_ms < start_ms + length_ms:
            minute = sums[reply.at_ms // 60_000]
            minute[:] = [one + other for one, other in zip(minute, (*reply.tokens, 1), strict=True)]
    assert [(minute.minute, [*minute.tokens, minute.replies]) for minute in found] == sorted(sums.items())


@settings(deadline=None, max_examples=60)
@given(SPREAD)
def test_cells_by_minute_are_what_the_replies_add_up_to(lines: list[Record]) -> None:
    """What is billed besides a reply is in its minute too, at its own model and tier."""
    db = store_of(*lines).connection
    found = [(minute, cell) for minute, cell in queries.cells_by_minute(db, 0, AUTUMN + 9 * DAY_MS)]
    expected = [(reply.at_ms // 60_000, cell) for reply in replies_of(lines).values() for cell in cells_of(reply, PRICES)]
    assert summed(found) == summed(expected)


# Replies


@settings(deadline=None, max_examples=60)
@given(SPREAD, st.integers(0, 9), TIMES)
def test_replies_come_in_order(lines: list[Record], limit: int, start_ms: int) -> None:
    """The newest first or the oldest first, by time and then by key, and each as the rules resolve it."""
    db = store_of(*lines).connection
    ordered = sorted(replies_of(lines).values(), key=lambda reply: (reply.at_ms, reply.key))
    assert queries.latest_replies(db, limit) == ordered[::-1][:limit]
    assert queries.replies_since(db, start_ms) == [reply for reply in ordered if reply.at_ms >= start_ms]


# Changes


class Followed:
    """A store that already told of a first reply, and what happens to it."""

    def __init__(self) -> None:
        self.store = memory_store()
        self.lines = [record("msg_0")]
        (self.life,) = self.store.apply([chunk(*self.lines)]).lives
        self.db: sqlite3.Connection = self.store.connection
        self.start = queries.latest_change(self.db)

    def add(self, *lines: Record) -> None:
        self.lines += lines
        (self.life,) = self.store.apply([after(chunk(), self.life, *lines)]).lives

    def told(self) -> list[tuple[str, str]]:
        changes = queries.changes_between(self.db, self.start, queries.latest_change(self.db))
        replies = replies_of(self.lines)
        assert [change.reply for change in changes] == [replies.get(change.key) for change in changes]
        return [(change.event, change.key) for change in changes]


def test_a_reply_that_is_new_and_grows_is_new() -> None:
    """Who did not look meanwhile hears of a reply once, as it stands now."""
    followed = Followed()
    for output in (1, 2, 3):
        followed.add(record(usage=usage(output)))
    assert followed.told() == [("new", "msg_1")]


def test_a_reply_that_grew_and_was_corrected_is_told_once() -> None:
    """Of several changes to one reply the last is told."""
    followed = Followed()
    followed.add(record("msg_0", usage=usage(11)))
    followed.add(record("msg_0", at_ms=AT_MS - 1))
    assert followed.told() == [("corrected", "msg_0")]


def test_a_reply_that_splits_is_gone() -> None:
    """A known reply that turns out to be two is gone, and two are new; what is gone comes last."""
    followed = Followed()
    followed.add(record("msg_0", request_id="req_2"))
    assert followed.told() == [("new", "msg_0/req_1"), ("new", "msg_0/req_2"), ("gone", "msg_0")]


def test_a_reply_that_came_and_went_is_not_told() -> None:
    """Nobody hears of the end of a reply that they never heard of."""
    followed = Followed()
    followed.add(record())
    followed.add(record(request_id="req_2"))
    assert followed.told() == [("new", "msg_1/req_1"), ("new", "msg_1/req_2")]


def test_changes_are_told_in_the_order_of_time() -> None:
    """In time order across files, whatever order they were read in."""
    followed = Followed()
    followed.add(record("msg_3", at_ms=AT_MS + 5))
    followed.add(record("msg_2", at_ms=AT_MS + 9), record("msg_1", at_ms=AT_MS + 7))
    assert [key for _, key in followed.told()] == ["msg_3", "msg_1", "msg_2"]


def test_only_the_changes_asked_for_are_told() -> None:
    """Changes before and after the stretch belong to other updates."""
    followed = Followed()
    followed.add(record("msg_1"))
    middle = queries.latest_change(followed.db)
    followed.add(record("msg_2"))
    told = queries.changes_between(followed.db, followed.start, middle)
    assert [(change.seq, change.event, change.key) for change in told] == [(middle, "new", "msg_1")]
    assert queries.changes_between(followed.db, middle, middle) == []


# Notes


def test_malformed_lines_of_files_that_are_gone_still_count() -> None:
    """What could not be read is not forgotten with its file, only with a rewrite."""
    store = memory_store()
    (life,) = store.apply([chunk(record(), rejects=[Reject(0, "not JSON"), Reject(9, "not JSON")])]).lives
    store.restate([life._replace(state="missing")])
    assert queries.malformed_lines(store.connection) == 2


def test_a_total_of_by_day_is_the_total_of_by_model() -> None:
    """However a stretch is cut, it adds up to the same."""
    lines = [record(f"msg_{number}", at_ms=AUTUMN + number * QUARTER_MS) for number in range(-200, 200, 7)]
    db = store_of(*lines).connection
    zone = ZoneInfo("Europe/Berlin")
    since, until = date(2026, 10, 24), date(2026, 10, 26)
    days, models, each = Adder(PRICES), Adder(PRICES), Adder(PRICES)
    for day, cell in queries.by_day(db, zone, since, until):
        days.add(day.isoformat(), cell)
    for cell in queries.by_model(db, zone, since, until):
        models.add(cell.model, cell)
    add_replies(each, (reply for _, reply in chosen(lines, zone, since, until)), lambda _: "", PRICES)
    assert days.totals() == models.totals() == each.totals()
    assert [row.key for row in days.rows()] == [str(since + timedelta(days=number)) for number in range(3)]


def test_tokens_are_told_apart() -> None:
    """No counter is taken for another on the way through the summaries."""
    split = {"ephemeral_5m_input_tokens": 16, "ephemeral_1h_input_tokens": 32}
    said = {"input_tokens": 1, "output_tokens": 2, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 48, "cache_creation": split}
    db = store_of(record(usage=said)).connection
    (found,) = queries.by_day(db, UTC)
    assert found.cell.tokens == Tokens(input=1, output=2, cache_read=4, cache_write_5m=16, cache_write_1h=32)


def test_another_process_reads_the_same(tmp_path: Path) -> None:
    """A view needs the numbers of the store only, not the thresholds it was written with."""
    store = memory_store(THRESHOLDS)
    store.apply([chunk(record())])
    assert {cell.prompt_class for _, cell in queries.by_day(store.connection, UTC)} == {2}
