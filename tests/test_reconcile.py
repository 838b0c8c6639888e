"""Tests of `tokentail reconcile`: what the central store counts otherwise is found, and sent again."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import many_lines, memory_store, record, records
from receiving import Central, central
from test_push import MAIN, Machine
from tokentail.fleet.sessions import SessionCounts, by_session
from tokentail.interned import records_of
from tokentail.model import Record

WORDS = ("--user", "anna", "--host", "laptop")


@pytest.fixture(name="there")
def fixture_there() -> Iterator[Central]:
    with central() as made:
        yield made


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path, {MAIN: many_lines(20), "-home-dev-web/s2.jsonl": many_lines(3, first=50).replace(b'"s1"', b'"s2"')})


def added_up(lines: Sequence[Record]) -> dict[str, SessionCounts]:
    sums: defaultdict[str, SessionCounts] = defaultdict(SessionCounts)
    for each in lines:
        counts = (1, *each.tokens[:2], each.tokens.cache_read, each.tokens.cache_write_5m, each.tokens.cache_write_1h)
        more = (*counts, each.web_searches, int(each.final))
        sums[each.owner.session] = SessionCounts(*(a + b for a, b in zip(sums[each.owner.session], more, strict=True)))
    return dict(sums)


@given(st.lists(st.tuples(records(), st.sampled_from([("", ""), ("anna", "one"), ("anna", "two")])), max_size=12))
def test_a_session_is_the_sum_of_its_records(lines: list[tuple[Record, tuple[str, str]]]) -> None:
    """Of one user on one host; whichever replies the records make."""
    store = memory_store()
    store.take(each._replace(owner=each.owner._replace(user=user, host=host)) for each, (user, host) in lines)
    kept = [each for _, each in records_of(store.connection)]
    for user, host in (("", ""), ("anna", "one"), ("anna", "two"), ("ben", "one")):
        whose = [each for each in kept if (each.owner.user, each.owner.host) == (user, host)]
        assert by_session(store.connection, user, host) == added_up(whose)


def test_where_all_is_in_order_nothing_is_sent(machine: Machine, there: Central) -> None:
    """The counts are compared, and that is all."""
    assert machine.push(there.url).returncode == 0
    done = machine.run("reconcile", there.url, *WORDS)
    assert (done.returncode, done.stdout) == (0, "2 sessions were compared: none differs there.\n")
    assert [got.path for got in there.got] == ["/v1/logs", "/v1/reconcile"]


def test_a_central_store_that_was_restored_from_a_backup_is_mended(machine: Machine, there: Central) -> None:
    """What it lost although it had acknowledged it, is found by session and sent again; the rest is not."""
    assert machine.push(there.url).returncode == 0
    whole = there.records
    lose(there.store.connection, "msg_50", "msg_51")
    dry = machine.run("reconcile", there.url, *WORDS, "--dry-run")
    assert (dry.returncode, dry.stdout) == (1, "2 sessions were compared: 1 differs there.\n  s2\n")
    done = machine.run("reconcile", there.url, *WORDS)
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "2 sessions were compared: 1 differs there.",
        "3 records were sent again; 2 of them were news there.",
    ]
    assert there.records == whole


def lose(db: sqlite3.Connection, *keys: str) -> None:
    db.executemany("DELETE FROM replies WHERE key = ?", [(key,) for key in keys])


def test_copies_of_other_machines_are_told_apart_from_losses(machine: Machine, there: Central) -> None:
    """Where another machine's copy owns a reply, the session differs for good; that is said, and is no failure."""
    assert machine.push(there.url).returncode == 0
    (ours,) = [each for each in there.records if each.group == "msg_50"]
    there.store.take([ours._replace(owner=ours.owner._replace(session="a-session-before"))])
    done = machine.run("reconcile", there.url, *WORDS)
    assert done.returncode == 0
    assert done.stdout.splitlines()[1:] == [
        "3 records were sent again; 0 of them were news there.",
        "1 differs still: other machines hold copies of their replies. Nothing of this machine's is missing there.",
    ]


def test_a_server_that_is_no_hub(machine: Machine, there: Central) -> None:
    """It cannot be compared with, and that is said."""
    there.faults = [404]
    done = machine.run("reconcile", there.url, *WORDS)
    assert done.returncode == 1
    assert "cannot compare with" in done.stderr
    assert "status 404" in done.stderr


def test_hidden_names_are_compared_by_their_hashes(machine: Machine, there: Central) -> None:
    """Who the machine is travels as it does with records."""
    machine.environment["TOKENTAIL_SITE_KEY"] = "0123456789abcdef"
    assert machine.push(there.url).returncode == 0
    assert machine.run("reconcile", there.url, *WORDS).stdout == "2 sessions were compared: none differs there.\n"
    assert b"anna" not in there.got[-1].body


def test_a_lone_record_counts_as_one() -> None:
    """One with a replay beside it as two: what is compared is what is kept."""
    store = memory_store()
    store.take([record("msg_1"), record("msg_2"), record("msg_2", request_id="req_2", sidechain=True)])
    assert by_session(store.connection, "", "")["s1"].records == 3
