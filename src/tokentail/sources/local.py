"""The only place that knows how log files are found and read on a local file system."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from tokentail.model import Change, Life, Listing, LogFile, Problem
from tokentail.sources.handles import Handles
from tokentail.sources.inflated import Inflated, is_compressed

is_log_name = re.compile(r"\.jsonl(\.[0-9]+)?(\.gz|\.zst)?\Z").search
_VANISHED = (errno.ENOENT, errno.ENOTDIR)
_STEP = 256  # entries


_Entries = AbstractContextManager[Iterator[os.DirEntry[str]]]
_Scan = Callable[[str], _Entries]


class LocalFolders:
    """
    Folders that are searched for `*.jsonl` and `*.jsonl.N`, plain or compressed (`.gz`, `.zst`), at any depth.

    Links to folders are not followed. A compressed log is read as what it holds; its size is that of the file.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        """A folder inside another one, or the same by another name, is searched once."""
        self._shown = tuple(dict.fromkeys(str(folder) for folder in folders))
        self._roots = outermost(os.path.realpath(folder) for folder in self._shown)
        self._handles = Handles()
        self._inflated = Inflated(self._read_raw)

    @property
    def names(self) -> Sequence[str]:
        return self._shown

    @property
    def roots(self) -> Sequence[str]:
        """The real paths of the folders, none within another."""
        return self._roots

    def list_below(self, places: Iterable[str], folders: Iterable[str]) -> Listing:
        """The log files at these places, and those in these folders at any depth; all of them below the roots."""
        places, folders = list(places), list(folders)
        found: dict[str, LogFile] = {}
        problems: list[Problem] = []
        for root, relative in self._below(folders):
            _search(root, found, problems, self._scan, relative)
        for root, relative in self._below(places):
            _take_place(root, relative, found, problems)
        if folders:
            self._handles.look()
        self._handles.compare(places, found)
        return self._listing(found, problems)

    def list_files(self) -> Listing:
        found: dict[str, LogFile] = {}
        problems: list[Problem] = []
        for root in self._roots:
            _search(root, found, problems, self._scan)
        return self._listing(found, problems)

    def _listing(self, found: dict[str, LogFile], problems: list[Problem]) -> Listing:
        """With what is wrong inside of compressed files, as far as they were read."""
        files = [found[path] for path in sorted(found)]
        damaged = ((file, self._inflated.damage(file)) for file in files if is_compressed(file.path))
        return Listing(files, [*problems, *(Problem(file.path, why) for file, why in damaged if why)])

    def differing(self, known: Callable[[str], LogFile | None]) -> Iterator[tuple[list[str], list[str]]]:
        """
        Walk through all folders, some entries a step, and only compare what stands there with the file that is known to.

        Each step gives the places that are as known, and those that are not; so is a folder that cannot be read.
        """
        for root in self._roots:
            folders = [root]
            while folders:
                folder = folders.pop()
                try:
                    yield from _compare(folder, folders, known, self._handles.with_room)
                except OSError as error:
                    if error.errno not in _VANISHED:
                        yield [], [folder]

    def _scan(self, folder: str) -> _Entries:
        return self._handles.with_room(lambda: os.scandir(folder))

    def _below(self, places: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Each place's root, and the way from there; "" for the root itself."""
        for place in places:
            for root in self._roots:
                stem = root.rstrip("/")
                if place == root or place.startswith(f"{stem}/"):
                    yield root, place[len(stem) + 1 :]

    def look_again(self, file: LogFile) -> LogFile | None:
        """The same path as it is now; None when there is no regular file to be seen there."""
        try:
            status = os.lstat(file.path)
        except OSError:
            return None
        return _log_file(file.path, file.root, file.relative, status) if stat.S_ISREG(status.st_mode) else None

    def is_gone(self, file: LogFile) -> bool:
        """Is it certainly not among the logs of these folders any more?"""
        return is_gone(file, self.names)

    def has_gone(self, file: LogFile, error: OSError) -> bool:
        """Could a file that was listed not be read because it has gone meanwhile, and something else stands there or nothing?"""
        return error.errno in _VANISHED or is_gone(file, self.names)

    def damage(self, file: LogFile) -> str:
        """Why a compressed log could not be read to its end; "" where nothing is wrong with it."""
        return self._inflated.damage(file)

    def read(self, file: LogFile, start_bytes: int, length_bytes: int) -> bytes:
        buffer = bytearray(length_bytes)
        return bytes(buffer[: self.read_into(file, start_bytes, memoryview(buffer))])

    def read_into(self, file: LogFile, start_bytes: int, buffer: memoryview) -> int:
        """
        Fill `buffer` with the bytes from `start_bytes` on; fewer only at the end of the file.

        Raises:
            OSError: the file cannot be read, or is no regular file any more.
        """
        read = self._inflated.read_into if is_compressed(file.path) else self._read_raw
        return read(file, start_bytes, buffer)

    def _read_raw(self, file: LogFile, start_bytes: int, buffer: memoryview) -> int:
        # Not mmap: a file that is cut short under a map kills the process.
        with self._handles.opened(file) as held:
            done = 0
            while done < len(buffer):
                count = os.preadv(held.handle, [buffer[done:]], start_bytes + done)
                if count == 0:
                    break
                done += count
            held.end_bytes = start_bytes + done
            return done

    def hold(self, most: int) -> None:
        """From now on the logs that are read stay open, so many at most; with 0 none."""
        self._handles.keep(most)

    def take_back(self) -> None:
        """What was read of the open logs was not kept: all of it is unread again."""
        self._handles.unread_all()

    def left_behind(self, *, thorough: bool) -> Listing:
        """
        Open logs that were deleted or moved away with something in them that was not read yet, as if they still stood there.

        Those that a listing missed; `thorough` looks at all of them.
        """
        if thorough:
            self._handles.look()
        return Listing(self._handles.left(), [])

    def let_go(self) -> None:
        """Close those, read or not."""
        self._handles.close_left()

    def expect(self, changes: Sequence[Change]) -> None:
        """A disk needs no notice."""

    def announce(self, ranges: Sequence[tuple[LogFile, int, int]]) -> None:
        """Nor here."""

    def follow(self, is_followed: bool) -> None:
        """And there is no network to wait for."""

    def listen(self, known: Callable[[str], Life | None] | None, wake: Callable[[], None]) -> None:
        """What is here is listed and not listened to."""

    def arrived(self) -> Listing | None:
        return None

    def look_now(self) -> None:
        """Whoever looks sees it as it is."""


def is_gone(file: LogFile, folders: Sequence[str]) -> bool:
    """
    Is a file certainly not among the logs of these folders any more: no file now or another one, or no folder or link leads there?

    An error that leaves it open (no permission, too many open files) is a no.
    """
    try:
        status = os.lstat(file.path)
        if not stat.S_ISREG(status.st_mode) or (status.st_dev, status.st_ino) != file[3:5]:
            return True
    except OSError as error:
        return error.errno in _VANISHED
    if not any(f"{file.root}/".startswith(f"{os.path.realpath(folder).rstrip('/')}/") for folder in folders):
        return True
    return os.path.realpath(_place(file)) != file.path


def outermost(roots: Iterable[str]) -> list[str]:
    """Those of the paths or addresses that are not within another one."""
    kept: list[str] = []
    for root in sorted(set(roots)):
        if not any(f"{root}/".startswith(f"{outer.rstrip('/')}/") for outer in kept):
            kept.append(root)
    return kept


def _search(root: str, found: dict[str, LogFile], problems: list[Problem], scan: _Scan, below: str = "") -> None:
    folders = [f"{below}/" if below else ""]
    while folders:
        folder = folders.pop()
        try:
            with scan(f"{root}/{folder}") as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(f"{folder}{entry.name}/")
                    elif is_log_name(entry.name):
                        _take(root, folder + entry.name, entry, found, problems)
        except OSError as error:
            _note(f"{root}/{folder}".rstrip("/"), error, problems)


def _compare(
    folder: str, folders: list[str], known: Callable[[str], LogFile | None], with_room: Callable[[Callable[[], int]], int]
) -> Iterator[tuple[list[str], list[str]]]:
    """A step of `differing` or several; the folders that it finds are added to `folders`."""
    same: list[str] = []
    odd: list[str] = []
    prefix = f"{folder.rstrip('/')}/"
    # From the folder's descriptor: the way there is not gone once more for each of its files.
    handle = with_room(lambda: os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW))
    try:
        with os.scandir(handle) as entries:
            for count, entry in enumerate(entries, 1):
                name = entry.name
                if entry.is_dir(follow_symlinks=False):
                    folders.append(prefix + name)
                elif is_log_name(name):
                    (same if _is_as_known(prefix + name, entry, known) else odd).append(prefix + name)
                if count % _STEP == 0:
                    yield same, odd
                    same, odd = [], []
        yield same, odd
    finally:
        os.close(handle)


