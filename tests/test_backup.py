"""Tests of `tokentail.backup`: a copy is the store at one moment, opens as a store, and harms neither the store nor what is there."""

from __future__ import annotations

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

from builders import coordinator, hours_in, hours_of, line, many_lines, replies_in, write_logs
from tokentail import database, prices
from tokentail.backup import back_up
from tokentail.cli import main
from tokentail.database import SCHEMA_VERSION
from tokentail.errors import StoreError, TokentailError, UsageError
from tokentail.recount import recount
from tokentail.sources import LocalFolders
from tokentail.verify import verify

TESTS = Path(__file__).resolve().parent
LOG = "-home-dev-app/s1.jsonl"
DEADLINE_S = 30.0
# A process that commits as fast as it can, until it is killed; it says when it begins.
BUSY_WRITER = """
import itertools, sys
from pathlib import Path
from builders import after, chunk, record, usage
from tokentail import database, prices
from tokentail.store import Store
path = Path(sys.argv[1])
store = Store(database.open_for_writing(path), path, thresholds=prices.load().thresholds)
first = chunk(record("msg_0"))
(life,) = store.apply([first]).lives
print("on", flush=True)
for number in itertools.count(1):
    (life,) = store.apply([after(first, life, *(record(f"msg_{number}_{each}", usage=usage(each)) for each in range(20)))]).lives
"""
# Sends itself a signal in the moment in which the copy begins to be written.
ENDED_IN_THE_MIDDLE = """
import os, sys
number = int(sys.argv[1])
sys.addaudithook(lambda event, said: event == "sqlite3.connect" and str(said[0]).endswith(".part") and os.kill(os.getpid(), number))
from tokentail.cli import main
sys.exit(main(sys.argv[2:]))
"""
# Somebody else commits in that moment.
COMMITTED_IN_THE_MIDDLE = """
import sqlite3, sys
other = sqlite3.connect(sys.argv[1], isolation_level=None)
def hook(event, said):
    if event == "sqlite3.connect" and str(said[0]).endswith(".part"):
        other.execute("DELETE FROM replies WHERE key = 'msg_7'")
sys.addaudithook(hook)
from tokentail.cli import main
sys.exit(main(sys.argv[2:]))
"""
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
from tokentail.cli import main
sys.exit(main(sys.argv[2:]))
"""


class Kept:
    """A home folder with logs in the usual place, and their store."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.logs = write_logs(self.home / ".claude" / "projects", {LOG: many_lines(200)})
        self.store = folder / "kept" / "store.db"
        self.copies = folder / "copies"
        self.copies.mkdir()
        self.copy = self.copies / "copy.db"
        self.environment = {
            **os.environ,
            "HOME": str(self.home),
            "TOKENTAIL_HOME": str(self.store.parent),
            "PYTHONPATH": os.pathsep.join((str(TESTS.parent / "src"), str(TESTS))),
            "TZ": "UTC",
        }
        self.catch_up()

    def catch_up(self) -> None:
        with closing(coordinator(self.logs, self.store)) as engine:
            engine.check_for_updates()

    def append(self, data: bytes) -> None:
        with (self.logs / LOG).open("ab") as log:
            log.write(data)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *words], env=self.environment, capture_output=True, text=True, timeout=DEADLINE_S, check=False
        )

    @contextmanager
    def beside(self, *words: str, until: str) -> Iterator[subprocess.Popen[str]]:
        """A process that has said a word, and is killed in the end."""
        process = subprocess.Popen(
            [sys.executable, *words], env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == until
            yield process
            assert process.poll() is None
        finally:
            process.kill()
            process.communicate()


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def opened(path: Path) -> sqlite3.Connection:
    """A copy, opened in a way in which not even SQLite could change it."""
    return sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)


