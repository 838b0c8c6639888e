"""The only place that makes the system calls of inotify(7), by ctypes: no library in between hides what the kernel says."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Mapping
from typing import NamedTuple

IN_MODIFY = 0x2
IN_ATTRIB = 0x4
IN_MOVED_FROM = 0x40
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_DELETE = 0x200
IN_DELETE_SELF = 0x400
IN_MOVE_SELF = 0x800
IN_UNMOUNT = 0x2000
IN_Q_OVERFLOW = 0x4000
IN_IGNORED = 0x8000
IN_ONLYDIR = 0x1000000
IN_DONT_FOLLOW = 0x2000000
IN_MASK_ADD = 0x20000000
IN_ISDIR = 0x40000000

_HEADER = struct.Struct("iIII")
_READ_BYTES = 64 * 1024
_INSTANCES = {errno.EMFILE: "too many instances of inotify (fs.inotify.max_user_instances) or open files (ulimit -n)"}
_WATCHES = {errno.ENOSPC: "the limit of watches is reached (fs.inotify.max_user_watches)"}


class Event(NamedTuple):
    """What the kernel says: which watch, what happened, and the name in that folder, or "" for the folder itself."""

    watch: int
    mask: int
    name: str


class Kernel:
    """The system calls of inotify(7) on one instance."""

    def __init__(self) -> None:
        """
        Raises:
            OSError: EMFILE, this user has too many instances or this process too many files; ENFILE, the system has.
        """
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._handle = _checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), advice=_INSTANCES)
        self._is_open = True

    def fileno(self) -> int:
        return self._handle

    def add(self, folder: str, mask: int) -> int:
        """
        Watch a folder; its number, which stays the same if it is watched already.

        Raises:
            OSError: ENOSPC, the limit of watches is reached; others as for opening the folder.
        """
        return _checked(self._libc.inotify_add_watch(self._handle, os.fsencode(folder), ctypes.c_uint32(mask)), folder, advice=_WATCHES)

    def remove(self, watch: int) -> None:
        """Watch no longer; nothing happens if the kernel has ended it already."""
        self._libc.inotify_rm_watch(self._handle, watch)

    def read(self) -> list[Event]:
        """What is in the queue, as much as one read gives; empty when nothing is."""
        try:
            data = os.read(self._handle, _READ_BYTES)
        except BlockingIOError:
            return []
        events: list[Event] = []
        at = 0
        while at < len(data):
            watch, mask, _, length = _HEADER.unpack_from(data, at)
            at += _HEADER.size
            events.append(Event(watch, mask, os.fsdecode(data[at : at + length].rstrip(b"\0"))))
            at += length
        return events

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            os.close(self._handle)


def _checked(result: int, path: str | None = None, *, advice: Mapping[int, str]) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, advice.get(number) or os.strerror(number), path)
    return result
