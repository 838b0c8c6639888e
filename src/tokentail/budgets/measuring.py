"""The only place that measures budgets: how much was used in the period that runs now, and whether that crosses the threshold."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import date, timedelta
from fractions import Fraction
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tokentail import periods
from tokentail.config import WEEKDAYS, Budget, Config
from tokentail.limits import Used, used
from tokentail.model import Counts, Window
from tokentail.periods import HOUR_MS
from tokentail.prices import PICO_PER_USD, PriceList
from tokentail.reports.blocks import running
from tokentail.reports.build import scope_of
from tokentail.reports.data import Stored
from tokentail.reports.request import Context, Request
from tokentail.reports.scope import Scope
from tokentail.reports.text import duration
from tokentail.totals import Adder

LEAST_REPLIES = 20  # of a cache hit rate: fewer say nothing
_CALM = Fraction(19, 20)  # of the threshold: what has gone back so far can cross it again
UNITS: Mapping[str, str] = {"cost": "USD", "tokens": "tokens", "burn_rate": "USD/h", "cache_hit_rate": "%", "limit": "%"}
_LIMITS: Mapping[str, tuple[str, str]] = {"block": ("five_hour", "5 hours"), "week": ("seven_day", "7 days")}  # by the budget's period
_NO_WINDOW = "no window"


class Standing(NamedTuple):
    """How a budget stands in the period that runs now."""

    budget: Budget
    period: str  # in words; "hour" is the last one, which has no end
    start_ms: int
    end_ms: int
    value: float | None  # in the measure's unit; None: unknown, because nothing in it has a price, or there is too little
    is_crossed: bool
    is_calm: bool  # far enough from the threshold that it can be crossed anew
    is_lower_bound: bool  # the value may be more
    hints: tuple[str, ...]  # names of projects, models or machines that mean nothing, and why a limit is unknown
    standing: str = ""  # of a limit: official, stale, estimate
    age_s: float | None = None  # of a stale one: since Claude Code said it last

    @property
    def instance(self) -> str:
        """What tells this period from the one before and the next one."""
        return str(self.start_ms) if self.budget.period != "hour" and self.start_ms < self.end_ms else self.period

    def is_of(self, instance: str) -> bool:
        """
        Is it still that period?

        Claude Code does not say the end of a window to the second each time, and an estimate of it may be hours off.
        """
        if instance == self.instance or self.budget.measure != "limit" or not (instance.isdecimal() and self.instance.isdecimal()):
            return instance == self.instance
        return abs(self.start_ms - int(instance)) < (self.end_ms - self.start_ms) / 2

    @property
    def can_fall(self) -> bool:
        """A rate does, and what was used in the last hour; what was used in a day only grows."""
        return self.period == "hour" or self.budget.measure == "cache_hit_rate"

    @property
    def share(self) -> float | None:
        """Of the threshold, 1.0 for all of it."""
        threshold = float(self.budget.threshold)
        return None if self.value is None or not threshold else self.value / threshold

    @property
    def message(self) -> str:
        """In a sentence, for a notification."""
        unit, value = UNITS[self.budget.measure], number(self.budget.measure, self.value)
        limit = number(self.budget.measure, float(self.budget.threshold))
        how = "below" if self.budget.measure == "cache_hit_rate" else "of"
        when = "the last hour" if self.period == "hour" else self.period
        if self.standing:
            return f"{value} {how} {limit} {unit} of the limit in {when} ({self.standing_in_words})"
        return f"{value} {how} {limit} {unit} in {when}"

    @property
    def standing_in_words(self) -> str:
        """How far a limit's percentage can be trusted (docs/limits.md)."""
        return self.standing if self.age_s is None else f"{self.standing}, {duration(self.age_s * 1000)} old"


def standings(db: sqlite3.Connection, settings: Config, prices: PriceList, zone: ZoneInfo, now_ms: int) -> list[Standing]:
    """How every budget of the settings stands, in their order. All but limits are exact: no sum is rounded before it is compared."""
    data, now = Stored(db, prices), _Now(settings, prices, zone, now_ms)
    return [_of_limit(budget, db, now) if budget.measure == "limit" else _of_usage(budget, data, now) for budget in settings.budgets]


def number(measure: str, value: float | None) -> str:
    """A value as people read it, without its unit."""
    if value is None:
        return "?"
    return f"{value:,.0f}" if measure == "tokens" else f"{value:,.1f}" if UNITS[measure] == "%" else f"{value:,.2f}"


class _Now(NamedTuple):
    settings: Config
    prices: PriceList
    zone: ZoneInfo
    now_ms: int

    @property
    def today(self) -> date:
        return periods.day_of(self.now_ms, self.zone)

    def days(self, name: str, first: date, until: date) -> Window:
        """Whole days; `until` is the first day after them."""
        return Window(name, periods.day_start_ms(first, self.zone), periods.day_start_ms(until, self.zone))


