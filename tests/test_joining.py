"""Tests of `tokentail.joining` and `tokentail merge`: the stores of two machines together say what one store of all logs says."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import chunk, memory_store, records, replies_in
from logs import PRICES, line, lines
from tokentail import database, queries
from tokentail.cli import main
from tokentail.coordinator import UpdateCoordinator
from tokentail.demo.plan import TreePlan
from tokentail.demo.tree import write_tree
from tokentail.errors import StoreError
from tokentail.forget import Choice
from tokentail.joining import Joined, join_store
from tokentail.model import Record
from tokentail.recount import recount
from tokentail.sources import LocalFolders
from tokentail.store import Store
from tokentail.verify import verify

ORIGIN = Path("/elsewhere/store.db")


@contextmanager
def machine(root: Path) -> Iterator[UpdateCoordinator]:
    """One with logs and a store of its own, up to date."""
    with closing(UpdateCoordinator(LocalFolders([root / "logs"]), root / "store.db", prices=PRICES)) as made:
        made.check_for_updates()
        yield made


def write(root: Path, name: str, data: bytes) -> None:
    path = root / "logs" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def joined(ours: Path, other: Path) -> Joined:
    with machine(ours) as live, machine(other) as there:
        return live.change_store(lambda store: join_store(store, there.db, other / "store.db"))


def everything(root: Path) -> tuple[object, ...]:
    """The replies of a store, their projects' folders, and all sums."""
    with machine(root) as live:
        sums = [
            live.db.execute(f"SELECT sum({column}) FROM quarters").fetchone() for column in ("input", "output", "cache_read", "replies")
        ]
        return replies_in(live.db), queries.project_folders(live.db), sums


# Records

MANY = st.lists(records(), max_size=12)


def filled(found: Sequence[Record]) -> Store:
    store = memory_store()
    for record in found:
        store.apply([chunk(record)])
    return store


@given(MANY, MANY)
def test_two_stores_become_what_one_would_be(one: list[Record], other: list[Record]) -> None:
    """In either order, also where both have differing copies of a reply, or one a replay and one its parent; a second time nothing."""
    together = filled([*one, *other])
    for first, second in (one, other), (other, one):
        store = filled(first)
        found = join_store(store, filled(second).connection, ORIGIN)
        assert replies_in(store.connection) == replies_in(together.connection)
        assert found.replies == len(replies_in(together.connection))
        before = store.connection.execute("SELECT count(*) FROM files").fetchone()
        assert join_store(store, filled(second).connection, ORIGIN).joined == 0
        assert replies_in(store.connection) == replies_in(together.connection)
        assert store.connection.execute("SELECT count(*) FROM files").fetchone() == before


@pytest.mark.slow
@given(MANY, MANY, MANY)
def test_three_machines_in_any_order(one: list[Record], two: list[Record], three: list[Record]) -> None:
    """A machine may be joined by way of another one."""
    together = filled([*one, *two, *three])
    middle = filled(two)
    join_store(middle, filled(three).connection, ORIGIN)
    store = filled(one)
    join_store(store, middle.connection, ORIGIN)
    assert replies_in(store.connection) == replies_in(together.connection)


# Machines


def test_two_machines_with_real_looking_logs(tmp_path: Path) -> None:
    """Each has some logs of a dirty tree, and some both have: together they are the tree."""
    write_tree(tmp_path / "tree", TreePlan(total_bytes=3_000_000, files=40, dirty=True))
    paths = sorted((tmp_path / "tree").rglob("*.jsonl"))
    for number, path in enumerate(paths):
        name = path.relative_to(tmp_path / "tree").as_posix()
        for root, wanted in (("one", number % 3 != 1), ("two", number % 3 != 0), ("all", True)):
            if wanted:
                write(tmp_path / root, name, path.read_bytes())
    found = joined(tmp_path / "one", tmp_path / "two")
    assert everything(tmp_path / "one") == everything(tmp_path / "all")
    assert 0 < found.joined < found.records
    with machine(tmp_path / "one") as live:
        assert verify(live.db, recount(LocalFolders([tmp_path / "one" / "logs"]))).agrees


def test_what_is_read_later_is_joined_as_ever(tmp_path: Path) -> None:
    """A log that comes over after its counts adds nothing, and one that goes on counts on."""
    write(tmp_path / "one", "p/s1.jsonl", lines(1, 3))
    write(tmp_path / "two", "p/s2.jsonl", lines(4, 6))
    joined(tmp_path / "one", tmp_path / "two")
    write(tmp_path / "one", "p/s2.jsonl", lines(4, 7))
    with machine(tmp_path / "one") as live:
        assert sorted(reply.tokens.output for reply in replies_in(live.db).values()) == [1, 2, 3, 4, 5, 6, 7]


def test_a_rebuild_keeps_what_came_from_elsewhere(tmp_path: Path) -> None:
    write(tmp_path / "one", "p/s1.jsonl", lines(1, 3))
    write(tmp_path / "two", "p/s2.jsonl", lines(4, 6))
    joined(tmp_path / "one", tmp_path / "two")
    before = everything(tmp_path / "one")
    with machine(tmp_path / "one") as live:
        live.rebuild(keeps_old=False)
    assert everything(tmp_path / "one") == before


