"""Tests of `tokentail explain`: what a person sees, as text and as JSON, compared with stored outputs."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from builders import line, usage, write_logs
from explaining import LOGS, MAIN
from tokentail.cli import main

STORED = Path(__file__).parent / "data" / "explain"
ROOT = Path(__file__).resolve().parents[1]
HOSTILE = "\x1b]0;owned\x07\x1b[31m\u202etxt"
EXTRAS = usage(
    40,
    speed="fast",
    inference_geo="us",
    iterations=[{"type": "compaction", "model": "claude-haiku-4-5", "input_tokens": 9000, "output_tokens": 5}],
)
ODD: Mapping[str, bytes] = {
    "-home-dev-odd/s9.jsonl": line("msg_fast", usage=EXTRAS, uuid="u1", sessionId="s9", cwd="/home/dev/odd")
    + line("msg_free", model="claude-zeta-9", uuid="u2", sessionId="s9", stop_reason=None),
}


class Home:
    """A home folder with logs and a store, and the command run in it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys
        self.logs = write_logs(folder / "logs", {**LOGS, **ODD})

    def run(self, *words: str) -> tuple[int, str, str]:
        code = main(["explain", *words, "--source", str(self.logs), "--timezone", "UTC"])
        said = self._capsys.readouterr()
        return code, said.out, said.err

    def json(self, *words: str) -> dict[str, Any]:
        code, out, err = self.run(*words, "--json")
        assert (code, err) == (0, "")
        found: dict[str, Any] = json.loads(out)
        return found


@pytest.fixture(name="home")
def fixture_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Home:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TOKENTAIL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "100")
    return Home(tmp_path, capsys)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("reply.txt", ["msg_1"]),
        ("reply_priced.txt", ["msg_fast"]),
        ("reply_unpriced.txt", ["msg_free", "--estimate-output"]),
        ("session.txt", ["s1"]),
        ("session_limited.txt", ["s1", "--limit", "1"]),
        ("day.txt", ["2026-10-01", "--estimate-output"]),
        ("days.txt", ["2026-10", "--limit", "2"]),
        ("nothing.txt", ["2020-01-01"]),
        ("reply.json", ["msg_1", "--json"]),
        ("session.json", ["s2", "--json", "--estimate-output"]),
    ],
)
def test_the_explanation_is_the_stored_one(home: Home, name: str, words: list[str]) -> None:
    """Whole outputs, so that a change of any word is seen."""
    code, out, err = home.run(*words)
    assert (code, err) == (0, "")
    assert out == (STORED / name).read_text(encoding="utf-8")


def test_lines_fit_the_terminal(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for the names of files, which are worth nothing when they are cut."""
    monkeypatch.setenv("COLUMNS", "60")
    for words in (["2026-10", "--estimate-output", "--show-lines"], ["msg_fast"]):
        _, out, _ = home.run(*words)
        assert [row for row in out.splitlines() if len(row) > 60 and ".jsonl" not in row] == []


def test_a_deleted_log_is_told(home: Home) -> None:
    """With the place where its lines were."""
    home.run("msg_2")
    (home.logs / MAIN).unlink()
    code, out, _ = home.run("msg_2")
    assert code == 0
    assert "~/logs/-home-dev-app/s1.jsonl  (the file was deleted)" in out
    assert "R10  1 line stood in a log that was deleted or rewritten. What was said there was kept." in out


def test_the_lines_themselves_are_shown_only_when_asked_for(home: Home) -> None:
    """They are content: neither text nor JSON has a word of them otherwise."""
    secret = "the secret of the garden"
    message = {
        "id": "msg_s",
        "model": "claude-opus-5",
        "stop_reason": "end_turn",
        "usage": usage(),
        "content": [{"type": "text", "text": secret}],
    }
    write_logs(home.logs, {"-home-dev-app/s3.jsonl": line("msg_s", message=message, uuid="u_s", sessionId="s3")})
    for words in ([], ["--json"], ["--estimate-output"], ["--json", "--estimate-output"]):
        assert secret not in home.run("msg_s", *words)[1]
    assert secret in "".join(row.strip() for row in home.run("msg_s", "--show-lines")[1].splitlines()).replace("  ", " ")
    assert secret in home.json("msg_s", "--show-lines")["lines"][0]["original"]
    assert secret.encode() not in b"".join(path.read_bytes() for path in (home.folder / "home").iterdir())


def test_nothing_from_a_log_reaches_the_terminal_as_a_command(home: Home) -> None:
    """Names, ids and the lines themselves have their control bytes taken."""
    model = f"claude-{HOSTILE}"
    raw = line(f"msg_h{HOSTILE}", sessionId=f"s{HOSTILE}", model=model, cwd=f"/home/{HOSTILE}", requestId=f"req_{HOSTILE}", uuid="u_h")
    raw = raw.replace(b"\\u001b", b"\x1b").replace(b"\\u0007", b"\x07")  # as no writer should
    write_logs(
        home.logs, {f"-home-dev-app/s{HOSTILE}.jsonl": raw, "-home-dev-app/ok.jsonl": line(f"msg_k{HOSTILE}", model=model, uuid="u_k")}
    )
    for words in (["msg_k", "--show-lines"], ["2026-10-01", "--show-lines"], ["nothing" + HOSTILE], ["msg"]):
        _, out, err = home.run(*words)
        assert not {"\x1b", "\x07", "\u202e"} & set(out + err)


def test_a_wrong_name_is_an_error_of_usage(home: Home) -> None:
    """With the names that are near."""
    code, out, err = home.run("msg_fasd")
    assert (code, out) == (2, "")
    assert err == "tokentail: there is no reply, session or day 'msg_fasd' (did you mean msg_fast?)\n"


@pytest.mark.parametrize("words", [["s1", "--limit", "0"], ["s1", "--as", "week"], []])
def test_wrong_words_are_an_error_of_usage(home: Home, words: list[str]) -> None:
    """As everywhere."""
    assert home.run(*words)[0] == 2


def test_where_nothing_is_counted_it_says_where_it_looked(tmp_path: Path, home: Home) -> None:
    """And not that a name means nothing."""
    home.logs = tmp_path / "empty"
    home.logs.mkdir()
    code, out, err = home.run("today")
    assert (code, out) == (0, "")
    assert err.startswith("No logs were found.")


def test_a_terminal_gets_styles_and_a_pipe_does_not(home: Home) -> None:
    """Titles stand out, and what other programs read is plain."""
    main_, other = pty.openpty()
    words = [sys.executable, "-m", "tokentail", "explain", "msg_2", "--source", str(home.logs), "--timezone", "UTC"]
    environment = {**os.environ, "TERM": "xterm"}
    environment.pop("NO_COLOR", None)
    subprocess.run(words, stdout=other, stdin=other, check=True, env=environment)
    os.close(other)
    shown = os.read(main_, 65_536)
    os.close(main_)
    assert b"\x1b[1mReply msg_2\x1b[0m" in shown
    assert b"\x1b" not in subprocess.run(words, check=True, capture_output=True, env=environment).stdout


def test_the_document_names_every_field(home: Home) -> None:
    """docs/explain.md is the contract."""
    text = (ROOT / "docs" / "explain.md").read_text(encoding="utf-8")
    names: set[str] = set()
    for words in (["msg_1", "--show-lines"], ["msg_free", "--estimate-output"], ["2026-10", "--estimate-output"]):
        names |= _names(home.json(*words))
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []


def _names(value: object) -> set[str]:
    if isinstance(value, list):
        return {name for each in value for name in _names(each)}
    if isinstance(value, dict):
        return set(value) | {name for each in value.values() for name in _names(each)}
    return set()
