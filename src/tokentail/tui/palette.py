"""What the command palette offers: all that a person can do, by name."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from textual.app import SystemCommand

from tokentail.tui import theme
from tokentail.tui.chart import WINDOWS
from tokentail.tui.tabs import TABS

if TYPE_CHECKING:
    from tokentail.tui.app import LiveScreen


def commands(app: LiveScreen) -> Iterator[SystemCommand]:
    """Each with its key."""
    for tab in TABS:
        yield SystemCommand(f"Open {tab.title}", f"the tab; key {tab.key}", partial(app.action_open, tab.name))
    for minutes in WINDOWS:
        yield SystemCommand(f"Chart of {minutes // 60} h", "by minute; key w", partial(app.action_window, minutes))
    yield SystemCommand("Chart in tokens or dollars", "changes between the two; key c", app.action_chart)
    yield SystemCommand("Pause or resume the requests", "nothing is lost; key p", app.action_pause)
    yield SystemCommand("Filter the requests", "by project, model, session or subagent; key /", app.action_filter)
    yield SystemCommand("Look at all the logs now", "key r", app.action_look)
    for name in theme.BY_NAME:
        yield SystemCommand(f"Theme {name.removeprefix('tokentail-')}", "is remembered; keys d and h", partial(app.action_wear, name))
    yield SystemCommand("Help", "keys and signs; key ?", app.action_help)
    yield SystemCommand("Quit", "key q", app.action_quit)
