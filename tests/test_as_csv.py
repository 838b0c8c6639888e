"""Tests of `tokentail.reports.as_csv`: the same fields as the JSON, flat, and lines that add up."""

from __future__ import annotations

import csv
import io
import json
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings

from builders import SPREAD, record
from test_build import counted, requests
from tokentail.model import Counts, Owner, Record, Report
from tokentail.reports.as_csv import report_csv
from tokentail.reports.as_json import report_json
from tokentail.reports.build import KINDS
from tokentail.reports.request import Request

BERLIN = ZoneInfo("Europe/Berlin")
COUNTS = list(Counts._fields)


def read(report: Report, *, breakdown: bool = False, agents: bool = False) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(report_csv(report, breakdown=breakdown, agents=agents), newline="")))


@settings(deadline=None, max_examples=60)
@given(SPREAD, requests())
def test_lines_add_up_to_the_totals(lines: list[Record], request: Request) -> None:
    """One line a row, or one line a row and model; those of subagents are a part of the lines above them."""
    report = counted(request, *lines)
    has_agents = request.agents and request.report == "sessions"
    for breakdown in {request.breakdown, False}:
        rows = [row for row in read(report, breakdown=breakdown, agents=has_agents) if not row.get("agent")]
        assert sum(int(row["total_tokens"]) for row in rows) == report.totals.total_tokens
        assert sum(int(row["replies"]) for row in rows) == report.totals.replies
        assert sum(float(row["cost_usd"] or 0) for row in rows) == pytest.approx(report.totals.cost_usd or 0)


@pytest.mark.parametrize("name", sorted(KINDS))
def test_fields_are_those_of_the_json(name: str) -> None:
    """In the same order, truth values as in JSON, what is null empty; a field of an object has the object's name before its own."""
    lines = [record(), record("msg_2", owner=Owner(False, True, "s1", "-home-dev-app", "a1"), model="claude-zeta-9")]
    report = counted(Request(name, BERLIN), *lines, now_ms=lines[0].at_ms + 60_000)
    expected = []
    for row in json.loads(report_json(report))["rows"]:
        flat: dict[str, object] = {}
        for field, value in row.items():
            flat |= {f"{field}_{inner}": each for inner, each in value.items()} if isinstance(value, dict) else {field: value}
        expected.append(flat)
    found = read(report)
    assert [list(row) for row in found] == [[*(field for field in flat if field not in COUNTS), *COUNTS] for flat in expected]
    for row, flat in zip(found, expected, strict=True):
        assert {field: text.removeprefix("'") for field, text in row.items()} == {field: said(value) for field, value in flat.items()}


def said(value: object) -> str:
    match value:
        case None | bool():
            return {True: "true", False: "false", None: ""}[value]
        case list():
            return " ".join(value)
    return str(value)


def test_the_header_does_not_depend_on_the_rows() -> None:
    """A program finds its columns also where nothing was used, no session has subagents and no window is running."""
    lines = [record(), record("msg_2", owner=Owner(False, True, "s1", "-home-dev-app", "a1"))]
    for name in KINDS:
        full = counted(Request(name, BERLIN), *lines, now_ms=lines[0].at_ms + 60_000)
        assert report_csv(full).splitlines()[0] == report_csv(full._replace(rows=())).splitlines()[0]
        assert len(read(full)) == 1
        assert not any(value is None for row in read(full) for value in row.values())


def test_parts_have_columns_where_they_are_asked_for() -> None:
    """Between the row's name and its counts; the line of a subagent leaves them empty, as it is part of another line."""
    lines = [record(stopped=False), record("msg_2", owner=Owner(False, True, "s1", "-home-dev-app", "a1"))]
    report = counted(Request("sessions", BERLIN, agents=True, provenance=True, not_final=True), *lines)
    session, agent = read(report, agents=True)
    parts = [
        f"provenance_{where}_{count}"
        for where in ("on_disk", "deleted", "rewritten", "elsewhere")
        for count in ("replies", "total_tokens", "cost_usd")
    ]
    parts += [f"not_final_{count}" for count in ("total_tokens", "cost_usd", "cost_share")]
    assert [name for name in session if name.startswith(("provenance", "not_final"))] == [*parts, "not_final_replies"]
    assert [session[name] for name in parts[:4]] == ["2", "4628", session["cost_usd"], "0"]
    assert (session["not_final_replies"], session["not_final_total_tokens"], session["not_final_cost_share"]) == ("1", "2314", "0.5")
    assert {agent[name] for name in parts} == {""}
    assert agent["not_final_replies"] == "0"
    assert list(session) == list(csv.DictReader(io.StringIO(report_csv(report._replace(rows=()), agents=True))).fieldnames or ())


def test_models_and_subagents_have_columns_of_their_own() -> None:
    """Behind the row's name; a line is of a model, of a subagent, or of the whole row."""
    lines = [record(), record("msg_2", owner=Owner(False, True, "s1", "-home-dev-app", "a1"), model="claude-haiku-4-5")]
    report = counted(Request("sessions", BERLIN, breakdown=True, agents=True), *lines)
    named = [[row["session"], row["agent"], row["model"], row["replies"]] for row in read(report, breakdown=True, agents=True)]
    assert named == [["s1", "", "claude-opus-5", "1"], ["s1", "", "claude-haiku-4-5", "1"], ["s1", "a1", "", "1"]]
    assert [row["agent"] for row in read(report, agents=True)] == ["", "a1"]
    nameless = counted(
        Request("sessions", BERLIN, agents=True), record(), record("msg_2", owner=Owner(False, True, "s1", "-home-dev-app", ""))
    )
    assert [row["agent"] for row in read(nameless, agents=True)] == ["", "without an id"]
    assert "agent" not in read(report, breakdown=True)[0]
