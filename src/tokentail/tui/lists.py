"""The only place that shows reports as lists one can order, filter and go deeper in: projects, sessions, models, hosts, users."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import lru_cache, partial
from typing import Any, ClassVar, NamedTuple

from textual import work
from textual.binding import Binding, BindingType
from textual.message import Message

from tokentail import machines, periods
from tokentail.errors import TokentailError
from tokentail.model import MachineFacts, ProjectFacts, Report, Row, SessionFacts
from tokentail.reports import text
from tokentail.reports.columns import measure
from tokentail.reports.names import model_name
from tokentail.reports.request import Request
from tokentail.tui import chart, words
from tokentail.tui.asker import Asker
from tokentail.tui.feed import names
from tokentail.tui.filtered import Filtered
from tokentail.tui.snapshot import Figures, Snapshot
from tokentail.tui.table import Column, Table, fitted

_PART_OF_TIME = 20  # an answer is asked for again after so many times as long as it took
_STRETCHES = (("all time", None), ("30 days", 30), ("7 days", 7), ("today", 1))
_BAR_FROM, _LASTED_FROM, _SHARES_FROM = 104, 92, 72  # cells


class Line(NamedTuple):
    """A row of a report as a list shows it."""

    row: Row
    name: str  # as shown: hostile
    last: str  # when it was used last, or first where that is asked for
    share: float  # of the cost of all, or of their tokens where nothing has a price
    bar: float  # the same on the scale of the greatest


class Kind(NamedTuple):
    """What a list is about."""

    report: str
    title: str
    one: str
    columns: Callable[[int], tuple[Column[Line], ...]]
    orders: tuple[str, ...]


class ReportList(Filtered):
    """The rows of a report; it follows what is counted while somebody looks at it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "order", "Sort"),
        Binding("t", "stretch", "Time"),
    ]

    class Wanted(Message):
        """A person wants to see what a row is made of."""

        def __init__(self, sender: ReportList, row: Row, name: str) -> None:
            super().__init__()
            self.sender, self.row, self.name = sender, row, name

    class OrderChanged(Message):
        def __init__(self, report: str, order: str) -> None:
            super().__init__()
            self.report, self.order = report, order

    def __init__(self, kind: Kind, asker: Asker, *, request: Request | None = None, order: str = "") -> None:
        """`request` says what is chosen of all usage; the report and its order are ours."""
        super().__init__(Table[Line](kind.columns, lambda line: line.row.key, id=f"{kind.report}-table"), kind.title, id=kind.report)
        self.kind = kind
        self._asker = asker
        self._asked = request or Request(kind.report, asker.zone)
        self.has_days = self._asked.since is not None  # they were chosen somewhere else
        self._order = order if order in kind.orders else kind.orders[0]
        self._stretch = 0
        self._lines: list[Line] = []
        self._figures: Figures | None = None  # as of which the rows are
        self._today = periods.EPOCH
        self._now_ms = 0
        self._due = 0.0

    @property
    def request(self) -> Request:
        """What the rows are, as far as it is not the report itself."""
        days = _STRETCHES[self._stretch][1]
        if self.has_days or days is None:
            return self._asked
        return self._asked._replace(since=self._today - timedelta(days=days - 1))

    def on_mount(self) -> None:
        self.table.mark_order(self._order)
        self.table.show((), message="Asking the store …")

    def look(self, snapshot: Snapshot) -> None:
        """Something may have been counted."""
        self._today, self._now_ms = snapshot.at.date(), periods.at_ms(snapshot.at)
        if snapshot.figures is not self._figures and time.monotonic() >= self._due:
            self._figures = snapshot.figures
            self._ask()

    def action_order(self) -> None:
        orders = self.kind.orders
        self._order_by(orders[(orders.index(self._order) + 1) % len(orders)])

    def action_stretch(self) -> None:
        if not self.has_days:
            self._stretch = (self._stretch + 1) % len(_STRETCHES)
            self._ask()

    def on_table_ordered(self, message: Table.Ordered) -> None:
        message.stop()
        self._order_by(message.order)

    def on_table_opened(self, message: Table.Opened) -> None:
        message.stop()
        line = next(line for line in self._lines if line.row.key == message.key)
        self.post_message(self.Wanted(self, line.row, line.name))

    def on_filtered_said(self, message: Filtered.Said) -> None:
        self._show()

    def _order_by(self, order: str) -> None:
        self._order = order
        self.table.mark_order(order)
        self.post_message(self.OrderChanged(self.kind.report, order))
        self._show()
        self.table.action_first()

    @work(group="report", exclusive=True)
    async def _ask(self) -> None:
        began = time.monotonic()
        try:
            report = await self._asker.report(self.request, self._now_ms)
        except TokentailError as error:
            self.table.show((), message=str(error))
            return
        self._due = began + (time.monotonic() - began) * _PART_OF_TIME
        self._lines = _lines(report)
        self._show()

    def _show(self) -> None:
        said = self.words.casefold().split()
        found = [line for line in self._lines if all(any(word in each for each in _said(line)) for word in said)]
        self.table.show(sorted(found, key=_ORDERS[self._order]), message=self._nothing())
        stretch = "" if self.has_days else f" · {_STRETCHES[self._stretch][0]}"
        part = f"{len(found):,} of {len(self._lines):,}" if said else f"{len(found):,}"
        self.entitle(f"{self.kind.title}{stretch} · {part} · by {self._order}")

    def _nothing(self) -> str:
        if self.words:
            return f"No {self.kind.one} has that in its name. Esc shows all of them again."
        return "Nothing was used." if self.has_days or not self._stretch else "Nothing was used. t chooses another time."


