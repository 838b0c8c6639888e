"""Machines, and the people whose machines they are."""

from __future__ import annotations

from collections.abc import Sequence

from tokentail.model import MachineFacts, Row
from tokentail.reports.data import Data
from tokentail.reports.request import Context, Request
from tokentail.reports.scope import Scope, Tally


def rows(request: Request, data: Data, context: Context, scope: Scope, tally: Tally) -> Sequence[Row]:
    """A row a host or a user; the key "" is this machine."""
    by = {"hosts": "host", "users": "user"}[request.report]
    for used in data.usage(scope.question(scope.whole(), by)):
        tally.add(used.owner.host if by == "host" else used.owner.user, used)
    return [row._replace(about=MachineFacts(*tally.moments[row.key])) for row in tally.rows()]
