"""The outbox: which records a destination lacks, noted with them."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from builders import OWNER, chunk, memory_store, record, records, replies_in, usage
from tokentail import outbox
from tokentail.forget import Choice
from tokentail.interned import records_of
from tokentail.model import Record
from tokentail.store import Store

URL = "https://hub.example"


def all_of(store: Store) -> list[Record]:
    return sorted(each for _, each in records_of(store.connection))


def registered(store: Store, labels: str = "") -> int:
    with store.transaction():
        return outbox.register(store.connection, URL, labels)


def lacking(db: sqlite3.Connection, destination: int) -> list[Record]:
    return sorted(parcel.record for parcel in outbox.parcels(db, destination, 1000)[0])


def deliver(store: Store, destination: int, limit: int = 1000) -> list[Record]:
    sent, gone = outbox.parcels(store.connection, destination, limit)
    with store.transaction():
        outbox.delivered(store.connection, destination, sent, gone)
    return [parcel.record for parcel in sent]


@given(
    before=st.lists(records(), max_size=8),
    commits=st.lists(st.tuples(st.lists(records(), min_size=1, max_size=5), st.integers(0, 4), st.booleans()), max_size=6),
)
def test_what_a_destination_was_sent_is_all_that_there_is(before: list[Record], commits: Sequence[tuple[list[Record], int, bool]]) -> None:
    """Whatever is committed and sent in which order: what the destination has joined and what still waits are the store's records."""
    store, there = memory_store(), memory_store()
    if before:
        store.apply([chunk(*before)])
    destination = registered(store)
    for some, limit, from_elsewhere in commits:
        store.take(some) if from_elsewhere else store.apply([chunk(*some)])
        there.take(deliver(store, destination, limit))
    there.take(lacking(store.connection, destination))
    assert all_of(there) == all_of(store)
    assert replies_in(there.connection) == replies_in(store.connection)


def test_a_record_that_changes_on_its_way_is_sent_again() -> None:
    """What a destination has said it keeps is what was sent; what the record became meanwhile still waits."""
    store = memory_store()
    destination = registered(store)
    store.apply([chunk(record(usage=usage(1), stopped=False))])
    sent, gone = outbox.parcels(store.connection, destination, 10)
    store.apply([chunk(record(usage=usage(2)))])
    with store.transaction():
        outbox.delivered(store.connection, destination, sent, gone)
    assert [each.tokens.output for each in lacking(store.connection, destination)] == [2]


def test_without_a_destination_nothing_is_noted() -> None:
    """Who sends nothing pays nothing."""
    store = memory_store()
    store.apply([chunk(record())])
    assert store.connection.execute("SELECT count(*) FROM outbox").fetchone() == (0,)


def test_a_commit_that_changes_nothing_notes_nothing() -> None:
    """A line that was read again is not sent again."""
    store = memory_store()
    destination = registered(store)
    store.apply([chunk(record())])
    deliver(store, destination)
    store.apply([chunk(record())])
    store.take([record()])
    assert outbox.waiting(store.connection, destination) == (0, 0)


def test_each_destination_lacks_what_it_lacks() -> None:
    """Two of them have nothing to do with each other."""
    store = memory_store()
    with store.transaction():
        one, other = (outbox.register(store.connection, url, "") for url in ("https://a.example", "https://b.example"))
    store.apply([chunk(record("msg_1"), record("msg_2"))])
    deliver(store, one)
    assert (len(lacking(store.connection, one)), len(lacking(store.connection, other))) == (0, 2)
    assert outbox.urls(store.connection) == [("https://a.example", (0, 0)), ("https://b.example", (2, 0))]


def test_other_names_send_everything_again() -> None:
    """Who registers as before has nothing to send; under another name all records go once more."""
    store = memory_store()
    destination = registered(store, "anna")
    store.apply([chunk(record("msg_1"), record("msg_2"))])
    deliver(store, destination)
    assert (registered(store, "anna"), lacking(store.connection, destination)) == (destination, [])
    assert (registered(store, "ben"), len(lacking(store.connection, destination))) == (destination, 2)


def test_what_is_refused_waits_until_it_changes() -> None:
    """A record that the destination will not have does not hold up the others; changed, or when asked for, it is offered again."""
    store = memory_store()
    destination = registered(store)
    store.apply([chunk(record("msg_1", usage=usage(1), stopped=False), record("msg_2"))])
    bad = [each for each in outbox.parcels(store.connection, destination, 10)[0] if each.record.group == "msg_1"]
    with store.transaction():
        outbox.refused(store.connection, destination, bad)
    assert [each.group for each in deliver(store, destination)] == ["msg_2"]
    assert outbox.waiting(store.connection, destination) == (1, 1)
    with store.transaction():
        outbox.retry_refused(store.connection, destination)
    assert [each.group for each in lacking(store.connection, destination)] == ["msg_1"]
    with store.transaction():
        outbox.refused(store.connection, destination, bad)
    store.apply([chunk(record("msg_1", usage=usage(5)))])
    assert [each.tokens.output for each in lacking(store.connection, destination)] == [5]


def test_what_was_forgotten_is_not_sent() -> None:
    """A row of the outbox whose record has left the store is taken out, and nothing is sent for it."""
    store = memory_store()
    destination = registered(store)
    store.apply([chunk(record("msg_1"), record("msg_2", owner=OWNER._replace(session="s2")))])
    store.forget(Choice(session="s1"))
    sent, gone = outbox.parcels(store.connection, destination, 10)
    assert ([each.record.group for each in sent], len(gone)) == (["msg_2"], 1)
    deliver(store, destination)
    assert outbox.waiting(store.connection, destination) == (0, 0)


def test_a_session_is_sent_again() -> None:
    """All records of the sessions that are named, and no others."""
    store = memory_store()
    destination = registered(store)
    other = OWNER._replace(session="s2")
    several = [record("msg_1", request_id=request) for request in ("req_1", "req_2")]
    store.apply([chunk(*several, record("msg_2"), record("msg_3", owner=other))])
    deliver(store, destination)
    with store.transaction():
        outbox.again(store.connection, destination, ["s1"])
    assert [(each.group, each.request_id) for each in lacking(store.connection, destination)] == [
        ("msg_1", "req_1"),
        ("msg_1", "req_2"),
        ("msg_2", "req_1"),
    ]


def test_a_destination_that_was_left_lacks_nothing() -> None:
    """Nothing is noted for it any more; to leave it twice is told apart."""
    store = memory_store()
    registered(store)
    store.apply([chunk(record())])
    with store.transaction():
        assert outbox.leave(store.connection, URL)
        assert not outbox.leave(store.connection, URL)
    store.apply([chunk(record("msg_2"))])
    assert store.connection.execute("SELECT count(*) FROM outbox").fetchone() == (0,)
    assert outbox.find(store.connection, URL) is None
