"""Tests of `tokentail.statusline`: one line for Claude Code, whatever it gives on stdin and however the store is."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tokentail
from builders import coordinator, line, write_logs
from tokentail import database, queries, samples
from tokentail.cli import main
from tokentail.formats import usual_folders
from tokentail.leader import Leadership
from tokentail.sources import LocalFolders
from tokentail.statusline import journal, said
from tokentail.statusline.said import Said
from tokentail.statusline.show import show

SRC = Path(tokentail.__file__).parents[1]
NOW_S = 1_791_902_400  # 2026-10-13 14:40 UTC
NOW_AT = "2026-10-13T14:30:00.000Z"
SAID: dict[str, Any] = {
    "session_id": "s1",
    "model": {"id": "claude-opus-5", "display_name": "Opus 5"},
    "cost": {"total_cost_usd": 1.5, "total_duration_ms": 1000},
    "context_window": {"used_percentage": 34.4},
    "rate_limits": {
        "five_hour": {"used_percentage": 42, "resets_at": NOW_S + 3600},
        "seven_day": {"used_percentage": 91.2, "resets_at": NOW_S + 86_400},
    },
}
SPENT = {"input_tokens": 0, "output_tokens": 100_000}  # 2.50 USD at opus 5's price


@pytest.fixture(name="home")
def fixture_home(tmp_path: Path) -> Path:
    """A home folder with a session of today and one of the day before, and a store that knows them."""
    write_logs(
        tmp_path / ".claude" / "projects" / "-home-dev-app",
        {
            "s1.jsonl": line("msg_1", usage=SPENT, model="claude-opus-5", timestamp=NOW_AT),
            "s2.jsonl": line("msg_2", usage=SPENT, model="claude-opus-5", sessionId="s2", timestamp="2026-10-13T09:00:00.000Z")
            + line("msg_3", usage=SPENT, model="claude-opus-5", sessionId="s2", timestamp="2026-10-12T09:00:00.000Z"),
        },
    )
    with closing(coordinator(tmp_path / ".claude" / "projects", tmp_path / "store" / "store.db")) as engine:
        engine.check_for_updates()
    return tmp_path


def environment(home: Path, **more: str) -> dict[str, str]:
    return {
        "HOME": str(home),
        "TOKENTAIL_HOME": str(home / "store"),
        "TOKENTAIL_CONFIG": str(home / "config.toml"),
        "NO_COLOR": "1",
        **more,
    }


def shown(home: Path, document: object = SAID, *, now_s: float = NOW_S, data: bytes | None = None, **more: str) -> str:
    """The line, for that document on stdin."""
    out = StringIO()
    given_bytes = json.dumps(document).encode() if data is None else data
    assert show(BytesIO(given_bytes), out, environment(home, **more), clock=lambda: now_s) == 0
    text = out.getvalue()
    assert text.endswith("\n")
    return text[:-1]


def journal_of(home: Path) -> str:
    path = journal.journal_path(home / "store")
    return path.read_text(encoding="utf-8") if path.exists() else ""


def configured(home: Path, template: str) -> Path:
    (home / "config.toml").write_text(f"statusline.template = {json.dumps(template)}\ntimezone = 'UTC'\n", encoding="utf-8")
    return home


def log_of(home: Path, name: str = "s1") -> Path:
    return home / ".claude" / "projects" / "-home-dev-app" / f"{name}.jsonl"


def asking(home: Path) -> sqlite3.Connection:
    return database.open_for_reading(home / "store" / "store.db")


# The line


def test_the_whole_line(home: Path) -> None:
    """The session, today, the last hour by the store; limits and context as Claude Code says them."""
    assert shown(home, TZ="UTC") == "$2.50 | $5.00 today | $2.50/h | 5h 42% | 7d 91% | ctx 34%"
    assert journal_of(home) == ""


def test_every_place_of_a_template(home: Path) -> None:
    """A template says what is shown; a part of which something is unknown is left out."""
    configured(home, "{model}: {session} of {today} | opus {seven_day_opus} | {five_hour} for {five_hour_left} | {seven_day_left}")
    assert shown(home) == "Opus 5: $2.50 of $5.00 | 42% for 1h 0m | 1d 0h"


def test_a_line_of_an_account_without_limits(home: Path) -> None:
    """Where nobody ever said a limit, no place is taken for one."""
    document = {name: value for name, value in SAID.items() if name != "rate_limits"}
    assert shown(home, document) == "$2.50 | $5.00 today | $2.50/h | ctx 34%"


def test_limits_that_another_session_has_said(home: Path) -> None:
    """A session that says no limits shows those of the store; an old one is marked, and so is what was not said."""
    configured(home, "{five_hour} {seven_day}")
    shown(home)
    silent = {"session_id": "s2"}
    assert shown(home, silent, now_s=NOW_S + 60) == "42% 91%"
    assert shown(home, silent, now_s=NOW_S + 1800) == "~42% ~91%"
    configured(home, "{seven_day}")
    assert shown(home, silent, now_s=NOW_S + 1800) == "~91%"


def test_a_lower_bound_is_marked(home: Path) -> None:
    """A reply whose output count is not final makes what it is part of a lower bound."""
    with log_of(home).open("ab") as file:
        file.write(line("msg_5", stop_reason=None, usage=SPENT, model="claude-opus-5", timestamp=NOW_AT))
    assert shown(home, {**SAID, "transcript_path": str(log_of(home))}).startswith("≥$5.00 | ≥$7.50 today | ≥$5.00/h")


def test_a_template_of_what_nobody_knows(home: Path) -> None:
    """There is a line all the same."""
    configured(home, "{seven_day_opus}")
    assert shown(home) == "tokentail: nothing to show"


def test_a_session_that_the_store_does_not_know(home: Path) -> None:
    """Its cost is what Claude Code says."""
    assert shown(home, {"session_id": "s9", "cost": {"total_cost_usd": 0.25}}).startswith("$0.25 | $5.00 today")


def test_without_a_store_the_line_says_what_claude_code_says(tmp_path: Path) -> None:
    """It makes no store: full passes are others' work. The line says what to do."""
    assert shown(tmp_path) == "$1.50 | 5h 42% | 7d 91% | ctx 34% | run `tokentail daily` once"
    assert shown(tmp_path, {}) == "run `tokentail daily` once"
    assert not (tmp_path / "store").exists()


