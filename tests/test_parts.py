"""Tests of `tokentail.reports.parts`: what stands where, and what is not final, adds up to the rows of every report."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import MODEL, SPREAD, STATES, line, record, replies_of, store_of_lives, usage, write_logs
from logs import PRICES
from test_build import BERLIN, CONTEXT, ZONES, requests, stored
from tokentail.cli import main
from tokentail.estimate import with_output
from tokentail.model import Counts, Record, Reply
from tokentail.reports.build import KINDS, build
from tokentail.reports.data import Counted, Stored
from tokentail.reports.parts import cost_share
from tokentail.reports.request import Estimates, Request

LIVES = st.lists(st.tuples(STATES, SPREAD), max_size=3)


# Rows


@settings(deadline=None, max_examples=200)
@given(LIVES, requests())
def test_where_replies_stand_adds_up(lives: list[tuple[str, list[Record]]], request: Request) -> None:
    """On disk, deleted and rewritten are together what the row says, every count of it; and nothing else of the report differs."""
    data = Stored(store_of_lives(*lives).connection, PRICES)
    report = build(request._replace(provenance=True), data, CONTEXT)
    for parts, counts in [(report.provenance, report.totals), *((row.provenance, row.counts) for row in report.rows)]:
        assert parts is not None
        for name in Counts._fields[:9]:
            assert sum([getattr(part, name) for part in parts]) == getattr(counts, name)
        assert sum(part.cost_usd or 0 for part in parts) == pytest.approx(counts.cost_usd or 0)
    rows = tuple(row._replace(provenance=None) for row in report.rows)
    assert report._replace(rows=rows, provenance=None) == build(request, data, CONTEXT)


@settings(deadline=None, max_examples=100)
@given(LIVES, st.sampled_from(sorted(KINDS)), ZONES)
def test_where_each_reply_stands(lives: list[tuple[str, list[Record]]], name: str, zone: ZoneInfo) -> None:
    """A part of a report is the report of the replies that stand there."""
    order = ("live", "missing", "rewritten")
    lines = [each for _, some in lives for each in some]
    where = {each.group: min(order.index(state) for state, some in lives for other in some if other.group == each.group) for each in lines}
    report = build(Request(name, zone, provenance=True), Stored(store_of_lives(*lives).connection, PRICES), CONTEXT)
    for part, counts in enumerate(report.provenance or ()):
        assert counts == stored(Request(name, zone), *(each for each in lines if where[each.group] == part)).totals


@settings(deadline=None, max_examples=150)
@given(SPREAD, st.sampled_from(["daily", "weekly", "monthly", "sessions", "projects", "models"]), ZONES)
def test_what_is_not_final_is_what_those_replies_used(lines: list[Record], name: str, zone: ZoneInfo) -> None:
    """Row by row it is the report of the replies without a final output count, and as many as the row says."""
    alone = [reply.key for reply in replies_of(lines).values() if not reply.final]
    expected = stored(Request(name, zone), *(each for each in lines if each.group in alone))
    report = stored(Request(name, zone, not_final=True), *lines)
    assert report.not_final == expected.totals
    assert {row.key: row.not_final for row in report.rows if row.not_final != Counts()} == {row.key: row.counts for row in expected.rows}
    assert [row.not_final.replies for row in report.rows if row.not_final] == [row.counts.not_final_replies for row in report.rows]


def test_a_part_of_what_has_no_price_has_no_cost() -> None:
    """Unknown is not zero: neither the deleted part's cost nor the share of what is not final is known; an empty part costs nothing."""
    db = store_of_lives(("live", [record()]), ("missing", [record("msg_2", model="claude-zeta-9", stopped=False)])).connection
    report = build(Request("models", BERLIN, provenance=True, not_final=True), Stored(db, PRICES), CONTEXT)
    zeta = next(row for row in report.rows if row.key == "claude-zeta-9")
    assert zeta.provenance is not None
    assert zeta.not_final is not None
    assert [part.cost_usd for part in zeta.provenance] == [0, None, 0, 0]
    assert cost_share(zeta.not_final, zeta.counts) is None
    assert cost_share(Counts(), zeta.counts) is None
    assert cost_share(Counts(), Counts()) is None


def test_the_share_of_what_is_not_final() -> None:
    """Of the cost, a number from 0 to 1."""
    (row,) = stored(Request("daily", BERLIN, not_final=True), record(stopped=False), record("msg_2"), record("msg_3")).rows
    assert row.not_final is not None
    assert cost_share(row.not_final, row.counts) == pytest.approx(1 / 3)


def _estimates(replies: Iterable[Reply]) -> Estimates:
    """Every output that is not final may be 1 000 more."""
    made = [(reply, reply.tokens.output + 1000) for reply in replies if not reply.final]
    return lambda start_ms, end_ms, *, projects, models: made


