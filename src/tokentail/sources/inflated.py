"""The only place that knows compressed logs: what they held before they were compressed, from any place on, in bounded memory."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from io import RawIOBase
from typing import IO, Any, NamedTuple, Protocol, cast

from tokentail.model import LogFile

is_compressed = re.compile(r"\.(gz|zst)\Z").search
MOST_OPEN = 8  # streams that may be gone on with
MOST_KNOWN = 256  # files whose members' places are kept
MOST_MEMBERS = 1_024  # of a file: of more every second place is dropped
PIECE_BYTES = 65_536  # compressed, at once
STEP_BYTES = 1 << 20  # at most so much comes of one step, whatever a piece would grow to
KEPT_BYTES = 3 << 20  # of what was read last: whoever reads on begins a little before the end
MAX_WINDOW_BYTES = 1 << 27  # of zstd: what its own program takes without being asked
_GZIP = b"\x1f\x8b"

ReadRaw = Callable[[LogFile, int, memoryview], int]
_Stamp = tuple[object, ...]


class Member(NamedTuple):
    """Where a gzip member begins: in the file, and in what the file holds."""

    raw_bytes: int
    plain_bytes: int


class _Stream(Protocol):
    at: int  # in what the file holds, of the next byte

    def next(self, most: int) -> bytes:
        """At most so many bytes more; none where the file ends, or where a member is not there whole yet."""


class Damaged(Exception):  # noqa: N818  # it is told as a problem of the file
    """What follows cannot be read."""


class Inflated:
    """
    Reads compressed files as if they were not.

    What a file that is still written holds so far is there at once, also of a member that has not ended: it goes on where that does.
    Damage ends a file; `damage` says what and where.
    """

    def __init__(self, read_raw: ReadRaw) -> None:
        """`read_raw` reads the file's own bytes."""
        self._read_raw = read_raw
        self._open: dict[tuple[int, int], _Reading] = {}  # by device and inode; the one that was read last stands last
        self._members: dict[tuple[int, int], list[Member]] = {}
        self._damage: dict[str, tuple[_Stamp, str]] = {}

    def read_into(self, file: LogFile, start_bytes: int, buffer: memoryview) -> int:
        """
        Fill `buffer` with what the file holds from `start_bytes` on; fewer only at its end.

        Raises:
            OSError: the file cannot be read.
        """
        reading = self._at(file, start_bytes)
        done = 0
        try:
            while done < len(buffer):
                piece = reading.take(start_bytes + done, len(buffer) - done)
                if not piece:
                    break
                buffer[done : done + len(piece)] = piece
                done += len(piece)
        except Damaged as error:
            self._damage[file.path] = (file[3:], str(error))
        except BaseException:
            self._open.pop(file[3:5], None)
            raise
        return done

    def damage(self, file: LogFile) -> str:
        """Why a file could not be read to its end, if it is as it was then."""
        stamp, why = self._damage.get(file.path, ((), ""))
        if stamp != file[3:]:
            self._damage.pop(file.path, None)
            return ""
        return why

    def _at(self, file: LogFile, start_bytes: int) -> _Reading:
        """A reading that can give the byte at that place: one that is open, if the file is as it was, or a new one."""
        key = file[3:5]
        reading = self._open.pop(key, None)
        if reading is None or reading.stamp != file[3:] or not reading.has(start_bytes):
            # What was inflated before the file changed proves nothing of it: its bytes are read anew.
            reading = _Reading(file[3:], self._opened(file, start_bytes))
        self._open[key] = reading
        while len(self._open) > MOST_OPEN:
            self._open.pop(next(iter(self._open)))
        return reading

    def _opened(self, file: LogFile, start_bytes: int) -> _Stream:
        raw = _Raw(self._read_raw, file)
        if file.path.endswith(".zst"):
            return _Zstd(raw)
        members = self._members.pop(file[3:5], None) or [Member(0, 0)]
        self._members[file[3:5]] = members
        while len(self._members) > MOST_KNOWN:
            self._members.pop(next(iter(self._members)))
        begin = max((each for each in members if each.plain_bytes <= start_bytes), key=lambda each: each.plain_bytes)
        return _Gzip(raw, begin, members)


class _Reading:
    """A stream, and what it gave last."""

    def __init__(self, stamp: _Stamp, stream: _Stream) -> None:
        self.stamp = stamp
        self._stream = stream
        self._kept = bytearray()

    def has(self, start_bytes: int) -> bool:
        return start_bytes >= self._stream.at - len(self._kept)

    def take(self, start_bytes: int, most: int) -> bytes:
        """Some bytes from there on; none at the end."""
        while True:
            first = self._stream.at - len(self._kept)
            if start_bytes < self._stream.at:
                return bytes(self._kept[start_bytes - first : start_bytes - first + most])
            piece = self._stream.next(STEP_BYTES)
            if not piece:
                return b""
            self._kept += piece
            del self._kept[: max(len(self._kept) - KEPT_BYTES, 0)]


