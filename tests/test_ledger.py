"""Tests of `tokentail.ledger`: records become rows, replies and summaries, and a commit says what it did to the replies."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import (
    AT_MS,
    LATER_MS,
    SCHEMA,
    THRESHOLDS,
    TIMES,
    days_in,
    days_of,
    hours_in,
    hours_of,
    memory_store,
    record,
    records,
    replies_in,
    replies_of,
    settled_of,
    summary_in,
    summary_of,
    usage,
)
from tokentail import merge
from tokentail.interned import Interned
from tokentail.ledger import Group, Ledger, Tally
from tokentail.model import Owner, Record
from tokentail.periods import QUARTER_MS
from tokentail.summaries import settle


def connection() -> sqlite3.Connection:
    made = sqlite3.connect(":memory:", isolation_level=None)
    made.executescript(SCHEMA)
    return made


def add(db: sqlite3.Connection, *lines: Record, now_ms: int = LATER_MS) -> tuple[dict[tuple[str, str, bool], int], Tally]:
    """Join records into the rows, as one commit, and add up what is over."""
    joined: Group = {}
    for line in lines:
        joined[line[:3]] = merge.join(joined.get(line[:3], line), line)
    added = Ledger(db, Interned(db, THRESHOLDS)).add(joined)
    settle(db, now_ms // QUARTER_MS)
    return added


def events(tally: Tally) -> tuple[int, int, int, int]:
    return tally.new, tally.grown, tally.corrected, tally.gone


def group_of_id(db: sqlite3.Connection, number: int) -> str:
    """The group of the record that has that id: in `records`, or a lone one in `replies`."""
    row = db.execute("SELECT group_text FROM records WHERE id = ?", (number,)).fetchone()
    if row is not None:
        return str(row[0])
    (key,) = db.execute("SELECT key FROM replies WHERE id = ?", (number,)).fetchone()
    return merge.group_of_key(key)


@settings(deadline=None, max_examples=60)
@given(st.lists(records(), min_size=1, max_size=8), st.data())
def test_one_commit_or_many_give_the_same(lines: list[Record], data: st.DataObject) -> None:
    """The rows do not depend on how records were cut into commits: first fill, later joins, in any order."""
    at_once, bit_by_bit = connection(), connection()
    add(at_once, *lines)
    for line in data.draw(st.permutations(lines)):
        add(bit_by_bit, line)
    assert replies_in(at_once) == replies_in(bit_by_bit) == replies_of(lines)
    replies = replies_of(lines).values()
    assert summary_in(at_once) == summary_in(bit_by_bit) == summary_of(replies, THRESHOLDS)
    assert hours_in(at_once) == hours_in(bit_by_bit) == hours_of(replies, THRESHOLDS)
    assert days_in(at_once) == days_in(bit_by_bit) == days_of(replies, THRESHOLDS)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(st.lists(records(), max_size=4), TIMES), min_size=1, max_size=6))
def test_sums_end_where_the_clock_was(commits: list[tuple[list[Record], int]]) -> None:
    """Whatever arrives when, also late, early or with a clock that goes back: what is over is added up, and nothing else is."""
    db = connection()
    lines: list[Record] = []
    latest = 0
    for some, now_ms in commits:
        add(db, *some, now_ms=now_ms)
        lines += some
        latest = max(latest, now_ms // QUARTER_MS)
        replies = replies_of(lines).values()
        assert replies_in(db) == replies_of(lines)
        assert summary_in(db) == settled_of(summary_of(replies, THRESHOLDS), latest, 1)
        assert hours_in(db) == settled_of(hours_of(replies, THRESHOLDS), latest, 4)
        assert days_in(db) == settled_of(days_of(replies, THRESHOLDS), latest, 96)


def test_a_large_first_fill_has_its_indexes() -> None:
    """A fill that makes its indexes afterwards ends with the same tables as any other."""
    db = connection()
    indexes = db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' ORDER BY name").fetchall()
    lines = [record(f"msg_{number}", at_ms=AT_MS + number * 1000) for number in range(5_001)]
    lines += [record("msg_7", request_id=request, sidechain=True) for request in ("req_1", "req_2")]
    _, tally = add(db, *lines)
    assert (tally.new, tally.changes) == (5_001, [])
    assert db.execute("SELECT name, sql FROM sqlite_master WHERE type = 'index' ORDER BY name").fetchall() == indexes
    assert replies_in(db) == replies_of(lines)
    assert summary_in(db) == summary_of(replies_of(lines).values(), THRESHOLDS)
    assert hours_in(db) == hours_of(replies_of(lines).values(), THRESHOLDS)
    assert days_in(db) == days_of(replies_of(lines).values(), THRESHOLDS)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([record()], [record()], (0, 0, 0, 0)),
        ([record()], [record("msg_2")], (1, 0, 0, 0)),
        ([record()], [record(usage=usage(11))], (0, 1, 0, 0)),
        ([record(stopped=False)], [record()], (0, 1, 0, 0)),
        ([record()], [record(usage=usage(9))], (0, 0, 0, 0)),
        ([record()], [record(at_ms=AT_MS - 1)], (0, 0, 1, 0)),
        ([record()], [record(at_ms=AT_MS + 1)], (0, 0, 0, 0)),
        ([record()], [record(owner=Owner(False, False, "s0", "-x", ""))], (0, 0, 1, 0)),
        ([record()], [record(usage=usage(11, input_tokens=1))], (0, 0, 1, 0)),
        ([record()], [record(usage=usage(11), model="claude-haiku-4-5")], (0, 0, 1, 0)),
        ([record()], [record(request_id="req_2", sidechain=True, usage=usage(99))], (0, 0, 0, 0)),
        ([record(sidechain=True, usage=usage(99))], [record(request_id="req_2")], (0, 0, 1, 0)),
        ([record()], [record(request_id="req_2")], (2, 0, 0, 1)),
        ([record(), record(request_id="req_2")], [record(request_id="req_3")], (1, 0, 0, 0)),
        ([record(request_id="req_2"), record(request_id="req_3")], [record(request_id="", usage=usage(50))], (0, 1, 0, 0)),
        ([record()], [record(request_id="")], (0, 0, 0, 0)),
        ([record()], [record(usage=usage(inference_geo=""))], (0, 0, 0, 0)),
    ],
    ids=[
        "again",
        "another-id",
        "more-output",
        "stopped-now",
        "less-output",
        "earlier",
        "later",
        "another-owner",
        "more-output-less-input",
        "another-model",
        "replay-after-its-parent",
        "parent-after-its-replay",
        "second-request-splits",
        "third-request",
        "line-without-request-joins-the-smallest",
        "another-copy-without-request",
        "more-keys-that-say-nothing",
    ],
)
def test_what_a_commit_did_to_the_replies(before: list[Record], after: list[Record], expected: tuple[int, int, int, int]) -> None:
    """Whole groups are resolved before and after; the difference is what changed: (new, grown, corrected, gone)."""
    db = connection()
    add(db, *before)
    _, tally = add(db, *after)
    assert events(tally) == expected
    assert len(tally.changes) == sum(expected)
    assert replies_in(db) == replies_of([*before, *after])


def test_a_change_of_quarter_empties_the_old_one() -> None:
    """A reply that turns out to be earlier leaves no row where it was counted before."""
    db = connection()
    add(db, record(at_ms=5 * QUARTER_MS))
    add(db, record(at_ms=3 * QUARTER_MS))
    assert [row[0] for row in summary_in(db)] == [3]
    assert [row[0] for row in hours_in(db)] == [0]


def test_ids_of_records_outlive_a_split() -> None:
    """A record keeps its id when its group splits, and every id leads to its group: sightings refer to it."""
    db = connection()
    first, _ = add(db, record(), record("msg_2"))
    second, _ = add(db, record(request_id="req_2"))
    third, _ = add(db, record(request_id="", usage=usage(77)), record("msg_3"))
    fourth, _ = add(db, record(), record(request_id="req_2"))
    key = ("msg_1", "req_1", False)
    assert first[key] == second[key] == third[key] == fourth[key]
    assert {group_of_id(db, number) for number in third.values()} == {"msg_1", "msg_3"}
    everything = {**first, **second, **third}
    assert len(set(everything.values())) == len(everything)
    assert {key: group_of_id(db, number) for key, number in everything.items()} == {key: key[0] for key in everything}


def test_a_record_that_changes_nothing_has_an_id() -> None:
    """The sightings of a line that adds nothing are kept all the same."""
    db = connection()
    first, _ = add(db, record(), record("msg_2"))
    again, tally = add(db, record(usage=usage(3)))
    assert again[record()[:3]] == first[record()[:3]]
    assert events(tally) == (0, 0, 0, 0)


def test_extras_follow_their_reply() -> None:
    """Extra iterations are replaced with their reply, never added to (R6)."""
    db = connection()
    spent = [{"type": "compaction", "input_tokens": 5, "model": "claude-haiku-4-5"}]
    add(db, record(usage=usage(1, iterations=spent)))
    add(db, record(usage=usage(2, iterations=spent * 2)))
    add(db, record(usage=usage(2, iterations=spent * 2)), record(request_id="req_2", usage=usage(1, iterations=spent)))
    assert db.execute("SELECT count(*), sum(input) FROM extras").fetchone() == (3, 15)
    add(db, record(usage=usage(3)), record(request_id="req_2", usage=usage(3)))
    assert db.execute("SELECT count(*) FROM extras").fetchone() == (0,)
    assert summary_in(db) == summary_of(replies_in(db).values(), THRESHOLDS)


def test_other_thresholds_move_replies_and_extras_to_other_tiers() -> None:
    """When the price list's thresholds change, every tier is computed anew: those of replies and those of extra iterations."""
    spent = [{"type": "compaction", "input_tokens": 500, "model": "claude-haiku-4-5"}]
    lines = [record(usage=usage(iterations=spent)), record("msg_2", usage=usage(cache_read_input_tokens=0))]
    db = connection()
    add(db, *lines)
    for thresholds in ((400, 600, 5000), (), (1000,)):
        Ledger(db, Interned(db, thresholds)).summarize_all()
        assert summary_in(db) == summary_of(replies_of(lines).values(), thresholds)


