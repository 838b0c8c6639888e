"""The only place that compares two price lists."""

from __future__ import annotations

from typing import NamedTuple

from tokentail.prices.rates import PriceList
from tokentail.prices.rows import PriceRow, Term


class Changed(NamedTuple):
    """A model whose prices differ."""

    model: str
    gone: tuple[PriceRow, ...]  # lines that only the list before has
    new: tuple[PriceRow, ...]  # lines that only the list after has


class Changes(NamedTuple):
    """What another list changes."""

    new: tuple[str, ...]  # models that had no price
    gone: tuple[str, ...]  # models that have none any more
    changed: tuple[Changed, ...]
    terms: tuple[tuple[Term, Term], ...]  # before and after
    thresholds: bool  # the long-context limits differ, so a store adds its sums up anew


def changes_between(before: PriceList, after: PriceList) -> Changes:
    """What the list after changes; where a price was found is no change."""
    old, new = _by_model(before), _by_model(after)
    return Changes(
        new=tuple(sorted(new.keys() - old.keys())),
        gone=tuple(sorted(old.keys() - new.keys())),
        changed=tuple(_changed(name, old[name], new[name]) for name in sorted(old.keys() & new.keys()) if old[name] != new[name]),
        terms=tuple((one, other) for one, other in zip(before.terms(), after.terms(), strict=True) if one.number != other.number),
        thresholds=before.thresholds != after.thresholds,
    )


def _by_model(prices: PriceList) -> dict[str, list[PriceRow]]:
    rows: dict[str, list[PriceRow]] = {}
    for row in prices.models():
        # The price of a search is no model's, and comes with the terms.
        rows.setdefault(row.model, []).append(row._replace(sources=(), rate=row.rate._replace(web_search=0)))
    return rows


def _changed(model: str, before: list[PriceRow], after: list[PriceRow]) -> Changed:
    return Changed(model, tuple(row for row in before if row not in after), tuple(row for row in after if row not in before))
