"""Tests of `tokentail.status`, `tokentail.census` and the command: what is said of logs and store is so, also when something is wrong."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import coordinator, line, many_lines, write_logs
from logs import PRICES
from tokentail import database
from tokentail.census import Census, Counted, Files, Following, Look
from tokentail.cli import main
from tokentail.database import SCHEMA_VERSION
from tokentail.leader import Seen
from tokentail.model import RULES_VERSION, LogsRead, Metrics, Problem, Recent, Share
from tokentail.outbox import Waiting
from tokentail.reports.text import Style, text_width
from tokentail.sources import LocalFolders
from tokentail.status.as_json import status_json
from tokentail.status.as_text import status_text
from tokentail.status.now import Copy, Folder, Prices, Status, StoreFile, take_status
from tokentail.time_index import Index

SRC = Path(__file__).resolve().parents[1] / "src"
DATA = Path(__file__).with_name("data") / "status"
BERLIN = ZoneInfo("Europe/Berlin")
NOW_MS = 1_790_848_800_123
HOLDER = """
import sys
from pathlib import Path
from tokentail import database
with database.locked(Path(sys.argv[1]), wait_s=0):
    print("on", flush=True)
    sys.stdin.read()
"""


# What is shown


def look(number: int, **metrics: Any) -> Look:
    return Look(NOW_MS - number * 3_600_000, 4_711 + number, Metrics(**metrics))


FULL = Status(
    NOW_MS,
    (Folder("~/.claude/projects", True, True, 1_302, 540_200_000), Folder("~/.config/claude/projects", False, False, 0, 0)),
    1_302,
    540_200_000,
    StoreFile("~/.local/share/tokentail/store.db", True, 10_400_000, 2_100_000, None),
    (Copy("store.db.before-2", 9_800_000), Copy("store.db.damaged-20260930T101500Z", 10_100_000)),
    Seen(4_720, NOW_MS / 1000 - 0.25, 0.25),
    Census(
        *(2, 1, Files(1_302, 12, 3, 540_190_000, 4), Counted(52_133, 1_767_312_000_000, NOW_MS, 412, 37, 2)),
        (
            look(2, files_checked=1_302, files_read=1, bytes_read=2_400, entries_parsed=2, took_s=0.0123),
            look(3, files_checked=1_302, files_read=17, bytes_read=1_250_000, entries_parsed=410, took_s=0.094),
            look(30, files_checked=1_285, files_read=1_285, bytes_read=538_900_000, entries_parsed=118_345, took_s=2.14),
        ),
        look(0),
        Following(
            NOW_MS - 500,
            *("events", 3),
            Recent(
                *(200, Share(1, 12), Share(2_400, 1_250_000), Share(2, 410), Share(0.5, 0.0), Share(0.941, 8.2)),
                Share(1.934, 9.871),
            ),
        ),
        (("https://hub.example:8484", Waiting(14_211, 2)), ("https://other.example", Waiting(0, 0))),
    ),
    look(0, files_checked=1_302, took_s=0.0091),
    Prices("imported", date(2026, 11, 23), "genai-prices 0.2.9", ("claude-zeta-9", "claude-zeta-10")),
    (),
    (),
    Index(1_302, 2_411, 1_240_000, NOW_MS - 60_000, LogsRead(7_310_000, 532_890_000)),
)
FIRST = Status(
    NOW_MS,
    (Folder("~/.claude/projects", False, False, 0, 0),),
    files=0,
    size_bytes=0,
    store=StoreFile("~/.local/share/tokentail/store.db", False, 0, 0, None),
    copies=(),
    leader=None,
    census=None,
    last_look=None,
    prices=Prices("shipped", None, "genai-prices 0.2.3", ()),
    problems=(),
    degraded=(),
)
BROKEN = FULL._replace(
    census=None,
    time_index=None,
    last_look=None,
    copies=(),
    store=FULL.store._replace(writer=4_711),
    problems=(Problem("/srv/logs/a\x1b[31m.jsonl", "Permission denied"),),
    degraded=("the store was written by a newer tokentail (its version is 9, ours 2): update tokentail",),
)
LONG = "~/" + "/".join(f"projekt-{number}-übung" for number in range(30))
LARGE = FULL._replace(
    time_index=Index(10**9, 10**12, 10**15, NOW_MS, LogsRead(10**15, 10**15)),
    folders=(Folder(LONG + "\n\x1b[31m\u202e", True, True, 1_234_567, 9_876_543_210_987), Folder("~/shut", True, False, 0, 0)),
    store=FULL.store._replace(path=LONG, writer=0),
    copies=(Copy(f"store.db.{'x' * 300}", 10**15),),
    census=FULL.census._replace(found=tuple(look(each, files_checked=10**9, files_read=10**8) for each in range(5)))
    if FULL.census
    else None,
)
SHOWN = {"full": FULL, "first": FIRST, "broken": BROKEN, "large": LARGE}


@pytest.mark.parametrize("name", SHOWN)
def test_text(name: str) -> None:
    """The whole text, on 80 columns without colour."""
    shown = status_text(SHOWN[name], BERLIN, Style(False))
    assert shown == (DATA / f"{name}.txt").read_text(encoding="utf-8")
    assert all(char.isprintable() or char == "\n" for char in shown)


@pytest.mark.parametrize("name", SHOWN)
def test_json(name: str) -> None:
    """The whole object, with moments in UTC and days in the zone."""
    assert status_json(SHOWN[name], BERLIN) + "\n" == (DATA / f"{name}.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SHOWN)
def test_colours_move_nothing(name: str) -> None:
    """Without its styles it is the very same text."""
    coloured = status_text(SHOWN[name], BERLIN, Style(True))
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == status_text(SHOWN[name], BERLIN, Style(False))
    assert "\x1b[1m" in coloured


COUNTS = st.integers(0, 10**13)
MILLISECONDS = st.builds(Share, st.floats(0, 10**9), st.floats(0, 10**9))
RECENT = st.builds(
    Recent,
    st.integers(1, 200),
    *[st.builds(Share, COUNTS, COUNTS)] * 3,
    st.builds(Share, st.floats(0, 1), st.floats(0, 1)),
    *[MILLISECONDS] * 2,
)
METRICS = st.builds(Metrics, st.integers(10**9, 10**13), st.integers(0, 10**9), *([COUNTS] * 7), st.floats(0, 10**6))


@settings(deadline=None)
@given(
    st.lists(st.builds(Folder, st.text(max_size=90), st.booleans(), st.booleans(), COUNTS, COUNTS), max_size=3),
    st.lists(st.builds(Copy, st.text(max_size=90), COUNTS), max_size=2),
    st.lists(st.builds(Look, st.integers(0, 10**14), st.integers(0, 4_194_304), METRICS), min_size=1, max_size=5),
    st.builds(Following, COUNTS, st.sampled_from(["events", "polling"]), COUNTS, RECENT),
)
def test_it_fits_80_columns(folders: list[Folder], copies: list[Copy], looks: list[Look], following: Following) -> None:
    """Whatever the numbers and names are."""
    assert FULL.census is not None
    held = FULL.census._replace(found=tuple(looks), following=following)
    status = FULL._replace(folders=tuple(folders), copies=tuple(copies), census=held, last_look=looks[0])
    assert max(map(text_width, status_text(status, BERLIN, Style(False)).splitlines())) <= 80


# What is found


class Kept:
    """A folder of logs with its store."""

    def __init__(self, folder: Path) -> None:
        self.logs = write_logs(
            folder / "logs", {"-app/s1.jsonl": many_lines(20), "-web/s2.jsonl": many_lines(5, first=100) + b'{"usage" oops\n'}
        )
        self.store = folder / "kept" / "store.db"
        self.source = LocalFolders([self.logs, folder / "none"])

    def status(self, *, update: bool = True) -> Status:
        with closing(coordinator(self.logs, self.store, wait_s=0)) as engine:
            return take_status(self.source, self.store, PRICES, coordinator=engine if update else None, now_ms=NOW_MS)

    def census(self) -> Census:
        held = self.status().census
        assert held is not None
        return held

    def execute(self, statement: str) -> None:
        with closing(sqlite3.connect(self.store, isolation_level=None)) as db:
            db.execute(statement)


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.jsonl"))


def test_what_is_there(kept: Kept) -> None:
    """Folders and files as they are on the disk, replies as the store has them."""
    status = kept.status()
    size = size_of(kept.logs)
    assert [each[1:] for each in status.folders] == [(True, True, 2, size), (False, False, 0, 0)]
    assert (status.files, status.size_bytes, status.problems, status.degraded) == (2, size, (), ())
    held = kept.census()
    assert held.files == Files(2, 0, 0, size, 1)
    assert (held.counted.replies, held.counted.sessions, held.counted.projects) == (25, 1, 2)
    assert (held.schema_version, held.rules_version) == (SCHEMA_VERSION, RULES_VERSION)


def test_days_are_those_of_the_first_and_the_last_reply(kept: Kept) -> None:
    """In the zone that was asked for."""
    with (kept.logs / "-app" / "s1.jsonl").open("ab") as log:
        log.write(line("old", timestamp="2025-03-01T23:30:00.000Z") + line("new", timestamp="2027-03-01T23:30:00.000Z"))
    document = json.loads(status_json(kept.status(), BERLIN))
    assert (document["counted"]["first_day"], document["counted"]["last_day"]) == ("2025-03-02", "2027-03-02")


def test_files_by_state(kept: Kept) -> None:
    """A file that is gone and one that was rewritten are told apart, and what they held stays counted."""
    kept.status()
    (kept.logs / "-web" / "s2.jsonl").unlink()
    (kept.logs / "-app" / "s1.jsonl").write_bytes(many_lines(3, first=500))
    held = kept.census()
    assert held.files == Files(1, 1, 1, size_of(kept.logs), 1)
    assert held.counted.replies == 28


def test_a_line_that_is_not_whole_is_not_read(kept: Kept) -> None:
    """Of the bytes that are there only those before the cursor are read."""
    whole = size_of(kept.logs)
    with (kept.logs / "-app" / "s1.jsonl").open("ab") as log:
        log.write(line("half")[:50])
    status = kept.status()
    assert status.census is not None
    assert (status.census.files.read_bytes, status.size_bytes) == (whole, whole + 50)


def test_what_was_forgotten_is_counted(kept: Kept) -> None:
    """Each group of records once."""
    kept.status()
    kept.execute("INSERT INTO forgotten VALUES (x'00', 1), (x'01', 2)")
    assert kept.census().counted.forgotten == 2


def test_the_last_looks_that_found_something(kept: Kept) -> None:
    """Five of them, newest first; the last look is ours, whether it found anything or not."""
    for number in range(7):
        write_logs(kept.logs, {f"-app/more-{number}.jsonl": many_lines(number + 1, first=1_000 * (number + 1))})
        kept.status()
    status = kept.status()
    assert status.census is not None
    assert status.last_look is not None
    assert [each.metrics.entries_parsed for each in status.census.found] == [7, 6, 5, 4, 3]
    assert {each.process for each in status.census.found} == {os.getpid()}
    assert (status.last_look.process, status.last_look.metrics.files_checked, status.last_look.metrics.files_read) == (os.getpid(), 9, 0)


def test_looks_of_other_versions_are_shown(kept: Kept) -> None:
    """Metrics that this version does not know are left out, those that another one did not know are 0."""
    kept.status()
    kept.execute("""INSERT INTO passes (at_ms, process, idle, metrics) VALUES (5, 6, 0, '{"files_read": 7, "parsecs": 8}')""")
    assert kept.census().found[0] == Look(5, 6, Metrics(files_read=7))


def test_the_store_and_what_lies_beside_it(kept: Kept) -> None:
    """A copy with its write-ahead log is one; the store's own parts are none, and neither is another store."""
    kept.status()
    for name, size in (
        ("store.db.before-2", 10),
        ("store.db.damaged-20260930T101500Z", 20),
        ("store.db.damaged-20260930T101500Z-wal", 3),
        ("store.db.fresh", 5),
        ("store.db.fresh-wal", 5),
        ("source-0123456789abcdef.db", 5),
    ):
        kept.store.with_name(name).write_bytes(b"x" * size)
    status = kept.status()
    assert status.copies == (Copy("store.db.before-2", 10), Copy("store.db.damaged-20260930T101500Z", 23))
    assert status.store[1:] == (True, kept.store.stat().st_size, 0, None)


