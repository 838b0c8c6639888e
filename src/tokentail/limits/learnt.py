"""The only place that learns what a percent of a limit costs: from what was said of past windows, and what the logs hold of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Set
from typing import NamedTuple

from tokentail import samples, usage
from tokentail.model import Window
from tokentail.periods import DAY_MS
from tokentail.prices import PICO_PER_USD, PriceList
from tokentail.samples import LENGTHS_MS, Sample
from tokentail.totals import Adder
from tokentail.usage import Question

LEAST_PERCENT = 5.0  # below this the rounding of what is said is too large a part of it
MOST_WINDOWS = 20  # the newest ones: plans and weights change
_LOOK_BACK_MS = 90 * DAY_MS


class Rate(NamedTuple):
    """What a percent of a limit costs at list price."""

    usd_per_percent: float  # the median of the windows
    low_usd: float  # a quarter of the windows is below this ...
    high_usd: float  # ... and a quarter above that
    windows: int


def learn(db: sqlite3.Connection, prices: PriceList, kind: str, now_ms: int) -> Rate | None:
    """
    What a percent cost in each of the newest windows of which enough is known: what the logs hold from its start, where it was
    at 0 %, until its greatest percentage was said first, divided by that.

    None where nothing is known. What other machines used of the same limit is not in the logs, so the true cost may be greater.
    """
    found = _windows(samples.since(db, kind, now_ms - _LOOK_BACK_MS))[-MOST_WINDOWS:]
    stretches = [Window(str(number), most.resets_ms - LENGTHS_MS[kind], most.first_ms) for number, most in enumerate(found)]
    costs = costs_of(db, prices, stretches, models_of(db, kind))
    rates = sorted(cost / most.used_percent for cost, most in zip(costs, found, strict=True) if cost > 0)
    if not rates:
        return None
    return Rate(_at(rates, 0.5), _at(rates, 0.25), _at(rates, 0.75), len(rates))


def models_of(db: sqlite3.Connection, kind: str) -> Set[str] | None:
    """The models that count towards a limit; None for all."""
    family = kind.removeprefix("seven_day_") if kind.startswith("seven_day_") else ""
    return {name for name in usage.models(db) if family in name} if family else None


def costs_of(db: sqlite3.Connection, prices: PriceList, windows: list[Window], models: Set[str] | None = None) -> list[float]:
    """What this machine used in each window, in dollars, as far as it has a price."""
    adders = [Adder[str](prices) for _ in windows]
    if windows:
        own = usage.own_machine(db)
        for used in usage.usage(db, Question(windows, models=models, users=own, hosts=own), prices):
            adders[used.window].add("", used.cell)
    return [(adder.cost_pico() or 0) / PICO_PER_USD for adder in adders]


def _windows(said: list[Sample]) -> list[Sample]:
    """The greatest value of each window, where it is great enough, oldest first; of windows that overlap the first one."""
    found: list[Sample] = []
    for each in said:
        if found and abs(found[-1].resets_ms - each.resets_ms) <= samples.SAME_WINDOW_MS:
            if each.used_percent > found[-1].used_percent:
                found[-1] = each
        elif not found or each.first_ms >= found[-1].resets_ms:
            found.append(each)
    return [most for most in found if most.used_percent >= LEAST_PERCENT]


def _at(values: list[float], share: float) -> float:
    """The value below which that share of sorted values lies, between two of them in proportion."""
    place = share * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (place - low)
