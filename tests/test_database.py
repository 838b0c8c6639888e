"""Tests of `tokentail.database`: the store's file, its version, its lock, and what becomes of it on a bad day."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import tokentail
from builders import (
    AT_MS,
    THRESHOLDS,
    chunk,
    coordinator,
    line,
    many_lines,
    record,
    replies_in,
    summary_in,
    summary_of,
    usage,
    write_logs,
)
from tokentail import database
from tokentail.cli import main
from tokentail.errors import StoreBusyError, StoreError, StoreNewerError
from tokentail.periods import QUARTER_MS
from tokentail.recount import recount
from tokentail.sources import LocalFolders
from tokentail.store import Store

SRC = Path(tokentail.__file__).parents[1]
DATA = Path(__file__).with_name("data")


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Some hundred replies in three files, among them one in two copies and one with extra iterations."""
    spent = {"input_tokens": 1, "output_tokens": 2, "iterations": [{"type": "compaction", "input_tokens": 9}]}
    return write_logs(
        tmp_path / "logs",
        {
            "-home-dev-app/s1.jsonl": many_lines(120),
            "-home-dev-app/s2.jsonl": many_lines(5) + line("msg_x", usage=spent),
            "-home-dev-web/s3.jsonl": many_lines(60, first=200) + line("msg_200", requestId="req_other", output=77),
        },
    )


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the command line keeps its stores in."""
    monkeypatch.setenv("TOKENTAIL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def store_of(home: Path, logs: Path) -> Path:
    return database.store_path(home, [logs])


def daily(logs: Path, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, object], str]:
    """The exit code, the report and what was said beside it."""
    code = main(["daily", "--json", "--timezone", "UTC", "--source", str(logs), *words])
    out, err = capsys.readouterr()
    return code, json.loads(out) if out else {}, err


def check_exact(logs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The report from the store is the one from all logs."""
    code, report, err = daily(logs, capsys)
    assert (code, err) == (0, "")
    assert report == daily(logs, capsys, "--no-store")[1]


# Where it is and who may read it


def test_the_store_is_private(logs: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every file of the store is its owner's alone, in a folder that is too, whatever the umask."""
    before = os.umask(0)
    try:
        with closing(coordinator(logs, store_of(home, logs))) as engine:
            engine.check_for_updates()
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.iterdir()}
    finally:
        os.umask(before)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    name = store_of(home, logs).name
    assert modes == dict.fromkeys((name, f"{name}-wal", f"{name}-shm", f"{name}.lock"), 0o600)


def test_each_choice_of_sources_has_its_own_store(tmp_path: Path) -> None:
    """Folders given by hand have a store of their own, the same however they are written; the usual places share one."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    (tmp_path / "link").symlink_to(one)
    path = database.store_path(tmp_path, [one, two])
    assert path == database.store_path(tmp_path, [two, tmp_path / "link", one, tmp_path / "two" / ".." / "two"])
    assert len({path, database.store_path(tmp_path, [one]), database.store_path(tmp_path, None)}) == 3
    assert database.store_path(tmp_path, None) == tmp_path / "store.db"


def test_the_home_folder_can_be_named() -> None:
    """`TOKENTAIL_HOME` wins; without it the platform says where data goes."""
    assert database.home_folder({"TOKENTAIL_HOME": "/somewhere/else"}) == Path("/somewhere/else")
    assert database.home_folder({}).name == "tokentail"


# Versions


def test_a_newer_store_is_left_alone(logs: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a newer tokentail wrote is refused with a clear message, and not a byte of it changes."""
    check_exact(logs, capsys)
    path = store_of(home, logs)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = path.read_bytes()
    code, report, err = daily(logs, capsys)
    assert (code, report) == (1, {})
    versions = f"its version is 99, ours {database.SCHEMA_VERSION}"
    assert err == f"tokentail: the store {path} was written by a newer tokentail ({versions}): update tokentail\n"
    with pytest.raises(StoreNewerError):
        database.open_for_reading(path)
    assert path.read_bytes() == before
    assert list(home.glob("*.damaged-*")) == []


