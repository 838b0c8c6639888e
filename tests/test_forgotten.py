"""Tests of `tokentail.forgotten`: what a hash stands for, and what is left of a chunk."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st

from builders import chunk, memory_store, record
from tokentail import forgotten
from tokentail.forgotten import among, mark_of_group, mark_of_request, without
from tokentail.merge import RecordKey

KEYS: list[RecordKey] = [("msg_1", "r1", False), ("msg_1", "r2", False), ("msg_1", "", True), ("msg_2", "r1", False), ("a/b", "c", False)]


def test_a_group_takes_all_its_records_with_it() -> None:
    """Whatever their request and side."""
    db = memory_store().connection
    assert among(db, KEYS) == set()
    forgotten.remember(db, [(mark_of_group("msg_1"), 7)])
    assert among(db, KEYS) == set(KEYS[:3])


def test_a_request_takes_its_own_records_with_it() -> None:
    """Of a group that several requests share the others stay; none is taken for another by the sign between them."""
    db = memory_store().connection
    forgotten.remember(db, [(mark_of_request("msg_1", "r2"), 7), (mark_of_request("msg_1", ""), 7), (mark_of_request("a", "b/c"), 7)])
    assert among(db, KEYS) == {KEYS[1], KEYS[2]}


def test_many_are_asked_about_at_once() -> None:
    """However many records come in one commit."""
    db = memory_store().connection
    keys: list[RecordKey] = [(f"msg_{number}", "r", False) for number in range(3000)]
    forgotten.remember(db, [(mark_of_group(key[0]), 7) for key in keys[::7]])
    assert among(db, keys) == set(keys[::7])


def test_what_was_forgotten_when() -> None:
    """The moments, oldest first; what is forgotten twice counts at the first time."""
    db = memory_store().connection
    forgotten.remember(db, [(mark_of_group(f"msg_{number}"), 5) for number in range(3)])
    forgotten.remember(db, [(mark_of_group(f"msg_{number}"), 4) for number in range(2, 4)])
    assert list(forgotten.forgettings(db)) == [(4, 1), (5, 3)]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=9), st.sets(st.integers(0, 4)), st.booleans())
def test_a_chunk_is_as_if_the_lines_were_not_there(numbers: list[int], gone: set[int], has_tail: bool) -> None:
    """The lines that are left keep their records, their offsets and their side of the cursor."""
    lines = [record(f"msg_{number}") for number in numbers]
    whole = chunk(*lines, tail_lines=int(has_tail), folder=(1, "/home/dev/app"))
    rest = without(whole, {record(f"msg_{number}")[:3] for number in gone})
    seen = [(rest.records[index].group, offset) for index, offset in zip(rest.seen_records, rest.seen_offsets, strict=True)]
    expected = list(zip((line.group for line in lines), whole.seen_offsets, strict=True))
    assert seen == [each for each, number in zip(expected, numbers, strict=True) if number not in gone]
    assert rest.tail_lines == int(has_tail and numbers[-1] not in gone)
    assert (rest.change, rest.restarted, rest.start_bytes, rest.cursor) == (whole.change, whole.restarted, whole.start_bytes, whole.cursor)
    assert rest.folder == (whole.folder if seen else None)
    assert {each.group for each in rest.records} == {group for group, _ in seen}


def test_a_chunk_without_them_is_the_same() -> None:
    """Nearly every chunk: nothing is copied."""
    whole = chunk(record(), record("msg_2"))
    assert without(whole, {("msg_3", "req_1", False)}) is whole
    assert whole.seen_records == array("I", [0, 1])
