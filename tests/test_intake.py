"""Tests of `tokentail.fleet.intake` and `sqlite`: what waits is committed together, answered after that, and never lost or doubled."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import THRESHOLDS, memory_store, record, records, replies_in, replies_of
from hub import many
from tokentail import database
from tokentail.errors import StoreBlockedError, StoreBusyError, StoreError
from tokentail.fleet.intake import Full, Intake
from tokentail.fleet.sessions import SessionCounts
from tokentail.fleet.sqlite import SqliteCentral
from tokentail.fleet.wire import Batch
from tokentail.model import Record

WITHIN_S = 30.0


class Held:
    """A central store whose commits wait until they are let go; a record of group "bad" is one that it cannot even look at."""

    def __init__(self) -> None:
        self.commits: list[list[str]] = []
        self.begun = threading.Semaphore(0)
        self.go = threading.Semaphore(0)
        self.error: Exception | None = None
        self.is_closed = False
        self._known: set[str] = set()

    def add(self, records: Sequence[Record], folders: Sequence[tuple[str, int, str]]) -> int:
        self.begun.release()
        self.go.acquire()
        groups = [each.group for each in records]
        if self.error is not None:
            raise self.error
        if "bad" in groups:
            raise OverflowError
        self.commits.append(groups)
        news = len(set(groups) - self._known)
        self._known |= set(groups)
        return news

    def sessions(self, host: str, user: str) -> Mapping[str, SessionCounts]:
        return {}

    def close(self) -> None:
        self.is_closed = True


def batch(*groups: str) -> Batch:
    return Batch([record(group) for group in groups], [], 0)


def news(*futures: Future[int | None]) -> list[int | None]:
    wait(futures, WITHIN_S)
    return [future.result(0) for future in futures]


def nobody() -> None:
    """Nobody is told."""


def started(central: Held, *, committed: Callable[[], object] = nobody, most_waiting: int = 1_000) -> Intake:
    intake = Intake(central, committed=committed, most_waiting=most_waiting)
    intake.start()
    return intake


def test_what_waits_is_committed_together() -> None:
    """While one commit is written, others gather; none is answered before its own."""
    central = Held()
    intake = started(central)
    first = intake.put(batch("a"))
    assert central.begun.acquire(timeout=WITHIN_S)
    rest = [intake.put(batch("b", "c")), intake.put(batch("d"))]
    assert intake.waiting == 4
    assert not any(each.done() for each in (first, *rest))
    central.go.release()
    assert news(first) == [1]
    assert not any(each.done() for each in rest)
    central.go.release()
    assert news(*rest) == [2, 1]
    assert central.commits == [["a"], ["b", "c", "d"]]
    intake.stop()
    assert (intake.waiting, intake.counted[:4]) == (0, (3, 4, 4, 2))


def test_news_of_a_batch_is_told_where_it_is_known() -> None:
    """All of a commit's records were news, or none, or it was the only batch; otherwise nobody can say whose they were."""
    central = Held()
    intake = started(central)
    for groups in ((("a",), ("b", "c")), (("a", "z"), ("b",)), (("a", "new"), ("b", "c"))):
        block = intake.put(batch("first"))
        assert central.begun.acquire(timeout=WITHIN_S)
        some = [intake.put(batch(*each)) for each in groups]
        central.go.release(2)
        assert news(block)[0] in (0, 1)
        told = news(*some)
        assert central.begun.acquire(timeout=WITHIN_S)
        assert told == {("a",): [1, 2], ("a", "z"): [None, None], ("a", "new"): [None, None]}[groups[0]]
    central.go.release()
    assert news(intake.put(batch("a", "newer"))) == [1]
    intake.stop()


def test_a_full_intake_takes_no_more() -> None:
    """Whoever sends tries again; a single batch that is larger than all of it is taken by itself."""
    central = Held()
    intake = started(central, most_waiting=3)
    large = intake.put(batch(*"abcdef"))
    with pytest.raises(Full):
        intake.put(batch("g"))
    central.go.release(2)
    assert news(large) == [6]
    assert news(intake.put(batch("g"))) == [1]
    intake.stop()


def test_a_store_that_cannot_be_written_is_told_to_all() -> None:
    """And the next batch is tried again."""
    central = Held()
    central.error = StoreBlockedError("no room")
    intake = started(central)
    failed = intake.put(batch("a"))
    central.go.release()
    with pytest.raises(StoreBlockedError):
        failed.result(WITHIN_S)
    assert intake.degraded() == ("what other machines send cannot be kept: no room",)
    central.error = None
    central.go.release()
    assert news(intake.put(batch("a"))) == [1]
    assert intake.degraded() == ()
    intake.stop()
    assert intake.counted.failed == 1


