"""The only place that cuts what lines of a log said into stretches, and says what each of these holds."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import chain

from tokentail.recount import Reject, Seen
from tokentail.time_index import Stretch, hashed

STRETCH_BYTES = 256 * 1024  # a stretch ends before the next line that counts
_NEVER_MS = 1 << 62


def cut(notes: Sequence[Seen | Reject], start: int, end: int, stretch_bytes: int) -> Iterator[Stretch]:
    """The stretches from `start` to `end`, of lines in the order of the file."""
    here: list[Seen | Reject] = []
    for note in notes:
        if note.offset_bytes - start >= stretch_bytes:
            yield _stretch(start, note.offset_bytes, here)
            start, here = note.offset_bytes, []
        here.append(note)
    if start < end:
        yield _stretch(start, end, here)


def grown(before: Sequence[Stretch], more: Sequence[Stretch], stretch_bytes: int) -> Iterator[Stretch]:
    """What was known and what follows. A short last stretch becomes longer, or a log that grows by lines would have one a line."""
    if not before or not more or before[-1].end_bytes - before[-1].start_bytes >= stretch_bytes:
        return chain(before, more)
    return chain(before[:-1], [_joined(before[-1], more[0])], more[1:])


def _stretch(start: int, end: int, notes: Sequence[Seen | Reject]) -> Stretch:
    lines = [note.alone for note in notes if isinstance(note, Seen)]
    models = {line.model for line in lines} | {extra.model for line in lines for extra in line.extras}
    return Stretch(
        *(start, end, min((line.at_ms for line in lines), default=_NEVER_MS), max((line.at_ms for line in lines), default=-1)),
        *(len(notes) - len(lines), tuple(sorted(models)), array("I", sorted({hashed(line.key) for line in lines}))),
    )


def _joined(one: Stretch, other: Stretch) -> Stretch:
    return Stretch(
        *(one.start_bytes, other.end_bytes, min(one.least_ms, other.least_ms), max(one.greatest_ms, other.greatest_ms)),
        *(one.malformed_lines + other.malformed_lines, tuple(sorted({*one.models, *other.models}))),
        array("I", sorted({*one.groups, *other.groups})),
    )
