"""The line of tabs below the title."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widget import Widget


class Tab(NamedTuple):
    key: str  # that opens it
    name: str  # of its page
    title: str


TABS = (
    Tab("1", "live", "Live"),
    Tab("2", "projects", "Projects"),
    Tab("3", "sessions", "Sessions"),
    Tab("4", "models", "Models"),
    Tab("5", "days", "Days"),
    Tab("6", "limits", "Limits"),
    Tab("7", "looks", "Engine"),
)
OTHERS = (Tab("8", "hosts", "Hosts"), Tab("9", "users", "Users"))  # where other machines send to this one


class TabBar(Widget):
    """The tabs; the open one stands out, and a click opens another one."""

    class Chosen(Message):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, tabs: Sequence[Tab] = TABS) -> None:
        super().__init__(id="tabs")
        self.tabs = tabs
        self._open = tabs[0].name

    def show_others(self) -> None:
        """There are other machines."""
        if len(self.tabs) == len(TABS):
            self.tabs = (*TABS, *OTHERS)
            self.refresh()

    def open(self, name: str) -> None:
        self._open = name
        self.refresh()

    def render(self) -> Content:
        return Content.assemble(*((f" {tab.key} {tab.title} ", self._style(tab)) for tab in self.tabs))

    def on_click(self, event: events.Click) -> None:
        end = 0
        for tab in self.tabs:
            end += len(tab.title) + 4
            if event.x < end:
                self.post_message(self.Chosen(tab.name))
                return

    def _style(self, tab: Tab) -> str:
        return "bold $accent on $chosen underline" if tab.name == self._open else "$muted"