def test_much_has_a_colour(home: Path) -> None:
    """Three quarters are yellow, nine tenths red, unless there are to be no colours."""
    configured(home, "{five_hour} {seven_day} {context}")
    document = {**SAID, "context_window": {"used_percentage": 80}}
    assert shown(home, document, NO_COLOR="") == "42% \x1b[31m91%\x1b[0m \x1b[33m80%\x1b[0m"


def test_a_name_cannot_do_harm(home: Path) -> None:
    """What a terminal would act on is gone, and what looks like a place is none."""
    configured(home, "{model} | {session}")
    document = {"session_id": "s1", "model": {"display_name": "a\x1b]0;x\x07\n{session}\u202e"}}
    assert shown(home, document) == "a�]0;x��{session}� | $2.50"


# What it keeps and reads


def test_what_was_said_is_kept(home: Path) -> None:
    """The limits and what the session cost stand in the store."""
    shown(home)
    with closing(asking(home)) as db:
        kept = {kind: samples.latest(db, kind) for kind in samples.LENGTHS_MS}
        assert {kind: each.used_percent for kind, each in kept.items() if each} == {"five_hour": 42.0, "seven_day": 91.2}
        cost = samples.said_cost(db, "s1")
        assert cost is not None
        assert cost.cost_usd == 1.5


