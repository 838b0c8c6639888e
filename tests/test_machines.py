"""Tests of what is told of several machines: names, reports, the feed, exports, explanations, the status, and what is forgotten."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import AT_MS, SPREAD, chunk, coordinator, line, memory_store, record, replies_in, replies_of, store_of, write_logs
from logs import PRICES
from test_build import CONTEXT
from tokentail import feed, limits, machines, usage
from tokentail.cli import main
from tokentail.explain import telling
from tokentail.explain.as_text import story_text
from tokentail.model import BlockFacts, Owner, Provenance, Record, ReplyChange, Window
from tokentail.periods import HOUR_MS
from tokentail.projects import Projects
from tokentail.provenance import ELSEWHERE, ON_DISK, stands
from tokentail.reports.blocks import BLOCK_MS
from tokentail.reports.build import build
from tokentail.reports.data import Stored
from tokentail.reports.request import Request
from tokentail.reports.text import Style
from tokentail.samples import Heard, Reading, keep
from tokentail.sources import LocalFolders
from tokentail.statusline.figures import of_store
from tokentail.statusline.said import Said
from tokentail.totals import Adder, add_replies
from tokentail.usage import Question

UTC_ZONE = ZoneInfo("UTC")
ANNA = Owner(False, False, "s9", "-home-anna-app", "", "anna", "ci-1")
Run = Callable[..., str]


@pytest.fixture(name="run")
def fixture_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line over a store that has a reply of its own and two that Anna's runner sent; gives what is printed."""
    monkeypatch.setenv("TOKENTAIL_HOME", str(tmp_path / "store"))
    monkeypatch.setenv("TZ", "UTC")
    logs = write_logs(tmp_path / "logs", {"-home-dev-app/s1.jsonl": line("msg_own", output=70)})

    def run(*words: str, code: int = 0) -> str:
        assert main([*words, "--source", str(logs)]) == code
        return capsys.readouterr().out

    run("daily")
    (path,) = (tmp_path / "store").rglob("*.db")
    with closing(coordinator(logs, path)) as engine:
        sent = [record("msg_1", owner=ANNA), record("msg_2", owner=ANNA, at_ms=AT_MS + HOUR_MS)]
        engine.change_store(lambda store: store.take(sent, [("-home-anna-app", AT_MS, "/home/anna/app")]))
    return run


# Names


def test_what_a_name_means() -> None:
    """A whole name whatever its case, or wildcards; `this` and the empty name are this machine, and so is whatever is named so."""
    names = {"", "ci-1", "CI-2", "this"}
    for asked, found in {
        ("ci-?",): {"ci-1", "CI-2"},
        ("ci-2",): {"CI-2"},
        ("This",): {"", "this"},
        ("",): {""},
        ("*",): names,
        ("t*",): {"this"},
        ("nobody",): set(),
        ("ci-1", "this"): {"ci-1", "", "this"},
    }.items():
        assert machines.meant(names, asked) == found
    assert [machines.shown(name) for name in ("", "ci-1")] == ["(this machine)", "ci-1"]


# Sums


@settings(deadline=None, max_examples=100)
@given(SPREAD, st.sampled_from(["host", "user"]), st.sets(st.sampled_from(["", "ci-1", "ci-2"])), st.sets(st.sampled_from(["", "anna"])))
def test_sums_are_those_of_the_replies(lines: list[Record], by: str, hosts: set[str], users: set[str]) -> None:
    """Apart by host or by user and narrowed to some of both, the cells are those of the replies one by one."""
    store, expected, found = store_of(*lines), Adder[str](PRICES), Adder[str](PRICES)
    chosen = [reply for reply in replies_of(lines).values() if reply.owner.host in hosts and reply.owner.user in users]
    add_replies(expected, chosen, lambda reply: getattr(reply.owner, by), PRICES)
    question = Question([Window("", 0, 1 << 50)], by, users=users, hosts=hosts)
    for used in usage.usage(store.connection, question, PRICES):
        found.add(getattr(used.owner, by), used.cell)
    assert dict(found.rows()) == dict(expected.rows())


