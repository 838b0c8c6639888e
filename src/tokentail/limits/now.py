"""The only place that says how a limit stands: official while what Claude Code said is fresh, then stale, otherwise an estimate."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Set
from typing import Literal, NamedTuple, TypeAlias

from tokentail import samples, usage
from tokentail.config import Rounding
from tokentail.limits import ahead, learnt
from tokentail.limits.ahead import Forecast
from tokentail.limits.learnt import Rate
from tokentail.limits.windows import bounds
from tokentail.model import Counts, Window
from tokentail.prices import PICO_PER_USD, PriceList
from tokentail.samples import LENGTHS_MS, Sample
from tokentail.totals import Adder
from tokentail.usage import Question

FRESH_MS = 600_000

Standing: TypeAlias = Literal["official", "stale", "estimate"]


class Share(NamedTuple):
    """What a project's sessions, or their subagents, used of a window."""

    project: str  # the slug, as logged: hostile
    subagent: bool
    counts: Counts
    part: float | None  # of the window's cost, from 0 to 1; None where nothing in the window has a price


class Used(NamedTuple):
    """How much of a limit is used, and who says so."""

    standing: Standing
    percent: float | None  # by now; None where nobody knows
    sample: Sample | None  # what Claude Code said of the running window last
    start_ms: int | None  # of the running window; None where none is running
    end_ms: int | None  # None where nobody knows


class Limit(NamedTuple):
    """How a limit stands."""

    kind: str  # see samples.LENGTHS_MS
    standing: Standing
    percent: float | None  # used by now; None where nobody knows
    sample: Sample | None  # what Claude Code said of the running window last
    start_ms: int | None  # of the running window; None where none is running
    end_ms: int | None  # None where nobody knows
    counts: Counts  # what the logs on this machine hold of it
    rate: Rate | None
    forecast: Forecast | None
    shares: tuple[Share, ...]  # costliest first


_STEADY: Mapping[str, float] = {}


def limits(
    db: sqlite3.Connection, prices: PriceList, now_ms: int, *, rounding: Rounding = "hour", steadiness: Mapping[str, float] = _STEADY
) -> tuple[Limit, ...]:
    """
    The limits of five hours and of seven days, and those of single models of which Claude Code has said something.

    Args:
        rounding: of five-hour windows, where Claude Code has not said when they end.
        steadiness: what `past.steadiness` gave some time ago; without it a pace is taken to remain.
    """
    return tuple(
        limit(db, prices, now_ms, kind, rounding=rounding, steadiness=steadiness)
        for kind in LENGTHS_MS
        if kind in ("five_hour", "seven_day") or samples.latest(db, kind) is not None
    )


def used(db: sqlite3.Connection, prices: PriceList, now_ms: int, kind: str, *, rounding: Rounding = "hour") -> Used:
    """The same as `limit` says of it, in a tenth of the time: without whose work it was and where it leads."""
    said = samples.latest(db, kind)
    window = bounds(db, kind, said, now_ms, rounding)
    if window is None:
        return Used("estimate", 0.0, None, None, None)
    sample = _of_running(said, now_ms)
    if sample is not None and _is_fresh(sample, now_ms):
        return Used("official", sample.used_percent, sample, *window)
    costs = _Costs(db, prices, learnt.models_of(db, kind))
    cost_usd = 0.0 if sample else costs.since(window.start_ms, now_ms)
    return Used(*_percent(costs, sample, cost_usd, learnt.learn(db, prices, kind, now_ms), now_ms), sample, *window)


def limit(
    db: sqlite3.Connection,
    prices: PriceList,
    now_ms: int,
    kind: str,
    *,
    rounding: Rounding = "hour",
    steadiness: Mapping[str, float] = _STEADY,
) -> Limit:
    """How one of them stands."""
    said = samples.latest(db, kind)
    window = bounds(db, kind, said, now_ms, rounding)
    rate = learnt.learn(db, prices, kind, now_ms)
    if window is None:
        return Limit(kind, "estimate", 0.0, None, None, None, Counts(), rate, None, ())
    costs = _Costs(db, prices, learnt.models_of(db, kind))
    counts, cost_usd, shares = costs.by_owner(Window("", window.start_ms, now_ms + 1))
    sample = _of_running(said, now_ms)
    standing, percent = _percent(costs, sample, cost_usd, rate, now_ms)
    coming = None
    if window.end_ms is not None:
        recent_usd = costs.since(ahead.recent_since(kind, window.start_ms, now_ms), now_ms)
        coming = ahead.forecast(
            cost_usd,
            ahead.pace(kind, recent_usd, cost_usd, window.start_ms, now_ms),
            steadiness=steadiness.get("five_hour" if kind == "five_hour" else "seven_day", 1.0),
            percent=percent,
            usd_per_percent=rate.usd_per_percent if rate else None,
            now_ms=now_ms,
            end_ms=window.end_ms,
        )
    return Limit(kind, standing, percent, sample, window.start_ms, window.end_ms, counts, rate, coming, shares)


def _percent(costs: _Costs, sample: Sample | None, cost_usd: float, rate: Rate | None, now_ms: int) -> tuple[Standing, float | None]:
    """What was said, with what the logs show since where that is some time ago; without it, what the logs show of the window."""
    if sample is None:
        return "estimate", None if rate is None else cost_usd / rate.usd_per_percent
    if _is_fresh(sample, now_ms):
        return "official", sample.used_percent
    if rate is None:
        return "stale", sample.used_percent
    return "stale", sample.used_percent + costs.since(sample.last_ms, now_ms) / rate.usd_per_percent


def _of_running(said: Sample | None, now_ms: int) -> Sample | None:
    """What was said, if it was of the window that is running."""
    return said if said is not None and said.resets_ms > now_ms else None


def _is_fresh(sample: Sample, now_ms: int) -> bool:
    return now_ms - sample.last_ms <= FRESH_MS


class _Costs:
    """What the logs of this machine hold of a limit's models: a limit is a person's, and what others used counts towards theirs."""

    def __init__(self, db: sqlite3.Connection, prices: PriceList, models: Set[str] | None) -> None:
        self._db = db
        self._prices = prices
        self._models = models

    def since(self, start_ms: int, now_ms: int) -> float:
        """Dollars from a moment on."""
        return learnt.costs_of(self._db, self._prices, [Window("", start_ms, now_ms + 1)], self._models)[0]

    def by_owner(self, window: Window) -> tuple[Counts, float, tuple[Share, ...]]:
        """All that was used in a window, in dollars too, and whose work it was."""
        adder = Adder[tuple[str, ...]](self._prices)
        own = usage.own_machine(self._db)
        question = Question([window], by="owner", models=self._models, users=own, hosts=own)
        for each in usage.usage(self._db, question, self._prices):
            adder.add((each.owner.project, "subagent" if each.owner.subagent else ""), each.cell)
        cost_usd = (adder.cost_pico() or 0) / PICO_PER_USD
        shares = [
            Share(project, bool(agent), counts, (counts.cost_usd or 0.0) / cost_usd if cost_usd else None)
            for (project, agent), counts in adder.rows()
        ]
        shares.sort(key=lambda share: (-(share.counts.cost_usd or 0), -share.counts.total_tokens, share.project, share.subagent))
        return adder.totals(), cost_usd, tuple(shares)
