"""Tests of `tokentail.library`: programs over real files that are being written, in loops, threads and event loops."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path
from typing import Any, assert_type
from zoneinfo import ZoneInfo

import pytest

import tokentail
from logs import PRICES, coordinator, line, lines
from places import HAIKU, SHOP, Place, fixture_place  # noqa: F401  # the fixture `place`
from tokentail import database, demo, prices
from tokentail.cli import main
from tokentail.library.values import usd
from tokentail.prices import PICO_PER_USD

ROOT = Path(__file__).resolve().parents[1]
DEADLINE_S = 20.0
REPORTS = ("daily", "weekly", "monthly", "sessions", "projects", "models", "blocks")
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture(name="demo_logs", scope="module")
def fixture_demo_logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's tree: thousands of replies, some of them not final, some models without a price, subagents, copies."""
    folder = tmp_path_factory.mktemp("demo")
    demo.write_demo(folder, now=NOW)
    return folder


def wait_until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < until, "it did not come"
        threading.Event().wait(0.002)


def is_open(path: Path) -> bool:
    """Does this process hold that file?"""
    held = set()
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # closed meanwhile
            held.add(os.readlink(f"/proc/self/fd/{number}"))
    return str(path) in held


def keys(replies: Iterator[tokentail.Reply]) -> list[str]:
    return [reply.key for reply in replies]


def told(update: tokentail.Update) -> list[tuple[str, str]]:
    return [(change.event, change.key) for change in update.changes]


# Reports


def as_json(report: str, row: Any) -> dict[str, Any]:
    """A typed row as the fields of the JSON contract."""

    def plain(value: Any) -> Any:
        match value:
            case datetime():
                return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            case date():
                return value.isoformat()
            case tuple() if hasattr(value, "_asdict"):
                return value._asdict()
        return value

    fields = {name: plain(getattr(row, name)) for name in row.__slots__ if name not in ("counts", "models", "by_subagents")}
    fields |= row.counts._asdict()
    if row.models if hasattr(row, "models") else ():
        fields["models"] = [{"model": each.model, **each.counts._asdict()} for each in row.models]
    match report:
        case "monthly":
            fields["month"] = fields["month"][:7]
        case "blocks":
            fields["block"] = fields.pop("start").replace(".000", "")
            fields |= {"end": fields["end"].replace(".000", ""), "active": row.active}
        case "projects":
            fields |= {"folder": row.folder or None, "slugs": list(row.slugs)}
        case "sessions":
            agents = [{"agent": each.agent, **each.counts._asdict()} for each in fields.pop("agents")]
            under = {"agents": row.subagents, **row.by_subagents._asdict(), **({"each": agents} if agents else {})}
            fields["subagents"] = under if row.subagents else None
    return fields


