"""Tests of `tokentail rebuild`: `renewal` and `carryover`, with real logs, real stores and processes that are killed."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import tokentail
from builders import OWNER, SCHEMA, coordinator, days_in, hours_in, line, many_lines, record, replies_in, summary_in, write_logs
from logs import CountingFolders
from tokentail import carryover, database, prices, queries, renewal
from tokentail.cli import main
from tokentail.coordinator import UpdateCoordinator
from tokentail.errors import StoreBusyError, StoreError
from tokentail.model import Reply
from tokentail.recount import recount
from tokentail.renewal import Renewed
from tokentail.sources import LocalFolders
from tokentail.store import Store
from tokentail.verify import Verdict, verify

SRC = Path(tokentail.__file__).parents[1]
MAIN, SECOND, THIRD = "-home-dev-app/s1.jsonl", "-home-dev-app/s2.jsonl", "-home-dev-web/s3.jsonl"
SPENT = {"input_tokens": 1, "output_tokens": 2, "iterations": [{"type": "compaction", "input_tokens": 9}]}


class Place:
    """Logs and their store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shared = line("msg_200", requestId="req_other", output=77) + line("msg_201", requestId=None, sessionId="s0")
        files = {MAIN: many_lines(40), SECOND: many_lines(5) + line("msg_x", usage=SPENT), THIRD: many_lines(20, first=200) + shared}
        self.logs = write_logs(folder / "logs", files)
        self.home = folder / "home"
        self.store = database.store_path(self.home, [self.logs])

    def look(self) -> dict[str, Reply]:
        """The replies after one pass."""
        with closing(coordinator(self.logs, self.store)) as engine:
            engine.check_for_updates()
            return replies_in(engine.db)

    def rebuild(self, *, keeps_old: bool = True) -> Renewed:
        with closing(coordinator(self.logs, self.store)) as engine:
            return engine.rebuild(keeps_old=keeps_old)[0]

    def verdict(self) -> Verdict:
        with closing(coordinator(self.logs, self.store)) as engine:
            engine.check_for_updates()
            return verify(engine.db, recount(LocalFolders([self.logs])))

    def tamper(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.store, isolation_level=None)) as db:
            for statement in statements:
                db.execute(statement)

    @property
    def files(self) -> set[str]:
        """What stands beside the store, without its name."""
        return {path.name.removeprefix(self.store.name) for path in self.home.iterdir()}

    @property
    def kept(self) -> Path:
        (path,) = self.home.glob("*.before-rebuild-*")
        return path


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.look()
    return made


def everything(path: Path) -> list[object]:
    """All that a store says, in words."""
    with closing(database.open_for_reading(path)) as db:
        folders, malformed = queries.project_folders(db), queries.malformed_lines(db)
        return [replies_in(db), summary_in(db), hours_in(db), days_in(db), folders, malformed, sighted(db)]


def sighted(db: sqlite3.Connection) -> list[tuple[object, ...]]:
    """Path, state, cursor, number of malformed and of named lines, and of those with usage, of every life."""
    query = """
        SELECT path, state, offset_bytes, malformed_lines, (SELECT count(*) FROM rejects WHERE file = files.id),
            ifnull(sum(length(records)) / 4, 0) FROM files
        LEFT JOIN sightings ON file = files.id GROUP BY files.id ORDER BY 1, 2, 3, 6"""
    assert db.execute("SELECT count(*) FROM sightings WHERE file NOT IN (SELECT id FROM files)").fetchone() == (0,)
    return db.execute(query).fetchall()


# A sound store


def test_a_sound_store_is_the_same_afterwards(place: Place) -> None:
    """Every reply, every sum, every life of a file; and the old one stands beside it, whole and for its owner alone."""
    before = everything(place.store)
    renewed = place.rebuild()
    assert renewed == Renewed(62, 0, [], place.kept)
    assert everything(place.store) == everything(place.kept) == before
    assert place.verdict() == Verdict(62, 62, 0, 0, [])
    assert place.files == {"", ".lock", place.kept.name.removeprefix(place.store.name)}
    assert {stat.S_IMODE(path.stat().st_mode) for path in place.home.iterdir()} == {0o600}


