"""Tests of `tokentail.reports.as_table` and `columns`: what each kind of row shows, and what stands under a table."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import AUTUMN, SPREAD, record
from test_build import counted, requests
from tokentail.model import BlockFacts, Counts, Notes, Owner, Pace, Record, Report, Row
from tokentail.reports.as_chart import report_chart
from tokentail.reports.as_table import below, lists_models, report_table
from tokentail.reports.request import Request
from tokentail.reports.text import Style, text_width

PLAIN = Style(False)
BERLIN = ZoneInfo("Europe/Berlin")
ONE = Counts(1, 2, 3, 4, 5, 15, 1, 0, 0, 0.25)


def table(report: Report, width: int = 120, **options: bool) -> list[str]:
    return report_table(report, width=width, style=PLAIN, **options).splitlines()


def periods(*keys: str, name: str = "daily") -> Report:
    return Report(name, "Europe/Berlin", (), tuple(Row(key, ONE) for key in keys), ONE._replace(replies=len(keys)))


# Whatever was counted


@settings(deadline=None, max_examples=100)
@given(SPREAD, requests(), st.integers(40, 220))
def test_every_table_fits_and_shows_every_cost(lines: list[Record], request: Request, width: int) -> None:
    """Table and chart of any store: a line for each row, none too wide, each with its cost, and the total at the end."""
    report = counted(request, *lines)
    if not report.rows:
        assert report_table(report, width=width, style=PLAIN) == "No usage in this period.\n"
        return
    shown = report_table(report, width=width, style=PLAIN, breakdown=request.breakdown).split("\n\n")[0].splitlines()
    chart = report_chart(report, width=width, style=PLAIN).split("\n\n")[0].splitlines()
    assert max(map(text_width, shown + chart)) <= width
    assert len(shown) >= len(report.rows) + 3
    assert "Cost (USD)" in shown[0]
    assert shown[-1].startswith("Total")
    ends = shown[0].index("Cost (USD)") + len("Cost (USD)")
    assert all(line[:ends].rstrip()[-1] in "0123456789?" for line in shown[1:-2])


def test_no_table_is_wider_than_it_must_be() -> None:
    """On a very wide terminal nothing is torn apart."""
    assert table(periods("2026-10-01", "2026-10-02"), 300) == table(periods("2026-10-01", "2026-10-02"), 200)


# Periods


def test_days_have_a_weekday_and_weeks_a_number() -> None:
    """Where there is room; a week that does not begin on Monday has no number that everybody knows."""
    assert [line[:15] for line in table(periods("2026-10-01", "2026-10-25"))[1:3]] == ["2026-10-01  Thu", "2026-10-25  Sun"]
    weeks = table(periods("2026-09-28", "2026-10-04", "2027-01-04", name="weekly"))
    assert [line[:15].rstrip() for line in weeks[1:4]] == ["2026-09-28  W40", "2026-10-04", "2027-01-04  W01"]
    assert "Thu" not in "".join(table(periods("2026-10-01"), 60))


def test_a_wide_terminal_shows_the_models_of_a_period() -> None:
    """By their short names, costliest first; they are asked for only where there is room for them."""
    lines = [record("msg_1"), record("msg_2", model="claude-haiku-4-5"), record("msg_3", model="claude-zeta-9")]
    report = counted(Request("daily", BERLIN, breakdown=True), *lines)
    assert table(report, 160)[1].endswith("  opus 5, haiku 4.5, zeta 9")
    assert "Models" not in table(report, 139)[0]
    assert [lists_models("daily", width) for width in (139, 140)] == [False, True]
    assert not lists_models("sessions", 200)


def test_one_row_is_compared_with_nothing() -> None:
    """Bars begin with two rows."""
    assert "█" not in "".join(table(periods("2026-10-01"), 200))
    assert "█" in "".join(table(periods("2026-10-01", "2026-10-02"), 200))


# Sessions


def test_subagents_stand_under_their_session() -> None:
    """Together, or on request one by one; one that has no id says so."""
    owners = [Owner(False, bool(agent), "s1", "-a", agent) for agent in ("", "a1", "a2")] + [Owner(False, True, "s1", "-a", "")]
    lines = [record(f"msg_{number}", owner=owner) for number, owner in enumerate(owners)]
    together = table(counted(Request("sessions", BERLIN), *lines))
    assert [line.split("  ")[1] for line in together[2:-2]] == ["└ 3 subagents"]
    each = table(counted(Request("sessions", BERLIN, agents=True), *lines))
    assert [line.split("  ")[1] for line in each[2:-2]] == ["├ without an id", "├ a1", "└ a2"]


def test_one_subagent_is_one() -> None:
    """No plural where there is none."""
    lines = [record("msg_1"), record("msg_2", owner=Owner(False, True, "s1", "-home-dev-app", "a1"))]
    assert any("└ 1 subagent " in line for line in table(counted(Request("sessions", BERLIN), *lines)))


# Totals and columns on request


def test_a_limit_does_not_hide_what_the_total_is_of() -> None:
    """It is that of all rows, and says so when some are left out."""
    lines = [record("msg_1"), record("msg_2", model="claude-haiku-4-5")]
    assert table(counted(Request("models", BERLIN), *lines))[-1].startswith("Total  ")
    assert table(counted(Request("models", BERLIN, limit=1), *lines))[-1].startswith("Total of all  ")


def test_columns_on_request_stand_before_the_cost() -> None:
    """And stay when others have to go."""
    report = counted(Request("daily", BERLIN, not_final=True), record("msg_1"), record("msg_2", stopped=False))
    assert table(report, 50)[0] == "Day         Output  Not final  Of cost  Cost (USD)"
    assert [column(table(report, 50), title) for title in ("Not final", "Of cost")] == [["1", "1"], ["50.0 %", "50.0 %"]]


def test_columns_on_request_are_about_rows() -> None:
    """What stands under a row has none of them: its replies are among those of the row."""
    owners = [Owner(False, bool(agent), "s1", "-a", agent) for agent in ("", "a1")]
    lines = [record(f"msg_{number}", owner=owner) for number, owner in enumerate(owners)]
    shown = table(counted(Request("sessions", BERLIN, provenance=True, not_final=True), *lines), 200)
    assert [column(shown, title) for title in ("On disk", "Deleted", "Rewritten")] == [["2", "", "2"], ["0", "", "0"], ["0", "", "0"]]
    assert [column(shown, title) for title in ("Not final", "Of cost")] == [["0", "", "0"], ["0.0 %", "", "0.0 %"]]


def test_an_unknown_part_of_the_cost() -> None:
    """Unknown is not zero; where every reply is final there is nothing unknown."""
    lines = [record("msg_1", model="claude-zeta-8"), record("msg_2", model="claude-zeta-9", stopped=False), record("msg_3", stopped=False)]
    shown = table(counted(Request("models", BERLIN, order="name", not_final=True), *lines))
    assert column(shown, "Of cost") == ["100 %", "0.0 %", "?", "100 %"]


def column(shown: list[str], title: str) -> list[str]:
    """The cells of a column of numbers, the total's last."""
    rule = next(number for number, line in enumerate(shown) if line.startswith("─"))
    start = shown[0].index(title) - 2
    return [line[start : start + 2 + len(title)].strip() for line in (*shown[1:rule], shown[rule + 1])]


