"""The only place where threads meet: hints wait in a box for whoever acts on them."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, NamedTuple

from tokentail.watcher.hints import MOST_PATHS

if TYPE_CHECKING:
    import socket


class Taken(NamedTuple):
    """What was in a box."""

    files: frozenset[str]
    trees: frozenset[str]
    lost: bool
    was_woken: bool


_NOTHING = Taken(frozenset(), frozenset(), False, False)


class Box:
    """
    Collects hints from any thread until they are taken; a hint that comes while the ones before are acted on is there next time.

    Holds so many paths at most: more of them are one `lost`.
    """

    def __init__(self, most_paths: int = MOST_PATHS) -> None:
        self._most = most_paths
        self._signal = Signal()
        # Reentrant, because `wake` may be called by a signal handler that interrupts `take`.
        self._lock = threading.RLock()
        self._files: set[str] = set()
        self._trees: set[str] = set()
        self._lost = False
        self._is_signalled = False
        self._wakes = self._wakes_taken = 0

    def fileno(self) -> int:
        """Readable when there is something to take."""
        return self._signal.fileno()

    def dirty(self, path: str) -> None:
        with self._lock:
            self._put(self._files, path)

    def dirty_tree(self, folder: str) -> None:
        with self._lock:
            self._put(self._trees, folder)

    def lost(self) -> None:
        with self._lock:
            self._lose()
            self._tell()

    def wake(self) -> None:
        """Let whoever waits look, though there may be no hint. May be called by a signal handler."""
        with self._lock:
            self._wakes += 1
            self._signal.set()

    def take(self) -> Taken:
        with self._lock:
            if not self._is_signalled and self._wakes == self._wakes_taken:
                return _NOTHING
            # Before the rest: a signal handler that wakes us between two of these lines is seen now, or its signal stays set.
            self._signal.clear()
            self._is_signalled = False
            files, self._files = self._files, set()
            trees, self._trees = self._trees, set()
            lost, self._lost = self._lost, False
            wakes = self._wakes
            was_woken, self._wakes_taken = wakes != self._wakes_taken, wakes
        return Taken(frozenset(files), frozenset(trees), lost, was_woken)

    def close(self) -> None:
        """What is put in from now on is dropped."""
        with self._lock:
            self._signal.close()

    def _put(self, paths: set[str], path: str) -> None:
        if self._lost:
            return
        paths.add(path)
        if len(self._files) + len(self._trees) > self._most:
            self._lose()
        self._tell()

    def _lose(self) -> None:
        self._lost = True
        self._files.clear()
        self._trees.clear()

    def _tell(self) -> None:
        if not self._is_signalled:
            self._is_signalled = True
            self._signal.set()


class Signal:
    """A flag that threads can wait for together with files: it reads as ready from `set` to `clear`."""

    def __init__(self, *, has_eventfd: bool = hasattr(os, "eventfd")) -> None:
        self._lock = threading.RLock()
        self._is_open = True
        self._pair: tuple[socket.socket, ...] = ()
        if has_eventfd:
            self._reading = self._writing = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        else:
            import socket  # costs milliseconds; not pipes, because Windows cannot wait for them

            self._pair = socket.socketpair()
            for end in self._pair:
                end.setblocking(False)
            self._reading, self._writing = (end.fileno() for end in self._pair)

    def fileno(self) -> int:
        return self._reading

    def set(self) -> None:
        # The number of a closed descriptor may be another file's by now.
        with self._lock:
            if self._is_open:
                self._write()

    def clear(self) -> None:
        with self._lock:
            if self._is_open:
                self._read()

    def close(self) -> None:
        with self._lock:
            if not self._is_open:
                return
            self._is_open = False
            if not self._pair:
                os.close(self._reading)
            for end in self._pair:
                end.close()

    def _write(self) -> None:
        try:
            if self._pair:
                self._pair[1].send(b"\0")
            else:
                os.eventfd_write(self._writing, 1)
        except BlockingIOError:
            pass  # it is set more than enough

    def _read(self) -> None:
        try:
            if self._pair:
                while self._pair[0].recv(4096):
                    pass
            else:
                os.eventfd_read(self._reading)
        except BlockingIOError:
            pass  # it was not set
