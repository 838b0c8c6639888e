"""The only place that adds up what a pass over the logs did."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tokentail.model import Chunk, Metrics, Problem


class PassCounter:
    """
    Adds up a pass.

    Attributes:
        late_ms: how long before its commit each file had been written last.
        vanished: files that were listed and are gone: that is no problem.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.late_ms: list[float] = []
        self.files_read = self.vanished = 0
        self.problems: list[Problem] = []
        self._sums = dict.fromkeys(("bytes", "entries", "malformed", "new", "grown", "corrected", "gone"), 0)

    def add(self, chunks: Sequence[Chunk], tally: object) -> None:
        sums, now_ms = self._sums, self._clock() * 1000
        for chunk in chunks:
            if chunk.records:
                self.late_ms.append(now_ms - chunk.change.file.mtime_ns / 1e6)
            sums["bytes"] += chunk.bytes_read
            sums["entries"] += len(chunk.seen_records)
            sums["malformed"] += len(chunk.rejects)
        for event in ("new", "grown", "corrected", "gone"):
            sums[event] += getattr(tally, event)

    def metrics(self, files_checked: int, took_s: float) -> Metrics:
        sums = self._sums
        return Metrics(
            files_checked,
            self.files_read,
            *(sums["bytes"], sums["entries"], sums["new"], sums["grown"], sums["corrected"], sums["gone"], sums["malformed"]),
            took_s,
        )
