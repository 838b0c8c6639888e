"""
Starts tokentail with as many helper processes as somebody wants to measure, on as many processors.

Words: how many helpers, which share of the bytes each of them parses, how many processors; then tokentail's own words.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack

from tokentail import backlog
from tokentail.__main__ import run
from tokentail.model import Change, Chunk
from tokentail.parser import IncrementalParser, Outcome
from tokentail.sources import LiveSource
from tokentail.workers import Helper


def main() -> None:
    helpers, share, processors, *words = sys.argv[1:]
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(processors)])

    def read(
        changes: list[Change], source: LiveSource, total_bytes: int, *, parser: IncrementalParser | None = None
    ) -> Iterator[tuple[Change, Outcome | None]]:
        return _read(changes, source, total_bytes, int(helpers), float(share))

    backlog.read = read
    sys.argv[1:] = words
    run()


def _read(
    changes: list[Change], source: LiveSource, total_bytes: int, helpers: int, share: float
) -> Iterator[tuple[Change, Outcome | None]]:
    """As `backlog.read` does it, but for the number of helpers."""
    parts = _parts(changes, total_bytes, helpers, share)
    with ExitStack() as started:
        working = [(part, Helper(part)) for part in parts[1:] if part]
        for _, helper in working:
            started.callback(helper.stop)
        parser = IncrementalParser(source, expected_bytes=total_bytes)
        for change in parts[0]:
            for chunk in parser.parse_new_entries(change):
                yield change, chunk
            yield change, None
        for part, helper in working:
            left = deque(part)
            for change, outcome in helper.results():
                if not isinstance(outcome, Chunk):
                    left.popleft()
                yield change, outcome
            assert not left, "a helper has ended early"


def _parts(changes: list[Change], total_bytes: int, helpers: int, share: float) -> list[list[Change]]:
    """Ours and that of each helper."""
    parts: list[list[Change]] = [[] for _ in range(helpers + 1)]
    given = [0.0] * (helpers + 1)
    most = [0.0, *[total_bytes * share] * helpers]
    for change in changes:
        size = backlog.unread_bytes(change)
        room = [number for number in range(1, helpers + 1) if given[number] + size <= most[number]]
        chosen = min(room, key=given.__getitem__) if room else 0
        parts[chosen].append(change)
        given[chosen] += size
    return parts


if __name__ == "__main__":
    main()
