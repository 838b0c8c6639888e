"""Projects."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cache

from tokentail.model import ProjectFacts, Row
from tokentail.reports.data import Data
from tokentail.reports.request import Context, Request
from tokentail.reports.scope import Scope, Tally


def rows(request: Request, data: Data, context: Context, scope: Scope, tally: Tally) -> Sequence[Row]:
    """A row a project; on request one for all worktrees of a repository."""
    group: Callable[[str], str] = cache(scope.projects.repository) if request.worktrees else str
    slugs: defaultdict[str, set[str]] = defaultdict(set)
    for used in data.usage(scope.question(scope.whole(), "project")):
        key = group(used.owner.project)
        slugs[key].add(used.owner.project)
        tally.add(key, used)
    return [row._replace(about=_facts(row.key, slugs[row.key], scope, tally)) for row in tally.rows()]


def _facts(key: str, slugs: set[str], scope: Scope, tally: Tally) -> ProjectFacts:
    return ProjectFacts(scope.projects.name(key), scope.projects.folders.get(key, ""), tuple(sorted(slugs)), *tally.moments[key])
