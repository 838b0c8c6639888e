"""The only place that splits the rows of a report: by where their replies stand, those that are not final, and what these may have been."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tokentail.model import Counts, Estimated, Provenance, Reply, Report, Usage
from tokentail.prices import PriceList
from tokentail.reports.data import Added, Data
from tokentail.reports.request import Context
from tokentail.reports.scope import Scope, Tally
from tokentail.totals import Adder

# Makes a report's rows once more, of another scope and into another tally.
Again = Callable[[Scope, Tally], object]


def with_provenance(report: Report, scope: Scope, again: Again, prices: PriceList) -> Report:
    """The report with how much of each row, and of all of them, stands where."""
    tally = _PartTally(prices)
    again(scope._replace(part="provenance"), tally)
    rows, whole = dict(tally.by_row.rows()), dict(tally.in_all.rows())
    nothing = Counts()

    def of(key: str) -> Provenance:
        return Provenance(*(rows.get((key, part), nothing) for part in Provenance._fields))

    in_all = Provenance(*(whole.get(part, nothing) for part in Provenance._fields))
    return report._replace(rows=tuple(row._replace(provenance=of(row.key)) for row in report.rows), provenance=in_all)


def with_not_final(report: Report, scope: Scope, again: Again, prices: PriceList) -> Report:
    """The report with what those replies used, in each row and in all, whose output count is not final."""
    tally = Tally(prices, breakdown=False)
    again(scope._replace(part="not_final"), tally)
    found, nothing = {row.key: row.counts for row in tally.rows()}, Counts()
    rows = tuple(row._replace(not_final=found.get(row.key, nothing)) for row in report.rows)
    return report._replace(rows=rows, not_final=tally.totals())


def with_estimates(report: Report, scope: Scope, again: Callable[[Data, Tally], object], data: Data, context: Context) -> Report:
    """The report with what each row, and all of them, come to with estimates in the place of output counts that are not final."""
    tally = Tally(context.prices, breakdown=False)
    found: Sequence[tuple[Reply, int]] = ()
    if scope.days and context.estimates is not None:
        start_ms, end_ms = scope.days[0].start_ms, scope.days[-1].end_ms
        found = context.estimates(start_ms, end_ms, projects=scope.slugs, models=scope.models)
    again(Added(data, found, context.prices), tally)
    added, nothing = {row.key: row.counts for row in tally.rows()}, Counts()
    rows = tuple(row._replace(estimate=_estimated(row.counts, added.get(row.key, nothing))) for row in report.rows)
    return report._replace(rows=rows, estimate=_estimated(report.totals, tally.totals()))


def _estimated(counts: Counts, added: Counts) -> Estimated:
    known = [cost for cost in (counts.cost_usd, added.cost_usd) if cost is not None]
    cost = None if counts.cost_usd is None else sum(known)
    return Estimated(added.replies, counts.output_tokens + added.output_tokens, counts.total_tokens + added.output_tokens, cost)


def cost_share(part: Counts, whole: Counts) -> float | None:
    """A part's share of the cost, from 0 to 1; None where either is unknown, or there is nothing to share."""
    return part.cost_usd / whole.cost_usd if part.cost_usd is not None and whole.cost_usd else None


class _PartTally(Tally):
    """Adds usage up by row and part."""

    def __init__(self, prices: PriceList) -> None:
        super().__init__(prices, breakdown=False)
        self.by_row = Adder[tuple[str, ...]](prices)
        self.in_all = Adder[str](prices)

    def add(self, key: str, used: Usage) -> None:
        super().add(key, used)
        part = Provenance._fields[used.part]
        self.by_row.add((key, part), used.cell)
        self.in_all.add(part, used.cell)