def test_a_prompt_as_long_as_a_threshold_does_not_exceed_it() -> None:
    """The long-context price is for prompts that are longer than the limit."""
    db = connection()
    flat = {"cache_read_input_tokens": 0, "cache_creation_input_tokens": 0, "cache_creation": None}
    add(db, *(record(f"msg_{count}", usage=usage(0, input_tokens=count, **flat)) for count in (9, 10, 11, 1000, 1001)))
    assert sorted((row[9], counts[5]) for row, counts in summary_in(db).items()) == [(0, 2), (1, 2), (2, 1)]


def test_the_largest_counts_that_are_valid_are_added_up() -> None:
    """Counts of 2^53 are kept exactly, in rows and in sums."""
    most = 2**53
    db = connection()
    lines = [record(f"msg_{number}", usage=usage(most, input_tokens=most)) for number in range(3)]
    add(db, *lines)
    ((_, sums),) = summary_in(db).items()
    assert sums[:2] == [3 * most, 3 * most]


def test_a_store_in_memory_starts_empty() -> None:
    """The schema makes every table that a query reads."""
    db = memory_store().connection
    assert (replies_in(db), summary_in(db)) == ({}, {})


def steps_of(db: sqlite3.Connection, line: Record) -> int:
    """How much SQLite does for one more record, in hundreds of its own instructions."""
    done = 0

    def count() -> int:
        nonlocal done
        done += 1
        return 0

    db.set_progress_handler(count, 100)
    add(db, line)
    db.set_progress_handler(None, 100)
    return done


def test_a_line_costs_no_more_where_many_groups_have_several_records() -> None:
    """A look-up asks for the groups that it has, and reads no table from end to end."""
    few, many = connection(), connection()
    for db, groups in ((few, 10), (many, 2_000)):
        add(
            db,
            *(
                record(f"msg_{number}", request_id=request, at_ms=AT_MS - 960 * QUARTER_MS)
                for number in range(groups)
                for request in ("req_1", "req_2")
            ),
        )
    assert steps_of(many, record("msg_new")) <= steps_of(few, record("msg_new")) + 1
