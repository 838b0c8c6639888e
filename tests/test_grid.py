"""Tests of `tokentail.reports.grid`: what fits, what is cut, what is left out, and that columns stay columns."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokentail.reports.grid import ALWAYS, SPARE, Column, Grid, bar, draw
from tokentail.reports.text import Style, text_width

PLAIN = Style(False)
NAME = Column("Name", ALWAYS + 1, ("harbor-api", "a-very-long-name-indeed"), least=8)
COUNT = Column("Count", SPARE + 5, ("1", "22,222"), "22,223", right=True)
DETAIL = Column("Detail", SPARE + 3, ("7", "8"), "15", right=True)
COST = Column("Cost", ALWAYS, ("0.50", "11.00"), "11.50", right=True)
GRID = Grid([NAME], [COUNT, DETAIL, COST], {}, "Total")
NAMES = st.text(st.sampled_from("ab日本e\u0301…≥"), max_size=30)


def drawn(grid: Grid, width: int = 80) -> list[str]:
    return draw(grid, width=width, style=PLAIN)


# What fits


def test_a_table_is_as_wide_as_it_likes_to_be() -> None:
    """Names stand left, numbers right, two spaces between them; the total is below a rule."""
    assert drawn(GRID) == [
        "Name                      Count  Detail   Cost",
        "harbor-api                    1       7   0.50",
        "a-very-long-name-indeed  22,222       8  11.00",
        "──────────────────────────────────────────────",
        "Total                    22,223      15  11.50",
    ]


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (33, "a-very-lo…  22,222       8  11.00"),
        (31, "a-very-…  22,222       8  11.00"),
        (30, "a-very-long-na…  22,222  11.00"),
        (22, "a-very-long-na…  11.00"),
        (12, "a-ve…  11.00"),
    ],
)
def test_names_are_cut_and_then_numbers_go(width: int, line: str) -> None:
    """A name shrinks as far as it may, then the least important column makes room for it; the most important ones stay."""
    assert drawn(GRID, width)[2] == line


def test_for_what_can_be_spared_no_name_is_cut_short() -> None:
    """Twenty cells of a name are worth more than a column of little importance."""
    grid = Grid([NAME], [COUNT._replace(importance=SPARE - 1), COST], {}, "Total")
    assert [drawn(grid, width)[2] for width in (35, 34)] == ["a-very-long-name-in…  22,222  11.00", "a-very-long-name-indeed  11.00"]


def test_the_widest_name_is_cut_first() -> None:
    """Of two names the longer one gives up its end."""
    other = Column("Folder", ALWAYS, ("/home/dev", "/srv"), least=4)
    assert drawn(Grid([NAME, other], [COST], {}, "Total"), 34)[1:3] == [
        "harbor-api        /home/dev   0.50",
        "a-very-long-nam…  /srv       11.00",
    ]


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(NAMES, NAMES, st.integers(0, 10**9)), min_size=1, max_size=6), st.integers(24, 90))
def test_columns_stay_columns(rows: list[tuple[str, str, int]], width: int) -> None:
    """Whatever the names are made of, no line is too wide, and all numbers end in the same place."""
    names, others, numbers = zip(*rows, strict=True)
    total = f"{sum(numbers):,}"
    columns = [Column("Name", ALWAYS, names, least=5), Column("Other", 1, others, least=5)]
    lines = drawn(Grid(columns, [Column("N", ALWAYS, [f"{each:,}" for each in numbers], total, right=True)], {}, "Total"), width)
    ends = {text_width(line) for line in lines}
    assert len(ends) == 1
    assert ends.pop() <= width


# Lines under a line


def test_a_label_stands_across_the_leads() -> None:
    """It is cut where they end, and its numbers stand in their columns; the last of the leads makes some room for it."""
    leads = [Column("Day", ALWAYS, ("Mon", "", "Tue")), Column("No", ALWAYS, ("1", "", "2"))]
    grid = Grid(leads, [Column("N", ALWAYS, ("30", "30", "4"), "34", right=True)], {1: "  └ all that there is"}, "Total")
    assert drawn(grid)[1:4] == ["Mon  1                 30", "  └ all that there is  30", "Tue  2                  4"]
    assert drawn(grid, 20)[1:4] == ["Mon  1            30", "  └ all that th…  30", "Tue  2             4"]


# Bars


@pytest.mark.parametrize(("part", "expected"), [(1, "████"), (0.5, "██"), (0.28, "█▏"), (0.0001, "▏"), (0, ""), (7, "████")])
def test_bars_are_drawn_in_eighths(part: float, expected: str) -> None:
    """What is not nothing can be seen, and nothing is longer than all."""
    assert bar(part, 4) == expected


def test_bars_take_the_room_that_is_left() -> None:
    """At most as much as they may, and less where the terminal is narrow."""
    bars = Column("", 2, bars=(1.0, 0.5), least=4, most=20)
    grid = Grid([NAME], [COST, bars], {}, "Total")
    assert [drawn(grid, width)[1] for width in (80, 34, 20)] == [
        "harbor-api                0.50  ████████████████████",
        "harbor-api     0.50  █████████████",
        "harbor-api      0.50",
    ]


# Colours


def test_styles_move_nothing() -> None:
    """Without its styles a coloured table is the plain one, but for spaces at the ends of lines."""
    grid = Grid([NAME._replace(style="1")], [COUNT, COST._replace(style="32")], {1: "  └ part"}, "Total")
    coloured = draw(grid, width=40, style=Style(True))
    assert [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in coloured] == drawn(grid, 40)
    assert coloured[1].startswith("\x1b[1mharbor-api")
    assert coloured[2].startswith("\x1b[2m  └ part")
