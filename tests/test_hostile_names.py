"""No name of a log or of the settings acts on a terminal, a desktop or a program: explanations and budgets, with any text as names."""

from __future__ import annotations

import csv
import html
import io
import json
import tempfile
import unicodedata
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from budgeting import NOW_MS, measured, used
from builders import line, record
from explaining import logs
from logs import PRICES
from tokentail import forget, queries, samples
from tokentail.budgets import showing
from tokentail.budgets.channels import Channels, Told
from tokentail.cli import main
from tokentail.config import Budget, Config
from tokentail.explain import telling
from tokentail.explain.as_json import story_json
from tokentail.explain.as_text import story_text
from tokentail.feed import Lines
from tokentail.model import Owner, ReplyChange
from tokentail.reports.as_chart import report_chart
from tokentail.reports.as_csv import report_csv
from tokentail.reports.as_json import report_json
from tokentail.reports.as_table import report_table
from tokentail.reports.build import build
from tokentail.reports.data import Stored
from tokentail.reports.request import Context, Request
from tokentail.reports.text import Style
from tokentail.samples import Heard

UTC = ZoneInfo("UTC")
# What terminals, desktops, shells and spreadsheets act on, and what turns text around.
PIECES = (
    "\x1b]0;x\x07",
    "\x1b[2J",
    "\x9b1m",
    "\r",
    "\n",
    "\0",
    "\u202e",
    "\u2066",
    "\u200b",
    "\u2028",
    "<b>",
    "&amp;",
    "[red]",
    "$(id)",
    "`id`",
)
NAMES = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), min_size=1, max_size=6).map("".join)
WORST = "".join(PIECES)