@settings(deadline=None, max_examples=150)
@given(SPREAD, requests())
def test_estimates_are_what_the_report_would_say_if_they_were_counts(lines: list[Record], request: Request) -> None:
    """Row by row output, tokens and cost are those of a report on replies with that output; and nothing else of the report differs."""
    data, replies = Stored(store_of_lives(("live", lines)).connection, PRICES), replies_of(lines).values()
    report = build(request._replace(estimate=True), data, CONTEXT._replace(estimates=_estimates(replies)))
    as_if = [reply if reply.final else with_output(reply, reply.tokens.output + 1000) for reply in replies]
    expected = build(request, Counted(as_if, data.folders(), PRICES), CONTEXT)
    sums = {row.key: row.counts for row in expected.rows}
    for estimate, counts in [
        (report.estimate, expected.totals),
        *((row.estimate, sums[row.key]) for row in report.rows if row.key in sums),
    ]:
        assert estimate is not None
        assert estimate.output_tokens == counts.output_tokens
        assert estimate.total_tokens == counts.total_tokens
        assert estimate.cost_usd == (None if counts.cost_usd is None else pytest.approx(counts.cost_usd))
    rows = tuple(row._replace(estimate=None) for row in report.rows)
    assert report._replace(rows=rows, estimate=None) == build(request, data, CONTEXT)


# As a person asks for it


@pytest.fixture(name="home")
def fixture_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in (("HOME", "home"), ("TOKENTAIL_HOME", "store"), ("TOKENTAIL_CONFIG", "config.toml")):
        monkeypatch.setenv(name, str(tmp_path / value))
    monkeypatch.setenv("TZ", "UTC")
    return tmp_path / "home" / ".claude" / "projects"


def test_logs_that_were_deleted_and_rewritten(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each report says how many of its replies can still be looked up, row by row and in all."""
    write_logs(home, {"-a/s1.jsonl": line("msg_1"), "-a/s2.jsonl": line("msg_2"), "-b/s3.jsonl": line("msg_3", output=7) + line("msg_4")})
    assert main(["daily"]) == 0
    (home / "-a" / "s2.jsonl").unlink()
    write_logs(home, {"-b/s3.jsonl": line("msg_4")})
    capsys.readouterr()
    assert main(["projects", "--order=name", "--provenance", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    replies = [[part["replies"] for part in each["provenance"].values()] for each in (*document["rows"], document["totals"])]
    assert replies == [[1, 1, 0, 0], [1, 0, 1, 0], [2, 1, 1, 0]]
    assert list(document["totals"]["provenance"]) == ["on_disk", "deleted", "rewritten", "elsewhere"]
    assert document["totals"]["provenance"]["rewritten"]["total_tokens"] == 2311


@pytest.mark.parametrize("how", [[], ["--no-store"]])
def test_replies_that_are_not_final(how: list[str], home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """How many there are, and their part of the cost, with a store and without."""
    write_logs(home, {"-a/s1.jsonl": line("msg_1") + line("msg_2", stop_reason=None) + line("msg_3", stop_reason=None)})
    assert main(["daily", "--not-final", "--json", *how]) == 0
    document = json.loads(capsys.readouterr().out)
    (row,) = document["rows"]
    cost = pytest.approx(row["cost_usd"] * 2 / 3)
    expected = {"replies": 2, "total_tokens": 4628, "cost_usd": cost, "cost_share": pytest.approx(2 / 3)}
    assert row["not_final"] == document["totals"]["not_final"] == expected


def test_nothing_is_split_unasked(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A report has these fields only where they are asked for."""
    write_logs(home, {"-a/s1.jsonl": line()})
    assert main(["daily", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert not {"provenance", "not_final"} & (document["totals"].keys() | document["rows"][0].keys())


def test_a_reread_does_not_know_what_was_deleted(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong usage, said before anything is read."""
    assert main(["daily", "--provenance", "--no-store"]) == 2
    assert capsys.readouterr() == (
        "",
        "tokentail: --provenance needs the store: a re-read knows only what is on disk (leave out --no-store)\n",
    )


def test_estimates_are_labelled_in_every_shape(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Table, chart, JSON and CSV have them beside the counts, which stay what they are."""
    content = [{"type": "text", "text": "x" * 10_000}]
    message = {"id": "msg_2", "model": MODEL, "stop_reason": None, "usage": usage(10), "content": content}
    write_logs(home, {"-a/s1.jsonl": line("msg_1", output=310) + line("msg_2", message=message)})
    expected = 310 + round(0.315 * 10_000 + 22)
    assert main(["daily", "--estimate-output"]) == 0
    table = capsys.readouterr().out
    assert f"~ {expected:,}" in table
    assert "an estimate from the length of what was said, not a count" in " ".join(table.split())
    assert main(["daily", "--estimate-output", "--chart"]) == 0
    assert f"With estimates for 1 of them: {expected:,} output tokens" in capsys.readouterr().out
    assert main(["daily", "--estimate-output", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert (row["output_tokens"], row["estimate"]["output_tokens"], row["estimate"]["replies"]) == (320, expected, 1)
    assert main(["daily", "--estimate-output", "--csv"]) == 0
    header, values = capsys.readouterr().out.splitlines()
    assert dict(zip(header.split(","), values.split(","), strict=True))["estimate_output_tokens"] == str(expected)


def test_where_all_is_final_there_is_nothing_to_estimate(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And it says so."""
    write_logs(home, {"-a/s1.jsonl": line("msg_1", output=310)})
    assert main(["daily", "--estimate-output"]) == 0
    assert "There is nothing to estimate: all output counts are final." in capsys.readouterr().out


def test_without_a_store_there_are_no_estimates(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is what knows the places of lines."""
    write_logs(home, {"-a/s1.jsonl": line("msg_1")})
    assert main(["daily", "--estimate-output", "--no-store"]) == 2
    assert "--estimate-output needs the store" in capsys.readouterr().err
