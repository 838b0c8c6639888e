"""The only place that lays a price list out for people: a line for each price, numbers as decimals, sources by title."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from itertools import product
from typing import NamedTuple

from tokentail.prices.book import EPOCH, FAR_AHEAD, LONG_AGO, PICO_PER_USD, STANDARD, Book, Price, Speed, Tier, times
from tokentail.prices.rates import Rate


class Source(NamedTuple):
    """Where a price was found; "" for what is not known."""

    title: str
    version: str = ""
    page: str = ""
    read: str = ""  # the day


class PriceRow(NamedTuple):
    """A line of the list as people read it."""

    model: str
    from_day: date | None  # None: since ever. An earlier request takes the earliest price all the same
    until_day: date | None  # the first day on which it no longer holds
    above_tokens: int  # for prompts longer than this, up to the next row's
    speed: str  # "" or "fast"
    rate: Rate  # worldwide, not in a batch
    us_costs_more: bool  # US-only inference has its own factor
    sources: tuple[Source, ...]


class Term(NamedTuple):
    """A number that holds for all models."""

    name: str  # web_search: USD for 1000 of them; batch, us: what all rates are multiplied by
    number: str  # exact, in decimals
    sources: tuple[Source, ...]


def rows_of(book: Book) -> Iterator[PriceRow]:
    """Every price of every model, by name; then standard before fast, oldest first, shortest prompt first."""
    for name, model in sorted(book.models.items()):
        for speed, price in product((STANDARD, *model.fast), model.prices):
            yield from _rows(book, name, speed, price)


def row_of(book: Book, name: str, day: int, above_tokens: int, speed: str) -> PriceRow:
    """The line by which a model's requests of that day, speed and class of prompts are priced; `above_tokens` is a threshold, or 0."""
    model = book.models[name]
    price, fast = model.price_on(day), model.fast_on(day) if speed == "fast" else None
    tier = next(tier for tier in reversed(price.tiers) if tier.above_tokens <= above_tokens)
    return _row(book, name, fast or STANDARD, price, tier)


def terms_of(book: Book) -> tuple[Term, ...]:
    """The numbers that hold for all models."""
    numbers = {"web_search": (book.web_search * 1000, PICO_PER_USD), "batch": book.batch, "us": book.us}
    return tuple(Term(name, decimal(*number), _sources(book, book.term_sources[name])) for name, number in numbers.items())


def usd_per_million(pico: int) -> str:
    """What a million tokens cost where one costs that many pico-dollars, exactly: `6.25`."""
    return decimal(pico, PICO_PER_USD // 10**6)


def decimal(numerator: int, denominator: int) -> str:
    """A fraction of at most 12 decimals, exactly."""
    whole, rest = divmod(numerator * 10**12 // denominator, 10**12)
    return f"{whole}.{rest:012}".rstrip("0").rstrip(".")


def _rows(book: Book, name: str, speed: Speed, price: Price) -> Iterator[PriceRow]:
    if max(price.first_day, speed.first_day) < min(price.until_day, speed.until_day):
        for tier in price.tiers:
            yield _row(book, name, speed, price, tier)


def _row(book: Book, name: str, speed: Speed, price: Price, tier: Tier) -> PriceRow:
    first, until = max(price.first_day, speed.first_day), min(price.until_day, speed.until_day)
    rate = Rate._make((*times(tier.rates, speed.factor), book.web_search, False))
    sources = _sources(book, price.sources + speed.sources)
    return PriceRow(name, _date(first), _date(until), tier.above_tokens, speed.name, rate, book.models[name].us, sources)


def _sources(book: Book, keys: Iterable[str]) -> tuple[Source, ...]:
    return tuple(Source(*book.sources[key]) for key in dict.fromkeys(keys))


def _date(day: int) -> date | None:
    return None if day in (LONG_AGO, FAR_AHEAD) else date.fromordinal(EPOCH + day)
