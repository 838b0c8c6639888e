"""The only place that says what a process that follows does while its store cannot be written: it waits, says so, and tries again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from tokentail.errors import StoreBlockedError
from tokentail.model import Metrics, Update

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0  # a person who has made room sees within that time that it has helped


class Patience:
    """Waits for room, with pauses that grow."""

    def __init__(
        self,
        stop: threading.Event,
        *,
        idle_every_s: float,
        longest_pause_s: float = LONGEST_PAUSE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stop = stop
        self._idle_every_s = idle_every_s
        self._longest_pause_s = longest_pause_s
        self._clock = clock

    def outlast(
        self, error: StoreBlockedError, *, look: Callable[[], Update], hear: Callable[[], Update], wait: Callable[[float], object]
    ) -> Iterator[Update]:
        """
        Updates until the store can be written again; the last one is that of the look which found so.

        Args:
            look: a look at all places: what was noticed meanwhile is dropped.
            hear: what can be told without one.
            wait: sleeps for about so many seconds, and may come back sooner.
        """
        reason = f"{error}; since {_now()} it is tried again and again, and what is written to the logs meanwhile is not lost"
        pause_s, now = FIRST_PAUSE_S, self._clock()
        look_due, idle_due = now + pause_s, now
        while not self._stop.is_set():
            now = self._clock()
            if now >= look_due:
                try:
                    update = look()
                except StoreBlockedError:
                    pause_s = min(2 * pause_s, self._longest_pause_s)
                    look_due = self._clock() + pause_s
                else:
                    update.degraded.append(f"since {_now()} the store can be written again; nothing was lost")
                    yield update
                    return
            if now >= idle_due:
                idle_due = now + self._idle_every_s
                yield _degraded(hear, reason)
            wait(max(min(look_due, idle_due) - self._clock(), 0.0))


def _degraded(hear: Callable[[], Update], reason: str) -> Update:
    try:
        update = hear()
    except StoreBlockedError:
        update = Update(int(time.time() * 1000), Metrics(), [], [], list)
    update.degraded.append(reason)
    return update


def _now() -> str:
    """So that each time is told, however often the disk is full."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
