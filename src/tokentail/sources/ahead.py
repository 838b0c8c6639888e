"""The only place that knows how ranges of objects are fetched before they are read: several at once, in bounded memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from tokentail.model import LogFile

AT_ONCE = 16  # requests
AHEAD_BYTES = 32 << 20  # that are fetched, or on their way, and not read yet
PIECE_BYTES = 4 << 20  # of one request
LEAST_BYTES = 1 << 16  # that a request asks for: a line or two cost the same

Fetch = Callable[[LogFile, int, int], memoryview]  # the bytes of an object from a place on, so many; OSError


class Want(NamedTuple):
    """What of an object will be read, in one go."""

    file: LogFile
    start_bytes: int
    end_bytes: int


class _Piece:
    """A range that is asked for at once."""

    def __init__(self, want: Want) -> None:
        self.file, self.start_bytes, self.end_bytes = want
        self.is_there = threading.Event()
        self.data: memoryview | None = None
        self.error: OSError | None = None

    def holds(self, file: LogFile, at_bytes: int) -> bool:
        return file == self.file and self.start_bytes <= at_bytes < self.end_bytes

    def fetch(self, fetch: Fetch) -> None:
        try:
            self.data = fetch(self.file, self.start_bytes, self.end_bytes - self.start_bytes)
        except OSError as error:
            self.error = error
        finally:
            self.is_there.set()

    def wait(self) -> memoryview:
        self.is_there.wait()
        if self.error is not None:
            raise self.error
        assert self.data is not None, "the thread that fetched it has died"
        return self.data


class Ahead:
    """
    Reads ranges, those that were announced with others in flight. One thread reads, the threads that fetch are its own.

    They are daemons and end when nothing is left to fetch: a server that is silent holds up nobody who wants to leave.
    """

    def __init__(self, fetch: Fetch, *, at_once: int = AT_ONCE, ahead_bytes: int = AHEAD_BYTES) -> None:
        self._fetch = fetch
        self._at_once = at_once
        self._ahead_bytes = ahead_bytes
        self._lock = threading.Lock()
        self._waiting: deque[_Piece] = deque()  # not asked for yet, in the order in which they will be read
        self._started: deque[_Piece] = deque()  # asked for; the one that is being read stands first
        self._to_fetch: deque[_Piece] = deque()
        self._threads = 0
        self._current: _Piece | None = None  # of what nobody announced

    def expect(self, wants: Iterable[Want]) -> None:
        """This will be read, in this order; what was announced before will not."""
        pieces = (_Piece(Want(file, at, min(at + PIECE_BYTES, end))) for file, start, end in wants for at in range(start, end, PIECE_BYTES))
        with self._lock:
            self._waiting, self._started = deque(pieces), deque()
            self._to_fetch.clear()
        self._go_on()

    def read_into(self, file: LogFile, start_bytes: int, buffer: memoryview) -> int:
        """
        Fill `buffer` with the object's bytes from there on; fewer only at its end, as it was listed.

        Raises:
            OSError: it cannot be read, or is another one by now.
        """
        end = min(start_bytes + len(buffer), file.size_bytes)
        at = start_bytes
        while at < end:
            piece = self._piece(file, at, end)
            data = piece.wait()[at - piece.start_bytes : end - piece.start_bytes]
            if not len(data):
                break
            buffer[at - start_bytes : at - start_bytes + len(data)] = data
            at += len(data)
        return max(at - start_bytes, 0)

    def _piece(self, file: LogFile, at: int, end: int) -> _Piece:
        for number, piece in enumerate(self._started):
            if piece.holds(file, at):
                for _ in range(number):  # those before it were read, or nobody wants them any more
                    self._started.popleft()
                if number:
                    self._go_on()
                return piece
        if self._skip_to(file, at):
            return self._piece(file, at, end)
        return self._unannounced(file, at, end)

    def _skip_to(self, file: LogFile, at: int) -> bool:
        """Is it among those that were not asked for yet? Then what stands before it is left out."""
        number = next((number for number, piece in enumerate(self._waiting) if piece.holds(file, at)), None)
        if number is None:
            return False
        with self._lock:
            self._started.clear()
            self._to_fetch.clear()
            for _ in range(number):
                self._waiting.popleft()
        self._go_on()
        return True

    def _unannounced(self, file: LogFile, at: int, end: int) -> _Piece:
        """Who reads on where a request ended gets more with the next one."""
        before = self._current
        if before is not None and before.holds(file, at):
            return before
        reads_on = before is not None and before.file == file and before.end_bytes == at
        length = max(end - at, PIECE_BYTES if reads_on else LEAST_BYTES)
        piece = _Piece(Want(file, at, min(at + min(length, PIECE_BYTES), file.size_bytes)))
        piece.fetch(self._fetch)
        self._current = None if piece.error else piece
        return piece

    def _go_on(self) -> None:
        """Ask for as much as may be on its way."""
        begun = 0
        with self._lock:
            held = sum(piece.end_bytes - piece.start_bytes for piece in self._started)
            while self._waiting and (held < self._ahead_bytes or not self._started):
                piece = self._waiting.popleft()
                held += piece.end_bytes - piece.start_bytes
                self._started.append(piece)
                self._to_fetch.append(piece)
            while self._threads < self._at_once and begun < len(self._to_fetch):
                self._threads += 1
                begun += 1
        for _ in range(begun):
            threading.Thread(target=self._work, name="fetch", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._to_fetch:
                    self._threads -= 1
                    return
                piece = self._to_fetch.popleft()
            piece.fetch(self._fetch)
