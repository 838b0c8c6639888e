"""Tests of `tokentail.reports`: whole outputs against the stored ones in `tests/data/reports`, and what names can do to them."""

from __future__ import annotations

import csv
import io
import json
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logs import PRICES
from tokentail.model import Counts, Extra, Metrics, Notes, Owner, Reply, ReplyChange, Report, Row, Tokens, Update
from tokentail.reports import text
from tokentail.reports.as_csv import guarded, report_csv
from tokentail.reports.as_json import feed_json, report_json
from tokentail.reports.build import build, shown_path
from tokentail.reports.data import Counted
from tokentail.reports.overview import Overview, overview_text
from tokentail.reports.request import Context, Request

DATA = Path(__file__).with_name("data") / "reports"
PLAIN = text.Style(False)
BERLIN = ZoneInfo("Europe/Berlin")
ROWS = (
    Row("2026-10-01", Counts(1_204, 55_310, 300, 410_000, 9_876_543, 10_343_357, 412, 3, 2, 21.0304, True)),
    Row("2026-10-02", Counts(0, 0, 0, 0, 0, 0, 0, 0, 0, 0.0, False)),
    Row("2026-10-04", Counts(7, 1, 0, 0, 0, 8, 1, 0, 0, None, True)),
    Row("2026-10-25", Counts(9_007_199, 1_000_000, 2_000_000, 3_000_000, 12_345_678_901, 12_360_686_100, 98_765, 0, 0, 8_123.456, False)),
)
TOTALS = Counts(9_008_410, 1_055_311, 2_000_300, 3_410_000, 12_355_555_444, 12_371_029_465, 99_178, 3, 2, 8_144.4864, True)
NOTES = Notes(3, ("claude-zeta-9", "\x1b[31mred=1+1"), 1_002, ("the store is busy\x07",))
REPORT = Report("daily", "Europe/Berlin", ("~/.claude/projects", "/srv/logs"), ROWS, TOTALS, NOTES)
HOSTILE = "\x1b]0;x\x07\x9b31m\r\n\t\u202e\u2028\ud800=1+1"


def reply(**changes: object) -> Reply:
    values: dict[str, object] = {
        "key": "msg_1",
        "id": "msg_1",
        "at_ms": 1_790_848_800_123,
        "model": "claude-opus-5",
        "version": "2.1.229",
        "tokens": Tokens(4, 310, 2000, 0, 300),
        "extras": (),
        "web_searches": 0,
        "final": True,
        "flags": 0,
        "speed": "",
        "geo": "",
        "service_tier": "standard",
        "owner": Owner(False, False, "s1", "-home-dev-app", ""),
        **changes,
    }
    return Reply(**values)  # type: ignore[arg-type]


def stored(name: str) -> str:
    return (DATA / name).read_text(encoding="utf-8")


# Whole outputs


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_table(width: int) -> None:
    """The table fits the terminal: the least important columns go first, the cost stays."""
    table = text.report_table(REPORT, width=width, style=PLAIN)
    rows = table.split("\n\n")[0].splitlines()
    assert max(map(text.text_width, rows)) <= width
    assert table == stored(f"daily-{width}.txt")


def test_table_in_colour() -> None:
    """Styles change no column's place: without them it is the very same table."""
    import re

    table = text.report_table(REPORT, width=120, style=text.Style(True))
    assert "\x1b[" in table
    assert re.sub(r"\x1b\[[0-9;]*m", "", table) == stored("daily-120.txt")


def test_json() -> None:
    """Names, order and types of the document are a contract."""
    assert report_json(REPORT) + "\n" == stored("daily.json")


def test_csv() -> None:
    """A header, a line a row, an empty field for an unknown cost."""
    assert report_csv(REPORT) == stored("daily.csv")


def test_overview() -> None:
    """Today, the week, today's models, and what the look at the logs cost."""
    seen = Overview(
        date(2026, 10, 25), ROWS[0].counts, TOTALS, (Row("claude-opus-5", ROWS[0].counts), Row("claude-\x1b[31m", ROWS[2].counts))
    )
    update = Update(0, Metrics(1_300, 2, 5_432_100, 7, took_s=0.0614), [], ["the store was damaged\x1b"], list)
    assert overview_text(seen, update, BERLIN, PLAIN) == stored("overview.txt")


