"""Tests of `--store clickhouse://…` as people use it: reports, a back-fill, and two hubs that keep nothing themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from builders import line, many_lines
from clickhouse_http import Running
from hub import hub
from serving import Served
from test_feed import wait_until
from test_push import MAIN, Machine
from tokentail.fleet import hub_tokens
from tokentail.reports.build import KINDS

WEB = "-home-dev-web/s2.jsonl"


@pytest.fixture(scope="module", name="server")
def fixture_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    served = Running(tmp_path_factory.mktemp("served"))
    yield served
    served.stop()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path, {MAIN: many_lines(20), WEB: many_lines(5, first=100).replace(b'"s1"', b'"s2"')})


def asked(made: Machine, *words: str) -> Any:
    done = made.run(*words) if "--store" not in words else made.run_alone(*words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def without_sources(report: Any) -> Any:
    return {**report, "sources": [], "notes": {**report["notes"], "malformed_lines": 0}}


@pytest.mark.slow
def test_reports_are_those_of_the_machines_own_store(machine: Machine, server: Running, tmp_path: Path) -> None:
    """Every report, on what a back-fill has read, is the same from ClickHouse as from SQLite."""
    url = f"{server.url()}&rollups=never".replace("/fleet?", "/reports?")
    for store in ((), ("--store", url)):
        done = machine.run_alone("ingest", str(machine.logs), "--host", "one", "--user", "anna", *store)
        assert done.returncode == 0, done.stderr
        assert "25 records" in done.stdout
    for kind in sorted(KINDS):
        # Of the store alone: --source would be another one.
        ours = json.loads(machine.run_alone(kind, "--json").stdout)
        assert without_sources(asked(machine, kind, "--json", "--store", url)) == without_sources(ours)
    narrowed = asked(machine, "daily", "--json", "--store", url, "--project", "*web", "--host", "one", "--breakdown")
    assert narrowed["totals"]["replies"] == 5
    assert narrowed["sources"] == [f"clickhouse://127.0.0.1:{server.port}/reports"]


@pytest.mark.parametrize("words", [("--no-store",), ("--estimate-output",), ("--source", "/tmp")])
def test_what_only_a_machine_knows_is_refused(machine: Machine, words: tuple[str, ...]) -> None:
    """Before anything is asked."""
    done = machine.run_alone("daily", "--store", "clickhouse://127.0.0.1:9", *words)
    assert done.returncode == 2
    assert "--store about a central store" in done.stderr


def test_a_server_that_is_not_there_is_named_without_its_password(machine: Machine) -> None:
    """Exit code 1, and where to look."""
    done = machine.run_alone("daily", "--store", "clickhouse://anna:s3cret@127.0.0.1:9/usage")
    assert done.returncode == 1
    assert "cannot reach the ClickHouse clickhouse://127.0.0.1:9/usage" in done.stderr
    assert "s3cret" not in done.stderr + done.stdout


def test_two_hubs_that_keep_nothing_themselves(machine: Machine, server: Running, tmp_path: Path) -> None:
    """What one of them takes in, the other one's page shows, by host and user too; a batch again, and a killed hub, change nothing."""
    url = server.url().replace("/fleet?", "/hubs?")
    with hub(tmp_path / "a", "--store", url) as one, hub(tmp_path / "b", "--store", url) as other:
        machine.environment["TOKENTAIL_PUSH_TOKEN"] = one.agent
        words = ("--once", "--user", "anna", "--host", "laptop")
        assert machine.run("push", one.served.address.rstrip("/"), *words).returncode == 0
        machine.environment["TOKENTAIL_PUSH_TOKEN"] = other.agent
        assert machine.run("push", other.served.address.rstrip("/"), *words).returncode == 0  # all of it once more, to the other one
        viewer = hub_tokens.add(other.home, "viewer", hub_tokens.VIEWER)
        wait_until(lambda: read(other.served, viewer, "reports/hosts")["totals"]["replies"] == 25)
        hosts = read(other.served, viewer, "reports/hosts")
        assert [(row["host"], row["replies"]) for row in hosts["rows"]] == [("laptop", 25)]
        assert read(other.served, viewer, "reports/daily", host="laptop", project="*web")["totals"]["replies"] == 5
        pages = read(other.served, viewer, "replies", limit=10, user="anna")
        assert len(pages["replies"]) == 10
        assert len(read(other.served, viewer, "replies", limit=10, cursor=pages["next"])["replies"]) == 10
        assert read(other.served, viewer, "sessions")["total"] == 2
        assert read(other.served, viewer, "overview")["today"]["replies"] == 0
        done = machine.run("reconcile", other.served.address.rstrip("/"), "--user", "anna", "--host", "laptop")
        assert done.stdout == "2 sessions were compared: none differs there.\n"


def read(served: Served, viewer: str, path: str, **params: Any) -> Any:
    answer = served.http.get(f"/api/v1/{path}", params=params, headers={"authorization": f"Bearer {viewer}"})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_pages_hear_of_what_another_hub_has_taken_in(machine: Machine, server: Running, tmp_path: Path) -> None:
    """A page that is open at one hub asks anew when the other one has something new."""
    url = server.url().replace("/fleet?", "/heard?")
    viewer = hub_tokens.add(tmp_path / "b" / "home", "viewer", hub_tokens.VIEWER)  # before: a token that comes or goes ends streams
    with hub(tmp_path / "a", "--store", url) as one, hub(tmp_path / "b", "--store", url) as other:
        headers = {"authorization": f"Bearer {viewer}"}
        machine.environment["TOKENTAIL_PUSH_TOKEN"] = one.agent
        with httpx.stream("GET", f"{other.served.address}api/v1/stream", headers=headers, timeout=30, trust_env=False) as stream:
            lines = stream.iter_lines()
            assert next(lines).startswith("retry")
            with (machine.logs / MAIN).open("ab") as log:
                log.write(line("msg_new"))
            assert machine.run("push", one.served.address.rstrip("/"), "--once", "--host", "laptop").returncode == 0
            assert any(each == "event: reset" for each in lines)