def check_consistent(copy: Path) -> int:
    """The copy is of one moment: its pages are sound and its sums are those of its replies. Gives how many these are."""
    with closing(opened(copy)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        replies = replies_in(db)
        assert hours_in(db) == hours_of(replies.values(), prices.load().thresholds)
        return len(replies)


# What a copy is


def test_a_copy_is_the_store(kept: Kept) -> None:
    """Every row of every table, in one file for its owner alone, with nothing left beside it."""
    made = back_up(kept.store, kept.copy, overwrite=False)
    with closing(sqlite3.connect(kept.store)) as store, closing(opened(kept.copy)) as copy:
        assert list(copy.iterdump()) == list(store.iterdump())
        assert copy.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    assert made == (kept.copy.stat().st_size, 200)
    assert stat.S_IMODE(kept.copy.stat().st_mode) == 0o600
    assert list(kept.copies.iterdir()) == [kept.copy]


def test_what_is_only_in_the_log_is_copied(kept: Kept) -> None:
    """What was committed last stands in the write-ahead log, and in the copy."""
    with closing(coordinator(kept.logs, kept.store)) as engine:
        kept.append(line("msg_new"))
        engine.check_for_updates()
        assert kept.store.with_name("store.db-wal").stat().st_size > 0
        assert back_up(kept.store, kept.copy, overwrite=False).replies == 201


def test_what_is_committed_meanwhile_is_not_copied(kept: Kept) -> None:
    """The copy is the store as it was when it began."""
    ran = kept.run("-c", COMMITTED_IN_THE_MIDDLE, str(kept.store), "backup", str(kept.copy))
    assert (ran.returncode, ran.stderr) == (0, "")
    with closing(database.open_for_reading(kept.store)) as db:
        assert len(replies_in(db)) == 199
    assert check_consistent(kept.copy) == 200


def test_copies_beside_a_busy_writer(kept: Kept) -> None:
    """However fast somebody writes, a copy comes to its end, and is of one moment."""
    store = kept.store.with_name("busy.db")
    with kept.beside("-c", BUSY_WRITER, str(store), until="on\n"):
        sizes = [back_up(store, kept.copies / f"{number}.db", overwrite=False).replies for number in range(8)]
    assert [check_consistent(kept.copies / f"{number}.db") for number in range(8)] == sizes
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_copies_beside_a_follower(kept: Kept, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Copies that are made while another process follows the logs open as stores, and their verdict is that they agree."""
    for name in ("HOME", "TOKENTAIL_HOME"):
        monkeypatch.setenv(name, kept.environment[name])
    with kept.beside("-m", "tokentail", "feed", "--json", until="ready\n") as follower:
        assert follower.stdout is not None
        for number in range(4):
            kept.append(b"".join(line(f"msg_{number}_{each}") for each in range(50)))
            assert follower.stdout.readline()  # it has committed some of them
            assert main(["backup", str(kept.copies / f"{number}.db")]) == 0
            assert "The store was copied to" in capsys.readouterr().out
    for number in range(4):
        check_consistent(kept.copies / f"{number}.db")
        home = kept.copies / f"home-{number}"
        home.mkdir()
        (kept.copies / f"{number}.db").rename(home / "store.db")
        monkeypatch.setenv("TOKENTAIL_HOME", str(home))
        assert main(["verify"]) == 0
        assert "The store and the logs agree." in capsys.readouterr().out


def test_an_older_copy_catches_up(kept: Kept) -> None:
    """Put in the store's place it reads what is new since then, once, also where a log was replaced meanwhile (S51)."""
    replaced = kept.logs / "-home-dev-web" / "s2.jsonl"
    write_logs(kept.logs, {"-home-dev-web/s2.jsonl": many_lines(20, first=1000)})
    kept.catch_up()
    back_up(kept.store, kept.copy, overwrite=False)
    kept.append(many_lines(50, first=200) + line("msg_0", output=999))
    replaced.write_bytes(many_lines(30, first=2000))
    kept.catch_up()
    for each in kept.store.parent.iterdir():
        each.unlink()
    shutil.copy(kept.copy, kept.store)
    for _ in range(2):
        kept.catch_up()
        counted = recount(LocalFolders([kept.logs]))
        with closing(database.open_for_reading(kept.store)) as db:
            assert verify(db, counted).agrees
            replies = replies_in(db)
        assert {reply.key for reply in counted.replies} == {f"msg_{number}" for number in (*range(250), *range(2000, 2030))}
        assert len(replies) == 250 + 20 + 30
        assert replies["msg_0"].tokens.output == 999


# What it refuses


def test_it_replaces_a_file_only_with_force(kept: Kept) -> None:
    """A copy that was asked for by mistake does not cost the one before."""
    kept.copy.write_bytes(b"another one")
    with pytest.raises(TokentailError, match="replace it with --force"):
        back_up(kept.store, kept.copy, overwrite=False)
    assert kept.copy.read_bytes() == b"another one"
    back_up(kept.store, kept.copy, overwrite=True)
    assert check_consistent(kept.copy) == 200


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm", ".lock"])
def test_the_store_is_no_target(kept: Kept, suffix: str) -> None:
    """Nor is a file that belongs to it, whether it is there or not."""
    before = kept.store.read_bytes()
    with pytest.raises(UsageError, match="that is the store itself"):
        back_up(kept.store, kept.store.with_name(f"store.db{suffix}"), overwrite=True)
    assert kept.store.read_bytes() == before


def test_the_store_by_another_name_is_no_target(kept: Kept) -> None:
    """Neither through a link of either kind."""
    hard, soft = kept.copies / "hard.db", kept.copies / "soft.db"
    hard.hardlink_to(kept.store)
    soft.symlink_to(kept.store)
    for name in (hard, soft):
        with pytest.raises(UsageError, match="that is the store itself"):
            back_up(kept.store, name, overwrite=True)


def test_a_database_in_use_is_no_target(kept: Kept) -> None:
    """Its write-ahead log would be taken for that of the copy."""
    with closing(sqlite3.connect(kept.copy)) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("CREATE TABLE theirs (x)")
        with pytest.raises(TokentailError, match="a database in use"):
            back_up(kept.store, kept.copy, overwrite=True)
        assert other.execute("SELECT count(*) FROM theirs").fetchone() == (0,)


def test_without_a_store(kept: Kept) -> None:
    """There is nothing to copy, and nothing is made."""
    with pytest.raises(StoreError, match="there is no store at"):
        back_up(kept.store.with_name("none.db"), kept.copy, overwrite=False)
    assert list(kept.copies.iterdir()) == []


def test_a_damaged_store_is_not_copied(kept: Kept) -> None:
    """A copy that could not be read is none."""
    with kept.store.open("r+b") as file:
        file.seek(8 * 4096)
        file.write(b"\xff" * 3 * 4096)
    with pytest.raises(StoreError, match=r"it is damaged .* \(run `tokentail verify`"):
        back_up(kept.store, kept.copy, overwrite=False)
    assert list(kept.copies.iterdir()) == []


# What can happen on the way


def test_a_disk_without_room(kept: Kept) -> None:
    """The message names the copy, and no part of it stays."""
    ran = kept.run("-c", LIMITED, "40000", "backup", str(kept.copy))
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith(f"tokentail: cannot write {kept.copy}: ")
    assert len(ran.stderr.splitlines()) == 1
    assert list(kept.copies.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ended_in_the_middle(kept: Kept, number: int) -> None:
    """Ctrl-C, SIGTERM and a closed terminal leave nothing."""
    ran = kept.run("-c", ENDED_IN_THE_MIDDLE, str(int(number)), "backup", str(kept.copy))
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, "", "")
    assert list(kept.copies.iterdir()) == []


def test_what_is_ignored_stays_ignored(kept: Kept) -> None:
    """With nohup a terminal may go away."""
    script = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n{ENDED_IN_THE_MIDDLE}"
    ran = kept.run("-c", script, str(int(signal.SIGHUP)), "backup", str(kept.copy))
    assert (ran.returncode, ran.stderr) == (0, "")
    assert check_consistent(kept.copy) == 200


def test_what_it_says(kept: Kept) -> None:
    """Path, size and replies; a name is no command to the terminal."""
    ran = kept.run("-m", "tokentail", "backup", str(kept.copies / "a\x1b[31m.db"))
    size = next(kept.copies.iterdir()).stat().st_size
    assert ran.stdout == f"The store was copied to {kept.copies}/a\ufffd[31m.db ({size / 1e6:,.1f} MB, 200 replies).\n"