def test_empty_table() -> None:
    """A period without usage says so."""
    assert text.report_table(REPORT._replace(rows=()), width=80, style=PLAIN) == "No usage in this period.\n"


# The feed's line


def test_feed_line() -> None:
    """One line of JSON for a reply, its extra iterations included, with the time in UTC."""
    change = ReplyChange(7, "grown", "msg_1", reply(extras=(Extra("claude-haiku-5-5", Tokens(10, 5)),), final=False))
    assert json.loads(feed_json(change, PRICES)) == {
        "schema": "tokentail/feed/1",
        "event": "grown",
        "key": "msg_1",
        "id": "msg_1",
        "at": "2026-10-01T10:00:00.123Z",
        "session": "s1",
        "project": "-home-dev-app",
        "agent": "",
        "model": "claude-opus-5",
        "input_tokens": 14,
        "output_tokens": 315,
        "cache_write_5m_tokens": 0,
        "cache_write_1h_tokens": 300,
        "cache_read_tokens": 2000,
        "total_tokens": 2629,
        "replies": 1,
        "not_final_replies": 1,
        "web_searches": 0,
        "cost_usd": pytest.approx(0.0117735),
        "cost_is_lower_bound": True,
    }
    assert "\n" not in feed_json(change, PRICES)


def test_feed_line_of_a_reply_that_is_gone() -> None:
    """Whoever adds up the lines takes nothing for it any more."""
    line = json.loads(feed_json(ReplyChange(8, "gone", "msg_1", None), PRICES))
    assert (line["event"], line["key"], line["at"], line["replies"], line["total_tokens"], line["cost_usd"]) == (
        "gone",
        "msg_1",
        None,
        0,
        0,
        0,
    )
    assert line.keys() == json.loads(feed_json(ReplyChange(8, "new", "msg_1", reply()), PRICES)).keys()


@settings(deadline=None, max_examples=100)
@given(st.text(), st.text(), st.text())
def test_feed_line_is_one_line_of_ascii(model: str, project: str, key: str) -> None:
    """Whatever the names hold, a reader that splits at newlines gets whole objects."""
    line = feed_json(ReplyChange(1, "new", key, reply(model=model, owner=Owner(False, False, "s", project, ""))), PRICES)
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["project"] == project


# Names that mean harm


@settings(deadline=None, max_examples=200)
@given(st.text())
def test_safe_names(name: str) -> None:
    """Nothing that a terminal acts on is left of a name."""
    shown = text.safe(name)
    assert shown.isprintable() or shown.replace("\u3000", "").replace("\xa0", "")
    assert not any(
        ord(char) < 32 or 127 <= ord(char) < 160 or char in "\u202e\u2028\u2029" or "\ud800" <= char <= "\udfff" for char in shown
    )


@pytest.mark.parametrize("width", [60, 200])
def test_hostile_names_in_a_table(width: int) -> None:
    """A table with them has the same lines as one without, and can be written anywhere."""
    rows = (Row(HOSTILE, ROWS[0].counts), *ROWS[1:])
    table = text.report_table(REPORT._replace(rows=rows, notes=Notes(0, (HOSTILE,), 0, (HOSTILE,))), width=width, style=PLAIN)
    table.encode()
    assert "\x1b" not in table
    assert "\u202e" not in table
    assert len(table.splitlines()) == len(ROWS) + 6


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(1)", "\t=1"])
def test_csv_formulas(name: str) -> None:
    """No spreadsheet takes a name for a formula; the columns stay where they are."""
    written = report_csv(REPORT._replace(rows=(Row(name, ROWS[0].counts),)))
    header, row = csv.reader(io.StringIO(written, newline=""))
    assert row[0] == guarded(name) == f"'{name}"
    assert len(header) == len(row)


