"""Made-up log lines and places that hold them, for the tests of the reading side."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from functools import reduce
from pathlib import Path

from tokentail import prices
from tokentail.coordinator import UpdateCoordinator
from tokentail.following import Pace
from tokentail.merge import join
from tokentail.model import START, Change, Chunk, Cursor, Life, Listing, LogFile, Problem, Record, ReplyChange, Update
from tokentail.parser import BUFFER_BYTES, IncrementalParser
from tokentail.sources import LocalFolders

PRICES = prices.load()
DEADLINE_S = 30.0  # a test waits so long for what must come
QUICK = Pace(idle_every_s=0.02, in_doubt_every_s=0.2, in_calm_every_s=0.5, stop_within_s=0.01, succeed_every_s=0.01)
AT = "2026-10-01T10:00:00.000Z"
USAGE: dict[str, object] = {
    "input_tokens": 4,
    "output_tokens": 310,
    "cache_creation_input_tokens": 300,
    "cache_read_input_tokens": 2000,
    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 300},
    "service_tier": "standard",
}


def entry(id: object = "msg_1", output: object = 310, *, at: object = AT, usage: object = None, **outer: object) -> dict[str, object]:
    """An assistant line; `usage` is laid over an ordinary one, and None beside the message leaves its field out."""
    counts = {**USAGE, "output_tokens": output, **usage} if isinstance(usage, dict) else usage or {**USAGE, "output_tokens": output}
    message: dict[str, object] = {"id": id, "model": "claude-opus-5", "stop_reason": "end_turn", "usage": counts}
    for name in ("model", "stop_reason", "content"):
        if name in outer:
            message[name] = outer.pop(name)
    fields = {
        "type": "assistant",
        "timestamp": at,
        "sessionId": "s1",
        "requestId": f"req_{id}",
        "uuid": f"uuid-{id}",
        "version": "2.1.229",
        "cwd": "/home/dev/app",
        "message": message,
        **outer,
    }
    return {name: value for name, value in fields.items() if value is not None}


def line(id: object = "msg_1", output: object = 310, **more: object) -> bytes:
    """The same as bytes, with its newline."""
    return json.dumps(entry(id, output, **more), separators=(",", ":")).encode() + b"\n"


def lines(first: int, last: int) -> bytes:
    """Lines of the replies msg_first to msg_last, each with its number as output."""
    return b"".join(line(f"msg_{number}", number) for number in range(first, last + 1))


def log_file(relative: str = "-home-dev-app/s1.jsonl", *, root: str = "/home/dev/.claude/projects", inode: int = 1) -> LogFile:
    return LogFile(f"{root}/{relative}", root, relative, 1, inode, 0, 0, 0)


class OneFile:
    """A source of one file in memory that counts what is read of it."""

    def __init__(self, data: bytes = b"", *, relative: str = "-home-dev-app/s1.jsonl") -> None:
        self.data = data
        self.bytes_read = 0
        self.longest_read_bytes = 0
        self._relative = relative

    @property
    def names(self) -> Sequence[str]:
        return ["/home/dev/.claude/projects"]

    @property
    def file(self) -> LogFile:
        return log_file(self._relative)._replace(size_bytes=len(self.data))

    def list_files(self) -> Listing:
        return Listing([self.file], [])

    def read(self, file: LogFile, start_bytes: int, length_bytes: int) -> bytes:
        piece = self.data[start_bytes : start_bytes + length_bytes]
        self.bytes_read += len(piece)
        return piece

    def read_into(self, file: LogFile, start_bytes: int, buffer: memoryview) -> int:
        self.longest_read_bytes = max(self.longest_read_bytes, len(buffer))
        piece = self.read(file, start_bytes, len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


class Reader:
    """Reads one file again and again with a parser, like a coordinator that commits after each chunk."""

    def __init__(
        self,
        data: bytes = b"",
        *,
        buffer_bytes: int = BUFFER_BYTES,
        longest_line_bytes: int = 64 * 2**20,
        expected_bytes: int = 1 << 62,
    ) -> None:
        self.source = OneFile(data)
        self.parser = IncrementalParser(
            self.source, buffer_bytes=buffer_bytes, longest_line_bytes=longest_line_bytes, expected_bytes=expected_bytes
        )
        self.life: Life | None = None
        self.records: dict[tuple[str, str, bool], Record] = {}  # all that was ever read
        self.rejects: list[tuple[int, str]] = []

    @property
    def cursor(self) -> Cursor:
        return self.life.cursor if self.life else START

    def take(self) -> list[Chunk]:
        """One look at the file."""
        chunks = []
        for chunk in self.parser.parse_new_entries(Change(self.source.file, self.life, None)):
            self.life = Life(1, self.source.file, "live", chunk.cursor)
            for record in chunk.records:
                key = record[:3]
                self.records[key] = join(self.records[key], record) if key in self.records else record
            self.rejects += [(reject.offset_bytes, reject.reason) for reject in chunk.rejects]
            chunks.append(chunk)
        return chunks

    def append(self, data: bytes) -> list[Chunk]:
        self.source.data += data
        return self.take()

    def put(self, data: bytes) -> list[Chunk]:
        """Replace what stands in the file."""
        self.source.data = data
        return self.take()

    @property
    def outputs(self) -> dict[str, int]:
        return {record.group: record.tokens.output for record in self.records.values()}


def outputs(chunks: Iterable[Chunk]) -> dict[str, int]:
    """The output count of each message in the chunks."""
    return {record.group: record.tokens.output for chunk in chunks for record in chunk.records}


def sighted(chunks: Iterable[Chunk]) -> list[tuple[int, str]]:
    """Where each line with usage stood, and its message."""
    return [
        (chunk.start_bytes + offset, chunk.records[index].group)
        for chunk in chunks
        for index, offset in zip(chunk.seen_records, chunk.seen_offsets, strict=True)
    ]


def joined(records: Iterable[Record]) -> dict[tuple[str, str, bool], Record]:
    groups: dict[tuple[str, str, bool], list[Record]] = {}
    for record in records:
        groups.setdefault(record[:3], []).append(record)
    return {key: reduce(join, group) for key, group in groups.items()}


class CountingFolders(LocalFolders):
    """Folders on disk that remember which files were opened; `unreadable` says why one cannot be."""

    def __init__(self, folders: Iterable[Path]) -> None:
        super().__init__(folders)
        self.opened: list[str] = []
        self.bytes_read = 0
        self.unreadable: dict[str, OSError] = {}

    def read(self, file: LogFile, start_bytes: int, length_bytes: int) -> bytes:
        # The base class reads through `read_into`, which counts.
        return super().read(file, start_bytes, length_bytes)

    def read_into(self, file: LogFile, start_bytes: int, buffer: memoryview) -> int:
        if file.path in self.unreadable:
            raise self.unreadable[file.path]
        self.opened.append(os.path.basename(file.path))
        count = super().read_into(file, start_bytes, buffer)
        self.bytes_read += count
        return count


class Listed:
    """A source that lists what it is told to."""

    def __init__(self) -> None:
        self.files: list[LogFile] = []
        self.problems: list[Problem] = []

    @property
    def names(self) -> Sequence[str]:
        return ["/logs"]

    def list_files(self) -> Listing:
        return Listing(sorted(self.files), list(self.problems))

    def read(self, file: LogFile, start_bytes: int, length_bytes: int) -> bytes:
        raise AssertionError(f"{file.path} was opened")


def coordinator(
    root: Path, *, store: Path | None = None, source: LocalFolders | None = None, pace: Pace | None = None
) -> UpdateCoordinator:
    """A coordinator for the folder `logs` under `root`, with its store beside it."""
    return UpdateCoordinator(source or LocalFolders([root / "logs"]), store or root / "store.db", prices=PRICES, pace=pace or QUICK)


def wait_for(updates: Iterator[Update], is_it: Callable[[Update], bool]) -> Update:
    """The first update that is looked for; fails when it does not come in time."""
    until = time.monotonic() + DEADLINE_S
    for update in updates:
        if is_it(update):
            return update
        assert time.monotonic() < until, "it did not come"
    raise AssertionError("the updates ended")


def told(changes: Iterable[ReplyChange]) -> list[tuple[str, str]]:
    return [(change.event, change.key) for change in changes]


def damage(store: Path, table: str) -> None:
    """Break a table's first page, behind the back of whoever has the store open."""
    with closing(sqlite3.connect(store, isolation_level=None)) as db:
        (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        (page_bytes,) = db.execute("PRAGMA page_size").fetchone()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with store.open("r+b") as file:
            file.seek((root - 1) * page_bytes)
            file.write(b"x" * page_bytes)
        db.execute("INSERT INTO meta (name, value) VALUES ('x', 'x')")  # so that nobody trusts the pages that it holds
