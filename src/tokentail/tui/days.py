"""The days as a calendar whose colours say what each one cost, and what the chosen day was spent on."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import ClassVar

from textual import events, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from tokentail import periods
from tokentail.errors import TokentailError
from tokentail.model import Counts, Report, Row
from tokentail.reports import columns, text
from tokentail.reports.names import model_name
from tokentail.reports.request import Request
from tokentail.tui import chart, words
from tokentail.tui.asker import Asker
from tokentail.tui.panels import MUTED, ends
from tokentail.tui.snapshot import Figures, Snapshot

LEVELS = 5
MOST_WEEKS = 53
_GLYPHS = "·░▒▓█"  # where there are no colours
_WEEKDAYS = ("Mon", "", "Wed", "", "Fri", "", "Sun")
_LABEL_CELLS = 5


def levels(values: Mapping[date, float]) -> dict[date, int]:
    """How hot each day is: 0 for nothing, and of the others each level has about as many days."""
    ordered = sorted(value for value in values.values() if value > 0)
    return {day: 1 + bisect_left(ordered, value) * (LEVELS - 1) // len(ordered) if value > 0 else 0 for day, value in values.items()}


class Days(Vertical):
    """The calendar, and the chosen day below it."""

    class Wanted(Message):
        """A person wants to see the sessions of a day, or where its sum comes from."""

        def __init__(self, day: date, *, explained: bool) -> None:
            super().__init__()
            self.day, self.explained = day, explained

    def __init__(self, asker: Asker) -> None:
        super().__init__(id="days", classes="framed")
        self.border_title = "days"
        self._asker = asker
        self._figures: Figures | None = None

    def compose(self) -> ComposeResult:
        yield Calendar()
        yield DayDetail()

    def look(self, snapshot: Snapshot) -> None:
        """Something may have been counted."""
        if snapshot.figures is not self._figures:
            self._figures = snapshot.figures
            self._ask(snapshot.at.date(), periods.at_ms(snapshot.at))

    def on_calendar_chose(self, message: Calendar.Chose) -> None:
        self.query_one(DayDetail).show(message.day, message.row)

    def on_calendar_opened(self, message: Calendar.Opened) -> None:
        self.post_message(self.Wanted(message.day, explained=message.explained))

    @work(group="days", exclusive=True)
    async def _ask(self, today: date, now_ms: int) -> None:
        try:
            report = await self._asker.report(Request("daily", self._asker.zone, breakdown=True), now_ms)
        except TokentailError as error:
            self.notify(str(error), severity="error", markup=False)
            return
        self.query_one(Calendar).show(report, today)
        self.border_title = f"days · {_measured(report.totals)} a day"


def _measured(totals: Counts) -> str:
    return "dollars" if totals.cost_usd else "tokens"


class Calendar(Widget, can_focus=True):
    """A column a week, a line a weekday, the newest week on the right."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "move(-7)", "Week before", show=False),
        Binding("right", "move(7)", "Week after", show=False),
        Binding("up,k", "move(-1)", "Day before", show=False),
        Binding("down,j", "move(1)", "Day after", show=False),
        Binding("home", "first", "First day", show=False),
        Binding("end", "today", "Today", show=False),
        Binding("enter", "open", "Sessions", key_display="↵"),
        Binding("e", "explain", "Explain"),
    ]
    day: reactive[date] = reactive(periods.EPOCH)

    class Chose(Message):
        def __init__(self, day: date, row: Row | None) -> None:
            super().__init__()
            self.day, self.row = day, row

    class Opened(Message):
        def __init__(self, day: date, *, explained: bool = False) -> None:
            super().__init__()
            self.day, self.explained = day, explained

    def __init__(self) -> None:
        super().__init__(id="calendar")
        self._rows: dict[date, Row] = {}
        self._levels: dict[date, int] = {}
        self._today = periods.EPOCH

    def show(self, report: Report, today: date) -> None:
        """The days of a report."""
        of = columns.measure(report.totals)[0]
        self._rows = {day: row for row in report.rows if (day := _day(row.key)) is not None}
        self._levels = levels({day: of(row.counts) for day, row in self._rows.items()})
        was_today = self.day in (self._today, periods.EPOCH)
        self._today = today
        if was_today:
            self.day = today
        self.post_message(self.Chose(self.day, self._rows.get(self.day)))
        self.refresh()

    def watch_day(self, day: date) -> None:
        self.post_message(self.Chose(day, self._rows.get(day)))

    def action_move(self, days: int) -> None:
        self._go(self.day + timedelta(days=days))

    def action_first(self) -> None:
        self._go(min(self._rows, default=self._today))

    def action_today(self) -> None:
        self._go(self._today)

    def action_open(self) -> None:
        if self.day in self._rows:
            self.post_message(self.Opened(self.day))

    def action_explain(self) -> None:
        if self.day in self._rows:
            self.post_message(self.Opened(self.day, explained=True))

    def on_click(self, event: events.Click) -> None:
        first, pitch = self._first(), self._pitch()
        week, weekday = (event.x - _LABEL_CELLS) // pitch, event.y - 1
        if event.x >= _LABEL_CELLS and 0 <= weekday < 7:
            day = first + timedelta(days=week * 7 + weekday)
            was_chosen = day == self.day
            self._go(day)
            if was_chosen or event.chain > 1:
                self.action_open()

    def render(self) -> Content:
        if self._today == periods.EPOCH:
            return Content("")
        first, weeks = self._first(), self._weeks()
        lines = [self._months(first, weeks)]
        for weekday in range(7):
            days = [first + timedelta(days=week * 7 + weekday) for week in range(weeks)]
            label = Content.styled(f"{_WEEKDAYS[weekday]:<{_LABEL_CELLS}}", MUTED)
            lines.append(Content("").join([label, *(self._cell(day) for day in days)]))
        return Content("\n").join([*lines, Content(""), self._legend()])

    def _cell(self, day: date) -> Content:
        if day > self._today:
            return Content(" " * self._pitch())
        level = self._levels.get(day, 0)
        char = _GLYPHS[level] if self.app.no_color else "■"
        style = f"$heat-{level}" + (" reverse" if day == self.day else "")
        wide = self._pitch() - 1
        return Content.assemble((char * wide, style), " ")

    def _months(self, first: date, weeks: int) -> Content:
        """The name of each month over the week in which it begins."""
        line = [" "] * (weeks * self._pitch() + 3)
        free = 0
        for week in range(weeks):
            monday = first + timedelta(days=week * 7)
            begins = next((day for day in (monday + timedelta(days=more) for more in range(7)) if day.day == 1), None)
            place = week * self._pitch()
            if begins is not None and place >= free:
                name = f"{begins:%b}" if begins.month > 1 else f"{begins:%Y}"
                line[place : place + len(name)] = name
                free = place + len(name) + 1
        return Content.styled(" " * _LABEL_CELLS + "".join(line).rstrip(), MUTED)

    def _legend(self) -> Content:
        cells = [(f"{_GLYPHS[level] if self.app.no_color else '■'} ", f"$heat-{level}") for level in range(LEVELS)]
        return Content.assemble((" " * _LABEL_CELLS + "less ", MUTED), *cells, ("more", MUTED))

    def _first(self) -> date:
        """The Monday of the first week that is shown; the chosen day is always seen."""
        weeks = self._weeks()
        last = periods.week_of(self._today)
        newest = last - timedelta(weeks=weeks - 1)
        return min(newest, periods.week_of(self.day))

    def _weeks(self) -> int:
        return max(min((self.content_size.width - _LABEL_CELLS) // self._pitch(), MOST_WEEKS), 1)

    def _pitch(self) -> int:
        return 3 if self.content_size.width >= _LABEL_CELLS + 3 * MOST_WEEKS else 2

    def _go(self, day: date) -> None:
        self.day = max(min(day, self._today), min([*self._rows, self._today - timedelta(weeks=MOST_WEEKS)]))


class DayDetail(Widget):
    """What a day cost, and by which models."""

    def __init__(self) -> None:
        super().__init__(id="day")
        self._day = periods.EPOCH
        self._row: Row | None = None

    def show(self, day: date, row: Row | None) -> None:
        self._day, self._row = day, row
        self.refresh()

    def render(self) -> Content:
        if self._day == periods.EPOCH:
            return Content.styled("Asking the store …", MUTED)
        width, height = self.content_size
        title = Content.styled(f"{self._day:%a %d %b %Y}", "bold")
        if self._row is None:
            return Content("\n").join([title, Content(""), Content.styled("nothing was used on this day", MUTED)])
        counts = self._row.counts
        said = Content.assemble(
            (words.dollars(counts), "bold $gold"),
            f"   {text.short(counts.total_tokens)} tokens",
            (f"   {words.replies(counts.replies)}", MUTED),
        )
        return Content("\n").join([ends(title, said, width), Content(""), *_by_model(self._row.models, width, height - 2)])


def _by_model(rows: Sequence[Row], width: int, height: int) -> list[Content]:
    """A line a model, costliest first."""
    top = max((row.counts.cost_usd or 0.0 for row in rows), default=0.0) or 1.0
    room = min(max(width - 56, 0), 60)
    lines = []
    for row in rows[:height]:
        counts = row.counts
        bar = chart.share((counts.cost_usd or 0.0) / top, room)
        lines.append(
            Content.assemble(
                (words.fit(model_name(row.key), 16), "$accent"),
                (f"{words.dollars(counts):>12}", "$gold"),
                f"{text.short(counts.total_tokens):>10}",
                (f"{words.replies(counts.replies):>16}  ", MUTED),
                (bar, "$kind-read"),
            )
        )
    if len(rows) > height > 0:
        lines[-1] = Content.styled(f"and {len(rows) - height + 1} more", MUTED)
    return lines


def _day(key: str) -> date | None:
    try:
        return date.fromisoformat(key)
    except ValueError:
        return None