def test_it_writes_nothing_where_nothing_is_new(home: Path) -> None:
    """Called again with the same, it leaves the store's file and its log as they are."""
    document = {**SAID, "transcript_path": str(log_of(home))}
    shown(home, document)
    with closing(asking(home)) as db:
        before = db.execute("PRAGMA data_version").fetchone()
        shown(home, document)
        assert db.execute("PRAGMA data_version").fetchone() == before


def test_the_transcript_is_read_and_no_other_log(home: Path) -> None:
    """What the given log gained is counted; the rest is left to full passes."""
    for name, number in (("s1", 5), ("s2", 6)):
        with log_of(home, name).open("ab") as file:
            file.write(line(f"msg_{number}", usage=SPENT, model="claude-opus-5", sessionId=name, timestamp=NOW_AT))
    assert shown(home, {**SAID, "transcript_path": str(log_of(home))}).startswith("$5.00 | $7.50 today")
    with closing(asking(home)) as db:
        assert {reply.key for reply in queries.replies_since(db, 0)} == {"msg_1", "msg_2", "msg_3", "msg_5"}
    assert journal_of(home) == ""


def test_it_does_not_wait_for_the_disk(home: Path) -> None:
    """What it commits stays in the write-ahead log, since to move that into the file takes as long as a quarter of all it may take."""
    shown(home)
    log = home / "store" / "store.db-wal"
    assert log.stat().st_size > 0
    with closing(asking(home)) as db:
        assert samples.latest(db, "five_hour") is not None
    assert not log.exists()


def test_while_another_process_writes_it_shows_what_is_there(home: Path) -> None:
    """It waits for nobody."""
    with log_of(home).open("ab") as file:
        file.write(line("msg_5", usage=SPENT, model="claude-opus-5", timestamp=NOW_AT))
    document = {**SAID, "transcript_path": str(log_of(home))}
    with database.locked(home / "store" / "store.db", wait_s=0):
        assert shown(home, document).startswith("$2.50 | $5.00 today")
    assert shown(home, document).startswith("$5.00 | $7.50 today")


def test_beside_a_screen_it_leaves_the_log_to_that(home: Path) -> None:
    """A process that leads has read the line already; one that has been silent for long is not waited for."""
    with log_of(home).open("ab") as file:
        file.write(line("msg_5", usage=SPENT, model="claude-opus-5", timestamp=NOW_AT))
    document = {**SAID, "transcript_path": str(log_of(home))}
    for now_s, start in ((time.time(), "$2.50 | "), (time.time() - 60, "$5.00 | ")):
        leadership = Leadership(home / "store" / "store.db", clock=lambda at=now_s: at)  # type: ignore[misc]  # mypy infers no default
        assert leadership.try_take()
        assert shown(home, document).startswith(start)
        leadership.release()


@pytest.mark.parametrize("name", ["secret.jsonl", "../outside.jsonl", ".claude/settings.json", "missing.jsonl", "."])
def test_a_path_that_is_no_log_of_ours_is_not_read(name: str, home: Path) -> None:
    """Stdin cannot make tokentail read other files."""
    if not (home / name).exists() and name != "missing.jsonl":
        (home / name).write_bytes(line("msg_8", timestamp=NOW_AT))
    assert shown(home, {**SAID, "transcript_path": str(home / name)}).startswith("$2.50 | $5.00 today")
    with closing(asking(home)) as db:
        assert not [reply for reply in queries.replies_since(db, 0) if reply.key == "msg_8"]


# Bad days


def broken(home: Path) -> None:
    (home / "store" / "store.db").write_bytes(b"no database" * 1000)


def newer(home: Path) -> None:
    with closing(sqlite3.connect(home / "store" / "store.db")) as db:
        db.execute("PRAGMA user_version = 99")


def older(home: Path) -> None:
    with closing(sqlite3.connect(home / "store" / "store.db")) as db:
        db.execute(f"PRAGMA user_version = {database.SCHEMA_VERSION - 1}")


def wrong_settings(home: Path) -> None:
    (home / "config.toml").write_text("nonsense = 1", encoding="utf-8")


