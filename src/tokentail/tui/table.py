"""The only place that draws rows of a table on the live screen: those that are seen, each once until it changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Generic, NamedTuple, TypeVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tokentail.reports import text
from tokentail.tui import words
from tokentail.tui.painting import paint

Row = TypeVar("Row")
EDGE = 1  # between the rows and the scroll bar
_MOST_STRIPS = 400  # that are kept


class Column(NamedTuple, Generic[Row]):
    title: str
    width: int  # 0: what the others leave
    style: str  # a component class of the table, without its prefix
    left: bool
    words: Callable[[Row], str]
    gap: int = 2  # cells before it
    order: str = ""  # what rows are ordered by when a person clicks on the title


Layout = Callable[[int], Sequence[Column[Row]]]  # the columns for so many cells


def left_over(columns: Sequence[Column[Row]], width: int) -> int:
    """What the columns leave to the one without a width."""
    return width - sum(column.width + column.gap for column in columns)


def fitted(
    columns: Sequence[Column[Row]], width: int, *, dispensable: Sequence[str] = (), least: int = 10, most: int = 28, wider: int = 6
) -> tuple[Column[Row], ...]:
    """
    The columns that fit, each with its width.

    Args:
        dispensable: titles of those that go when there is too little room, the first one first.
        least: cells that the column without a width needs, and `most` those beyond which the columns move apart instead.
        wider: by how much a gap may grow.
    """
    found = list(columns)
    for title in dispensable:
        if left_over(found, width) < least:
            found = [column for column in found if column.title != title]
    more = min(max(left_over(found, width) - most, 0) // len(found), wider)
    found = [column._replace(gap=column.gap + more) if column.gap > 1 else column for column in found]
    return tuple(column if column.width else column._replace(width=max(left_over(found, width), 1)) for column in found)


class Table(ScrollView, Generic[Row], can_focus=True):
    """
    Titles, and rows below them; one row may be chosen.

    Who scrolled down keeps looking at the same rows while new ones come above.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *("table--title", "table--muted", "table--name", "table--accent", "table--number", "table--cost", "table--warning"),
        *("table--bar", "table--message", "table--fresh", "table--chosen"),
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "choose(-1)", "Up", show=False),
        Binding("down,j", "choose(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home,g", "first", "First", show=False),
        Binding("end,G", "last", "Last", show=False),
        Binding("enter", "open", "Open", key_display="↵"),
    ]

    class Opened(Message):
        """A person wants to see more of a row."""

        def __init__(self, table: ScrollView, key: str) -> None:
            super().__init__()
            self.table, self.key = table, key

    class Ordered(Message):
        """A person clicked on the title of a column that rows can be ordered by."""

        def __init__(self, table: ScrollView, order: str) -> None:
            super().__init__()
            self.table, self.order = table, order

    class NearEnd(Message):
        """The last rows are seen."""

        def __init__(self, table: ScrollView) -> None:
            super().__init__()
            self.table = table

    def __init__(
        self, layout: Layout[Row], key_of: Callable[[Row], str], *, id: str, first_is_chosen: bool = True, opens: bool = True
    ) -> None:
        super().__init__(id=id)
        self._layout, self._key_of, self._first_is_chosen, self._opens = layout, key_of, first_is_chosen, opens
        self.rows: Sequence[Row] = ()
        self._fresh: frozenset[str] = frozenset()
        self._chosen: str | None = None  # the key of a row
        self._message = ""
        self._order = ""
        self._styles: dict[str, Style] = {}
        self._strips: dict[tuple[str, bool, bool], tuple[Row, Strip]] = {}
        self._title_strip: tuple[int, Strip] | None = None  # for so many cells

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool:
        return action != "open" or self._opens

    @property
    def is_at_top(self) -> bool:
        """Does a person look at the first rows, and has chosen none?"""
        return not self._top() and self._chosen is None

    @property
    def chosen(self) -> Row | None:
        """The row that a person has chosen."""
        place = self._place()
        return None if place is None else self.rows[place]

    def show(self, rows: Sequence[Row], *, fresh: frozenset[str] = frozenset(), message: str = "") -> None:
        """Show rows, or the message where there are none; `fresh` are the keys of those that changed just now."""
        before, top = self.rows, self._top()
        self.rows, self._fresh, self._message = rows, fresh, message
        if len(rows) == len(before) > 0 and not top and paint(self, self._content):
            return
        if rows is not before:
            self.virtual_size = Size(0, len(rows) + 1)
            if 0 < top < len(before):
                key = self._key_of(before[top])
                place = next((number for number, row in enumerate(rows) if self._key_of(row) == key), top)
                self.scroll_to(y=place, animate=False, force=True, immediate=True)
            if self._first_is_chosen and self._place() is None:
                self._chosen = self._key_of(rows[0]) if rows else None
        self.refresh()

    def mark_order(self, order: str) -> None:
        """Show by which column the rows are ordered."""
        self._order = order
        self._title_strip = None
        self.refresh()

    def columns_changed(self) -> None:
        """What the columns say of the same rows is no longer the same."""
        self._forget_strips()
        self.refresh()

    def action_choose(self, step: int) -> None:
        place = self._place()
        self._choose(self._top() if place is None else place + step)

    def action_page(self, direction: int) -> None:
        place, step = self._place(), direction * max(self._seen() - 1, 1)
        top = self._top()
        self.scroll_to(y=top + step, animate=False, immediate=True)
        self._choose((top if place is None else place) + step)

    def action_first(self) -> None:
        self._choose(0)
        if not self._first_is_chosen:
            self._chosen = None

    def action_last(self) -> None:
        self._choose(len(self.rows) - 1)

    def action_open(self) -> None:
        if self._chosen is not None and self._place() is not None:
            self.post_message(self.Opened(self, self._chosen))

    def on_click(self, event: events.Click) -> None:
        if event.y == 0:
            self._order_by(event.x)
            return
        place = self._top() + event.y - 1
        if place < len(self.rows):
            was_chosen = place == self._place()
            self._choose(place)
            if self._opens and (was_chosen or event.chain > 1):
                self.action_open()

    def on_resize(self) -> None:
        self._forget_strips()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles.clear()
        self._forget_strips()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if new_value > old_value and round(new_value) + self._seen() >= len(self.rows):
            self.post_message(self.NearEnd(self))

    def render_line(self, y: int) -> Strip:
        return self._seen_line(y, self._top(), self.scrollable_content_region.size)

    def _content(self) -> list[Strip]:
        """All lines; where they are is asked for once."""
        top, size = self._top(), self.scrollable_content_region.size
        return [self._seen_line(y, top, size) for y in range(size.height)]

    def _seen_line(self, y: int, top: int, size: Size) -> Strip:
        if y == 0:
            return self._titles(size.width)
        number = y - 1 + top
        if number < len(self.rows):
            return self._line(self.rows[number], size.width)
        if not self.rows and y == max(size.height // 2, 1):
            message = words.fit(self._message, min(size.width, text.text_width(self._message)))
            return Strip([Segment(message.center(size.width), self._style("message"))]).adjust_cell_length(size.width, self._style())
        return Strip.blank(size.width, self._style())

    def _forget_strips(self) -> None:
        self._strips.clear()
        self._title_strip = None

    def _line(self, row: Row, width: int) -> Strip:
        key = self._key_of(row)
        looks = (key, key in self._fresh, key == self._chosen and self.has_focus)
        known = self._strips.get(looks)
        if known is not None and known[0] is row:
            return known[1]
        if len(self._strips) >= _MOST_STRIPS:
            self._strips.clear()
        strip = self._drawn(row, width, fresh=looks[1], chosen=looks[2])
        self._strips[looks] = row, strip
        return strip

    def _drawn(self, row: Row, width: int, *, fresh: bool, chosen: bool) -> Strip:
        over = (self._style("fresh", partial=True) if fresh else Style.null()) + (
            self._style("chosen", partial=True) if chosen else Style.null()
        )
        ground = self._style() + over
        segments: list[Segment] = []
        for column in self._layout(width - EDGE):
            # The gap in the same segment: half as many changes of colour to write for every row.
            segments.append(Segment(" " * column.gap + _aligned(column, column.words(row)), self._style(column.style) + over))
        return Strip(segments).adjust_cell_length(width, ground).simplify()

    def _titles(self, width: int) -> Strip:
        if self._title_strip is None or self._title_strip[0] != width:
            self._title_strip = width, self._drawn_titles(width)
        return self._title_strip[1]

    def _drawn_titles(self, width: int) -> Strip:
        segments: list[Segment] = []
        for column in self._layout(width - EDGE):
            is_order = bool(column.order) and column.order == self._order
            title = f"{column.title}▾" if is_order and column.left else f"▾{column.title}" if is_order else column.title
            segments.append(Segment(" " * column.gap + _aligned(column, title), self._style("accent" if is_order else "title")))
        return Strip(segments).adjust_cell_length(width, self._style())

    def _order_by(self, x: int) -> None:
        """By the column whose title is there."""
        end = 0
        for column in self._layout(self.scrollable_content_region.width - EDGE):
            end += column.gap + column.width
            if x < end:
                if column.order:
                    self.post_message(self.Ordered(self, column.order))
                return

    def _choose(self, place: int) -> None:
        if not self.rows:
            return
        place = min(max(place, 0), len(self.rows) - 1)
        self._chosen = self._key_of(self.rows[place])
        top, seen = self._top(), self._seen()
        if not top <= place < top + seen:
            self.scroll_to(y=place if place < top else place - seen + 1, animate=False, immediate=True)
        if place >= len(self.rows) - 1:
            self.post_message(self.NearEnd(self))
        self.refresh()

    def _place(self) -> int | None:
        if self._chosen is None:
            return None
        return next((number for number, row in enumerate(self.rows) if self._key_of(row) == self._chosen), None)

    def _top(self) -> int:
        """The number of the first row that is seen."""
        return round(self.scroll_y)

    def _seen(self) -> int:
        """How many rows are seen."""
        return max(self.scrollable_content_region.height - 1, 1)

    def _style(self, name: str = "", *, partial: bool = False) -> Style:
        """Of a component, or of the table itself: Textual would blend its grounds anew each time."""
        found = self._styles.get(name)
        if found is None:
            found = Style.null() if partial else self.rich_style
            if name:
                found += self.get_component_rich_style(f"table--{name}", partial=True)
            self._styles[name] = found
        return found


def _aligned(column: Column[Row], said: str) -> str:
    if column.left:
        return words.fit(said, column.width)
    return text.cut(said, column.width).rjust(column.width)
