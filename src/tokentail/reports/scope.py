"""What the kinds of reports share: what is chosen, and the adding up by rows, with models and moments."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence, Set
from typing import NamedTuple

from tokentail.model import Counts, Row, Usage, Window
from tokentail.periods import LocalDay
from tokentail.prices import PriceList
from tokentail.projects import Projects
from tokentail.totals import Adder, costliest_first
from tokentail.usage import Question


class Scope(NamedTuple):
    """What of all usage a report is about."""

    days: Sequence[LocalDay]  # that have usage, ascending
    projects: Projects
    slugs: Set[str] | None  # None: of all projects
    models: Set[str] | None
    hints: tuple[str, ...]
    part: str = ""  # of usage, see `Question.part`
    subagents: bool | None = None  # likewise
    users: Set[str] | None = None
    hosts: Set[str] | None = None

    def question(self, windows: Sequence[Window], by: str = "") -> Question:
        """What is to be added up in those windows."""
        parts = (windows, by, self.slugs, self.models, self.part)
        return Question(*parts, subagents=self.subagents, users=self.users, hosts=self.hosts)

    def whole(self) -> list[Window]:
        """All of the chosen time, whatever the days."""
        return merged(Window("", day.start_ms, day.end_ms) for day in self.days)


class Tally:
    """Adds usage up by row."""

    def __init__(self, prices: PriceList, *, breakdown: bool) -> None:
        self._rows = Adder[str](prices)
        self._models = Adder[tuple[str, ...]](prices) if breakdown else None
        self.moments: dict[str, tuple[int, int]] = {}  # of each row, the first reply's and the last one's

    def add(self, key: str, used: Usage) -> None:
        """Add to the row of that key."""
        self._rows.add(key, used.cell)
        if self._models is not None:
            self._models.add((key, used.cell.model), used.cell)
        known = self.moments.get(key)
        if known is None:
            self.moments[key] = used.first_ms, used.last_ms
        elif used.first_ms < known[0] or used.last_ms > known[1]:
            self.moments[key] = min(known[0], used.first_ms), max(known[1], used.last_ms)

    def rows(self) -> list[Row]:
        """A row a key, with its models where they are asked for."""
        models: defaultdict[str, list[Row]] = defaultdict(list)
        for (key, model), counts in self._models.rows() if self._models is not None else ():
            models[key].append(Row(model, counts))
        return [Row(key, counts, None, tuple(costliest_first(models[key])) if models else ()) for key, counts in self._rows.rows()]

    def totals(self) -> Counts:
        return self._rows.totals()

    def unpriced_models(self) -> tuple[str, ...]:
        return self._rows.unpriced_models()


def merged(windows: Iterable[Window]) -> list[Window]:
    """Windows of one row that meet as one."""
    result: list[Window] = []
    for window in windows:
        if result and result[-1].key == window.key and result[-1].end_ms == window.start_ms:
            window = window._replace(start_ms=result.pop().start_ms)  # noqa: PLW2901  # it grows to the left
        result.append(window)
    return result
