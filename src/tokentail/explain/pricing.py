"""The only place that says how a reply was priced: which line of the price list, which factors, each counter times its rate."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC

from tokentail import periods
from tokentail.explain.story import Priced, Term
from tokentail.model import Cell, Reply, Tokens
from tokentail.prices import PriceList, normalise
from tokentail.prices.rows import PriceRow
from tokentail.totals import cells_of


class Pricing:
    """Looks prices up in one list."""

    def __init__(self, prices: PriceList) -> None:
        self._prices = prices
        self._numbers = {term.name: term.number for term in prices.terms()}

    def of(self, reply: Reply) -> tuple[Priced, ...]:
        """The reply's own usage first, then what is billed beside it."""
        return tuple(self._priced(cell, is_extra=number > 0) for number, cell in enumerate(cells_of(reply, self._prices)))

    def _priced(self, cell: Cell, *, is_extra: bool) -> Priced:
        said = {"speed": cell.speed, "geo": cell.geo, "service_tier": cell.service_tier}
        rate = self._prices.rate(cell.model, cell.at_ms, prompt_class=cell.prompt_class, **said)
        row = self._prices.row(cell.model, cell.at_ms, prompt_class=cell.prompt_class, speed=cell.speed)
        listed_as = normalise(cell.model)
        counts = (*cell.tokens, cell.web_searches)
        return Priced(
            model=cell.model,
            listed_as=listed_as,
            is_extra=is_extra,
            day=periods.day_of(cell.at_ms, UTC),
            from_day=row.from_day if row else None,
            until_day=row.until_day if row else None,
            prompt_tokens=cell.tokens.prompt,
            above_tokens=row.above_tokens if row else 0,
            **said,
            factors=tuple(self._factors(cell, row)) if row else (),
            terms=tuple(map(Term, (*Tokens._fields, "web_searches"), counts, rate[:6])) if rate is not None else (),
            is_assumed=rate is not None and rate.assumed,
            sources=tuple(source.title for source in row.sources) if row else (),
            is_own=listed_as in self._prices.own_models,
        )

    def _factors(self, cell: Cell, row: PriceRow) -> Iterator[str]:
        if row.speed == "fast":
            yield "fast mode"
        if cell.geo == "us" and row.us_costs_more:
            yield f"inference in the US only: × {self._numbers['us']}"
        if cell.service_tier == "batch" and row.model not in self._prices.own_models:
            yield f"in a batch: × {self._numbers['batch']}"
