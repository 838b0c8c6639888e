"""Tests of `tokentail.commands.options`: what a person is told who gets nothing, or not what was meant."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from builders import line, write_logs
from tokentail.cli import main


@pytest.fixture(name="home")
def fixture_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in (("HOME", "home"), ("TOKENTAIL_HOME", "store")):
        monkeypatch.setenv(name, str(tmp_path / value))
    for name in ("CLAUDE_CONFIG_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TZ", "UTC")
    return tmp_path / "home" / ".claude" / "projects"


def told(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What a command says besides its result."""
    main(words)
    return capsys.readouterr().err


# Time zones


@pytest.mark.parametrize("command", [["daily"], ["blocks", "--json"], []])
def test_a_tz_that_is_no_zone_is_told_once(
    command: list[str], home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The days are those of UTC then, which nobody asked for."""
    write_logs(home, {"-a/s1.jsonl": line()})
    monkeypatch.setenv("TZ", "UTC+3")
    warning = "tokentail: TZ=UTC+3 is no IANA zone: UTC is used (set it to a name like Europe/Berlin)\n"
    assert told(capsys, *command).count(warning) == 1


@pytest.mark.parametrize("words", [["--timezone=Asia/Kathmandu"], []])
def test_a_tz_that_nobody_needs_is_not_told_of(
    words: list[str], home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where a zone is given, on the command line or in the config, TZ says nothing."""
    config = home.parents[1] / "config.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text('timezone = "Asia/Kathmandu"')
    monkeypatch.setenv("TOKENTAIL_CONFIG", str(config))
    write_logs(home, {"-a/s1.jsonl": line()})
    monkeypatch.setenv("TZ", "UTC+3")
    assert told(capsys, "daily", *words) == ""


def test_a_zone_that_is_nearly_one(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong usage, with the name that was perhaps meant."""
    assert main(["daily", "--timezone", "Europe/Berln"]) == 2
    message = "unknown time zone 'Europe/Berln' (use an IANA name like Europe/Berlin or UTC; did you mean 'Europe/Berlin'?)"
    assert capsys.readouterr().err == f"tokentail: {message}\n"


# Nothing to show


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--since=2999-01-01"], r"the period begins in the future \(2999-01-01; today is [0-9-]{10}\)"),
        (["--until=2026-09-30"], "the period ends before the first usage, which was on 2026-10-01"),
        (["--project=-a", "--since=2026-10-02", "--until=2026-10-03"], "the period begins after the last usage of what was chosen, .*"),
        (["--project=bap"], r"no project is called 'bap' \(did you mean 'app'\?\)"),
        (["--model=opus"], r"no model is called 'opus' \(did you mean 'claude-opus-5'\?\)"),
    ],
)
def test_why_there_is_nothing_to_show(words: list[str], why: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr, so that the empty result stays one that a program can read; the exit code is that of any report."""
    write_logs(home, {"-a/s1.jsonl": line()})
    assert main(["daily", "--json", *words]) == 0
    out, err = capsys.readouterr()
    assert re.search(r'"rows": \[\]', out)
    assert re.fullmatch(f"tokentail: {why}\n", err)


def test_where_logs_were_looked_for(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without any log the folders are named, whatever was asked for."""
    for words in ([], ["--since=2999-01-01"], ["--project=x"]):
        message = told(capsys, "daily", *words)
        assert message.startswith("No logs were found. These folders were searched:\n")
        assert f"\n  {home}\n" in message


@pytest.mark.parametrize(
    ("logs", "message"), [(1, "1 log was found, and holds no usage yet.\n"), (2, "2 logs were found, and hold no usage yet.\n")]
)
def test_logs_without_usage(logs: int, message: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody is sent to look for logs that are there."""
    write_logs(home, {f"-a/s{number}.jsonl": b'{"type":"summary"}\n' for number in range(logs)})
    assert told(capsys, "daily") == message
    assert told(capsys, "daily", "--since=7d") == ""