@settings(deadline=None, max_examples=60)
@given(SPREAD)
def test_which_machines_there_are(lines: list[Record]) -> None:
    """Those that a reply is of; and whether one of them is another than this one."""
    db = store_of(*lines).connection
    whose = {(reply.owner.user, reply.owner.host) for reply in replies_of(lines).values()}
    assert usage.machines(db) == whose
    if all(map(any, whose)) or not any(map(any, whose)):
        assert (usage.own_machine(db) is None) == (not any(map(any, whose)))


# Five-hour windows and limits are a person's


def test_windows_of_one_person_follow_from_their_replies() -> None:
    """What somebody else used opens no window of Anna's, and her pace is hers."""
    mine = record("msg_1", at_ms=AT_MS)
    hers = record("msg_2", at_ms=AT_MS + 3 * HOUR_MS, owner=ANNA)
    data = Stored(store_of(mine, hers).connection, PRICES)
    context = CONTEXT._replace(now_ms=AT_MS + 4 * HOUR_MS)
    together, alone = (build(Request("blocks", UTC_ZONE, users=users), data, context) for users in ((), ("anna",)))
    assert [row.counts.replies for row in together.rows] == [2]
    assert [row.counts.replies for row in alone.rows] == [1]
    about = alone.rows[0].about
    assert isinstance(about, BlockFacts)
    assert about.end_ms - BLOCK_MS == (AT_MS + 3 * HOUR_MS) // HOUR_MS * HOUR_MS
    assert about.pace is not None
    assert about.pace.tokens_per_minute == pytest.approx(alone.totals.total_tokens / 60)
    assert together.hints == ("these windows are of several machines together, but a limit is a person's (--user NAME shows one's)",)
    assert alone.hints == ()


def test_limits_know_this_machine_only() -> None:
    """What others sent changes no estimate: with and without it the limits stand alike."""
    said = Heard("s1", None, (Reading("five_hour", 40.0, AT_MS + 4 * HOUR_MS),))
    mine = [record(f"msg_{n}", at_ms=AT_MS + n * 60_000) for n in range(5)]
    hers = [record(f"her_{n}", at_ms=AT_MS - HOUR_MS + n * 60_000, owner=ANNA) for n in range(90)]
    found = []
    for sent in ([], hers):
        store = store_of(*mine)
        if sent:
            store.take(sent)
        keep(store.connection, said, AT_MS + 200_000)
        found.append(limits.limits(store.connection, PRICES, AT_MS + 2 * HOUR_MS))
    assert found[0] == found[1]
    assert len(found[0]) >= 2


def test_the_status_line_is_of_this_machine() -> None:
    """Today and the last hour are what this machine used."""
    store = store_of(record("msg_1", at_ms=AT_MS))
    found = []
    for sent in ((), [record("msg_2", at_ms=AT_MS, owner=ANNA)]):
        store.take(sent)
        found.append(of_store(store.connection, PRICES, Said(session="s1"), UTC_ZONE, AT_MS + 1000, rounding="hour", wanted=()))
    assert found[0] == found[1]
    assert found[0].today is not None
    assert (found[0].today.replies, found[0].last_hour) == (1, found[0].today)


# Where replies stand


@settings(deadline=None, max_examples=100)
@given(SPREAD, SPREAD)
def test_what_no_line_here_gave_is_elsewhere(here: list[Record], sent: list[Record]) -> None:
    """A reply with a line in a log of this machine is on disk, whatever else was sent of it; the others are elsewhere."""
    store = memory_store()
    if here:
        store.apply([chunk(*here)])
    store.take(sent)
    found = stands(store.connection)
    assert found is not None
    where = {key: found.replies[number] for key, number in store.connection.execute("SELECT key, id FROM replies")}
    own = {each.group for each in here}
    assert where == {each.group: ON_DISK if each.group in own else ELSEWHERE for each in (*here, *sent)}


