"""The only place that draws bars: the last hour by minute as stacked blocks, small shares and small histories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from zoneinfo import ZoneInfo

from textual.content import Content
from textual.widget import Widget

from tokentail import periods
from tokentail.reports import text
from tokentail.tui.snapshot import HOUR_MINUTES, Hour, Kinds

EIGHTHS = " ▁▂▃▄▅▆▇█"
KIND_STYLES = ("$kind-output", "$kind-input", "$kind-write", "$kind-read")  # in the order of Kinds ...
KIND_NAMES = ("output", "input", "cache write", "cache read")  # ... and so are these
_STEPS = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
_TICK_MINUTES = 15
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


def bar(kinds: Kinds, top: float, height: int) -> list[Cell]:
    """One stacked bar, from below, on a scale that ends at `top`; what is not nothing shows at least an eighth."""
    ends: list[int] = []
    total = 0.0
    for value in kinds:
        total += value
        ends.append(round(total / top * height * 8))
    if total > 0:
        ends[-1] = max(ends[-1], 1)
    return [_cell([min(max(end - row * 8, 0), 8) for end in ends]) for row in range(height)]


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


class Chart(Widget):
    """The last hour: a bar a minute while there is room, else a bar for several."""

    def __init__(self, zone: ZoneInfo) -> None:
        super().__init__(id="chart")
        self._zone = zone
        self._hour: Hour | None = None
        self.shows_cost = False

    def show(self, hour: Hour) -> None:
        if hour is not self._hour:
            self._hour = hour
            self.refresh()

    def measure(self, *, cost: bool) -> None:
        """Draw dollars, or tokens."""
        self.shows_cost = cost
        self.border_title = "dollars per minute" if cost else "tokens per minute"
        self.refresh()

    def on_mount(self) -> None:
        self.measure(cost=False)

    def on_resize(self) -> None:
        width, height = self.content_size
        self.border_subtitle = "" if self.app.no_color or _has_table(width, height) else _legend()

    def render(self) -> Content:
        width, height = self.content_size
        if self._hour is None or height < 3 or width < 20:
            return Content("")
        if not any(map(any, self._hour.tokens)):
            message = "no replies in the last hour"
            return Content("\n" * ((height - 1) // 2)) + Content.styled(message.center(width), "$muted")
        return self._draw(self._hour, width, height)

    def _draw(self, hour: Hour, width: int, height: int) -> Content:
        values = hour.costs_usd if self.shows_cost else hour.tokens
        minutes, pitch = _layout(width)
        grouped = [_mean(values[start : start + minutes]) for start in range(0, HOUR_MINUTES, minutes)]
        rows = height - 1
        top = round_up(max(map(sum, grouped)))
        bars = [bar(each, top, rows) for each in grouped]
        labels = {rows - 1: self._label(top)} | ({(rows - 1) // 2: self._label(top / 2)} if rows > 4 else {})
        lines = [
            Content.assemble(
                (f"{labels.get(row, ''):>6} ", "$muted"),
                ("┤" if row in labels else "│", "$faint"),
                *self._row([each[row] for each in bars], pitch),
            )
            for row in range(rows - 1, -1, -1)
        ]
        lines.append(Content.styled(f"{'0':>6} ", "$muted") + self._axis(hour, minutes, pitch, len(grouped)))
        if _has_table(width, height):
            for row, line in enumerate(self._table(values)):
                lines[row] += Content(" " * (width - _TABLE_CELLS - lines[row].cell_length)) + line
        return Content("\n").join(lines)

    def _table(self, values: Sequence[Kinds]) -> list[Content]:
        """What the hour adds up to, by kind; the top of the stack first."""
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
        return [*rows, Content.assemble((f"  {'last hour':<12}", "$muted"), (f"{self._label(total):>8}", "bold"))]

    def _label(self, value: float) -> str:
        if not self.shows_cost:
            return text.short(round(value))
        return f"${value:.2f}" if value < 100 else f"${value:,.0f}"

    def _row(self, cells: list[Cell], pitch: int) -> list[tuple[str, str]]:
        """One line of all bars; in bars of some width a gap tells them apart."""
        wide = pitch if pitch < 2 else pitch - 1
        parts: list[tuple[str, str]] = []
        for cell in cells:
            if cell.front is None:
                parts.append((" " * pitch, ""))
            elif cell.back is None or self.app.no_color:
                # Without colour a line inside a bar would look like its end.
                char = cell.char if cell.back is None else "█"
                parts.append((char * wide, KIND_STYLES[cell.front]))
                parts.append((" " * (pitch - wide), ""))
            else:
                parts.append((cell.char * wide, f"{KIND_STYLES[cell.front]} on {KIND_STYLES[cell.back]}"))
                parts.append((" " * (pitch - wide), ""))
        return parts

    def _axis(self, hour: Hour, minutes: int, pitch: int, bars: int) -> Content:
        """Clock times under the bars of full quarters of an hour."""
        line = [" "] * (bars * pitch + 1)
        free = 0
        for number in range(HOUR_MINUTES):
            at = periods.at((hour.last_minute - HOUR_MINUTES + 1 + number) * 60_000, self._zone)
            if at.minute % _TICK_MINUTES == 0:
                place = 1 + number // minutes * pitch
                name = f"╵{at:%H:%M}"
                if place >= free and place + len(name) <= len(line):
                    line[place : place + len(name)] = name
                    free = place + len(name) + 1
        return Content.assemble(("└", "$faint"), ("".join(line[1:]), "$muted"))


def _layout(width: int) -> tuple[int, int]:
    """Minutes a bar, and cells from bar to bar."""
    room = width - _LABEL_CELLS
    minutes = next((each for each in (1, 2, 3, 4, 5, 6, 10, 15, 20, 30) if HOUR_MINUTES // each <= room), 60)
    return minutes, max(room // (HOUR_MINUTES // minutes), 1)


def _has_table(width: int, height: int) -> bool:
    minutes, pitch = _layout(width)
    return width - _LABEL_CELLS - pitch * (HOUR_MINUTES // minutes) >= _TABLE_CELLS + 2 and height >= len(KIND_NAMES) + 2


def _mean(values: Sequence[Kinds]) -> Kinds:
    return Kinds(*(sum(each) / len(values) for each in zip(*values, strict=True)))


def _legend() -> Content:
    """Coloured squares and what they stand for."""
    named = zip(KIND_NAMES, KIND_STYLES, strict=True)
    return Content("  ").join(Content.assemble(("■ ", style), (name, "$muted")) for name, style in named)
