"""The only place that knows what the latest looks of a process that follows were like, and how late the lines were that they found."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from tokentail.model import Metrics, Recent, Share

LOOKS = 200  # are looked back upon
LATEST = 1000  # lines likewise
MOST_MS = 60_000  # what was written earlier was not live when it was read


class Lateness:
    """
    Keeps the latest figures.

    A line's lateness is the time from its being written to its being committed, in milliseconds. A file's own time has the grain of
    the kernel's clock, which is 1 to 4 ms.
    """

    def __init__(self) -> None:
        self._late_ms: deque[float] = deque(maxlen=LATEST)
        self._looks: deque[Metrics] = deque(maxlen=LOOKS)

    def add(self, look: Metrics, late_ms: Iterable[float]) -> None:
        """A look that found something."""
        self._looks.append(look)
        self._late_ms.extend(each for each in late_ms if 0 <= each < MOST_MS)

    def recent(self) -> Recent | None:
        """Percentiles; None before the first look."""
        if not self._looks:
            return None
        looks = self._looks
        return Recent(
            len(looks),
            share(each.files_checked for each in looks),
            share(each.bytes_read for each in looks),
            share(each.entries_parsed for each in looks),
            Share(*(-each for each in share(-look.cache_hit_rate for look in looks))),
            share(each.took_s * 1000 for each in looks),
            share(self._late_ms) if self._late_ms else None,
        )


def share(figures: Iterable[float]) -> Share:
    """The median and the 99th percentile."""
    ordered = sorted(figures)
    return Share(ordered[len(ordered) // 2], ordered[min(len(ordered) * 99 // 100, len(ordered) - 1)])