def test_what_other_machines_sent_is_taken_over(place: Place) -> None:
    """Records of no log here stay of no log, with whose they are and what their projects are called."""
    theirs = record("msg_theirs", owner=OWNER._replace(project="-home-ben-app", user="ben", host="laptop"))
    with closing(coordinator(place.logs, place.store)) as engine:
        engine.change_store(lambda store: store.take([theirs], [("-home-ben-app", 5, "/home/ben/app")]))
    before = everything(place.store)
    assert place.rebuild()[:3] == (63, 1, [])
    assert everything(place.store) == before
    assert place.verdict() == Verdict(62, 63, 0, 0, [], only_elsewhere=1)


def test_the_old_one_may_go(place: Place) -> None:
    """Who says so keeps no copy."""
    assert place.rebuild(keeps_old=False).aside is None
    assert place.files == {"", ".lock"}


def test_a_store_that_is_not_there_is_made(tmp_path: Path) -> None:
    """There is nothing to take over."""
    place = Place(tmp_path)
    assert place.rebuild()[:3] == (62, 0, [])
    assert place.verdict() == Verdict(62, 62, 0, 0, [])


def test_a_store_without_logs(place: Place) -> None:
    """When all logs are gone, all of it is taken over."""
    shutil.rmtree(place.logs / "-home-dev-app")
    shutil.rmtree(place.logs / "-home-dev-web")
    place.look()
    before = everything(place.store)
    assert place.rebuild()[:3] == (62, 63, [])
    assert everything(place.store) == before
    assert place.verdict() == Verdict(0, 62, 62, 0, [])


def test_passes_changes_and_settings_are_taken_over(place: Place) -> None:
    """What is not made from logs is copied, and changes go on being numbered where they stood."""
    place.tamper("INSERT INTO meta VALUES ('colour', 'blue')", "INSERT INTO changes (seq, event, key) VALUES (700, 'grown', 'msg_1')")
    with closing(database.open_for_reading(place.store)) as db:
        passes, numbered = queries.passes(db, 9), db.execute("SELECT * FROM sqlite_sequence ORDER BY name").fetchall()
    place.rebuild()
    with closing(database.open_for_reading(place.store)) as db:
        assert queries.passes(db, 9) == passes != []
        assert db.execute("SELECT value FROM meta WHERE name = 'colour'").fetchone() == ("blue",)
        assert db.execute("SELECT seq, event, key FROM changes").fetchall() == [(700, "grown", "msg_1")]
        assert queries.latest_change(db) == 700
        assert db.execute("SELECT * FROM sqlite_sequence ORDER BY name").fetchall() == numbered


