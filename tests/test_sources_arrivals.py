"""Tests of `tokentail.sources.arrivals`: what a thread hands over, and what whoever follows is shown of it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import cast

import pytest

from tokentail.model import Change, Cursor, Life, Listing, LogFile, Problem
from tokentail.sources import arrivals
from tokentail.sources.ahead import Want
from tokentail.sources.arrivals import Arrivals
from tokentail.sources.buckets import Buckets, in_part

WITHIN_S = 30.0


class Objects:
    """Buckets in memory."""

    names = ("s3://b",)
    held: object = None

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}
        self.listings = 0
        self.breaks: Exception | None = None

    def list_files(self) -> Listing:
        self.listings += 1
        if self.breaks is not None:
            raise self.breaks
        return Listing([self.file(path) for path in sorted(self.data)], [])

    def file(self, path: str) -> LogFile:
        data = self.data[path]
        return LogFile(path, "s3://b", path[7:], 1, hash(path) & 0xFFFF, len(data), 0, hash(data) & 0xFFFFFFF0)

    def wanted(self, change: Change) -> Iterator[Want]:
        yield Want(change.file, change.life.cursor.offset_bytes if change.life else 0, change.file.size_bytes)

    def fetch(self, file: LogFile, start_bytes: int, length_bytes: int) -> memoryview:
        return memoryview(self.data[file.path][start_bytes : start_bytes + length_bytes])

    def has_gone(self, file: LogFile, error: OSError) -> bool:
        return False


class Follower:
    """Takes what arrives, as whoever leads does, and knows it from then on."""

    def __init__(self, objects: Objects) -> None:
        self.lives: dict[str, Life] = {}
        self.woken: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.read: dict[str, bytes] = {}
        self.arrivals = Arrivals(cast(Buckets, objects), self.lives.get, lambda: self.woken.put(None), every_s=3_600)

    def turn(self) -> Listing:
        """The next batch, looked at."""
        while (batch := self.arrivals.take()) is None:
            self.woken.get(timeout=WITHIN_S)
        for file in batch.files:
            begin = self.lives[file.path].cursor.offset_bytes if file.path in self.lives else 0
            held = self.arrivals.held(file, begin)
            assert held is not None
            whole = bytes(held)[: bytes(held).rfind(b"\n") + 1]
            self.read[file.path] = self.read.get(file.path, b"") + whole
            self.lives[file.path] = Life(len(self.lives), file, "live", Cursor(begin + len(whole)))
        return batch

    def until(self, is_over: Callable[[], bool]) -> list[Listing]:
        batches = []
        while not is_over():
            batches.append(self.turn())
        return batches


@pytest.fixture(autouse=True)
def small_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "SHARE_BYTES", 100)
    monkeypatch.setattr(arrivals, "BATCH_BYTES", 250)


def test_objects_come_in_batches_and_large_ones_in_shares() -> None:
    """Each byte once, up to the last whole line; of what is not all here yet the mark is another one than was listed."""
    objects = Objects()
    objects.data = {f"s3://b/{number}.jsonl": b"".join(b"%d %d\n" % (number, each) for each in range(40)) for number in range(6)}
    follower = Follower(objects)
    batches = follower.until(lambda: follower.read == objects.data)
    assert len(batches) > 4
    for batch in batches:
        assert sum(min(file.size_bytes, 100) for file in batch.files) <= 350
        for file in batch.files:
            whole = objects.file(file.path)
            assert (file.size_bytes < whole.size_bytes) == (file.ctime_ns == in_part(whole.ctime_ns))
    follower.arrivals.end()


def test_a_line_longer_than_a_share_comes_whole() -> None:
    objects = Objects()
    objects.data = {"s3://b/1.jsonl": b"a\n" + b"x" * 1_000 + b"\nb\n"}
    follower = Follower(objects)
    follower.until(lambda: follower.read == objects.data)
    follower.arrivals.end()


def test_the_next_listing_finds_what_has_grown() -> None:
    """And nothing is handed over of what is as it is known."""
    objects = Objects()
    objects.data = {"s3://b/1.jsonl": b"a\n", "s3://b/2.jsonl": b"b\n"}
    follower = Follower(objects)
    follower.until(lambda: follower.read == objects.data)
    assert follower.arrivals.take() is None
    objects.data["s3://b/2.jsonl"] += b"c\n"
    follower.arrivals.look_now()
    assert [file.path for file in follower.turn().files] == ["s3://b/2.jsonl"]
    assert follower.read == objects.data
    follower.arrivals.end()


def test_a_mistake_is_no_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the thread ends by one, whoever follows is told."""
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    objects = Objects()
    objects.breaks = RuntimeError("made up")
    follower = Follower(objects)
    batch = follower.turn()
    assert batch.problems == [Problem("s3://b", "it is not looked at any more, by a mistake of tokentail")]