def a_folder_for_a_store(home: Path) -> None:
    (home / "store" / "store.db").unlink()
    (home / "store" / "store.db").mkdir()


def test_a_store_of_an_older_version_is_left_to_others(home: Path) -> None:
    """A migration takes seconds, so the line says what to do."""
    older(home)
    assert shown(home) == "$1.50 | 5h 42% | 7d 91% | ctx 34% | run `tokentail daily` once"
    assert journal_of(home) == ""


@pytest.mark.parametrize("happen", [broken, newer, wrong_settings, a_folder_for_a_store])
def test_whatever_is_wrong_there_is_a_line(happen: Callable[[Path], None], home: Path) -> None:
    """The prompt is never disturbed: what Claude Code says itself is shown, and the log has the reason."""
    happen(home)
    assert shown(home) == "$1.50 | 5h 42% | 7d 91% | ctx 34% | tokentail: see statusline.log"
    assert len(journal_of(home).splitlines()) == 1


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "there is nothing on stdin"),
        (b" \n", "there is nothing on stdin"),
        (b"secret", "what is on stdin is no JSON"),
        (b"\xff\xfe\x00", "what is on stdin is no JSON"),
        (b"[" * 200_000, "what is on stdin is no JSON"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "what is on stdin is no JSON"),
        (b"[1]", "what is on stdin is no JSON object"),
        (b'{"a": "' + b"x" * said.MAX_BYTES + b'"}', "there is more than 1,000,000 bytes on stdin"),
    ],
)
def test_what_is_no_object_is_named(data: bytes, why: str, home: Path) -> None:
    """The line points to the log, which says what it was and quotes nothing of it."""
    assert shown(home, data=data) == "tokentail: no figures, see statusline.log"
    assert journal_of(home).partition(" ")[2] == f"{why}\n"


def test_a_folder_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    """Where there is no place for a log there is a line all the same."""
    (tmp_path / "store").write_bytes(b"")
    assert shown(tmp_path) == "$1.50 | 5h 42% | 7d 91% | ctx 34% | run `tokentail daily` once"


def test_the_journal_is_bounded_and_private(tmp_path: Path) -> None:
    """However often something goes wrong, the log stays small, and names cannot forge its lines."""
    for number in range(800):
        journal.note(tmp_path / "store", f"{number} {'x' * 300}\nforged")
    path = journal.journal_path(tmp_path / "store")
    files = [path, path.with_name("statusline.log.1")]
    assert sorted((tmp_path / "store").iterdir()) == files
    assert all(file.stat().st_size <= journal.MOST_BYTES + 600 for file in files)
    assert path.stat().st_mode & 0o777 == 0o600
    assert all(row[:2] == "20" for row in path.read_text(encoding="utf-8").splitlines())


NAMES = st.sampled_from(
    [
        *("session_id", "transcript_path", "model", "id", "display_name", "cost", "total_cost_usd", "context_window"),
        *("used_percentage", "rate_limits", "five_hour", "seven_day", "seven_day_opus", "resets_at", "other"),
    ]
)
VALUES = st.recursive(
    st.one_of(
        *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary().map(repr)),
        st.sampled_from([NOW_S + 3600, NOW_S * 1000, 1e400, -1, "s1", "\ud800", "a\0b", "\x1b[31m", "x" * 5000, 10**400]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=6)),
    max_leaves=30,
)
DOCUMENTS = st.dictionaries(NAMES, VALUES, max_size=8).map(lambda document: json.dumps(document).encode())


