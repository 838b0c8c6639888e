"""The only place that says what each line is to its reply: the one that counts, a repetition, an earlier state, a copy, a replay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tokentail.explain.story import COPY, COUNTED, EARLIER, REPEATED, REPLAY, UNKNOWN, Line, Said, Spot
from tokentail.model import Record
from tokentail.originals import Original
from tokentail.sighted import ON_DISK, Sighting


class Seen(NamedTuple):
    """A line, and what its log says there now."""

    sighting: Sighting
    request_id: str
    is_sidechain: bool
    found: Original | str  # or why it cannot be read
    is_replay: bool

    @property
    def spot(self) -> Spot:
        return Spot(self.sighting.file.path, self.sighting.offset_bytes)


def lines_of(seen: Sequence[Seen], winner: Record, *, originals: bool) -> tuple[Line, ...]:
    """
    The lines of a reply, the one that counts first.

    Args:
        winner: what the reply resolves to.
        originals: whether the lines themselves are handed on.
    """
    own = [each for each in seen if not each.is_replay]
    sources = _first_of_uuid(own)
    counted = _counted(own, winner, sources)
    lines = [_line(each, _role(each, winner, counted, sources), sources, originals=originals) for each in seen]
    return tuple(sorted(lines, key=lambda line: (line.role != COUNTED, line.role == REPLAY, line.spot)))


def _counted(own: Sequence[Seen], winner: Record, sources: Mapping[str, Seen]) -> Seen | None:
    """The line whose usage counts: of several that say the same the first one by R7, which is no copy."""
    best = [each for each in own if _has_usage(each, winner)]
    if best:
        return min(best, key=lambda each: (_source_of(each, sources) is not None, _rank(each)))
    unread = [each for each in own if isinstance(each.found, str)]
    return unread[0] if len(unread) == 1 else None


def _role(seen: Seen, winner: Record, counted: Seen | None, sources: Mapping[str, Seen]) -> str:
    if seen.is_replay:
        return REPLAY
    if seen is counted:
        return COUNTED
    if isinstance(seen.found, str):
        return UNKNOWN
    if _source_of(seen, sources) is not None:
        return COPY
    return REPEATED if _has_usage(seen, winner) else EARLIER


def _line(seen: Seen, role: str, sources: Mapping[str, Seen], *, originals: bool) -> Line:
    source = _source_of(seen, sources) if role == COPY else None
    stands = seen.sighting.stands
    line = Line(seen.spot, stands, role, seen.request_id, seen.is_sidechain, copy_of=source.spot if source else None)
    if isinstance(seen.found, str):
        return line._replace(unread=seen.found if stands == ON_DISK else "")
    record = seen.found.look.record
    owner = record.owner
    said = Said(record.at_ms, record.tokens.output, record.stopped, owner.session, owner.project, owner.agent)
    original = seen.found.line.decode("utf-8", "replace") if originals else None
    return line._replace(said=said, original=original)


def _has_usage(seen: Seen, winner: Record) -> bool:
    """Does the line say what counts (R4)?"""
    if isinstance(seen.found, str):
        return False
    return _decisive(seen.found.look.record) == _decisive(winner)


def _decisive(record: Record) -> tuple[object, ...]:
    return record.tokens, record.thinking, record.form, record.stopped, record.model, record.version


def _first_of_uuid(seen: Iterable[Seen]) -> dict[str, Seen]:
    """For each uuid the line that the others were copied from, as far as R7 tells."""
    first: dict[str, Seen] = {}
    for each in sorted((each for each in seen if not isinstance(each.found, str)), key=_rank):
        if uuid := _uuid(each):
            first.setdefault(uuid, each)
    return first


def _source_of(seen: Seen, sources: Mapping[str, Seen]) -> Seen | None:
    source = sources.get(_uuid(seen))
    return None if source is None or source is seen else source


def _uuid(seen: Seen) -> str:
    return "" if isinstance(seen.found, str) else seen.found.look.uuid


def _rank(seen: Seen) -> tuple[object, ...]:
    assert not isinstance(seen.found, str)
    return seen.found.look.record.owner, seen.spot
