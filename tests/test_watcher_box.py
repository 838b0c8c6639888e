"""Tests of `tokentail.watcher.box`."""

from __future__ import annotations

import os
import select
import threading

import pytest

from tokentail.watcher.box import Box, Signal


def test_box_is_emptied() -> None:
    """What was taken is not there any more."""
    box = Box()
    box.dirty("/a")
    box.dirty("/a")
    box.dirty_tree("/b")
    assert box.take() == (frozenset({"/a"}), frozenset({"/b"}), False, False)
    assert box.take() == (frozenset(), frozenset(), False, False)
    box.close()


def test_box_that_is_full() -> None:
    """Is one `lost`, and takes places again once it was taken."""
    box = Box(3)
    for number in range(10):
        box.dirty(f"/{number}")
        box.dirty_tree(f"/{number}")
    assert box.take() == (frozenset(), frozenset(), True, False)
    box.dirty("/a")
    assert box.take() == (frozenset({"/a"}), frozenset(), False, False)
    box.close()


def test_box_loses_nothing_between_threads() -> None:
    """However hints and takers meet, each hint is taken once it was put in."""
    box = Box(20_000)
    taken: set[str] = set()

    def put(number: int) -> None:
        for index in range(5000):
            box.dirty(f"/{number}/{index}")

    threads = [threading.Thread(target=put, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        taken.update(box.take().files)
    taken.update(box.take().files)
    assert len(taken) == 15_000
    box.close()


def test_closed_box_touches_nobody_elses_descriptor() -> None:
    """Its number may be another file's by now."""
    box = Box()
    number = box.fileno()
    reading, writing = os.pipe()
    box.close()
    try:
        os.dup2(writing, number)
        box.dirty("/a")
        box.wake()
        os.set_blocking(reading, False)
        with pytest.raises(BlockingIOError):
            os.read(reading, 8)
    finally:
        for descriptor in (reading, writing, number):
            os.close(descriptor)


@pytest.mark.parametrize("has_eventfd", [True, False])
def test_signal(has_eventfd: bool) -> None:
    """It is set until it is cleared, however often it was set; where there is no eventfd, a pair of sockets does the same."""
    flag = Signal(has_eventfd=has_eventfd)
    for _ in range(100_000):
        flag.set()
    assert is_set(flag)
    flag.clear()
    assert not is_set(flag)
    flag.set()
    assert is_set(flag)
    flag.close()
    flag.set()


def is_set(flag: Signal) -> bool:
    return bool(select.select([flag], [], [], 0)[0])