def test_an_unknown_share() -> None:
    """Beside rows that have a price."""
    report = counted(Request("models", BERLIN), record("msg_1", model="claude-zeta-9"), record("msg_2"))
    assert [line.split()[-3:] for line in table(report, 90)[1:3]] == [["0.00", "100", "%"], ["2,314", "?", "?"]]


# Below the table


def running(pace: Pace, *, is_lower: bool = False) -> str:
    row = Row("2026-10-01T10:00:00Z", ONE._replace(cost_is_lower_bound=is_lower), BlockFacts(AUTUMN, AUTUMN, AUTUMN, pace))
    return below(Report("blocks", "UTC", (), (row,), ONE), width=100, style=PLAIN)


def test_where_the_running_window_leads() -> None:
    """How long it still runs, how fast it is used, and what that comes to."""
    assert running(Pace(133.4, 12_345.6, 4.5, 3_456_789, 23.4567)) == (
        "\n●  Running, 2h 13m left. Pace of all usage in it: 12.3k tokens/min, 4.50 USD/h.\n"
        "   At this pace it ends at 3.46M tokens, 23.46 USD.\n"
    )
    assert "≥ 4.50 USD/h" in running(Pace(133.4, 12_345.6, 4.5, 3_456_789, 23.4567), is_lower=True)
    assert "? USD/h" in running(Pace(133.4, 12_345.6, None, 3_456_789, None))


@pytest.mark.parametrize(
    ("notes", "said"),
    [
        (Notes(), ""),
        (Notes(not_final_replies=1), "≥  The output of 1 reply is a lower bound: the log holds no final count for it."),
        (Notes(not_final_replies=1200), "≥  The output of 1,200 replies is a lower bound: the log holds no final count for them."),
        (Notes(unpriced_models=("a", "b")), "≥  No price is known for: a, b."),
        (Notes(unpriced_models=("x" * 300,)), f"≥  No price is known for: {'x' * 39}…."),
        (Notes(malformed_lines=1), "   1 line that could have held usage could not be read (tokentail verify names it)."),
        (Notes(malformed_lines=2), "   2 lines that could have held usage could not be read (tokentail verify names them)."),
        (Notes(degraded=("no\x07 room", "late")), "!  no\ufffd room\n!  late"),
    ],
)
def test_notes(notes: Notes, said: str) -> None:
    """One is not many, and a name is no longer than a line."""
    assert below(periods("2026-10-01")._replace(notes=notes), width=100, style=PLAIN) == (f"\n{said}\n" if said else "")


def test_notes_break_between_words() -> None:
    """What goes on stands under the words, not under the sign."""
    report = periods("2026-10-01")._replace(notes=Notes(not_final_replies=3))
    lines = below(report, width=40, style=PLAIN).splitlines()
    assert lines == ["", "≥  The output of 3 replies is a lower", "   bound: the log holds no final count", "   for them."]
