"""Tests of `tokentail.reports`: whole outputs against the stored ones in `tests/data/reports`, and what names can do to them."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sample
from logs import PRICES
from tokentail.model import Counts, Extra, Metrics, Notes, Owner, Reply, ReplyChange, Report, Row, SessionFacts, Tokens, Update
from tokentail.reports import text
from tokentail.reports.as_chart import report_chart
from tokentail.reports.as_csv import guarded, report_csv
from tokentail.reports.as_json import ROW_NAMES, feed_json, report_json
from tokentail.reports.as_table import report_table
from tokentail.reports.build import KINDS, build, shown_path
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
    table = report_table(REPORT, width=width, style=PLAIN)
    rows = table.split("\n\n")[0].splitlines()
    assert max(map(text.text_width, rows)) <= width
    assert table == stored(f"daily-{width}.txt")


def test_table_in_colour() -> None:
    """Styles change no column's place: without them it is the very same table."""
    table = report_table(REPORT, width=120, style=text.Style(True))
    assert "\x1b[" in table
    assert re.sub(r"\x1b\[[0-9;]*m", "", table) == stored("daily-120.txt")


def test_json() -> None:
    """Names, order and types of the document are a contract."""
    assert report_json(REPORT) + "\n" == stored("daily.json")


def test_csv() -> None:
    """A header, a line a row, an empty field for an unknown cost."""
    assert report_csv(REPORT) == stored("daily.csv")


@pytest.fixture(name="shown", scope="module")
def fixture_shown() -> Mapping[str, str]:
    return sample.outputs()


@pytest.mark.parametrize("name", sorted(path.name for path in sample.STORED.iterdir()))
def test_every_report_of_the_sample(name: str, shown: Mapping[str, str]) -> None:
    """Each report as table, chart, JSON and CSV, plain and with all that can be asked for, is what somebody has looked at."""
    assert shown[name] == (sample.STORED / name).read_bytes().decode()


def test_every_output_of_the_sample_is_stored(shown: Mapping[str, str]) -> None:
    """A report that is new, or has a new shape, is looked at before it is committed."""
    assert shown.keys() == {path.name for path in sample.STORED.iterdir()}


def test_overview() -> None:
    """Today, the week, today's models, and what the look at the logs cost."""
    seen = Overview(
        date(2026, 10, 25), ROWS[0].counts, TOTALS, (Row("claude-opus-5", ROWS[0].counts), Row("claude-\x1b[31m", ROWS[2].counts))
    )
    update = Update(0, Metrics(1_300, 2, 5_432_100, 7, took_s=0.0614), [], ["the store was damaged\x1b"], list)
    assert overview_text(seen, update, BERLIN, PLAIN) == stored("overview.txt")


def test_empty_table() -> None:
    """A period without usage says so."""
    assert report_table(REPORT._replace(rows=()), width=80, style=PLAIN) == "No usage in this period.\n"


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
        "host": "",
        "user": "",
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
    # Spaces of other widths, and what no Unicode has given a meaning yet, are not printable to Python and harmless to a terminal.
    assert all(char.isprintable() or unicodedata.category(char) in ("Zs", "Co", "Cn") for char in shown)
    assert not any(
        ord(char) < 32 or 127 <= ord(char) < 160 or char in "\u202e\u2028\u2029" or "\ud800" <= char <= "\udfff" for char in shown
    )


@pytest.mark.parametrize("width", [60, 200])
def test_hostile_names_in_a_table(width: int) -> None:
    """A table with them has the same lines as one without, and can be written anywhere."""
    rows = (Row(HOSTILE, ROWS[0].counts), *ROWS[1:])
    table = report_table(REPORT._replace(rows=rows, notes=Notes(0, (HOSTILE,), 0, (HOSTILE,))), width=width, style=PLAIN)
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
    first, second = report_table(REPORT._replace(rows=rows), width=200, style=PLAIN).splitlines()[1:3]
    assert text.text_width(first) == text.text_width(second)


HOSTILE_NAMES = {
    "control bytes": "\x1b]0;x\x07\x1b[2J\x9b31m\x00\x7f",
    "line ends": "a\r\nb\nc\x0bd\x0ce\x85f\u2028g\u2029h",
    "right to left": "\u202eevil\u202c\u2066x\u2069\u200f",
    "markup": "[red]x[/] <script>alert(1)</script> **b** {0} %s $(x) `x`",
    "300 characters": "long-name-" * 30,
    "300 wide characters": "日本語" * 100,
    "zero width": "a\u200b\u200d\ufeff\u2060\u00adb",
    "combining": "\u0301" + "a" + "\u0301\u20dd\u0488" * 100,
    "surrogates": "\udcff\ud800",
    "nothing": "",
    "spaces": " \t \u3000\xa0 ",
    "a formula": '=HYPERLINK("x")',
    "a formula with a tab": "\t=1+1",
    "a formula of another country": "＝1+1",
    "a minus": "-2+3",
    "an at": "@SUM(A1)",
}
UNSAFE = ("Cc", "Cf", "Cs", "Zl", "Zp")  # kinds of characters that a terminal acts on, or cannot be written


