"""The only place that knows how to take the complete new lines of a file and turn them into records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

from tokentail.addresses import WHOLE_BYTES, is_address
from tokentail.digest import blake2b
from tokentail.formats import FORMATS, Format, Parsed
from tokentail.merge import join
from tokentail.model import MAX_LINE_BYTES, START, Change, Chunk, Cursor, LogFile, Record, Reject, Source

PROOF_BYTES = 1024
BUFFER_BYTES = 1 << 20
Outcome = Chunk | OSError  # what reading a file gives: a part of it, or why it cannot be read
Finder = Callable[[bytes, int], int]  # where some bytes stand next, from a position on; -1 for nowhere
_BOM = b"\xef\xbb\xbf"


class BufferedSource(Source, Protocol):
    """A source that can read into memory which is used again and again: half the time of fresh memory."""

    def read_into(self, file: LogFile, start_bytes: int, buffer: memoryview) -> int: ...


class IncrementalParser:
    """Reads files from their cursors on, in pieces of bounded size."""

    def __init__(
        self,
        source: BufferedSource,
        *,
        format: Format = FORMATS[0],
        buffer_bytes: int = BUFFER_BYTES,
        longest_line_bytes: int = MAX_LINE_BYTES,
        expected_bytes: int = 1 << 62,
    ) -> None:
        """`expected_bytes` is about how much will be read: a few lines are not worth importing the quick tools for."""
        self._source = source
        self._format = format
        self._parse_line = format.line_parser(expected_bytes)
        self._finder = _simple_finder if expected_bytes < BUFFER_BYTES else _quick_finder()
        self._longest_bytes = longest_line_bytes
        self._usual_bytes = buffer_bytes + PROOF_BYTES
        self._buffer = bytearray(self._usual_bytes)

    def parse_new_entries(self, change: Change) -> Iterator[Chunk]:
        """
        The new complete lines of a file, a chunk for each buffer's worth; nothing when there are none and all is as it was.

        The bytes before the cursor are proven first, the marker in the same read as the new data: a file that was cut or
        rewritten is read from its start, as a new life. A last line without a newline counts when it is whole JSON, and
        stays behind the cursor. Of a large object in a bucket the marker alone is proof (ARCHITECTURE.md, Why not).

        Raises:
            OSError: the file cannot be read.
        """
        cursor = change.life.cursor if change.life else START
        restarted = change.life is None
        bytes_read = 0
        if cursor.offset_bytes and not (is_address(change.file.path) and cursor.offset_bytes > WHOLE_BYTES):
            head = self._source.read(change.file, 0, cursor.head_bytes)
            bytes_read = len(head)
            if _digest(head) != cursor.head_hash:
                cursor, restarted = START, True
        while True:
            chunk, more = self._next_chunk(change, cursor, restarted)
            chunk.bytes_read += bytes_read
            if more is None:
                cursor, restarted, bytes_read = START, True, chunk.bytes_read
                continue
            chunk.more = more
            yield chunk
            cursor, restarted, bytes_read = chunk.cursor, False, 0
            if not more:
                return

    def _next_chunk(self, change: Change, cursor: Cursor, restarted: bool) -> tuple[Chunk, bool | None]:
        """One buffer's worth, and whether there is more; None for that when the marker before the cursor is not what it was."""
        chunk = Chunk(change, restarted, cursor.offset_bytes, cursor)
        base, start = cursor.offset_bytes - cursor.marker_bytes, cursor.marker_bytes
        size = self._fill(chunk, base, start)
        view = memoryview(self._buffer)[:size]
        if start and _digest(view[:start]) != cursor.marker_hash:
            return chunk, None
        at_end = size < len(self._buffer)
        end = max(self._buffer.rfind(b"\n", start, size) + 1, start)
        if end == start and not at_end:
            view.release()
            return chunk, self._skip_line(chunk, base + size)
        lines = _Lines(chunk, base)
        self._take_lines(lines, view, start, end)
        chunk.tail_lines = self._take_tail(lines, view, end, size) if at_end else 0
        chunk.cursor = _advance(cursor, view[:end], base)
        view.release()
        del self._buffer[self._usual_bytes :]
        return chunk, not at_end

    def _fill(self, chunk: Chunk, base: int, start: int) -> int:
        """Read from `base` until the buffer is full or the file ends; the buffer grows while it holds less than a line."""
        size = 0
        while True:
            with memoryview(self._buffer) as view:
                size += self._source.read_into(chunk.change.file, base + size, view[size:])
            longest = start + self._longest_bytes
            if size < len(self._buffer) or size > longest or self._buffer.rfind(b"\n", start, size) >= 0:
                chunk.bytes_read += size
                return size
            self._buffer.extend(bytes(min(3 * size, longest + 1 - size)))

    def _take_lines(self, lines: _Lines, view: memoryview, start: int, end: int) -> None:
        """Parse the lines of view[start:end], which ends after a newline, that hold the format's mark."""
        buffer, mark, parse_line, file = self._buffer, self._format.mark, self._parse_line, lines.chunk.change.file
        whole, add = view[:end], lines.add
        find = self._finder(whole)
        position = start
        while (hit := find(mark, position)) >= 0:
            line_start = max(buffer.rfind(b"\n", 0, hit) + 1, start)
            position = find(b"\n", hit)
            line = bytes(whole[line_start:position])
            if line[-1:] == b"\r" or (line_start == 0 and lines.base == 0):
                line = _trimmed(line, at_file_start=lines.base == line_start == 0)
            add(parse_line(line, file), line_start)

    def _take_tail(self, lines: _Lines, view: memoryview, end: int, size: int) -> int:
        """Parse a last line that has no newline yet; half a line waits. Gives how many lines it added."""
        if end == size or self._buffer.find(self._format.mark, end, size) < 0 or size - end > self._longest_bytes:
            return 0
        parsed = self._parse_line(_trimmed(bytes(view[end:size]), at_file_start=lines.base == end == 0), lines.chunk.change.file)
        if parsed.malformed or not parsed.entries:
            return 0
        before = len(lines.chunk.seen_records)
        lines.add(parsed, end)
        return len(lines.chunk.seen_records) - before

    def _skip_line(self, chunk: Chunk, position: int) -> bool:
        """Go past a line that is too long, in bounded memory; gives whether the file goes on behind it."""
        file = chunk.change.file
        del self._buffer[self._usual_bytes :]
        while True:
            with memoryview(self._buffer) as view:
                size = self._source.read_into(file, position, view)
            chunk.bytes_read += size
            newline = self._buffer.find(b"\n", 0, size)
            if newline >= 0:
                chunk.rejects.append(Reject(chunk.start_bytes, f"longer than {self._longest_bytes} bytes"))
                chunk.cursor = self._proven(file, position + newline + 1)
                return True
            if size < len(self._buffer):
                return False
            position += size

    def _proven(self, file: LogFile, offset_bytes: int) -> Cursor:
        head = self._source.read(file, 0, min(offset_bytes, PROOF_BYTES))
        length = min(offset_bytes, PROOF_BYTES)
        marker = self._source.read(file, offset_bytes - length, length)
        return Cursor(offset_bytes, len(head), _digest(head), len(marker), _digest(marker))


