"""The only place that lays a price list out for people: a line for each price."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from itertools import product
from typing import NamedTuple

from tokentail.prices.book import EPOCH, FAR_AHEAD, LONG_AGO, STANDARD, Book, Price, Speed, times
from tokentail.prices.rates import Rate


class PriceRow(NamedTuple):
    """A line of the list as people read it."""

    model: str
    from_day: date | None  # None: since ever. An earlier request takes the earliest price all the same
    until_day: date | None  # the first day on which it no longer holds
    above_tokens: int  # for prompts longer than this, up to the next row's
    speed: str  # "" or "fast"
    rate: Rate  # worldwide, not in a batch
    us_costs_more: bool  # US-only inference has its own factor
    sources: tuple[str, ...]


def rows_of(book: Book) -> Iterator[PriceRow]:
    """Every price of every model, by name; then standard before fast, oldest first, shortest prompt first."""
    for name, model in sorted(book.models.items()):
        for speed, price in product((STANDARD, *model.fast), model.prices):
            yield from _rows(book, name, speed, price)


def _rows(book: Book, name: str, speed: Speed, price: Price) -> Iterator[PriceRow]:
    first, until = max(price.first_day, speed.first_day), min(price.until_day, speed.until_day)
    if first >= until:
        return
    sources = tuple(book.sources[key] for key in dict.fromkeys(price.sources + speed.sources))
    for tier in price.tiers:
        rate = Rate._make((*times(tier.rates, speed.factor), book.web_search, False))
        yield PriceRow(name, _date(first), _date(until), tier.above_tokens, speed.name, rate, book.models[name].us, sources)


def _date(day: int) -> date | None:
    return None if day in (LONG_AGO, FAR_AHEAD) else date.fromordinal(EPOCH + day)
