"""The only place that knows which process keeps a store up to date while logs are written: one at a time, and how it fares."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tokentail import database

_WIDTH = 48  # bytes: rewritten in place, so that it works on a full disk


class Seen(NamedTuple):
    """The process that leads, when it was heard of last, by the clock, and how long ago that is."""

    process: int
    beat_s: float
    silent_s: float


class Leadership:
    """
    The claim to follow the logs of a store, beside the lock that every pass takes.

    It ends with the process, however it ends. A process that has been stopped keeps it and falls silent, which the others see.
    """

    def __init__(self, store_path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._path = store_path.with_name(f"{store_path.name}.leader")
        self._clock = clock
        self._handle: int | None = None

    @property
    def is_ours(self) -> bool:
        return self._handle is not None

    def try_take(self) -> bool:
        """Lead from now on, if nobody does."""
        if self._handle is not None:
            return True
        try:
            handle = database.open_lock(self._path)
        except OSError:
            return False  # nobody can lead where nothing can be written: passes say why
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            return False
        self._handle = handle
        self.beat()
        return True

    def beat(self) -> None:
        """Show that we are alive; the others are woken by it, so it comes after every commit."""
        if self._handle is not None:
            with contextlib.suppress(OSError):  # a full disk: it is a courtesy
                os.pwrite(self._handle, f"{os.getpid()} {self._clock():.6f}".ljust(_WIDTH - 1).encode() + b"\n", 0)

    def seen(self) -> Seen | None:
        """Who led last, as far as its file says."""
        try:
            process, beat = self._path.read_bytes().split()
            return Seen(int(process), float(beat), max(self._clock() - float(beat), 0.0))
        except (OSError, ValueError):
            return None

    def leads_elsewhere(self) -> bool:
        """Does a process hold the lead at this moment?"""
        try:
            handle = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: whoever else asks does not lead
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False

    def release(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