def old_store(path: Path) -> None:
    """A store of version 1 with a row in it."""
    with closing(database.open_for_writing(path, version=1)) as db:
        db.execute("INSERT INTO names (name) VALUES ('old')")


STEPS = {1: "ALTER TABLE names ADD COLUMN colour TEXT", 2: "UPDATE names SET colour = 'blue'"}


def test_an_older_store_is_brought_up_to_date(tmp_path: Path) -> None:
    """All steps from its version to ours are taken, after a copy was made that only its owner can read."""
    path = tmp_path / "store.db"
    old_store(path)
    with closing(database.open_for_writing(path, migrations=STEPS, version=3)) as db:
        assert db.execute("SELECT name, colour FROM names").fetchall() == [("old", "blue")]
        assert db.execute("PRAGMA user_version").fetchone() == (3,)
    copy = tmp_path / "store.db.before-3"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with closing(sqlite3.connect(copy)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
        assert db.execute("SELECT * FROM names").fetchall() == [(1, "old")]


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ({1: STEPS[1], 2: "UPDATE names SET taste = 'sweet'"}, "no such column: taste"),
        ({1: "CREATE TABLE more (id INTEGER); SELECT nonsense"}, "there is no way from version 2"),
        ({2: STEPS[2]}, "there is no way from version 1"),
        ({1: f"{STEPS[1]}; CREATE TABLE broken (", 2: ""}, "syntax error"),
    ],
    ids=["second-step-fails", "second-step-missing", "first-step-missing", "first-step-fails-half-way"],
)
def test_a_failing_migration_leaves_the_old_store(tmp_path: Path, steps: dict[int, str], why: str) -> None:
    """All steps or none: a store that cannot be brought up to date stays as it was, and an older tokentail can go on with it."""
    path = tmp_path / "store.db"
    old_store(path)
    with pytest.raises(StoreError, match=rf"cannot bring the store .*store\.db from version 1 to 3: .*{why}.*a copy is kept at"):
        database.open_for_writing(path, migrations=steps, version=3)
    with closing(database.open_for_writing(path, version=1)) as db:
        assert db.execute("SELECT * FROM names").fetchall() == [(1, "old")]
        assert db.execute("SELECT count(*) FROM sqlite_master WHERE name IN ('more', 'broken')").fetchone() == (0,)


def test_a_store_of_version_1_gets_the_sums_of_today(tmp_path: Path) -> None:
    """The step from version 1 makes today's tables, and fills them with what the replies add up to."""
    made, migrated = tmp_path / "made.db", tmp_path / "migrated.db"
    spent = usage(iterations=[{"type": "compaction", "model": "claude-haiku-4-5", "input_tokens": 50}])
    last_ms = AT_MS + 86_400_000
    beyond_s = (last_ms + QUARTER_MS) / 1000
    with closing(Store(database.open_for_writing(made), made, thresholds=THRESHOLDS, clock=lambda: beyond_s)) as store:
        store.apply([chunk(record(), record("msg_2", usage=spent), record("msg_3", at_ms=last_ms, stopped=False))])
    with closing(sqlite3.connect(migrated, isolation_level=None)) as db:
        db.executescript((DATA / "schema-1.sql").read_text(encoding="utf-8"))
        db.execute("ATTACH ? AS made", (str(made),))
        for table in ("files", "names", "forms", "tiers", "projects", "replies", "extras", "sightings", "meta"):
            db.execute(f"INSERT INTO {table} SELECT * FROM made.{table}")
        db.execute("INSERT INTO owners SELECT id, copied, subagent, session, project, agent FROM made.owners")
        db.execute("PRAGMA user_version = 1")
    with closing(database.open_for_writing(migrated)) as db, closing(database.open_for_reading(made)) as other:
        tables = "SELECT type, name, tbl_name FROM sqlite_master ORDER BY name"
        columns = "SELECT tables.name, columns.* FROM sqlite_master AS tables, pragma_table_info(tables.name) AS columns ORDER BY 1, 2"
        indexes = "SELECT name, sql FROM sqlite_master WHERE type = 'index' ORDER BY name"
        for query in (
            tables,
            columns,
            indexes,
            *(f"SELECT * FROM {table}" for table in ("settled", "quarters", "hours", "days", "forgotten", "owners")),
        ):
            assert db.execute(query).fetchall() == other.execute(query).fetchall()
        replies = replies_in(db).values()
        assert len(replies) == 3
        assert summary_in(db) == summary_of(replies, THRESHOLDS)


