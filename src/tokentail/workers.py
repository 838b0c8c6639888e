"""The only place that knows processes: a helper that parses half of a large backlog on another core."""

from __future__ import annotations

import gc
import marshal
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from typing import IO, Any

from tokentail.model import Change, Chunk, Cursor, Life, LogFile, Owner, Record, Reject, Tokens
from tokentail.parser import IncrementalParser, Outcome
from tokentail.sources import LocalFolders

_FRAME_RECORDS = 2_000
_SIZE_BYTES = 8  # in front of each frame: its length
_START = "from tokentail.workers import main; main()"


class Helper:
    """
    A process that parses files while this one parses others.

    Its results go into a temporary file, not a pipe: nobody waits for anybody, and memory stays bounded.
    """

    def __init__(self, changes: Sequence[Change]) -> None:
        self._changes = changes
        self._results = tempfile.TemporaryFile(prefix="tokentail-")  # noqa: SIM115  # closed by `results`
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self._process = subprocess.Popen([sys.executable, "-c", _START], stdin=subprocess.PIPE, stdout=self._results, env=environment)
        assert self._process.stdin is not None
        try:
            with self._process.stdin as pipe:
                pipe.write(marshal.dumps([_plain_change(change) for change in changes]))
        except BrokenPipeError:
            pass  # it died: `results` tells what is left

    def results(self) -> Iterator[tuple[Change, Outcome | None]]:
        """
        What became of each file, in the order given: its chunks, and then None; or an error.

        Stops early when the process was killed; what is missing then has to be parsed here.
        """
        self._process.wait()
        with self._results as results:
            results.seek(0)
            while len(size := results.read(_SIZE_BYTES)) == _SIZE_BYTES:
                # Read first and unpacked then: marshal.load asks a file for a few bytes at a time.
                packed = results.read(int.from_bytes(size))
                if len(packed) < int.from_bytes(size):
                    return  # it was killed while it wrote this
                yield from _unpacked(marshal.loads(packed), self._changes)

    def stop(self) -> None:
        """End the process, wherever it is."""
        self._process.kill()
        self._process.wait()


def main() -> None:
    """The helper's own main: changes on stdin, frames on stdout."""
    gc.disable()
    changes = [_change(*plain) for plain in marshal.load(sys.stdin.buffer)]
    parser = IncrementalParser(LocalFolders([]))
    frame = _Frame(sys.stdout.buffer)
    for index, change in enumerate(changes):
        try:
            for chunk in parser.parse_new_entries(change):
                frame.add(index, chunk)
            frame.finish(index)
        except OSError as error:
            frame.fail(index, error)
    frame.write()
    sys.stdout.buffer.flush()


class _Frame:
    """Chunks of several files as plain values, column by column: that is what passes between processes fastest."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._clear()

    def add(self, index: int, chunk: Chunk) -> None:
        self._chunks.append(
            (
                *(index, len(chunk.records), chunk.restarted, chunk.start_bytes, tuple(chunk.cursor)),
                *(chunk.seen_records.tobytes(), chunk.seen_offsets.tobytes(), chunk.tail_lines),
                *([tuple(reject) for reject in chunk.rejects], chunk.folder, chunk.bytes_read, chunk.more),
            )
        )
        self._records += chunk.records
        if len(self._records) >= _FRAME_RECORDS:
            self.write()

    def fail(self, index: int, error: OSError) -> None:
        self._chunks.append((index, error.errno, error.strerror))

    def finish(self, index: int) -> None:
        self._chunks.append((index,))

    def write(self) -> None:
        packed = marshal.dumps((self._chunks, *columns_of(self._records)))
        self._out.write(len(packed).to_bytes(_SIZE_BYTES) + packed)
        self._out.flush()
        self._clear()

    def _clear(self) -> None:
        self._chunks: list[tuple[Any, ...]] = []
        self._records: list[Record] = []


_OWNER = Record._fields.index("owner")
_TOKENS = Record._fields.index("tokens")
Columns = tuple[list[Any], list[Any], list[tuple[Any, ...]]]


def columns_of(records: list[Record]) -> Columns:
    """Records as columns, tokens as columns, and the distinct owners that a column of numbers points to."""
    columns: list[Any] = list(zip(*records, strict=True)) if records else [()] * len(Record._fields)
    numbers: dict[Owner, int] = {}
    columns[_OWNER] = tuple([numbers.setdefault(owner, len(numbers)) for owner in columns[_OWNER]])
    tokens = list(zip(*columns[_TOKENS], strict=True)) if records else [()] * len(Tokens._fields)
    columns[_TOKENS] = ()
    return columns, tokens, [tuple(owner) for owner in numbers]


def records_of(columns: list[Any], tokens: list[Any], owners: list[tuple[Any, ...]]) -> list[Record]:
    """The records of such columns, which are used up."""
    # tuple.__new__ makes a named tuple without a call into Python.
    columns[_TOKENS] = map(partial(tuple.__new__, Tokens), zip(*tokens, strict=True))
    columns[_OWNER] = map([Owner(*owner) for owner in owners].__getitem__, columns[_OWNER])
    return list(map(partial(tuple.__new__, Record), zip(*columns, strict=True)))


def _unpacked(frame: Any, changes: Sequence[Change]) -> Iterator[tuple[Change, Outcome | None]]:
    chunks, *columns = frame
    records = records_of(*columns)
    first = 0
    for plain in chunks:
        change = changes[plain[0]]
        match plain:
            case (_,):
                yield change, None
            case (_, number, reason):
                yield change, OSError(number, reason)
            case _:
                chunk = _chunk(change, plain, records[first : first + plain[1]])
                first += plain[1]
                yield change, chunk


def _chunk(change: Change, plain: Any, records: list[Record]) -> Chunk:
    _, _, restarted, start, cursor, seen_records, seen_offsets, tail_lines, rejects, folder, bytes_read, more = plain
    chunk = Chunk(change, restarted, start, Cursor(*cursor), records)
    chunk.seen_records.frombytes(seen_records)
    chunk.seen_offsets.frombytes(seen_offsets)
    chunk.tail_lines, chunk.folder, chunk.bytes_read, chunk.more = tail_lines, folder, bytes_read, more
    chunk.rejects = [Reject(*reject) for reject in rejects]
    return chunk


def _plain_change(change: Change) -> tuple[Any, ...]:
    """What the parser needs of a change."""
    names = tuple(map(os.fsencode, change.file[:3]))
    cursor = None if change.life is None else (change.life.id, tuple(change.life.cursor))
    return names, tuple(change.file[3:]), cursor


def _change(names: tuple[bytes, ...], numbers: tuple[int, ...], cursor: tuple[int, tuple[Any, ...]] | None) -> Change:
    path, root, relative = map(os.fsdecode, names)
    file = LogFile(path, root, relative, *numbers)
    return Change(file, None if cursor is None else Life(cursor[0], file, "live", Cursor(*cursor[1])), None)
