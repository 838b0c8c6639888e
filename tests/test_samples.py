"""Tests of `tokentail.samples`: what Claude Code says of its limits and costs, and which of it is news."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import AT_MS, coordinator, line, many_lines, memory_store, record, store_of, write_logs
from tokentail import database, samples
from tokentail.forget import Choice
from tokentail.samples import HOUR_MS, Heard, Reading, SaidCost, Sample

END = AT_MS + 3 * HOUR_MS


def heard(percent: float | None = None, *, session: str = "s1", cost: float | None = 1.0, kind: str = "five_hour", end: int = END) -> Heard:
    return Heard(session, cost, () if percent is None else (Reading(kind, percent, end),))


def said(db: sqlite3.Connection, kind: str = "five_hour") -> list[tuple[float, int, int]]:
    """Each value with the moments when it was said first and last, from AT_MS on."""
    return [(each.used_percent, each.first_ms - AT_MS, each.last_ms - AT_MS) for each in samples.since(db, kind, 0)]


@pytest.fixture(name="db")
def fixture_db() -> sqlite3.Connection:
    return memory_store().connection


def test_a_value_that_is_said_again_is_one_row(db: sqlite3.Connection) -> None:
    """A row is a value, from when it was said first to when it was said last."""
    for minute, (percent, cost) in enumerate([(40, 1.0), (40, 1.5), (41, 2.0)]):
        samples.keep(db, heard(percent, cost=cost), AT_MS + minute)
    assert said(db) == [(40.0, 0, 1), (41.0, 2, 2)]
    assert samples.latest(db, "five_hour") == Sample("five_hour", AT_MS + 2, AT_MS + 2, 41.0, END)
    assert samples.latest(db, "seven_day") is None


def test_a_session_that_says_the_same_says_nothing_new(db: sqlite3.Connection) -> None:
    """Without a reply since, a session knows what it knew: neither does its value get younger, nor does it hide another's."""
    samples.keep(db, heard(40, session="idle"), AT_MS)
    samples.keep(db, heard(60, session="busy"), AT_MS + 1)
    assert not samples.is_news(db, heard(40, session="idle"))
    samples.keep(db, heard(40, session="idle"), AT_MS + 2)
    assert said(db) == [(40.0, 0, 0), (60.0, 1, 1)]


def test_an_idle_session_that_is_heard_first_hides_no_greater_value(db: sqlite3.Connection) -> None:
    """Within a window a session that nobody knew, and that says less, knows less."""
    samples.keep(db, heard(60, session="busy"), AT_MS)
    samples.keep(db, heard(40, session="idle"), AT_MS + 1)
    assert said(db) == [(60.0, 0, 0)]


def test_a_limit_can_be_given_back(db: sqlite3.Connection) -> None:
    """A session that said more before and now says less knows of a reset."""
    samples.keep(db, heard(60), AT_MS)
    samples.keep(db, heard(5), AT_MS + 1)
    assert [each[0] for each in said(db)] == [60.0, 5.0]


def test_the_end_of_a_window_may_be_said_to_another_second(db: sqlite3.Connection) -> None:
    """It is the same window all the same; a later end is another one."""
    samples.keep(db, heard(40, cost=1), AT_MS)
    samples.keep(db, heard(40, cost=2, end=END + 1000), AT_MS + 1)
    samples.keep(db, heard(40, cost=3, end=END + HOUR_MS), AT_MS + 2)
    assert said(db) == [(40.0, 0, 1), (40.0, 2, 2)]


@pytest.mark.parametrize("end", [AT_MS, AT_MS - 1, AT_MS + 6 * HOUR_MS])
def test_a_window_that_cannot_be_running_is_not_kept(end: int, db: sqlite3.Connection) -> None:
    """What ended, or ends later than a window lasts, says nothing of now."""
    samples.keep(db, heard(40, end=end), AT_MS)
    assert said(db) == []


def test_a_clock_that_is_put_back_loses_nothing(db: sqlite3.Connection) -> None:
    """Values stay in the order in which they were said."""
    samples.keep(db, heard(40), AT_MS)
    samples.keep(db, heard(41), AT_MS - 5)
    assert [each[0] for each in said(db)] == [40.0, 41.0]


def test_a_cost_that_begins_anew_is_added_to_what_was(db: sqlite3.Connection) -> None:
    """A session that is resumed counts from nothing again; what it says costs all of that."""
    for minute, cost in enumerate([1.0, 2.5, 0.25, 0.5]):
        samples.keep(db, heard(cost=cost), AT_MS + minute)
    assert samples.said_cost(db, "s1") == SaidCost(3.0, AT_MS, AT_MS + 3, 2.5)
    assert samples.said_cost(db, "s2") is None