def test_a_rewritten_line_goes_before_what_was_sent(tmp_path: Path) -> None:
    """A reply that was once in a log here is said to be rewritten or deleted, also where another machine has sent it."""
    logs = write_logs(tmp_path / "logs", {"-a/s1.jsonl": line("msg_1") + line("msg_2"), "-a/s2.jsonl": line("msg_3")})
    with closing(coordinator(logs, tmp_path / "store.db")) as engine:
        engine.check_for_updates()
        write_logs(logs, {"-a/s1.jsonl": line("msg_2")})
        (logs / "-a" / "s2.jsonl").unlink()
        engine.check_for_updates()
        engine.change_store(lambda store: store.take([record(f"msg_{n}", request_id=f"req_msg_{n}", owner=ANNA) for n in (1, 2, 3, 4)]))
        report = build(Request("models", UTC_ZONE, provenance=True), Stored(engine.db, PRICES), CONTEXT)
    assert report.provenance is not None
    assert [part.replies for part in report.provenance] == [1, 1, 1, 1]
    assert Provenance._fields == ("on_disk", "deleted", "rewritten", "elsewhere")


# Commands


def test_reports_by_machine_and_person(run: Run) -> None:
    """A row each, this machine's under the empty name; every filter narrows every report."""
    rows = {name: {row[name[:-1]]: row["replies"] for row in json.loads(run(name, "--json"))["rows"]} for name in ("hosts", "users")}
    assert rows == {"hosts": {"": 1, "ci-1": 2}, "users": {"": 1, "anna": 2}}
    assert "(this machine)" in run("hosts")
    for name in ("daily", "weekly", "monthly", "sessions", "projects", "models", "hosts", "users", "blocks"):
        for words, replies in {
            ("--host", "this"): 1,
            ("--user", "this"): 1,
            ("--host", "ci-*"): 2,
            ("--user", "ANNA"): 2,
            ("--host", "this", "--host", "ci-1"): 3,
            ("--host", "this", "--user", "anna"): 0,
        }.items():
            assert json.loads(run(name, "--json", *words))["totals"]["replies"] == replies, (name, words)
            own = replies if words[:3] == ("--host", "this", "--user") else int("this" in words)
            assert json.loads(run(name, "--json", "--no-store", *words))["totals"]["replies"] == own, (name, words)


