"""Tests of many machines and a hub, all of them real processes: the central totals are those of all machines together, whatever happens."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from builders import line, many_lines
from hub import Hub, hub
from serving import seeded
from test_push import MAIN, Machine
from tokentail import database
from tokentail.interned import records_of
from tokentail.merge import join
from tokentail.model import Record

WITHIN_S = 60


@pytest.fixture(name="there")
def fixture_there(tmp_path: Path) -> Iterator[Hub]:
    with hub(seeded(tmp_path / "hub")) as made:
        yield made


def machine(root: Path, name: str, logs: dict[str, bytes], there: Hub) -> Machine:
    return Machine(root / name, logs, TOKENTAIL_PUSH_TOKEN=there.agent)


def sent_by(made: Machine, name: str, there: Hub, *words: str) -> subprocess.CompletedProcess[str]:
    return made.run("push", there.served.address.rstrip("/"), "--once", "--user", f"user-of-{name}", "--host", name, *words)


def records_at(store: Path) -> dict[tuple[str, str, bool], Record]:
    with closing(database.open_for_reading(store)) as db:
        return {record[:3]: record for _, record in records_of(db)}


def together(machines: dict[str, Machine], *more: Sequence[Record]) -> dict[tuple[str, str, bool], Record]:
    """What all machines know, joined."""
    known: dict[tuple[str, str, bool], Record] = {}
    for name, made in machines.items():
        for record in (*made.records(f"user-of-{name}", name), *(each for some in more for each in some)):
            before = known.get(record[:3])
            known[record[:3]] = record if before is None else join(before, record)
    return known


def of_machines(store: Path) -> dict[tuple[str, str, bool], Record]:
    """What a hub holds, but for its own machine's."""
    return {key: record for key, record in records_at(store).items() if record.owner.host}


def test_two_laptops_and_a_hub(tmp_path: Path, there: Hub) -> None:
    """Each reply counts once, also one that both have; each machine's is told apart; the page's API and the reports agree."""
    shared = many_lines(10)
    machines = {
        "one": machine(tmp_path, "one", {MAIN: shared + line("msg_both", output=5, stop_reason=None)}, there),
        "two": machine(tmp_path, "two", {MAIN: line("msg_both", output=50), "-home-dev-web/s2.jsonl": many_lines(7, first=100)}, there),
    }
    for name, made in machines.items():
        done = sent_by(made, name, there)
        assert done.returncode == 0, done.stderr
    assert of_machines(there.store) == together(machines)
    with closing(database.open_for_reading(there.store)) as db:
        assert db.execute("SELECT output, final FROM replies WHERE key = 'msg_both'").fetchall() == [(50, 1)]


def test_a_replay_before_its_parent(tmp_path: Path, there: Hub) -> None:
    """One machine sends the side question's copy first, another one the message that it is a copy of: the copy does not count."""
    replay = {"-home-dev-app/s1/subagents/agent-a1.jsonl": line("msg_1", output=5, isSidechain=True, requestId="req_side", agentId="a1")}
    machines = {
        "one": machine(tmp_path, "one", replay, there),
        "two": machine(tmp_path, "two", {MAIN: line("msg_1", output=70)}, there),
    }
    for name, made in machines.items():
        assert sent_by(made, name, there).returncode == 0
    assert of_machines(there.store) == together(machines)
    with closing(database.open_for_reading(there.store)) as db:
        assert db.execute("SELECT output FROM replies WHERE key LIKE 'msg_1%'").fetchall() == [(70,)]


def test_an_append_on_a_machine_is_told_by_the_hub(tmp_path: Path, there: Hub) -> None:
    """A line that is written on a machine comes out of the hub's stream."""
    made = machine(tmp_path, "one", {MAIN: many_lines(3)}, there)
    process = made.start("push", there.served.address.rstrip("/"), "--interval", "0", "--host", "one", "--user", "u")
    try:
        assert process.stderr is not None
        assert process.stderr.readline() == "ready\n"
        until(lambda: len(of_machines(there.store)) == 3)
        with (made.logs / MAIN).open("ab") as log:
            log.write(line("msg_new"))
        until(lambda: ("msg_new", "req_1", False) in of_machines(there.store) or len(of_machines(there.store)) == 4)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=WITHIN_S)


def until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + WITHIN_S
    while not is_so():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)


