"""Tests of `tokentail.parallel`: a right store is never said to be wrong, however much is written, and a wrong one is."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import tokentail
from logs import QUICK, coordinator, line, lines
from tokentail.demo.live import LiveWriter, Mishaps
from tokentail.errors import StoreError
from tokentail.parallel import Round, rounds
from tokentail.sources import LocalFolders

PROGRAM = "import sys; from tokentail.cli import main; sys.exit(main(sys.argv[1:]))"


@contextmanager
def compared(root: Path, *, every_s: float = 0.01) -> Iterator[tuple[Iterator[Round], threading.Event]]:
    """The rounds on the folder `logs`, with the event that ends them."""
    stop = threading.Event()
    with closing(coordinator(root, pace=QUICK)) as live:
        found = rounds(live, LocalFolders([root / "logs"]), stop, every_s=every_s)
        yield found, stop
        stop.set()
        for _ in found:
            continue


def log(root: Path) -> Path:
    path = root / "logs" / "-home-dev-app" / "s1.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def tamper(store: Path, statement: str) -> None:
    with closing(sqlite3.connect(store, timeout=10, isolation_level=None)) as db:
        db.execute(statement)


def test_what_is_written_meanwhile_is_no_difference(tmp_path: Path) -> None:
    """A writer that appends, tears, cuts, rewrites, deletes and resumes while both ways read: they never disagree."""
    over = threading.Event()
    mishaps = Mishaps(tear=0.1, rewrite=0.03, truncate=0.02, delete=0.02, resume=0.02)
    writer = LiveWriter(tmp_path, rate_per_s=300, clock=time.time, sleep=over.wait, mishaps=mishaps)
    (tmp_path / "projects").rename(tmp_path / "logs")
    (tmp_path / "projects").symlink_to(tmp_path / "logs")
    thread = threading.Thread(target=writer.run, args=(over,))
    with compared(tmp_path) as (found, _):
        next(found)
        thread.start()
        seen = [next(found) for _ in range(12)]
        over.set()
        thread.join()
        last = next(found)
    assert [difference for one in (*seen, last) for difference in one.verdict.differences] == []
    assert last.verdict.replies_in_store > 0
    assert all(one.problems == [] for one in seen)


def test_a_tampered_store_is_told_once(tmp_path: Path) -> None:
    """A count that is wrong is named with the lines that show it, in the round that finds it and in no later one."""
    path = log(tmp_path)
    path.write_bytes(lines(1, 3))
    with compared(tmp_path) as (found, _):
        assert next(found).verdict.agrees
        tamper(tmp_path / "store.db", "UPDATE replies SET output = 7 WHERE key = 'msg_2'")
        after = [next(found) for _ in range(3)]
    (told,) = (one.verdict.differences for one in after if one.verdict.differences)
    assert [difference.why.partition(": ")[0] for difference in told if difference.key == "msg_2"] == ["tokens"]
    assert [place.path for place in next(one for one in told if one.key == "msg_2").places] == [str(path)]


def test_a_lost_reply_is_told_while_others_come(tmp_path: Path) -> None:
    """What is missing in the store is found although both ways differ in other replies all the time."""
    path = log(tmp_path)
    path.write_bytes(lines(1, 3))
    with compared(tmp_path) as (found, _):
        next(found)
        tamper(tmp_path / "store.db", "DELETE FROM replies WHERE key = 'msg_1'")
        keys: set[str] = set()
        for number in range(10, 16):
            with path.open("ab") as out:
                out.write(line(f"msg_{number}"))
            keys |= {difference.key for difference in next(found).verdict.differences}
    assert {key for key in keys if key.startswith("msg_")} == {"msg_1"}


def test_a_store_that_cannot_be_followed_ends_it(tmp_path: Path) -> None:
    """The error of the live way is the error of the whole."""
    log(tmp_path).write_bytes(lines(1, 1))
    (tmp_path / "store.db").mkdir()
    with pytest.raises(StoreError, match="cannot write the store"), compared(tmp_path) as (found, _):
        next(found)


@pytest.mark.parametrize(("statement", "code"), [("SELECT 1", 0), ("UPDATE replies SET output = 7 WHERE key = 'msg_2'", 1)])
def test_the_command_goes_on_until_it_is_stopped(tmp_path: Path, statement: str, code: int) -> None:
    """A line for each comparison; SIGTERM ends it, with 1 where there was a difference."""
    log(tmp_path).write_bytes(lines(1, 3))
    environment = {**os.environ, "PYTHONPATH": str(Path(tokentail.__file__).parents[1]), "TOKENTAIL_HOME": str(tmp_path / "home")}
    words = [sys.executable, "-c", PROGRAM, "verify", "--follow", "--every", "0.05", "--source", str(tmp_path / "logs")]
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first.endswith("3 replies in the logs, 3 in the store: no new difference\n")
        (store,) = (tmp_path / "home").glob("*.db")
        tamper(store, statement)
        said = [process.stdout.readline()]
        while ("no new" in said[-1]) == bool(code) and len(said) < 200:
            said.append(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert process.wait() == code
    text = "".join([*said, rest])
    assert ("msg_2: tokens: store" in text, f"{log(tmp_path)}: at byte" in text) == (bool(code), bool(code))