def _lines(report: Report) -> list[Line]:
    of, _ = measure(report.totals)
    values = [of(row.counts) for row in report.rows]
    total, top = sum(values) or 1.0, max(values, default=0.0) or 1.0
    lasts = (_last(row, report) for row in report.rows)
    return [Line(row, _name(row), last, value / total, value / top) for row, value, last in zip(report.rows, values, lasts, strict=True)]


def _name(row: Row) -> str:
    match row.about:
        case SessionFacts() | ProjectFacts():
            return row.about.name
        case MachineFacts():
            return machines.shown(row.key)
    return model_name(row.key)


def _last(row: Row, report: Report) -> str:
    zone = periods.parse_zone(report.timezone)
    return periods.clock_text(row.about.last_ms, zone) if isinstance(row.about, SessionFacts | ProjectFacts | MachineFacts) else ""


def _last_ms(line: Line) -> int:
    return line.row.about.last_ms if line.row.about is not None else 0


def _said(line: Line) -> tuple[str, ...]:
    """What a filter looks into."""
    about = line.row.about
    return names(line.name, line.row.key, about.folder if isinstance(about, ProjectFacts) else "")


_ORDERS: Mapping[str, Callable[[Line], Any]] = {
    "cost": lambda line: (-(line.row.counts.cost_usd or 0.0), -line.row.counts.total_tokens, line.row.key),
    "tokens": lambda line: (-line.row.counts.total_tokens, line.row.key),
    "replies": lambda line: (-line.row.counts.replies, line.row.key),
    "newest": lambda line: (-_last_ms(line), line.row.key),
    "name": lambda line: (line.name.casefold(), line.row.key),
}


def _written(line: Line) -> int:
    return line.row.counts.cache_write_5m_tokens + line.row.counts.cache_write_1h_tokens