def test_a_batch_that_nobody_can_keep_spoils_no_other() -> None:
    """Whatever is wrong with it: those that would have been committed with it are committed alone."""
    central = Held()
    intake = started(central)
    first = intake.put(batch("a"))
    assert central.begun.acquire(timeout=WITHIN_S)
    bad, good = intake.put(batch("bad")), intake.put(batch("b"))
    central.go.release(4)
    assert news(first, good) == [1, 1]
    with pytest.raises(OverflowError):
        bad.result(WITHIN_S)
    intake.stop()


def test_at_the_end_all_that_waits_is_written() -> None:
    """What comes later is not taken."""
    central = Held()
    intake = started(central)
    waiting = [intake.put(batch(str(number))) for number in range(5)]
    central.go.release(5)
    intake.stop()
    assert sum(each or 0 for each in news(*waiting)) == 5
    assert central.is_closed
    with pytest.raises(Full):
        intake.put(batch("late"))


def test_who_goes_away_leaves_the_batch_there() -> None:
    """A connection that ends while its batch waits."""
    central = Held()
    intake = started(central)
    assert not intake.put(batch("a")).cancel()
    central.go.release()
    intake.stop()
    assert central.commits == [["a"]]


def test_only_news_wakes_who_follows() -> None:
    """A batch that comes again is nothing to look at."""
    central = Held()
    woken: list[int] = []
    intake = started(central, committed=lambda: woken.append(1))
    for _ in range(3):
        central.go.release()
        news(intake.put(batch("a")))
    intake.stop()
    assert woken == [1]


# Into a store


FROM_ANYWHERE = st.builds(
    lambda made, user, host: made._replace(owner=made.owner._replace(user=user, host=host)),
    records(),
    st.sampled_from(["anna", "bob"]),
    st.sampled_from(["laptop", "desk"]),
)


@given(st.lists(st.lists(FROM_ANYWHERE, max_size=4), max_size=5))
def test_batches_are_joined_as_lines_are(batches: list[list[Record]]) -> None:
    """Differing copies from several machines, replays before their parents: what is kept is what the rules say of all of them."""
    store = memory_store()
    for each in batches:
        store.take(each)
    assert replies_in(store.connection) == replies_of(each for some in batches for each in some)


def test_what_is_added_is_safe_and_counted(tmp_path: Path) -> None:
    """By another process at once; sums are those of one user's machine."""
    path = tmp_path / "home" / "store.db"
    lines = [each._replace(owner=each.owner._replace(user="anna", host="laptop")) for each in many(0, 3)]
    with closing(SqliteCentral(path, THRESHOLDS)) as central:
        assert central.add(lines, [("-home-dev-app", 5, "/home/dev/app")]) == 3
        assert central.add(lines, []) == 0
        assert central.sessions("laptop", "anna") == {"s1": SessionCounts(3, 12, 30, 6_000, 0, 900, 0, 3)}
        assert central.sessions("desk", "anna") == {}
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("SELECT folder FROM projects").fetchall() == [("/home/dev/app",)]


def test_a_store_that_another_one_replaced_is_opened_anew(tmp_path: Path) -> None:
    """As when somebody rebuilds it, or deletes it, while the hub runs."""
    path = tmp_path / "store.db"
    with closing(SqliteCentral(path, THRESHOLDS)) as central:
        central.add(many(0, 1), [])
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        assert central.add(many(1, 2), []) == 2
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("SELECT count(*) FROM replies").fetchone() == (2,)


def test_a_store_that_cannot_be_written_is_said_to_be_one(tmp_path: Path) -> None:
    """Held by another process, damaged, or not there: nothing else than a StoreError, and it goes on when it can."""
    path = tmp_path / "store.db"
    with closing(SqliteCentral(path, THRESHOLDS, wait_s=0.0)) as central:
        with pytest.raises(StoreError):
            central.sessions("laptop", "anna")
        central.add(many(0, 1), [])
        with database.locked(path, wait_s=0.0), pytest.raises(StoreBusyError):
            central.add(many(1, 1), [])
        assert central.add(many(1, 1), []) == 1
    path.write_bytes(b"no database at all" * 1_000)
    with closing(SqliteCentral(path, THRESHOLDS)) as central:
        with pytest.raises(StoreError):
            central.add(many(0, 1), [])
        path.unlink()
        assert central.add(many(0, 1), []) == 1


def test_another_price_list_is_noticed(tmp_path: Path) -> None:
    """Tiers by other limits than the store's would make its sums wrong."""
    path = tmp_path / "store.db"
    with closing(SqliteCentral(path, THRESHOLDS)) as central:
        central.add(many(0, 1), [])
        with closing(SqliteCentral(path, (7,))) as other:
            other.add(many(1, 1), [])
        with pytest.raises(StoreError, match="price list"):
            central.add(many(2, 1), [])
