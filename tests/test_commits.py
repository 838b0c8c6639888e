"""Tests of `tokentail.commits`: whoever waits hears of other connections' commits, and of nothing else."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tokentail import database
from tokentail.commits import Commits

LONG_S = 20.0


@pytest.fixture(name="path")
def fixture_path(tmp_path: Path) -> Path:
    path = tmp_path / "store.db"
    database.open_for_writing(path).close()
    return path


@pytest.fixture(name="db")
def fixture_db(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(database.open_for_writing(path)) as db:
        yield db


def commit(path: Path) -> None:
    with closing(database.open_for_writing(path)) as other:
        other.execute("INSERT INTO names (name) VALUES (hex(randomblob(8)))")


def test_another_connections_commit_ends_the_wait(path: Path, db: sqlite3.Connection) -> None:
    """At once, whether it came before the wait or comes meanwhile."""
    with closing(Commits(lambda: db, path)) as commits:
        commit(path)
        assert commits.wait(0)
        thread = threading.Thread(target=commit, args=(path,))
        thread.start()
        assert commits.wait(LONG_S)
        thread.join()


def test_ones_own_commit_does_not(path: Path, db: sqlite3.Connection) -> None:
    """Nor does any other file beside the store."""
    with closing(Commits(lambda: db, path)) as commits:
        db.execute("INSERT INTO names (name) VALUES ('own')")
        path.with_name("other").write_text("written")
        assert not commits.wait(0.05)


def test_each_commit_is_told_once(path: Path, db: sqlite3.Connection) -> None:
    """Several of them before a look are one."""
    with closing(Commits(lambda: db, path)) as commits:
        commit(path)
        commit(path)
        assert commits.wait(LONG_S)
        assert not commits.wait(0.05)


def test_without_file_events_one_looks_now_and_then(path: Path, db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no more of them to give, a commit is heard of all the same."""
    import tokentail.commits

    monkeypatch.setattr(tokentail.commits, "_events", lambda folder: None)
    with closing(Commits(lambda: db, path)) as commits:
        threading.Timer(0.05, commit, args=(path,)).start()
        assert commits.wait(LONG_S)


def test_another_store_in_its_place_ends_the_wait(path: Path, tmp_path: Path) -> None:
    """Also where its version is that of the one before; and from then on its commits are heard of."""
    database.open_for_writing(tmp_path / "fresh.db").close()
    connections = [database.open_for_writing(path)]
    with closing(Commits(lambda: connections[-1], path)) as commits:
        connections[0].close()
        assert commits.wait(LONG_S)
        (tmp_path / "fresh.db").rename(path)
        connections.append(database.open_for_writing(path))
        assert commits.wait(LONG_S)
        assert not commits.wait(0.05)
        commit(path)
        assert commits.wait(LONG_S)
    connections[-1].close()


def test_a_connection_that_was_closed_is_no_crash(path: Path) -> None:
    """Whoever closed it opens another one, and that is a change."""
    connections = [database.open_for_writing(path)]
    with closing(Commits(lambda: connections[-1], path)) as commits:
        connections[0].close()
        assert commits.wait(LONG_S)
        assert not commits.wait(0.05)
        connections.append(database.open_for_writing(path))
        assert commits.wait(LONG_S)
    connections[-1].close()
