"""A table with a frame and a title, and a line to type a filter in."""

from __future__ import annotations

from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input

from tokentail.tui.table import Table


class Filtered(Vertical):
    """`/` opens the line, what is typed holds at once, Enter goes back to the rows, Esc shows all of them again."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("escape", "unfilter", "All", show=False),
    ]

    class Said(Message):
        """What a person has typed."""

        def __init__(self, panel: Filtered, words: str) -> None:
            super().__init__()
            self.panel, self.words = panel, words

        @property
        def control(self) -> Filtered:
            return self.panel

    class Left(Message):
        """Esc was pressed, and nothing was typed."""

        def __init__(self, panel: Filtered) -> None:
            super().__init__()
            self.panel = panel

    def __init__(self, table: Table[Any], title: str, *, id: str, can_filter: bool = True) -> None:
        super().__init__(id=id, classes="framed")
        self.table = table
        self._can_filter = can_filter
        self.border_title = title

    def compose(self) -> ComposeResult:
        yield self.table

    def entitle(self, title: str) -> None:
        if title != self.border_title:
            self.border_title = title

    @property
    def words(self) -> str:
        """What is typed."""
        line = self._line()
        return "" if line is None else line.value

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool:
        return action != "filter" or self._can_filter

    async def action_filter(self) -> None:
        if self._line() is None:
            await self.mount(_Line(placeholder="a project, model, session or subagent", compact=True))
        self.query_one(_Line).focus()

    async def action_unfilter(self) -> None:
        """Without a filter the key is somebody else's."""
        line = self._line()
        if line is None:
            self.post_message(self.Left(self))
            return
        self.table.focus()
        await line.remove()
        self.post_message(self.Said(self, ""))

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Said(self, event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.table.focus()

    def _line(self) -> _Line | None:
        return next(iter(self.query(_Line)), None)


class _Line(Input):
    """The line; the arrows go on choosing rows."""

    def on_key(self, event: events.Key) -> None:
        panel = self.parent
        if event.key in ("down", "up") and isinstance(panel, Filtered):
            event.stop()
            panel.table.focus()
