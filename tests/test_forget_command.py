"""Tests of `tokentail forget`: what it shows, whom it asks, and that nothing which happens later brings anything back."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from builders import coordinator, line, many_lines, replies_in, write_logs
from tokentail import database
from tokentail.cli import main
from tokentail.errors import StoreBusyError, StoreError
from tokentail.forget import Choice
from tokentail.recount import recount
from tokentail.sources import LocalFolders
from tokentail.verify import verify

LOG = "-home-dev-secret/5e551011.jsonl"
OTHER = "-home-dev-app/s2.jsonl"


class Home:
    """Logs of a project to forget and of another one, and the store that the command line keeps of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        secret: dict[str, Any] = {"sessionId": "5e551011-aaaa", "cwd": "/home/dev/secret"}
        mine = b"".join(line(f"msg_s{number}", timestamp=f"2026-10-0{number}T12:00:00.000Z", **secret) for number in range(1, 6))
        self.logs = write_logs(folder / "logs", {LOG: mine, OTHER: many_lines(4)})
        self.store = database.store_path(folder / "home", [self.logs])

    def run(self, *words: str) -> int:
        zone = [] if words[0] in ("verify", "rebuild") else ["--timezone", "UTC"]
        return main([*words, "--source", str(self.logs), *zone])

    def replies(self) -> set[str]:
        """After one look at the logs."""
        with closing(coordinator(self.logs, self.store)) as engine:
            engine.check_for_updates()
            verdict = verify(engine.db, recount(LocalFolders([self.logs])))
            assert verdict.differences == []
            return set(replies_in(engine.db))

    def kept_bytes(self) -> bytes:
        """All that is on the disk beside the logs."""
        return b"".join(path.read_bytes() for path in sorted((self.folder / "home").iterdir()))


REST = {f"msg_{number}" for number in range(4)}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("TOKENTAIL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TOKENTAIL_CONFIG", str(tmp_path / "config.toml"))
    return Home(tmp_path)


def test_the_command_says_what_it_forgets(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """What would go, where it still stands and where not, and then that it went; the logs are not touched."""
    (home.logs / OTHER).write_bytes((home.logs / OTHER).read_bytes() + line("msg_x", sessionId="5e551011-aaaa"))
    assert home.run("daily") == 0
    before = (home.logs / LOG).read_bytes()
    (home.logs / LOG).write_bytes(b"".join(before.splitlines(keepends=True)[2:]))
    capsys.readouterr()
    assert home.run("forget", "--project", "secret", "--yes") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out == (
        "This would be forgotten:\n"
        "  5 replies of 1 session in 1 project: secret\n"
        "  from 2026-10-01 to 2026-10-05 (UTC), $ 0.02\n"
        "  3 of them still stand in logs on disk. Reading those again would bring them back, but it is remembered\n"
        "  that they are forgotten: no re-read, fork of a session, rebuild or update of tokentail will.\n"
        "  2 of them stand in no log any more: once forgotten, nothing can bring them back.\n"
        "5 replies were forgotten.\n"
    )
    assert home.replies() == {*REST, "msg_x"}
    assert (home.logs / LOG).read_bytes() == b"".join(before.splitlines(keepends=True)[2:])


def test_a_dry_run_forgets_nothing(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """It only shows; what the logs hold is counted first, also in a store that did not exist."""
    assert home.run("forget", "--session", "5e55", "--since", "2026-10-02", "--until", "2026-10-03", "--dry-run") == 0
    out = capsys.readouterr().out
    assert "  2 replies of 1 session in 1 project: secret\n  from 2026-10-02 to 2026-10-03 (UTC)" in out
    assert out.endswith("Nothing was forgotten.\n")
    assert len(home.replies()) == 9


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ("--project=-home-dev-secret", set()),
        ("--project /home/dev/secret", set()),
        ("--project SECRET", set()),
        ("--project sec*", set()),
        ("--session 5e551011-aaaa", set()),
        ("--project secret --since 2026-10-03", {1, 2}),
        ("--session 5e --until 2026-10-03", {4, 5}),
        ("--since 2026-10-01 --until 2026-10-04", {5}),
        ("--project secret --until 9999-12-31", set()),
    ],
)
def test_conditions(home: Home, words: str, left: set[int]) -> None:
    """Of several conditions all hold."""
    assert home.run("forget", "--yes", *words.split()) == 0
    assert home.replies() == REST | {f"msg_s{number}" for number in left}