@pytest.fixture(name="known", scope="module")
def fixture_known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder with a store, for all that is thrown at it."""
    home = tmp_path_factory.mktemp("known")
    write_logs(home / ".claude" / "projects" / "-home-dev-app", {"s1.jsonl": line("msg_1", timestamp=NOW_AT)})
    with closing(coordinator(home / ".claude" / "projects", home / "store" / "store.db")) as engine:
        engine.check_for_updates()
    return home


@settings(max_examples=400)
@given(data=st.one_of(st.binary(), DOCUMENTS, VALUES.map(lambda value: json.dumps(value).encode()), DOCUMENTS.map(lambda data: data[:-3])))
def test_whatever_is_on_stdin_there_is_one_line(data: bytes, known: Path) -> None:
    """One short line without anything a terminal would act on, and exit code 0, whatever comes."""
    text = shown(known, data=data)
    assert text.isprintable()
    assert 0 < len(text) < 200
    with closing(asking(known)) as db:
        assert all(0 <= each.used_percent <= 1000 for kind in samples.LENGTHS_MS for each in samples.since(db, kind, 0))


@given(st.dictionaries(NAMES, VALUES, max_size=8))
def test_a_field_of_another_type_takes_no_other_with_it(more: Mapping[str, object]) -> None:
    """What is well said is taken, whatever stands beside it."""
    document = {**more, "session_id": "s1", "context_window": {**more, "used_percentage": 7}}
    found = said.read(json.dumps(document).encode())
    assert (found.session, found.context_percent) == ("s1", 7.0)


@pytest.mark.parametrize("value", [True, "42", None, [], -1, 1001, float("nan"), float("inf"), {}])
def test_what_is_no_percentage_is_not_said(value: object) -> None:
    """A truth value is no number, and nobody has used less than nothing."""
    limit = {"used_percentage": value, "resets_at": NOW_S}
    document = {"context_window": {"used_percentage": value}, "rate_limits": {"five_hour": limit}}
    assert said.read(json.dumps(document).encode()) == Said()


# As Claude Code starts it


@pytest.mark.parametrize("words", [["statusline"], ["statusline", "--source", "{home}/.claude/projects"]])
def test_as_a_process(words: list[str], home: Path) -> None:
    """The program itself: one line, nothing beside it, exit code 0; the quick way and the usual one."""
    given_words = [word.format(home=home) for word in words]
    ran = subprocess.run(
        [sys.executable, "-m", "tokentail", *given_words],
        env={**os.environ, **environment(home), "PYTHONPATH": str(SRC)},
        input=json.dumps(SAID).encode(),
        capture_output=True,
        check=True,
    )
    assert ran.stderr == b""
    assert ran.stdout.count(b"\n") == 1
    assert b"ctx 34%" in ran.stdout


def test_with_stdin_and_stdout_closed(home: Path) -> None:
    """Who closes both gets no error either."""
    ran = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m tokentail statusline <&- >&-"],
        env={**os.environ, **environment(home), "PYTHONPATH": str(SRC)},
        capture_output=True,
        check=True,
    )
    assert (ran.stdout, ran.stderr) == (b"", b"")


def test_it_loads_little(home: Path) -> None:
    """No options are parsed and nothing slow is imported for it, since it runs after every reply."""
    start = "import sys; sys.argv[1:] = ['statusline']; from tokentail.__main__ import run"
    code = f"{start}\ntry: run()\nfinally: print(*sys.modules, file=sys.stderr)"
    document = {**SAID, "transcript_path": str(log_of(home))}
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment(home), "PYTHONPATH": str(SRC)},
        input=json.dumps(document).encode(),
        capture_output=True,
        check=True,
    )
    slow = {"argparse", "dataclasses", "hashlib", "msgspec", "platformdirs", "rich", "shutil", "textual", "tokentail.coordinator"}
    assert slow & set(ran.stderr.decode().split()) == set()


def test_a_person_at_a_terminal_is_told_what_it_is_for(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for a keyboard would help nobody."""

    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal())
    assert main(["statusline"]) == 2
    assert "`tokentail statusline --install`" in capsys.readouterr().err


def test_the_places_are_those_of_the_program(home: Path) -> None:
    """The logs that the line reads are those that a report reads."""
    folders = usual_folders(environment(home))
    assert LocalFolders(folders).list_below([os.path.realpath(log_of(home))], []).files