def unsafe(shown: str) -> set[str]:
    return {char for char in shown if unicodedata.category(char) in UNSAFE}


@pytest.fixture(name="hostile", scope="module", params=HOSTILE_NAMES.values(), ids=list(HOSTILE_NAMES))
def fixture_hostile(request: pytest.FixtureRequest) -> tuple[str, Mapping[str, Report]]:
    """A name, and every report on replies whose session, project, folder, model and subagents have it."""
    name: str = request.param
    owners = [Owner(False, False, name, name, ""), Owner(False, True, name, name, name), Owner(False, False, "s2", "-a", "")]
    replies = [reply(key=f"m{n}", model=model, owner=owner) for n, owner in enumerate(owners) for model in (name, "claude-opus-5")]
    data = Counted(replies, {name: f"/home/dev/{name}", "-a": "/home/dev/a"}, PRICES)
    context = Context(PRICES, replies[0].at_ms + 60_000, (f"/logs/{name}",), {}, 3, (name,))
    return name, {kind: build(Request(kind, BERLIN, breakdown=True, agents=True), data, context) for kind in KINDS}


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("breakdown", [True, False])
@pytest.mark.parametrize("show", [report_table, report_chart])
def test_hostile_names_in_every_table_and_chart(
    show: Callable[..., str], breakdown: bool, width: int, hostile: tuple[str, Mapping[str, Report]]
) -> None:
    """No name acts on the terminal, begins a line, piles up on one or makes it too wide."""
    for report in hostile[1].values():
        shown = show(report, width=width, style=PLAIN, breakdown=breakdown)
        assert unsafe(shown) == {"\n"}
        lines = shown.split("\n\n")[0].split("\n")
        parts = sum(len(row.models) for row in report.rows) if breakdown else 0
        agents = sum(len(row.about.agents) for row in report.rows if isinstance(row.about, SessionFacts))
        assert len(lines) == len(report.rows) + parts + agents + 3
        assert max(map(text.text_width, lines)) <= width
        assert not re.search("[\u0301\u20dd\u0488]{5}", shown)


def test_hostile_names_in_every_csv(hostile: tuple[str, Mapping[str, Report]]) -> None:
    """Every line has all columns, no field begins a formula, and nothing acts on a terminal."""
    for report in hostile[1].values():
        for breakdown in (True, False):
            written = report_csv(report, breakdown=breakdown, agents=report.name == "sessions")
            header, *lines = csv.reader(io.StringIO(written, newline=""))
            assert {len(line) for line in lines} == {len(header)}
            assert not [field for line in lines for field in line if field.startswith(("=", "+", "-", "@", "\t", "＝"))]
            assert unsafe(written) <= {"\n", "\t"}


def test_hostile_names_in_every_json(hostile: tuple[str, Mapping[str, Report]]) -> None:
    """They are escaped, begin no line, and come back as they are."""
    name, reports = hostile
    for report in reports.values():
        document = report_json(report)
        assert document.isascii()
        assert document.replace("\n", "").isprintable()
        assert len(document.splitlines()) == len(report.rows) + 10
        assert [row[ROW_NAMES[report.name]] for row in json.loads(document)["rows"]] == [row.key for row in report.rows]
    assert name in {row["session"] for row in json.loads(report_json(reports["sessions"]))["rows"]}


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


@pytest.mark.parametrize(("part", "said"), [(1, "100 %"), (0.99999, "99.9 %"), (0.5, "50.0 %"), (0, "0.0 %")])
def test_percent_is_a_hundred_only_when_it_is_all(part: float, said: str) -> None:
    """One file of ten thousand that was read is not none."""
    assert text.percent(part) == said


@pytest.mark.parametrize(
    ("milliseconds", "said"),
    [(0, "0s"), (59_999, "59s"), (60_000, "1m"), (3_599_999, "59m"), (3_600_000, "1h 0m"), (86_399_999, "23h 59m"), (9e7, "1d 1h")],
)
def test_durations(milliseconds: float, said: str) -> None:
    """The two greatest units, rounded down."""
    assert text.duration(milliseconds) == said


@pytest.mark.parametrize(
    ("words", "width", "shown"),
    [
        ("app", 3, "app"),
        ("apps", 3, "ap…"),
        ("日本語", 6, "日本語"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日…"),
        ("e\u0301e\u0301e\u0301", 2, "e\u0301…"),
    ],
)
def test_cut(words: str, width: int, shown: str) -> None:
    """As many whole characters as fit before the ellipsis; a wide one that does not fit is left out."""
    assert text.cut(words, width) == shown


def test_marks_do_not_pile_up() -> None:
    """A letter keeps the accents that writing knows, not those that would paint over the lines above."""
    assert text.safe("Vie\u0302\u0323t") == "Vie\u0302\u0323t"
    assert text.safe("a" + "\u0301" * 300 + "b") == "a" + "\u0301" * 4 + "b"


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