def _is_as_known(path: str, entry: os.DirEntry[str], known: Callable[[str], LogFile | None]) -> bool:
    file = known(path)
    if file is None:
        return False
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError:
        return False
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns) == file[3:]


def _take_place(root: str, relative: str, found: dict[str, LogFile], problems: list[Problem]) -> None:
    """Like `_take`, for a place that no listing led to."""
    path = place = f"{root.rstrip('/')}/{relative}"
    if not is_log_name(place):
        return
    try:
        status = os.lstat(place)
        if stat.S_ISLNK(status.st_mode):
            path = os.path.realpath(place)
            status = os.stat(path)
    except OSError as error:
        _note(path, error, problems)
    else:
        _keep(path, place, root, relative, status, found)


def _take(root: str, relative: str, entry: os.DirEntry[str], found: dict[str, LogFile], problems: list[Problem]) -> None:
    path = place = f"{root.rstrip('/')}/{relative}"
    try:
        if entry.is_symlink():
            path = os.path.realpath(place)
            status = os.stat(path)
        else:
            status = entry.stat(follow_symlinks=False)
    except OSError as error:
        _note(path, error, problems)
    else:
        _keep(path, place, root, relative, status, found)


def _note(path: str, error: OSError, problems: list[Problem]) -> None:
    if error.errno not in _VANISHED:
        problems.append(Problem(path, error.strerror or str(error)))


def _keep(path: str, place: str, root: str, relative: str, status: os.stat_result, found: dict[str, LogFile]) -> None:
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
