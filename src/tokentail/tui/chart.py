"""The only place that draws bars: the last hours as stacked blocks, small shares and small histories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from math import ceil, floor, log10
from typing import NamedTuple
from zoneinfo import ZoneInfo

from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from tokentail import periods
from tokentail.periods import MINUTE_MS
from tokentail.reports import text
from tokentail.tui.painting import repaint
from tokentail.tui.rolling import MOST_MINUTES, Kinds, Minutes

EIGHTHS = " ▁▂▃▄▅▆▇█"
KIND_STYLES = ("$kind-output", "$kind-input", "$kind-write", "$kind-read")  # in the order of Kinds ...
KIND_NAMES = ("output", "input", "cache write", "cache read")  # ... and so are these
_STEPS = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
WINDOWS = (60, 6 * 60, MOST_MINUTES)  # minutes
_TICK_MINUTES = {60: 15, 6 * 60: 60, MOST_MINUTES: 4 * 60}
_BAR_MINUTES = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60)
_LABEL_CELLS = 8  # left of the bars
_TABLE_CELLS = 30  # of the table beside the bars, where there is room


@dataclass(frozen=True, slots=True)
class Cell:
    """One character of a bar; the colours are places in Kinds, None for the ground."""

    char: str
    front: int | None = None
    back: int | None = None


BLANK = Cell(" ")


def round_up(value: float) -> float:
    """The end of a scale: the next number that reads well."""
    if value <= 0:
        return 1.0
    size = 10.0 ** floor(log10(value))
    return next(step * size for step in _STEPS if step * size >= value * 0.9999)


@lru_cache(maxsize=512)
def bar(kinds: Kinds, top: float, height: int) -> tuple[Cell, ...]:
    """One stacked bar, from below, on a scale that ends at `top`; what is not nothing shows at least an eighth."""
    ends: list[int] = []
    total = 0.0
    for value in kinds:
        total += value
        ends.append(round(total / top * height * 8))
    if total > 0:
        ends[-1] = max(ends[-1], 1)
    return tuple(_cell([min(max(end - row * 8, 0), 8) for end in ends]) for row in range(height))


def _cell(ends: list[int]) -> Cell:
    """One character, from where each kind ends in it, in eighths: a character has two colours, so the two largest kinds show."""
    shares = [end - start for start, end in zip([0, *ends], ends, strict=False)]
    filled = ends[-1]
    if not filled:
        return BLANK
    ranked = sorted(range(len(shares)), key=lambda kind: (-shares[kind], kind))
    first, second = sorted(ranked[:2])
    if filled < 8 or not shares[ranked[1]]:
        return Cell(EIGHTHS[filled], ranked[0])
    boundary = round(8 * shares[first] / (shares[first] + shares[second]))
    return Cell(EIGHTHS[min(max(boundary, 1), 7)], first, second)


def history(values: Sequence[float]) -> str:
    """Small bars, one a value, on the scale of the greatest."""
    top = max(values, default=0) or 1
    return "".join(EIGHTHS[max(ceil(value / top * 8), 1)] for value in values)


def share(part: float, width: int) -> str:
    """A line from the left, as wide as the part of one that is given."""
    full, half = divmod(min(max(round(part * width * 2), 1 if part > 0 else 0), width * 2), 2)
    return "━" * full + "╸" * half


def grouped(values: Sequence[Kinds], last_minute: int, minutes: int) -> list[Kinds]:
    """A bar for each full multiple of so many minutes, the last one for what there is of it yet; what stands in none is left out."""
    in_last = last_minute % minutes + 1
    last = len(values) - in_last
    bars = [_mean(values[start : start + minutes]) for start in range(last % minutes, last, minutes)]
    return [*bars, _mean(values[last:])]


class Chart(Widget):
    """The latest hours: a bar a minute while there is room, else a bar for several, on full multiples of them."""

    class Measured(Message):
        """A person chose another window or measure."""

    def __init__(self, zone: ZoneInfo) -> None:
        super().__init__(id="chart", classes="framed")
        self._zone = zone
        self._minutes: Minutes | None = None
        self.window_minutes = WINDOWS[0]
        self.shows_cost = False

    def show(self, minutes: Minutes) -> None:
        if minutes is not self._minutes:
            self._minutes = minutes
            repaint(self)

    def measure(self, *, cost: bool | None = None, window_minutes: int | None = None) -> None:
        """Draw dollars or tokens, of the last so many minutes."""
        self.shows_cost = self.shows_cost if cost is None else cost
        self.window_minutes = window_minutes or self.window_minutes
        self.border_title = f"{'dollars' if self.shows_cost else 'tokens'} per minute · {_window_name(self.window_minutes)}"
        self._set_legend()
        self.refresh()

    def on_mount(self) -> None:
        self.measure()

    def on_resize(self) -> None:
        self._set_legend()

    def on_click(self) -> None:
        self.measure(window_minutes=WINDOWS[(WINDOWS.index(self.window_minutes) + 1) % len(WINDOWS)])
        self.post_message(self.Measured())

    def render(self) -> Content:
        width, height = self.content_size
        if self._minutes is None or height < 3 or width < 20:
            return Content("")
        values = (self._minutes.costs_usd if self.shows_cost else self._minutes.tokens)[-self.window_minutes :]
        if not any(map(any, self._minutes.tokens[-self.window_minutes :])):
            message = f"no replies in the last {_long_name(self.window_minutes)}"
            return Content("\n" * ((height - 1) // 2)) + Content.styled(message.center(width), "$muted")
        return self._draw(values, self._minutes.last_minute, width, height)

    def _set_legend(self) -> None:
        width, height = self.content_size
        self.border_subtitle = "" if self.app.no_color or _layout(width, height, self.window_minutes).has_table else _legend()

    def _draw(self, values: Sequence[Kinds], last_minute: int, width: int, height: int) -> Content:
        layout = _layout(width, height, self.window_minutes)
        means = grouped(values, last_minute, layout.minutes)
        rows = height - 1
        top = round_up(max(map(sum, means)))
        bars = [bar(each, top, rows) for each in means]
        labels = {rows - 1: self._label(top)} | ({(rows - 1) // 2: self._label(top / 2)} if rows > 4 else {})
        lines = [
            Content.assemble(
                (f"{labels.get(row, ''):>6} ", "$muted"),
                ("┤" if row in labels else "│", "$faint"),
                *self._row([each[row] for each in bars], layout.pitch),
            )
            for row in range(rows - 1, -1, -1)
        ]
        lines.append(Content.styled(f"{'0':>6} ", "$muted") + self._axis(last_minute, len(means), layout))
        if layout.has_table:
            for row, line in enumerate(self._table(values)):
                lines[row] += Content(" " * (width - _TABLE_CELLS - lines[row].cell_length)) + line
        return Content("\n").join(lines)

    def _table(self, values: Sequence[Kinds]) -> list[Content]:
        """What all of it adds up to, by kind; the top of the stack first."""
        sums = [sum(each) for each in zip(*values, strict=True)]
        total = sum(sums) or 1.0
        rows = [
            Content.assemble(
                ("■ ", KIND_STYLES[kind]),
                (f"{KIND_NAMES[kind]:<12}", "$muted"),
                f"{self._label(sums[kind]):>8}",
                (f"{sums[kind] / total * 100:6.1f} %", "$muted"),
            )
            for kind in reversed(range(len(sums)))
        ]
        whole = f"last {_window_name(self.window_minutes)}"
        return [*rows, Content.assemble((f"  {whole:<12}", "$muted"), (f"{self._label(total):>8}", "bold"))]

    def _label(self, value: float) -> str:
        if not self.shows_cost:
            return text.short(round(value))
        return f"${value:.2f}" if value < 100 else f"${value:,.0f}"

    def _row(self, cells: list[Cell], pitch: int) -> list[tuple[str, str]]:
        """One line of all bars; in bars of some width a gap tells them apart. Neighbours that look alike are rendered as one."""
        wide = pitch if pitch < 2 else pitch - 1
        gap = " " * (pitch - wide)
        plain = self.app.no_color
        parts: list[tuple[str, str]] = []
        for style, some in groupby(cells, _style_plain if plain else _style):
            chars = [_char_plain(cell) if plain else cell.char for cell in some]
            if gap and " on " in style:  # a gap has the ground of the chart
                parts += [part for char in chars for part in ((char * wide, style), (gap, ""))]
            else:
                parts.append(("".join(char * wide + gap for char in chars), style))
        return parts

    def _axis(self, last_minute: int, bars: int, layout: _Layout) -> Content:
        """Clock times under the bars in which they are."""
        every = _TICK_MINUTES[self.window_minutes]
        line = [" "] * (bars * layout.pitch + 1)
        free = 0
        first = (last_minute // layout.minutes - bars + 1) * layout.minutes
        for number in range(bars * layout.minutes):
            at = periods.at((first + number) * MINUTE_MS, self._zone)
            if (at.hour * 60 + at.minute) % every == 0:
                place = 1 + number // layout.minutes * layout.pitch
                name = f"╵{at:%H:%M}"
                if place >= free and place + len(name) <= len(line):
                    line[place : place + len(name)] = name
                    free = place + len(name) + 1
        return Content.assemble(("└", "$faint"), ("".join(line[1:]), "$muted"))


def _style(cell: Cell) -> str:
    if cell.front is None:
        return ""
    return KIND_STYLES[cell.front] + ("" if cell.back is None else f" on {KIND_STYLES[cell.back]}")


def _style_plain(cell: Cell) -> str:
    return "" if cell.front is None else KIND_STYLES[cell.front]


def _char_plain(cell: Cell) -> str:
    """Without colour a line inside a bar would look like its end."""
    return cell.char if cell.back is None else "█"


class _Layout(NamedTuple):
    """How a window is drawn in so many cells."""

    minutes: int  # that a bar stands for
    pitch: int  # cells from bar to bar
    has_table: bool  # beside the bars


def _layout(width: int, height: int, window: int) -> _Layout:
    room = width - _LABEL_CELLS
    minutes = next((each for each in _BAR_MINUTES if window % each == 0 and window // each <= room), window)
    pitch = max(room // (window // minutes), 1)
    if window // minutes < room - _TABLE_CELLS - 2 < pitch * (window // minutes):
        pitch = max((room - _TABLE_CELLS - 2) // (window // minutes), 1)  # the table says more than wider bars
    has_table = room - pitch * (window // minutes) >= _TABLE_CELLS + 2 and height >= len(KIND_NAMES) + 2
    return _Layout(minutes, pitch if has_table else max(room // (window // minutes), 1), has_table)


def _window_name(minutes: int) -> str:
    return f"{minutes // 60} h"


def _long_name(minutes: int) -> str:
    return "hour" if minutes == 60 else f"{minutes // 60} hours"


def _mean(values: Sequence[Kinds]) -> Kinds:
    return Kinds(*(sum(each) / len(values) for each in zip(*values, strict=True)))


def _legend() -> Content:
    """Coloured squares and what they stand for."""
    named = zip(KIND_NAMES, KIND_STYLES, strict=True)
    return Content("  ").join(Content.assemble(("■ ", style), (name, "$muted")) for name, style in named)
