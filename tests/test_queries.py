"""Tests of `tokentail.queries`: what a view is told is what the replies in the store add up to."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from builders import AT_MS, AUTUMN, MODEL, SPREAD, TIMES, after, chunk, memory_store, record, replies_of, store_of, usage
from logs import PRICES
from tokentail import queries
from tokentail.model import Cell, Record, Reject
from tokentail.periods import DAY_MS
from tokentail.totals import cells_of


def summed(cells: Iterable[tuple[int, Cell]]) -> dict[object, list[int]]:
    """Cells added up by (minute, UTC day, model, price tier)."""
    sums: defaultdict[object, list[int]] = defaultdict(lambda: [0] * 8)
    for day, cell in cells:
        key = (day, cell.at_ms // DAY_MS, cell.model, cell.prompt_class, cell.speed, cell.geo, cell.service_tier)
        counts = (*cell.tokens, cell.replies, cell.not_final, cell.web_searches)
        sums[key] = [one + other for one, other in zip(sums[key], counts, strict=True)]
    return dict(sums)


def test_an_empty_store_answers() -> None:
    """Every query of a new store has nothing to say."""
    db = memory_store().connection
    assert list(queries.cells_by_minute(db, 0, AT_MS)) == []
    assert (queries.latest_replies(db, 5), queries.replies_since(db, 0)) == ([], [])
    assert (queries.latest_change(db), queries.changes_between(db, 0, 9), queries.malformed_lines(db)) == (0, [], 0)
    assert (queries.project_folders(db), queries.passes(db, 5)) == ({}, [])


# Minutes


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


@settings(deadline=None, max_examples=60)
@given(
    SPREAD, TIMES, TIMES, *(st.none() | st.sets(st.sampled_from(names)) for names in (["-a", "-b", "-nowhere"], [MODEL, "claude-zeta-9"]))
)
def test_replies_between(lines: list[Record], start_ms: int, end_ms: int, projects: set[str] | None, models: set[str] | None) -> None:
    """From one moment on, before another one, of some projects and models only; oldest first."""
    db = store_of(*lines).connection
    ordered = sorted(replies_of(lines).values(), key=lambda reply: (reply.at_ms, reply.key))
    assert list(queries.replies_between(db, start_ms, end_ms, projects=projects, models=models)) == [
        reply
        for reply in ordered
        if start_ms <= reply.at_ms < end_ms
        and (projects is None or reply.owner.project in projects)
        and (models is None or reply.model in models)
    ]


def test_replies_between_are_read_in_the_order_of_the_index() -> None:
    """The first one comes at once: nothing is sorted but those of one moment."""
    db = memory_store().connection
    statements: list[str] = []
    db.set_trace_callback(statements.append)
    list(queries.replies_between(db, 0, AT_MS, projects={"-a"}, models={MODEL}))
    db.set_trace_callback(None)
    plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {statements[0]}")]
    assert plan[0] == "SEARCH replies USING INDEX replies_by_time (at_ms>? AND at_ms<?)"
    assert "USE TEMP B-TREE FOR ORDER BY" not in plan  # that would be of all terms


@settings(deadline=None, max_examples=60)
@given(SPREAD, st.integers(1, 4), st.sampled_from([None, "-a", MODEL]))
def test_older_replies_page_through_all_of_them(lines: list[Record], limit: int, word: str | None) -> None:
    """Page by page from the newest on each reply comes once, newest first; of those that are asked for by owner or model."""
    db = store_of(*lines).connection
    numbers = {number for number, owner in queries.owners(db).items() if word == owner.project}
    of = [(numbers, {word})] if word is not None else []
    found = []
    before = (AUTUMN * 9, "")
    while page := queries.older_replies(db, before, limit, of=of):
        found += page
        before = page[-1].at_ms, page[-1].key
    ordered = sorted(replies_of(lines).values(), key=lambda reply: (reply.at_ms, reply.key), reverse=True)
    assert found == [reply for reply in ordered if word is None or word in (reply.model, reply.owner.project)]


@settings(deadline=None, max_examples=60)
@given(SPREAD)
def test_replies_of_a_session(lines: list[Record]) -> None:
    """All of a session's, whichever project or subagent they are of, oldest first."""
    db = store_of(*lines).connection
    replies = replies_of(lines).values()
    for session in {reply.owner.session for reply in replies}:
        own = [reply for reply in replies if reply.owner.session == session]
        assert queries.replies_of_session(db, session) == sorted(own, key=lambda reply: (reply.at_ms, reply.key))
    assert queries.replies_of_session(db, "nobody") == []
    assert set(queries.owners(db).values()) >= {reply.owner for reply in replies}


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


def test_the_limits_of_a_stores_tiers() -> None:
    """They are those of the price list that it was written with."""
    assert queries.thresholds(memory_store((10, 1000)).connection) == (10, 1000)


def test_malformed_lines_of_files_that_are_gone_still_count() -> None:
    """What could not be read is not forgotten with its file, only with a rewrite."""
    store = memory_store()
    (life,) = store.apply([chunk(record(), rejects=[Reject(0, "not JSON"), Reject(9, "not JSON")])]).lives
    store.restate([life._replace(state="missing")])
    assert queries.malformed_lines(store.connection) == 2
