"""What `tokentail prices` shows, as values: the lines of the list in use, its sources by number, and what it leaves open."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import NamedTuple

from tokentail.prices import PriceList
from tokentail.prices.rows import PriceRow, Source, Term
from tokentail.reports.unpriced import Open


class Shown(NamedTuple):
    """The price list in use, or the part of it that was asked for."""

    is_imported: bool
    as_of: date | None
    made_from: str
    own_models: tuple[str, ...]
    problems: tuple[str, ...]
    rows: tuple[PriceRow, ...]
    terms: tuple[Term, ...]
    sources: tuple[Source, ...]  # of rows and terms, in the order in which they name them
    left_open: Open | None  # None: nothing is counted yet, or it cannot be read
    is_whole: bool  # it is about all models

    def numbers(self, sources: tuple[Source, ...]) -> list[int]:
        """Which of the list's sources those are, counted from 1."""
        return [self.sources.index(source) + 1 for source in sources]


def shown(prices: PriceList, left_open: Open | None, wanted: Callable[[str], bool] | None = None) -> Shown:
    """The lines of the models that are wanted, or of all, and what is to be known beside them."""
    rows = tuple(row for row in prices.models() if wanted is None or wanted(row.model))
    terms = prices.terms()
    named = [*(row.sources for row in rows), *(term.sources for term in terms)]
    sources = dict.fromkeys(source for each in named for source in each)
    return Shown(
        is_imported=prices.is_imported,
        as_of=prices.as_of,
        made_from=prices.made_from,
        own_models=tuple(name for name in prices.own_models if wanted is None or wanted(name)),
        problems=prices.problems,
        rows=rows,
        terms=terms,
        sources=tuple(sources),
        left_open=left_open,
        is_whole=wanted is None,
    )
