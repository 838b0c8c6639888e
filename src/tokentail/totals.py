"""The only place that adds up: cells and replies into the counts of a report, priced by date."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tokentail.model import Cell, Counts, Reply, Row
from tokentail.prices import PICO_PER_USD, PriceList


class _Sum:
    __slots__ = (
        *("cache_read", "cache_write_1h", "cache_write_5m", "cost_pico", "input", "not_final"),
        *("output", "priced", "replies", "unpriced", "web_searches"),
    )

    def __init__(self) -> None:
        self.input = self.output = self.cache_read = self.cache_write_5m = self.cache_write_1h = 0
        self.replies = self.not_final = self.web_searches = 0
        self.cost_pico = 0
        self.priced = False  # at least one part has a price
        self.unpriced = False  # at least one part has none, or only a part of one


class Adder:
    """Adds cells up by key. All sums are of integers, so they do not depend on the order."""

    def __init__(self, prices: PriceList) -> None:
        self._prices = prices
        self._sums: dict[str, _Sum] = {}
        self._total = _Sum()
        self._unpriced: set[str] = set()

    def add(self, key: str, cell: Cell) -> None:
        """Add a cell to the row of that key, and to the total."""
        rate = self._prices.rate(
            cell.model, cell.at_ms, prompt_class=cell.prompt_class, speed=cell.speed, geo=cell.geo, service_tier=cell.service_tier
        )
        cost = 0 if rate is None else rate.cost(cell.tokens, cell.web_searches)
        if rate is None:
            self._unpriced.add(cell.model)
        row = self._sums.get(key)
        if row is None:
            row = self._sums[key] = _Sum()
        for total in (row, self._total):
            total.input += cell.tokens.input
            total.output += cell.tokens.output
            total.cache_read += cell.tokens.cache_read
            total.cache_write_5m += cell.tokens.cache_write_5m
            total.cache_write_1h += cell.tokens.cache_write_1h
            total.replies += cell.replies
            total.not_final += cell.not_final
            total.web_searches += cell.web_searches
            total.cost_pico += cost
            total.priced = total.priced or rate is not None
            total.unpriced = total.unpriced or rate is None or rate.assumed

    def rows(self) -> tuple[Row, ...]:
        """The rows, by ascending key."""
        return tuple(Row(key, _counts(self._sums[key])) for key in sorted(self._sums))

    def totals(self) -> Counts:
        """The sum of all rows; an empty one costs 0."""
        return _counts(self._total)

    def unpriced_models(self) -> tuple[str, ...]:
        """The models that have no price, sorted."""
        return tuple(sorted(self._unpriced))


def add_replies(adder: Adder, replies: Iterable[Reply], key_of: Callable[[Reply], str], prices: PriceList) -> None:
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
    adder = Adder(prices)
    add_replies(adder, [reply], lambda _: "", prices)
    return adder.totals()


def _counts(total: _Sum) -> Counts:
    tokens = total.input + total.output + total.cache_read + total.cache_write_5m + total.cache_write_1h
    nothing = not total.priced and not total.unpriced
    return Counts(
        input_tokens=total.input,
        output_tokens=total.output,
        cache_write_5m_tokens=total.cache_write_5m,
        cache_write_1h_tokens=total.cache_write_1h,
        cache_read_tokens=total.cache_read,
        total_tokens=tokens,
        replies=total.replies,
        not_final_replies=total.not_final,
        web_searches=total.web_searches,
        cost_usd=total.cost_pico / PICO_PER_USD if total.priced or nothing else None,
        cost_is_lower_bound=total.unpriced or total.not_final > 0,
    )