@pytest.mark.parametrize("name", REPORTS)
def test_a_program_gets_what_the_command_line_prints(
    name: str, demo_logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows, totals and notes of each report are those of its JSON, field by field."""
    monkeypatch.setenv("TOKENTAIL_HOME", str(tmp_path))
    words = ["--timezone=Asia/Kolkata", "--since=2026-09-01", f"--source={demo_logs}", *(["--breakdown"] if name != "models" else [])]
    assert main([name, "--json", *words, *(["--agents"] if name == "sessions" else [])]) == 0
    printed = json.loads(capsys.readouterr().out)
    with tokentail.open(sources=[demo_logs]) as tail:
        report = tail.report(name, timezone="Asia/Kolkata", since="2026-09-01", breakdown=True, agents=True)
    assert [as_json(name, row) for row in report.rows] == printed["rows"] != []
    assert report.totals._asdict() == printed["totals"]
    assert {**report.notes._asdict(), "unpriced_models": list(report.notes.unpriced_models), "degraded": []} == printed["notes"]
    assert (report.name, report.timezone, list(report.sources)) == (name, "Asia/Kolkata", printed["sources"])


def test_rows_have_their_types(place: Place) -> None:
    """The name of a report tells the type checker what its rows are; `make check` reads this."""
    with tokentail.open() as tail:
        assert_type(tail.report("daily"), tokentail.Report[tokentail.DayRow])
        assert_type(tail.report("weekly"), tokentail.Report[tokentail.WeekRow])
        assert_type(tail.report("monthly"), tokentail.Report[tokentail.MonthRow])
        assert_type(tail.report("sessions"), tokentail.Report[tokentail.SessionRow])
        assert_type(tail.report("projects"), tokentail.Report[tokentail.ProjectRow])
        assert_type(tail.report("models"), tokentail.Report[tokentail.ModelRow])
        assert_type(tail.report("blocks"), tokentail.Report[tokentail.BlockRow])
        name = "daily"
        assert_type(tail.report(name), tokentail.Report[tokentail.Row])
        kinds = {report: type(tail.report(report).rows[0]).__name__ for report in REPORTS}
    assert kinds == dict(zip(REPORTS, ("DayRow", "WeekRow", "MonthRow", "SessionRow", "ProjectRow", "ModelRow", "BlockRow"), strict=True))


def test_a_report_sees_what_is_new(place: Place) -> None:
    """Unless it is told not to look."""
    with tokentail.open() as tail:
        assert tail.report("daily").totals.replies == 5
        place.write(place.log, line("msg_6", 6))
        assert tail.report("daily", look=False).totals.replies == 5
        assert tail.report("daily").totals.replies == 6
        assert tail.report("daily", look=False).totals.replies == 6


def test_without_a_look_there_must_be_a_store(place: Place) -> None:
    """The message says what to do."""
    with tokentail.open() as tail, pytest.raises(tokentail.StoreError, match="there is no store at"):
        tail.report("daily", look=False)


def test_the_running_block_has_a_pace(place: Place) -> None:
    """Of the others nothing can be said."""
    now = datetime.now(UTC)
    place.write(place.log, line("msg_6", 6, at=now.isoformat()))
    with tokentail.open() as tail:
        *before, last = tail.report("blocks").rows
    assert [row.active for row in before] == [False] * len(before)
    assert last.active
    assert last.pace is not None
    assert last.end - last.start == timedelta(hours=5)
    assert 0 < last.pace.minutes_left <= 300


def test_what_could_not_be_read_is_named(place: Place) -> None:
    """The rest is counted all the same."""
    (place.log.parent / "loop.jsonl").symlink_to("loop.jsonl")
    place.write(place.log, b'{"usage": oops\n')
    with tokentail.open() as tail:
        report = tail.report("daily")
    assert [problem.where.rpartition("/")[2] for problem in report.problems] == ["loop.jsonl"]
    assert (report.totals.replies, report.notes.malformed_lines) == (5, 1)


def test_the_settings_of_the_person_hold(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources, zone, first day of the week and names are those of the command line; arguments go before them."""
    settings = place.folder / "config.toml"
    other = place.folder / "other"
    place.write(other / "-home-dev-other" / "s.jsonl", line("msg_9", 9, at="2026-10-04T23:30:00.000Z", cwd="/home/dev/other"))
    settings.write_text(
        f'timezone = "Europe/Berlin"\nweek_starts = "sunday"\nsources = ["{other}"]\n'
        '[blocks]\nrounding = "10min"\n[projects.aliases]\n"-home-dev-other" = "Another"\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("TOKENTAIL_CONFIG", str(settings))
    with tokentail.open() as tail:
        assert [row.day for row in tail.report("daily").rows] == [date(2026, 10, 5)]
        assert [row.week for row in tail.report("weekly").rows] == [date(2026, 10, 4)]
        assert [row.week for row in tail.report("weekly", week_starts="monday").rows] == [date(2026, 10, 5)]
        assert [row.day for row in tail.report("daily", timezone=ZoneInfo("UTC")).rows] == [date(2026, 10, 4)]
        assert [row.start.minute for row in tail.report("blocks").rows] == [30]
        assert [row.start.minute for row in tail.report("blocks", rounding="hour").rows] == [0]
        assert [row.project_name for row in tail.report("projects").rows] == ["Another"]
        assert [reply.project_name for reply in tail.replies()] == ["Another"]
    with tokentail.open(sources=[place.projects]) as tail:
        assert tail.report("daily").totals.replies == 5
    with tokentail.open(config=os.devnull) as tail:
        assert tail.report("daily").totals.replies == 5
    settings.write_text("nonsense = 1\n", encoding="utf-8")
    with pytest.raises(tokentail.ConfigError, match="nonsense"):
        tokentail.open()


def test_a_price_list_of_ones_own(place: Place) -> None:
    """A tail and a price go by the list that they are given."""
    own = place.folder / "prices.json"
    own.write_text(prices.SHIPPED.read_text(encoding="utf-8").replace('"claude-opus-5":', '"claude-opus-55":'), encoding="utf-8")
    with tokentail.open(prices=own) as tail:
        assert tail.report("daily").notes.unpriced_models == ("claude-opus-5",)
        assert [reply.cost for reply in tail.replies(model="claude-opus-5", look=False)] == [None] * 3
    assert tokentail.price(model="claude-opus-5", tokens=tokentail.Tokens(1), at=NOW, prices=own) is None
    with pytest.raises(tokentail.TokentailError, match="cannot read the price list nowhere"):
        tokentail.open(prices="nowhere")


def test_prices_in_the_settings(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person's own prices are those of reports, replies and `price`."""
    settings = place.folder / "config.toml"
    settings.write_text("[prices.models.claude-opus-5]\ninput = 1000\noutput = 1000\n", encoding="utf-8")
    monkeypatch.setenv("TOKENTAIL_CONFIG", str(settings))
    cost = tokentail.price(model="claude-opus-5", tokens=tokentail.Tokens(1), at=NOW)
    assert cost == tokentail.Cost(usd=Decimal("0.001"), is_lower_bound=False)
    with tokentail.open() as tail:
        (reply,) = tail.replies(since="2026-10-02")
        assert reply.cost == Decimal("0.055") + Decimal("0.004") + Decimal("0.2") + Decimal("0.6")
        assert tail.report("daily", since="2026-10-02").totals.cost_usd == 0.859


def test_an_imported_list_that_cannot_be_used_is_said(place: Place) -> None:
    """Among what could not be done as it should."""
    place.stores.mkdir()
    prices.imported_path(place.stores).write_text("nonsense", encoding="utf-8")
    with tokentail.open() as tail, contextlib.closing(tail.follow()) as updates:
        (said,) = tail.report("daily").notes.degraded
        assert said.startswith("cannot use the imported price list")
        assert next(updates).degraded == (said,)


def longer_prompts(place: Place) -> Path:
    """A price list with another long-context limit."""
    raw = json.loads(prices.SHIPPED.read_bytes())
    raw["models"]["claude-haiku-5-5"]["prices"][0]["long_context"][0]["above"] = 150_000
    path = place.folder / "longer.json"
    path.write_text(json.dumps(raw), encoding="utf-8")
    return path


def test_a_list_with_other_limits_needs_a_store_of_its_own(place: Place) -> None:
    """It would cut the sums of a store that others use in other places."""
    with pytest.raises(tokentail.UsageError, match="it has other long-context limits than the one in use"):
        tokentail.open(prices=longer_prompts(place))
    with tokentail.open(prices=longer_prompts(place), home=place.folder / "own") as tail:
        assert tail.report("daily").totals.replies == 5


def test_a_store_that_was_cut_anew_is_not_read_by_the_old_limits(place: Place) -> None:
    """Whoever does not look notices it all the same."""
    with tokentail.open() as tail, tokentail.open(home=place.stores, prices=longer_prompts(place)) as other:
        tail.report("daily")
        other.report("daily")
        for look in (False, True):
            with pytest.raises(tokentail.StoreError, match="a price list with other long-context limits was imported"):
                tail.report("daily", look=look)


def wrong_arguments() -> list[Any]:
    return [
        pytest.param(lambda tail: tail.report("hourly"), "report='hourly' is unknown", id="report"),
        pytest.param(lambda tail: tail.report("daily", since="someday"), "cannot read the day 'someday'", id="day"),
        pytest.param(lambda tail: tail.report("daily", since=NOW), "a report goes by days", id="moment"),
        pytest.param(lambda tail: tail.report("daily", timezone="Mars/Base"), "unknown time zone 'Mars/Base'", id="zone"),
        pytest.param(lambda tail: tail.report("daily", limit=0), "limit=0 leaves no rows", id="limit"),
        pytest.param(lambda tail: tail.report("daily", order="worst"), "order='worst' is unknown", id="order"),
        pytest.param(lambda tail: tail.report("models", order="oldest"), "models cannot be ordered by 'oldest'", id="order of models"),
        pytest.param(lambda tail: tail.report("weekly", week_starts="caturday"), "week_starts='caturday' is unknown", id="weekday"),
        pytest.param(lambda tail: tail.report("blocks", rounding="day"), "rounding='day' is unknown", id="rounding"),
        pytest.param(lambda tail: tail.replies(since=datetime(2026, 10, 1)), "has no zone", id="naive"),  # noqa: DTZ001
        pytest.param(lambda tail: tail.replies(until="tomorrow"), "cannot read the day 'tomorrow'", id="until"),
        pytest.param(lambda _: tokentail.open(sources="logs"), "sources='logs' is no list", id="one source"),
        pytest.param(lambda _: tokentail.open(sources=[]), "sources names no folder", id="no source"),
        pytest.param(
            lambda _: tokentail.price(model="m", tokens=tokentail.Tokens(), at=datetime(2026, 10, 1)),  # noqa: DTZ001
            "the time has no zone",
            id="naive price",
        ),
    ]


@pytest.mark.parametrize(("ask", "why"), wrong_arguments())
def test_an_argument_that_means_nothing_is_refused(ask: Callable[[tokentail.Tail], object], why: str, place: Place) -> None:
    """At once, before anything is read, by an error that says what it means nothing of."""
    with tokentail.open() as tail, pytest.raises(tokentail.UsageError, match=why):
        ask(tail)


def test_a_keyword_that_is_not_there_is_refused(place: Place) -> None:
    """As any function of Python does."""
    with tokentail.open() as tail, pytest.raises(TypeError, match="sinse"):
        tail.report("daily", sinse="7d")  # type: ignore[call-overload]  # that is the case


@pytest.mark.parametrize("what", ["report", "replies"])
def test_a_closed_tail_answers_no_more(what: str, place: Place) -> None:
    """And holds nothing; it may be closed twice."""
    with tokentail.open() as tail:
        tail.report("daily")
        assert is_open(place.store)
    assert not is_open(place.store)
    tail.close()
    with pytest.raises(tokentail.UsageError, match="this tail is closed"):
        tail.report("daily") if what == "report" else tail.replies()


def test_a_store_that_cannot_be_used_is_said_in_our_words(place: Place) -> None:
    """No error of SQLite reaches a program."""
    with tokentail.open() as tail:
        tail.report("daily")
    with contextlib.closing(database.open_for_writing(place.store)) as db:
        db.execute("DROP TABLE days")
    with tokentail.open() as tail, pytest.raises(tokentail.StoreError, match="cannot read the store"):
        tail.report("daily", look=False)


def test_reports_in_many_threads(place: Place) -> None:
    """One tail may be asked by all threads at once."""
    found: list[int] = []
    with tokentail.open() as tail:
        threads = [threading.Thread(target=lambda: found.append(tail.report("models").totals.replies)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE_S)
    assert found == [5] * 8


def test_values_can_be_kept(place: Place) -> None:
    """They are frozen, compare by what they hold, and go through pickle."""
    with tokentail.open() as tail:
        report, (reply, *_) = tail.report("sessions", breakdown=True, agents=True), tail.replies()
    with pytest.raises(AttributeError):
        report.rows[0].session = "other"  # type: ignore[misc]
    for value in (report, reply, tokentail.parse_line(line())):
        assert pickle.loads(pickle.dumps(value)) == value
        assert hash(value) == hash(pickle.loads(pickle.dumps(value)))


# Replies


@pytest.mark.parametrize(
    ("since", "until", "found"),
    [
        (None, None, "1 3 4 2 5"),
        (date(2026, 10, 2), None, "5"),
        (None, "2026-10-01", "1 3 4 2"),
        ("2026-10", "2026-10", "1 3 4 2 5"),
        (date.max, None, ""),
        (None, date.max, "1 3 4 2 5"),
        (datetime(2026, 10, 1, 10, 10, tzinfo=UTC), datetime(2026, 10, 1, 10, 30, tzinfo=UTC), "3 4"),
        (datetime(2026, 10, 1, 10, 10, 0, 1, tzinfo=UTC), datetime(2026, 10, 1, 10, 30, 0, 1, tzinfo=UTC), "4 2"),
        (datetime(2026, 10, 1, 12, 10, tzinfo=ZoneInfo("Europe/Berlin")), "2026-10-01", "3 4 2"),
        (datetime.max.replace(tzinfo=UTC), None, ""),
    ],
)
def test_replies_of_a_time(since: date | str | None, until: date | str | None, found: str, place: Place) -> None:
    """Oldest first; days are taken whole, moments to the millisecond: from the first one on, before the other."""
    with tokentail.open() as tail:
        assert [key.removeprefix("msg_") for key in keys(tail.replies(since=since, until=until))] == found.split()


def test_days_of_replies_are_those_of_a_zone(place: Place) -> None:
    """As in a report."""
    with tokentail.open() as tail:
        assert keys(tail.replies(until="2026-10-01", timezone="Pacific/Kiritimati")) == []
        assert len(keys(tail.replies(since="2026-10-02", timezone=ZoneInfo("Pacific/Kiritimati")))) == 5


@pytest.mark.parametrize(
    ("project", "model", "found"),
    [
        ("shop", (), "1 3 4 2"),
        (["shop", "/home/dev/blog"], (), "1 3 4 2 5"),
        ("*", "claude-haiku-*", "3 4"),
        (SHOP, ["claude-opus-5", HAIKU], "1 3 4 2"),
        ("shop", "gpt-*", ""),
        ("nothing", (), ""),
    ],
)
def test_replies_of_a_project_or_model(project: str | Sequence[str], model: str | Sequence[str], found: str, place: Place) -> None:
    """By the names that a report knows."""
    with tokentail.open() as tail:
        assert [key.removeprefix("msg_") for key in keys(tail.replies(project=project, model=model))] == found.split()


def test_replies_are_of_one_moment(place: Place) -> None:
    """What changes while they are read is not seen, half or whole."""
    with tokentail.open() as tail:
        reading = tail.replies()
        first = next(reading)
        place.write(place.log, line("msg_5", 99, at="2026-09-01T10:00:00.000Z") + line("msg_9", 9, at="2026-10-09T10:00:00.000Z"))
        assert tail.report("daily").totals.replies == 6
        assert [first.key, *keys(reading)] == ["msg_1", "msg_3", "msg_4", "msg_2", "msg_5"]


@pytest.mark.parametrize("how", ["closed", "dropped", "finished"])
def test_replies_release_the_store(how: str, place: Place) -> None:
    """However the reading ends."""
    with tokentail.open() as tail:
        reading = tail.replies()
    next(reading)
    assert is_open(place.store)
    match how:
        case "closed":
            assert hasattr(reading, "close")
            reading.close()
        case "dropped":
            del reading
            gc.collect()
        case _:
            list(reading)
    assert not is_open(place.store)


def test_exact_costs_add_up_to_every_total(demo_logs: Path, tmp_path: Path) -> None:
    """Who adds up `cost` has each report's total to the last digit, and a row's from its replies."""
    with tokentail.open(sources=[demo_logs], home=tmp_path) as tail:
        replies = list(tail.replies())
        with localcontext(prec=60):
            exact = sum((reply.cost for reply in replies if reply.cost is not None), Decimal())
            of_session: dict[str, Decimal] = {}
            for reply in replies:
                of_session[reply.session] = of_session.get(reply.session, Decimal()) + (reply.cost or 0)
        assert [float(exact)] * 7 == [tail.report(name).totals.cost_usd for name in REPORTS]
        assert {row.session: row.cost_usd for row in tail.report("sessions").rows} == {key: float(cost) for key, cost in of_session.items()}
    assert len(replies) == tail_total(replies) > 1000


def tail_total(replies: Sequence[tokentail.Reply]) -> int:
    return sum(reply.counts.replies for reply in replies)


def test_a_reply_says_all_of_itself(place: Place) -> None:
    """Its own tokens, what was billed besides it, and both together."""
    extra = {"type": "compaction", "input_tokens": 1000, "output_tokens": 10, "model": HAIKU}
    said = {"iterations": [extra], "speed": "fast", "inference_geo": "us", "server_tool_use": {"web_search_requests": 2}}
    place.write(place.agent, line("msg_6", 7, at="2026-10-05T10:00:00.000Z", stop_reason=None, usage=said, sessionId="3f9c"))
    with tokentail.open() as tail:
        (reply,) = tail.replies(since="2026-10-05")
    assert (reply.session, reply.project, reply.project_name, reply.agent) == ("3f9c", SHOP, "shop", "a1b2")
    assert (reply.id, reply.at, reply.version) == ("msg_6", datetime(2026, 10, 5, 10, tzinfo=UTC), "2.1.229")
    assert reply.tokens == tokentail.Tokens(4, 7, 2000, 0, 300)
    assert reply.extras == (tokentail.Extra(HAIKU, tokentail.Tokens(1000, 10)),)
    assert (reply.speed, reply.geo, reply.service_tier, reply.final) == ("fast", "us", "standard", False)
    assert (reply.counts.total_tokens, reply.counts.web_searches, reply.counts.not_final_replies) == (3321, 2, 1)
    # (4 x 5 + 7 x 25 + 2000 x 0.5 + 300 x 10) x 2 x 1.1, the extra at 1 and 5, and two searches
    assert reply.cost == Decimal("0.0092290") + (Decimal("0.001050") * Decimal("1")) + Decimal("0.02")
    assert reply.cost_usd == float(reply.cost)


# One line


def test_a_line_with_usage() -> None:
    """All that it says, with what the path says."""
    data = line("msg_1", 310, sessionId="s9", cwd="/home/dev/app")
    parsed = tokentail.parse_line(data, path="/home/dev/.claude/projects/-home-dev-app/s9/subagents/agent-a1.jsonl")
    (record,) = parsed.records
    assert (record.group, record.id, record.request_id) == ("msg_1", "msg_1", "req_msg_1")
    assert (record.session, record.project, record.agent, record.folder) == ("s9", "-home-dev-app", "a1", "/home/dev/app")
    assert (record.at, record.model, record.version) == (datetime(2026, 10, 1, 10, tzinfo=UTC), "claude-opus-5", "2.1.229")
    assert (record.tokens, record.final, parsed.malformed) == (tokentail.Tokens(4, 310, 2000, 0, 300), True, "")


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_line_is_taken_with_its_end_and_as_text(end: bytes) -> None:
    """Bytes of a file or a text: the same."""
    data = line("msg_1").rstrip(b"\n") + end
    assert tokentail.parse_line(data) == tokentail.parse_line(data.decode()) == tokentail.parse_line(b"\xef\xbb\xbf" + data)
    assert len(tokentail.parse_line(data).records) == 1


@pytest.mark.parametrize("data", [b"", b"\n", b"not json", b'{"type":"user","message":{"content":"hi"}}', "\ud800", "{"])
def test_a_line_without_usage_holds_nothing(data: bytes | str) -> None:
    """Nor is anything wrong with it: most lines are so."""
    assert tokentail.parse_line(data) == tokentail.ParsedLine(records=(), malformed="")


def test_a_broken_line_says_so() -> None:
    """What stands before the break counts."""
    parsed = tokentail.parse_line(line("msg_1").rstrip(b"\n") + b'{"usage": oops')
    assert [record.id for record in parsed.records] == ["msg_1"]
    assert parsed.malformed.startswith("not JSON: expecting value at character ")


def test_lines_by_the_documented_rule_give_the_stores_counts(place: Place) -> None:
    """Of the records of a group the one with the greatest output: for ordinary logs that is what the store counts."""
    best: dict[str, int] = {}
    for log in place.projects.rglob("*.jsonl"):
        for data in log.read_bytes().splitlines():
            for record in tokentail.parse_line(data, path=log).records:
                best[record.group] = max(best.get(record.group, 0), record.tokens.output)
    with tokentail.open() as tail:
        assert {reply.key: reply.tokens.output for reply in tail.replies()} == best


# A price


def test_a_price_is_that_of_the_list() -> None:
    """By date, prompt, speed, region and tier, to the pico-dollar."""
    tokens = tokentail.Tokens(1, 2, 3, 4, 5)
    at = datetime(2026, 10, 1, tzinfo=UTC)
    said: list[dict[str, Any]] = [{}, {"speed": "fast"}, {"geo": "us"}, {"service_tier": "batch"}, {"speed": "warp"}]
    for options in said:
        rate = PRICES.rate("claude-opus-5", 1_790_812_800_000, **options)
        assert rate is not None
        cost = tokentail.price(model="claude-opus-5", tokens=tokens, at=at, web_searches=3, **options)
        assert cost == tokentail.Cost(usd=usd(rate.cost(tokens, 3)), is_lower_bound=rate.assumed)


def test_a_long_prompt_costs_its_own_price() -> None:
    """All tokens of a request decide together."""
    at = datetime(2026, 10, 1, tzinfo=UTC)
    short, long = (tokentail.price(model="claude-haiku-5-5", tokens=tokentail.Tokens(count), at=at) for count in (100_000, 100_001))
    assert short is not None
    assert long is not None
    assert (short.usd, long.usd) == (Decimal("0.01"), Decimal("0.0500005"))


def test_money_is_exact_whatever_the_context() -> None:
    """A caller's decimal context with few digits rounds nothing."""
    with localcontext(prec=3):
        assert Fraction(usd(123_456_789_012_345_678_901)) == Fraction(123_456_789_012_345_678_901, PICO_PER_USD)


# Following


def test_follow_tells_what_happens(place: Place) -> None:
    """New, grown, corrected and gone, as it is written; what was there before is not told."""
    with contextlib.closing(tokentail.open().follow()) as updates:
        first = next(updates)
        assert (told(first), first.metrics.replies_new, first.problems, first.degraded) == ([], 5, (), ())
        place.write(place.log, line("msg_6", 6, cwd="/home/dev/shop"))
        assert told(next(update for update in updates if update.changes)) == [("new", "msg_6")]
        place.write(place.log, line("msg_6", 60, cwd="/home/dev/shop"))
        grown = next(update for update in updates if update.changes)
        assert told(grown) == [("grown", "msg_6")]
        reply = grown.changes[0].reply
        assert reply is not None
        assert (reply.tokens.output, reply.project_name) == (60, "shop")
        place.write(place.log, line("msg_6", 61, requestId="req_other"))
        split = next(update for update in updates if update.changes)
        assert sorted(told(split)) == [("gone", "msg_6"), ("new", "msg_6/req_msg_6"), ("new", "msg_6/req_other")]
        assert {change.key for change in split.changes if change.reply is None} == {"msg_6"}


def test_follow_tells_what_others_committed(place: Place) -> None:
    """A report of the same tail, or of another process, takes nothing away from who follows."""
    with tokentail.open() as tail, contextlib.closing(tail.follow()) as updates:
        next(updates)
        place.write(place.log, line("msg_6", 6))
        assert tail.report("daily").totals.replies == 6
        assert told(next(update for update in updates if update.changes)) == [("new", "msg_6")]


@pytest.mark.parametrize("how", ["closed", "dropped", "left"])
def test_follow_releases_its_connection(how: str, place: Place) -> None:
    """However the loop ends."""
    updates = tokentail.open().follow()
    next(updates)
    assert is_open(place.store)
    match how:
        case "closed":
            updates.close()
        case "dropped":
            del updates
            gc.collect()
        case _:
            for _ in updates:
                break
            del updates
    assert not is_open(place.store)


def test_follow_ends_when_it_is_told(place: Place) -> None:
    """By an event that another thread sets."""
    stop, seen = threading.Event(), threading.Event()

    def run() -> None:
        for _ in tokentail.open().follow(stop):
            seen.set()

    thread = threading.Thread(target=run)
    thread.start()
    assert seen.wait(DEADLINE_S)
    stop.set()
    thread.join(DEADLINE_S)
    assert not thread.is_alive()
    assert not is_open(place.store)


def test_follow_that_is_told_before_it_begins_reads_nothing_to_its_end(place: Place) -> None:
    """A first look at years of logs ends with the file that it is at; what was committed stays."""
    stop = threading.Event()
    stop.set()
    assert list(tokentail.open().follow(stop)) == []
    assert not is_open(place.store)
    with tokentail.open() as tail:
        assert tail.report("daily").totals.replies == 5


def test_follow_goes_on_when_its_tail_is_closed(place: Place) -> None:
    """It stands by itself."""
    with tokentail.open() as tail:
        updates = tail.follow()
        next(updates)
    place.write(place.log, line("msg_6", 6))
    assert told(next(update for update in updates if update.changes)) == [("new", "msg_6")]
    updates.close()


FOLLOWER = """
import sys
import tokentail
try:
    for update in tokentail.open().follow():
        print("update", flush=True)
except KeyboardInterrupt:
    print("interrupted")
    sys.exit(7)
"""


def test_ctrl_c_reaches_the_program(place: Place) -> None:
    """The loop ends with KeyboardInterrupt, as any loop, and the store is left in order."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with place.being_written():
        program = subprocess.Popen([sys.executable, "-c", FOLLOWER], env=environment, stdout=subprocess.PIPE, text=True)
        assert program.stdout is not None
        assert program.stdout.readline() == "update\n"
        program.send_signal(signal.SIGINT)
        out, _ = program.communicate(timeout=DEADLINE_S)
    assert (out.splitlines()[-1], program.returncode) == ("interrupted", 7)
    with tokentail.open() as tail:
        assert tail.report("daily").totals.replies == sum(1 for _ in tail.replies()) >= 5


def test_two_follow_at_once(place: Place) -> None:
    """Each is told everything."""
    with contextlib.closing(tokentail.open().follow()) as one, contextlib.closing(tokentail.open().follow()) as other:
        next(one), next(other)
        place.write(place.log, lines(6, 8))
        expected = [("new", f"msg_{number}") for number in (6, 7, 8)]
        assert told(next(update for update in one if update.changes)) == expected
        assert told(next(update for update in other if update.changes)) == expected


# Following beside an event loop


async def test_async_follow_tells_what_happens(place: Place) -> None:
    """The same updates; when the loop is left, the connection is released before it goes on."""
    async with contextlib.aclosing(tokentail.open().follow_async()) as updates:
        assert told(await anext(updates)) == []
        place.write(place.log, line("msg_6", 6))
        async for update in updates:
            if update.changes:
                assert told(update) == [("new", "msg_6")]
                break
    assert not is_open(place.store)


async def test_the_event_loop_is_never_held_up(place: Place) -> None:
    """While a look waits for another process's lock, everything else goes on; here it is what ends the wait."""
    with database.locked(place.store, wait_s=DEADLINE_S):
        updates = tokentail.open().follow_async()
        first = asyncio.ensure_future(anext(updates))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not first.done()
    assert (await asyncio.wait_for(first, DEADLINE_S)).metrics.replies_new == 5
    await updates.aclose()
    assert not is_open(place.store)


async def test_a_cancelled_task_ends(place: Place) -> None:
    """With the look that is under way, and without an error of ours."""
    seen = asyncio.Event()

    async def run() -> None:
        async for _ in tokentail.open().follow_async():
            seen.set()

    task = asyncio.create_task(run())
    await asyncio.wait_for(seen.wait(), DEADLINE_S)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, DEADLINE_S)
    await asyncio.to_thread(wait_until, lambda: not is_open(place.store))


async def test_a_cancelled_task_does_not_wait_for_a_look_that_hangs(place: Place) -> None:
    """It ends while the look still waits for a lock that nobody gives away."""
    with database.locked(place.store, wait_s=DEADLINE_S):
        updates = tokentail.open().follow_async()
        task = asyncio.ensure_future(anext(updates))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        names = [thread.name for thread in threading.enumerate() if thread.name.startswith("tokentail-follow")]
        assert names != []
    await asyncio.to_thread(wait_until, lambda: not any(each.name in names for each in threading.enumerate()))
    assert not is_open(place.store)


def test_an_abandoned_async_loop_releases_its_connection(place: Place) -> None:
    """Also without `aclose`: the event loop ends what nobody listens to any more."""

    async def run() -> None:
        async for _ in tokentail.open().follow_async():
            break
        await asyncio.to_thread(wait_until, lambda: not is_open(place.store))

    asyncio.run(run())
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("tokentail-follow")]


async def test_an_error_reaches_the_async_loop(place: Place) -> None:
    """As it is."""
    place.stores.mkdir()
    with contextlib.closing(coordinator(place.folder, store=place.store)) as made:
        made.check_for_updates()
        made.db.execute("PRAGMA user_version = 1000")
    with pytest.raises(tokentail.StoreNewerError, match="update tokentail"):
        await anext(tokentail.open().follow_async())
