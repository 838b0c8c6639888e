"""Tests of `tokentail.provenance`: a reply stands where the best of its lines stands."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import OWNER, STATES, chunk, memory_store, record, records, replies_of, store_of_lives
from tokentail import merge
from tokentail.model import Change, Record
from tokentail.provenance import DELETED, ON_DISK, REWRITTEN, SEVERAL, stands

WHERE = {"live": ON_DISK, "missing": DELETED, "rewritten": REWRITTEN}
Lives = Sequence[tuple[str, Sequence[Record]]]
LIVES: st.SearchStrategy[Lives] = st.lists(st.tuples(STATES, st.lists(records(), max_size=6)), max_size=4)


def where_replies_stand(db: sqlite3.Connection) -> dict[str, int]:
    """Of each reply, by its key."""
    found = stands(db)
    rows = db.execute("SELECT key, id FROM replies").fetchall()
    return {key: ON_DISK if found is None else found.replies[number] for key, number in rows}


def by_the_rule(lives: Lives) -> dict[str, int]:
    """The same, looking at every line: which reply it is part of (R3), and what became of its file."""
    seen = [(each, WHERE[state]) for state, lines in lives for each in lines]
    found = {}
    for key in replies_of(each for each, _ in seen):
        of_group = [(each, where) for each, where in seen if each.group == merge.group_of_key(key)]
        own = [each for each, _ in of_group if not each.sidechain]
        requests = {each.request_id for each in own} - {""}
        found[key] = min(
            where for each, where in of_group if not own or _is_part(each, merge.request_of_key(key) or min(requests, default=""), requests)
        )
    return found


def _is_part(line: Record, request: str, requests: set[str]) -> bool:
    if line.request_id in requests:
        return line.request_id == request
    return not line.sidechain and request == min(requests, default="")


@settings(deadline=None, max_examples=300)
@given(LIVES)
def test_a_reply_stands_where_the_best_of_its_lines_does(lives: Lives) -> None:
    """On disk before deleted before rewritten; a line that is no part of the reply (a replay, another request) says nothing."""
    assert where_replies_stand(store_of_lives(*lives).connection) == by_the_rule(lives)


@settings(deadline=None, max_examples=100)
@given(LIVES)
def test_an_owner_stands_where_all_of_its_replies_do(lives: Lives) -> None:
    """Or nowhere in particular."""
    db = store_of_lives(*lives).connection
    found = stands(db)
    rows = db.execute("SELECT owner, id FROM replies").fetchall() if found is not None else []
    for owner in {owner for owner, _ in rows}:
        assert found is not None
        where = {found.replies[number] for each, number in rows if each == owner}
        assert found.owners[owner] == (where.pop() if len(where) == 1 else SEVERAL)


@pytest.mark.parametrize("lives", [[], [("live", [record()])], [("live", [record()]), ("missing", []), ("rewritten", [])]])
def test_when_all_is_on_disk_nothing_is_looked_up(lives: Lives) -> None:
    """The usual store, and an empty one."""
    assert stands(store_of_lives(*lives).connection) is None


def test_a_file_that_was_rewritten_with_the_same_lines_removed_nothing() -> None:
    """Its replies are on disk; only one that is not written again stands in the life that ended."""
    store = memory_store()
    (first,) = store.apply([chunk(record("msg_1"), record("msg_2"))]).lives
    store.apply([chunk(record("msg_1"), record("msg_3"), change=Change(first.file, None, first))])
    assert where_replies_stand(store.connection) == {"msg_1": ON_DISK, "msg_2": REWRITTEN, "msg_3": ON_DISK}
    found = stands(store.connection)
    assert found is not None
    assert set(found.owners) == {ON_DISK, SEVERAL}  # number 0 is nobody's


def test_a_fork_keeps_a_reply_on_disk() -> None:
    """The original's file is gone, and its copy says the same."""
    fork = record(owner=OWNER._replace(session="s2"))
    store = store_of_lives(("missing", [record(), record("msg_2")]), ("live", [fork]))
    assert where_replies_stand(store.connection) == {"msg_1": ON_DISK, "msg_2": DELETED}