def test_reading_needs_a_store(tmp_path: Path) -> None:
    """A reader makes no store, and says how to get one."""
    with pytest.raises(StoreError, match=r"there is no store at .* yet"):
        database.open_for_reading(tmp_path / "store.db")
    assert list(tmp_path.iterdir()) == []


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    """The connection of a view refuses to change anything."""
    old_store(tmp_path / "store.db")
    with closing(database.open_for_reading(tmp_path / "store.db")) as db, pytest.raises(sqlite3.OperationalError, match="readonly"):
        db.execute("DELETE FROM names")


def test_a_snapshot_stays_as_it_was(tmp_path: Path) -> None:
    """What is committed meanwhile is seen afterwards, and writing goes on meanwhile."""
    count = "SELECT count(*) FROM names"
    with (
        closing(database.open_for_writing(tmp_path / "store.db")) as writer,
        closing(database.open_for_reading(tmp_path / "store.db")) as db,
    ):
        with database.snapshot(db):
            before = db.execute(count).fetchone()
            writer.execute("INSERT INTO names (name) VALUES ('new')")
            assert db.execute(count).fetchone() == before
        assert db.execute(count).fetchone() == (before[0] + 1,)


def test_a_file_that_is_no_store_cannot_be_read(tmp_path: Path) -> None:
    """A reader says so, and leaves it where it is."""
    path = tmp_path / "store.db"
    path.write_bytes(b"nothing of ours" * 100)
    with pytest.raises(StoreError, match=r"cannot read the store .*: file is not a database"):
        database.open_for_reading(path)
    assert path.read_bytes() == b"nothing of ours" * 100


# The lock

HOLD = """
import sys
from pathlib import Path
from tokentail import database
with database.locked(Path(sys.argv[1]), wait_s=0):
    print("held", flush=True)
    sys.stdin.read()
"""


def run_python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Another process with the same tokentail."""
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    words = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@contextmanager
def held_elsewhere(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process holds the store's lock, until it is told to end."""
    with run_python(HOLD, path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield holder
        holder.communicate()


def test_two_processes_take_turns(logs: Path, home: Path) -> None:
    """While another process holds the store we show what it has committed, and say so; afterwards we go on ourselves."""
    path = store_of(home, logs)
    with closing(coordinator(logs, path)) as first:
        first.check_for_updates()
        known = replies_in(first.db)
    with (logs / "-home-dev-app" / "s1.jsonl").open("ab") as log:
        log.write(line("msg_late"))
    with closing(coordinator(logs, path, wait_s=0.05)) as second:
        with held_elsewhere(path) as holder:
            update = second.check_for_updates()
            held = f"the store {path} is being written by process {holder.pid} (try again when it has finished)"
            assert update.degraded == [f"{held}; shown is what it had committed"]
            assert replies_in(second.db) == known
        update = second.check_for_updates()
        assert (update.degraded, [change.key for change in update.changes]) == ([], ["msg_late"])


def test_a_store_that_is_being_made_elsewhere_is_busy(logs: Path, home: Path) -> None:
    """With nothing to show yet, that another process is at work is the answer."""
    path = store_of(home, logs)
    with held_elsewhere(path), closing(coordinator(logs, path, wait_s=0.05)) as engine:
        with pytest.raises(StoreBusyError, match="is being written by process"):
            engine.check_for_updates()
        assert not path.exists()


def test_a_killed_holder_holds_nothing(logs: Path, home: Path) -> None:
    """The lock dies with its process, however that ends."""
    path = store_of(home, logs)
    with held_elsewhere(path) as holder:
        holder.kill()
        holder.wait()
        with closing(coordinator(logs, path)) as engine:
            assert engine.check_for_updates().degraded == []


def test_waiting_ends_when_the_lock_is_free(tmp_path: Path) -> None:
    """A lock that becomes free while we wait is ours."""
    path = tmp_path / "store.db"
    ticks = iter(range(1000))
    with held_elsewhere(path) as holder:

        def clock() -> float:
            # Time passes by itself; at the third look the other process ends.
            tick = next(ticks)
            if tick == 3:
                holder.communicate()
            return float(tick)

        with database.locked(path, wait_s=900, clock=clock):
            assert path.with_name("store.db.lock").read_text().split() == [str(os.getpid())]


# Crashes

KILLED = """
import os, signal, sys
from pathlib import Path
from tokentail import database, prices
from tokentail.parser import IncrementalParser
from tokentail.sources import LocalFolders
from tokentail.store import Store
from tokentail.tracker import FileTracker

source, path, statement, steps = LocalFolders([Path(sys.argv[1])]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
seen = 0

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def count(text):
    global seen
    seen += 1
    if seen == statement and steps:
        connection.set_progress_handler(die, steps)
    elif seen == statement or (seen > statement and steps):
        die()

with database.locked(path, wait_s=0):
    connection = database.open_for_writing(path)
    store = Store(connection, path, thresholds=prices.load().thresholds)
    tracker = FileTracker(source)
    tracker.restore(store.lives())
    connection.set_trace_callback(count)
    for change in tracker.check_changes():
        store.apply(list(IncrementalParser(source).parse_new_entries(change)))
print(seen)
"""


def statements_of_a_pass(logs: Path, store: Path) -> int:
    with run_python(KILLED, logs, store, 1_000_000, 0) as process:
        out, _ = process.communicate()
    return int(out)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.35, 0.6, 0.85, 0.97])