def test_every_table_is_made_or_copied() -> None:
    """Who adds a table says what a rebuild does with it."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(SCHEMA)
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")}
    assert tables == {*carryover.DERIVED, *carryover.COPIED}
    assert len(tables) == len(carryover.DERIVED) + len(carryover.COPIED)


# What the logs no longer hold


def removed(place: Place) -> None:
    (place.logs / MAIN).unlink()


def rewritten(place: Place) -> None:
    (place.logs / MAIN).write_bytes(b"".join(many_lines(40).splitlines(keepends=True)[25:]) + b'{"usage" oops\n')


def rewritten_and_removed(place: Place) -> None:
    rewritten(place)
    place.look()
    removed(place)


def cut_short(place: Place) -> None:
    os.truncate(place.logs / MAIN, len(many_lines(30)) + 9)


def removed_with_a_greater_copy(place: Place) -> None:
    write_logs(place.logs, {"-home-dev-app/s9.jsonl": line("msg_7", output=5000, sessionId="s0", timestamp="2025-01-01T00:00:00.000Z")})
    place.look()
    (place.logs / "-home-dev-app/s9.jsonl").unlink()


def removed_with_another_request(place: Place) -> None:
    write_logs(place.logs, {"-home-dev-app/s9.jsonl": line("msg_7", requestId="req_7") + line("msg_8", requestId=None)})
    place.look()
    (place.logs / "-home-dev-app/s9.jsonl").unlink()


def parent_removed(place: Place) -> None:
    parent, replay = line("msg_p", output=3), line("msg_p", output=900, requestId="req_side", isSidechain=True)
    write_logs(place.logs, {"-home-dev-app/s8.jsonl": parent, "-home-dev-app/agent-a1.jsonl": replay})
    place.look()
    (place.logs / "-home-dev-app/s8.jsonl").unlink()


def unfinished(place: Place) -> None:
    with (place.logs / MAIN).open("ab") as log:
        log.write(line("msg_u")[:-1])


@pytest.mark.parametrize(
    "happen",
    [
        removed,
        rewritten,
        rewritten_and_removed,
        cut_short,
        removed_with_a_greater_copy,
        removed_with_another_request,
        parent_removed,
        unfinished,
    ],
)
def test_what_was_counted_stays_counted(place: Place, happen: Callable[[Place], None]) -> None:
    """Whatever became of the logs, the new store says all that the old one said, of lives and lines, too, and `verify` agrees."""
    happen(place)
    place.look()
    before, verdict = everything(place.store), place.verdict()
    assert verdict.differences == []
    assert place.rebuild().corrected == []
    assert everything(place.store) == before
    assert place.verdict() == verdict
    place.rebuild()  # and what was taken over once is taken over again
    assert everything(place.store) == before


def test_a_log_that_comes_back(place: Place) -> None:
    """A file that was gone goes on where it was read to, and nothing is counted twice."""
    data = (place.logs / MAIN).read_bytes()
    (place.logs / MAIN).rename(place.folder / "away")
    before = place.look()
    place.rebuild()
    (place.folder / "away").rename(place.logs / MAIN)
    with (place.logs / MAIN).open("ab") as log:
        log.write(line("msg_new"))
    assert place.look().keys() == {*before, "msg_new"}
    assert place.verdict() == Verdict(63, 63, 0, 0, [])
    assert data in (place.logs / MAIN).read_bytes()


def test_a_log_that_cannot_be_read_just_now(place: Place) -> None:
    """Its replies and its cursor are taken over; the file is named, and read on when it can be."""
    before = everything(place.store)
    source = CountingFolders([place.logs])
    source.unreadable[str(place.logs / MAIN)] = PermissionError(13, "Permission denied")
    with closing(UpdateCoordinator(source, place.store, prices=prices.load())) as engine:
        renewed, update = engine.rebuild()
    assert [tuple(problem) for problem in update.problems] == [(str(place.logs / MAIN), "Permission denied")]
    assert renewed[:3] == (62, 40, [])
    assert everything(place.store) == before
    with (place.logs / MAIN).open("ab") as log:
        log.write(line("msg_new"))
    with closing(coordinator(place.logs, place.store)) as engine:
        metrics = engine.check_for_updates().metrics
        assert (metrics.files_read, metrics.entries_parsed) == (1, 1)
    assert place.verdict() == Verdict(63, 63, 0, 0, [])


def test_a_log_that_is_replaced_just_then(place: Place) -> None:
    """What stood in it a moment ago is taken over, as lines that a rewrite removed."""

    def replace(step: str) -> None:
        if step == "Reading the logs" and not (place.folder / "away").exists():
            (place.logs / MAIN).rename(place.folder / "away")
            write_logs(place.logs, {MAIN: line("msg_new")})

    with closing(coordinator(place.logs, place.store)) as engine:
        assert engine.rebuild(tell=replace)[0][:3] == (63, 40, [])
        assert [row[1] for row in sighted(engine.db) if row[0] == str(place.logs / MAIN)] == ["live", "rewritten"]
    assert place.verdict() == Verdict(28, 63, 0, 35, [])


# A store that is wrong


@pytest.fixture
def home(place: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The same, where the command line finds it."""
    monkeypatch.setenv("TOKENTAIL_HOME", str(place.home))
    monkeypatch.setenv("TOKENTAIL_CONFIG", str(place.folder / "config.toml"))
    return place


WRONG = (
    "UPDATE replies SET output = output + 1000 WHERE key = 'msg_7'",
    "UPDATE replies SET owner = (SELECT max(id) FROM owners) WHERE key = 'msg_9'",
    "UPDATE quarters SET output = 1",
    "DELETE FROM days",
)


