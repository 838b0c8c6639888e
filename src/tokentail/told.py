"""The only place that knows which of a store's changes this process has told, and what is news since."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterable

from tokentail import database, queries
from tokentail.model import Reply, ReplyChange

News = Callable[[], list[ReplyChange]]


class Told:
    """
    How far this process has told what changed; others may have changed it.

    Attributes:
        stores: how many stores have stood in one another's place, of which all was news.
    """

    def __init__(self) -> None:
        self.stores = 0
        self._latest: int | None = None
        self._was_empty = False  # the store, when it was told of last
        self._damage: sqlite3.DatabaseError | None = None  # met while changes were loaded
        self._owed: list[str] = []  # the replies that those changes were of, for the store that takes the place of that one

    def begin(self, db: sqlite3.Connection) -> None:
        """What is there now is no news; a second call changes nothing."""
        if self._latest is None:
            self._latest = queries.latest_change(db)

    def begin_anew(self) -> None:
        """Another store is in the place of the one before: its changes are numbered anew, and all of them are news."""
        self._latest, self._damage = 0, None
        self.stores += 1

    def news(self, db: sqlite3.Connection | None) -> News:
        """
        A way to load what changed since the call before, without what later calls will tell.

        Raises:
            sqlite3.DatabaseError: the store cannot be read, or could not when changes were loaded last; loading raises nothing.
        """
        if damage := self._damage:
            self._damage = None
            raise damage
        if db is None or self._latest is None:
            return list
        first, last = self._latest, queries.latest_change(db)
        self._latest = last
        # The first fill is not written down as changes; to somebody who follows, it is news.
        filled, self._was_empty = self._was_empty, not queries.has_replies(db)
        is_fill = filled and not self._was_empty
        owed, self._owed = self._owed, []

        def load() -> list[ReplyChange]:
            try:
                if is_fill:
                    return _as_new(last, queries.replies_since(db, 0))
                changes = queries.changes_between(db, first, last)
                known = {change.key for change in changes}
                return _as_new(last, queries.replies_by_key(db, (key for key in owed if key not in known))) + changes
            except sqlite3.DatabaseError as error:
                if self._latest == last:
                    self._latest = first  # told after the next look
                self._owed += owed
                if not isinstance(error, sqlite3.ProgrammingError) and database.is_damaged(error):  # that one is a closed connection
                    self._damage = error  # which a look need not meet by itself
                    with contextlib.suppress(sqlite3.DatabaseError):
                        self._owed += queries.changed_keys(db, first, last)
                return []

        return load


def _as_new(number: int, replies: Iterable[Reply]) -> list[ReplyChange]:
    return [ReplyChange(number, "new", reply.key, reply) for reply in replies]