def test_csv_row_that_a_name_would_begin() -> None:
    """A carriage return in a name ends no row, so nothing after it begins one."""
    header, row = csv.reader(io.StringIO(report_csv(REPORT._replace(rows=(Row("a\r=1+1", ROWS[0].counts),))), newline=""))
    assert (row[0], len(row)) == ("a\ufffd=1+1", len(header))


def test_csv_quotes() -> None:
    """Commas, quotes and line ends in a name stay inside their field."""
    written = report_csv(REPORT._replace(rows=(Row('a,"b"\nc', ROWS[0].counts),)))
    assert next(iter(list(csv.reader(io.StringIO(written, newline="")))[1])) == 'a,"b"\nc'


def test_json_of_hostile_names() -> None:
    """They are escaped, and come back as they are."""
    document = report_json(REPORT._replace(rows=(Row(HOSTILE, ROWS[0].counts),)))
    assert document.isascii()
    assert json.loads(document)["rows"][0]["day"] == HOSTILE


def test_wide_characters_keep_the_columns() -> None:
    """A name takes as many cells as a terminal gives it."""
    rows = (Row("日本", ROWS[0].counts), Row("e\u0301te", ROWS[0].counts))
    first, second = text.report_table(REPORT._replace(rows=rows), width=200, style=PLAIN).splitlines()[1:3]
    assert text.text_width(first) == text.text_width(second)


# Small things


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, "0"), (999, "999"), (1000, "1.00k"), (12_345, "12.3k"), (456_000, "456k"), (4_560_000, "4.56M"), (7 * 10**9, "7.00G")],
)
def test_short_numbers(number: int, expected: str) -> None:
    """Four characters or so."""
    assert text.short(number) == expected


@pytest.mark.parametrize(
    ("cost", "lower", "expected"), [(0.0, False, "0.00"), (1234.5, False, "1,234.50"), (2.0, True, "≥ 2.00"), (None, True, "?")]
)
def test_costs(cost: float | None, lower: bool, expected: str) -> None:
    """Unknown is not zero, and a lower bound says so."""
    assert text.cost(Counts(cost_usd=cost, cost_is_lower_bound=lower)) == expected


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environment", "colour"),
    [
        (Screen(), {}, True),
        (Screen(), {"NO_COLOR": ""}, True),
        (Screen(), {"NO_COLOR": "1"}, False),
        (Screen(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ],
)
def test_when_there_is_colour(stream: io.StringIO, environment: dict[str, str], colour: bool) -> None:
    """On a terminal, unless NO_COLOR says otherwise."""
    assert (text.Style.of(stream, environment)("x", "1") != "x") == colour


@pytest.mark.parametrize(("columns", "width"), [("80", 80), ("10", 40), ("x", 120), ("", 120)])
def test_terminal_width(columns: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """COLUMNS goes before what the terminal says; without either there are 120."""
    monkeypatch.setenv("COLUMNS", columns)
    assert text.terminal_width(io.StringIO()) == width


@pytest.mark.parametrize(("path", "shown"), [("/h", "~"), ("/h/.claude", "~/.claude"), ("/home", "/home"), ("/hh/x", "/hh/x")])
def test_paths_are_shown_as_people_write_them(path: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The home folder is `~`, and only that."""
    monkeypatch.setenv("HOME", "/h")
    assert shown_path(path) == shown


def test_days_of_a_zone() -> None:
    """The same moments are other days in other zones, and a period is one of the zone's days (R9)."""
    replies = [reply(key=f"m{hour}", at_ms=1_790_848_800_000 + hour * 3_600_000) for hour in range(0, 48, 6)]

    def days(zone: str, **period: date) -> dict[str, int]:
        request = Request("daily", ZoneInfo(zone), since=period.get("since"), until=period.get("until"))
        report = build(request, Counted(replies, {}, PRICES), Context(PRICES, 0))
        return {row.key: row.counts.replies for row in report.rows}

    assert days("UTC") == {"2026-10-01": 3, "2026-10-02": 4, "2026-10-03": 1}
    assert days("Pacific/Kiritimati") == {"2026-10-02": 4, "2026-10-03": 4}
    assert days("UTC", since=date(2026, 10, 2), until=date(2026, 10, 2)) == {"2026-10-02": 4}