def test_a_cost_that_is_not_said_changes_none(db: sqlite3.Connection) -> None:
    """A line without a cost or without limits is no news of them."""
    samples.keep(db, heard(40, cost=1.0), AT_MS)
    assert not samples.is_news(db, Heard("s1", None))
    assert not samples.is_news(db, Heard("s1", 1.0))
    samples.keep(db, heard(41, cost=None), AT_MS + 1)
    assert samples.said_cost(db, "s1") == SaidCost(1.0, AT_MS, AT_MS + 1, 0.0)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 100), st.floats(0, 1e6), st.integers(0, 1000)), max_size=30))
def test_saying_it_twice_is_saying_it_once(calls: list[tuple[str, int, float, int]]) -> None:
    """Who calls again changes nothing, whatever was said and by whom."""
    once, twice = memory_store().connection, memory_store().connection
    for session, percent, cost, later in calls:
        each = heard(percent, session=session, cost=cost)
        for db, times in ((once, 1), (twice, 2)):
            for _ in range(times):
                samples.keep(db, each, AT_MS + later)
    for table in ("samples", "said_sessions"):
        assert once.execute(f"SELECT * FROM {table}").fetchall() == twice.execute(f"SELECT * FROM {table}").fetchall()


def test_what_is_kept_is_bounded(db: sqlite3.Connection) -> None:
    """Of each limit the newest values stay."""
    rows = [("five_hour", number, number, 1.0, END) for number in range(samples.MAX_SAMPLES)]
    db.executemany("INSERT INTO samples VALUES (?, ?, ?, ?, ?)", rows)
    samples.keep(db, heard(40), AT_MS)
    found = samples.since(db, "five_hour", 0)
    assert (len(found), found[0].first_ms, found[-1].first_ms) == (samples.MAX_SAMPLES, 1, AT_MS)


def test_a_rebuild_keeps_what_no_log_holds(tmp_path: Path) -> None:
    """What was said stands in the store only, and goes over into a new one."""
    logs = write_logs(tmp_path / "logs", {"-a/s1.jsonl": line()})
    with closing(coordinator(logs, tmp_path / "store.db")) as engine:
        engine.check_for_updates()
        with closing(database.open_to_add(tmp_path / "store.db", wait_ms=1000)) as own:
            samples.keep(own, heard(40), AT_MS)
        engine.rebuild()
        assert said(engine.db) == [(40.0, 0, 0)]
        assert samples.said_cost(engine.db, "s1") == SaidCost(1.0, AT_MS, AT_MS, 0.0)


def test_a_damaged_store_gives_what_was_said(tmp_path: Path) -> None:
    """What no log holds is taken over into the new store, whatever else is lost; what cannot have been written is not."""
    logs, path = write_logs(tmp_path / "logs", {"-a/s1.jsonl": many_lines(300)}), tmp_path / "store.db"
    with closing(coordinator(logs, path)) as engine:
        engine.check_for_updates()
        samples.keep(engine.db, heard(40), AT_MS)
        engine.db.execute("INSERT INTO samples VALUES ('seven_day', 'x', 1, 2.0, 3)")
        engine.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = engine.db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'replies'").fetchone()
        (size,) = engine.db.execute("PRAGMA page_size").fetchone()
    data = bytearray(path.read_bytes())
    data[(page - 1) * size : page * size] = bytes(size)
    path.write_bytes(data)
    with closing(coordinator(logs, path)) as engine:
        assert "damaged" in engine.check_for_updates().degraded[0]
        assert said(engine.db) == [(40.0, 0, 0)]
        assert said(engine.db, "seven_day") == []
        assert samples.said_cost(engine.db, "s1") == SaidCost(1.0, AT_MS, AT_MS, 0.0)


def test_what_is_forgotten_has_no_cost_left() -> None:
    """With a session's replies goes what was said of it."""
    store = store_of(record("msg_1"))
    (session,) = store.connection.execute("SELECT names.name FROM owners JOIN names ON names.id = session").fetchone()
    samples.keep(store.connection, heard(session=session), AT_MS)
    assert samples.said_cost(store.connection, session) is not None
    store.forget(Choice(session=session))
    assert samples.said_cost(store.connection, session) is None


def test_it_needs_no_lock_but_that_of_sqlite(tmp_path: Path) -> None:
    """A sample is kept while a process ingests; while one commits, it is left after a moment, and nothing is half written."""
    logs = write_logs(tmp_path / "logs", {"-a/s1.jsonl": line()})
    path = tmp_path / "store.db"
    with closing(coordinator(logs, path)) as engine:
        engine.check_for_updates()
    with closing(database.open_to_add(path, wait_ms=10)) as own, closing(database.open_for_writing(path)) as other:
        with database.locked(path, wait_s=0):
            samples.keep(own, heard(40), AT_MS)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            samples.keep(own, heard(41), AT_MS + 1)
        other.execute("ROLLBACK")
        samples.keep(own, heard(42), AT_MS + 2)
        assert said(own) == [(40.0, 0, 0), (42.0, 2, 2)]
