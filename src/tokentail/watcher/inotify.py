"""The only place that knows Linux's file events: one watch a folder, watched first and listed then."""

from __future__ import annotations

import contextlib
import errno
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from tokentail.watcher.hints import IsLog, Sink
from tokentail.watcher.kernel import (
    IN_ATTRIB,
    IN_CREATE,
    IN_DELETE,
    IN_DELETE_SELF,
    IN_DONT_FOLLOW,
    IN_IGNORED,
    IN_ISDIR,
    IN_MASK_ADD,
    IN_MODIFY,
    IN_MOVE_SELF,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    IN_ONLYDIR,
    IN_Q_OVERFLOW,
    IN_UNMOUNT,
    Event,
    Kernel,
)
from tokentail.watcher.paths import child, parent, within

# Not OPEN, ACCESS or CLOSE: our own reads would fill the queue. ATTRIB, because a chmod may let us in.
FOLDER_MASK = IN_MODIFY | IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR
# A folder above a root: others use it too, so we ask for no more than we need.
_ABOVE_MASK = IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_MASK_ADD
_AWAITED_MASK = _ABOVE_MASK | IN_CREATE | IN_MOVED_TO
_LEFT = IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT
_CAME = IN_CREATE | IN_MOVED_TO | IN_ATTRIB

_READS_AT_ONCE = 64  # then somebody else may have a turn
_MOST_TO_DO = 10_000
_TRIES = 10
# The folder has gone, or nobody can list it either; an event of the folder it lies in tells when that changes.
_NO_FOLDER = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EACCES, errno.EPERM)
_VANISHED = (errno.ENOENT, errno.ENOTDIR)