class _Raw:
    """A file's own bytes, one after the other."""

    def __init__(self, read_raw: ReadRaw, file: LogFile) -> None:
        self._read_raw, self._file = read_raw, file
        self.at = 0
        self._buffer = bytearray(PIECE_BYTES)

    def next(self, most: int = PIECE_BYTES) -> bytes:
        with memoryview(self._buffer) as view:
            size = self._read_raw(self._file, self.at, view[:most])
        self.at += size
        return bytes(self._buffer[:size])


class _Gzip:
    """Members one behind the other, with zeros between them where a tape or a block device wanted them."""

    def __init__(self, raw: _Raw, begin: Member, members: list[Member]) -> None:
        self._raw, self._members = raw, members
        raw.at = begin.raw_bytes
        self.at = begin.plain_bytes
        self._member: Any = None  # an object that inflates
        self._new_member, self._errors = _inflater()
        self._waiting = b""  # compressed bytes that are not inflated yet

    def next(self, most: int) -> bytes:
        while True:
            if self._member is None and not self._begin():
                return b""
            if not self._waiting:
                self._waiting = self._raw.next()
            is_end = not self._waiting
            try:
                plain: bytes = self._member.decompress(self._waiting, most)
            except self._errors as error:
                raise Damaged(f"the compressed data is damaged behind byte {self._here():,} ({error})") from error
            self._waiting = self._member.unconsumed_tail
            if self._member.eof:
                self._waiting, self._member = self._member.unused_data, None
            if plain:
                self.at += len(plain)
                return plain
            if is_end:
                return b""

    def _begin(self) -> bool:
        """Go on to the next member; False where there is none, or not enough of it to tell."""
        while True:
            self._waiting = self._waiting.lstrip(b"\0")
            if len(self._waiting) >= len(_GZIP):
                break
            more = self._raw.next()
            if not more:
                return False
            self._waiting += more
        if not self._waiting.startswith(_GZIP):
            raise Damaged(f"what follows byte {self._here():,} is no compressed data")
        self._member = self._new_member()
        self._note(Member(self._here(), self.at))
        return True

    def _here(self) -> int:
        return self._raw.at - len(self._waiting)

    def _note(self, member: Member) -> None:
        members = self._members
        if member.raw_bytes > members[-1].raw_bytes:
            members.append(member)
            if len(members) > MOST_MEMBERS:
                del members[1::2]


class _Zstd:
    """Frames one behind the other."""

    def __init__(self, raw: _Raw) -> None:
        import zstandard

        self._raw, self._errors, self._new = raw, zstandard.ZstdError, zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
        self.at = 0
        self._reader = self._begin(careful_from=None)

    def _begin(self, *, careful_from: int | None) -> Any:
        self._is_careful = careful_from is not None
        source = cast("IO[bytes]", _File(self._raw, careful_from))
        return self._new.stream_reader(source, read_size=PIECE_BYTES, read_across_frames=True)

    def next(self, most: int) -> bytes:
        try:
            plain: bytes = self._reader.read1(most)
        except self._errors as error:
            if self._is_careful:
                raise Damaged(f"the compressed data is damaged, {self.at:,} bytes into what it holds ({error})") from error
            self._go_on_carefully()
            return self.next(most)
        self.at += len(plain)
        return plain

    def _go_on_carefully(self) -> None:
        """What was inflated of the piece with the damage is lost with it: once more to there, and then byte by byte."""
        piece_at = max(self._raw.at - 1, 0) // PIECE_BYTES * PIECE_BYTES
        self._raw.at = 0
        self._reader = self._begin(careful_from=piece_at)
        left = self.at
        while left:
            left -= len(self._reader.read1(min(left, STEP_BYTES)))


class _File(RawIOBase):
    """What zstandard reads from: pieces, and from a place on single bytes."""

    def __init__(self, raw: _Raw, careful_from: int | None) -> None:
        self._raw, self._careful_from = raw, careful_from

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        is_careful = self._careful_from is not None and self._raw.at >= self._careful_from
        return self._raw.next(1 if is_careful else PIECE_BYTES)


def _inflater() -> tuple[Callable[[], Any], Any]:
    """What inflates a gzip member, and its errors; twice as fast as zlib where there is isal."""
    try:
        from isal import isal_zlib
    except ImportError:
        return lambda: zlib.decompressobj(31), (zlib.error,)
    return lambda: isal_zlib.decompressobj(31), (isal_zlib.error, zlib.error)
