"""The only place that waits for other processes to commit: a file event beside the store, then a look at its version."""

from __future__ import annotations

import os
import select
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tokentail.errors import StoreError
from tokentail.watcher.kernel import IN_MODIFY, IN_MOVED_TO, Kernel

# A write-ahead log is written a moment before its commit can be seen: after an event we look again so often.
_LOOKS_S = (0.0, 0.0002, 0.0005, 0.001, 0.002, 0.005)
_BLIND_EVERY_S = 0.05  # where there are no events


class Commits:
    """
    Tells when another connection has committed, or put another store in the place of ours. It belongs to one thread.

    `db` gives the connection to ask, which may be another one each time.
    """

    def __init__(self, db: Callable[[], sqlite3.Connection], store_path: Path) -> None:
        self._db = db
        self._path = store_path
        self._version = self._look()
        self._events = _events(store_path.parent)

    def wait(self, timeout_s: float) -> bool:
        """Comes back at once when somebody has committed; False when the time is over."""
        until = time.monotonic() + timeout_s
        while not self._has_changed():
            left = until - time.monotonic()
            if left <= 0:
                return False
            self._sleep(left)
        return True

    def close(self) -> None:
        if self._events is not None:
            self._events.close()

    def _sleep(self, left_s: float) -> None:
        if self._events is None:
            time.sleep(min(left_s, _BLIND_EVERY_S))
            return
        if not select.select([self._events], [], [], left_s)[0]:
            return
        self._events.read()
        for pause_s in _LOOKS_S:
            time.sleep(pause_s)
            if self._look() != self._version:
                return

    def _has_changed(self) -> bool:
        version = self._look()
        changed, self._version = version != self._version, version
        return changed

    def _look(self) -> object:
        """What is another after a commit."""
        try:
            file, db = os.stat(self._path), self._db()
            return file.st_dev, file.st_ino, db, db.execute("PRAGMA data_version").fetchone()
        except (OSError, sqlite3.DatabaseError, StoreError):
            return None  # damaged, or about to be replaced: whoever looks next finds that out


def _events(folder: Path) -> Kernel | None:
    if sys.platform != "linux":
        return None
    try:
        kernel = Kernel()
    except OSError:
        return None  # no more instances: look now and then
    try:
        kernel.add(os.fspath(folder), IN_MODIFY | IN_MOVED_TO)
    except OSError:
        kernel.close()
        return None
    return kernel