def _of_usage(budget: Budget, data: Stored, now: _Now) -> Standing:
    projects = now.settings.projects
    request = Request("models", now.zone, projects=budget.projects, models=budget.models, worktrees=projects.worktrees)
    request = request._replace(hosts=budget.hosts, users=budget.users)
    scope = scope_of(request, data, Context(now.prices, now.now_ms, aliases=dict(projects.aliases)))
    window = _window(budget, scope, data, now)
    counts, pico = _used(window, scope, data, now)
    return _compared(budget, window, _value(budget, counts, pico))._replace(
        is_lower_bound=counts.cost_is_lower_bound and budget.measure in ("cost", "burn_rate"),
        hints=scope.hints,
    )


def _of_limit(budget: Budget, db: sqlite3.Connection, now: _Now) -> Standing:
    kind, name = _LIMITS[budget.period]
    found = used(db, now.prices, now.now_ms, kind, rounding=now.settings.blocks.rounding)
    hint = f"budget {budget.name}: nobody has said how far the limit of {name} is used (`tokentail statusline --install` keeps it)"
    value = None if found.percent is None else Fraction(found.percent)
    return _compared(budget, _limit_window(found, name, now), value)._replace(
        hints=(hint,) if value is None else (),
        standing=found.standing,
        age_s=(now.now_ms - found.sample.last_ms) / 1000 if found.sample and found.standing == "stale" else None,
    )


def _limit_window(found: Used, name: str, now: _Now) -> Window:
    if found.start_ms is None:
        return Window(_NO_WINDOW, now.now_ms, now.now_ms)
    if found.end_ms is None:  # then nobody knows the percentage either
        return Window(f"the last {name}", found.start_ms, now.now_ms + 1)
    return Window(f"the {name} from {periods.at(found.start_ms, now.zone):%Y-%m-%d %H:%M}", found.start_ms, found.end_ms)


def _compared(budget: Budget, window: Window, value: Fraction | None) -> Standing:
    """Nothing is crossed where no window runs, not even a threshold of 0."""
    threshold, is_low = Fraction(budget.threshold), budget.measure == "cache_hit_rate"
    crossed = value is not None and window.key != _NO_WINDOW and (value < threshold if is_low else value >= threshold)
    calm = value is None or (value * _CALM >= threshold if is_low else value < threshold * _CALM)
    return Standing(
        budget=budget,
        period=window.key,
        start_ms=window.start_ms,
        end_ms=window.end_ms,
        value=None if value is None else float(value),
        is_crossed=crossed,
        is_calm=calm,
        is_lower_bound=False,
        hints=(),
    )


def _window(budget: Budget, scope: Scope, data: Stored, now: _Now) -> Window:
    today = now.today
    match budget.period:
        case "hour":
            return Window("hour", now.now_ms - HOUR_MS + 1, now.now_ms + 1)
        case "day":
            return now.days(str(today), today, today + timedelta(days=1))
        case "week":
            starts = WEEKDAYS.index(now.settings.week_starts)
            first = periods.week_of(today, starts=starts)
            return now.days(f"the week of {first}", first, first + timedelta(days=7))
        case "month":
            first = today.replace(day=1)
            return now.days(periods.month_of(today), first, (first + timedelta(days=31)).replace(day=1))
        case "block":
            return _block(scope, data, now)


def _block(scope: Scope, data: Stored, now: _Now) -> Window:
    """The five-hour window that runs now, of the people and machines that it is about; where none does, an empty stretch of time."""
    window = running(data, now.settings.blocks.rounding, now.now_ms, scope)
    if window is None:
        return Window(_NO_WINDOW, now.now_ms, now.now_ms)
    return window._replace(key=f"the window from {periods.at(window.start_ms, now.zone):%Y-%m-%d %H:%M}")


def _used(window: Window, scope: Scope, data: Stored, now: _Now) -> tuple[Counts, int | None]:
    """The counts, and the exact cost in pico-dollars."""
    adder = Adder[str](now.prices)
    if window.start_ms < window.end_ms:
        for each in data.usage(scope.question([window])):
            adder.add("", each.cell)
    return adder.totals(), adder.cost_pico()


def _value(budget: Budget, counts: Counts, pico: int | None) -> Fraction | None:
    match budget.measure:
        case "tokens":
            return Fraction(counts.total_tokens)
        case "cache_hit_rate":
            prompt = counts.total_tokens - counts.output_tokens
            return Fraction(100 * counts.cache_read_tokens, prompt) if prompt and counts.replies >= LEAST_REPLIES else None
        case _:  # of one hour: USD are USD an hour
            return None if pico is None else Fraction(pico, PICO_PER_USD)
