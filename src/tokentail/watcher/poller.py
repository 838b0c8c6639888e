"""The only place that finds changes without events: it looks at files again, at some often and at all of them now and then."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import NamedTuple

from tokentail.watcher.hints import IsLog
from tokentail.watcher.pace import Pace
from tokentail.watcher.paths import child, parent, within
from tokentail.watcher.tiers import Job, Tier

_VANISHED = (errno.ENOENT, errno.ENOTDIR)
_SETTLED_NS = 2_000_000_000  # the coarsest times that a file system keeps
_FILES_A_STEP = 50


class Finding(NamedTuple):
    """
    Something that is not as it was.

    Attributes:
        is_tree: a folder that is new or gone, with all below it; otherwise a file.
        is_written: its content may have changed, not only its permissions or its number of names.
        is_alias: it may be written by a name that lies elsewhere, of which no event tells.
    """

    path: str
    is_tree: bool = False
    is_written: bool = True
    is_alias: bool = False


class Poller:
    """
    Knows every log below the roots by size, times and inode, which are compared for being equal and never for order.

    In folders that are polled often, files that changed lately are looked at many times a second, and folders a few times. All
    files everywhere are looked at by a sweep. A folder that is new is told when all below it is known. The first sweep tells
    nothing: it is where knowledge begins.
    """

    def __init__(
        self,
        roots: Sequence[str],
        is_log: IsLog,
        tell: Callable[[Finding], None],
        pace: Pace,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._roots = tuple(roots)
        self._is_log = is_log
        self._tell = tell
        self._hot_for_s = pace.hot_for_s
        self._clock = clock
        self._wall_ns = wall_ns
        self._areas: frozenset[str] = frozenset()
        self._folders: dict[str, _Folder] = {}
        self._hot: dict[str, float] = {}  # until when
        self._jobs: deque[Job] = deque()
        self._sweeping = Tier(self._sweep, pace.sweep_in_doubt_s, pace.most_share)
        self._seeking = Tier(self._seek, pace.folders_every_s, pace.most_share)
        self._staring = Tier(self._stare, pace.hot_every_s, pace.most_share)
        self.sweeps_begun = self.sweeps_done = 0

    def poll_often(self, areas: frozenset[str]) -> None:
        """From now on look often at these folders and all below them; a new one is told when all in it is known anew."""
        for area in areas - self._areas:
            self._forget(area)
            self._seeking.hurry()
        self._areas = areas
        for path, folder in self._folders.items():
            folder.is_often = self.is_often(path)

    def is_often(self, folder: str) -> bool:
        return within(folder, self._areas) is not None

    def sweep_every(self, seconds: float) -> None:
        self._sweeping.change(seconds)

    def work(self, is_over: Callable[[], bool]) -> bool:
        """Do what is due until it is done or over; True when more remains."""
        now = self._clock()
        for tier in self._wanted():
            if tier.is_due(now):
                job = tier.job()
                # The more often something is done the less it can wait.
                self._jobs.append(job) if tier is self._sweeping else self._jobs.appendleft(job)
        while self._jobs:
            if self._jobs[0].step():
                self._jobs.popleft().finish(self._clock())
            if is_over():
                break
        return bool(self._jobs)

    def next_due(self) -> float:
        """When there is work again, by the clock."""
        return min(tier.due for tier in self._wanted())

    def _wanted(self) -> list[Tier]:
        return [self._sweeping, *([self._seeking] if self._areas else ()), *([self._staring] if self._hot else ())]

    # What is done again and again, as steps between which others have a turn

    def _sweep(self) -> Iterator[None]:
        """Look at everything."""
        self.sweeps_begun += 1
        for root in self._roots:
            yield from self._visit(root)
        self.sweeps_done += 1

    def _seek(self) -> Iterator[None]:
        """Look at folders: their time changes when something comes or goes in them."""
        for number, (path, folder) in enumerate(list(self._folders.items())):
            if folder.is_often and self._folders.get(path) is folder and not self._is_as_it_was(path, folder):
                yield from self._visit(path, is_deep=False)
            elif number % _FILES_A_STEP == 0:
                yield
        for top in {*self._areas, *filter(self.is_often, self._roots)} - self._folders.keys():
            yield from self._visit(top)

    def _stare(self) -> Iterator[None]:
        """Look at the files that changed lately."""
        now = self._clock()
        for number, (path, until) in enumerate(list(self._hot.items())):
            folder = self._folders.get(parent(path))
            mark = folder.files.get(_name(path)) if folder is not None else None
            if folder is None or mark is None or now > until or not (folder.is_often or mark.is_alias):
                del self._hot[path]
            else:
                self._look_at(path, folder, mark)
            if number % _FILES_A_STEP == 0:
                yield

    def _look_at(self, path: str, folder: _Folder, known: _Mark) -> None:
        try:
            mark = _mark(path)
        except OSError as error:
            if error.errno not in _VANISHED:
                return
            mark = None
        self._compare(path, folder, known, mark)
        if mark is None:
            del folder.files[_name(path)]
        else:
            folder.files[_name(path)] = mark

    def _is_as_it_was(self, path: str, folder: _Folder) -> bool:
        try:
            return folder.is_settled and self._look_at_folder(path).stamp == folder.stamp
        except OSError:
            return False

    # Folders

    def _visit(self, top: str, *, is_deep: bool = True) -> Iterator[None]:
        """Look at a folder, and at all below it or only at what is new there."""
        paths = [top]
        while paths:
            path = paths.pop()
            before = self._folders.get(path)
            try:
                folder = yield from self._read(path)
            except OSError as error:
                if error.errno in _VANISHED:  # another error proves nothing
                    self._lose(path)
                continue
            if before is None or before.stamp[:2] != folder.stamp[:2]:
                yield from self._adopt(path)
                continue
            self._compare_folders(path, before, folder)
            self._folders[path] = folder
            inside = {child(path, name) for name in folder.inside}
            paths.extend(inside if is_deep else inside - self._folders.keys())
            yield

    def _adopt(self, top: str) -> Iterator[None]:
        """Take a folder as it is, with all below it, and tell it as a whole."""
        self._forget(top)
        paths = [top]
        while paths:
            path = paths.pop()
            try:
                folder = self._folders[path] = yield from self._read(path)
            except OSError:
                continue
            recent_ns = self._wall_ns() - int(self._hot_for_s * 1e9)
            for name, mark in folder.files.items():
                if mark.mtime_ns > recent_ns:
                    self._heat(child(path, name), folder, mark)
            paths.extend(child(path, name) for name in folder.inside)
            yield
        if self.sweeps_done or self.is_often(top):
            self._tell(Finding(top, is_tree=True))

    def _read(self, path: str) -> Generator[None, None, _Folder]:
        """
        List a folder and look at all logs in it.

        Raises:
            OSError: it is no folder, or cannot be read.
        """
        folder = self._look_at_folder(path)
        with os.scandir(path) as entries:
            for number, entry in enumerate(entries, start=1):
                if entry.is_dir(follow_symlinks=False):
                    folder.inside.add(entry.name)
                elif self._is_log(entry.name) and (mark := _mark_of(entry)) is not None:
                    folder.files[entry.name] = mark
                if number % _FILES_A_STEP == 0:
                    yield
        return folder

    def _look_at_folder(self, path: str) -> _Folder:
        """A folder of which nothing but itself is known; only a root may be a link."""
        now_ns = self._wall_ns()
        status = os.stat(path, follow_symlinks=path in self._roots)
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        # What is made in the same tick of the file system's clock leaves the time of the folder as it is.
        is_settled = abs(now_ns - status.st_mtime_ns) > _SETTLED_NS
        stamp = (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
        return _Folder(stamp, is_settled, self.is_often(path))

    def _compare_folders(self, path: str, before: _Folder, now: _Folder) -> None:
        if before.files != now.files:
            for name in before.files.keys() | now.files.keys():
                self._compare(child(path, name), now, before.files.get(name), now.files.get(name))
        for name in before.inside - now.inside:
            self._lose(child(path, name))

    def _compare(self, path: str, folder: _Folder, before: _Mark | None, now: _Mark | None) -> None:
        if before == now:
            return
        if now is not None:
            self._heat(path, folder, now)
        is_written = before is None or now is None or before.content != now.content
        self._tell(Finding(path, is_written=is_written, is_alias=any(mark.is_alias for mark in (before, now) if mark)))

    def _heat(self, path: str, folder: _Folder, mark: _Mark) -> None:
        if folder.is_often or mark.is_alias:
            self._hot[path] = self._clock() + self._hot_for_s

    def _lose(self, path: str) -> None:
        if path in self._folders:
            self._forget(path)
            self._tell(Finding(path, is_tree=True))

    def _forget(self, top: str) -> None:
        paths = [top]
        while paths:
            path = paths.pop()
            if (folder := self._folders.pop(path, None)) is not None:
                paths.extend(child(path, name) for name in folder.inside)


class _Folder:
    """A folder: what it is itself, its logs and the folders in it."""

    __slots__ = ("files", "inside", "is_often", "is_settled", "stamp")

    def __init__(self, stamp: tuple[int, int, int, int], is_settled: bool, is_often: bool) -> None:
        self.stamp, self.is_settled, self.is_often = stamp, is_settled, is_often
        self.files: dict[str, _Mark] = {}
        self.inside: set[str] = set()


class _Mark(NamedTuple):
    """What a log is known by."""

    size: int
    mtime_ns: int
    inode: int
    ctime_ns: int
    is_alias: bool

    @property
    def content(self) -> tuple[int, ...]:
        """What changes with its content."""
        return self[:3]


def _mark_of(entry: os.DirEntry[str]) -> _Mark | None:
    """None for what is no regular file, or cannot be looked at."""
    try:
        return _mark_from(entry.stat(follow_symlinks=False), entry)
    except OSError:
        return None


def _mark(path: str) -> _Mark | None:
    """
    None for what is no regular file.

    Raises:
        OSError: there is nothing, or it cannot be looked at.
    """
    return _mark_from(os.stat(path, follow_symlinks=False), path)


def _mark_from(status: os.stat_result, path: str | os.DirEntry[str]) -> _Mark | None:
    kind = stat.S_IFMT(status.st_mode)
    is_alias = status.st_nlink > 1
    if kind == stat.S_IFLNK:
        status, is_alias = os.stat(path), True
        kind = stat.S_IFMT(status.st_mode)
    if kind != stat.S_IFREG:
        return None
    return _Mark(status.st_size, status.st_mtime_ns, status.st_ino, status.st_ctime_ns, is_alias)


def _name(path: str) -> str:
    return path.rpartition("/")[2]
