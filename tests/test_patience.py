"""Tests of `tokentail.patience`: a store that cannot be written is tried again, ever more seldom, and said to be so."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from logs import QUICK, coordinator, line, lines, told, wait_for
from tokentail.coordinator import UpdateCoordinator
from tokentail.errors import StoreBlockedError, StoreNewerError
from tokentail.model import Metrics, Update
from tokentail.patience import Patience

BLOCKED = StoreBlockedError("cannot write the store s.db: database or disk is full")


def update() -> Update:
    return Update(0, Metrics(), [], [], list)


class Disk:
    """A disk that is full for so many looks, and a clock that goes on only while somebody waits."""

    def __init__(self, full: int) -> None:
        self.left = full
        self.now_s = 0.0
        self.looks_s: list[float] = []

    def look(self) -> Update:
        self.looks_s.append(self.now_s)
        self.left -= 1
        if self.left >= 0:
            raise BLOCKED
        return update()

    def wait(self, timeout_s: float) -> None:
        self.now_s += timeout_s

    def outlast(self, *, stop: threading.Event | None = None, hear: Callable[[], Update] = update) -> list[Update]:
        waiting = Patience(stop or threading.Event(), idle_every_s=1.0, longest_pause_s=5.0, clock=lambda: self.now_s)
        return list(waiting.outlast(BLOCKED, look=self.look, hear=hear, wait=self.wait))


def test_what_is_said() -> None:
    """One reason for as long as it lasts, which names the store and what to do, and at the end that it is over."""
    *waited, last = Disk(5).outlast()
    (reason,) = {reason for each in waited for reason in each.degraded}
    assert reason.startswith("cannot write the store s.db: database or disk is full; since ")
    assert [each.split("since ")[-1][19:] for each in last.degraded] == [" UTC the store can be written again; nothing was lost"]


def test_pauses_grow() -> None:
    """Each pause is twice the one before, up to the longest; and once a second there is an update all the same."""
    disk = Disk(9)
    updates = disk.outlast()
    pauses = [round(later - earlier, 9) for earlier, later in zip([0.0, *disk.looks_s], disk.looks_s, strict=False)]
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0, 5.0]
    assert len(updates) == round(sum(pauses)) + 2


def test_told_to_stop() -> None:
    """Nothing is waited for."""
    stop = threading.Event()
    stop.set()
    assert Disk(1).outlast(stop=stop) == []


def test_nothing_can_be_told_either() -> None:
    """Where the store cannot even be opened there is still the reason."""

    def hear() -> Update:
        raise BLOCKED

    first, *_ = Disk(2).outlast(hear=hear)
    assert (first.changes, len(first.degraded)) == ([], 1)


# Followed


def first_log(root: Path) -> Path:
    log = root / "logs" / "-app" / "s1.jsonl"
    log.parent.mkdir(parents=True)
    log.write_bytes(line("msg_0"))
    return log


def append(log: Path, data: bytes) -> None:
    with log.open("ab") as out:
        out.write(data)


@contextmanager
def following(root: Path) -> Iterator[tuple[UpdateCoordinator, Iterator[Update]]]:
    stop = threading.Event()
    with closing(coordinator(root, pace=QUICK._replace(retry_at_most_s=0.2))) as live:
        updates = live.follow(stop)
        yield live, updates
        stop.set()
        list(updates)


def pages(live: UpdateCoordinator) -> int:
    return int(live.db.execute("PRAGMA page_count").fetchone()[0])


def test_no_room_for_more_pages(tmp_path: Path) -> None:
    """A store that may not grow is full for SQLite as on a full disk: all that was written is told when there is room, once."""
    log = first_log(tmp_path)
    with following(tmp_path) as (live, updates):
        next(updates)
        live.db.execute(f"PRAGMA max_page_count = {pages(live)}")
        append(log, lines(1, 2000))
        blocked = wait_for(updates, lambda each: bool(each.degraded))
        assert "cannot write the store" in blocked.degraded[0]
        assert blocked.changes == []
        append(log, lines(2001, 2002))
        live.db.execute("PRAGMA max_page_count = 1000000")
        heard = [key for _, key in told(wait_for(updates, lambda each: "can be written again" in "".join(each.degraded)).changes)]
        while len(heard) < 2002:
            heard += [key for _, key in told(wait_for(updates, lambda each: bool(each.changes)).changes)]
        assert sorted(heard) == sorted(f"msg_{number}" for number in range(1, 2003))


def test_a_log_that_is_deleted_meanwhile(tmp_path: Path) -> None:
    """What was read of it while there was no room is read again, as long as it is held open."""
    log = first_log(tmp_path)
    with following(tmp_path) as (live, updates):
        next(updates)
        append(log, lines(1, 1))
        wait_for(updates, lambda each: bool(each.changes))
        live.db.execute(f"PRAGMA max_page_count = {pages(live)}")
        append(log, lines(2, 1000))
        wait_for(updates, lambda each: bool(each.degraded))
        log.unlink()
        wait_for(updates, lambda each: bool(each.degraded))
        live.db.execute("PRAGMA max_page_count = 1000000")
        assert len(wait_for(updates, lambda each: bool(each.changes)).changes) == 999


def test_somebody_else_is_writing(tmp_path: Path) -> None:
    """A program that knows nothing of our locks may keep the store to itself for longer than SQLite waits."""
    log = first_log(tmp_path)
    with following(tmp_path) as (live, updates), closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as other:
        next(updates)
        live.db.execute("PRAGMA busy_timeout = 10")
        other.execute("BEGIN IMMEDIATE")
        append(log, lines(1, 2))
        assert "database is locked" in wait_for(updates, lambda each: bool(each.degraded)).degraded[0]
        other.execute("ROLLBACK")
        assert told(wait_for(updates, lambda each: bool(each.changes)).changes) == [("new", "msg_1"), ("new", "msg_2")]


def test_nothing_to_show_is_no_reason_to_wait(tmp_path: Path) -> None:
    """Whoever begins to follow a store that cannot be made hears why at once."""
    first_log(tmp_path)
    (tmp_path / "store.db.lock").mkdir()
    with closing(coordinator(tmp_path)) as live, pytest.raises(StoreBlockedError, match="cannot write the store"):
        next(iter(live.follow(threading.Event())))


def test_a_store_that_is_of_no_use_any_longer_is_not_waited_for(tmp_path: Path) -> None:
    """A newer tokentail has brought it to its own version: that does not pass."""
    log = first_log(tmp_path)
    with closing(coordinator(tmp_path)) as live:
        updates = live.follow(threading.Event())
        next(updates)
        live.db.execute("PRAGMA user_version = 99")
        (tmp_path / "store.db").rename(tmp_path / "aside")
        (tmp_path / "store.db").write_bytes((tmp_path / "aside").read_bytes())
        append(log, line("msg_1"))
        with pytest.raises(StoreNewerError):
            wait_for(updates, lambda each: bool(each.changes))
