"""Models."""

from __future__ import annotations

from collections.abc import Sequence

from tokentail.model import Row
from tokentail.reports.data import Data
from tokentail.reports.request import Context, Request
from tokentail.reports.scope import Scope, Tally


def rows(request: Request, data: Data, context: Context, scope: Scope, tally: Tally) -> Sequence[Row]:
    """A row a model, by the name that the logs have for it."""
    for used in data.usage(scope.question(scope.whole())):
        tally.add(used.cell.model, used)
    return [row._replace(models=()) for row in tally.rows()]  # broken down it would be itself