def test_days_are_those_of_the_zone(home: Home) -> None:
    """Noon in London is the evening in Kiritimati, and the next day there."""
    words = ["forget", "--yes", "--source", str(home.logs), "--since", "2026-10-03", "--until", "2026-10-03"]
    assert main([*words, "--timezone", "Pacific/Kiritimati"]) == 0
    assert home.replies() == REST | {f"msg_s{number}" for number in (1, 3, 4, 5)}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("", "say what to forget: --project NAME, --session ID, --since DAY, --until DAY"),
        ("--yes", "say what to forget"),
        ("--project secrets --yes", "no project is called 'secrets' (did you mean "),
        ("--project zebra --yes", "no project is called 'zebra'"),
        ("--session 99 --yes", "there is no such session: '99'"),
        ("--since tomorrowish --yes", "tomorrowish"),
        ("--project secret", "there is nobody to ask: run it on a terminal, or give --yes (--dry-run shows what would go)"),
    ],
)
def test_wrong_usage(home: Home, capsys: pytest.CaptureFixture[str], words: str, says: str) -> None:
    """Exit code 2, the reason on stderr, and nothing is forgotten."""
    assert home.run("forget", *words.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert len(home.replies()) == 9


def test_a_name_that_may_mean_several(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing goes by mistake: which one, or that all are meant, must be said."""
    write_logs(home.logs, {"-srv-secret/s7.jsonl": line("msg_7", sessionId="5e777777", cwd="/srv/secret")})
    assert home.run("forget", "--yes", "--project", "secret") == 2
    assert home.run("forget", "--yes", "--session", "5e") == 2
    err = capsys.readouterr().err
    assert "'secret' may mean -home-dev-secret, -srv-secret (give one of these as --project=NAME, or use * for several)" in err
    assert "'5e' is no whole session id (it may mean 5e551011-aaaa, 5e777777: give more of it)" in err
    assert home.run("forget", "--yes", "--project", "*secret") == 0
    assert home.replies() == REST


def test_nothing_matches(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """That is no error, and there is nothing to ask."""
    assert home.run("forget", "--yes", "--since", "2027-01-01") == 0
    assert capsys.readouterr().out == "Nothing to forget: no reply matches.\n"


def test_when_how_much_was_forgotten(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """The list says it, and does not say what."""
    home.run("daily")
    capsys.readouterr()
    assert home.run("forget", "--list") == 0
    assert capsys.readouterr().out == "Nothing was ever forgotten.\n"
    home.run("forget", "--yes", "--project", "secret", "--until", "2026-10-02")
    capsys.readouterr()
    assert home.run("forget", "--list") == 0
    out = capsys.readouterr().out.splitlines()
    assert [row.split()[-1] for row in out] == ["Replies", "2", "─" * 28, "2"]


def test_older_copies_are_named(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """What stands beside the store keeps what is forgotten; a half made one is removed."""
    home.run("daily")
    kept = [home.store.with_name(f"{home.store.name}.{end}") for end in ("before-2", "damaged-20261001T000000Z")]
    home.store.with_name(f"{home.store.name}.leader").touch()  # of a process that follows
    for path in (*kept, home.store.with_name(f"{home.store.name}.fresh"), home.store.with_name(f"{home.store.name}.part")):
        path.write_bytes(b"an older one")
    capsys.readouterr()
    home.run("forget", "--yes", "--project", "secret")
    out = capsys.readouterr().out
    named = "".join(f"  {path}\n" for path in kept)
    assert f"These older copies of the store may hold them, too, and stay as they are:\n{named}5 replies" in out
    assert {path.name for path in (home.folder / "home").iterdir()} == {
        home.store.name,
        f"{home.store.name}.lock",
        f"{home.store.name}.leader",
        *(path.name for path in kept),
    }


def test_hostile_names_do_no_harm(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """A project may be called anything: nothing of it acts on the terminal, and it makes no line of its own."""
    write_logs(home.logs, {"-a\x1b]0;x\x07\n5 replies were forgotten/s.jsonl": line("msg_h", sessionId="h1", cwd=None)})
    assert home.run("forget", "--dry-run", "--session", "h1") == 0
    out = capsys.readouterr().out
    assert not {"\x1b", "\x07"} & set(out)
    assert len(out.splitlines()) == 6


# No trace


def test_no_trace_is_left(home: Home) -> None:
    """Where its logs are gone, neither sessions nor project, folder or agents can be found on the disk, however the file grew."""
    for number in range(300):
        said: dict[str, Any] = {"sessionId": f"5e551011-{number}", "cwd": "/home/dev/secret", "agentId": f"a9e47-{number}"}
        with (home.logs / LOG).open("ab") as log, (home.logs / OTHER).open("ab") as other:
            log.write(b"".join(line(f"msg_t{number}-{reply}", **said) for reply in range(3)))
            # Names that stand between the others, so that pages with some of them stay.
            other.write(line(f"msg_u{number}", sessionId=f"5e550000-{number}", agentId=f"a9e00-{number}"))
        if number % 30 == 0:
            home.run("daily")
    home.run("daily")
    names = (b"5e551011", b"secret", b"a9e47")
    assert [name for name in names if name in home.kept_bytes()] == list(names)
    (home.logs / LOG).unlink()
    home.run("forget", "--yes", "--project", "secret")
    assert [name for name in names if name in home.kept_bytes()] == []
    assert b"msg_3" in home.kept_bytes()


def test_the_ids_of_replies_stay_in_the_list_of_changes(home: Home) -> None:
    """Who follows has to hear of them; they are nowhere else."""
    home.run("daily")
    home.run("forget", "--yes", "--project", "secret")
    with closing(sqlite3.connect(home.store, isolation_level=None)) as db:
        assert db.execute("SELECT event, key FROM changes").fetchall() == [("gone", f"msg_s{number}") for number in range(1, 6)]
        db.execute("DELETE FROM changes")
        db.execute("VACUUM")
    assert b"msg_s" not in home.kept_bytes()
    assert b"msg_3" in home.kept_bytes()


def test_of_logs_on_disk_only_the_path_is_left(home: Home) -> None:
    """How far a log was read has to be known by its path; the session's id, which is more than the file's name, is nowhere."""
    home.run("daily")
    home.run("forget", "--yes", "--project", "secret")
    kept = home.kept_bytes()
    assert b"5e551011-aaaa" not in kept
    assert b"/home/dev/secret" not in kept
    assert kept.count(b"5e551011") == 3  # the path, where in the searched folder, and the index by path


# Whatever happens next


def touched(home: Home) -> None:
    os.utime(home.logs / LOG, (1, 1))


def rewritten(home: Home) -> None:
    lines = (home.logs / LOG).read_bytes().splitlines(keepends=True)
    (home.logs / LOG).write_bytes(b"".join(reversed(lines)))


def forked(home: Home) -> None:
    data = (home.logs / LOG).read_bytes()
    write_logs(home.logs, {"-home-dev-fork/f1.jsonl": data.replace(b"5e551011-aaaa", b"f1"), "-home-dev-app/agent-7.jsonl": data})


def moved(home: Home) -> None:
    (home.logs / "-home-dev-secret").rename(home.logs / "-home-dev-elsewhere")


def rebuilt(home: Home) -> None:
    assert home.run("rebuild") == 0


def recounted_by_other_rules(home: Home) -> None:
    with closing(sqlite3.connect(home.store, isolation_level=None)) as db:
        db.execute("UPDATE meta SET value = '0' WHERE name = 'rules_version'")


def damaged(home: Home) -> None:
    with closing(sqlite3.connect(home.store)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        root, page_bytes = db.execute("SELECT rootpage, page_size FROM sqlite_master, pragma_page_size WHERE name = 'replies'").fetchone()
    with home.store.open("r+b") as file:
        file.seek((root - 1) * page_bytes)
        file.write(bytes(page_bytes))


def repriced(home: Home) -> None:
    with closing(sqlite3.connect(home.store, isolation_level=None)) as db:
        db.execute("UPDATE meta SET value = '[7]' WHERE name = 'thresholds'")


@pytest.mark.parametrize("happen", [touched, rewritten, forked, moved, rebuilt, recounted_by_other_rules, damaged, repriced])
def test_it_stays_forgotten(home: Home, happen: Callable[[Home], None], capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever happens to logs and store, what was forgotten is not counted, `verify` agrees, and what comes new is counted."""
    home.run("forget", "--yes", "--project", "secret")
    happen(home)
    assert home.replies() == REST
    capsys.readouterr()
    assert home.run("verify") == 0
    out = capsys.readouterr().out
    assert "The logs hold 9 replies" in out
    assert "  5 of them were forgotten on purpose.\n" in out
    with (home.logs / OTHER).open("ab") as log:
        log.write(line("msg_s6", sessionId="5e551011-aaaa"))
    assert home.replies() == {*REST, "msg_s6"}


def test_what_cannot_be_read_any_more_comes_back(home: Home) -> None:
    """Where the hashes themselves are lost to damage, nobody knows what was forgotten: that is said."""
    home.run("forget", "--yes", "--project", "secret")
    with closing(sqlite3.connect(home.store)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        root, page_bytes = db.execute("SELECT rootpage, page_size FROM sqlite_master, pragma_page_size WHERE name = 'forgotten'").fetchone()
    with home.store.open("r+b") as file:
        file.seek((root - 1) * page_bytes)
        file.write(bytes(page_bytes))
    with (home.logs / OTHER).open("ab") as log:
        log.write(line("msg_9"))
    with closing(coordinator(home.logs, home.store)) as engine:
        (told,) = engine.check_for_updates().degraded
        assert told.endswith("; what it was told to forget could not all be read: run `tokentail forget` again")
        assert len(replies_in(engine.db)) == 10


def test_a_damaged_store_is_replaced_before_anything_is_forgotten(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing that was not shown is forgotten: the command says what happened, and is given again."""
    home.run("daily")
    with closing(coordinator(home.logs, home.store)) as engine:
        engine.check_for_updates()
        damaged(home)
        engine.close()
        with pytest.raises(StoreError, match=r"the store was damaged .* \(nothing else was done: give the command again\)"):
            engine.change_store(lambda store: store.forget(Choice(session="5e551011-aaaa")))
    assert len(home.replies()) == 9
    assert home.run("forget", "--yes", "--session", "5e551011-aaaa") == 0
    assert home.replies() == REST


def test_without_a_store_all_is_counted(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """`--no-store` reads the logs and knows of nothing else."""
    home.run("forget", "--yes", "--project", "secret")
    capsys.readouterr()
    home.run("daily", "--json", "--no-store")
    assert json.loads(capsys.readouterr().out)["totals"]["replies"] == 9
    home.run("daily", "--json")
    assert json.loads(capsys.readouterr().out)["totals"]["replies"] == 4


def test_who_follows_is_told(home: Home) -> None:
    """A screen that runs beside it hears that they are gone, and goes on with what the session says next."""
    with closing(coordinator(home.logs, home.store)) as live:
        live.check_for_updates()
        home.run("forget", "--yes", "--project", "secret")
        changes = live.check_for_updates().changes
        assert [(change.event, change.key) for change in changes] == [("gone", f"msg_s{number}") for number in range(1, 6)]
        with (home.logs / LOG).open("ab") as log:
            log.write(line("msg_s6", sessionId="5e551011-aaaa"))
        assert [(change.event, change.key) for change in live.check_for_updates().changes] == [("new", "msg_s6")]
        assert verify(live.db, recount(LocalFolders([home.logs]))).differences == []


def test_a_log_that_comes_back(home: Home) -> None:
    """Who had it forgotten, and goes on, does not know the file any more that was gone: it is read from its start."""
    away = home.folder / "away"
    with closing(coordinator(home.logs, home.store)) as engine:
        engine.check_for_updates()
        (home.logs / LOG).rename(away)
        engine.check_for_updates()
        engine.change_store(lambda store: store.forget(Choice(session="5e551011-aaaa")))
        away.rename(home.logs / LOG)
        metrics = engine.check_for_updates().metrics
        assert (metrics.entries_parsed, metrics.replies_new) == (5, 0)
    assert home.replies() == REST


def test_a_busy_store_is_left_alone(home: Home) -> None:
    """While another process reads logs into it, nothing is forgotten."""
    home.run("daily")
    engine = coordinator(home.logs, home.store, wait_s=0.01)
    with closing(engine), database.locked(home.store, wait_s=0), pytest.raises(StoreBusyError, match=f"process {os.getpid()}"):
        engine.change_store(lambda store: store.forget(Choice(session="5e551011-aaaa")))
    assert len(home.replies()) == 9


# The question, on a terminal

WITHIN_S = 40.0
CTRL_C = b"\x03"
# A terminal that sends Ctrl-C to the program has to be its own.
ASKED = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from tokentail.cli import main
sys.exit(main(sys.argv[1:]))
"""


def asked(home: Home, keys: bytes) -> tuple[int, str]:
    """The exit code and what the terminal showed, when that is typed at the question."""
    keyboard, line_settings = pty.openpty()
    words = [sys.executable, "-c", ASKED, "forget", "--source", str(home.logs), "--timezone", "UTC", "--project", "secret"]
    with subprocess.Popen(words, stdin=line_settings, stdout=line_settings, stderr=line_settings, start_new_session=True) as process:
        os.close(line_settings)
        shown, until = b"", time.monotonic() + WITHIN_S
        while b"[y/N] " not in shown:
            shown += os.read(keyboard, 4096)
        os.write(keyboard, keys)
        with contextlib.suppress(OSError):  # how a terminal ends whose program is gone
            while time.monotonic() < until:
                if select.select([keyboard], [], [], 1.0)[0]:
                    shown += os.read(keyboard, 4096)
                elif keys == CTRL_C:  # one that comes just before a program begins to read is noticed when it has read; people press again
                    os.write(keyboard, keys)
        if time.monotonic() >= until:
            process.kill()
    os.close(keyboard)
    return process.returncode, shown.decode(errors="replace").replace("\r\n", "\n").partition("Forget them? [y/N] ")[2]


@pytest.mark.parametrize(
    ("keys", "code", "answer"),
    [
        (b"y\n", 0, "5 replies were forgotten.\n"),
        (b" YES\n", 0, "5 replies were forgotten.\n"),
        (b"n\n", 0, "Nothing was forgotten.\n"),
        (b"\n", 0, "Nothing was forgotten.\n"),
        (b"yesterday\n", 0, "Nothing was forgotten.\n"),
        (b"\xff\xfe\n", 0, "Nothing was forgotten.\n"),
        (b"\x04", 0, "Nothing was forgotten.\n"),  # Ctrl-D: the end of the input
        (CTRL_C, 130, "Nothing was forgotten.\n"),
    ],
    ids=["y", "yes", "n", "enter", "other", "bytes", "end", "ctrl-c"],
)
def test_the_question(home: Home, keys: bytes, code: int, answer: str) -> None:
    """Only a yes is a yes."""
    home.run("daily")
    ended, shown = asked(home, keys)
    assert ended == code
    assert re.sub(r"\x1b\[K|\r|[A-Z][^\r\n]* …", "", shown).endswith(answer)
    assert len(home.replies()) == (4 if "5 replies" in answer else 9)
