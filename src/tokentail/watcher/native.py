"""
The only place that knows watchdog, which reads the file events of macOS and Windows.

Tested on Linux, where watchdog reads inotify; not yet on a real macOS or Windows.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Sequence

from watchdog import events as told
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

from tokentail.watcher.box import Signal
from tokentail.watcher.hints import MOST_PATHS, IsLog, Sink
from tokentail.watcher.paths import within

# Not the events of opening and closing: our own reads would make them.
_WANTED: list[type[told.FileSystemEvent]] = [
    told.FileCreatedEvent,
    told.FileModifiedEvent,
    told.FileMovedEvent,
    told.FileDeletedEvent,
    told.DirCreatedEvent,
    told.DirModifiedEvent,
    told.DirMovedEvent,
    told.DirDeletedEvent,
]
_LEFT = (told.EVENT_TYPE_DELETED, told.EVENT_TYPE_MOVED)


class NativeEvents:
    """
    Whole roots, watched by watchdog's threads; what they see is handed on by ours.

    watchdog does not say when events were lost, so a sweep must follow now and then.
    """

    tells_loss = False

    def __init__(self, roots: Sequence[str], is_log: IsLog, sink: Sink, *, most_events: int = MOST_PATHS) -> None:
        """
        Raises:
            OSError: watchdog cannot begin.
        """
        self._roots = tuple(roots)
        self._is_log = is_log
        self._sink = sink
        self._inbox = _Inbox(most_events)
        self._watched: dict[str, tuple[object, ObservedWatch]] = {}
        self._beside: set[str] = set()
        self._to_tell: list[Callable[[], None]] = []
        self._observer: BaseObserver = Observer()
        self._observer.start()
        self.refused: dict[str, str] = {}
        self.begin_anew()

    def fileno(self) -> int:
        return self._inbox.fileno()

    def begin_anew(self) -> None:
        for root in self._roots:
            self._watch_anew(root)
        self._to_tell.append(self._sink.lost)

    def cover(self, folder: str) -> None:
        if folder in self._roots:
            self._watch_root(folder)
        self._to_tell.append(lambda: self._sink.covered(folder))

    def retry(self) -> None:
        for root in list(self.refused):
            self._watch_root(root)

    def watch_beside(self, folder: str) -> None:
        self._watch(folder, is_deep=False)
        self._beside.add(folder)

    def is_watched(self, folder: str) -> bool:
        root = within(folder, self._roots)
        return root is not None and root in self._watched

    def take(self) -> None:
        """
        Raises:
            OSError: watchdog has ended.
        """
        if not self._observer.is_alive():
            raise OSError(errno.EIO, "watchdog's thread has ended")
        events, is_complete = self._inbox.take()
        if not is_complete:
            self._sink.lost()
        for event in events:
            self._tell(event)

    def work(self, is_over: Callable[[], bool]) -> bool:
        to_tell, self._to_tell = self._to_tell, []
        for tell in to_tell:
            tell()
        return False

    def close(self) -> None:
        self._observer.stop()
        self._observer.join()
        self._inbox.close()

    def _tell(self, event: told.FileSystemEvent) -> None:
        if event.is_directory and event.event_type in _LEFT:
            self._watch_anew(os.fsdecode(event.src_path))
        for path in filter(None, (os.fsdecode(event.src_path), os.fsdecode(event.dest_path))):
            if not event.is_directory:
                if self._is_log(os.path.basename(path)) or os.path.dirname(path) in self._beside:
                    self._sink.dirty(path)
            elif within(path, self._roots) is not None:
                self._sink.dirty_tree(path)

    def _watch_anew(self, folder: str) -> None:
        """Though it may look like the same: inodes are used again."""
        _, watch = self._watched.pop(folder, (None, None))
        self._forget(watch)
        if folder in self._roots:
            self._watch_root(folder)

    def _watch_root(self, root: str) -> None:
        self.refused.pop(root, None)
        try:
            self._watch(root, is_deep=True)
        except FileNotFoundError:
            pass  # the poller's sweep finds it when it comes
        except OSError as error:
            self.refused[root] = error.strerror or str(error)

    def _watch(self, folder: str, *, is_deep: bool) -> None:
        """Watch a folder, unless the very same one is watched already."""
        known, watch = self._watched.pop(folder, (None, None))
        try:
            status = os.stat(folder)
            identity = (status.st_dev, status.st_ino)
            if identity != known:
                self._forget(watch)
                watch = self._observer.schedule(self._inbox, folder, recursive=is_deep, event_filter=_WANTED)
        except OSError:
            self._forget(watch)
            raise
        assert watch is not None
        self._watched[folder] = (identity, watch)

    def _forget(self, watch: ObservedWatch | None) -> None:
        if watch is not None:
            self._observer.unschedule(watch)


class _Inbox(told.FileSystemEventHandler):
    """What watchdog's threads have seen, until ours takes it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._signal = Signal()
        self._lock = threading.Lock()
        self._events: list[told.FileSystemEvent] = []
        self._is_complete = True

    def fileno(self) -> int:
        return self._signal.fileno()

    def on_any_event(self, event: told.FileSystemEvent) -> None:
        with self._lock:
            if len(self._events) < self._most:
                self._events.append(event)
            else:
                self._is_complete = False
        self._signal.set()

    def take(self) -> tuple[list[told.FileSystemEvent], bool]:
        """The events in order, and whether they are all that there were."""
        self._signal.clear()
        with self._lock:
            events, self._events = self._events, []
            is_complete, self._is_complete = self._is_complete, True
        return events, is_complete

    def close(self) -> None:
        self._signal.close()
