"""The only place that asks the store for what the live screen shows: one frozen snapshot an update."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tokentail import periods, queries
from tokentail.model import Counts, Live, Metrics, Reply, ReplyChange, Tokens, Update
from tokentail.prices import PICO_PER_USD, PriceList
from tokentail.projects import Projects
from tokentail.reports.overview import Overview, overview
from tokentail.totals import Adder, counts_of

FEED_ROWS = 100
_NO_ALIASES: Mapping[str, str] = {}
HOUR_MINUTES = 60
PROBLEM_MS = 7_000  # a look at the hot files alone does not tell of the others' problems again
REASON_MS = 600_000  # what is said once should not be gone with a blink


class Kinds(NamedTuple):
    """One minute's tokens or dollars, by kind; the order is that of the chart's stack, from below."""

    output: float = 0
    input: float = 0
    cache_write: float = 0
    cache_read: float = 0


@dataclass(frozen=True, slots=True)
class Hour:
    """The last sixty minutes, the current one included; a value a minute, oldest first."""

    last_minute: int  # minutes since 1970, UTC
    tokens: tuple[Kinds, ...]
    costs_usd: tuple[Kinds, ...]
    counts: Counts


@dataclass(frozen=True, slots=True)
class FeedRow:
    """A reply as the request feed shows it."""

    key: str
    at: datetime  # in the person's zone
    event: str  # new, grown, corrected; "" for what was there before
    project: str  # as logged: hostile
    model: str  # as logged: hostile
    counts: Counts

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


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that the screen shows after one look at the logs."""

    at: datetime  # of the look, in the person's zone
    overview: Overview
    hour: Hour
    latest: tuple[FeedRow, ...] | None  # the newest replies, where the feed has to begin anew
    changes: tuple[FeedChange, ...]
    look: Look
    behind: bool  # the next changes may not be all: this look lost a guarantee, or the store, still empty, tells of none


def take(
    db: sqlite3.Connection,
    prices: PriceList,
    zone: ZoneInfo,
    update: Update,
    before: Snapshot | None,
    *,
    aliases: Mapping[str, str] = _NO_ALIASES,
) -> Snapshot:
    """
    The snapshot after an update; `aliases` are names for projects, by slug or folder.

    Nothing is asked of the store when nothing changed since `before`, the snapshot of the update before.
    """
    now_ms = update.started_at_ms
    at, changes, look = periods.at(now_ms, zone), update.changes, _look(update, before.look if before else None)
    behind = before is None or before.behind
    if before and not behind and not changes and update.metrics.is_idle and before.hour.last_minute == now_ms // 60_000:
        return replace(before, at=at, latest=None, changes=(), look=look, behind=bool(update.degraded))
    projects = Projects(queries.project_folders(db), aliases)
    anew = behind or any(change.reply is None for change in changes)
    seen = overview(db, prices, zone, now_ms)
    latest = tuple(_row(reply, "", projects, prices, zone) for reply in queries.latest_replies(db, FEED_ROWS)) if anew else None
    return Snapshot(
        at=at,
        overview=seen,
        hour=last_hour(db, prices, now_ms),
        latest=latest,
        changes=tuple(_change(change, projects, prices, zone) for change in changes),
        look=look,
        behind=bool(update.degraded) or latest == (),
    )


def last_hour(db: sqlite3.Connection, prices: PriceList, now_ms: int) -> Hour:
    """Tokens and dollars of each of the last sixty minutes."""
    last = now_ms // 60_000
    first = last - HOUR_MINUTES + 1
    tokens = [Kinds()] * HOUR_MINUTES
    costs = [Kinds()] * HOUR_MINUTES
    adder = Adder[str](prices)
    for minute, cell in queries.cells_by_minute(db, first * 60_000, (last + 1) * 60_000):
        adder.add("", cell)
        place = minute - first
        tokens[place] = _plus(tokens[place], _kinds(cell.tokens))
        rate = prices.rate(
            cell.model, cell.at_ms, prompt_class=cell.prompt_class, speed=cell.speed, geo=cell.geo, service_tier=cell.service_tier
        )
        if rate is not None:
            paid = Tokens(*(count * price for count, price in zip(cell.tokens, rate, strict=False)))
            searches = Kinds(input=cell.web_searches * rate.web_search)
            costs[place] = _plus(costs[place], _plus(_kinds(paid), searches))
    return Hour(last, tuple(tokens), tuple(Kinds(*(pico / PICO_PER_USD for pico in cost)) for cost in costs), adder.totals())


def _kinds(tokens: Tokens) -> Kinds:
    return Kinds(tokens.output, tokens.input, tokens.cache_write_5m + tokens.cache_write_1h, tokens.cache_read)


def _plus(left: Kinds, right: Kinds) -> Kinds:
    return Kinds(*(a + b for a, b in zip(left, right, strict=True)))


def _change(change: ReplyChange, projects: Projects, prices: PriceList, zone: ZoneInfo) -> FeedChange:
    return FeedChange(change.key, None if change.reply is None else _row(change.reply, change.event, projects, prices, zone))


def _row(reply: Reply, event: str, projects: Projects, prices: PriceList, zone: ZoneInfo) -> FeedRow:
    return FeedRow(
        reply.key, periods.at(reply.at_ms, zone), event, projects.name(reply.owner.project), reply.model, counts_of(reply, prices)
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
