"""The only place that adds up: cells and replies into the counts of a report, priced by date."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, NamedTuple, TypeVar

from tokentail.model import Cell, Counts, Reply, Row
from tokentail.prices import PICO_PER_USD, PriceList, Rate

Key = TypeVar("Key", str, tuple[str, ...])
# A sum: input, output, cache read, cache writes of 5 minutes and 1 hour, replies, not final, web searches; then the cost in
# pico-dollars, how many parts have a price, and how many have none or only a part of one.
_Sum = list[int]
_NOTHING = (0,) * 11


class Summed(NamedTuple, Generic[Key]):
    """What was added up under a key."""

    key: Key
    counts: Counts


class Adder(Generic[Key]):
    """Adds cells up by key. All sums are of integers, so they do not depend on the order."""

    def __init__(self, prices: PriceList) -> None:
        self._prices = prices
        self._rates: dict[tuple[object, ...], Rate | None] = {}
        self._sums: dict[Key, _Sum] = {}
        self._unpriced: set[str] = set()

    def add(self, key: Key, cell: Cell) -> None:
        """Add a cell to the row of that key, and to the total."""
        at_ms, model, _, prompt_class, speed, geo, service_tier, tokens, replies, not_final, web_searches = cell
        said = (at_ms, model, prompt_class, speed, geo, service_tier)
        if said not in self._rates:
            self._rates[said] = self._rate(cell)
        rate = self._rates[said]
        total = self._sums.get(key)
        if total is None:
            total = self._sums[key] = list(_NOTHING)
        i, o, r, w5, w1 = tokens
        total[0] += i
        total[1] += o
        total[2] += r
        total[3] += w5
        total[4] += w1
        total[5] += replies
        total[6] += not_final
        total[7] += web_searches
        if rate is None:
            total[10] += 1
            return
        total[8] += i * rate[0] + o * rate[1] + r * rate[2] + w5 * rate[3] + w1 * rate[4] + web_searches * rate[5]
        total[9] += 1
        total[10] += rate[6]

    def rows(self) -> tuple[Summed[Key], ...]:
        """The rows, by ascending key."""
        return tuple(Summed(key, _counts(self._sums[key])) for key in sorted(self._sums))

    def totals(self) -> Counts:
        """The sum of all rows; an empty one costs 0."""
        return _counts(self._total())

    def cost_pico(self) -> int | None:
        """What all rows cost, exact, in pico-dollars; None where nothing in them has a price."""
        total = self._total()
        return total[8] if total[9] or not total[10] else None

    def unpriced_models(self) -> tuple[str, ...]:
        """The models that have no price, sorted."""
        return tuple(sorted(self._unpriced))

    def _total(self) -> _Sum:
        return list(map(sum, zip(_NOTHING, *self._sums.values(), strict=True)))

    def _rate(self, cell: Cell) -> Rate | None:
        rate = self._prices.rate(
            cell.model, cell.at_ms, prompt_class=cell.prompt_class, speed=cell.speed, geo=cell.geo, service_tier=cell.service_tier
        )
        if rate is None:
            self._unpriced.add(cell.model)
        return rate


def costliest_first(rows: Iterable[Row]) -> list[Row]:
    """Rows by what they cost; those of one cost, or without a price, by their tokens and names."""
    return sorted(rows, key=lambda row: (-(row.counts.cost_usd or 0), -row.counts.total_tokens, row.key))


def add_replies(adder: Adder[Key], replies: Iterable[Reply], key_of: Callable[[Reply], Key], prices: PriceList) -> None:
    """Add replies one by one; an extra iteration adds its tokens under its own model, and no reply (R6)."""
    for reply in replies:
        key = key_of(reply)
        for cell in cells_of(reply, prices):
            adder.add(key, cell)


def cells_of(reply: Reply, prices: PriceList) -> list[Cell]:
    """A reply as cells: its own usage and, each at its own model, the extra iterations billed with it."""
    said = (reply.speed, reply.geo, reply.service_tier)
    project = reply.owner.project
    own = Cell(
        *(reply.at_ms, reply.model, project, prices.prompt_class(reply.tokens.prompt), *said),
        *(reply.tokens, 1, int(not reply.final), reply.web_searches),
    )
    extras = [
        Cell(reply.at_ms, extra.model, project, prices.prompt_class(extra.tokens.prompt), *said, extra.tokens, 0, 0, 0)
        for extra in reply.extras
    ]
    return [own, *extras]


def counts_of(reply: Reply, prices: PriceList) -> Counts:
    """What one reply counts and costs, its extra iterations included."""
    adder = Adder[str](prices)
    add_replies(adder, [reply], lambda _: "", prices)
    return adder.totals()


def _counts(total: _Sum) -> Counts:
    i, o, r, w5, w1, replies, not_final, web_searches, cost_pico, priced, unpriced = total
    cost_usd = cost_pico / PICO_PER_USD if priced or not unpriced else None
    # In the order of its fields, and made without a call into Python: a report may have thousands of rows.
    return tuple.__new__(
        Counts, (i, o, w5, w1, r, i + o + r + w5 + w1, replies, not_final, web_searches, cost_usd, unpriced + not_final > 0)
    )
