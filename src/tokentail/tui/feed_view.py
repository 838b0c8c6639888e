"""The request feed on the screen: its columns, and what each one says."""

from __future__ import annotations

from datetime import date
from functools import lru_cache

from tokentail.reports import text
from tokentail.reports.names import model_name
from tokentail.tui import words
from tokentail.tui.feed import Feed
from tokentail.tui.snapshot import FeedRow
from tokentail.tui.table import Column, Table, fitted

MARKS = {"new": "+", "grown": "↑", "corrected": "~", "": " "}
BY_SUBAGENT = "↳"
EMPTY = "No replies yet. What your agents do appears here within a second."
NO_MATCH = "No reply has that in a name or an id. Esc shows all of them again."
_LEAST_PROJECT, _MOST_PROJECT = 10, 28  # cells
_DISPENSABLE = ("cache", "in", "model", "out")  # the first to go where there is no room
_SESSION_FROM, _AGENT_FROM, _DATE_FROM, _TWO_CACHES_FROM = 88, 98, 112, 122  # cells
_ID_CELLS = 8


@lru_cache(maxsize=16)
def columns(width: int, today: date = date.min, *, of_session: bool = False) -> tuple[Column[FeedRow], ...]:
    """The columns that fit, each with its width; `of_session`: all rows are of one session."""
    found = _wanted(width, today, of_session=of_session)
    return fitted(found, width, dispensable=_DISPENSABLE, least=_LEAST_PROJECT, most=_MOST_PROJECT)


class FeedView(Table[FeedRow]):
    """The rows of a feed."""

    def __init__(self) -> None:
        super().__init__(self._columns, lambda row: row.key, id="feed-view", first_is_chosen=False)
        self._today = date.min
        self._words = "Looking at the logs …"

    def show_feed(self, feed: Feed, today: date) -> None:
        """Show a feed's rows; the times of other days than today are their dates."""
        if today != self._today:
            self._today = today
            self.columns_changed()
        said = NO_MATCH if feed.words else EMPTY
        if feed.rows is self.rows and feed.fresh == self._fresh and said == self._message:
            return
        self.show(feed.rows, fresh=feed.fresh, message=said)

    def say(self, message: str) -> None:
        """Show a message as long as there are no rows."""
        self.show(self.rows, message=message)

    def _columns(self, width: int) -> tuple[Column[FeedRow], ...]:
        return columns(width, self._today)


def _wanted(width: int, today: date, *, of_session: bool) -> list[Column[FeedRow]]:
    form = "%d %b %H:%M:%S" if of_session else "%d %b %H:%M" if width >= _DATE_FROM else "%d %b"
    found: list[Column[FeedRow]] = [
        Column("time", 15 if of_session else 12 if width >= _DATE_FROM else 8, "muted", True, lambda row: _time(row, today, form), 0),
        Column("", 2, "accent", True, _marks, 1),
    ]
    if of_session:
        found.append(Column("model", 0, "accent", True, lambda row: model_name(row.model), 1))
    else:
        found.append(Column("project", 0, "name", True, lambda row: row.project, 1))
        found.append(Column("model", 11, "accent", True, lambda row: model_name(row.model)))
        if width >= _SESSION_FROM:
            found.append(Column("session", _ID_CELLS, "muted", True, lambda row: row.session[:_ID_CELLS]))
    if of_session or width >= _AGENT_FROM:
        found.append(Column("subagent", _ID_CELLS, "muted", True, lambda row: row.agent[:_ID_CELLS]))
    return [
        *found,
        Column("in", 6, "number", False, lambda row: text.short(row.counts.input_tokens)),
        Column("out", 7, "number", False, _output),
        *_caches(width),
        Column("cost", 9, "cost", False, lambda row: words.dollars(row.counts, 3)),
    ]


def _caches(width: int) -> list[Column[FeedRow]]:
    if width < _TWO_CACHES_FROM:
        return [Column("cache", 6, "muted", False, lambda row: text.short(_written(row) + row.counts.cache_read_tokens))]
    return [
        Column("cache write", 11, "muted", False, lambda row: text.short(_written(row))),
        Column("cache read", 10, "muted", False, lambda row: text.short(row.counts.cache_read_tokens)),
    ]


def _time(row: FeedRow, today: date, form: str) -> str:
    """The clock time of today, and of another day what there is room for."""
    return row.at.strftime("%H:%M:%S" if row.at.date() == today else form)


def _marks(row: FeedRow) -> str:
    """What became of a reply lately, and that a subagent was given it."""
    return f"{MARKS.get(row.event, ' ')}{BY_SUBAGENT if row.by_subagent or row.agent else ''}"


def _output(row: FeedRow) -> str:
    return f"{'' if row.final else '≥ '}{text.short(row.counts.output_tokens)}"


def _written(row: FeedRow) -> int:
    return row.counts.cache_write_5m_tokens + row.counts.cache_write_1h_tokens