@pytest.mark.parametrize("steps", [0, 20])
def test_a_pass_that_is_killed_loses_and_doubles_nothing(
    logs: Path, home: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, share: float, steps: int
) -> None:
    """SIGKILL between any two statements of a pass, or within one: the next pass gives what one alone would have given."""
    path = store_of(home, logs)
    if share > 0.5:  # a second pass, onto what is there
        check_exact(logs, capsys)
        with (logs / "-home-dev-app" / "s2.jsonl").open("ab") as log:
            log.write(many_lines(30, first=400) + line("msg_3", output=999) + line("msg_4", requestId="req_new"))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    if path.exists():
        shutil.copy(path, scratch / "store.db")
    total = statements_of_a_pass(logs, scratch / "store.db")
    with run_python(KILLED, logs, path, max(round(total * share), 1), steps) as process:
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    check_exact(logs, capsys)


# Damage


def degraded_of(report: dict[str, object]) -> list[str]:
    notes = report["notes"]
    assert isinstance(notes, dict)
    return list(notes["degraded"])


def checkpointed(path: Path) -> bytes:
    """The store's bytes, with its write-ahead log written back."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path.read_bytes()


def without_degraded(report: dict[str, object]) -> dict[str, object]:
    notes = report["notes"]
    assert isinstance(notes, dict)
    return {**report, "notes": {**notes, "degraded": []}}


def check_recovered(logs: Path, home: Path, capsys: pytest.CaptureFixture[str], exact: dict[str, object], damaged: bytes | None) -> bool:
    """The report is exact; where the damage was met, it is said, and the damaged file stands aside. Gives whether it was met."""
    code, report, _ = daily(logs, capsys)
    assert (code, without_degraded(report)) == (0, exact)
    told = degraded_of(report)
    aside = list(home.glob("*.damaged-*Z"))
    if told:
        assert len(told) == 1
        assert told[0].startswith("the store was damaged (")
        assert str(aside[0]) in told[0]
        assert damaged is None or aside[0].read_bytes() == damaged
        assert stat.S_IMODE(store_of(home, logs).stat().st_mode) == 0o600
    assert bool(told) == bool(aside)
    assert daily(logs, capsys)[1] == exact
    return bool(told)


@pytest.mark.parametrize("growing", [False, True])
def test_any_page_may_be_lost(logs: Path, home: Path, capsys: pytest.CaptureFixture[str], growing: bool) -> None:
    """Whichever page of the store is wiped, a report is right: the damage is met by a pass or a query, and repaired, or does not matter."""
    daily(logs, capsys)
    path = store_of(home, logs)
    whole = checkpointed(path)
    if growing:
        with (logs / "-home-dev-app" / "s2.jsonl").open("ab") as log:
            log.write(many_lines(60, first=100) + line("msg_3", output=999) + line("msg_4", requestId="req_new"))
    exact = daily(logs, capsys, "--no-store")[1]
    page_bytes = int.from_bytes(whole[16:18], "big")
    met = 0
    for start in range(0, len(whole), page_bytes):
        shutil.rmtree(home)
        home.mkdir()
        damaged = whole[:start] + bytes(page_bytes) + whole[start + page_bytes :]
        path.write_bytes(damaged)
        met += check_recovered(logs, home, capsys, exact, None if growing else damaged)  # a pass may write before it meets the damage
    assert met >= 5


@pytest.mark.parametrize("length", [100, 512, 4096, 5000, 20_000])
def test_a_store_may_be_cut_short(logs: Path, home: Path, capsys: pytest.CaptureFixture[str], length: int) -> None:
    """A store that lost its end is replaced."""
    exact = daily(logs, capsys)[1]
    path = store_of(home, logs)
    damaged = checkpointed(path)[:length]
    path.write_bytes(damaged)
    assert check_recovered(logs, home, capsys, exact, damaged)


def test_a_store_may_be_rubbish(logs: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is no database at all is moved aside as it is."""
    exact = daily(logs, capsys)[1]
    rubbish = bytes(range(256)) * 64
    store_of(home, logs).write_bytes(rubbish)
    assert check_recovered(logs, home, capsys, exact, rubbish)