def test_what_was_forgotten_here_stays_forgotten(tmp_path: Path) -> None:
    """Though the other machine still has it."""
    write(tmp_path / "one", "p/s1.jsonl", lines(1, 3))
    write(tmp_path / "two", "p/s1.jsonl", lines(1, 4))
    with machine(tmp_path / "one") as live:
        live.change_store(lambda store: store.forget(Choice(session="s1")))
    joined(tmp_path / "one", tmp_path / "two")
    with machine(tmp_path / "one") as live:
        assert [reply.tokens.output for reply in replies_in(live.db).values()] == [4]


def test_the_name_of_a_project_that_was_forgotten_stays_so(tmp_path: Path) -> None:
    """Where nothing of it comes; a project of which something comes is called what it is called there."""
    write(tmp_path / "one", "-gone/s1.jsonl", lines(1, 2))
    write(tmp_path / "two", "-gone/s1.jsonl", lines(1, 2))
    write(tmp_path / "two", "-here/s2.jsonl", lines(3, 4))
    with machine(tmp_path / "one") as live:
        live.change_store(lambda store: store.forget(Choice(session="s1")))
        assert queries.project_folders(live.db) == {}
    joined(tmp_path / "one", tmp_path / "two")
    with machine(tmp_path / "one") as live:
        assert queries.project_folders(live.db) == {"-here": "/home/dev/app"}


def test_a_store_of_other_rules_is_refused(tmp_path: Path) -> None:
    """Two rules cannot be mixed."""
    write(tmp_path / "one", "p/s1.jsonl", lines(1, 3))
    write(tmp_path / "two", "p/s1.jsonl", lines(1, 4))
    with machine(tmp_path / "one") as live, machine(tmp_path / "two") as there:
        there.db.execute("UPDATE meta SET value = '0' WHERE name = 'rules_version'")
        with pytest.raises(StoreError, match="counted by other rules"):
            live.change_store(lambda store: join_store(store, there.db, ORIGIN))
        assert len(replies_in(live.db)) == 3


# The command


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with logs, whose home is `tmp_path`; another one's store stands in `other.db`."""
    monkeypatch.setenv("TOKENTAIL_HOME", str(tmp_path / "home"))
    write(tmp_path, "p/s1.jsonl", lines(1, 3))
    write(tmp_path / "two", "p/s1.jsonl", lines(2, 5))
    with machine(tmp_path / "two"):
        pass
    (tmp_path / "two" / "store.db").rename(tmp_path / "other.db")
    return tmp_path


def test_the_command(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says what came of it; the other store stays as it was, to the byte."""
    before = (home / "other.db").read_bytes()
    words = ["merge", str(home / "other.db"), "--source", str(home / "logs")]
    assert main(words) == 0
    assert capsys.readouterr().out == (
        f"{home / 'other.db'} holds 4 records; 2 of them said something new.\n  2 replies were added: this store holds 5 now.\n"
    )
    assert main(words) == 0
    assert "0 of them said something new" in capsys.readouterr().out
    assert (home / "other.db").read_bytes() == before


@pytest.mark.parametrize("data", [b"", b"no database", b"SQLite format 3\0"])
def test_what_is_no_store_is_refused(home: Path, data: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing is made of it."""
    (home / "x.db").write_bytes(data)
    assert main(["merge", str(home / "x.db"), "--source", str(home / "logs")]) == 1
    assert "it is no store of tokentail" in capsys.readouterr().err
    assert (home / "x.db").read_bytes() == data


def test_a_file_that_is_not_there_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["merge", str(home / "nothing.db"), "--source", str(home / "logs")]) == 1
    assert "there is no such file" in capsys.readouterr().err
    assert not (home / "nothing.db").exists()


def test_the_store_itself_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = ["--source", str(home / "logs")]
    assert main(["daily", *source]) == 0
    path = database.store_path(home / "home", [home / "logs"])
    assert main(["merge", str(path), *source]) == 2
    assert "with itself" in capsys.readouterr().err


def test_an_older_store_is_brought_to_our_version_in_a_copy(home: Path) -> None:
    """As one that was left by an older tokentail."""
    schema = (Path(__file__).parent / "data" / "schema-1.sql").read_text()
    with closing(sqlite3.connect(home / "old.db")) as old:
        old.executescript(f"{schema}; PRAGMA user_version = 1; INSERT INTO meta VALUES ('rules_version', '1')")
    before = (home / "old.db").read_bytes()
    assert main(["merge", str(home / "old.db"), "--source", str(home / "logs")]) == 0
    assert (home / "old.db").read_bytes() == before


def test_a_merge_that_is_killed_is_done_again(home: Path) -> None:
    """Whatever it had joined counts once."""
    write(home / "three", "p/s9.jsonl", b"".join(line(f"msg_{number}", number) for number in range(1, 3_001)))
    with machine(home / "three"):
        pass
    killed = (
        "import os, signal, sys; from tokentail import joining; from tokentail.store import Store; from tokentail.cli import main\n"
        "take, calls, joining.BATCH_RECORDS = Store.take, iter(range(9)), 1_000\n"
        "def dying(*args):\n    os.kill(os.getpid(), signal.SIGKILL) if next(calls) == 1 else None\n    return take(*args)\n"
        "Store.take = dying\nmain(sys.argv[1:])"
    )
    words = ["merge", str(home / "three" / "store.db"), "--source", str(home / "logs")]
    assert subprocess.run([sys.executable, "-c", killed, *words], check=False).returncode == -9
    assert main(words) == 0
    with closing(database.open_for_reading(database.store_path(home / "home", [home / "logs"]))) as db:
        assert sorted(reply.tokens.output for reply in replies_in(db).values()) == list(range(1, 3_001))
