"""Text that one reads: wrapped to the width, scrolled and searched."""

from __future__ import annotations

import itertools
import re
from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter
from typing import ClassVar, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tokentail.reports import text

_MOST_FOUND = 10_000  # in a line
_EDGE = 1  # between the text and the scroll bar


class Piece(NamedTuple):
    """A line of the screen: a part of a line of the text."""

    line: int
    start: int
    words: str


class Found(NamedTuple):
    """A place that holds what is looked for."""

    line: int
    start: int
    end: int


def wrapped(lines: Sequence[str], width: int) -> list[Piece]:
    """Lines cut where the width ends; the text stays as it is, so that what is looked for is found across the cuts."""
    pieces: list[Piece] = []
    for number, line in enumerate(lines):
        start = 0
        while True:
            words = _fitting(line, start, width)
            pieces.append(Piece(number, start, words))
            start += len(words)
            if start >= len(line):
                break
    return pieces


def _fitting(line: str, start: int, width: int) -> str:
    words = line[start : start + width]
    if words.isascii():
        return words
    while len(words) > 1 and text.text_width(words) > width:
        words = words[: max(len(words) - max((text.text_width(words) - width) // 2, 1), 1)]
    return words


class Reader(ScrollView, can_focus=True):
    """Shows text that is safe to show."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"reader--text", "reader--title", "reader--found", "reader--here"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "find(1)", "Next", show=False),
        Binding("N", "find(-1)", "Previous", show=False),
        Binding("j", "scroll_down", "Down", show=False),
        Binding("k", "scroll_up", "Up", show=False),
    ]

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._lines: Sequence[str] = ()
        self._pieces: list[Piece] = []
        self._wanted = ""
        self._found: list[Found] = []
        self._in_line: dict[int, list[Found]] = {}
        self._here = 0

    @property
    def found(self) -> tuple[int, int]:
        """Which of how many places that hold what is looked for."""
        return (self._here + 1 if self._found else 0), len(self._found)

    def show(self, lines: Sequence[str]) -> None:
        """Show these lines; what is looked for is looked for in them."""
        self._lines = lines
        self._wrap()
        self.scroll_to(y=0, animate=False, immediate=True)
        self.look_for(self._wanted)

    def look_for(self, words: str) -> None:
        """Mark what holds these words, whatever the case, and go to the first place; "" marks nothing."""
        self._wanted, self._here = words, 0
        sought = re.compile(re.escape(words), re.IGNORECASE)
        self._found = [
            Found(number, match.start(), match.end())
            for number, line in enumerate(self._lines if words else ())
            for match in itertools.islice(sought.finditer(line), _MOST_FOUND)
        ]
        self._in_line = {number: list(each) for number, each in itertools.groupby(self._found, attrgetter("line"))}
        self._go()

    def action_find(self, step: int) -> None:
        if self._found:
            self._here = (self._here + step) % len(self._found)
            self._go()

    def on_resize(self) -> None:
        self._wrap()

    def render_line(self, y: int) -> Strip:
        number = y + round(self.scroll_y)
        width = self.scrollable_content_region.width
        if number >= len(self._pieces):
            return Strip.blank(width, self.rich_style)
        return Strip(self._segments(self._pieces[number])).adjust_cell_length(width, self.rich_style)

    def _segments(self, piece: Piece) -> list[Segment]:
        line = self._lines[piece.line]
        is_title = bool(line) and not line.startswith(" ")
        usual = self._style("title" if is_title else "text")
        segments, done, end = [], piece.start, piece.start + len(piece.words)
        for found in self._in_line.get(piece.line, ()):
            if found.start < end and found.end > done:
                first, last = max(found.start, done), min(found.end, end)
                segments.append(Segment(line[done:first], usual))
                segments.append(Segment(line[first:last], self._style("here" if found is self._found[self._here] else "found")))
                done = last
        return [*segments, Segment(line[done:end], usual)]

    def _wrap(self) -> None:
        self._pieces = wrapped(self._lines, max(self.scrollable_content_region.width - _EDGE, 1))
        self.virtual_size = Size(0, len(self._pieces))
        self.refresh()

    def _go(self) -> None:
        if self._found:
            here = self._found[self._here]
            # Pieces are in order: the last one that begins at it or before it.
            row = bisect_right(self._pieces, (here.line, here.start, "\U0010ffff")) - 1
            top, seen = round(self.scroll_y), self.scrollable_content_region.height
            if not top <= row < top + seen:
                self.scroll_to(y=max(row - seen // 3, 0), animate=False, immediate=True)
        self.refresh()

    def _style(self, name: str) -> Style:
        return self.rich_style + self.get_component_rich_style(f"reader--{name}", partial=True)