def test_a_store_has_its_name_until_another_one_has_it(tmp_path: Path) -> None:
    """However the exchange ends, there is a file where the store is looked for."""
    path, aside, fresh = (tmp_path / name for name in ("store.db", "store.db.damaged", "store.db.fresh"))
    path.write_bytes(b"damaged")
    with pytest.raises(StoreError, match="cannot put a new store in the place of the damaged one"):
        database.exchange(path, aside, fresh)  # there is no new one
    assert path.read_bytes() == aside.read_bytes() == b"damaged"
    aside.unlink()
    fresh.write_bytes(b"new")
    database.exchange(path, aside, fresh)
    assert (path.read_bytes(), aside.read_bytes(), fresh.exists()) == (b"new", b"damaged", False)


def test_an_exchange_where_no_file_has_two_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not every file system can do that: then the damaged one is renamed first."""

    def refuse(path: Path, target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    path, aside, fresh = (tmp_path / name for name in ("store.db", "store.db.damaged", "store.db.fresh"))
    path.write_bytes(b"damaged")
    fresh.write_bytes(b"new")
    database.exchange(path, aside, fresh)
    assert (path.read_bytes(), aside.read_bytes(), fresh.exists()) == (b"new", b"damaged", False)


def test_no_room_to_write_the_file_anew(tmp_path: Path) -> None:
    """What was deleted is deleted; that traces of it may be left is said, and what to do."""
    path = tmp_path / "store.db"
    with closing(database.open_for_writing(path)) as db:
        db.execute("BEGIN")  # within a transaction it cannot be done, as little as on a full disk
        with pytest.raises(
            StoreError, match=r"traces of it may still be in the store's file .*store\.db: .*then `tokentail rebuild --discard`"
        ):
            database.wipe(db, path)


@pytest.mark.parametrize("left", [b"", b"S"])
def test_an_empty_store_file_is_a_new_store(logs: Path, home: Path, capsys: pytest.CaptureFixture[str], left: bytes) -> None:
    """A crash may leave a file without a page; there is nothing in it to lose."""
    exact = daily(logs, capsys)[1]
    store_of(home, logs).write_bytes(left)
    assert not check_recovered(logs, home, capsys, exact, left)


def test_what_is_only_in_a_damaged_store_is_taken_over(logs: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Replies whose logs are gone survive a damaged summary: they are read from the rest of the file."""
    exact = daily(logs, capsys)[1]
    path = store_of(home, logs)
    whole = checkpointed(path)
    with closing(sqlite3.connect(path)) as db:
        root, page_bytes = db.execute("SELECT rootpage, page_size FROM sqlite_master, pragma_page_size WHERE name = 'days'").fetchone()
    shutil.rmtree(logs / "-home-dev-web")
    start = (root - 1) * page_bytes
    path.write_bytes(whole[:start] + bytes(page_bytes) + whole[start + page_bytes :])
    code, report, _ = daily(logs, capsys)
    assert (code, without_degraded(report)) == (0, exact)
    assert len(degraded_of(report)) == 1


