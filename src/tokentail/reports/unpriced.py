"""What a price list leaves open in a store: models without a price, and words of the logs that it has no price for."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import NamedTuple

from tokentail import usage
from tokentail.model import Cell
from tokentail.prices import PriceList


class Used(NamedTuple):
    """How much."""

    replies: int = 0
    total_tokens: int = 0

    def plus(self, cell: Cell) -> Used:
        return Used(self.replies + cell.replies, self.total_tokens + cell.tokens.total)


class Unpriced(NamedTuple):
    """A model without a price."""

    model: str  # as logged
    used: Used


class Assumed(NamedTuple):
    """Usage that was priced as if its logs did not say something."""

    model: str
    words: tuple[tuple[str, str], ...]  # what they say: ("speed", "warp"); also ("geo", ...) and ("service_tier", ...)
    used: Used


class Open(NamedTuple):
    """What a price list leaves open, most tokens first."""

    unpriced: tuple[Unpriced, ...] = ()
    assumed: tuple[Assumed, ...] = ()


def left_open(db: sqlite3.Connection, prices: PriceList, wanted: Callable[[str], bool] | None = None) -> Open:
    """What the prices leave open in all that the store has counted, of the models that are wanted or of all."""
    unpriced: defaultdict[str, Used] = defaultdict(Used)
    assumed: defaultdict[tuple[str, tuple[tuple[str, str], ...]], Used] = defaultdict(Used)
    for cell in usage.by_utc_day(db):
        if wanted is not None and not wanted(cell.model):
            continue
        if prices.rate(cell.model, cell.at_ms) is None:
            unpriced[cell.model] = unpriced[cell.model].plus(cell)
        elif words := _words_without_price(cell, prices):
            assumed[cell.model, words] = assumed[cell.model, words].plus(cell)
    return Open(
        tuple(sorted((Unpriced(*each) for each in unpriced.items()), key=lambda each: (-each.used.total_tokens, each.model))),
        tuple(sorted((Assumed(*key, used) for key, used in assumed.items()), key=lambda each: (-each.used.total_tokens, each))),
    )


def used_by_model(db: sqlite3.Connection, name_of: Callable[[str], str]) -> Mapping[str, Used]:
    """How much each model was used in all that the store has counted."""
    used: defaultdict[str, Used] = defaultdict(Used)
    for cell in usage.by_utc_day(db):
        used[name_of(cell.model)] = used[name_of(cell.model)].plus(cell)
    return used


def _words_without_price(cell: Cell, prices: PriceList) -> tuple[tuple[str, str], ...]:
    """Each is asked for by itself: the price is assumed if it is for any of them. The length of the prompt has no part in it."""
    model, at_ms = cell.model, cell.at_ms
    asked = (
        ("speed", cell.speed, prices.rate(model, at_ms, speed=cell.speed)),
        ("geo", cell.geo, prices.rate(model, at_ms, geo=cell.geo)),
        ("service_tier", cell.service_tier, prices.rate(model, at_ms, service_tier=cell.service_tier)),
    )
    return tuple((name, word) for name, word, rate in asked if rate is not None and rate.assumed)
