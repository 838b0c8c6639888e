"""The only place that turns what a program asks for into a request: days, zones, names, and what is wrong with them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Literal, TypedDict, TypeVar
from zoneinfo import ZoneInfo

from tokentail import periods
from tokentail import prices as price_lists
from tokentail.config import ROUNDINGS, WEEKDAYS, Config, Rounding, Weekday
from tokentail.errors import UsageError
from tokentail.prices import PriceList
from tokentail.reports.build import KINDS, ORDERS
from tokentail.reports.request import Request
from tokentail.sources import Place, existing_place

FOREVER_MS = 1 << 62
Word = TypeVar("Word", bound=str)


class ReportOptions(TypedDict, total=False):
    """How a report can be asked for. What is left out is as the settings say, or else of no effect."""

    since: date | str | None  # the first day; or in words: "today", "7d", "2026-W40", "2026-10"
    until: date | str | None  # the last day, inclusive
    timezone: str | ZoneInfo | None  # whose midnights divide the days
    project: str | Sequence[str]  # only these: slugs, shown names or folders, also with wildcards
    model: str | Sequence[str]  # only these, also with wildcards
    host: str | Sequence[str]  # only these machines, likewise; "this" is what this machine's own logs say
    user: str | Sequence[str]  # only these people's machines
    breakdown: bool  # each row's models, too
    agents: bool  # each session's subagents, too
    worktrees: bool | None  # worktrees of one repository as one project
    week_starts: Weekday | None
    rounding: Rounding | None  # of a five-hour window's start
    order: Literal["oldest", "newest", "cost", "tokens", "name"] | None  # None: the report's own
    limit: int | None  # rows


def request(
    settings: Config,
    report: str,
    *,
    since: date | str | None = None,
    until: date | str | None = None,
    timezone: str | ZoneInfo | None = None,
    project: str | Sequence[str] = (),
    model: str | Sequence[str] = (),
    host: str | Sequence[str] = (),
    user: str | Sequence[str] = (),
    breakdown: bool = False,
    agents: bool = False,
    worktrees: bool | None = None,
    week_starts: Weekday | None = None,
    rounding: Rounding | None = None,
    order: str | None = None,
    limit: int | None = None,
) -> Request:
    """
    The request that these words make.

    Raises:
        UsageError: one of them means nothing.
    """
    _known("report", report, KINDS)
    if limit is not None and limit < 1:
        raise UsageError(f"limit={limit} leaves no rows (use 1 or more, or None for all)")
    zone = zone_of(timezone, settings)
    return Request(
        report,
        zone,
        None if since is None else _days(since, zone)[0],
        None if until is None else _days(until, zone)[1],
        names_of(project),
        names_of(model),
        breakdown=breakdown,
        agents=agents,
        worktrees=settings.projects.worktrees if worktrees is None else worktrees,
        week_starts=WEEKDAYS.index(_known("week_starts", week_starts or settings.week_starts, WEEKDAYS)),
        rounding=_known("rounding", rounding or settings.blocks.rounding, ROUNDINGS),
        order="" if order is None else _known("order", order, ORDERS),
        limit=limit,
        hosts=names_of(host),
        users=names_of(user),
    )


def zone_of(timezone: str | ZoneInfo | None, settings: Config) -> ZoneInfo:
    """The zone of that name, or else that of the settings or the machine."""
    return timezone if isinstance(timezone, ZoneInfo) else periods.parse_zone(timezone or settings.timezone or None)


def moments(since: date | str | None, until: date | str | None, zone: ZoneInfo) -> tuple[int, int]:
    """
    A stretch of time, [start, end) in milliseconds. A day is taken whole, a datetime to the millisecond.

    Raises:
        UsageError: a day that means nothing, or a datetime without a zone.
    """
    start = 0 if since is None else _start_ms(since, zone)
    end = FOREVER_MS if until is None else _end_ms(until, zone)
    return start, end


def places_of(sources: Iterable[str | os.PathLike[str]] | None, settings: Config) -> list[Place] | None:
    """
    The folders and buckets that a program or else the settings name, None for the usual places.

    Raises:
        SourceError: one of them is no folder, or no address of a bucket.
        UsageError: it is no list, or an empty one.
    """
    if isinstance(sources, str | os.PathLike):
        raise UsageError(f"sources={sources!r} is no list (give a list of folders)")
    named = settings.sources if sources is None else tuple(sources)
    if sources is not None and not named:
        raise UsageError("sources names no folder (leave it out for the usual places)")
    return [existing_place(source, "the source") for source in named] or None


def prices_of(prices: str | os.PathLike[str] | None, home: Path, settings: Config, *, own_store: bool) -> PriceList:
    """
    The price list that a program names, or else the one that the command line goes by.

    Raises:
        UsageError: the list would cut the store that others use at other lengths of prompts.
        TokentailError: it cannot be used.
    """
    in_use = price_lists.in_use(home, settings.prices.models)
    if prices is None:
        return in_use
    named = price_lists.load(Path(prices))
    if named.thresholds != in_use.thresholds and not own_store:
        raise UsageError(
            f"cannot use the price list {prices} with this store: it has other long-context limits than the one in use, "
            "and a store is cut by one list's (give `home`, a folder for a store of your own, or import the list for all)"
        )
    return named


def names_of(asked: str | Sequence[str]) -> tuple[str, ...]:
    """One name or several as several."""
    return (asked,) if isinstance(asked, str) else tuple(asked)


def _known(name: str, word: Word, words: Collection[str]) -> Word:
    if word not in words:
        raise UsageError(f"{name}={word!r} is unknown (use one of {', '.join(words)})")
    return word


def _start_ms(since: date | str, zone: ZoneInfo) -> int:
    return _moment_ms(since) if isinstance(since, datetime) else periods.day_start_ms(_days(since, zone)[0], zone)


def _end_ms(until: date | str, zone: ZoneInfo) -> int:
    if isinstance(until, datetime):
        return _moment_ms(until)
    last = _days(until, zone)[1]
    return FOREVER_MS if last == date.max else periods.day_start_ms(last + timedelta(days=1), zone)


def _moment_ms(moment: datetime) -> int:
    if moment.tzinfo is None:
        raise UsageError(f"the time {moment} has no zone (give an aware datetime, or a date for a whole day)")
    return periods.at_ms(moment) + (moment.microsecond % 1000 > 0)  # a reply's time is a whole millisecond


def _days(given: date | str, zone: ZoneInfo) -> tuple[date, date]:
    """The first and the last day that is meant."""
    if isinstance(given, datetime):
        raise UsageError(f"{given} is a moment, and a report goes by days (give a date)")
    return (given, given) if isinstance(given, date) else periods.parse_days(given, today=datetime.now(zone).date())