def _figures(width: int, *, is_full: bool) -> list[Column[Line]]:
    """The columns of counts."""
    found: list[Column[Line]] = [
        Column("replies", 8, "number", False, lambda line: f"{line.row.counts.replies:,}", order="replies"),
    ]
    if is_full:
        found += [
            Column("in", 6, "number", False, lambda line: text.short(line.row.counts.input_tokens)),
            Column("out", 6, "number", False, lambda line: text.short(line.row.counts.output_tokens)),
            Column("write", 6, "muted", False, lambda line: text.short(_written(line))),
            Column("read", 6, "muted", False, lambda line: text.short(line.row.counts.cache_read_tokens)),
        ]
    found += [
        Column("tokens", 7, "number", False, lambda line: text.short(line.row.counts.total_tokens), order="tokens"),
        Column("cost", 11, "cost", False, lambda line: words.dollars(line.row.counts), order="cost"),
    ]
    if width >= _SHARES_FROM:
        found.append(Column("share", 6, "muted", False, lambda line: text.percent(line.share)))
    if width >= _BAR_FROM:
        found.append(Column("", 16, "bar", True, lambda line: chart.share(line.bar, 16)))
    return found


@lru_cache(maxsize=16)
def _project_columns(width: int) -> tuple[Column[Line], ...]:
    found: list[Column[Line]] = [
        Column("project", 0, "name", True, lambda line: line.name, 0, "name"),
        Column("last used", 10, "muted", True, lambda line: line.last[:10], order="newest"),
        *_figures(width, is_full=width >= _LASTED_FROM),
    ]
    return fitted(found, width, dispensable=("share", "last used", "replies"), least=12, most=36)


@lru_cache(maxsize=16)
def _machine_columns(what: str, width: int) -> tuple[Column[Line], ...]:
    found: list[Column[Line]] = [
        Column(what, 0, "name", True, lambda line: line.name, 0, "name"),
        Column("last used", 10, "muted", True, lambda line: line.last[:10], order="newest"),
        *_figures(width, is_full=width >= _LASTED_FROM),
    ]
    return fitted(found, width, dispensable=("share", "last used", "replies"), least=12, most=36)


@lru_cache(maxsize=16)
def _session_columns(width: int) -> tuple[Column[Line], ...]:
    found: list[Column[Line]] = [
        Column("last used", 16, "muted", True, lambda line: line.last, 0, "newest"),
        Column("project", 0, "name", True, lambda line: line.name, order="name"),
        Column("session", 8, "muted", True, lambda line: line.row.key[:8]),
    ]
    if width >= _LASTED_FROM:
        found.append(Column("lasted", 8, "muted", False, lambda line: text.duration(_lasted(line))))
        found.append(Column("subagents", 9, "muted", False, _subagents))
    found += _figures(width, is_full=width >= 150)
    return fitted(found, width, dispensable=("share", "replies", "session"), least=12, most=30)


@lru_cache(maxsize=16)
def _model_columns(width: int) -> tuple[Column[Line], ...]:
    found: list[Column[Line]] = [
        Column("model", 0, "accent", True, lambda line: line.name, 0, "name"),
        *_figures(width, is_full=True),
    ]
    return fitted(found, width, dispensable=("share", "write", "read"), least=12, most=36)


def _lasted(line: Line) -> int:
    return line.row.about.last_ms - line.row.about.first_ms if line.row.about is not None else 0


def _subagents(line: Line) -> str:
    about = line.row.about
    return str(about.subagents) if isinstance(about, SessionFacts) and about.subagents else ""


PROJECTS = Kind("projects", "projects", "project", _project_columns, ("cost", "tokens", "replies", "newest", "name"))
SESSIONS = Kind("sessions", "sessions", "session", _session_columns, ("newest", "cost", "tokens", "replies", "name"))
HOSTS = Kind("hosts", "hosts", "host", partial(_machine_columns, "host"), ("cost", "tokens", "replies", "newest", "name"))
USERS = Kind("users", "users", "user", partial(_machine_columns, "user"), ("cost", "tokens", "replies", "newest", "name"))
MODELS = Kind("models", "models", "model", _model_columns, ("cost", "tokens", "replies", "name"))
