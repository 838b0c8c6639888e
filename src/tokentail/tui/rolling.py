"""The only place that knows the last 24 hours by minute: tokens and dollars by kind, read from the store and kept up to date."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from tokentail import queries
from tokentail.model import Cell, ReplyChange, Tokens
from tokentail.periods import MINUTE_MS
from tokentail.prices import PICO_PER_USD, PriceList

MOST_MINUTES = 24 * 60


class Kinds(NamedTuple):
    """One minute's tokens or dollars, by kind; the order is that of the chart's stack, from below."""

    output: float = 0
    input: float = 0
    cache_write: float = 0
    cache_read: float = 0


NOTHING = Kinds()


@dataclass(frozen=True, slots=True)
class Minutes:
    """The last 24 hours, the current minute included; a value a minute, oldest first."""

    last_minute: int  # minutes since 1970, UTC
    tokens: tuple[Kinds, ...]
    costs_usd: tuple[Kinds, ...]


class RollingWindow:
    """
    Minutes that move on with the clock.

    Filled from the store, so a wider window shows the past. What changes is read anew and never added to: a reply that grows counts
    once, and a window that was kept up to date is the same as one that was filled just now.
    """

    def __init__(self, prices: PriceList) -> None:
        self._prices = prices
        self._minutes: dict[int, tuple[Kinds, Kinds]] = {}
        self._stale_from: int | None = 0  # the first minute that has to be read anew

    def expect(self, changes: Iterable[ReplyChange]) -> None:
        """Remember from which minute on the store may say something else than we know."""
        for change in changes:
            # A reply that grows can only have moved back; of a corrected one, or one that is gone, we do not know where it was.
            is_known = change.reply is not None and change.event in ("new", "grown")
            first = change.reply.at_ms // MINUTE_MS if change.reply is not None and is_known else 0
            self._stale_from = first if self._stale_from is None else min(self._stale_from, first)

    def forget(self) -> None:
        """All has to be read anew."""
        self._stale_from = 0

    def minutes(self, db: sqlite3.Connection, now_ms: int) -> Minutes:
        """The last 24 hours as the store has them now."""
        last = now_ms // MINUTE_MS
        first = last - MOST_MINUTES + 1
        if self._stale_from is not None:
            self._read(db, max(self._stale_from, first), last)
            self._stale_from = None
        for minute in [minute for minute in self._minutes if minute < first]:
            del self._minutes[minute]
        values = [self._minutes.get(minute, (NOTHING, NOTHING)) for minute in range(first, last + 1)]
        return Minutes(last, tuple(tokens for tokens, _ in values), tuple(costs for _, costs in values))

    def _read(self, db: sqlite3.Connection, first: int, last: int) -> None:
        for minute in [minute for minute in self._minutes if minute >= first]:
            del self._minutes[minute]
        # Beyond the last minute, too: a clock that is ahead of ours wrote what is on the screen in a moment.
        for minute, cell in queries.cells_by_minute(db, first * MINUTE_MS, (last + MOST_MINUTES) * MINUTE_MS):
            tokens, costs = self._minutes.get(minute, (NOTHING, NOTHING))
            self._minutes[minute] = _plus(tokens, _kinds(cell.tokens)), _plus(costs, self._dollars(cell))

    def _dollars(self, cell: Cell) -> Kinds:
        said = {"prompt_class": cell.prompt_class, "speed": cell.speed, "geo": cell.geo, "service_tier": cell.service_tier}
        rate = self._prices.rate(cell.model, cell.at_ms, **said)  # type: ignore[arg-type]  # each by its name
        if rate is None:
            return NOTHING
        paid = _kinds(Tokens(*(count * price for count, price in zip(cell.tokens, rate, strict=False))))
        searches = Kinds(input=cell.web_searches * rate.web_search)
        return Kinds(*(pico / PICO_PER_USD for pico in _plus(paid, searches)))


def _kinds(tokens: Tokens) -> Kinds:
    return Kinds(tokens.output, tokens.input, tokens.cache_write_5m + tokens.cache_write_1h, tokens.cache_read)


def _plus(left: Kinds, right: Kinds) -> Kinds:
    return Kinds(left[0] + right[0], left[1] + right[1], left[2] + right[2], left[3] + right[3])
