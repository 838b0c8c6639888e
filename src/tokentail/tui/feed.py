"""The only place that knows which replies the request feed shows: what waits while it is paused, what a filter leaves, what is older."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from operator import attrgetter

from tokentail.tui.snapshot import FEED_ROWS, FeedRow, Snapshot

MOST_ROWS = 10_000  # to scroll back in; a report says more about longer times
Order = tuple[datetime, str]
_ORDER = attrgetter("at", "key")  # of a row


class Feed:
    """
    The newest replies, newest first, each once: it changes in place when it grows and leaves when it is gone.

    A paused feed stands still and keeps all that comes; resumed, it shows what it would show without the pause, and
    has room for every reply that came meanwhile. Older replies are added when somebody asks for them, and kept until `trim`.
    """

    def __init__(self) -> None:
        self.rows: tuple[FeedRow, ...] = ()
        self.fresh: frozenset[str] = frozenset()  # keys that changed lately
        self.words: tuple[str, ...] = ()  # of the filter
        self.has_older = True  # there may be replies in the store that are older than all of these
        self._known: dict[str, FeedRow] = {}
        self._whole_from: Order | None = None  # from here on no reply is missing; before it are only those that the filter let through
        self._room = FEED_ROWS
        self._held: list[Snapshot] | None = None

    @property
    def paused(self) -> bool:
        return self._held is not None

    @property
    def waiting(self) -> int:
        """How many replies changed since the pause began."""
        return len({change.key for snapshot in self._held or () for change in snapshot.changes})

    @property
    def oldest(self) -> FeedRow | None:
        """The last one that is known, whether the filter lets it through or not: what is older is before it."""
        return min(self._known.values(), key=_ORDER, default=None)

    def show(self, snapshot: Snapshot) -> None:
        """Take in a snapshot, or keep it for later."""
        quiet = not snapshot.changes and snapshot.latest is None
        if self._held is not None:
            self._held += [] if quiet else [snapshot]
            return
        self.fresh = frozenset(change.key for change in snapshot.changes)
        if not quiet:
            self._take_in(snapshot)
            self._settle()

    def pause(self) -> None:
        self._held = self._held or []

    def resume(self) -> None:
        """Catch up."""
        held, self._held = self._held or [], None
        before = set(self._known)
        for snapshot in held:
            self._take_in(snapshot)
        changed = {change.key for snapshot in held for change in snapshot.changes}
        self._room = max(self._room, FEED_ROWS, len(changed & (self._known.keys() - before)))
        self._settle()
        self.fresh = frozenset(changed)

    def filter(self, said: str) -> None:
        """Show only the replies that have each of the words in a name or an id."""
        words = tuple(said.casefold().split())
        if words != self.words:
            self.words, self.has_older = words, True
            if self._whole_from is not None:
                self._known = {key: row for key, row in self._known.items() if row.order >= self._whole_from}
                self._whole_from = None
            self._settle()

    def add_older(self, rows: Sequence[FeedRow], words: tuple[str, ...], *, are_all: bool) -> None:
        """What the store has before the oldest one, by a filter that may no longer be wanted; `are_all`: nothing is older."""
        if words != self.words:
            return
        if words and self._whole_from is None and (oldest := self.oldest):
            self._whole_from = oldest.order
        self._known = {row.key: row for row in rows} | self._known
        self._room = MOST_ROWS
        self.has_older = not are_all and len(self._known) < MOST_ROWS
        self._settle()

    def trim(self) -> None:
        """Nobody looks at the older ones any more."""
        if self._room > FEED_ROWS and not self.paused:
            self._room, self.has_older, self._whole_from = FEED_ROWS, True, None
            self._settle()

    def _take_in(self, snapshot: Snapshot) -> None:
        if snapshot.latest is not None:
            self._begin_anew(snapshot.latest)
        for key, row in snapshot.changes:
            if row is None:
                self._known.pop(key, None)
            else:
                self._known[key] = row

    def _begin_anew(self, latest: tuple[FeedRow, ...]) -> None:
        """What the store has now; older replies stay when the feed has room for more than the store was asked for."""
        oldest = latest[-1].order if len(latest) >= FEED_ROWS else None
        older = {key: row for key, row in self._known.items() if oldest is not None and row.order < oldest}
        marks = {key: row.event for key, row in self._known.items()}
        self._known = older | {row.key: replace(row, event=marks.get(row.key, row.event)) for row in latest}

    def _settle(self) -> None:
        rows = sorted(self._known.values(), key=_ORDER, reverse=True)
        if len(rows) > self._room:
            rows = rows[: self._room]
            self._known = {row.key: row for row in rows}
            self.has_older = True
        self.rows = tuple(row for row in rows if passes(row, self.words)) if self.words else tuple(rows)


def passes(row: FeedRow, words: Sequence[str]) -> bool:
    """Has a reply each of the words in the name of its project or model, or in the id of its session or subagent?"""
    return all(any(word in said for said in names(row.project, row.model, row.session, row.agent)) for word in words)


def names(*said: str) -> tuple[str, ...]:
    """Names as a filter compares them."""
    return tuple(each.casefold() for each in said)
