"""The only place that puts a person's own prices over those of a list."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from tokentail.errors import UsageError
from tokentail.prices.book import CLASSES, FAR_AHEAD, LONG_AGO, PICO_PER_USD, Book, Model, Price, Tier
from tokentail.prices.names import normalise
from tokentail.prices.reading import check_exact, number, whole

# A model's name and what a million tokens of each of CLASSES cost in USD, as decimal texts: `config.ModelRates` is one.
OwnRates: TypeAlias = tuple[str, str, str, str, str, str]

SOURCE = "your config"


def with_own(book: Book, own: Iterable[OwnRates]) -> Book:
    """
    The list with a person's own prices: each replaces all prices of its model, for all days, with no factor on top.

    The thresholds stay those of the list, so a store is the same with and without.

    Raises:
        UsageError: a price cannot be used, or two are for one model.
    """
    models: dict[str, Model] = {}
    for rates in own:
        name, where = normalise(rates[0]), f'prices.models."{rates[0]}"'
        if name in models:
            raise UsageError(f"cannot use {where} of your config: there are two prices for {name} (keep one of them)")
        try:
            models[name] = _model(rates, where, book)
        except ValueError as error:
            raise UsageError(f"cannot use {where} of your config: {error} (correct it there)") from error
    return book._replace(sources={**book.sources, SOURCE: (SOURCE, "", "", "")}, models={**book.models, **models})


def _model(rates: OwnRates, where: str, book: Book) -> Model:
    pico = [whole(number(text, name), PICO_PER_USD // 10**6, name) for name, text in zip(CLASSES, rates[1:], strict=True)]
    model = Model((Price(LONG_AGO, FAR_AHEAD, (Tier(0, tuple(pico)),), (SOURCE,)),), fast=(), us=False, batch=False)
    check_exact(model, where, book)
    return model
