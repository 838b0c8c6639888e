"""Days, weeks and months."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from tokentail import periods
from tokentail.model import Row, Window
from tokentail.reports.data import Data
from tokentail.reports.request import Context, Request
from tokentail.reports.scope import Scope, Tally, merged


def rows(request: Request, data: Data, context: Context, scope: Scope, tally: Tally) -> Sequence[Row]:
    """A row a day, week or month that has a reply."""
    windows = merged(Window(_name(day.day, request), day.start_ms, day.end_ms) for day in scope.days)
    for used in data.usage(scope.question(windows)):
        tally.add(windows[used.window].key, used)
    return tally.rows()


def _name(day: date, request: Request) -> str:
    match request.report:
        case "weekly":
            return periods.week_of(day, starts=request.week_starts).isoformat()
        case "monthly":
            return periods.month_of(day)
    return day.isoformat()
