"""Reports as bars of text: what each row cost, beside its name."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from itertools import pairwise

from tokentail.model import Report
from tokentail.reports import columns, grid
from tokentail.reports.as_table import NOTHING, below, body, total_name
from tokentail.reports.columns import KINDS
from tokentail.reports.grid import ALWAYS, DIM, Column, Grid
from tokentail.reports.text import Style

_LEAST_BAR = 6  # cells
_UNITS = {"daily": "day", "weekly": "week", "monthly": "month"}


def report_chart(report: Report, *, width: int, style: Style, breakdown: bool = False) -> str:
    """A report as bars that fill `width` columns: of dollars, or of tokens where nothing has a price."""
    if not report.rows:
        return NOTHING
    kind, lines = KINDS[report.name], body(report, breakdown=breakdown)
    others = [columns.cost_column(lines.counts, report.totals) if report.totals.cost_usd else _tokens(report, breakdown)]
    if kind.shares or not kind.bars:
        others.append(columns.share_column(lines.counts, report.totals))
    others.append(columns.bar_column(lines.counts, report.totals, importance=ALWAYS, most=width, least=_LEAST_BAR))
    sheet = Grid([lines.spread(column) for column in kind.names(report)], others, lines.labels, total_name(report))
    drawn = grid.draw(sheet, width=width, style=style)
    for row, gap in reversed(list(_gaps(report))):
        drawn.insert(1 + lines.rows[row], style(gap, DIM))
    return "".join(f"{line}\n" for line in drawn) + below(report, width=width, style=style)


def _tokens(report: Report, breakdown: bool) -> Column:
    tokens = [number._replace(importance=ALWAYS) for number in KINDS[report.name].numbers if number.title == "Tokens"]
    return columns.number_columns(tokens, body(report, breakdown=breakdown).counts, report.totals)[0]


def _gaps(report: Report) -> Iterator[tuple[int, str]]:
    """Before which rows there are periods that have none: bars without them would look like all of the time."""
    unit = _UNITS.get(report.name)
    numbers = [_number(row.key) for row in report.rows] if unit else []
    if numbers != sorted(numbers) and numbers != sorted(numbers, reverse=True):
        return
    size = 7 if unit == "week" else 1
    for row, (one, other) in enumerate(pairwise(numbers), start=1):
        missing = abs(other - one) // size - 1
        if missing > 0:
            yield row, f"  {missing:,} {unit}{'' if missing == 1 else 's'} without usage"


def _number(key: str) -> int:
    """Days count from the year 1, and so do months."""
    year, month = int(key[:4]), int(key[5:7])
    return year * 12 + month if len(key) == 7 else date.fromisoformat(key).toordinal()