def test_a_write_ahead_log_may_be_cut_anywhere(logs: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Commits that are lost with the end of the write-ahead log are lost with their cursors: the next pass reads them again."""
    path = store_of(home, logs)
    live = home / "live"
    with closing(coordinator(logs, path)) as engine:
        engine.check_for_updates()
        with (logs / "-home-dev-app" / "s2.jsonl").open("ab") as log:
            log.write(many_lines(40, first=500))
        engine.check_for_updates()
        shutil.copytree(home, live)
    exact = daily(logs, capsys)[1]
    log_bytes = (live / f"{path.name}-wal").read_bytes()
    frame = 24 + int.from_bytes(log_bytes[8:12], "big")
    for length in (0, 31, 32, 32 + frame, 32 + 3 * frame + 100, len(log_bytes) // 2, len(log_bytes) - 1):
        for each in home.glob(f"{path.name}*"):
            each.unlink()
        shutil.copy(live / path.name, path)
        path.with_name(f"{path.name}-wal").write_bytes(log_bytes[:length])
        assert daily(logs, capsys) == (0, exact, "")


@pytest.mark.parametrize("suffix", ["-shm", "-wal", ".lock"])
def test_the_files_beside_the_store_may_vanish(logs: Path, home: Path, capsys: pytest.CaptureFixture[str], suffix: str) -> None:
    """The index of the write-ahead log, that log itself and the lock file are made anew."""
    path = store_of(home, logs)
    kept = home / "kept"
    with closing(coordinator(logs, path)) as engine:
        engine.check_for_updates()
        shutil.copytree(home, kept)
    for each in home.glob(f"{path.name}*"):
        each.unlink()
    for each in kept.iterdir():
        if not each.name.endswith(suffix):
            shutil.copy(each, home / each.name)
    check_exact(logs, capsys)


# A full disk, a folder that cannot be written

LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
from tokentail.cli import main
sys.exit(main(sys.argv[2:]))
"""
# $1 a mount point, the rest a command that is run while a small file system stands there.
SMALL_DISK = (
    'mount -t tmpfs -o size=320k none "$1"; cp -r "$1".before/. "$1"; shift; "$@"; code=$?; cp -r "$TOKENTAIL_HOME" "$KEPT"; exit $code'
)
READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'


def may_mount() -> bool:
    """May an ordinary process mount a file system of its own here?"""
    if shutil.which("unshare") is None:
        return False
    probe = subprocess.run(["unshare", "-Urm", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
    return probe.returncode == 0


needs_mounts = pytest.mark.skipif(not may_mount(), reason="this machine lets nobody mount a file system of their own")


@pytest.mark.parametrize("limit", [0, 4096, 30_000, 60_000])
def test_no_room_for_the_store(logs: Path, home: Path, capsys: pytest.CaptureFixture[str], limit: int) -> None:
    """Where no byte more can be written, the message names the store and what to do, and the next run is exact."""
    words = [sys.executable, "-c", LIMITED, str(limit), "daily", "--source", str(logs)]
    done = subprocess.run(words, env={**os.environ, "PYTHONPATH": str(SRC)}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"tokentail: cannot write the store {store_of(home, logs)}: ")
    assert "free space or make the folder writable, set TOKENTAIL_HOME, or use --no-store" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    check_exact(logs, capsys)


@needs_mounts
@pytest.mark.parametrize("begun", [False, True])
def test_a_full_disk(logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], begun: bool) -> None:
    """On a real full disk, with and without a store on it already: nothing is half written, and nothing counted is lost."""
    disk, before, kept = tmp_path / "disk", tmp_path / "disk.before", tmp_path / "kept"
    disk.mkdir()
    before.mkdir()
    monkeypatch.setenv("TOKENTAIL_HOME", str(before / "home"))
    if begun:
        check_exact(logs, capsys)
    with (logs / "-home-dev-app" / "s1.jsonl").open("ab") as log:
        log.write(many_lines(3000, first=1000))
    environment = {**os.environ, "PYTHONPATH": str(SRC), "TOKENTAIL_HOME": str(disk / "home"), "KEPT": str(kept)}
    words = [sys.executable, "-m", "tokentail", "daily", "--source", str(logs)]
    command = ["unshare", "-Urm", "sh", "-c", SMALL_DISK, "sh", str(disk), *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"tokentail: cannot write the store {store_of(disk / 'home', logs)}: ")
    monkeypatch.setenv("TOKENTAIL_HOME", str(kept))
    with closing(sqlite3.connect(store_of(kept, logs))) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    check_exact(logs, capsys)


def check_refused(done: subprocess.CompletedProcess[str], path: Path) -> None:
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"tokentail: cannot write the store {path}: ")
    assert "make the folder writable, set TOKENTAIL_HOME, or use --no-store" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="a folder's permissions do not bind root; the read-only mount below is for root too")
