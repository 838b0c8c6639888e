"""The nouns of a price list in memory. A day is a number there: days since 1970, UTC."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple, TypeAlias

PICO_PER_USD = 10**12
CLASSES = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")  # of tokens; the order of Rates
EPOCH = date(1970, 1, 1).toordinal()
LONG_AGO, FAR_AHEAD = -(10**9), 10**9  # the days of a price without a first or a last one

Rates: TypeAlias = tuple[int, ...]  # pico-dollars a token, one for each of CLASSES
Factor: TypeAlias = tuple[int, int]  # numerator and denominator


class Tier(NamedTuple):
    above_tokens: int
    rates: Rates


class Price(NamedTuple):
    first_day: int
    until_day: int
    tiers: tuple[Tier, ...]  # ascending; the first one is above 0
    sources: tuple[str, ...]

    def rates_above(self, threshold: int) -> Rates:
        """The rates of all tokens of a request whose prompt is longer than the threshold, and no longer than the next one."""
        return next(tier.rates for tier in reversed(self.tiers) if tier.above_tokens <= threshold)


class Speed(NamedTuple):
    name: str
    first_day: int
    until_day: int
    factor: Factor
    sources: tuple[str, ...]


STANDARD = Speed("", LONG_AGO, FAR_AHEAD, (1, 1), ())


class Model(NamedTuple):
    prices: tuple[Price, ...]  # oldest first, without a gap, the last one without an end
    fast: tuple[Speed, ...]
    us: bool  # US-only inference has its factor
    batch: bool = True  # a batch has its factor

    def price_on(self, day: int) -> Price:
        return next((price for price in reversed(self.prices) if price.first_day <= day), self.prices[0])

    def fast_on(self, day: int) -> Speed | None:
        return next((fast for fast in self.fast if fast.first_day <= day < fast.until_day), None)


class Book(NamedTuple):
    made_from: str
    as_of: date | None  # the day on which its prices were looked up
    sources: dict[str, tuple[str, str, str, str]]  # title, version, page, the day on which it was read; "" for none
    web_search: int  # pico-dollars a search
    batch: Factor
    us: Factor
    term_sources: dict[str, tuple[str, ...]]  # of web_search, batch and us
    thresholds: tuple[int, ...]  # every long-context limit of any model, in prompt tokens, ascending
    models: dict[str, Model]


def times(rates: Rates, factor: Factor) -> Rates:
    numerator, denominator = factor
    assert not any(rate * numerator % denominator for rate in rates), "checked when the list was read"
    return tuple(rate * numerator // denominator for rate in rates)