def _simple_finder(view: memoryview) -> Finder:
    return bytes(view).find


def _quick_finder() -> Callable[[memoryview], Finder]:
    """With SIMD: a third of the time of bytes.find. Not imported at the top, since it takes 5 ms."""
    import stringzilla  # type: ignore[import-not-found, unused-ignore]  # no stubs

    return lambda view: partial(stringzilla.find, view)


class _Lines:
    """Joins what lines hold into their chunk."""

    def __init__(self, chunk: Chunk, base: int) -> None:
        self.chunk = chunk
        self.base = base
        self._index: dict[tuple[str, str, bool], int] = {}
        self._last: Record | None = None
        self._last_index = 0
        self._see_record, self._see_offset = chunk.seen_records.append, chunk.seen_offsets.append
        self._to_offset = base - chunk.start_bytes

    def add(self, parsed: Parsed, line_start: int) -> None:
        entries, malformed = parsed
        for record, folder in entries:
            # The parser gives the very same record for a line that adds nothing to the one before.
            if record is not self._last:
                self._join(record, folder)
            self._see_record(self._last_index)
            self._see_offset(line_start + self._to_offset)
        if malformed:
            self.chunk.rejects.append(Reject(self.base + line_start, malformed))

    def _join(self, record: Record, folder: str) -> None:
        chunk = self.chunk
        key = record[:3]
        index = self._index.get(key)
        if index is None:
            index = self._index[key] = len(chunk.records)
            chunk.records.append(record)
        else:
            chunk.records[index] = join(chunk.records[index], record)
        self._last, self._last_index = record, index
        if folder and (chunk.folder is None or (record.at_ms, folder) < chunk.folder):
            chunk.folder = (record.at_ms, folder)


def _trimmed(line: bytes, *, at_file_start: bool) -> bytes:
    """R1: without its carriage return, and at the start of a file without a byte order mark."""
    text = line.removesuffix(b"\r")
    return text.removeprefix(_BOM) if at_file_start else text


def _advance(cursor: Cursor, view: memoryview, base: int) -> Cursor:
    """The cursor after `view`, which was read from `base` on."""
    offset = base + len(view)
    if offset == cursor.offset_bytes:
        return cursor
    head_bytes, head_hash = cursor.head_bytes, cursor.head_hash
    if head_bytes < PROOF_BYTES:  # then base is 0: all that was committed so far is shorter than a marker
        head_bytes = min(len(view), PROOF_BYTES)
        head_hash = _digest(view[:head_bytes])
    marker = view[-PROOF_BYTES:]
    return Cursor(offset, head_bytes, head_hash, len(marker), _digest(marker))


def _digest(data: bytes | memoryview) -> bytes:
    return blake2b(data, digest_size=16).digest()
