"""Tests of `tokentail.told`: each change is news once, whatever becomes of the store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from logs import coordinator, damage, line, told
from tokentail.told import Told


class Writer:
    """A process that writes replies, and a connection of somebody who listens."""

    def __init__(self, root: Path) -> None:
        self.log = root / "logs" / "-app" / "s1.jsonl"
        self.log.parent.mkdir(parents=True)
        self.live = coordinator(root)
        self.add("msg_1")
        self.db = sqlite3.connect(root / "store.db", check_same_thread=False)

    def add(self, *names: str) -> None:
        with self.log.open("ab") as log:
            log.write(b"".join(map(line, names)))
        self.live.check_for_updates()


@pytest.fixture(name="writer")
def fixture_writer(tmp_path: Path) -> Iterator[Writer]:
    made = Writer(tmp_path)
    with closing(made.live), closing(made.db):
        yield made


def test_what_was_there_is_no_news(writer: Writer) -> None:
    """What comes later is, once; and what nobody has loaded yet stays what it was."""
    since = Told()
    assert since.news(writer.db)() == []
    since.begin(writer.db)
    writer.add("msg_2")
    since.begin(writer.db)
    first = since.news(writer.db)
    writer.add("msg_3", "msg_4")
    assert told(since.news(writer.db)()) == [("new", "msg_3"), ("new", "msg_4")]
    assert told(first()) == [("new", "msg_2")]
    assert since.news(writer.db)() == []
    assert since.news(None)() == []


def test_another_store(writer: Writer) -> None:
    """All its changes are news, but for what it was filled with first."""
    since = Told()
    since.begin(writer.db)
    writer.add("msg_2")
    since.news(writer.db)
    since.begin_anew()
    assert told(since.news(writer.db)()) == [("new", "msg_2")]


def test_a_first_fill_is_news_to_whoever_saw_the_empty_store(tmp_path: Path) -> None:
    """Though it is not written down as changes."""
    with closing(coordinator(tmp_path)) as live:
        live.check_for_updates()
        since = Told()
        since.begin(live.db)
        since.news(live.db)
        (tmp_path / "logs" / "-app").mkdir(parents=True)
        (tmp_path / "logs" / "-app" / "s1.jsonl").write_bytes(line("msg_1") + line("msg_2"))
        live.check_for_updates()
        assert told(since.news(live.db)()) == [("new", "msg_1"), ("new", "msg_2")]


def test_what_could_not_be_loaded_is_told_later(writer: Writer, tmp_path: Path) -> None:
    """A connection that is closed or damaged meanwhile gives nothing, and the next one all."""
    since = Told()
    since.begin(writer.db)
    writer.add("msg_2")
    with closing(sqlite3.connect(tmp_path / "store.db")) as other:
        news = since.news(other)
    assert news() == []
    assert told(since.news(writer.db)()) == [("new", "msg_2")]


def test_damage_that_only_loading_meets_is_told_of(writer: Writer, tmp_path: Path) -> None:
    """Whoever loads changes cannot do anything about it; the next look can, once."""
    since = Told()
    since.begin(writer.db)
    writer.add("msg_2")
    damage(tmp_path / "store.db", "names")
    assert since.news(writer.db)() == []
    with pytest.raises(sqlite3.DatabaseError, match="malformed"):
        since.news(writer.db)
    since.begin_anew()
    assert since.news(None)() == []


def test_a_follower_gets_over_damage_that_only_loading_meets(writer: Writer, tmp_path: Path) -> None:
    """The store is replaced, and nothing is missing from what is told."""
    damage(tmp_path / "store.db", "names")
    with writer.log.open("ab") as log:
        log.write(line("msg_2"))
    heard = []
    for _ in range(2):
        update = writer.live.check_for_updates()
        heard.append((told(update.changes), len(update.degraded)))
    assert heard == [([], 0), ([("new", "msg_2")], 1)]
