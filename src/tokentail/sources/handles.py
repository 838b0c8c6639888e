"""The only place that opens log files, and knows which of them stay open: those that were read last, while somebody follows."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from tokentail.model import LogFile

MOST = 512  # 500 logs that are written in turn cost a fifth more each line with 256: the one that is wanted is always closed
# `O_NONBLOCK`: a pipe named x.jsonl must not hold us. `O_NOFOLLOW`: links are resolved by the listing, not behind our back.
_OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_TOO_MANY = (errno.EMFILE, errno.ENFILE)

Opened = TypeVar("Opened")
_Inode = tuple[int, int]  # device and inode


class Held:
    """An open log."""

    __slots__ = ("end_bytes", "file", "handle")

    def __init__(self, file: LogFile, handle: int) -> None:
        self.file = file
        self.handle = handle
        self.end_bytes = 0  # of what was read of it last


class Handles:
    """
    The open logs, at most so many; the one that was read longest ago is closed first.

    As long as a log is open its inode is not given to another file, and what was written to it before it was deleted or moved
    away can still be read. One thread uses it.
    """

    def __init__(self) -> None:
        self._most = 0
        self._held: dict[_Inode, Held] = {}  # the one that was read last stands last
        self._at: dict[str, _Inode] = {}  # by path
        self._left: set[_Inode] = set()  # of them, those that their paths do not lead to any more

    def __len__(self) -> int:
        return len(self._held)

    def keep(self, most: int) -> None:
        """From now on so many logs stay open; with 0 none."""
        self._most = most
        self._close_beyond(most)

    @contextmanager
    def opened(self, file: LogFile) -> Iterator[Held]:
        """
        A log as it was listed; where its path leads to another file now, that one.

        Raises:
            OSError: it cannot be opened, or is no regular file any more.
        """
        held = self._take(file)
        if held is None:
            self._close_beyond(max(self._most - 1, 0))
            held = Held(file, self.with_room(lambda: os.open(file.path, _OPEN_FLAGS)))
        try:
            status = os.fstat(held.handle)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "not a regular file", file.path)
            yield held
        except BaseException:
            os.close(held.handle)
            raise
        if self._most and (status.st_dev, status.st_ino) == file[3:5]:
            if self._at.get(file.path, file[3:5]) != file[3:5]:
                self._close(self._at[file.path])  # it left without anybody having looked
            self._held[file[3:5]] = held
            self._at[file.path] = file[3:5]
        else:
            os.close(held.handle)

    def with_room(self, call: Callable[[], Opened]) -> Opened:
        """Open something; where too much is open, once more without the logs that we hold."""
        try:
            return call()
        except OSError as error:
            if error.errno not in _TOO_MANY or not self._held:
                raise
        self.close_all()
        return call()

    def close_all(self) -> None:
        self._close_beyond(0)

    def compare(self, places: Iterable[str], found: Mapping[str, LogFile]) -> None:
        """These places were listed: an open log that was at one of them, and is not what was found there, has left it."""
        for place in places:
            key = self._at.get(place)
            if key is not None and (place not in found or found[place][3:5] != key):
                self._left.add(key)

    def look(self) -> None:
        """Look at the places of all open logs for those that have left."""
        for path, key in self._at.items():
            if not _is_there(path, key):
                self._left.add(key)

    def unread_all(self) -> None:
        """Nobody has kept what was read."""
        for held in self._held.values():
            held.end_bytes = 0

    def left(self) -> list[LogFile]:
        """The logs that have left their places with something in them that was not read yet, as they are now."""
        unread = []
        for key in self._left & self._held.keys():
            held = self._held[key]
            status = os.fstat(held.handle)
            if status.st_size > held.end_bytes:
                unread.append(held.file._replace(size_bytes=status.st_size, mtime_ns=status.st_mtime_ns, ctime_ns=status.st_ctime_ns))
        return unread

    def close_left(self) -> None:
        """What is written to those from now on is not ours: their places may be those of other logs."""
        while self._left:
            self._close(self._left.pop())

    def _take(self, file: LogFile) -> Held | None:
        held = self._held.pop(file[3:5], None)
        if held is not None:
            self._forget(held)
            held.file = file
        return held

    def _close_beyond(self, most: int) -> None:
        while len(self._held) > most:
            self._close(next(iter(self._held)))

    def _close(self, key: _Inode) -> None:
        held = self._held.pop(key, None)
        if held is not None:
            self._forget(held)
            os.close(held.handle)

    def _forget(self, held: Held) -> None:
        """Its place; another log may have it by now."""
        if self._at.get(held.file.path) == held.file[3:5]:
            del self._at[held.file.path]


def most_handles() -> int:
    """How many logs may stay open: a quarter of what this process may open at all."""
    import resource  # a report does without

    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if limit == resource.RLIM_INFINITY else max(min(MOST, limit // 4), 1)


def _is_there(path: str, key: _Inode) -> bool:
    try:
        status = os.lstat(path)
    except OSError as error:
        return error.errno not in (errno.ENOENT, errno.ENOTDIR)  # no proof that it has gone
    return (status.st_dev, status.st_ino) == key
