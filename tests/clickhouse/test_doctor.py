"""Tests of `tokentail doctor`: a ClickHouse is tried out over a socket, and nothing of it stays."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from clickhouse_http import PASSWORD, Running
from tokentail import cli
from tokentail.fleet.clickhouse import schema
from tokentail.fleet.clickhouse.address import parse
from tokentail.fleet.clickhouse.central import ClickHouse

SOUND = """\
clickhouse://127.0.0.1:PORT/fleet
  ok      it can be reached: version VERSION, TIME
  ok      its clock is right: TIME
  ok      its tables are ours: made now, TIME
  ok      a database for trying it out can be made: fleet_doctor_RANDOM, TIME
  ok      records can be written, some of them twice: 682 records, TIME
  ok      replies are those of the rules: 203 replies, TIME
  ok      parts can be merged: TIME
  ok      replies are the same after it: 203 replies, TIME
  ok      sessions add up: 233 records, TIME
  ok      projects have their names: TIME
  ok      sums that are computed ahead add up: 203 replies, TIME
  ok      that database can be dropped: TIME
It can be the central store.
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("examined"))
    yield running
    running.stop()


def examined(url: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = cli.main(["doctor", "--store", url])
    said = capsys.readouterr().out
    for pattern, word in (
        (r"[\d,]+ ms", "TIME"),
        (r"version [\d.]+", "version VERSION"),
        (r":\d+/", ":PORT/"),
        (r"_[0-9a-f]{8}\b", "_RANDOM"),
    ):
        said = re.sub(pattern, word, said)
    return code, said


def test_a_sound_one(server: Running, capsys: pytest.CaptureFixture[str]) -> None:
    """Each thing that was tried has its line, and afterwards there are the store's own tables, empty."""
    assert examined(server.url(), capsys) == (0, SOUND)
    store = ClickHouse(parse(server.url()), makes=False)
    assert store.server.rows("SELECT name FROM system.databases WHERE name LIKE 'fleet%'") == [("fleet",)]
    assert store.server.rows(f"SELECT count() FROM {store.layout.table('records')}") == [(0,)]
    store.close()


def test_one_that_does_not_let_us_in(server: Running, capsys: pytest.CaptureFixture[str]) -> None:
    """It says why, and no password."""
    code, said = examined(server.url("not-the-password"), capsys)
    assert code == 1
    assert "FAILED  it can be reached: cannot reach the ClickHouse" in said
    assert "not-the-password" not in said


def test_one_that_takes_nothing(server: Running, capsys: pytest.CaptureFixture[str]) -> None:
    """The database that was made to try it out is dropped all the same."""
    server.fail(*[500] * 20, on_inserts=True)
    code, said = examined(server.url(), capsys)
    server.fail()
    assert code == 1
    assert "FAILED" in said
    store = ClickHouse(parse(server.url()))
    assert store.server.rows("SELECT count() FROM system.databases WHERE name LIKE '%doctor%'") == [(0,)]
    store.close()


def test_one_of_another_version(server: Running, capsys: pytest.CaptureFixture[str]) -> None:
    """Its tables are not touched."""
    store = ClickHouse(parse(server.url()))
    store.server.insert("meta", ("name", "value", "at_ms"), [["schema"], ["99"], [2**50]])
    code, said = examined(server.url(), capsys)
    assert code == 1
    assert re.search(r"FAILED  its tables are ours: .* has schema 99, and ours is " + str(schema.VERSION), said)
    store.server.run(f"DROP DATABASE {schema.quoted(store.layout.database)}")
    store.close()


def test_what_is_no_address_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """As any wrong word, without repeating it: it may hold a password."""
    assert cli.main(["doctor", "--store", f"postgres://tail:{PASSWORD}@db/"]) == 2
    assert PASSWORD not in capsys.readouterr().err


def test_the_statements_for_a_collector(capsys: pytest.CaptureFixture[str]) -> None:
    """They are printed, and nobody is asked."""
    assert cli.main(["doctor", "--store", "clickhouse://127.0.0.1:1/fleet", "--collector", "otel.otel_logs"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split(" ")[0] for line in said] == ["CREATE", "CREATE", "INSERT", "INSERT"]
    assert all(line.endswith(";") and "FROM `otel`.`otel_logs`" in line for line in said)
