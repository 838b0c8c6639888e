"""The request feed on the screen: a table that draws only the rows that are seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from functools import lru_cache
from typing import ClassVar, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widgets import Static

from tokentail.reports import text
from tokentail.reports.names import model_name
from tokentail.tui import words
from tokentail.tui.feed import Feed
from tokentail.tui.snapshot import FeedRow

MARKS = {"new": "+", "grown": "↑", "corrected": "~", "": " "}
EMPTY = "No replies yet. What your agents do appears here within a second."
_PROJECT_CELLS = (10, 28)  # the project's name needs so many, and seldom more
_LEAST_IMPORTANT = ("cache", "in", "model", "out")
_MAX_WIDER = 6
_EDGE = 1  # between the rows and the scroll bar
_TWO_CACHES_FROM = 96  # cells; below, cache writes and reads share a column


class Column(NamedTuple):
    title: str
    width: int  # 0: what the others leave
    style: str  # a component class
    left: bool
    words: Callable[[FeedRow, date], str]
    gap: int = 2  # cells before it


@lru_cache(maxsize=8)
def columns(width: int) -> tuple[Column, ...]:
    """The columns that fit, each with its width; what is left over goes to the project."""
    found = _wanted(width)
    for title in _LEAST_IMPORTANT:
        if _left(found, width) < _PROJECT_CELLS[0]:
            found = [column for column in found if column.title != title]
    # Where there is more room than names need, the columns move apart.
    wider = min(max(_left(found, width) - _PROJECT_CELLS[1], 0) // len(found), _MAX_WIDER)
    found = [column._replace(gap=column.gap + wider) if column.gap > 1 else column for column in found]
    return tuple(column if column.width else column._replace(width=max(_left(found, width), 1)) for column in found)


def title_line(found: Sequence[Column]) -> str:
    return "".join(" " * column.gap + _aligned(column, column.title) for column in found)


class FeedView(ScrollView, can_focus=True):
    """The rows of a feed; who scrolled down keeps looking at the same rows while new ones come above."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *("feed--time", "feed--mark", "feed--project", "feed--model", "feed--in", "feed--out", "feed--cache", "feed--cost"),
        *("feed--message", "feed--fresh"),
    }

    def __init__(self) -> None:
        super().__init__(id="feed-view")
        self._rows: tuple[FeedRow, ...] = ()
        self._fresh: frozenset[str] = frozenset()
        self._today = date.min
        self._message = ""

    def show(self, feed: Feed, today: date) -> None:
        """Show a feed's rows; the times of other days than today are their dates."""
        if feed.rows is self._rows and feed.fresh == self._fresh and today == self._today and self._message == EMPTY:
            return
        before, top = self._rows, round(self.scroll_y)
        self._rows, self._fresh, self._today, self._message = feed.rows, feed.fresh, today, EMPTY
        if self._rows is not before:
            self.virtual_size = Size(0, len(self._rows))
            if 0 < top < len(before):
                place = next((number for number, row in enumerate(self._rows) if row.key == before[top].key), top)
                self.scroll_to(y=place, animate=False, force=True, immediate=True)
        self.refresh()

    def say(self, message: str) -> None:
        """Show a message as long as there are no rows."""
        self._message = message
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width - _EDGE
        number = y + round(self.scroll_y)
        if number < len(self._rows):
            return self._line(self._rows[number], width)
        if not self._rows and y == max(self.size.height // 2 - 1, 0):
            message = words.fit(self._message, min(width, text.text_width(self._message)))
            return Strip([Segment(message.center(width), self._style("feed--message"))]).adjust_cell_length(width + _EDGE, self.rich_style)
        return Strip.blank(width + _EDGE, self.rich_style)

    def _line(self, row: FeedRow, width: int) -> Strip:
        fresh = self._style("feed--fresh") if row.key in self._fresh else Style.null()
        segments: list[Segment] = []
        for column in columns(width):
            segments.append(Segment(" " * column.gap, self.rich_style))
            segments.append(Segment(_aligned(column, column.words(row, self._today)), self._style(column.style) + fresh))
        return Strip(segments).adjust_cell_length(width + _EDGE, self.rich_style)

    def _style(self, name: str) -> Style:
        return self.rich_style + self.get_component_rich_style(name, partial=True)


class FeedPanel(Vertical):
    """The feed with its column titles."""

    def __init__(self) -> None:
        super().__init__(id="feed")
        self.border_title = "requests"

    def compose(self) -> ComposeResult:
        yield Static(id="feed-titles", markup=False)
        yield FeedView()

    def entitle(self, title: str) -> None:
        if title != self.border_title:
            self.border_title = title

    def on_resize(self) -> None:
        self.call_after_refresh(self._show_titles)

    def _show_titles(self) -> None:
        width = self.query_one(FeedView).scrollable_content_region.width - _EDGE
        self.query_one("#feed-titles", Static).update(Content(title_line(columns(width))))


def _wanted(width: int) -> list[Column]:
    caches = [
        Column("cache write", 11, "feed--cache", False, lambda row, _: text.short(_written(row))),
        Column("cache read", 10, "feed--cache", False, lambda row, _: text.short(row.counts.cache_read_tokens)),
    ]
    if width < _TWO_CACHES_FROM:
        caches = [Column("cache", 6, "feed--cache", False, lambda row, _: text.short(_written(row) + row.counts.cache_read_tokens))]
    return [
        Column("time", 8, "feed--time", True, _time, 0),
        Column("", 1, "feed--mark", True, lambda row, _: MARKS.get(row.event, " "), 1),
        Column("project", 0, "feed--project", True, lambda row, _: row.project, 1),
        Column("model", 11, "feed--model", True, lambda row, _: model_name(row.model)),
        Column("in", 6, "feed--in", False, lambda row, _: text.short(row.counts.input_tokens)),
        Column("out", 6, "feed--out", False, lambda row, _: text.short(row.counts.output_tokens)),
        *caches,
        Column("cost", 10, "feed--cost", False, lambda row, _: words.dollars(row.counts, 3)),
    ]


def _left(found: list[Column], width: int) -> int:
    """What the columns leave to the one without a width."""
    return width - sum(column.width + column.gap for column in found)


def _aligned(column: Column, words_: str) -> str:
    if column.left:
        return words.fit(words_, column.width)
    return text.safe(words_).rjust(column.width)


def _time(row: FeedRow, today: date) -> str:
    return f"{row.at:%H:%M:%S}" if row.at.date() == today else f"{row.at:%d %b}"


def _written(row: FeedRow) -> int:
    return row.counts.cache_write_5m_tokens + row.counts.cache_write_1h_tokens