def acted_on(shown: str) -> set[str]:
    """What of a text, whose lines end with a newline, is no plain character."""
    return {char for char in shown.replace("\n", "") if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")}


@settings(deadline=None, max_examples=60)
@given(st.tuples(NAMES, NAMES, NAMES, NAMES, NAMES, NAMES), st.booleans())
@example((WORST,) * 6, True)
@example(("\ud800\x1b",) * 6, False)
def test_an_explanation_is_harmless(names: tuple[str, ...], priced: bool) -> None:
    """Of a reply, a session and a day, whatever ids, models, folders and versions are called; a name never makes a line of its own."""
    message, session, model, folder, version, request = names
    model = "claude-opus-5" if priced else model
    with tempfile.TemporaryDirectory() as home:
        entry = line(f"m{message}", requestId=request, sessionId=f"s{session}", model=model, cwd=f"/{folder}", version=version, uuid="u1")
        with logs(Path(home), {"-home-dev-app/s1.jsonl": entry}) as made:
            db, context = made.engine.db, made.context(shows_lines=True, estimates=True)
            replies = list(queries.replies_between(db, 0, 2**52))
            assert replies or not model
            for reply in replies:
                samples.keep(db, Heard(reply.owner.session, 99.0), NOW_MS)
                stories = (
                    telling.of_reply(db, reply.key, context),
                    telling.of_session(db, reply.owner.session, context),
                    telling.of_days(db, date(2026, 10, 1), date(2026, 10, 2), context),
                )
                plain = made.context(estimates=True)
                for story in (*stories, telling.of_session(db, reply.owner.session, plain)):
                    shown = story_text(story, zone=UTC, width=80, style=Style(False))
                    assert acted_on(shown) == set()
                    assert not any(row.startswith("INJECTED") for row in shown.splitlines())
                    shown.encode()
                    document = story_json(story)
                    assert document.isascii()
                    assert acted_on(document) == set()
                    assert json.loads(document)["kind"] in ("reply", "session", "day")


@settings(deadline=None, max_examples=25)
@given(NAMES, NAMES)
@example(WORST, WORST)
@example("=1+1", "@x")
def test_machines_and_people_are_harmless(host: str, user: str) -> None:
    """In every report that names them, as a table, a chart, CSV and JSON, in the feed, in an explanation, and before they are forgotten."""
    host, user = (name.replace("\0", "") or "x" for name in (host, user))  # which nobody can send
    with tempfile.TemporaryDirectory() as home, logs(Path(home), {"-home-dev-app/s1.jsonl": line("msg_own")}) as made:
        owner = Owner(False, False, "s9", "-x", "", user, host)
        made.engine.change_store(lambda store: store.take([record("msg_1", owner=owner), record("msg_2", owner=owner)]))
        db, context = made.engine.db, Context(PRICES, NOW_MS)
        for name in ("sessions", "hosts", "users"):
            report = build(Request(name, UTC, provenance=True), Stored(db, PRICES), context)
            table = report_table(report, width=200, style=Style(False))
            for shown in (table, report_chart(report, width=80, style=Style(False)), report_json(report)):
                assert acted_on(shown) == set()
            assert len(table.split("\n\n")[0].splitlines()) <= 2 + 3
            for row in csv.reader(io.StringIO(report_csv(report))):
                assert not any(each.startswith(("=", "+", "-", "@")) for each in row)
                assert acted_on("".join(row).replace("\t", "")) == set()
        (reply,) = queries.replies_by_key(db, ["msg_1"])
        lines = Lines(made.engine, PRICES, UTC, {})
        for shown in (lines.text(ReplyChange(0, "new", "msg_1", reply)), lines.json(ReplyChange(0, "new", "msg_1", reply))):
            assert acted_on(shown) == set()
            assert len(shown.splitlines()) == 1
        for story in (telling.of_reply(db, "msg_1", made.context()), telling.of_session(db, "s9", made.context())):
            shown = story_text(story, zone=UTC, width=80, style=Style(False))
            assert acted_on(shown) == set()
            assert json.loads(story_json(story))
        assert forget.preview(db, forget.Choice(hosts={host}, users={user})).replies == 2


@settings(deadline=None, max_examples=100)
@given(NAMES, NAMES, NAMES)
@example(WORST, WORST, WORST)
def test_a_budget_is_harmless(name: str, project: str, model: str) -> None:
    """In the table, the JSON, the message and the title, whatever it, its projects and its models are called."""
    budget = Budget(name, "tokens", "1", projects=(project, "-home-*"), models=(model, "*opus*"))
    (standing,) = measured([budget], used(1, 1))
    told = Told(standing, NOW_MS)
    table = showing.budgets_text([standing], width=100, style=Style(False))
    assert acted_on(table) == set()
    assert len(table.splitlines()) == 2
    for text in (told.title, str(told.fields()["message"])):
        assert acted_on(text) == set()
        assert "\n" not in text
    for document in (showing.budgets_json([standing], {}), json.dumps(told.fields())):
        assert acted_on(document) == set()
        assert json.loads(document)


@settings(deadline=None, max_examples=25)
@given(NAMES)
@example(WORST.replace("\0", ""))
@example("; touch owned; $(touch owned) `touch owned` && touch owned | touch owned > owned")
@example("-rf")
def test_programs_get_names_as_arguments(name: str) -> None:
    """A desktop gets no control characters and a body without markup; a command gets the name as one argument, or is not run."""
    with tempfile.TemporaryDirectory() as folder:
        for program in ("notify-send", "tell"):
            path = Path(folder, program)
            path.write_text('#!/bin/sh\ncat > "$0.stdin"\nfor word; do printf "%s\\0" "$word"; done > "$0.argv"\n')
            path.chmod(0o700)
        budget = Budget(name, "tokens", "1", command=("tell", "{budget}", "--", "x{budget}y"))
        (standing,) = measured([budget], used(1, 1))
        told = Told(standing, NOW_MS)
        channels = Channels(Config(), {"PATH": f"{folder}:/usr/bin:/bin", "LC_ALL": "C.UTF-8"})
        assert channels.tell("desktop", told) == ""
        words = Path(folder, "notify-send.argv").read_bytes().decode().split("\0")[:-1]
        assert words[:3] == ["--app-name=tokentail", "--", told.title]
        assert acted_on("".join(words)) == set()
        assert words[3] == html.escape(standing.message, quote=False)
        why = channels.tell("command", told)
        if "\0" in name:
            assert why.startswith("cannot run tell: ")
        else:
            assert Path(folder, "tell.argv").read_bytes() == b"\0".join([name.encode(), b"--", f"x{name}y".encode(), b""])
            assert json.loads(Path(folder, "tell.stdin").read_bytes())["budget"] == name
        assert not Path("owned").exists()
        assert not Path(folder, "owned").exists()


def test_a_project_of_a_log_does_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A hint that names it has its control characters taken, and the command that is told is not touched by it."""
    project = "-home-dev-$(touch owned)`touch owned`\x1b[2J\u202e"
    folder = tmp_path / "logs" / "projects" / project
    folder.mkdir(parents=True)
    (folder / "s1.jsonl").write_bytes(line("msg_1", cwd=f"/home/dev/{project}"))
    monkeypatch.setenv("TOKENTAIL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TOKENTAIL_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").write_text(
        '[budgets.all]\nmeasure = "tokens"\nthreshold = 0\nperiod = "month"\nprojects = ["*", "-home-dev-$(touch owned)`touch owned"]\n'
        f"command = ['sh', '-c', 'cat > {tmp_path}/said; echo \"$0\" >> {tmp_path}/said', '{{message}} {{budget}}']\n"
    )
    assert main(["budget", "--check", "--source", str(tmp_path / "logs")]) == 3
    said = capsys.readouterr()
    assert "did you mean" in said.err
    assert acted_on(said.out + said.err) == set()
    assert (tmp_path / "said").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.toml", "home", "logs", "said"]