class InotifyEvents:
    """
    Watches every folder below the roots, and the nearest folder that is there above a root that is missing.

    A folder is watched first and listed then, so nothing that is made in it is seen by neither.
    """

    tells_loss = True

    def __init__(self, roots: Sequence[str], is_log: IsLog, sink: Sink, *, open_kernel: Callable[[], Kernel] = Kernel) -> None:
        """
        Raises:
            OSError: there are no more instances of inotify to be had.
        """
        self._roots = frozenset(roots)
        self._is_log = is_log
        self._sink = sink
        self._kernel = open_kernel()
        self._folders: dict[str, _Folder] = {}
        self._by_watch: dict[int, _Folder] = {}
        self._above: dict[int, set[str]] = {}  # the next names on the way down to a root
        self._beside: dict[int, str] = {}
        self._to_do: deque[_Task] = deque()
        self._doing: Iterator[None] | None = None
        self._is_beginning = self._must_begin_again = False
        self.refused: dict[str, str] = {}
        self.begin_anew()

    def fileno(self) -> int:
        return self._kernel.fileno()

    def begin_anew(self) -> None:
        if self._is_beginning:
            self._must_begin_again = True  # when this is done: under a storm of events it would never be
            return
        self._to_do.clear()
        self._doing = None
        self._to_do.extend(_Task(root, False) for root in sorted(self._roots))
        self._is_beginning = True

    def cover(self, folder: str) -> None:
        self._to_do.append(_Task(folder, True))

    def retry(self) -> None:
        """Try again what was refused; where there is no room for one watch there is none for others."""
        for folder in list(self.refused):
            try:
                self._add(folder)
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    return
                if error.errno in _VANISHED:
                    del self.refused[folder]
            else:
                self.cover(folder)

    def watch_beside(self, folder: str) -> None:
        self._beside[self._kernel.add(folder, FOLDER_MASK)] = folder

    def is_watched(self, folder: str) -> bool:
        return folder in self._folders

    def take(self) -> None:
        for _ in range(_READS_AT_ONCE):
            if not (events := self._kernel.read()):
                return
            for event in events:
                self._handle(event)

    def work(self, is_over: Callable[[], bool]) -> bool:
        while self._doing is not None or self._to_do:
            if self._doing is None:
                self._doing = self._covering(self._to_do.popleft())
            if next(self._doing, _DONE) is _DONE:
                self._doing = None
            if is_over():
                break
        remains = self._doing is not None or bool(self._to_do)
        if remains or not self._is_beginning:
            return remains
        self._is_beginning = False
        self._sink.lost()
        if self._must_begin_again:
            self._must_begin_again = False
            self.begin_anew()
        return self._is_beginning

    def close(self) -> None:
        self._kernel.close()

    def _handle(self, event: Event) -> None:
        watch, mask, name = event
        folder = self._by_watch.get(watch)
        if folder is not None:
            self._handle_in(folder, mask, name)
        elif mask & IN_Q_OVERFLOW:
            self.begin_anew()
        elif watch in self._above:
            self._handle_above(watch, mask, name)
        elif watch in self._beside:
            self._sink.dirty(child(self._beside[watch], name))
            if mask & IN_IGNORED:
                del self._beside[watch]

    def _handle_in(self, folder: _Folder, mask: int, name: str) -> None:
        if mask & _LEFT:
            self._leave(folder.path)
            self._do(folder.path)  # something else may be there by now
        elif not mask & IN_ISDIR:
            if self._is_log(name):
                self._sink.dirty(child(folder.path, name))
        elif mask & _CAME:
            self._do(child(folder.path, name) if name else folder.path)
        else:
            path = child(folder.path, name)
            self._leave(path)
            self._sink.dirty_tree(path)

    def _handle_above(self, watch: int, mask: int, name: str) -> None:
        is_left = mask & _LEFT
        if not is_left and name not in self._above[watch]:
            return
        if is_left:
            del self._above[watch]
            self._kernel.remove(watch)
        for root in self._roots:
            self._do(root)

    def _do(self, folder: str) -> None:
        """Cover a folder soon. Too much to do is like too many events: begin with the roots, which there are few of."""
        if len(self._to_do) > _MOST_TO_DO:
            self._to_do.clear()
            self.begin_anew()
        elif not self._to_do or self._to_do[-1].folder != folder:
            self._to_do.append(_Task(folder, False))

    def _covering(self, task: _Task) -> Iterator[None]:
        top = task.folder
        if top in self._roots:
            folders = self._watch_root(top)
        elif parent(top) in self._folders:
            folders = self._watch(top)
        else:
            return  # the folder it lies in has gone meanwhile, or could not be watched either
        while folders:
            yield
            folders.extend(self._watch(folders.pop()))
        if not self._is_beginning:
            (self._sink.covered if task.was_asked_for else self._sink.dirty_tree)(top)

    def _watch_root(self, root: str) -> list[str]:
        """Watch what lies above a root and then the root, again if it came or went in between."""
        for _ in range(_TRIES):
            is_awaited = self._watch_above(root)
            folders = self._watch(root)
            if is_awaited != (root in self._folders or root in self.refused):
                break
        return folders

    def _watch(self, path: str) -> list[str]:
        """Watch a folder and list it; the folders in it."""
        try:
            watch = self._add(path)
            # After the watch stands, never before: what is made between a listing and a watch would be seen by neither.
            names = _subfolders(path)
        except OSError as error:
            self._leave(path)
            if error.errno not in (_VANISHED if path in self._roots else _NO_FOLDER):
                self.refused[path] = error.strerror or str(error)
            return []
        folder = self._bind(path, watch)
        for name in folder.inside - names:
            self._leave(child(path, name))
        folder.inside |= names
        return [child(path, name) for name in names]

    def _bind(self, path: str, watch: int) -> _Folder:
        """Write down which folder a watch is of: the kernel has one number for a folder, by whatever path it was reached."""
        self.refused.pop(path, None)
        known = self._by_watch.get(watch)
        if known is not None and known.path == path:
            return known
        if known is not None:  # it was moved here, and the event that says so is still in the queue
            self._leave(known.path, keep=watch)
        if path in self._folders:
            self._leave(path)
        self._above.pop(watch, None)
        folder = self._folders[path] = self._by_watch[watch] = _Folder(path, watch)
        if (outer := self._folders.get(parent(path))) is not None:
            outer.inside.add(path.rpartition("/")[2])
        return folder

    def _leave(self, top: str, *, keep: int | None = None) -> None:
        """Forget a folder and all below it, and end their watches but for one."""
        paths = [top]
        while paths:
            path = paths.pop()
            folder = self._folders.pop(path, None)
            if folder is None:
                continue
            paths.extend(child(path, name) for name in folder.inside)
            del self._by_watch[folder.watch]
            if folder.watch != keep:
                self._kernel.remove(folder.watch)
        for path in [path for path in self.refused if within(path, (top,))]:
            del self.refused[path]
        if (outer := self._folders.get(parent(top))) is not None:
            outer.inside.discard(top.rpartition("/")[2])

    def _add(self, path: str) -> int:
        # Only a root may be a link.
        return self._kernel.add(path, FOLDER_MASK | (0 if path in self._roots else IN_DONT_FOLLOW))

    def _watch_above(self, root: str) -> bool:
        """Watch the folders above a root, to learn when one of them is moved away with it; True if one is missing, and awaited."""
        above = "/"
        for name in root.strip("/").split("/"):
            below = child(above, name)
            is_awaited = not os.path.isdir(below)
            with contextlib.suppress(OSError):  # it may not be read, or has gone
                watch = self._kernel.add(above, _AWAITED_MASK if is_awaited else _ABOVE_MASK)
                if watch not in self._by_watch:
                    self._above.setdefault(watch, set()).add(name)
            # If it was made between that look and the watch, there is no event to wait for.
            if is_awaited and not os.path.isdir(below):
                return True
            above = below
        return False


class _Task(NamedTuple):
    """A folder to cover; if we were not asked to, an event said so."""

    folder: str
    was_asked_for: bool


class _Folder:
    """A folder that is watched, and the names of those in it that are."""

    __slots__ = ("inside", "path", "watch")

    def __init__(self, path: str, watch: int) -> None:
        self.path, self.watch = path, watch
        self.inside: set[str] = set()


_DONE = object()


def _subfolders(folder: str) -> set[str]:
    """Links to folders are not among them, as they are not searched for logs."""
    with os.scandir(folder) as entries:
        return {entry.name for entry in entries if entry.is_dir(follow_symlinks=False)}
