"""Tests of `tokentail.one_log`: a single log is brought up to date as a full pass would do it, or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders import coordinator, line, many_lines, replies_in, write_logs
from tokentail import database, one_log, prices
from tokentail.prices import PriceList
from tokentail.sources import LocalFolders

NAMES = ("-home-dev-app/s1.jsonl", "-home-dev-app/s2.jsonl")


@pytest.fixture(name="logs")
def fixture_logs(tmp_path: Path) -> Path:
    logs = write_logs(tmp_path / "logs", dict.fromkeys(NAMES, b""))
    write_logs(logs, {NAMES[0]: many_lines(30), NAMES[1]: many_lines(30, first=50)})
    full_pass(tmp_path)
    return logs


@pytest.fixture(name="db")
def fixture_db(logs: Path, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(database.open_for_reading(tmp_path / "store.db")) as db:
        yield db


def full_pass(home: Path) -> None:
    with closing(coordinator(home / "logs", home / "store.db")) as engine:
        engine.check_for_updates()


def catch_up(db: sqlite3.Connection, logs: Path, log: Path, price_list: PriceList | None = None) -> bool:
    return one_log.catch_up(db, LocalFolders([logs]), logs.parent / "store.db", price_list or prices.load(), str(log))


def append(path: Path, data: bytes) -> Path:
    with path.open("ab") as file:
        file.write(data)
    return path


def test_it_reads_that_log_only(db: sqlite3.Connection, logs: Path) -> None:
    """What the other log gained stays to be read."""
    one, other = (append(logs / name, line(f"new_{name[-7:-6]}")) for name in NAMES)
    assert one_log.has_changed(db, str(one))
    assert catch_up(db, logs, one)
    assert not one_log.has_changed(db, str(one))
    assert one_log.has_changed(db, str(other))
    assert [key for key in replies_in(db) if key.startswith("new")] == [f"new_{NAMES[0][-7:-6]}"]


def test_a_log_that_is_as_it_was_has_not_changed(db: sqlite3.Connection, logs: Path) -> None:
    """Nor has one that is not there."""
    assert not one_log.has_changed(db, str(logs / NAMES[0]))
    assert not one_log.has_changed(db, str(logs / "missing.jsonl"))
    assert not one_log.has_changed(db, str(logs))


def test_a_large_log_is_read_in_several_calls(db: sqlite3.Connection, logs: Path) -> None:
    """A call reads about a megabyte, and the log looks changed until all of it was read."""
    count = 12_000
    log = append(logs / NAMES[0], many_lines(count, first=1000, hours=1))
    calls = 0
    while one_log.has_changed(db, str(log)):
        assert catch_up(db, logs, log)
        calls += 1
    assert calls == -(-log.stat().st_size // one_log.MOST_BYTES)
    assert len(replies_in(db)) == count + 60


def test_what_would_take_long_is_left_to_others(db: sqlite3.Connection, logs: Path, tmp_path: Path) -> None:
    """A store of other rules or other long-context limits would have to be computed anew, one that another process writes waited for."""
    log = append(logs / NAMES[0], line("new"))
    with database.locked(tmp_path / "store.db", wait_s=0):
        assert not catch_up(db, logs, log)
    for name, value in (("rules_version", "0"), ("thresholds", "[7]")):
        with closing(sqlite3.connect(tmp_path / "store.db")) as own, own:
            own.execute("UPDATE meta SET value = ? WHERE name = ?", (value, name))
        assert not catch_up(db, logs, log)
        with closing(sqlite3.connect(tmp_path / "store.db")) as own, own:
            own.execute("DELETE FROM meta WHERE name = ?", (name,))
        full_pass(tmp_path)
    assert not catch_up(db, logs, tmp_path / "outside.jsonl")
    assert "new" in replies_in(db)


STEPS = st.lists(
    st.tuples(st.sampled_from(["append", "half", "cut", "replace", "move"]), st.sampled_from(NAMES), st.booleans()), min_size=1, max_size=8
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_with_full_passes_between_it_gives_what_they_give(
    steps: list[tuple[str, str, bool]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """However logs are written, cut, replaced and moved: reading one now and all later is reading all."""
    home = tmp_path_factory.mktemp("steps")
    logs = write_logs(home / "logs", {name: many_lines(3, first=10 * number) for number, name in enumerate(NAMES)})
    full_pass(home)
    number = 100
    with closing(database.open_for_reading(home / "store.db")) as db:
        for what, name, at_once in steps:
            log, number = logs / name, number + 1
            happen(log, what, number)
            if at_once:
                catch_up(db, logs, log)
            else:
                full_pass(home)
        full_pass(home)
        with closing(coordinator(logs, home / "fresh.db")) as engine:
            engine.check_for_updates()
            known, fresh = replies_in(db), replies_in(engine.db)
        assert {key: known[key] for key in fresh} == fresh


def happen(log: Path, what: str, number: int) -> None:
    data = line(f"msg_{number}", output=number)
    if what == "half":
        append(log, data[: len(data) // 2])
    elif what == "cut" and log.exists():
        log.write_bytes(log.read_bytes()[: log.stat().st_size // 2])
    elif what == "replace":
        (log.parent / "part").write_bytes(data)
        (log.parent / "part").replace(log)
    elif what == "move" and log.exists():
        log.rename(log.with_name(f"s{number}.jsonl"))
        append(log, data)
    else:
        append(log, data)
