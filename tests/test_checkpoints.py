"""Tests of `tokentail.checkpoints`."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from tokentail import database
from tokentail.checkpoints import Checkpoints

DEADLINE_S = 20.0


def names_in(path: Path) -> int:
    """How many names stand in the file itself, whatever its write-ahead log holds; none while it is just being written to."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)) as db:
        try:
            return int(db.execute("SELECT count(*) FROM names").fetchone()[0])
        except sqlite3.DatabaseError:  # half of the pages are new
            return 0


def test_what_is_committed_gets_into_the_file(tmp_path: Path) -> None:
    """Beside a connection that makes no checkpoints itself."""
    path = tmp_path / "store.db"
    with closing(database.open_for_writing(path)) as db, Checkpoints(path, every_s=0.01):
        database.checkpoint_by_itself(db, False)
        db.execute("BEGIN")
        db.executemany("INSERT INTO names (name) VALUES (?)", [(f"name-{number:050}",) for number in range(3000)])
        db.execute("COMMIT")
        until = time.monotonic() + DEADLINE_S
        while names_in(path) < 3000:
            assert time.monotonic() < until
            time.sleep(0.01)


def test_a_store_that_is_gone_is_no_trouble(tmp_path: Path) -> None:
    """Whoever commits says what is wrong with the store; the thread goes on, and ends when it is told to."""
    (tmp_path / "store.db").write_bytes(b"nothing of ours" * 100)
    (tmp_path / "store.db-wal").write_bytes(b"x")
    with Checkpoints(tmp_path / "store.db", every_s=0.001):
        time.sleep(0.05)
    assert (tmp_path / "store.db").read_bytes() == b"nothing of ours" * 100
