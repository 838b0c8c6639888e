"""The live screen."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import gc
import os
import signal
import time
from collections.abc import Iterable
from typing import ClassVar
from zoneinfo import ZoneInfo

from textual import work
from textual.app import App, ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, Vertical
from textual.driver import Driver
from textual.screen import ModalScreen, Screen
from textual.widget import Widget

from tokentail import periods
from tokentail.config import Config
from tokentail.coordinator import UpdateCoordinator
from tokentail.errors import StoreError, TokentailError
from tokentail.machines import THIS
from tokentail.prices import PriceList
from tokentail.reports import text
from tokentail.tui import palette, theme
from tokentail.tui.allowances import Allowances, LimitsPage, on_cards
from tokentail.tui.asker import AS_NEW, Asker
from tokentail.tui.cards import Card, FiveHours, Today, Week
from tokentail.tui.chart import WINDOWS, Chart
from tokentail.tui.days import Days
from tokentail.tui.drill import Deeper, RepliesScreen, ReplyScreen, SessionsScreen, explained_day, sessions_of_day
from tokentail.tui.feed import Feed
from tokentail.tui.feed_view import FeedView
from tokentail.tui.filtered import Filtered
from tokentail.tui.follower import Ended, Follower, Found, Reading
from tokentail.tui.help import Help
from tokentail.tui.keys import Keys
from tokentail.tui.lists import HOSTS, MODELS, PROJECTS, SESSIONS, USERS, ReportList
from tokentail.tui.looks import History, Looks
from tokentail.tui.memory import Memory, remember, remembered
from tokentail.tui.panels import Engine, Models, Notice, Panel, TitleBar
from tokentail.tui.snapshot import Figures, Snapshot, Watch
from tokentail.tui.table import Table
from tokentail.tui.tabs import OTHERS, TABS, TabBar

ALLOWANCES_EVERY_S = 10.0
_BAR_CELLS = 24
_LISTS = {kind.report: kind for kind in (PROJECTS, SESSIONS, MODELS, HOSTS, USERS)}


def run_screen(
    coordinator: UpdateCoordinator,
    prices: PriceList,
    zone: ZoneInfo,
    *,
    label: str,
    settings: Config = AS_NEW,
) -> int:
    """
    Show the live screen until the person leaves it.

    Args:
        label: what the numbers are, where they are not the person's own.

    Raises:
        TokentailError: the logs or the store could not be read any longer.
    """
    gc.enable()
    home = coordinator.store_path.parent
    memory = remembered(home)
    watch = Watch(prices, zone, aliases=dict(settings.projects.aliases), rounding=settings.blocks.rounding)
    follower = Follower(coordinator, watch)
    asker = Asker(coordinator.store_path, prices, zone, settings=settings, folders=coordinator.source.names)
    colours = theme.BY_NAME.get(memory.theme) or theme.suits(os.environ)
    app = LiveScreen(follower, asker, label=label, memory=memory._replace(theme=colours.name))
    try:
        app.run()
    finally:
        follower.stop()
        asker.close()
        if app.memory != memory._replace(theme=colours.name):
            remember(home, app.memory)
    if follower.error is not None:
        raise follower.error
    return app.return_code or 0


class LiveScreen(App[None]):
    """Today, the last hours and the requests, while they happen."""

    CSS_PATH = "screen.tcss"
    TITLE = "tokentail"
    ENABLE_COMMAND_PALETTE = True
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (118, "-wide"), (150, "-wider")]  # noqa: RUF012  # Textual does not call it a class variable
    VERTICAL_BREAKPOINTS = [(0, "-tiny"), (20, "-short"), (30, "-medium"), (38, "-tall")]  # noqa: RUF012  # Textual does not call it a class variable
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "quit", "Quit", show=False, priority=True),
        *(Binding(tab.key, f"open({tab.name!r})", tab.title, show=False) for tab in (*TABS, *OTHERS)),
        Binding("tab", "step(1)", "Next tab", show=False, priority=True),
        Binding("shift+tab", "step(-1)", "Tab before", show=False, priority=True),
        Binding("p,space", "pause", "Pause", key_display="p"),
        Binding("w", "window", "1/6/24 h"),
        Binding("c", "chart", "Tokens/cost"),
        Binding("r", "look", "Look now", show=False),
        Binding("d", "dark", "Dark/light", show=False),
        Binding("h", "contrast", "Contrast", show=False),
        Binding("question_mark", "help", "Help", key_display="?"),
        Binding("q", "quit", "Quit"),
    ]

    def __init__(self, follower: Follower, asker: Asker, *, label: str, memory: Memory) -> None:
        # Where no colour is wanted Textual would show shades of grey; with the terminal's own colours it shows none.
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)
        self._follower, self._asker, self._label = follower, asker, label
        self._zone = asker.zone
        for each in theme.BY_NAME.values():
            self.register_theme(each)
        self.theme = memory.theme or theme.DARK.name
        self.memory = memory
        self.animation_level = "none"  # rows that glide are hard to read, and cost a slow line dearly
        self._feed = Feed()
        self._snapshot: Snapshot | None = None
        self._shown: Snapshot | None = None  # on the screen
        self._history = History()
        self._open, self._page = "live", Widget()
        self._is_back_in_time = False  # a person has left the newest requests
        self._allowances: Allowances | None = None
        self._allowances_due = 0.0
        self._asked_for: Figures | None = None  # what was shown when allowances were asked for

    def get_driver_class(self) -> type[Driver]:
        usual = super().get_driver_class()
        if usual.__name__ != "LinuxDriver":
            return usual
        from tokentail.tui.driver import StdoutDriver  # what it is made of is not there on Windows

        return StdoutDriver

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        return palette.commands(self)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What only the live page has is not offered elsewhere."""
        return action not in ("pause", "window", "chart") or (self._open == "live" and len(self.screen_stack) == 1)

    def compose(self) -> ComposeResult:
        yield TitleBar(self._label, self._zone.key)
        yield TabBar()
        with Horizontal(id="cards"):
            yield Today("today", "today")
            yield FiveHours("window", "5 hours", self._zone)
            yield Week("week", "7 days")
        with Container(id="live", classes="page"):
            with Vertical(id="main"):
                yield Chart(self._zone)
                yield Filtered(FeedView(), "requests", id="feed")
            with Container(id="side"):
                yield Models("models", "models today")
                yield Engine("engine", "engine")
        yield Notice()
        yield Keys()

    def on_mount(self) -> None:
        self._chart, self._feed_view, self._feed_panel = self.query_one(Chart), self.query_one(FeedView), self.query_one("#feed", Filtered)
        self._page = self.query_one("#live")
        self._title, self._notice, self._panels = self.query_one(TitleBar), self.query_one(Notice), list(self.query(Panel))
        window = self.memory.window_minutes
        self._chart.measure(cost=self.memory.shows_cost, window_minutes=window if window in WINDOWS else None)
        self._feed_view.say("Looking at the logs …")
        self._feed_view.focus()
        self._leave_on_signals()
        self._screen_loop, self._screen_context = asyncio.get_running_loop(), contextvars.copy_context()
        self.call_after_refresh(self._follower.start, self._post)

    def _leave_on_signals(self) -> None:
        """Told to go, put the terminal right first."""
        for number in (getattr(signal, name, None) for name in ("SIGTERM", "SIGHUP")):
            if number is not None:
                with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # not on Windows, nor outside the main thread
                    asyncio.get_running_loop().add_signal_handler(number, self.exit, None, 128 + number)

    def _post(self, what: Found) -> None:
        """Called in the follower's thread."""
        # Not as a message: that would cost as much as all else that a reply does to the screen.
        with contextlib.suppress(RuntimeError):  # the screen may have gone meanwhile, and its loop with it
            self._screen_loop.call_soon_threadsafe(self._hear, what, context=self._screen_context)

    def _hear(self, what: Found) -> None:
        """Something that the follower found."""
        try:
            match what:
                case Snapshot() as snapshot:
                    self._take_in(snapshot)
                case Reading(done, total):
                    if self._snapshot is None:
                        self._feed_view.say(_progress(done, total))
                case Ended():
                    self.exit(return_code=0 if self._follower.error is None else 1)
        except Exception as error:  # noqa: BLE001  # the last frame of a callback: `run_screen` raises it again when the screen is gone
            self._follower.error = error
            self.exit(return_code=1)

    async def on_tab_bar_chosen(self, message: TabBar.Chosen) -> None:
        await self.action_open(message.name)

    async def action_open(self, name: str) -> None:
        """Open a tab; its page is made when it is opened for the first time."""
        screen = self.screen_stack[0]
        if name not in self._tab_names():
            return
        while len(self.screen_stack) > 1:
            self.pop_screen()
        found = next(iter(screen.query(f".page#{name}")), None)
        if found is None:
            found = self._new_page(name)
            await screen.mount(found, after=screen.query(".page").last())
        for page in screen.query(".page"):
            page.display = page is found
        screen.set_class(name != "live", "-other")
        screen.query_one(TabBar).open(name)
        self._open, self._page = name, found
        self._focus_page()
        self.refresh_bindings()
        self._show()

    async def action_step(self, by: int) -> None:
        if isinstance(self.screen, ModalScreen):
            return
        names = self._tab_names()
        await self.action_open(names[(names.index(self._open) + by) % len(names)])

    def _tab_names(self) -> list[str]:
        return [tab.name for tab in self.screen_stack[0].query_one(TabBar).tabs]

    async def action_filter(self) -> None:
        """Filter the requests."""
        await self.action_open("live")
        await self._feed_panel.action_filter()

    def _new_page(self, name: str) -> Widget:
        if name in _LISTS:
            page: Widget = ReportList(_LISTS[name], self._asker, order=dict(self.memory.orders).get(name, ""))
        else:
            page = Days(self._asker) if name == "days" else LimitsPage(self._zone) if name == "limits" else Looks(self._history)
        page.add_class("page")
        return page

    def _focus_page(self) -> None:
        target = next((each for each in self._page.query("*") if each.focusable), None)
        if target is not None:
            target.focus()

    def on_report_list_order_changed(self, message: ReportList.OrderChanged) -> None:
        orders = {**dict(self.memory.orders), message.report: message.order}
        self.memory = self.memory._replace(orders=tuple(sorted(orders.items())))

    def on_report_list_wanted(self, message: ReportList.Wanted) -> None:
        """From a project or a model to its sessions, from a session to its replies."""
        row, of, name = message.row, message.sender, text.safe(message.name)
        trail = self.screen.trail if isinstance(self.screen, Deeper) else (of.kind.title,)
        trail = trail if trail[-1] == name else (*trail, name)
        match of.kind.report:
            case "projects":
                self._go_down(SessionsScreen(trail, self._asker, of.request._replace(projects=(row.key,))))
            case "hosts":
                self._go_down(SessionsScreen(trail, self._asker, of.request._replace(hosts=(row.key or THIS,))))
            case "users":
                self._go_down(SessionsScreen(trail, self._asker, of.request._replace(users=(row.key or THIS,))))
            case "models":
                self._go_down(SessionsScreen(trail, self._asker, of.request._replace(models=(row.key,))))
            case _:
                self._go_down(RepliesScreen((*trail, f"session {row.key[:8]}"), self._asker, row.key))

    def on_days_wanted(self, message: Days.Wanted) -> None:
        self._go_down(explained_day(message.day, self._asker) if message.explained else sessions_of_day(message.day, self._asker))

    def on_table_opened(self, message: Table.Opened) -> None:
        if message.table is self._feed_view:
            self._go_down(ReplyScreen(("requests", f"reply {message.key}"), self._asker, message.key))

    def _go_down(self, screen: Deeper) -> None:
        def is_there(_: object = None) -> None:
            if self._snapshot is not None:
                screen.look(self._snapshot)

        self.push_screen(screen)
        self.call_after_refresh(is_there)

    def on_filtered_said(self, message: Filtered.Said) -> None:
        if message.panel is self._feed_panel:
            self._feed.filter(message.words)
            self._show()
            if self._feed.words:
                self._want_older()

    def on_filtered_left(self, message: Filtered.Left) -> None:
        if message.panel is self._feed_panel:
            self._feed_view.action_first()

    def on_table_near_end(self, message: Table.NearEnd) -> None:
        if message.table is self._feed_view:
            self._want_older()

    def _want_older(self) -> None:
        """What is before the oldest reply that is known; the feed's filter is the store's, too."""
        if self._feed.has_older and self._feed.oldest is not None:
            self._add_older()

    @work(group="older", exclusive=True)
    async def _add_older(self) -> None:
        before, words = self._feed.oldest, self._feed.words
        if before is None:
            return
        try:
            older = await self._asker.older(before, words)
        except StoreError as error:
            self.notify(str(error), severity="error", markup=False)
            return
        self._feed.add_older(older.rows, words, are_all=older.are_all)
        self._show()

    def action_pause(self) -> None:
        if self._feed.paused:
            self._feed.resume()
        else:
            self._feed.pause()
        self._show()

    def action_chart(self) -> None:
        self._chart.measure(cost=not self._chart.shows_cost)
        self.on_chart_measured()

    def action_window(self, minutes: int | None = None) -> None:
        """The chart of so many minutes, or of the next window."""
        place = WINDOWS.index(self._chart.window_minutes)
        self._chart.measure(window_minutes=minutes or WINDOWS[(place + 1) % len(WINDOWS)])
        self.on_chart_measured()

    def on_chart_measured(self) -> None:
        self.memory = self.memory._replace(window_minutes=self._chart.window_minutes, shows_cost=self._chart.shows_cost)

    def action_look(self) -> None:
        self._follower.look_now()

    def action_dark(self) -> None:
        self.action_wear(theme.other_ground(self.theme))

    def action_contrast(self) -> None:
        self.action_wear(theme.other_contrast(self.theme))

    def action_wear(self, name: str) -> None:
        """Change the theme."""
        self.theme = name
        self.memory = self.memory._replace(theme=name)

    def action_help(self) -> None:
        self.push_screen(Help())

    def _take_in(self, snapshot: Snapshot) -> None:
        if self._snapshot is None:
            gc.freeze()  # what is there by now stays: going through it again and again would cost more than the replies
        self._snapshot = snapshot
        self._history.add(snapshot)
        self._feed.show(snapshot)
        self._show()
        self._want_allowances(snapshot)

    def _want_allowances(self, snapshot: Snapshot) -> None:
        """How far limits and budgets are used, when something was used, but not with each reply."""
        if time.monotonic() >= self._allowances_due and snapshot.figures is not self._asked_for:
            self._allowances_due, self._asked_for = time.monotonic() + ALLOWANCES_EVERY_S, snapshot.figures
            self._ask_allowances(periods.at_ms(snapshot.at))

    @work(group="allowances", exclusive=True)
    async def _ask_allowances(self, now_ms: int) -> None:
        try:
            self._allowances = await self._asker.allowances(now_ms)
        except TokentailError as error:
            self.notify(str(error), severity="error", markup=False)
            return
        gauges = on_cards(self._allowances, self._zone)
        self.screen_stack[0].set_class(bool(gauges), "-gauged")
        for card in self.query(Card):
            card.gauge(gauges.get(card.id or ""))
        self._show()

    def _show(self) -> None:
        snapshot = self._snapshot
        if snapshot is None or not self.screen_stack:  # nothing was seen yet, or the person has left meanwhile
            return
        if not self._feed_view.is_at_top:
            self._is_back_in_time = True
        elif self._is_back_in_time and not self._feed.words:
            self._is_back_in_time = False
            self._feed.trim()
        self._show_page(snapshot)
        shown, self._shown = self._shown, snapshot
        # Rows come at once. What stands around them costs ten times as much to paint, and nobody reads it ten times a second.
        if shown is None or shown.figures is not snapshot.figures or not snapshot.changes:
            self._show_around(snapshot)
        self._notice.show(snapshot)
        self._feed_view.show_feed(self._feed, snapshot.at.date())
        state, title = ("● live", "$live"), "requests"
        if self._feed.paused:
            waiting = f"{self._feed.waiting} waiting"
            state, title = (f"■ paused · {waiting}", "bold $gold"), f"requests · paused, {waiting}"
        if self._feed.words:
            title += f" · {len(self._feed.rows):,}{'+' if self._feed.has_older else ''} with “{' '.join(self._feed.words)}”"
        self._feed_panel.entitle(title)
        self._title.show(f"{snapshot.at:%H:%M:%S}", state)

    def _show_page(self, snapshot: Snapshot) -> None:
        """What is opened beside the live page."""
        if isinstance(self.screen, Deeper):
            self.screen.look(snapshot)
        elif isinstance(self._page, ReportList | Days | Looks):
            self._page.look(snapshot)
        elif isinstance(self._page, LimitsPage) and self._allowances is not None:
            self._page.allow(self._allowances)

    def _show_around(self, snapshot: Snapshot) -> None:
        if snapshot.has_others:
            self.screen_stack[0].query_one(TabBar).show_others()
        self._chart.show(snapshot.figures.minutes)
        for panel in self._panels:
            panel.show(snapshot)


def _progress(done_bytes: int, total_bytes: int) -> str:
    """How far the first read is."""
    part = done_bytes / total_bytes if total_bytes else 1.0
    filled = int(part * _BAR_CELLS)
    return f"Reading the logs  {'█' * filled}{'░' * (_BAR_CELLS - filled)}  {part:4.0%} of {total_bytes / 1e6:,.0f} MB"
