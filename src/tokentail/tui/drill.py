"""The screens that lead from a list to what its rows are made of, down to a reply and its line in the log."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Input

from tokentail.errors import TokentailError
from tokentail.reports import text
from tokentail.reports.request import Request
from tokentail.tui import original
from tokentail.tui.asker import Asker
from tokentail.tui.feed import passes
from tokentail.tui.feed_view import columns
from tokentail.tui.filtered import Filtered
from tokentail.tui.keys import Keys
from tokentail.tui.lists import SESSIONS, ReportList
from tokentail.tui.panels import Trail
from tokentail.tui.reader import Reader
from tokentail.tui.snapshot import FeedRow, Figures, Snapshot
from tokentail.tui.table import Column, Table

if TYPE_CHECKING:
    from textual.worker import Worker

    from tokentail.explain.story import ReplyStory, SumStory

_READ_CELLS = 100  # an explanation is not wider
_GONE = {
    "deleted": "The log was deleted. What was counted of it stays counted.",
    "rewritten": "A rewrite of the log removed this line. What was counted of it stays counted.",
}
_ELSEWHERE = "No log of this machine holds it: another machine sent it, and its log is there."


class Deeper(Screen[None]):
    """A screen over another one; Esc goes back."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,backspace", "dismiss", "Back", key_display="Esc"),
        Binding("q", "app.quit", "Quit", show=False),
        Binding("question_mark", "app.help", "Help", key_display="?"),
    ]

    def __init__(self, trail: tuple[str, ...], asker: Asker) -> None:
        super().__init__()
        self.trail, self._asker = trail, asker

    def look(self, snapshot: Snapshot) -> None:
        """Something may have been counted."""

    def on_filtered_left(self, message: Filtered.Left) -> None:
        message.stop()
        self.dismiss()


class SessionsScreen(Deeper):
    """The sessions of a project, a model or a day."""

    def __init__(self, trail: tuple[str, ...], asker: Asker, request: Request) -> None:
        super().__init__(trail, asker)
        self._request = request

    def compose(self) -> ComposeResult:
        yield Trail(self.trail)
        self._list = ReportList(SESSIONS, self._asker, request=self._request._replace(report=SESSIONS.report))
        yield self._list
        yield Keys()

    def on_mount(self) -> None:
        self._list.table.focus()

    def look(self, snapshot: Snapshot) -> None:
        if self.is_mounted:
            self._list.look(snapshot)


class RepliesScreen(Deeper):
    """The replies of a session."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("e", "explain", "Explain")]

    def __init__(self, trail: tuple[str, ...], asker: Asker, session: str) -> None:
        super().__init__(trail, asker)
        self._session = session
        self._rows: tuple[FeedRow, ...] = ()
        self._figures: Figures | None = None

    def compose(self) -> ComposeResult:
        yield Trail(self.trail)
        self._table = Table[FeedRow](_columns, lambda row: row.key, id="replies-table")
        self._list = Filtered(self._table, "replies", id="replies")
        yield self._list
        yield Keys()

    def on_mount(self) -> None:
        self._table.show((), message="Asking the store …")
        self._table.focus()

    def look(self, snapshot: Snapshot) -> None:
        if snapshot.figures is not self._figures and self.is_mounted:
            self._figures = snapshot.figures
            self._ask()

    def action_explain(self) -> None:
        """What the session's sum comes from."""
        self.app.push_screen(SumScreen(self.trail, self._asker, self._session))

    def on_filtered_said(self, message: Filtered.Said) -> None:
        message.stop()
        self._show()

    def on_table_opened(self, message: Table.Opened) -> None:
        message.stop()
        self.app.push_screen(ReplyScreen((*self.trail, f"reply {message.key}"), self._asker, message.key))

    @work(group="replies", exclusive=True)
    async def _ask(self) -> None:
        try:
            self._rows = await self._asker.replies(self._session)
        except TokentailError as error:
            self._table.show((), message=str(error))
            return
        self._show()

    def _show(self) -> None:
        said = tuple(self._list.words.casefold().split())
        found = tuple(row for row in self._rows if passes(row, said))
        self._table.show(found, message="No reply has that in its model or subagent." if said else "This session has no replies any more.")
        self._list.entitle(f"replies · {len(found):,}" + (f" of {len(self._rows):,}" if said else ""))


