"""Tests of ClickHouse over sockets: the real client, a server that goes wrong, and one that is killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from builders import AT_MS, record
from clickhouse_http import CUT, KILLED, KILLED_AFTER, LOST, PASSWORD, Running
from tokentail import prices
from tokentail.errors import StoreError
from tokentail.fleet.clickhouse.address import parse
from tokentail.fleet.clickhouse.central import ClickHouse
from tokentail.fleet.clickhouse.data import Stored
from tokentail.model import Record

EVER = (-(10**15), 10**15)
LINES = [record(f"msg_{number}", at_ms=AT_MS + number) for number in range(500)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    served = Running(tmp_path_factory.mktemp("served"))
    yield served
    served.stop()


@pytest.fixture
def store(server: Running) -> Iterator[ClickHouse]:
    if server.process.poll() is not None:
        server.process.communicate()
        server.start()
    server.fail()
    there = ClickHouse(parse(server.url()))
    there.server.run(f"TRUNCATE TABLE {there.layout.table('records')}")
    yield there
    there.close()


def found(store: ClickHouse) -> list[str]:
    return [reply.key for reply in Stored(store, prices.load()).replies_between(*EVER)]


def keys(lines: list[Record]) -> list[str]:
    return [line.group for line in lines]


def test_records_go_over_a_socket_and_come_back_as_replies(store: ClickHouse) -> None:
    """Compressed, in the format of ClickHouse's own, with names of all kinds."""
    odd = record("msg_x", model="a 'model' \\ \n \t of ours", at_ms=AT_MS - 1)
    store.add([*LINES, odd], [("-home-dev-app", AT_MS, "/home/dev/app")])
    data = Stored(store, prices.load())
    assert found(store) == ["msg_x", *keys(LINES)]
    assert next(iter(data.replies_between(*EVER))).model == odd.model
    assert data.folders() == {"-home-dev-app": "/home/dev/app"}


def test_a_wrong_password_is_told_without_it(store: ClickHouse, server: Running) -> None:
    """Who has no access learns that, and no log gets the password."""
    with pytest.raises(StoreError, match="Authentication failed") as told:
        ClickHouse(parse(server.url("not-the-password")))
    assert "not-the-password" not in str(told.value)
    assert PASSWORD not in str(told.value)


def test_nobody_there_is_told(tmp_path: Path) -> None:
    """With the address, and what looks into it."""
    with pytest.raises(StoreError, match=r"cannot reach the ClickHouse clickhouse://127\.0\.0\.1:1/fleet: .*doctor"):
        ClickHouse(parse("clickhouse://127.0.0.1:1/fleet"))


@pytest.mark.parametrize("faults", [(503,), (CUT,), (LOST,), (429, 503)])
def test_a_question_is_asked_again(store: ClickHouse, server: Running, faults: tuple[str | int, ...]) -> None:
    """A server that is busy for a moment, or a connection that breaks, is nothing that a person need know."""
    store.add(LINES)
    server.fail(*faults)
    assert found(store) == keys(LINES)


@pytest.mark.parametrize("fault", [503, CUT, LOST])
def test_what_could_not_be_written_is_told_and_can_be_written_again(store: ClickHouse, server: Running, fault: str | int) -> None:
    """Whether it arrived is not known then: sent again, it is there once."""
    server.fail(*[fault] * 5, on_inserts=True)
    with pytest.raises(StoreError, match="cannot write to the ClickHouse"):
        store.add(LINES)
    server.fail()
    store.add(LINES)
    store.add(LINES)
    assert found(store) == keys(LINES)


@pytest.mark.parametrize("fault", [KILLED, KILLED_AFTER])
def test_a_server_that_is_killed_while_records_arrive(store: ClickHouse, server: Running, fault: str) -> None:
    """It comes back with all of a batch or nothing of it; sent again, the batch is there once."""
    store.add(LINES[:100])
    server.fail(fault, on_inserts=True)
    with pytest.raises(StoreError, match="cannot write to the ClickHouse"):
        store.add(LINES[100:])
    assert server.is_gone()
    server.process.communicate()
    server.start()
    assert found(store) in (keys(LINES[:100]), keys(LINES))
    store.add(LINES[100:])
    assert found(store) == keys(LINES)


def test_an_error_of_the_server_is_told_in_its_words(store: ClickHouse) -> None:
    """Its first line, without the query."""
    with pytest.raises(StoreError, match=r"cannot ask the ClickHouse .*no_such_table"):
        store.server.rows(f"SELECT * FROM {store.layout.table('no_such_table')}")
