"""The only place that opens a log at a line that the store remembers, and says what became of the line."""

from __future__ import annotations

from typing import NamedTuple

from tokentail.formats import FORMATS, Look
from tokentail.model import MAX_LINE_BYTES, LogFile, Source
from tokentail.sighted import ON_DISK, Known, Sighting

_PIECE_BYTES = 16_384
_BOM = b"\xef\xbb\xbf"


class Original(NamedTuple):
    """A line as it stands in its log."""

    look: Look
    line: bytes


def read(source: Source, seen: Sighting, record: Known) -> Original | str:
    """The line on which the record was seen; or why it is not there, in words."""
    if seen.stands != ON_DISK:
        return "the log was deleted, or rewritten without it"
    try:
        line = _line_at(source, seen.file, seen.offset_bytes)
    except OSError as error:
        return error.strerror or str(error)
    for agent in FORMATS:
        for look in agent.look_at(line, seen.file):
            found = look.record
            if (found.group, found.request_id, found.sidechain) == (record.group, record.request_id, record.sidechain):
                return Original(look, line)
    return "the log was changed: another line stands there now"


def _line_at(source: Source, file: LogFile, offset_bytes: int) -> bytes:
    line = b""
    while len(line) < MAX_LINE_BYTES:
        piece = source.read(file, offset_bytes + len(line), _PIECE_BYTES)
        before, newline, _ = piece.partition(b"\n")
        line += before
        if newline or len(piece) < _PIECE_BYTES:
            break
    return line.removeprefix(_BOM if offset_bytes == 0 else b"").removesuffix(b"\r")
