"""The only place that knows of which replies a count without a store can be, and in which stretches of logs lines of theirs may stand."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple, Protocol

from tokentail.model import Reply
from tokentail.time_index import Stretch


class Criterion(Protocol):
    """Which replies are asked for."""

    def may_hold(self, project: str, stretch: Stretch) -> bool:
        """Can a line in the stretch, which is of a log of that project, be one of theirs?"""

    def holds(self, line: Reply) -> bool:
        """Is a line, for itself, one that makes its reply a part of the answer?"""


class Everything(NamedTuple):
    """All replies."""

    def may_hold(self, project: str, stretch: Stretch) -> bool:
        return True

    def holds(self, line: Reply) -> bool:
        return True


class During(NamedTuple):
    """Replies of a time: the moment of a reply is that of one of its lines."""

    start_ms: int | None = None
    end_ms: int | None = None  # exclusive

    def may_hold(self, project: str, stretch: Stretch) -> bool:
        # Each stretch is compared, since times go back and forth: 10 500 of them, of 2 GB of logs, take 1.6 ms.
        is_late = self.start_ms is None or stretch.greatest_ms >= self.start_ms
        return is_late and (self.end_ms is None or stretch.least_ms < self.end_ms) and stretch.least_ms <= stretch.greatest_ms

    def holds(self, line: Reply) -> bool:
        return (self.start_ms is None or line.at_ms >= self.start_ms) and (self.end_ms is None or line.at_ms < self.end_ms)


class OfProjects(NamedTuple):
    """Replies of projects: the one of a reply is that of a log that holds a line of it."""

    projects: Collection[str]  # slugs

    def may_hold(self, project: str, stretch: Stretch) -> bool:
        return project in self.projects

    def holds(self, line: Reply) -> bool:
        return line.owner.project in self.projects


class OfModels(NamedTuple):
    """Replies of models, or with usage of theirs beside their own."""

    is_meant: Callable[[str], bool]

    def may_hold(self, project: str, stretch: Stretch) -> bool:
        return any(map(self.is_meant, stretch.models))

    def holds(self, line: Reply) -> bool:
        return self.is_meant(line.model) or any(self.is_meant(extra.model) for extra in line.extras)
