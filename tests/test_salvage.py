"""Tests of `tokentail.salvage`: what can still be read of a damaged store, and nothing that cannot."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from builders import THRESHOLDS, chunk, record, replies_in, replies_of, usage
from tokentail import database
from tokentail.forgotten import mark_of_group
from tokentail.model import Owner, Record
from tokentail.salvage import forgotten_of, has_all_forgotten, records_of
from tokentail.store import Store

PAGE_BYTES = 1024  # small, so that a small store has many pages


def lines(count: int = 300) -> list[Record]:
    """Replies of many sessions and models, among them groups of several records."""
    spent = [{"type": "compaction", "input_tokens": 3}]
    made = [
        record(
            f"msg_{number}",
            model=f"model-{number % 40}",
            usage=usage(number + 1, speed=f"speed-{number % 30}"),
            owner=Owner(False, False, f"session-{number % 50}", f"-project-{number % 7}", ""),
        )
        for number in range(count)
    ]
    made += [record("msg_5", request_id="req_2"), record("msg_6", request_id="req_1", sidechain=True, usage=usage(9999))]
    made += [record("a/b%2F", request_id=request) for request in ("x/1", "x%2")]
    return [*made, record("msg_x", usage=usage(iterations=spent))]


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A sound store in one file."""
    path = tmp_path / "store.db"
    path.touch()
    with closing(sqlite3.connect(path, isolation_level=None)) as made:
        made.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        made.execute("VACUUM")
    with closing(database.open_for_writing(path)) as connection:
        Store(connection, path, thresholds=THRESHOLDS).apply([chunk(*lines())])
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode = DELETE")
    return path


def wipe(path: Path, *pages: int) -> None:
    """Overwrite pages, counted from 1, with zeros."""
    with path.open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * PAGE_BYTES)
            file.write(bytes(PAGE_BYTES))


def root_of(path: Path, name: str) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()[0])


def leaves_of(path: Path, name: str) -> list[int]:
    """The pages that hold the rows of a table whose tree has two levels, in their order."""
    data = path.read_bytes()
    start = (root_of(path, name) - 1) * PAGE_BYTES
    assert data[start] == 5, "the tree should have two levels"
    count = int.from_bytes(data[start + 3 : start + 5], "big")
    cells = [int.from_bytes(data[start + 12 + 2 * index :][:2], "big") for index in range(count)]
    return [int.from_bytes(data[start + cell :][:4], "big") for cell in cells] + [int.from_bytes(data[start + 8 : start + 12], "big")]


def has_schema(path: Path) -> bool:
    """Can the list of tables be read, without which nothing can?"""
    with closing(sqlite3.connect(path)) as db:
        try:
            return bool(db.execute("SELECT count(*) FROM replies WHERE id = -1").fetchone())
        except sqlite3.DatabaseError:
            return False


def as_replies(records: Iterator[Record]) -> dict[str, object]:
    return dict(replies_of(records))


def test_a_sound_store_is_read_whole(whole: Path) -> None:
    """Every record comes back, lone or in a group of several."""
    with closing(database.open_for_reading(whole)) as db:
        expected = replies_in(db)
    assert as_replies(records_of(whole)) == expected == replies_of(lines())


@pytest.mark.parametrize("folder", ["with space", "odd#name", "what?mode=rwc", "100%20", "ünï"])
def test_the_store_may_stand_anywhere(whole: Path, tmp_path: Path, folder: str) -> None:
    """No character in the path of a store keeps it from being read."""
    (tmp_path / folder).mkdir()
    moved = whole.rename(tmp_path / folder / "store.db")
    assert len(as_replies(records_of(moved))) == len(replies_of(lines()))


def test_rows_behind_a_damaged_page_are_read(whole: Path) -> None:
    """Each page that is lost costs its own rows only, also when there are several and rows between them."""
    leaves = leaves_of(whole, "replies")
    assert len(leaves) > 12
    lost = [leaves[2], leaves[3], leaves[8], leaves[-1]]
    wipe(whole, *lost)
    with closing(sqlite3.connect(whole)) as db:
        sound = 0
        for number in range(1, 400):
            with suppress(sqlite3.DatabaseError):
                sound += len(db.execute("SELECT id FROM replies WHERE id = ?", (number,)).fetchall())
    found, expected = as_replies(records_of(whole)), replies_of(lines())
    assert len(found) >= sound - 5  # some replies are read as records of their group instead
    assert len(expected) - len(found) < 4 * 40
    assert found.items() <= expected.items()


def test_lost_records_of_a_group_are_replaced_by_its_replies(whole: Path) -> None:
    """Where the records of a group cannot be read, what they resolved to stands in for them."""
    wipe(whole, root_of(whole, "records"))
    assert as_replies(records_of(whole)) == replies_of(lines())


@pytest.mark.parametrize("table", ["names", "forms", "owners"])
def test_names_are_read_from_their_index(whole: Path, table: str) -> None:
    """The tables that rows refer to are small, so one page could take all with it; their indexes hold the same."""
    wipe(whole, root_of(whole, table))
    assert as_replies(records_of(whole)) == replies_of(lines())


@pytest.mark.parametrize("table", ["names", "forms", "owners"])
def test_names_are_read_without_their_index(whole: Path, table: str) -> None:
    """And the other way round."""
    wipe(whole, root_of(whole, f"sqlite_autoindex_{table}_1"))
    assert as_replies(records_of(whole)) == replies_of(lines())


