"""The only place that knows how log files are found and read on a local file system."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokentail.model import Listing, LogFile, Problem

# `O_NONBLOCK`: a pipe named x.jsonl must not hold us. `O_NOFOLLOW`: links are resolved by the listing, not behind our back.
_OPEN_FLAGS = os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
is_log_name = re.compile(r"\.jsonl(\.[0-9]+)?\Z").search
_VANISHED = (errno.ENOENT, errno.ENOTDIR)


class LocalFolders:
    """Folders that are searched for `*.jsonl` and `*.jsonl.N`, at any depth; links to folders are not followed."""

    def __init__(self, folders: Iterable[Path]) -> None:
        """A folder inside another one, or the same by another name, is searched once."""
        self._shown = tuple(dict.fromkeys(str(folder) for folder in folders))
        self._roots = _outermost(os.path.realpath(folder) for folder in self._shown)

    @property
    def names(self) -> Sequence[str]:
        return self._shown

    @property
    def roots(self) -> Sequence[str]:
        """The real paths of the folders, none within another."""
        return self._roots

    def list_files(self) -> Listing:
        found: dict[str, LogFile] = {}
        problems: list[Problem] = []
        for root in self._roots:
            _search(root, found, problems)
        return Listing([found[path] for path in sorted(found)], problems)

    def look_again(self, file: LogFile) -> LogFile | None:
        """The same path as it is now; None when there is no regular file to be seen there."""
        try:
            status = os.lstat(file.path)
        except OSError:
            return None
        return _log_file(file.path, file.root, file.relative, status) if stat.S_ISREG(status.st_mode) else None

    def read(self, file: LogFile, start_bytes: int, length_bytes: int) -> bytes:
        buffer = bytearray(length_bytes)
        return bytes(buffer[: self.read_into(file, start_bytes, memoryview(buffer))])

    def read_into(self, file: LogFile, start_bytes: int, buffer: memoryview) -> int:
        """
        Fill `buffer` with the bytes from `start_bytes` on; fewer only at the end of the file.

        Raises:
            OSError: the file cannot be read, or is no regular file any more.
        """
        # Not mmap: a file that is cut short under a map kills the process.
        handle = os.open(file.path, _OPEN_FLAGS)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise OSError(errno.EINVAL, "not a regular file", file.path)
            done = 0
            while done < len(buffer):
                count = os.preadv(handle, [buffer[done:]], start_bytes + done)
                if count == 0:
                    break
                done += count
            return done
        finally:
            os.close(handle)


def is_gone(file: LogFile, folders: Sequence[str]) -> bool:
    """
    Is a file certainly not among the logs of these folders any more: no file now, or no folder or link leads there?

    An error that leaves it open (no permission, too many open files) is a no.
    """
    try:
        if not stat.S_ISREG(os.lstat(file.path).st_mode):
            return True
    except OSError as error:
        return error.errno in _VANISHED
    if not any(f"{file.root}/".startswith(f"{os.path.realpath(folder).rstrip('/')}/") for folder in folders):
        return True
    return os.path.realpath(_place(file)) != file.path


def _outermost(roots: Iterable[str]) -> list[str]:
    kept: list[str] = []
    for root in sorted(set(roots)):
        if not any(f"{root}/".startswith(f"{outer.rstrip('/')}/") for outer in kept):
            kept.append(root)
    return kept


def _search(root: str, found: dict[str, LogFile], problems: list[Problem]) -> None:
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(f"{root}/{folder}") as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(f"{folder}{entry.name}/")
                    elif is_log_name(entry.name):
                        _take(root, folder + entry.name, entry, found, problems)
        except OSError as error:
            if error.errno not in _VANISHED:
                problems.append(Problem(f"{root}/{folder}".rstrip("/"), error.strerror or str(error)))


def _take(root: str, relative: str, entry: os.DirEntry[str], found: dict[str, LogFile], problems: list[Problem]) -> None:
    path = place = f"{root.rstrip('/')}/{relative}"
    try:
        if entry.is_symlink():
            path = os.path.realpath(path)
            status = os.stat(path)
        else:
            status = entry.stat(follow_symlinks=False)
    except OSError as error:
        if error.errno not in _VANISHED:
            problems.append(Problem(path, error.strerror or str(error)))
        return
    if stat.S_ISREG(status.st_mode) and (path not in found or _is_better(place, found[path])):
        found[path] = _log_file(path, root, relative, status)


def _is_better(place: str, known: LogFile) -> bool:
    """Links may lead to one file from many places: it stands at its own, or else at the first by name, so that every listing agrees."""
    return place == known.path or (_place(known) != known.path and place < _place(known))


def _place(file: LogFile) -> str:
    """Where a file was found; its real path, unless a link leads there."""
    return f"{file.root.rstrip('/')}/{file.relative}"


def _log_file(path: str, root: str, relative: str, status: os.stat_result) -> LogFile:
    return LogFile(path, root, relative, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