@contextmanager
def hub_on(root: Path, port: int) -> Iterator[Hub]:
    with hub(root, "--port", str(port)) as made:
        yield made


@pytest.mark.slow
def test_a_hub_that_was_restored_from_a_backup_is_mended(tmp_path: Path) -> None:
    """It has lost what it had acknowledged; each machine's `reconcile` finds which sessions, and sends them again."""
    root = seeded(tmp_path / "hub")
    with hub(root) as there:
        machines = {
            name: machine(tmp_path, name, {MAIN: many_lines(20, first=50 * number).replace(b'"s1"', f'"s-{name}"'.encode())}, there)
            for number, name in enumerate(("one", "two", "three"))
        }
        assert sent_by(machines["one"], "one", there).returncode == 0
        assert there.served.run("backup", str(tmp_path / "hub.db"))
        for name in ("two", "three"):
            assert sent_by(machines[name], name, there).returncode == 0
        store = there.store
    put_back(store, tmp_path / "hub.db")
    with hub(root) as there:
        assert of_machines(store) == together({"one": machines["one"]})
        for name, made in machines.items():
            made.environment["TOKENTAIL_PUSH_TOKEN"] = there.agent
            address = there.served.address.rstrip("/")
            done = made.run("reconcile", address, "--user", f"user-of-{name}", "--host", name)
            assert done.returncode == 0, done.stderr
            assert ("none differs" in done.stdout) == (name == "one")
        assert of_machines(store) == together(machines)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [int(os.environ.get("TOKENTAIL_TEST_SEED", "1"))])
def test_machines_that_come_and_go_end_exact(tmp_path: Path, seed: int) -> None:
    """
    Machines that send while lines are written, are killed, go back to an older copy of their store, have a wrong clock; a hub that dies.

    When all is quiet, the hub holds what all machines ever had, joined.
    """
    rng = random.Random(seed)
    root = seeded(tmp_path / "hub")
    machines: dict[str, Machine] = {}
    ever: list[Record] = []
    with hub(root) as first:
        port, agent = first.served.port, first.agent
        for number in range(4):
            years = "2031" if number == 3 else "2026"  # the last one's clock is wrong
            lines = many_lines(15, first=100 * number).replace(b'"2026-', f'"{years}-'.encode())
            machines[f"m{number}"] = machine(tmp_path, f"m{number}", {MAIN: lines}, first)
    copies: dict[str, Path] = {}
    for step in range(6):
        with hub(root, "--port", str(port), ends_with=-signal.SIGKILL if step % 2 else 0) as there:
            senders = []
            for name, made in machines.items():
                made.environment["TOKENTAIL_PUSH_TOKEN"] = agent
                with (made.logs / MAIN).open("ab") as log:
                    log.write(many_lines(5, first=10_000 + step * 100 + 1_000 * int(name[1])))
                words = ("push", there.served.address.rstrip("/"), "--once", "--timeout", "20", "--user", f"user-of-{name}", "--host", name)
                senders.append(made.start(*words))
            if step % 2:
                time.sleep(rng.random() * 0.8)
                there.served.process.kill()
            for sender in senders:
                if step % 2 or rng.random() < 0.3:
                    sender.kill()
                sender.communicate(timeout=WITHIN_S)
        for name, made in machines.items():
            made.run("daily")
            ever += made.records(f"user-of-{name}", name)
            if step == 2:
                copies[name] = tmp_path / f"{name}.db"
                assert made.run("backup", str(copies[name])).returncode == 0
            if step == 4 and name == "m1":
                put_back(made.store, copies[name])
    with hub(root, "--port", str(port)) as there:
        for name, made in machines.items():
            done = sent_by(made, name, there)
            assert done.returncode == 0, done.stderr
        assert of_machines(there.store) == together(machines, ever)
        verdict = there.served.run("verify")
        assert "agree" in verdict


def put_back(store: Path, copy: Path) -> None:
    """As somebody who restores a backup."""
    for end in ("", "-wal", "-shm"):
        store.with_name(f"{store.name}{end}").unlink(missing_ok=True)
    shutil.copy(copy, store)


def test_the_hubs_database_is_sound_afterwards(tmp_path: Path, there: Hub) -> None:
    """What came over the network stands as soundly as what came from logs."""
    made = machine(tmp_path, "one", {MAIN: many_lines(50)}, there)
    assert sent_by(made, "one", there).returncode == 0
    with closing(sqlite3.connect(there.store)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
