"""Whether files that nobody writes any more are read faster through a map than into a buffer: rotated logs, plain and compressed."""

from __future__ import annotations

import gzip
import mmap
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import stringzilla  # type: ignore[import-not-found, unused-ignore]  # no stubs
import zstandard

from benchmarks.bench import Bench
from benchmarks.results import Row
from tokentail.formats import FORMATS
from tokentail.model import LogFile
from tokentail.parser import BUFFER_BYTES, IncrementalParser
from tokentail.sources import LocalFolders
from tokentail.sources.inflated import Inflated
from tokentail.tracker import FileTracker

PLAIN_BYTES, PACKED_BYTES = 300_000_000, 120_000_000
_MARK = FORMATS[0].mark
Read = Callable[[Sequence[LogFile]], int]  # gives how many bytes it went through


def run(bench: Bench, logs: Path) -> list[Row]:
    """Cutting out lines, parsing, inflating; from the page cache, and the first also from the disk."""
    with bench.scratch() as scratch:
        plain = _rotated(logs, scratch / "plain", PLAIN_BYTES, ".1", lambda data: data)
        packed = {
            "gzip": _rotated(logs, scratch / "gz", PACKED_BYTES, ".1.gz", lambda data: gzip.compress(data, 6)),
            "zstd": _rotated(logs, scratch / "zst", PACKED_BYTES, ".1.zst", zstandard.compress),
        }
        return [
            *_compared("cutting out lines", bench.runs, plain, _cut_from_buffer, _cut_from_map),
            *_compared("cutting out lines, not in the page cache", bench.runs, plain, _cut_from_buffer, _cut_from_map, before=_drop),
            *_compared("parsing", bench.runs, plain, _parse_read, _parse_mapped),
            *(
                row
                for name, files in packed.items()
                for row in _compared(f"inflating {name}", bench.runs, files, _inflate_read, _inflate_mapped)
            ),
        ]


def _rotated(logs: Path, into: Path, most_bytes: int, ending: str, pack: Callable[[bytes], bytes]) -> list[LogFile]:
    """Copies of some of the logs, as they stand after a rotation."""
    size = 0
    for log in sorted((logs / "projects").rglob("*.jsonl")):
        if size + log.stat().st_size <= most_bytes:
            copy = into / log.relative_to(logs).with_name(f"{log.name}{ending}")
            copy.parent.mkdir(parents=True, exist_ok=True)
            size += copy.write_bytes(pack(log.read_bytes())) if ending == ".1" else _packed(copy, log.read_bytes(), pack)
    os.sync()
    return LocalFolders([into]).list_files().files


def _packed(copy: Path, data: bytes, pack: Callable[[bytes], bytes]) -> int:
    copy.write_bytes(pack(data))
    return len(data)


def _compared(
    what: str, runs: int, files: Sequence[LogFile], read: Read, mapped: Read, *, before: Callable[[Sequence[LogFile]], None] | None = None
) -> list[Row]:
    """Megabytes a second of both in turn, after a round that does not count."""
    took: dict[Read, list[float]] = {read: [], mapped: []}
    for number in range(runs + 1):
        for way in (read, mapped) if number % 2 else (mapped, read):
            if before is not None:
                before(files)
            began = time.perf_counter()
            size = way(files)
            took[way].append(size / 1e6 / (time.perf_counter() - began))
    values, peer_values = (tuple(took[way][1:]) for way in (mapped, read))
    return [Row(what=f"{what}: mapped", values=values, unit="MB/s", peer="read", peer_values=peer_values)]


def _drop(files: Sequence[LogFile]) -> None:
    """Out of the page cache; what the machine below keeps is not ours to say."""
    for file in files:
        handle = os.open(file.path, os.O_RDONLY)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def _cut_from_buffer(files: Sequence[LogFile]) -> int:
    source, buffer = LocalFolders([]), bytearray(BUFFER_BYTES)
    size = 0
    with memoryview(buffer) as view:
        for file in files:
            done = 0
            while count := source.read_into(file, done, view):
                _cut(view[:count])
                done += count
            size += done
    return size


def _cut_from_map(files: Sequence[LogFile]) -> int:
    for file in files:
        with _map(file) as view:
            _cut(view)
    return sum(file.size_bytes for file in files)


def _cut(view: memoryview) -> list[bytes]:
    """The lines that hold the mark, as the parser finds them."""
    found, position = [], 0
    while (hit := stringzilla.find(view, _MARK, position)) >= 0:
        end = stringzilla.find(view, b"\n", hit)
        position = end if end >= 0 else len(view)
        found.append(bytes(view[hit:position]))
    return found


class _MappedFolders(LocalFolders):
    """The same source, but that what is read is copied from a map; the last file's stays."""

    def __init__(self) -> None:
        super().__init__([])
        self._inflated = Inflated(self._read_raw)
        self._last: tuple[str, mmap.mmap | None] = ("", None)

    def _read_raw(self, file: LogFile, start_bytes: int, buffer: memoryview) -> int:
        if self._last[0] != file.path:
            self._last = (file.path, _mapped(file))
        found = self._last[1]
        if found is None:
            return 0
        piece = memoryview(found)[start_bytes : start_bytes + len(buffer)]
        buffer[: len(piece)] = piece
        return len(piece)


def _parse_read(files: Sequence[LogFile]) -> int:
    return _parse(files, LocalFolders([]))


def _parse_mapped(files: Sequence[LogFile]) -> int:
    return _parse(files, _MappedFolders())


def _parse(files: Sequence[LogFile], source: LocalFolders) -> int:
    parser = IncrementalParser(source)
    tracker = FileTracker(LocalFolders(dict.fromkeys(Path(file.root) for file in files)))
    return sum(chunk.bytes_read for change in tracker.check_changes() for chunk in parser.parse_new_entries(change))


def _inflate_read(files: Sequence[LogFile]) -> int:
    return _inflate(files, LocalFolders([]))


def _inflate_mapped(files: Sequence[LogFile]) -> int:
    return _inflate(files, _MappedFolders())


def _inflate(files: Sequence[LogFile], source: LocalFolders) -> int:
    size, buffer = 0, bytearray(BUFFER_BYTES)
    with memoryview(buffer) as view:
        for file in files:
            done = 0
            while count := source.read_into(file, done, view):
                done += count
            size += done
    return size


@contextmanager
def _map(file: LogFile) -> Iterator[memoryview]:
    found = _mapped(file)
    with memoryview(found if found is not None else b"") as view:
        yield view
    if found is not None:
        found.close()


def _mapped(file: LogFile) -> mmap.mmap | None:
    """All of a file; None for one that is empty."""
    handle = os.open(file.path, os.O_RDONLY)
    try:
        if not (size := os.fstat(handle).st_size):
            return None
        found = mmap.mmap(handle, size, prot=mmap.PROT_READ)
        found.madvise(mmap.MADV_SEQUENTIAL)
        return found
    finally:
        os.close(handle)
