"""The bars: what they show is what they are given, on a scale that reads well."""

from __future__ import annotations

import pytest

from tokentail.tui.chart import BLANK, Cell, bar, grouped, history, round_up, share
from tokentail.tui.rolling import Kinds

OUTPUT, INPUT, WRITE, READ = range(4)


def drawn(kinds: Kinds, *, top: float = 24, height: int = 3) -> list[str]:
    return [cell.char for cell in bar(kinds, top, height)]


@pytest.mark.parametrize(
    ("total", "chars"),
    [(0, "   "), (1, "▁  "), (8, "█  "), (12, "█▄ "), (17, "██▁"), (24, "███")],
)
def test_bar_is_as_high_as_its_value(total: int, chars: str) -> None:
    """A bar is drawn to an eighth of a character, from below."""
    assert "".join(drawn(Kinds(cache_read=total))) == chars


def test_little_is_not_nothing() -> None:
    """What is far below an eighth still shows."""
    assert drawn(Kinds(output=1), top=1_000_000) == ["▁", " ", " "]


def test_kinds_are_stacked() -> None:
    """Each kind has its colour, in the order of Kinds from below; where two meet, a character has both."""
    assert bar(Kinds(output=8, cache_write=4, cache_read=8), 24, 3) == (Cell("█", OUTPUT), Cell("▄", WRITE, READ), Cell("▄", READ))


def test_the_two_largest_kinds_share_a_character() -> None:
    """A character has two colours: of more kinds in it, the largest ones are shown."""
    assert bar(Kinds(output=4, input=1, cache_write=1, cache_read=2), 8, 1) == (Cell("▅", OUTPUT, READ),)


def test_above_the_bar_there_is_nothing() -> None:
    """The ground stays the ground."""
    assert bar(Kinds(output=8), 24, 3)[1:] == (BLANK, BLANK)


@pytest.mark.parametrize(
    ("value", "top"), [(0, 1), (0.34, 0.4), (1, 1), (1.01, 1.2), (99, 100), (100, 100), (123_456, 150_000), (8_600_000, 10_000_000)]
)
def test_scale_ends_at_a_number_that_reads_well(value: float, top: float) -> None:
    """The end of the scale is not below the greatest value, and changes seldom."""
    assert round_up(value) == pytest.approx(top)


def test_history_is_on_the_scale_of_the_greatest() -> None:
    """The greatest value is a whole block; no day is without a trace."""
    assert history([0, 1, 2, 4]) == "▁▂▄█"


@pytest.mark.parametrize(("part", "line"), [(0, ""), (0.001, "╸"), (0.5, "━━"), (0.6, "━━╸"), (1, "━━━━"), (7, "━━━━")])
def test_share_is_a_line_of_that_part(part: float, line: str) -> None:
    """A share is drawn to half a character; a small one is not nothing, and none is longer than the room."""
    assert share(part, 4) == line


@pytest.mark.parametrize(("last_minute", "bars"), [(9, [2, 7]), (10, [7, 10]), (12, [7, 11]), (14, [7, 12])])
def test_bars_stand_on_full_multiples(last_minute: int, bars: list[float]) -> None:
    """A bar for several minutes is their mean; it keeps its minutes while time goes on, and the last one is of those that have been."""
    minutes = [Kinds(output=minute) for minute in range(last_minute - 9, last_minute + 1)]

    assert [each.output for each in grouped(minutes, last_minute, 5)] == bars
