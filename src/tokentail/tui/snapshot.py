"""The only place that asks the store for what the live screen shows: one frozen snapshot an update."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tokentail import periods, queries, usage
from tokentail.config import Rounding
from tokentail.model import Counts, Live, Metrics, Pace, Reply, ReplyChange, Update
from tokentail.periods import MINUTE_MS
from tokentail.prices import PriceList
from tokentail.projects import Projects
from tokentail.reports.blocks import pace, running, used_in
from tokentail.reports.data import Stored
from tokentail.reports.overview import Overview, overview
from tokentail.totals import counts_of
from tokentail.tui.rolling import Minutes, RollingWindow

FEED_ROWS = 100
FIGURES_EVERY_S = 2.0  # how often what is added up is asked for anew while replies come; the replies themselves come at once
PROBLEM_MS = 7_000  # a look at the hot files alone does not tell of the others' problems again
REASON_MS = 600_000  # what is said once should not be gone with a blink
_NO_ALIASES: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class FeedRow:
    """A reply as the request feed shows it."""

    key: str
    at: datetime  # in the person's zone
    event: str  # new, grown, corrected; "" for what was there before
    project: str  # as logged: hostile
    model: str  # as logged: hostile
    counts: Counts
    session: str = ""  # as logged: hostile
    agent: str = ""  # the subagent's id, as logged: hostile
    by_subagent: bool = False

    @property
    def final(self) -> bool:
        """Is its output count more than a lower bound?"""
        return not self.counts.not_final_replies

    @property
    def order(self) -> tuple[datetime, str]:
        return self.at, self.key


class FeedChange(NamedTuple):
    """What became of a reply; `row` is None when it is gone."""

    key: str
    row: FeedRow | None


class Told(NamedTuple):
    """A problem or a lost guarantee, and when it was told last."""

    at_ms: int
    text: str


@dataclass(frozen=True, slots=True)
class Look:
    """What the latest look at the logs cost and found wrong."""

    metrics: Metrics
    number: int  # since the screen started
    since_start: Metrics
    problems: tuple[Told, ...]
    degraded: tuple[Told, ...]
    live: Live | None = None  # how the store is followed


class OpenWindow(NamedTuple):
    """The five-hour window that is running."""

    start_ms: int
    end_ms: int
    counts: Counts
    pace: Pace


class Figures(NamedTuple):
    """What is added up; asked for less often than replies come."""

    overview: Overview
    window: OpenWindow | None  # None: nothing was used for five hours
    minutes: Minutes


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that the screen shows after one look at the logs."""

    at: datetime  # of the look, in the person's zone
    figures: Figures
    latest: tuple[FeedRow, ...] | None  # the newest replies, where the feed has to begin anew
    changes: tuple[FeedChange, ...]
    look: Look
    behind: bool  # the next changes may not be all: this look lost a guarantee, or the store, still empty, tells of none
    has_others: bool = False  # do other machines send to this one?