def test_a_name_that_means_nothing(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is said which one it was perhaps."""
    assert main(["daily", "--user", "ana", "--source", str(tmp_path / "logs")]) == 0
    assert "no user is called 'ana' (did you mean 'anna'?)" in capsys.readouterr().err


def test_sessions_say_whose_they_are(run: Run) -> None:
    """In JSON always; in the table only where there is somebody else."""
    rows = json.loads(run("sessions", "--json"))["rows"]
    assert {(row["session"], row["host"], row["user"]) for row in rows} == {("s1", "", ""), ("s9", "ci-1", "anna")}
    assert "anna" in run("sessions")
    assert "User" not in run("sessions", "--user", "this")


def test_an_export_says_whose_each_row_is(run: Run, tmp_path: Path) -> None:
    """And has only what was chosen."""

    def exported(*words: str) -> set[tuple[str, str, str]]:
        run("export", str(tmp_path / "all.ndjson"), "--force", *words)
        rows = map(json.loads, (tmp_path / "all.ndjson").read_text(encoding="utf-8").splitlines())
        return {(row["key"], row["host"], row["user"]) for row in rows}

    hers = {("msg_1", "ci-1", "anna"), ("msg_2", "ci-1", "anna")}
    assert exported() == hers | {("msg_own", "", "")}
    assert exported("--host", "ci-?") == exported("--user", "anna") == hers


def test_the_status_tells_of_other_machines(run: Run) -> None:
    """How many replies of how many hosts."""
    assert "2 of them came from other machines (hosts: 1)" in run("status")
    counted = json.loads(run("status", "--json"))["counted"]
    assert (counted["replies"], counted["replies_of_other_hosts"], counted["other_hosts"]) == (3, 2, 1)


def test_an_explanation_says_where_a_reply_is_from(run: Run) -> None:
    """From which machine of whom, that its log is there, and nothing of a deleted log."""
    said = run("explain", "msg_1")
    assert "host ci-1, user anna" in said
    assert "None here: it came from the machine ci-1 of anna, and its log is there." in said
    assert "deleted" not in said
    assert "rewritten" not in said
    document = json.loads(run("explain", "msg_1", "--json"))
    assert (document["stands"], document["host"], document["user"], document["lines"]) == ("elsewhere", "ci-1", "anna", [])
    session = json.loads(run("explain", "s9", "--json"))
    assert session["provenance"]["elsewhere"]["replies"] == 2
    assert session["line_counts"] == {"counted": 0, "repeated": 0, "replays": 0, "gone": 0, "elsewhere": 2}
    assert "from another machine" in run("explain", "s9")


def test_what_a_person_sent_is_forgotten(run: Run) -> None:
    """All of it and nothing else; shown before with whose it is, and what is sent again does not come back."""
    assert "of ci-1 of anna" in run("forget", "--user", "anna", "--dry-run")
    assert "2 replies were forgotten." in run("forget", "--user", "anna", "--yes")
    assert [row["host"] for row in json.loads(run("hosts", "--json"))["rows"]] == [""]
    run("forget", "--host", "ci-1", "--yes", code=2)


def test_the_feed_of_one_machine() -> None:
    """Changes of its replies, and of replies that are gone, since nobody knows whose those were."""
    data = store_of(record("msg_1"), record("msg_2", owner=ANNA))
    changes = [ReplyChange(0, "new", key, reply) for key, reply in replies_in(data.connection).items()]
    changes.append(ReplyChange(0, "gone", "msg_3", None))
    told: list[str] = []
    write = feed.of_machines(lambda change: told.append(change.key), hosts=["ci-*"], users=["anna"])
    for change in changes:
        write(change)
    assert told == ["msg_2", "msg_3"]


def test_completion_offers_names_of_machines(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Those that the store has, and `this`."""
    words = [f".{word}" for word in ("hosts", "--source", str(tmp_path / "logs"), "--host", "")]
    assert main(["completion", "fish", *words]) == 0
    assert capsys.readouterr().out.split() == ["ci-1", "this"]


# What others sent, explained beside what is here


def test_a_day_of_several_machines(tmp_path: Path) -> None:
    """Lines are counted where they are; of the rest it is said that their logs are there."""
    logs = write_logs(tmp_path / "logs", {"-a/s1.jsonl": line("msg_1", timestamp="2026-10-01T10:00:00.000Z") * 2})
    with closing(coordinator(logs, tmp_path / "store.db")) as engine:
        engine.check_for_updates()
        at_ms = round(datetime(2026, 10, 1, 12, tzinfo=UTC).timestamp() * 1000)
        engine.change_store(lambda store: store.take([record("msg_2", at_ms=at_ms, owner=ANNA)]))
        context = telling.Context(prices=PRICES, zone=UTC_ZONE, source=LocalFolders([logs]), projects=Projects({}))
        story = telling.of_days(engine.db, date(2026, 10, 1), date(2026, 10, 1), context)
    assert (story.lines.counted, story.lines.repeated, story.lines.elsewhere) == (1, 1, 1)
    said = story_text(story, zone=UTC_ZONE, width=200, style=Style(False))
    assert "2 lines were seen of 1 reply; one of each counts." in said
    assert "1 reply came from other machines, which sent what its lines say. The logs are there." in said
