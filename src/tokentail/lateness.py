"""The only place that knows how late we are: the time from a line's being written to its being committed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

LATEST = 1000  # of them are looked at
MOST_MS = 60_000  # what was written earlier was not live when it was read


class Lateness:
    """Rolling percentiles, in milliseconds. A file's own time has the grain of the kernel's clock, which is 1 to 4 ms."""

    def __init__(self) -> None:
        self._latest: deque[float] = deque(maxlen=LATEST)

    def add(self, late_ms: Iterable[float]) -> None:
        self._latest.extend(each for each in late_ms if 0 <= each < MOST_MS)

    def percentiles(self) -> tuple[float, float] | None:
        """The median and the 99th percentile; None while nothing was live."""
        if not self._latest:
            return None
        ordered = sorted(self._latest)
        return ordered[len(ordered) // 2], ordered[min(len(ordered) * 99 // 100, len(ordered) - 1)]
