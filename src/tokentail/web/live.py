"""The only place that hands on what happens to those who listen: each event once, in order, and again from where a connection broke."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from tokentail import database, queries
from tokentail.coordinator import UpdateCoordinator
from tokentail.model import Live, Metrics, ReplyChange, Update
from tokentail.prices import PriceList
from tokentail.reports.as_json import feed_json

MOST_LISTENERS = 500
MOST_WAITING = 2_000  # events, for one listener: who is slower than that is dropped, and may come again
LOOK_EVERY_S = 1.0
BEAT_EVERY_S = 10.0
GAP_S = 0.05  # between two sendings to one listener of a hundred: a burst is sent as one; of fewer listeners each is served sooner
REASON_S = 600.0  # a reason that guarantees are lost stands so long after it was told last
_BEAT = b": still here\n\n"


class Event(NamedTuple):
    """A reply that changed."""

    number: int  # of the change
    text: bytes


class Batch(NamedTuple):
    """What one look found."""

    events: Sequence[Event]  # by number, ascending
    look: bytes = b""
    is_reset: bool = False


class Listener:
    """One who listens, and what waits for him."""

    def __init__(self, number: int) -> None:
        self.number = number  # of the last change that he has, or had when he came
        self.waiting: list[Batch] = []
        self.has_more = asyncio.Event()
        self.is_over = False
        self._count = 0

    def add(self, batch: Batch) -> bool:
        """False where too much waits already."""
        self._count += len(batch.events)
        if self._count > MOST_WAITING:
            self.end()
            return False
        self.waiting.append(batch)
        self.has_more.set()
        return True

    def take(self) -> list[Batch]:
        taken, self.waiting, self._count = self.waiting, [], 0
        self.has_more.clear()
        return taken

    def end(self) -> None:
        self.is_over = True
        self.has_more.set()


class Broadcast:
    """
    Follows the logs in a thread, and hands what it finds to whoever listens, in the server's loop.

    Attributes:
        error: what ended the thread before its time.
    """

    def __init__(self, coordinator: UpdateCoordinator, prices: PriceList) -> None:
        self._coordinator, self._prices = coordinator, prices
        self._store = coordinator.store_path
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)
        self._loop: asyncio.AbstractEventLoop
        self._listeners: set[Listener] = set()
        self._told = 0  # the last change that the follower has told
        self._known = 0  # and that was handed on
        self._epoch = ""  # which file the store is: numbers of changes begin anew with another one
        self._reasons: dict[str, float] = {}  # when each was told last
        self._look_due = 0.0
        self.since_start, self.looks = Metrics(), 0
        self.live: Live | None = None
        self.dropped = 0
        self.error: Exception | None = None
        self.ready = asyncio.Event()
        self.ended = asyncio.Event()

    def start(self) -> None:
        """In the server's loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def end_streams(self) -> None:
        """All who listen; they come again where there is a server."""
        for listener in self._listeners:
            listener.end()

    def refresh(self) -> None:
        """Have everybody ask anew, as after what is too much to be told; in the server's loop."""
        self._hand_on(Batch((), is_reset=True), self._known)

    def stop(self) -> None:
        self._stop.set()
        self._coordinator.wake()
        if self._thread.is_alive():
            self._thread.join(10.0)

    @property
    def listening(self) -> int:
        return len(self._listeners)

    def degraded(self) -> tuple[str, ...]:
        """Which guarantees are lost, as far as it was told lately."""
        old = time.monotonic() - REASON_S
        return tuple(reason for reason, at in list(self._reasons.items()) if at > old)

    async def events(self, last_id: str) -> AsyncIterator[bytes]:
        """What a listener is sent, from a moment on: all that came after the event of that id, then what happens."""
        listener = Listener(self._known)
        self._listeners.add(listener)
        try:
            yield b"retry: 1000\n\n" + await asyncio.to_thread(self._missed, last_id, listener.number)
            while not listener.is_over:
                try:
                    await asyncio.wait_for(listener.has_more.wait(), BEAT_EVERY_S)
                except TimeoutError:
                    yield _BEAT
                    continue
                if text := self._text(listener):
                    yield text
                    await asyncio.sleep(GAP_S * min(len(self._listeners) / 100, 1.0))
        finally:
            self._listeners.discard(listener)

    def _text(self, listener: Listener) -> bytes:
        """What waits, as it is sent: nothing twice, and of several looks the latest."""
        parts, look = [], b""
        for batch in listener.take():
            if batch.is_reset:
                parts, listener.number = [_reset(self._epoch, self._known)], 0
            parts += [event.text for event in batch.events if event.number > listener.number]
            if batch.events:
                listener.number = max(listener.number, batch.events[-1].number)
            look = batch.look or look
        return b"".join([*parts, look])

    def _missed(self, last_id: str, known: int) -> bytes:
        """The events after the one of that id, up to what is handed on from now on; `reset` where they are not to be had any more."""
        if not last_id:
            return b""
        epoch, _, word = last_id.partition("-")
        if epoch != self._epoch or not (word.isascii() and word.isdecimal()) or len(word) > 18:
            return _reset(self._epoch, known)
        number = int(word)
        try:
            with closing(database.open_for_reading(self._store)) as db:
                first = db.execute("SELECT min(seq) FROM changes").fetchone()[0]
                is_gone = number > known or (number < known and (first is None or number + 1 < first))
                if is_gone:
                    return _reset(self._epoch, known)
                return b"".join(event.text for event in self._events(queries.changes_between(db, number, known)))
        except sqlite3.Error:
            return _reset(self._epoch, known)

    def _run(self) -> None:
        try:
            for update in self._coordinator.follow(self._stop):
                self._take_in(update)
        except Exception as error:  # noqa: BLE001  # a thread's last frame: who runs the server raises it again
            self.error = error
        finally:
            self._loop.call_soon_threadsafe(self.ended.set)

    def _take_in(self, update: Update) -> None:
        """In the follower's thread."""
        now = time.monotonic()
        for reason in (*update.degraded, *(f"cannot read {problem.where}: {problem.why}" for problem in update.problems)):
            self._reasons[reason] = now
        self.live = update.live
        if not update.metrics.is_idle or update.metrics.files_checked:
            self.since_start = Metrics._make(a + b for a, b in zip(self.since_start, update.metrics, strict=True))
            self.looks += 1
        changes, epoch = update.changes, _epoch(self._store, self._coordinator.replaced)
        # The first fill of a store has no numbers. What is so much is sooner loaded than told.
        is_fill = any(change.seq <= self._told for change in changes)
        is_reset = epoch != self._epoch or is_fill or len(changes) > MOST_WAITING // 2
        self._epoch = epoch
        events = [] if is_reset else self._events(changes)
        look = b""
        if events or is_reset or (not update.metrics.is_idle and now >= self._look_due):
            look, self._look_due = self._look(update), now + LOOK_EVERY_S
        if is_reset:
            self._told = max((change.seq for change in changes), default=queries.latest_change(self._coordinator.db))
        elif events:
            self._told = events[-1].number
        if events or look or is_reset:
            self._loop.call_soon_threadsafe(self._hand_on, Batch(events, look, is_reset), self._told)
        if not update.catching_up:
            self._loop.call_soon_threadsafe(self.ready.set)

    def _hand_on(self, batch: Batch, known: int) -> None:
        if batch.is_reset or known > self._known:
            self._known = known
        for listener in list(self._listeners):
            if not listener.add(batch):
                self.dropped += 1

    def _events(self, changes: Sequence[ReplyChange]) -> list[Event]:
        by_number = sorted(changes, key=lambda change: change.seq)
        return [
            Event(change.seq, f"event: reply\nid: {self._epoch}-{change.seq}\ndata: {feed_json(change, self._prices)}\n\n".encode())
            for change in by_number
        ]

    def _look(self, update: Update) -> bytes:
        metrics = update.metrics
        fields = {**metrics._asdict(), "cache_hit_rate": metrics.cache_hit_rate, "mode": update.live.mode if update.live else None}
        return f"event: look\ndata: {json.dumps(fields)}\n\n".encode()


def _reset(epoch: str, known: int) -> bytes:
    return f"event: reset\nid: {epoch}-{known}\ndata: {{}}\n\n".encode()


def _epoch(store: Path, replaced: int) -> str:
    """The same as long as the store is the same file, also for the next server."""
    _, number = database.identity(store) or (0, 0)
    return f"{number}.{replaced}"
