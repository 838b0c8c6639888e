"""Tests of `tokentail.sources.ahead`: whatever is announced, in whatever order it is read, each byte is that of its object."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentail.model import LogFile
from tokentail.sources import ahead
from tokentail.sources.ahead import Ahead, Want


def an_object(number: int, size_bytes: int) -> LogFile:
    return LogFile(f"s3://b/{number}.jsonl", "s3://b", f"{number}.jsonl", 1, number, size_bytes, 0, number)


def data_of(file: LogFile) -> bytes:
    return bytes((file.inode * 31 + at * 7) % 251 for at in range(file.size_bytes))


class Store:
    """Objects in memory, and what was asked of them."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self.files = [an_object(number, size) for number, size in enumerate(sizes)]
        self.data = {file: data_of(file) for file in self.files}
        self.asked: list[tuple[LogFile, int, int]] = []
        self.fails: set[LogFile] = set()

    def fetch(self, file: LogFile, start_bytes: int, length_bytes: int) -> memoryview:
        self.asked.append((file, start_bytes, length_bytes))
        if file in self.fails:
            raise OSError("made up")
        return memoryview(self.data[file][start_bytes : start_bytes + length_bytes])


def read(ahead: Ahead, file: LogFile, start: int, length: int) -> bytes:
    buffer = bytearray(length)
    return bytes(buffer[: ahead.read_into(file, start, memoryview(buffer))])


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "PIECE_BYTES", 64)
    monkeypatch.setattr(ahead, "LEAST_BYTES", 16)


SIZES = st.lists(st.integers(0, 300), min_size=1, max_size=6)


@given(SIZES, st.data(), st.integers(1, 4), st.integers(1, 400))
def test_every_byte_is_right(sizes: list[int], data: st.DataObject, at_once: int, ahead_bytes: int) -> None:
    """Whether it was announced or not, is read in order or not, once or twice."""
    store = Store(sizes)
    reader = Ahead(store.fetch, at_once=at_once, ahead_bytes=ahead_bytes)
    numbers = st.integers(0, len(sizes) - 1)
    announced = data.draw(st.lists(numbers, max_size=6, unique=True))
    wants = [Want(store.files[number], data.draw(st.integers(0, sizes[number])), sizes[number]) for number in announced]
    reader.expect(wants)
    for _ in range(data.draw(st.integers(0, 8))):
        file = store.files[data.draw(numbers)]
        start, length = data.draw(st.integers(0, 320)), data.draw(st.integers(0, 200))
        assert read(reader, file, start, length) == store.data[file][start : start + length]


def test_what_is_announced_is_asked_for_once() -> None:
    """And nothing else is."""
    store = Store([200, 10, 64])
    reader = Ahead(store.fetch)
    reader.expect([Want(file, 0, file.size_bytes) for file in store.files])
    for file in store.files:
        assert read(reader, file, 0, 5) == store.data[file][:5]  # a head
        assert read(reader, file, 0, 300) == store.data[file]
    assert sorted(store.asked) == sorted(
        [
            *[(store.files[0], 0, 64), (store.files[0], 64, 64), (store.files[0], 128, 64), (store.files[0], 192, 8)],
            *[(store.files[1], 0, 10), (store.files[2], 0, 64)],
        ]
    )


def test_no_more_is_on_its_way_than_may_be() -> None:
    """What nobody has read yet is bounded."""
    store = Store([64] * 50)
    seen = threading.Semaphore(0)

    def fetch(file: LogFile, start_bytes: int, length_bytes: int) -> memoryview:
        found = store.fetch(file, start_bytes, length_bytes)
        seen.release()
        return found

    reader = Ahead(fetch, at_once=3, ahead_bytes=256)
    reader.expect([Want(file, 0, 64) for file in store.files])
    for _ in range(4):
        assert seen.acquire(timeout=30)
    assert len(store.asked) == 4
    for file in store.files:
        assert read(reader, file, 0, 64) == store.data[file]
    assert len(store.asked) == 50


def test_one_that_fails_spares_the_others() -> None:
    """Its error comes when it is read, each time."""
    store = Store([100, 100, 100])
    store.fails.add(store.files[1])
    reader = Ahead(store.fetch)
    reader.expect([Want(file, 0, 100) for file in store.files])
    assert read(reader, store.files[0], 0, 100) == store.data[store.files[0]]
    with pytest.raises(OSError, match="made up"):
        read(reader, store.files[1], 0, 100)
    assert read(reader, store.files[2], 0, 100) == store.data[store.files[2]]


def test_what_is_not_read_holds_nobody_up() -> None:
    """A file that turns out not to be needed is passed over."""
    store = Store([64] * 20)
    reader = Ahead(store.fetch, ahead_bytes=128)
    reader.expect([Want(file, 0, 64) for file in store.files])
    assert read(reader, store.files[15], 0, 64) == store.data[store.files[15]]
    assert read(reader, store.files[19], 0, 64) == store.data[store.files[19]]
