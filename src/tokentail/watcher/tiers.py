"""The only place that keeps what is done again and again within its share of a core."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

_DONE = object()


class Tier:
    """Something that is done again and again, less often when it would take more than its share."""

    def __init__(self, walk: Callable[[], Iterator[None]], every_s: float, most_share: float) -> None:
        self._walk = walk
        self._every_s = every_s
        self._most_share = most_share
        self._last = float("-inf")
        self._took_s = 0.0
        self._is_running = False

    @property
    def due(self) -> float:
        return float("inf") if self._is_running else self._last + max(self._every_s, self._took_s / self._most_share)

    def change(self, every_s: float) -> None:
        self._every_s = every_s

    def hurry(self) -> None:
        """It is due now, whenever it was done."""
        self._last = float("-inf")

    def is_due(self, now: float) -> bool:
        return self.due <= now

    def job(self) -> Job:
        self._is_running = True
        return Job(self._walk(), self)

    def finish(self, took_s: float, now: float) -> None:
        self._is_running, self._took_s, self._last = False, took_s, now


class Job:
    """Steps of something under way, and the time of this thread that they took."""

    def __init__(self, steps: Iterator[None], tier: Tier) -> None:
        self._steps = steps
        self._tier = tier
        self._took_s = 0.0

    def step(self) -> bool:
        """Go on; True when that was the last of it."""
        began = time.thread_time()
        is_done = next(self._steps, _DONE) is _DONE
        self._took_s += time.thread_time() - began
        return is_done

    def finish(self, now: float) -> None:
        self._tier.finish(self._took_s, now)
