"""Tests of `tokentail.completion`: what is offered, and what real shells make of it."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tokentail
from logs import line
from places import Place, fixture_place  # noqa: F401  # the fixture `place`
from tokentail import completion
from tokentail.cli import build_parser, main
from tokentail.commands import COMMANDS, grammar

DEADLINE_S = 30.0
HOSTILE = (
    *("$(touch pwned)", "`touch pwned`", "a;touch pwned", "x y", "a|b", "it's", 'say "hi"', "new\nline"),
    *("-rf", "\x1b]0;x\x07", "*", "~"),
)
NAMES = {
    "project": ["shop", "blog", *HOSTILE],
    "model": ["claude-opus-5", "us.anthropic.claude-opus-4-6-v1:0"],
    "timezone": ["Europe/Berlin"],
}
WHOLE = grammar.whole()


def offered(typed: str, names: completion.Names = lambda what, _: NAMES.get(what, ())) -> list[str]:
    """The words for a command line whose last word is where the cursor stands."""
    return [offer.word for offer in completion.offers(WHOLE, typed.split(" "), names)]


# What is offered


def test_commands_are_offered_with_their_help() -> None:
    """In the order of `tokentail --help`."""
    found = completion.offers(WHOLE, [""], lambda *_: ())
    assert found == [(name, command.help) for name, command in COMMANDS.items()]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("da", ["daily"]),
        ("nonsense", []),
        ("--v", ["--version"]),
        ("daily --js", ["--json"]),
        ("daily --order ", ["oldest", "newest", "cost", "tokens", "name"]),
        ("models --order c", ["cost"]),
        ("models --order=c", ["cost"]),
        ("daily --no-st", ["--no-store"]),
        ("daily --source ", [":folders"]),
        ("daily --source=x", [":folders"]),
        ("daily --source x --t", ["--timezone"]),
        ("daily --since ", ["today", "yesterday", "7d", "30d"]),
        ("daily --timezone Eu", ["Europe/Berlin"]),
        ("--timezone Eu", ["Europe/Berlin"]),
        ("daily --limit ", []),
        ("daily --json=", []),
        ("daily --nonsense ", offered("daily ")),
        ("config ", ["path", "show", "check"]),
        ("config s", ["show"]),
        ("config show --d", ["--default"]),
        ("config show --default --d", []),
        ("completion z", ["zsh"]),
        ("completion zsh x", []),
        ("daily -- --js", []),
        ("daily --", [name for name in offered("daily ") if name.startswith("--")]),
    ],
)
def test_what_may_come_next(typed: str, words: list[str]) -> None:
    """Commands, their options, and the values of these, as far as they are known."""
    assert offered(typed) == words


@pytest.mark.parametrize(
    ("typed", "gone"),
    [
        ("daily --json ", {"--json", "--csv", "--chart"}),
        ("daily --breakdown ", {"--breakdown"}),
        ("daily --source x ", set()),
        ("daily --model x --limit 3 ", {"--limit"}),
        ("daily --limit=3 ", {"--limit"}),
    ],
)
def test_an_option_is_offered_while_it_can_be_given(typed: str, gone: set[str]) -> None:
    """Not again, unless it may be repeated, and not beside one that excludes it."""
    assert set(offered("daily ")) - set(offered(typed)) == gone


def test_only_harmless_names_are_offered() -> None:
    """A name that means more than itself to a shell can be typed, and is not offered."""
    assert offered("daily --project ") == ["blog", "shop"]
    assert offered("daily --model ") == ["claude-opus-5"]


@given(st.text(max_size=20))
def test_a_harmless_name_is_one_plain_word(name: str) -> None:
    """Every shell takes it as it is, and no terminal acts on it."""
    if completion.is_safe(name):
        assert re.fullmatch(r"[^\W]?[\w.,/@+-]*", name)
        assert name.isprintable()
        assert not name.startswith("-")


def test_the_store_of_the_named_folders_is_asked() -> None:
    """That of `--source`, in whatever way it is given."""
    asked: list[tuple[str, list[str]]] = []

    def names(what: str, sources: Sequence[str]) -> list[str]:
        asked.append((what, list(sources)))
        return []

    for typed in ("daily --project ", "daily --source a --source=b --model=x"):
        offered(typed, names)
    assert asked == [("project", []), ("model", ["a", "b"])]


@given(st.lists(st.sampled_from(["--source", "=", "a", "--json", "=b", "--", ""]), min_size=1, max_size=6))
def test_any_words_have_an_answer(words: list[str]) -> None:
    """A half-typed command line is never an error."""
    for command in ("daily", "config", "completion", "nonsense"):
        completion.offers(WHOLE, completion.joined([command, *words]), lambda *_: ())


def test_words_of_a_shell_that_splits_at_equals_signs() -> None:
    """They are put together again as they were typed."""
    assert completion.joined(["daily", "--source", "=", "a", "--order", "="]) == ["daily", "--source=a", "--order="]
    assert completion.joined(["daily", "=", "x"]) == ["daily", "=", "x"]


def test_the_grammar_is_that_of_the_program() -> None:
    """All commands and options of the real parser, and no others."""

    def flags(parser: argparse.ArgumentParser) -> set[str]:
        return {name for action in parser._actions for name in action.option_strings if action.help != argparse.SUPPRESS}

    def names(of: completion.Grammar) -> set[str]:
        return {name for option in of.options for name in option.names}

    parser = build_parser()
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    assert names(WHOLE) == flags(parser)
    assert {name: names(each.grammar()) for name, each in WHOLE.commands.items()} == {
        name: flags(each) for name, each in commands.choices.items()
    }


# The command


def asked(capsys: pytest.CaptureFixture[str], *words: str, shell: str = "zsh") -> list[str]:
    assert main(["completion", shell, *(f".{word}" for word in words)]) == 0
    return [row.partition("\t")[0] for row in capsys.readouterr().out.splitlines()]


def test_names_come_from_the_store(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Projects by the names that reports show, models as logged; of the usual places or of a folder."""
    folder = place.folder / "other"
    place.write(folder / "-home-dev-other" / "s.jsonl", line("m", model="claude-haiku-5-5", cwd="/home/dev/other"))
    for sources in (None, [folder]):
        with tokentail.open(sources=sources) as tail:
            tail.report("daily")
    assert asked(capsys, "daily", "--project", "") == ["blog", "shop"]
    assert asked(capsys, "daily", "--model", "") == ["claude-haiku-4-5", "claude-opus-5"]
    assert asked(capsys, "daily", f"--source={folder}", "--project=o") == ["--project=other"]
    assert asked(capsys, "daily", "--source", "=", str(folder), "--project", "=", "o", shell="bash") == ["other"]


