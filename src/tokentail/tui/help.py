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

_MEANING_CELLS = 52
_KEYS = (
    ("1 to 7  Tab", "live, projects, sessions, models, days, limits and budgets, engine; 8 and 9: hosts and users"),
    ("↑ ↓ PgUp PgDn", "choose a row; in the requests on into older ones, Home goes back to the newest"),
    ("Enter", "what a row is made of: sessions, replies, the explanation of a reply; Esc goes back"),
    ("e", "of a session or a day: where its sum comes from"),
    ("/", "only rows with these words in a name or an id; Enter keeps it, Esc ends it"),
    ("s  t", "order of a list; of all time, 30 days, 7 days, today. A click on a title orders, too"),
    ("p  space", "hold the requests still, catch up: nothing is lost"),
    ("w  c", "chart of 1, 6 or 24 hours; in tokens or in dollars"),
    ("o  f", "of a reply: its line in the log, which is content; laid out or as logged"),
    ("← →  / n N", "the other lines of a reply; search, next, previous"),
    ("r", "look at all the logs now"),
    ("d  h", "dark or light; more contrast"),
    ("Ctrl+P", "all commands by name"),
    ("q", "leave"),
)
_MARKS = (
    ("5 hours", "the upper line is the window's time; → what it comes to if it goes on like that"),
    ("limit  budget", "how far it is used; ~ is an estimate, full when it would be reached at this pace"),
    ("↳", "a reply to a subagent"),
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
    first, *rest = textwrap.wrap(meaning, _MEANING_CELLS) or [""]
    return [Content.assemble((f"{name:<16}", "bold $accent"), first), *(Content(" " * 16 + line) for line in rest)]
