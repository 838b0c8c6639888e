"""The only place that decides how a backlog is read: here, or half of it by a helper on another core."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from tokentail.model import Change, Chunk
from tokentail.parser import IncrementalParser, Outcome
from tokentail.sources import LiveSource, is_address

if TYPE_CHECKING:
    from tokentail.workers import Helper

# Below this, starting a process (0.1 s) costs more than it saves.
WORTH_BYTES = 48_000_000
HELPER_SHARE = 0.46  # of a large backlog's bytes: what the helper parses meanwhile; it starts 0.1 s later
LARGE_BYTES = 256_000_000  # larger files are read here, in pieces that are committed on the way


def read(
    changes: list[Change], source: LiveSource, total_bytes: int, *, parser: IncrementalParser | None = None
) -> Iterator[tuple[Change, Outcome | None]]:
    """Every file's chunks and then None, or an error; a large backlog is parsed by two processes, unless a parser is given."""
    theirs: list[Change] = []
    if parser is None and total_bytes >= WORTH_BYTES and _cores() > 1:
        changes, theirs = _shared_out(changes, total_bytes)
    helper = _helper(theirs) if theirs else None
    try:
        parser = parser or IncrementalParser(source, expected_bytes=total_bytes)
        source.expect(changes)
        for change in changes:
            yield from _parsed(parser, change)
        if helper is not None:
            left = deque(theirs)
            for outcomes in _whole_files(helper.results()):
                left.popleft()  # they come in the order given
                yield from outcomes
            for change in left:  # what a helper that was killed did not finish
                yield from _parsed(parser, change)
    finally:
        if helper is not None:
            helper.stop()


def _cores() -> int:
    """The processors that we may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _parsed(parser: IncrementalParser, change: Change) -> Iterator[tuple[Change, Outcome | None]]:
    try:
        for chunk in parser.parse_new_entries(change):
            yield change, chunk
    except OSError as error:
        yield change, error
    else:
        yield change, None


def _shared_out(changes: list[Change], total_bytes: int) -> tuple[list[Change], list[Change]]:
    """Our half of a backlog and the helper's; here stay very large files, which are read in pieces, and what is far away."""
    ours: list[Change] = []
    theirs: list[Change] = []
    given = 0
    for change in changes:
        size = unread_bytes(change)
        if size < LARGE_BYTES and not is_address(change.file.path) and given + size <= total_bytes * HELPER_SHARE:
            theirs.append(change)
            given += size
        else:
            ours.append(change)
    return ours, theirs


def _whole_files(results: Iterable[tuple[Change, Outcome | None]]) -> Iterator[list[tuple[Change, Outcome | None]]]:
    """The results file by file; a file that was not finished is left out, to be read again from where it was before."""
    outcomes: list[tuple[Change, Outcome | None]] = []
    for result in results:
        outcomes.append(result)
        if not isinstance(result[1], Chunk):
            yield outcomes
            outcomes = []


def _helper(changes: list[Change]) -> Helper:
    from tokentail.workers import Helper  # not at the top: a pass over a few lines does without processes

    return Helper(changes)


def unread_bytes(change: Change) -> int:
    """What a file holds behind its cursor, as far as its listing says."""
    return max(change.file.size_bytes - (change.life.cursor.offset_bytes if change.life else 0), 0)