def test_the_command_puts_a_wrong_store_right(home: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Where all logs of a reply stand, they say what it counts; it is named, and followers hear of it."""
    removed_with_a_greater_copy(home)
    home.look()
    with closing(coordinator(home.logs, home.store)) as follower:
        follower.check_for_updates()
        home.tamper(*WRONG)
        assert home.verdict().differences != []
        capsys.readouterr()
        assert main(["rebuild", "--source", str(home.logs)]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        assert out == (
            "The store was made anew from 3 logs: it holds 62 replies.\n"
            "  1 records were taken over from the old one: some of their lines stand in no log any more.\n"
            "  1 replies were put right, which the logs give in another way: msg_9\n"
            f"The old one is kept: {home.kept} (delete it when you are content)\n"
        )
        assert [(change.event, change.key) for change in follower.check_for_updates().changes] == [("corrected", "msg_9")]
    assert home.verdict() == Verdict(62, 62, 0, 0, [])


def test_a_reply_that_no_log_gives_is_kept(place: Place) -> None:
    """What was counted stays counted; from now on it counts as one whose log is gone."""
    made_up = """INSERT INTO replies SELECT 9999, 'msg_made_up', request_id, sidechain, at_ms, model, version, input, output, cache_read,
        cache_write_5m, cache_write_1h, thinking, form, flags, stopped, final, web_searches, owner, tier FROM replies WHERE key = 'msg_7'"""
    place.tamper(made_up, "UPDATE replies SET key = 'msg_renamed' WHERE key = 'msg_39'")
    assert place.rebuild()[:3] == (64, 2, [])
    assert place.look().keys() >= {"msg_made_up", "msg_renamed", "msg_39"}
    assert place.verdict() == Verdict(62, 64, 2, 0, [])


def test_a_reply_that_was_missing_is_told(place: Place) -> None:
    """Who follows hears of what the old store lacked."""
    with closing(coordinator(place.logs, place.store)) as follower:
        follower.check_for_updates()
        place.tamper("DELETE FROM replies WHERE key = 'msg_7'")
        place.rebuild()
        assert [(change.event, change.key) for change in follower.check_for_updates().changes] == [("new", "msg_7")]


def test_a_damaged_store_is_saved_first(place: Place) -> None:
    """What can still be read of it is the old store that the new one takes over from; that is said."""
    (place.logs / MAIN).unlink()
    before = place.look()
    place.tamper("PRAGMA wal_checkpoint(TRUNCATE)")
    with closing(sqlite3.connect(place.store)) as db:
        root, page_bytes = db.execute("SELECT rootpage, page_size FROM sqlite_master, pragma_page_size WHERE name = 'sightings'").fetchone()
    with place.store.open("r+b") as file:
        file.seek((root - 1) * page_bytes)
        file.write(bytes(page_bytes))
    with closing(coordinator(place.logs, place.store)) as engine:
        _, update = engine.rebuild()
    assert [reason.partition("(")[0] for reason in update.degraded] == ["the store was damaged "]
    assert place.look().keys() == before.keys()
    assert place.verdict().differences == []


def test_a_new_store_that_would_count_less_is_refused(place: Place) -> None:
    """When nothing explains why, the old one stays as it is."""
    (place.logs / MAIN).unlink()
    before = place.look()
    less = "UPDATE replies SET output = 0 WHERE id = NEW.id AND key = 'msg_30'"
    lessen = f"CREATE TEMP TRIGGER less AFTER INSERT ON main.replies BEGIN {less}; END"

    def opened(path: Path) -> Store:
        return Store(database.open_for_writing(path), path, thresholds=prices.load().thresholds)

    with closing(opened(place.store)) as old, pytest.raises(StoreError, match=r"of 1 replies the new one would count less.*\(msg_30\)"):
        renewal.renew(
            *(old, opened, lambda new: new.connection.execute(lessen) and None),
            origin=place.folder / "origin",
            keeps_old=True,
            by_other_rules=False,
            tell=lambda _: None,
        )
    assert place.look() == before
    assert place.files == {"", ".lock"}


def test_what_was_forgotten_stays_forgotten(home: Place) -> None:
    """It is taken over before the logs are read."""
    assert main(["forget", "--source", str(home.logs), "--yes", "--project=-home-dev-app", "--until", "2026-01-03"]) == 0
    assert "msg_7" not in home.look()
    before = everything(home.store)
    home.rebuild()
    assert everything(home.store) == before


# Other rules


def test_a_store_of_other_rules_is_made_anew(place: Place) -> None:
    """What is in the logs is counted by today's rules, the rest stays as it was; the old store is kept, and it is said."""
    (place.logs / MAIN).unlink()
    place.look()
    before, verdict = everything(place.store), place.verdict()
    place.tamper("UPDATE meta SET value = '0' WHERE name = 'rules_version'", "UPDATE replies SET output = 1 WHERE key = 'msg_210'")
    with closing(coordinator(place.logs, place.store)) as engine:
        update = engine.check_for_updates()
        kept = 35  # msg_0 to msg_4 stand in another log, too
        assert update.degraded == [
            f"the counting rules have changed: all logs were read again, and {kept} records kept whose logs are gone"
        ]
        assert [(change.event, change.key) for change in update.changes] == [("corrected", "msg_210")]
        assert engine.check_for_updates().degraded == []
    assert everything(place.store)[:-1] == before[:-1]
    assert place.verdict() == verdict
    assert len(list(place.home.glob("*.old-rules-*"))) == 1


# Others at work


def test_a_reader_sees_the_old_store_and_then_the_new_one(place: Place) -> None:
    """A connection that was open before reads the old one to the end of its transaction, and then the new one, without opening it again."""
    place.tamper("UPDATE replies SET output = 4321 WHERE key = 'msg_7'")
    with closing(database.open_for_reading(place.store)) as reader:
        reader.execute("BEGIN")
        before = replies_in(reader)
        place.rebuild()
        assert replies_in(reader) == before
        assert before["msg_7"].tokens.output == 4321
        reader.execute("COMMIT")
        assert replies_in(reader)["msg_7"].tokens.output == 8
        assert reader.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_screen_goes_on_with_the_new_store(place: Place) -> None:
    """Who was following hears nothing of what is as it was, and ingests into the new store as into the old one."""
    with closing(coordinator(place.logs, place.store)) as live:
        live.check_for_updates()
        place.rebuild()
        assert live.check_for_updates().changes == []
        with (place.logs / MAIN).open("ab") as log:
            log.write(line("msg_new"))
        assert [change.key for change in live.check_for_updates().changes] == ["msg_new"]
        place.rebuild()
        (place.logs / MAIN).unlink()
        assert live.check_for_updates().changes == []
    assert place.verdict().differences == []
    assert place.look().keys() >= {"msg_new"}


def test_a_screen_goes_on_when_another_process_has_replaced_a_damaged_store(place: Place) -> None:
    """It does not write to the file that was moved aside."""
    with closing(coordinator(place.logs, place.store)) as live:
        live.check_for_updates()
        aside = place.store.rename(place.folder / "aside")
        for end in ("-wal", "-shm"):
            place.store.with_name(place.store.name + end).unlink(missing_ok=True)
        place.look()
        data = aside.read_bytes()
        with (place.logs / MAIN).open("ab") as log:
            log.write(line("msg_new"))
        live.check_for_updates()
        assert "msg_new" in replies_in_file(place.store)
    assert aside.read_bytes() == data


def test_a_busy_store_is_left_alone(home: Place) -> None:
    """While another process reads logs into it, the command waits, and then ends and names the process."""
    engine = coordinator(home.logs, home.store, wait_s=0.01)
    says = rf"is being written by process {os.getpid()} \(try again when it has finished\)"
    with closing(engine), database.locked(home.store, wait_s=0), pytest.raises(StoreBusyError, match=says):
        engine.rebuild()
    assert home.files == {"", ".lock"}


# Killed, interrupted, no room

KILLED = """
import os, signal, sqlite3, sys
from pathlib import Path
from tokentail import prices, renewal
from tokentail.coordinator import UpdateCoordinator
from tokentail.sources import LocalFolders

logs, store, last = LocalFolders([Path(sys.argv[1])]), Path(sys.argv[2]), int(sys.argv[3])
renewal.STEP_PAGES = 2  # so that there are many moments within a copy
count = 0

def step(*_):
    global count
    count += 1
    if count == last:
        os.kill(os.getpid(), signal.SIGKILL)

def traced(*words, connect=sqlite3.connect, **more):
    connection = connect(*words, **more)
    connection.set_trace_callback(step)
    return connection

sqlite3.connect = traced  # every statement of every connection ...
sys.addaudithook(lambda event, _: step() if event in ("os.rename", "os.remove") else None)  # and every change to a folder
UpdateCoordinator(logs, store, prices=prices.load()).rebuild(tell=step)
print(count)
"""


def rebuild_elsewhere(place: Place, last: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    words = [sys.executable, "-c", KILLED, str(place.logs), str(place.store), str(last)]
    return subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.fixture(name="moments", scope="module")
def fixture_moments(tmp_path_factory: pytest.TempPathFactory) -> int:
    """In how many moments a rebuild can be killed."""
    place = Place(tmp_path_factory.mktemp("moments"))
    place.look()
    spoil(place)
    with rebuild_elsewhere(place, 0) as process:
        out, _ = process.communicate()
    return int(out)


def spoil(place: Place) -> None:
    """Something to take over, something to put right, something that was forgotten."""
    (place.logs / MAIN).unlink()
    with closing(coordinator(place.logs, place.store)) as engine:
        engine.check_for_updates()
    place.tamper("UPDATE replies SET output = 4321 WHERE key = 'msg_210'")


@pytest.mark.parametrize("share", [*(number / 20 for number in range(1, 20)), 0.975, 0.985, 0.99, 0.993, 0.996, 0.998, 1.0])
def test_a_rebuild_that_is_killed_has_changed_nothing_or_everything(place: Place, moments: int, share: float) -> None:
    """SIGKILL at any moment: the old store or the new one, whole, with all that no log holds; the next rebuild leaves nothing behind."""
    spoil(place)
    before = replies_in_file(place.store)
    after = {**before, "msg_210": before["msg_210"]._replace(tokens=before["msg_210"].tokens._replace(output=211))}
    with rebuild_elsewhere(place, round(moments * share)) as process:
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    with closing(sqlite3.connect(place.store)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    found = replies_in_file(place.store)
    assert found in (before, after)
    with closing(coordinator(place.logs, place.store)) as engine:
        assert engine.check_for_updates().degraded == []
        assert replies_in(engine.db) == found
        engine.rebuild(keeps_old=False)
        assert replies_in(engine.db) == after
    assert {end for end in place.files if not end.startswith(".before-rebuild-")} == {"", ".lock"}
    for copy in place.home.glob("*.before-rebuild-*"):
        assert replies_in_file(copy) == before
    assert place.verdict() == Verdict(27, 62, 35, 0, [])


def replies_in_file(path: Path) -> dict[str, Reply]:
    with closing(database.open_for_reading(path)) as db:
        return replies_in(db)


def steps_of(place: Place) -> list[str]:
    told: list[str] = []
    with closing(coordinator(place.logs, place.store)) as engine:
        engine.rebuild(keeps_old=False, tell=told.append)
    return list(dict.fromkeys(told))


def test_ctrl_c_at_any_step(place: Place) -> None:
    """Whoever loses patience has lost nothing else, and nothing half made is left."""
    before = everything(place.store)
    steps = steps_of(place)
    assert len(steps) == 4
    for step in steps:

        def interrupt(told: str, step: str = step) -> None:
            if told == step:
                raise KeyboardInterrupt

        with closing(coordinator(place.logs, place.store)) as engine:
            with pytest.raises(KeyboardInterrupt):
                engine.rebuild(keeps_old=False, tell=interrupt)
            engine.check_for_updates()
        assert place.files == {"", ".lock"}
        assert everything(place.store) == before


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
from tokentail.cli import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_no_room(home: Place, share: float) -> None:
    """Where the new store finds no room, the old one stays as it is, and the message says what to do."""
    before = everything(home.store)
    limit = int(home.store.stat().st_size * share)
    words = [sys.executable, "-c", LIMITED, str(limit), "rebuild", "--source", str(home.logs)]
    done = subprocess.run(words, env={**os.environ, "PYTHONPATH": str(SRC)}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"tokentail: cannot write the store {home.store}")
    assert "free space or make the folder writable" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert home.files - {"-wal", "-shm"} == {"", ".lock"}
    assert everything(home.store) == before


def test_leftovers_are_removed(home: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """What a killed process left half made is no store, and goes."""
    for end in (".fresh", ".fresh-wal", ".fresh-shm", ".part", ".part-journal"):
        home.store.with_name(home.store.name + end).write_bytes(b"half made")
    assert main(["rebuild", "--source", str(home.logs), "--discard"]) == 0
    assert capsys.readouterr().out == "The store was made anew from 3 logs: it holds 62 replies.\n"
    assert home.files == {"", ".lock"}


def test_a_store_of_another_page_size(place: Place) -> None:
    """The new one has the same, or its pages could not be put in the place of the old ones."""
    place.tamper("PRAGMA journal_mode = DELETE", "PRAGMA page_size = 1024", "VACUUM")
    before = everything(place.store)
    place.rebuild()
    assert everything(place.store) == before
