"""Sessions, each with what its subagents used."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from tokentail.model import Counts, Row, SessionFacts, Usage
from tokentail.prices import PriceList
from tokentail.reports.data import Data
from tokentail.reports.request import Context, Request
from tokentail.reports.scope import Scope, Tally
from tokentail.totals import Adder, costliest_first

_NOBODY = (0, Counts(), ())
_Place = tuple[str, str, str]  # project, user, host


def rows(request: Request, data: Data, context: Context, scope: Scope, tally: Tally) -> Sequence[Row]:
    """A row a session; the use of its subagents is part of it, and shown under it."""
    subagents = _Subagents(context.prices, request.agents)
    places: defaultdict[str, dict[_Place, int]] = defaultdict(dict)
    for used in data.usage(scope.question(scope.whole(), "owner")):
        owner = used.owner
        tally.add(owner.session, used)
        replies, place = places[owner.session], (owner.project, owner.user, owner.host)
        replies[place] = replies.get(place, 0) + used.cell.replies
        if owner.agent or owner.subagent:
            subagents.add(used)
    under = subagents.by_session()
    return [
        Row(row.key, row.counts, _facts(row.key, places[row.key], under.get(row.key, _NOBODY), scope, tally), row.models)
        for row in tally.rows()
    ]


def _facts(
    session: str, places: Mapping[_Place, int], under: tuple[int, Counts, tuple[Row, ...]], scope: Scope, tally: Tally
) -> SessionFacts:
    # A session that went on in another folder is shown with the one that has most of its replies.
    project, user, host = min(places, key=lambda place: (-places[place], place)) if len(places) > 1 else next(iter(places))
    first_ms, last_ms = tally.moments[session]
    subagents, together, each = under
    return SessionFacts(project, scope.projects.name(project), first_ms, last_ms, subagents, together, each, host, user)


class _Subagents:
    """Adds up what the subagents of each session used, and on request each of them."""

    def __init__(self, prices: PriceList, each: bool) -> None:
        self._each = Adder[tuple[str, ...]](prices) if each else None
        self._together = Adder[str](prices)
        self._agents: defaultdict[str, set[str]] = defaultdict(set)

    def add(self, used: Usage) -> None:
        session, agent = used.owner.session, used.owner.agent
        self._together.add(session, used.cell)
        self._agents[session].add(agent)
        if self._each is not None:
            self._each.add((session, agent), used.cell)

    def by_session(self) -> dict[str, tuple[int, Counts, tuple[Row, ...]]]:
        """How many there are, what they used together, and each of them."""
        each: defaultdict[str, list[Row]] = defaultdict(list)
        for (session, agent), counts in self._each.rows() if self._each is not None else ():
            each[session].append(Row(agent, counts))
        return {
            session: (len(self._agents[session]), counts, tuple(costliest_first(each.get(session, ()))))
            for session, counts in self._together.rows()
        }
