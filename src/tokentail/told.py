"""The only place that knows which of a store's changes this process has told, and what is news since."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from tokentail import queries
from tokentail.model import ReplyChange

News = Callable[[], list[ReplyChange]]


class Told:
    """How far this process has told what changed; others may have changed it."""

    def __init__(self) -> None:
        self._latest: int | None = None
        self._was_empty = False  # the store, when it was told of last

    def begin(self, db: sqlite3.Connection) -> None:
        """What is there now is no news; a second call changes nothing."""
        if self._latest is None:
            self._latest = queries.latest_change(db)

    def begin_anew(self) -> None:
        """Another store is in the place of the one before: its changes are numbered anew, and all of them are news."""
        self._latest = 0

    def news(self, db: sqlite3.Connection | None) -> News:
        """
        A way to load what changed since the call before, without what later calls will tell.

        Raises:
            sqlite3.DatabaseError: the store cannot be read; loading raises nothing.
        """
        if db is None or self._latest is None:
            return list
        first, last = self._latest, queries.latest_change(db)
        self._latest = last
        # The first fill is not written down as changes; to somebody who follows, it is news.
        filled, self._was_empty = self._was_empty, not queries.has_replies(db)
        is_fill = filled and not self._was_empty

        def load() -> list[ReplyChange]:
            try:
                if is_fill:
                    return [ReplyChange(last, "new", reply.key, reply) for reply in queries.replies_since(db, 0)]
                return queries.changes_between(db, first, last)
            except sqlite3.DatabaseError:
                if self._latest == last:
                    self._latest = first  # told after the next look, which meets the damage, too
                return []

        return load