@pytest.mark.parametrize("what", ["no store", "no folder", "no settings", "a broken store", "a newer store"])
def test_nothing_is_said_where_names_cannot_be_had(
    what: str, place: Place, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nobody wants to read about it in the middle of a line."""
    words = ["daily", "--project", ""]
    match what:
        case "no folder":
            words = ["daily", "--source", "nowhere", "--project", ""]
        case "no settings":
            (place.folder / "config.toml").write_text("nonsense", encoding="utf-8")
            monkeypatch.setenv("TOKENTAIL_CONFIG", str(place.folder / "config.toml"))
        case "a broken store":
            place.stores.mkdir()
            place.store.write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
        case "a newer store":
            with tokentail.open() as tail:
                tail.report("daily")
            subprocess.run([sys.executable, "-c", _NEWER, str(place.store)], check=True)
    assert main(["completion", "fish", *(f".{word}" for word in words)]) == 0
    assert capfd.readouterr() == ("", "")


_NEWER = "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('PRAGMA user_version = 1000'); db.close()"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_is_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And says where it comes from."""
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert f"Made by `tokentail completion {shell}`" in script
    assert script.endswith("\n")


# Real shells


@pytest.fixture(name="program")
def fixture_program(place: Place, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a command `tokentail`, first in PATH, and a store with harmless and hostile projects."""
    folder = place.folder / "bin"
    folder.mkdir()
    code = Path(tokentail.__file__).parents[1]
    (folder / "tokentail").write_text(f'#!/bin/sh\nPYTHONPATH="{code}" exec "{sys.executable}" -m tokentail "$@"\n', encoding="utf-8")
    (folder / "tokentail").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    for number, name in enumerate(HOSTILE):
        slug = f"-hostile-{number}"
        place.write(place.projects / slug / "s.jsonl", line(f"h{number}", sessionId=f"h{number}", cwd=f"/home/dev/{name}"))
    (place.folder / "some logs").mkdir()
    (place.folder / "some-file").touch()
    with tokentail.open() as tail:
        tail.report("daily")
    return folder


def needs(shell: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(shell) is None, reason=f"there is no {shell} here")


STARTS = {
    # The program itself is a function here, which shows its words: the script calls the command.
    "bash": (
        ["bash", "--noprofile", "--norc", "-i"],
        'source <(command tokentail completion bash); tokentail() { printf "<%s>" "$@" END; }\n',
    ),
    "zsh": (
        ["zsh", "-f", "-i"],
        'autoload -U compinit; compinit -u -D; source <(command tokentail completion zsh); tokentail() { printf "<%s>" "$@" END }\n',
    ),
}


class Terminal:
    """A shell that a person types into."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self.said = b""

    def type(self, keys: str) -> None:
        os.write(self._handle, keys.encode())

    def wait_for(self, pattern: str) -> str:
        """What the first group of the pattern is, once it was said; what was said before is then forgotten."""
        until = time.monotonic() + DEADLINE_S
        while not (found := re.search(pattern.encode(), self.said, re.DOTALL)):
            ready, _, _ = select.select([self._handle], [], [], max(until - time.monotonic(), 0))
            assert ready, f"{pattern} did not come: {self.said!r}"
            self.said += os.read(self._handle, 4096)
        self.said = self.said[found.end() :]
        return found[1].decode()


@contextlib.contextmanager
def typing_into(shell: str) -> Iterator[Terminal]:
    """That shell in a terminal of its own, with the script loaded."""
    command, setup = STARTS[shell]
    ours, theirs = os.openpty()
    environment = {**os.environ, "TERM": "vt100", "PS1": "> ", "COLUMNS": "200", "HISTFILE": ""}
    with subprocess.Popen([sys.executable, "-c", _LOGIN, *command], stdin=theirs, stdout=theirs, stderr=theirs, env=environment):
        os.close(theirs)
        try:
            terminal = Terminal(ours)
            terminal.type(f"{setup}echo rea''dy\n")
            terminal.wait_for("(ready)\r")
            yield terminal
        finally:
            os.close(ours)  # the shell gets SIGHUP


_LOGIN = "import os, sys; os.login_tty(0); os.execvp(sys.argv[1], sys.argv[1:])"

KEYS = [
    ("tokentail sess\t", "sessions"),
    ("tokentail daily --brea\t", "daily|--breakdown"),
    ("tokentail daily --order co\t", "daily|--order|cost"),
    ("tokentail daily --order=co\t", "daily|--order=cost"),
    ("tokentail daily --project sh\t", "daily|--project|shop"),
    ("tokentail daily --project=sh\t", "daily|--project=shop"),
    ("tokentail daily --model claude-op\t", "daily|--model|claude-opus-5"),
    ("tokentail daily --source so\t --js\t", "daily|--source|some logs|--json"),
    ("tokentail daily --source=so\t --js\t", "daily|--source=some logs|--json"),
    ("tokentail config ch\t", "config|check"),
    ("tokentail daily --timezone Europe/Berl\t", "daily|--timezone|Europe/Berlin"),
]


@pytest.mark.slow
@pytest.mark.parametrize("shell", [pytest.param(name, marks=needs(name)) for name in STARTS])
@pytest.mark.usefixtures("program")
def test_a_shell_completes(shell: str) -> None:
    """What a person types, with tabs in it, is run as the words that they meant."""
    with typing_into(shell) as terminal:
        for keys, words in KEYS:
            terminal.type(f"{keys}\n")
            ran = terminal.wait_for(r"(<[^\r]*)<END>")
            # zsh takes the slash of a folder away again where a space follows.
            assert [word.rstrip("/") for word in re.findall("<(.*?)>", ran)] == words.split("|"), keys


@pytest.mark.slow
@pytest.mark.parametrize("shell", [pytest.param(name, marks=needs(name)) for name in STARTS])
@pytest.mark.usefixtures("program")
def test_a_shell_is_not_harmed_by_names(shell: str, place: Place) -> None:
    """Of projects with names that a shell would act on, none is listed and none is run."""
    with typing_into(shell) as terminal:
        terminal.type("tokentail daily --project \t\t\t")
        listed = terminal.wait_for(r"(blog.*shop)")
        terminal.type("\x15echo do''ne\n")
        listed += terminal.wait_for("(.*)done\r")
    assert "touch" not in listed
    assert not list(place.folder.rglob("pwned"))


FISH = [
    ("tokentail sess", ["sessions"]),
    ("tokentail daily --brea", ["--breakdown"]),
    ("tokentail daily --order co", ["cost"]),
    ("tokentail daily --order=co", ["--order=cost"]),
    ("tokentail daily --project ", ["blog", "shop"]),
    ("tokentail daily --source so", ["some logs/"]),
    ("tokentail daily --source=so", ["--source=some logs/"]),
    ("tokentail config ch", ["check"]),
]


@needs("fish")
@pytest.mark.slow
@pytest.mark.usefixtures("program")
def test_fish_completes(place: Place) -> None:
    """As fish says itself."""
    code = "command tokentail completion fish | source; for typed in $argv; complete -C $typed; echo END; end"
    environment = {**os.environ, "XDG_CONFIG_HOME": str(place.folder), "XDG_DATA_HOME": str(place.folder)}
    typed = [each for each, _ in FISH]
    ran = subprocess.run(["fish", "--no-config", "-c", code, *typed], env=environment, capture_output=True, text=True, check=True)
    found = [[row.partition("\t")[0] for row in each.splitlines() if row] for each in ran.stdout.split("END\n")[:-1]]
    assert dict(zip(typed, found, strict=True)) == dict(FISH)
    assert not list(place.folder.rglob("pwned"))