def test_any_page_may_be_lost(whole: Path, tmp_path: Path) -> None:
    """Whichever page is wiped, what is read is right; only the schema's pages and the roots of the rows cost more than their own rows."""
    expected, data = replies_of(lines()), whole.read_bytes()
    roots = {root_of(whole, name) for name in ("replies", "records")}
    damaged = tmp_path / "damaged.db"
    for page in range(1, len(data) // PAGE_BYTES + 1):
        damaged.write_bytes(data)
        wipe(damaged, page)
        found = as_replies(records_of(damaged))
        assert found.items() <= expected.items()
        if page not in roots and has_schema(damaged):
            assert len(found) >= len(expected) - 40


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE replies SET model = NULL",
        "UPDATE replies SET model = 'x'",
        "UPDATE replies SET model = 999999",
        "UPDATE replies SET owner = 999999",
        "UPDATE replies SET form = -1",
        "UPDATE replies SET output = -5",
        "UPDATE replies SET output = 9e18",
        "UPDATE replies SET input = 'many'",
        "UPDATE replies SET at_ms = NULL",
        "UPDATE replies SET request_id = 7",
        "UPDATE replies SET request_id = x'ff00'",
        "UPDATE owners SET session = 999999 + id",
        "UPDATE forms SET form = CAST(form AS BLOB)",
        "UPDATE forms SET form = CAST(x'ff' || form AS TEXT)",
    ],
)
def test_rows_that_cannot_be_right_are_left_out(whole: Path, damage: str) -> None:
    """A damaged row that still looks like one gives no record, and stops nothing."""
    with closing(sqlite3.connect(whole, isolation_level=None)) as db:
        db.execute("PRAGMA ignore_check_constraints = 1")
        # Columns without a type take anything, as damaged pages do.
        db.execute("PRAGMA writable_schema = 1")
        db.execute(
            "UPDATE sqlite_master SET sql = replace(replace(sql, ' NOT NULL', ''), ' INTEGER,', ',') WHERE name IN ('replies', 'owners')"
        )
    with closing(sqlite3.connect(whole, isolation_level=None)) as db:
        sound = [row[0] for row in db.execute("SELECT id FROM replies WHERE id > 250")]
        where = " WHERE id <= 250" if "replies" in damage else ""
        db.execute(damage + where)
    found = as_replies(records_of(whole))
    assert found.items() <= replies_of(lines()).items()
    assert len(found) >= (len(sound) if where else 0)


@pytest.mark.parametrize("content", [b"", b"rubbish" * 500, b"SQLite format 3\0" + bytes(4000)])
def test_what_is_no_store_gives_nothing(tmp_path: Path, content: bytes) -> None:
    """A file that is no database, or an empty one, holds no records; that is no error."""
    path = tmp_path / "store.db"
    path.write_bytes(content)
    assert list(records_of(path)) == []


def test_a_file_that_is_gone_gives_nothing(tmp_path: Path) -> None:
    """Where there is nothing there is nothing to read, and nothing is made."""
    assert list(records_of(tmp_path / "store.db")) == []
    assert list(tmp_path.iterdir()) == []


# What it was told to forget

MARKS = {(mark_of_group(f"msg_{number}"), number) for number in range(500)}


@pytest.fixture
def forgetful(whole: Path) -> Path:
    """The same store, which was told to forget much."""
    with closing(sqlite3.connect(whole, isolation_level=None)) as db:
        db.execute("BEGIN")
        db.executemany("INSERT INTO forgotten (hash, at_ms) VALUES (?, ?)", sorted(MARKS))
        db.execute("COMMIT")
    return whole


def test_what_was_forgotten_is_read_whole(forgetful: Path) -> None:
    """Every hash with its moment; where nothing was forgotten there is nothing to read, and nothing is missing."""
    assert set(forgotten_of(forgetful)) == MARKS
    assert has_all_forgotten(forgetful)


def test_nothing_was_forgotten(whole: Path, tmp_path: Path) -> None:
    """Nothing is nothing; of what is no store nobody can say."""
    assert list(forgotten_of(whole)) == []
    assert has_all_forgotten(whole)
    (tmp_path / "rubbish.db").write_bytes(b"rubbish" * 500)
    assert list(forgotten_of(tmp_path / "rubbish.db")) == []
    assert not has_all_forgotten(tmp_path / "rubbish.db")


@pytest.mark.slow
def test_a_lost_page_costs_the_hashes_on_it(forgetful: Path, tmp_path: Path) -> None:
    """Whichever page is wiped, hardly another hash is lost and none is made up; that some are lost is known."""
    data = forgetful.read_bytes()
    damaged = tmp_path / "damaged.db"
    lost = []
    for page in range(1, len(data) // PAGE_BYTES + 1):
        damaged.write_bytes(data)
        wipe(damaged, page)
        found = set(forgotten_of(damaged))
        assert found <= MARKS
        assert has_all_forgotten(damaged) == (found == MARKS)
        if found != MARKS and has_schema(damaged):
            lost.append(len(MARKS - found))
    assert len(lost) > 12
    assert sorted(lost)[-1] == len(MARKS)  # the root, without which there is no way to the others
    assert sorted(lost)[-2] < 50


@pytest.mark.parametrize("row", ["(x'00', 5)", "('sixteen letters.', 5)", "(7, 5)", "(zeroblob(16), 'today')"])
def test_hashes_that_are_none_are_left_out(forgetful: Path, row: str) -> None:
    """A damaged page can look like a sound one."""
    with closing(sqlite3.connect(forgetful, isolation_level=None)) as db:
        db.execute(f"INSERT INTO forgotten (hash, at_ms) VALUES {row}")
    assert set(forgotten_of(forgetful)) == MARKS


def test_hashes_are_read_where_replies_are_lost(forgetful: Path) -> None:
    """What must not come back is known even when nothing else is."""
    wipe(forgetful, root_of(forgetful, "replies"), root_of(forgetful, "records"))
    assert list(records_of(forgetful)) == []
    assert set(forgotten_of(forgetful)) == MARKS
