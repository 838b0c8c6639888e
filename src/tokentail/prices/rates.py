"""
The only place that knows what tokens cost: rates by model and date.

Money is counted in pico-dollars (1e-12 USD): every rate is an integer, also after the factors for fast mode, US-only inference and
batches, and sums do not depend on their order.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from tokentail.prices.book import FAR_AHEAD, LONG_AGO, Book, Rates, times
from tokentail.prices.names import normalise

if TYPE_CHECKING:
    from tokentail.model import Tokens
    from tokentail.prices.own import OwnRates
    from tokentail.prices.rows import PriceRow, Term

# What a log says when nothing special was asked for. A word that is neither here nor in the list costs the same and is flagged.
_PLAIN_SPEED = frozenset({"", "standard"})
_PLAIN_GEO = frozenset({"", "global", "not_available"})
_PLAIN_TIER = frozenset({"", "standard"})

_DAY_MS = 86_400_000  # as in periods, which is not imported here: it brings the time zones along
_MEMO_SIZE = 65_536

_Request: TypeAlias = tuple[str, int, int, str, str, str]  # model, day, prompt class, speed, geo, service tier


class Rate(NamedTuple):
    """What one token of each class costs, in pico-dollars (1e-12 USD), with all factors and the long-context price applied."""

    input: int
    output: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    web_search: int  # one search
    assumed: bool  # a part of the price is not known and the standard one was taken: the cost is a lower bound

    def cost(self, tokens: Tokens, web_searches: int = 0) -> int:
        """In pico-dollars."""
        return (
            tokens.input * self.input
            + tokens.output * self.output
            + tokens.cache_read * self.cache_read
            + tokens.cache_write_5m * self.cache_write_5m
            + tokens.cache_write_1h * self.cache_write_1h
            + web_searches * self.web_search
        )


class PriceList:
    """
    Rates by model and date.

    Attributes:
        thresholds: every long-context threshold of any model, in prompt tokens, ascending.
        changes_ms: every moment at which a price of any model changes, ascending.
        made_from: what the list was made from, as in "genai-prices 0.2.3".
        as_of: the day on which its prices were looked up; None where the file does not say.
        is_imported: it is not the one that ships with tokentail.
        own_models: the models whose prices come from a person's config, sorted.
        problems: what could not be used, and what is used instead, a sentence each.
    """

    def __init__(self, book: Book, *, is_imported: bool = False, own_models: tuple[str, ...] = (), problems: tuple[str, ...] = ()) -> None:
        self._book = book
        self.is_imported = is_imported
        self.own_models = own_models
        self.problems = problems
        self.made_from = book.made_from
        self.as_of = book.as_of
        self.thresholds = book.thresholds
        # Between two of these days no price changes, so a rate is looked up once for all days between them.
        days = [(price.first_day, price.until_day) for model in book.models.values() for price in model.prices]
        days += [(fast.first_day, fast.until_day) for model in book.models.values() for fast in model.fast]
        self._changes = sorted({day for both in days for day in both})
        self.changes_ms = [day * _DAY_MS for day in self._changes if day not in (LONG_AGO, FAR_AHEAD)]
        self._memo = lru_cache(maxsize=_MEMO_SIZE)(self._find)

    def prompt_class(self, prompt_tokens: int) -> int:
        """How many thresholds a prompt exceeds; one that is as long as a threshold does not exceed it."""
        return bisect_left(self.thresholds, prompt_tokens)

    def rate(self, model: str, at_ms: int, *, prompt_class: int = 0, speed: str = "", geo: str = "", service_tier: str = "") -> Rate | None:
        """
        The rate of the UTC day of a request; None where no price is known.

        A request older than the model's first price takes that price.

        Raises:
            IndexError: there is no such prompt class in this list.
        """
        changes = bisect_right(self._changes, at_ms // _DAY_MS)
        same_day = self._changes[changes - 1] if changes else LONG_AGO
        return self._memo((model, same_day, prompt_class, speed, geo, service_tier))

    def models(self) -> Iterator[PriceRow]:
        """Every price of every model, by name; then standard before fast, oldest first, shortest prompt first."""
        from tokentail.prices.rows import rows_of  # reports do without

        return rows_of(self._book)

    def row(self, model: str, at_ms: int, *, prompt_class: int = 0, speed: str = "") -> PriceRow | None:
        """The line of the list that `rate` goes by, worldwide and not in a batch; None where no price is known."""
        from tokentail.prices.rows import row_of  # reports do without

        name = normalise(model)
        if name not in self._book.models:
            return None
        return row_of(self._book, name, at_ms // _DAY_MS, self.thresholds[prompt_class - 1] if prompt_class else 0, speed)

    def terms(self) -> tuple[Term, ...]:
        """What holds for all models: the factors, and the price of a web search."""
        from tokentail.prices.rows import terms_of

        return terms_of(self._book)

    def with_own(self, own: Iterable[OwnRates]) -> PriceList:
        """
        The same list with a person's own prices: each replaces all prices of its model, for all days. The thresholds stay.

        Raises:
            UsageError: a price cannot be used, or two are for one model.
        """
        from tokentail.prices.own import with_own

        book = with_own(self._book, own)
        own_models = tuple(sorted(name for name, model in book.models.items() if model is not self._book.models.get(name)))
        return PriceList(book, is_imported=self.is_imported, own_models=own_models, problems=self.problems)

    def with_problem(self, problem: str) -> PriceList:
        """The same list, which is in use because of that problem."""
        return PriceList(self._book, is_imported=self.is_imported, own_models=self.own_models, problems=(*self.problems, problem))

    def _find(self, request: _Request) -> Rate | None:
        model, day, prompt_class, speed, geo, service_tier = request
        found = self._book.models.get(normalise(model))
        if found is None:
            return None
        rates = found.price_on(day).rates_above(self.thresholds[prompt_class - 1] if prompt_class else 0)
        fast = found.fast_on(day) if speed == "fast" else None
        if fast is not None:
            rates = times(rates, fast.factor)
        if geo == "us" and found.us:
            rates = times(rates, self._book.us)
        if service_tier == "batch" and found.batch:
            rates = times(rates, self._book.batch)
        known = (
            (speed in _PLAIN_SPEED or fast is not None)
            and (geo in _PLAIN_GEO or geo == "us")
            and (service_tier in _PLAIN_TIER or service_tier == "batch")
        )
        return self._rate(rates, assumed=not known)

    def _rate(self, rates: Rates, *, assumed: bool) -> Rate:
        return Rate._make((*rates, self._book.web_search, assumed))
