"""The only place that knows which replies the request feed shows, and what waits while it is paused."""

from __future__ import annotations

from dataclasses import replace

from tokentail.tui.snapshot import FEED_ROWS, FeedRow, Snapshot


class Feed:
    """
    The newest replies, newest first, each once: it changes in place when it grows and leaves when it is gone.

    A paused feed stands still and keeps all that comes; resumed, it shows what it would show without the pause, and
    has room for every reply that came meanwhile.
    """

    def __init__(self) -> None:
        self.rows: tuple[FeedRow, ...] = ()
        self.fresh: frozenset[str] = frozenset()  # keys that changed lately
        self._known: dict[str, FeedRow] = {}
        self._room = FEED_ROWS
        self._held: list[Snapshot] | None = None

    @property
    def paused(self) -> bool:
        return self._held is not None

    @property
    def waiting(self) -> int:
        """How many replies changed since the pause began."""
        return len({change.key for snapshot in self._held or () for change in snapshot.changes})

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
        self._room = max(FEED_ROWS, len(changed & (self._known.keys() - before)))
        self._settle()
        self.fresh = frozenset(changed)

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
        self.rows = tuple(sorted(self._known.values(), key=lambda row: row.order, reverse=True)[: self._room])
        self._known = {row.key: row for row in self.rows}