class TextScreen(Deeper):
    """A text to read and to search in."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("slash", "search", "Search", key_display="/")]

    def __init__(self, trail: tuple[str, ...], asker: Asker, id: str) -> None:
        super().__init__(trail, asker)
        self._reader = Reader(id)

    def compose(self) -> ComposeResult:
        yield Trail(self.trail)
        self._reader.add_class("framed")
        yield self._reader
        yield Keys()

    def on_mount(self) -> None:
        self._reader.focus()
        self._entitle()
        self._ask()

    async def action_search(self) -> None:
        line = next(iter(self.query(Input)), None)
        if line is None:
            line = Input(placeholder="search", compact=True, id="search")
            await self.mount(line, after=self._reader)
        line.focus()

    async def action_dismiss(self, result: None = None) -> None:
        """Of a search first."""
        line = next(iter(self.query(Input)), None)
        if line is None:
            self.dismiss()
            return
        self._reader.look_for("")
        self._reader.focus()
        await line.remove()
        self._entitle()

    def on_input_changed(self, event: Input.Changed) -> None:
        self._reader.look_for(event.value)
        self._entitle()

    def on_input_submitted(self) -> None:
        self._reader.focus()

    def _ask(self) -> Worker[None]:
        """Ask the store for the text."""
        raise NotImplementedError

    def _title(self) -> str:
        return "explanation"

    def _entitle(self) -> None:
        here, found = self._reader.found
        self._reader.border_title = self._title()
        self._reader.border_subtitle = f"{here} of {found} · n N" if found else ""

    def _explain(self, story: ReplyStory | SumStory) -> None:
        from tokentail.explain.as_text import story_text  # seldom wanted

        said = story_text(story, zone=self._asker.zone, width=min(self._reader.size.width - 4, _READ_CELLS), style=text.Style(False))
        self._reader.show([text.safe(line) for line in said.splitlines()])


class SumScreen(TextScreen):
    """Where the sum of a session or of a day comes from."""

    def __init__(self, trail: tuple[str, ...], asker: Asker, what: str | date) -> None:
        super().__init__((*trail, "explained"), asker, "sum")
        self._what = what

    @work(group="story", exclusive=True)
    async def _ask(self) -> None:
        self._reader.show(["Asking the store …"])
        try:
            self._explain(await self._asker.sum_story(self._what))
        except TokentailError as error:
            self._reader.show([str(error)])
        self._entitle()


class ReplyScreen(TextScreen):
    """Where a reply's counts come from and, when a person asks for it, its lines as they stand in the log."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "original", "Original line"),
        Binding("f", "form", "As logged"),
        Binding("left", "line(-1)", "Line before", show=False),
        Binding("right", "line(1)", "Next line", show=False),
    ]

    def __init__(self, trail: tuple[str, ...], asker: Asker, key: str) -> None:
        super().__init__(trail, asker, "reply")
        self._key = key
        self._story: ReplyStory | None = None
        self._shows_line = False
        self._is_laid_out = True
        self._number = 0  # of the line

    def action_original(self) -> None:
        self._shows_line = not self._shows_line
        self._ask()

    def action_form(self) -> None:
        self._is_laid_out = not self._is_laid_out
        self._show()

    def action_line(self, step: int) -> None:
        if self._shows_line and self._story is not None and self._story.lines:
            self._number = (self._number + step) % len(self._story.lines)
            self._show()

    @work(group="story", exclusive=True)
    async def _ask(self) -> None:
        try:
            self._story = await self._asker.story(self._key, shows_lines=self._shows_line)
        except TokentailError as error:
            self._reader.show([str(error)])
            return
        self._number = 0
        self._show()

    def _show(self) -> None:
        story = self._story
        if story is None:
            self._reader.show(["This reply is gone: a line that was found later says that it was none."])
        elif self._shows_line:
            self._reader.show(self._line_of(story))
        else:
            self._explain(story)
        self._entitle()

    def _line_of(self, story: ReplyStory) -> list[str]:
        """A line of the log: where it stands, then what it says."""
        if not story.lines:
            return [_ELSEWHERE]
        line = story.lines[self._number]
        place = (text.safe(line.spot.path), f"  byte {line.spot.offset_bytes:,}", "")
        if line.original is None:
            return [*place, f"  {_GONE.get(line.stands) or text.safe(line.unread)}"]
        form = original.laid_out if self._is_laid_out else original.as_logged
        return [*place, *form(line.original)]

    def _title(self) -> str:
        if self._shows_line and self._story is not None and self._story.lines:
            return f"line {self._number + 1} of {len(self._story.lines)} · {self._story.lines[self._number].role}"
        return super()._title()


def sessions_of_day(day: date, asker: Asker) -> SessionsScreen:
    return SessionsScreen(("days", f"{day:%a %d %b %Y}"), asker, Request("sessions", asker.zone, since=day, until=day))


def explained_day(day: date, asker: Asker) -> SumScreen:
    return SumScreen(("days", f"{day:%a %d %b %Y}"), asker, day)


def _columns(width: int) -> tuple[Column[FeedRow], ...]:
    return columns(width, of_session=True)