class Watch:
    """Makes a snapshot of each update."""

    def __init__(
        self,
        prices: PriceList,
        zone: ZoneInfo,
        *,
        aliases: Mapping[str, str] = _NO_ALIASES,
        rounding: Rounding = "hour",
        figures_every_s: float = FIGURES_EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`aliases` are names for projects, by slug or folder; `rounding` is that of a five-hour window's start."""
        self._prices, self._zone, self._aliases, self._rounding = prices, zone, aliases, rounding
        self._every_s, self._clock = figures_every_s, clock
        self._rolling = RollingWindow(prices)
        self._projects = Projects({}, aliases)
        self._has_others = False
        self._last: Snapshot | None = None
        self._due = 0.0  # when figures may be asked for again, by our clock
        self._are_old = True

    def take(self, db: sqlite3.Connection, update: Update) -> Snapshot:
        """
        The snapshot after an update.

        Nothing is asked of the store when nothing changed since the one before, and no sums while they were asked for just now: those
        are in one of the next snapshots, of which there is one a second.
        """
        before, changes = self._last, update.changes
        look = _look(update, before.look if before else None)
        behind = before is None or before.behind
        if behind or changes:
            self._hear(db, changes, all_anew=behind)
        latest = None
        if behind or any(change.reply is None for change in changes):
            latest = tuple(self._row(reply, "") for reply in queries.latest_replies(db, FEED_ROWS))
        self._last = Snapshot(
            at=periods.at(update.started_at_ms, self._zone),
            figures=self._figures(db, update.started_at_ms),
            latest=latest,
            changes=tuple(self._change(change) for change in changes),
            look=look,
            behind=bool(update.degraded) or latest == (),
            has_others=self._has_others,
        )
        return self._last

    def forget(self) -> None:
        """Another store may stand in the place of the one that was asked: ask for all anew."""
        self._last = None
        self._rolling.forget()

    def _hear(self, db: sqlite3.Connection, changes: Sequence[ReplyChange], *, all_anew: bool) -> None:
        """These replies changed, or we do not know which."""
        self._are_old = True
        if all_anew:
            self._rolling.forget()
            self._has_others = usage.own_machine(db) is not None
        self._has_others |= any(change.reply is not None and any(change.reply.owner[-2:]) for change in changes)
        self._rolling.expect(changes)
        if all_anew or any(change.reply and change.reply.owner.project not in self._projects.folders for change in changes):
            self._projects = Projects(queries.project_folders(db), self._aliases)

    def _figures(self, db: sqlite3.Connection, now_ms: int) -> Figures:
        before, now = self._last.figures if self._last else None, self._clock()
        if before and before.minutes.last_minute == now_ms // MINUTE_MS and not (self._are_old and now >= self._due):
            return before
        seen = overview(db, self._prices, self._zone, now_ms)
        figures = Figures(seen, self._window(db, now_ms), self._rolling.minutes(db, now_ms))
        self._due, self._are_old = self._clock() + self._every_s, False
        return figures

    def _window(self, db: sqlite3.Connection, now_ms: int) -> OpenWindow | None:
        data = Stored(db, self._prices)
        window = running(data, self._rounding, now_ms)
        if window is None:
            return None
        counts, first_ms = used_in(window, data, self._prices)
        return OpenWindow(window.start_ms, window.end_ms, counts, pace(counts, first_ms, window.end_ms, now_ms))

    def _change(self, change: ReplyChange) -> FeedChange:
        return FeedChange(change.key, None if change.reply is None else self._row(change.reply, change.event))

    def _row(self, reply: Reply, event: str) -> FeedRow:
        return feed_row(reply, event, self._projects, self._prices, self._zone)


def feed_row(reply: Reply, event: str, projects: Projects, prices: PriceList, zone: ZoneInfo) -> FeedRow:
    """A reply as a row; `event` is what became of it lately."""
    owner = reply.owner
    return FeedRow(
        *(reply.key, periods.at(reply.at_ms, zone), event, projects.name(owner.project), reply.model, counts_of(reply, prices)),
        *(owner.session, owner.agent, owner.subagent),
    )


def _look(update: Update, before: Look | None) -> Look:
    now_ms, metrics = update.started_at_ms, update.metrics
    problems = _told(before.problems if before else (), (f"{each.where}: {each.why}" for each in update.problems), now_ms, PROBLEM_MS)
    degraded = _told(before.degraded if before else (), update.degraded, now_ms, REASON_MS)
    if before is None:
        return Look(metrics, 1, metrics, problems, degraded, update.live)
    if not metrics.files_checked and metrics.is_idle:  # nothing was looked at: it only says that we are there
        return replace(before, problems=problems, degraded=degraded, live=update.live)
    since_start = Metrics._make(a + b for a, b in zip(before.since_start, metrics, strict=True))
    return Look(metrics, before.number + 1, since_start, problems, degraded, update.live)


def _told(before: Sequence[Told], now: Iterable[str], now_ms: int, keep_ms: int) -> tuple[Told, ...]:
    """What is told now, after what was told so lately that it still stands."""
    fresh = list(dict.fromkeys(now))
    kept = [told for told in before if told.text not in fresh and now_ms - told.at_ms < keep_ms]
    return (*kept, *(Told(now_ms, text) for text in fresh))
