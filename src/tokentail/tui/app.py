"""The live screen."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
from collections.abc import Mapping
from typing import ClassVar
from zoneinfo import ZoneInfo

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, Vertical
from textual.driver import Driver
from textual.message import Message
from textual.theme import Theme
from textual.widgets import Footer

from tokentail.coordinator import UpdateCoordinator
from tokentail.prices import PriceList
from tokentail.tui import theme
from tokentail.tui.chart import Chart
from tokentail.tui.feed import Feed
from tokentail.tui.feed_view import FeedPanel, FeedView
from tokentail.tui.follower import Ended, Follower, Reading
from tokentail.tui.help import Help
from tokentail.tui.panels import Engine, LastHour, Models, Notice, Panel, TitleBar, Today, Week
from tokentail.tui.snapshot import Snapshot

_BAR_CELLS = 24


def run_screen(
    coordinator: UpdateCoordinator, prices: PriceList, zone: ZoneInfo, *, label: str, aliases: Mapping[str, str] | None = None
) -> int:
    """
    Show the live screen until the person leaves it.

    Args:
        label: what the numbers are, where they are not the person's own.
        aliases: names to show for projects, by slug or folder.

    Raises:
        TokentailError: the logs or the store could not be read any longer.
    """
    gc.enable()
    follower = Follower(coordinator, prices, zone, aliases=aliases)
    app = LiveScreen(follower, zone, label=label, colours=theme.suits(os.environ))
    try:
        app.run()
    finally:
        follower.stop()
    if follower.error is not None:
        raise follower.error
    return app.return_code or 0


class LiveScreen(App[None]):
    """Today, the last hour and the requests, while they happen."""

    CSS_PATH = "screen.tcss"
    TITLE = "tokentail"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (118, "-wide"), (150, "-wider")]  # noqa: RUF012  # Textual does not call it a class variable
    VERTICAL_BREAKPOINTS = [(0, "-tiny"), (20, "-short"), (30, "-medium"), (38, "-tall")]  # noqa: RUF012  # Textual does not call it a class variable
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Quit"),
        Binding("ctrl+c", "quit", "Quit", show=False, priority=True),
        Binding("p,space", "pause", "Pause", key_display="p"),
        Binding("c", "chart", "Tokens/cost"),
        Binding("r", "look", "Look now"),
        Binding("d", "dark", "Dark/light"),
        Binding("question_mark", "help", "Help", key_display="?"),
    ]

    class Posted(Message):
        """Something that the follower found; it comes from its thread."""

        def __init__(self, what: Snapshot | Reading | Ended) -> None:
            super().__init__()
            self.what = what

    def __init__(self, follower: Follower, zone: ZoneInfo, *, label: str, colours: Theme = theme.DARK) -> None:
        # Where no colour is wanted Textual would show shades of grey; with the terminal's own colours it shows none.
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)
        self._follower, self._zone, self._label = follower, zone, label
        for each in (theme.DARK, theme.LIGHT):
            self.register_theme(each)
        self.theme = colours.name
        self.animation_level = "none"  # rows that glide are hard to read, and cost a slow line dearly
        self._feed = Feed()
        self._snapshot: Snapshot | None = None

    def get_driver_class(self) -> type[Driver]:
        usual = super().get_driver_class()
        if usual.__name__ != "LinuxDriver":
            return usual
        from tokentail.tui.driver import StdoutDriver  # what it is made of is not there on Windows

        return StdoutDriver

    def compose(self) -> ComposeResult:
        yield TitleBar(self._label, self._zone.key)
        with Horizontal(id="cards"):
            yield Today("today", "today")
            yield Week("week", "7 days")
            yield LastHour("hour", "last hour")
        with Container(id="body"):
            with Vertical(id="main"):
                yield Chart(self._zone)
                yield FeedPanel()
            with Container(id="side"):
                yield Models("models", "models today")
                yield Engine("engine", "engine")
        yield Notice()
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self.query_one(FeedView).say("Looking at the logs …")
        self.query_one(FeedView).focus()
        self._leave_on_signals()
        self.call_after_refresh(self._follower.start, self._post)

    def _leave_on_signals(self) -> None:
        """Told to go, put the terminal right first."""
        for number in (getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP")):
            if number is not None:
                with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # not on Windows, nor outside the main thread
                    asyncio.get_running_loop().add_signal_handler(number, self.exit, None, 128 + number)

    def _post(self, what: Snapshot | Reading | Ended) -> None:
        """Called in the follower's thread."""
        # The screen may have gone meanwhile, and its loop with it.
        with contextlib.suppress(RuntimeError):
            self.post_message(self.Posted(what))

    def on_live_screen_posted(self, message: Posted) -> None:
        match message.what:
            case Snapshot() as snapshot:
                self._take_in(snapshot)
            case Reading(done, total):
                if self._snapshot is None:
                    self.query_one(FeedView).say(_progress(done, total))
            case Ended():
                self.exit(return_code=0 if self._follower.error is None else 1)

    def action_pause(self) -> None:
        if self._feed.paused:
            self._feed.resume()
        else:
            self._feed.pause()
        self._show()

    def action_chart(self) -> None:
        chart = self.query_one(Chart)
        chart.measure(cost=not chart.shows_cost)

    def action_look(self) -> None:
        self._follower.look_now()

    def action_dark(self) -> None:
        self.theme = theme.LIGHT.name if self.theme == theme.DARK.name else theme.DARK.name

    def action_help(self) -> None:
        self.push_screen(Help())

    def _take_in(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._feed.show(snapshot)
        self._show()

    def _show(self) -> None:
        snapshot = self._snapshot
        if snapshot is None or not self.screen_stack:  # nothing was seen yet, or the person has left meanwhile
            return
        screen = self.screen_stack[0]
        screen.query_one(Chart).show(snapshot.hour)
        for panel in screen.query(Panel):
            panel.show(snapshot)
        screen.query_one(Notice).show(snapshot)
        screen.query_one(FeedView).show(self._feed, snapshot.overview.day)
        state, title = ("● live", "$live"), "requests"
        if self._feed.paused:
            waiting = f"{self._feed.waiting} waiting"
            state, title = (f"■ paused · {waiting}", "bold $gold"), f"requests · paused, {waiting}"
        screen.query_one(FeedPanel).entitle(title)
        screen.query_one(TitleBar).show(f"{snapshot.at:%H:%M:%S}", state)


def _progress(done_bytes: int, total_bytes: int) -> str:
    """How far the first read is."""
    part = done_bytes / total_bytes if total_bytes else 1.0
    filled = int(part * _BAR_CELLS)
    return f"Reading the logs  {'█' * filled}{'░' * (_BAR_CELLS - filled)}  {part:4.0%} of {total_bytes / 1e6:,.0f} MB"
