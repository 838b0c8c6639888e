"""The only place that follows for programs: in a loop of theirs, or beside an event loop."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from pathlib import Path

from tokentail.coordinator import UpdateCoordinator
from tokentail.errors import StoreError
from tokentail.library.showing import Showing
from tokentail.library.values import Update

LEAVE_WITHIN_S = 0.5  # how long an `async for` that ends waits for its thread


def follow(
    new_coordinator: Callable[[], UpdateCoordinator],
    showing_of: Callable[[Callable[[], sqlite3.Connection]], Showing],
    stop: threading.Event,
    path: Path,
) -> Generator[Update, None, None]:
    """Updates of a coordinator of its own, which is closed however this ends."""
    with store_errors(path), contextlib.closing(new_coordinator()) as coordinator:
        coordinator.report_progress(lambda *_: _leave(stop))
        showing = showing_of(lambda: coordinator.db)
        updates = coordinator.follow(stop)
        try:
            for update in updates:
                yield showing.update(update)
        except _LeftError:
            return
        finally:
            if isinstance(updates, Generator):
                updates.close()


async def follow_async(follow: Callable[[threading.Event], Generator[Update, None, None]]) -> AsyncGenerator[Update, None]:
    """The same, each look taken by a thread when it is asked for."""
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    stop = threading.Event()
    updates = follow(stop)
    loop = asyncio.get_running_loop()
    thread = ThreadPoolExecutor(1, thread_name_prefix="tokentail-follow")
    try:
        while (update := await loop.run_in_executor(thread, next, updates, None)) is not None:
            yield update
    finally:
        stop.set()
        closed = thread.submit(updates.close)  # after the look that is under way, which ends with the file that it is at
        thread.shutdown(wait=False)
        await asyncio.wait([asyncio.wrap_future(closed)], timeout=LEAVE_WITHIN_S)


@contextlib.contextmanager
def store_errors(path: Path) -> Iterator[None]:
    """What SQLite says of the store, in words of ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"cannot read the store {path}: {error} (ask for a report, which repairs a damaged one)") from error


def now_ms() -> int:
    return int(time.time() * 1000)


def _leave(stop: threading.Event) -> None:
    """End a long look between two commits."""
    if stop.is_set():
        raise _LeftError


class _LeftError(Exception):
    """The program stopped in the middle of a long look; what was committed stays."""
