"""The help of the live screen."""

from __future__ import annotations

import textwrap
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

_KEYS = (
    ("p  space", "hold the requests still, and catch up: nothing is lost"),
    ("/", "only the requests with a word in a project, model, session or subagent; Enter keeps it, Esc ends it"),
    ("w  c", "chart of 1, 6 or 24 hours; in tokens or in dollars"),
    ("r", "look at all the logs now"),
    ("d  h", "dark or light; more contrast"),
    ("↑ ↓ PgUp PgDn", "choose a request, also older ones from the store; Home goes back to the newest"),
    ("q", "leave"),
)
_MARKS = (
    ("+ ↑ ~", "a reply that is new, has grown, was corrected; bold: just now"),
    ("≥", "a lower bound: the final output is not in the log, or a part has no price"),
    ("in", "input beside what the cache took or gave"),
    ("cache", "input written to the cache and read from it"),
    ("7 days", "today and the six days before; the small bars are the days' costs"),
    ("unchanged", "files that had not changed, so that none was read"),
)


class Help(ModalScreen[None]):
    """Keys and words."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,question_mark,q,enter", "dismiss", "Close")]

    def compose(self) -> ComposeResult:
        lines = [line for name, meaning in (*_KEYS, ("", ""), *_MARKS) for line in _lines(name, meaning)]
        with VerticalScroll(id="help") as box:
            box.border_title = "help"
            yield Static(Content("\n").join(lines), markup=False)


def _lines(name: str, meaning: str) -> list[Content]:
    """A name and its meaning beside it."""
    first, *rest = textwrap.wrap(meaning, 54) or [""]
    return [Content.assemble((f"{name:<16}", "bold $accent"), first), *(Content(" " * 16 + line) for line in rest)]