def test_a_folder_without_permission(logs: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that may not be written is named, with what to do."""
    home.mkdir(mode=0o500)
    code, _, err = daily(logs, capsys)
    home.chmod(0o700)
    assert code == 1
    assert err.startswith(f"tokentail: cannot write the store {store_of(home, logs)}: ")
    check_exact(logs, capsys)


@needs_mounts
@pytest.mark.parametrize("begun", [False, True])
def test_a_read_only_disk(logs: Path, home: Path, capsys: pytest.CaptureFixture[str], begun: bool) -> None:
    """On a disk that cannot be written, with and without a store on it, the store is named and what to do."""
    home.mkdir()
    if begun:
        check_exact(logs, capsys)
    words = [sys.executable, "-m", "tokentail", "daily", "--source", str(logs)]
    command = ["unshare", "-Urm", "sh", "-c", READ_ONLY, "sh", str(home), *words]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(SRC)}, capture_output=True, text=True, check=False)
    check_refused(done, store_of(home, logs))
    check_exact(logs, capsys)


def test_a_home_that_is_a_file(logs: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file in the place of the folder is no crash."""
    home.write_bytes(b"")
    code, _, err = daily(logs, capsys)
    assert code == 1
    assert err.startswith(f"tokentail: cannot write the store {store_of(home, logs)}: ")


def test_the_store_is_what_the_logs_say(logs: Path, home: Path) -> None:
    """What all these tests compare with: the replies of a fresh store are those of an independent count."""
    with closing(coordinator(logs, store_of(home, logs))) as engine:
        engine.check_for_updates()
        counted = recount(LocalFolders([logs]))
        assert {key: reply._replace(flags=0) for key, reply in replies_in(engine.db).items()} == {
            reply.key: reply._replace(flags=0) for reply in counted.replies
        }


def test_opened_once_more_a_store_stays_open(tmp_path: Path) -> None:
    """Another connection of this process loses none of its locks: the next process that closes the store leaves its log in place."""
    path = tmp_path / "store.db"
    with closing(database.open_for_writing(path)) as first:
        first.execute("INSERT INTO meta (name, value) VALUES ('a', '1')")
        database.open_for_writing(path).close()
        ask = (
            f"import sqlite3; db = sqlite3.connect({str(path)!r}); print(db.execute('SELECT count(*) FROM meta').fetchone()[0]); db.close()"
        )
        before = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout
        first.execute("INSERT INTO meta (name, value) VALUES ('b', '1')")
        after = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout
        assert int(after) == int(before) + 1