def test_what_is_in_the_log_of_the_store(kept: Kept) -> None:
    """While somebody has it open, what was committed last stands in its write-ahead log."""
    with closing(coordinator(kept.logs, kept.store)) as engine:
        engine.check_for_updates()
        status = kept.status()
        assert status.store.log_bytes == kept.store.with_name("store.db-wal").stat().st_size > 0


def test_who_writes_it(kept: Kept) -> None:
    """Another process that holds the lock is named, and what it has committed is shown."""
    kept.status()
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    words = [sys.executable, "-c", HOLDER, str(kept.store)]
    with subprocess.Popen(words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"on\n"
        seen, updated = kept.status(update=False), kept.status()
        kept.store.with_name("store.db.lock").write_bytes(b"")
        nameless = kept.status(update=False)
        process.communicate()
    assert (seen.store.writer, updated.store.writer, nameless.store.writer) == (process.pid, process.pid, 0)
    assert (seen.degraded, seen.last_look) == ((), updated.last_look)
    assert f"is being written by process {process.pid}" in updated.degraded[0]
    assert updated.census == seen.census
    assert kept.status().store.writer is None


def test_how_it_is_followed(kept: Kept) -> None:
    """Whoever leads is named, with what it noted of its looks; a look of ours beside it changes nothing about that."""
    stop = threading.Event()
    with closing(coordinator(kept.logs, kept.store)) as live:
        updates = live.follow(stop)
        next(updates)
        before = kept.status()
        assert before.leader is not None
        assert (before.leader.process, before.census and before.census.following) == (os.getpid(), None)
        (kept.logs / "-app" / "s3.jsonl").write_bytes(many_lines(3, first=200))
        found = next(update for update in updates if update.changes)
        assert found.live is not None
        for status in (kept.status(update=False), kept.status()):
            assert status.census is not None
            following = status.census.following
            assert following is not None
            assert (following.mode, following.pending) == (found.live.mode, 0)
            assert following.recent is not None
            assert following.recent.looks == 1
            size = (kept.logs / "-app" / "s3.jsonl").stat().st_size
            assert following.recent.bytes_read == (size, size)
        assert all(not copy.name.endswith(".leader") for copy in status.copies)
        stop.set()
        list(updates)
    after = kept.status()
    assert after.leader is None
    assert status_json(after, BERLIN).count('"following": null') == 1


def test_two_that_ask_are_no_writers(kept: Kept) -> None:
    """Whoever looks for the holder of the lock is not taken for one."""
    kept.status()
    lock = kept.store.with_name("store.db.lock")
    with lock.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        assert database.lock_holder(kept.store) is None


def test_without_an_update_nothing_is_read(kept: Kept) -> None:
    """The store is shown as it is, and not made where there is none."""
    status = kept.status(update=False)
    assert (status.store.exists, status.census, status.last_look, status.files) == (False, None, None, 2)
    assert not kept.store.parent.exists()
    kept.status()
    (kept.logs / "-app" / "s1.jsonl").write_bytes(many_lines(21))
    before = kept.status(update=False)
    assert before.census is not None
    assert before.census.counted.replies == 25
    assert before.census.files.read_bytes < before.size_bytes
    assert kept.census().counted.replies == 26


def test_without_a_store_and_logs_nothing_is_made(kept: Kept) -> None:
    """Who only asks how things stand does not begin anything."""
    shutil.rmtree(kept.logs)
    assert kept.status().census is None
    assert not kept.store.parent.exists()


# What can be wrong


@pytest.mark.parametrize("update", [False, True])
def test_a_newer_store(kept: Kept, update: bool) -> None:
    """It is left alone, and all that can be told without it is told."""
    kept.status()
    kept.execute("PRAGMA user_version = 99")
    status = kept.status(update=update)
    assert (status.census, status.files, status.store.exists) == (None, 2, True)
    assert "was written by a newer tokentail" in status.degraded[0]


def test_an_older_store(kept: Kept) -> None:
    """Without an update it is not brought to our version, which is told."""
    kept.status()
    kept.execute("PRAGMA user_version = 1")
    status = kept.status(update=False)
    assert status.census is None
    assert f"has schema 1, ours is {SCHEMA_VERSION}" in status.degraded[0]


def test_a_damaged_store(kept: Kept) -> None:
    """Without an update it is told; with one the store is repaired, and the damaged one lies beside it."""
    kept.status()
    kept.store.write_bytes(b"\xff" * 8_192)
    assert "cannot read the store" in kept.status(update=False).degraded[0]
    status = kept.status()
    assert status.census is not None
    assert status.census.counted.replies == 25
    assert [copy.name.partition(".damaged-")[0] for copy in status.copies] == ["store.db"]
    assert "the store was damaged" in status.degraded[0]


def test_a_store_without_its_versions(kept: Kept) -> None:
    """One whose making was interrupted says what it can."""
    kept.status()
    kept.execute("DELETE FROM meta")
    held = kept.status(update=False).census
    assert held is not None
    assert held.rules_version is None


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
def test_a_folder_that_cannot_be_read(kept: Kept) -> None:
    """It is named as such, and as a problem."""
    kept.logs.chmod(0)
    status = kept.status()
    kept.logs.chmod(0o700)
    assert status.folders[0][1:3] == (True, False)
    assert status.problems == (Problem(os.fspath(kept.logs), "Permission denied"),)


# As a command


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CLAUDE_CONFIG_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TOKENTAIL_HOME", str(tmp_path / "store"))
    monkeypatch.setenv("TZ", "UTC")
    return tmp_path


def test_before_anything_was_counted(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says where logs are looked for and what to do, and that is no failure."""
    assert main(["status"]) == 0
    out, err = capsys.readouterr()
    assert "~/.claude/projects" in out
    assert "No logs were found: name a folder with --source DIR, or try `tokentail demo`." in out
    assert "Nothing yet" in out
    assert err == ""
    assert not (home / "store").exists()


def test_the_status_of_a_home(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It looks at the logs first, and its numbers are those of the reports."""
    write_logs(home / ".claude" / "projects", {"-app/s1.jsonl": many_lines(12)})
    assert main(["status", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert main(["daily", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert document["counted"]["replies"] == report["totals"]["replies"] == 12
    assert [document["counted"][name] for name in ("first_day", "last_day")] == [report["rows"][at]["day"] for at in (0, -1)]
    assert main(["status"]) == 0
    assert "  Replies    12 (sessions: 1, projects: 1)\n" in capsys.readouterr().out


def test_a_status_that_cannot_tell(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A store that cannot be read is a failure, told in the result."""
    write_logs(home / ".claude" / "projects", {"-app/s1.jsonl": many_lines(12)})
    main(["daily"])
    with closing(sqlite3.connect(home / "store" / "store.db")) as db:
        db.execute("PRAGMA user_version = 99")
    capsys.readouterr()
    assert main(["status"]) == 1
    out, err = capsys.readouterr()
    assert "!  the store" in out
    assert err == ""
