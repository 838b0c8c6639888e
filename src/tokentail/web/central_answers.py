"""What the API answers where a hub's central store is a ClickHouse: sums and replies are those of all machines."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence

from tokentail import machines
from tokentail.fleet.clickhouse.data import Stored
from tokentail.model import Reply
from tokentail.projects import Projects
from tokentail.reports.data import Data
from tokentail.reports.scope import Scope
from tokentail.web.answers import Answers, Place
from tokentail.web.contract import Asked, Invalid


class CentralAnswers(Answers):
    """Limits, budgets, explanations and the engine stay those of the hub's own machine: only it has logs."""

    def __init__(
        self, place: Place, central: Stored, degraded: Callable[[], Sequence[str]] = tuple, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(place, lambda: (*degraded(), *central.degraded()), clock)
        self._central = central

    def reports(self, asked: Asked) -> str:
        if asked.flag("estimate_output"):
            raise Invalid("estimates need the logs, which a central store does not have")
        return super().reports(asked)

    def _window(self, db: sqlite3.Connection, scope: Scope, now_ms: int) -> dict[str, object] | None:
        """None: a five-hour window belongs to a person, and these are many."""
        return None

    def _data(self, db: sqlite3.Connection) -> Data:
        return self._central

    def _projects(self, db: sqlite3.Connection) -> Projects:
        return Projects(self._central.folders(), self._aliases)

    def _older(self, db: sqlite3.Connection, before: tuple[int, str], limit: int, asked: Asked) -> Sequence[Reply]:
        scope = self._scope(db, asked)
        known = self._central.machines() if asked.all("host") or asked.all("user") else set()
        return self._central.older_replies(
            before,
            limit,
            subagents=asked.subagents,
            projects=scope.slugs,
            models=scope.models,
            sessions={asked["session"]} if asked["session"] else None,
            hosts={host for _, host in known if machines.is_meant(host, asked.all("host"))} if asked.all("host") else None,
            users={user for user, _ in known if machines.is_meant(user, asked.all("user"))} if asked.all("user") else None,
        )
