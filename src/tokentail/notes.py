"""The only place that says when the metrics of passes are written down: at once, or once a second while somebody follows."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tokentail.errors import StoreBlockedError
from tokentail.lateness import Lateness
from tokentail.model import Metrics, Recent, Share

if TYPE_CHECKING:
    from tokentail.passes import PassCounter
    from tokentail.store import Store

EVERY_S = 1.0  # a process that leads writes one
HEARTBEAT_S = 5.0  # and one that it looked, when it found nothing


class Notes:
    """
    Metrics on their way into the store.

    Attributes:
        recent: what the latest looks were like while we lead, as of the last note; None before.
    """

    def __init__(self) -> None:
        self.recent: Recent | None = None
        self._lateness = Lateness()
        # A lone pass that finds nothing is not worth a write.
        self._next_heartbeat = time.monotonic() + HEARTBEAT_S
        self._next_note = 0.0
        self._unwritten: Metrics | None = None
        self._at_ms = self._looks = 0
        self._following: dict[str, object] = {}

    def add(self, store: Store, at_ms: int, counted: PassCounter, metrics: Metrics, *, mode: str | None, pending: int) -> None:
        """
        A pass, which has been committed.

        Args:
            mode: how we hear of what is written, where we lead: such a process makes many passes a second.
            pending: files that are still to be read.
        """
        now = time.monotonic()
        is_idle = metrics.is_idle
        if mode is not None and not is_idle:
            self._lateness.add(metrics, counted.late_ms)
        if is_idle and now < self._next_heartbeat:
            return
        self._next_heartbeat = now + HEARTBEAT_S
        before = self._unwritten
        self._unwritten = metrics if before is None else Metrics._make(map(sum, zip(before, metrics, strict=True)))
        self._at_ms, self._looks = at_ms, self._looks + 1
        self._following = {} if mode is None else {"mode": mode, "pending": pending}
        if mode is None:
            self.write(store)
        elif now >= self._next_note:
            self.write(store)
            self._next_note = now + EVERY_S

    def write(self, store: Store | None) -> None:
        """What is not written yet."""
        if self._unwritten is None or store is None:
            return
        (metrics, looks), self._unwritten, self._looks = (self._unwritten, self._looks), None, 0
        self.recent = self._lateness.recent() if self._following else None
        more = {**self._following, "looks": looks, "recent": _kept(self.recent)} if self._following else {}
        try:
            store.add_pass(self._at_ms, {**metrics._asdict(), **more}, idle=metrics.is_idle)
        except StoreBlockedError:  # what it is about was committed; it is written when there is room
            self._unwritten, self._looks = metrics, looks


def _kept(recent: Recent | None) -> tuple[object, ...] | None:
    """As it stands in the store, where `census` reads it."""
    if recent is None:
        return None
    looks, *shares, late_ms = recent
    return looks, [_rounded(share) for share in shares], None if late_ms is None else _rounded(late_ms)


def _rounded(share: Share) -> list[float]:
    return [round(each, 3) for each in share]
