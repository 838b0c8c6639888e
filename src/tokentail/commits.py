"""The only place that waits for other processes to commit: a file event beside the store, then a look at its version."""

from __future__ import annotations

import os
import select
import sqlite3
import sys
import time
from pathlib import Path

from tokentail.watcher.kernel import IN_MODIFY, IN_MOVED_TO, Kernel

# A write-ahead log is written a moment before its commit can be seen: after an event we look again so often.
_LOOKS_S = (0.0, 0.0002, 0.0005, 0.001, 0.002, 0.005)
_BLIND_EVERY_S = 0.05  # where there are no events


class Commits:
    """Tells when another connection has committed. It belongs to one thread."""

    def __init__(self, db: sqlite3.Connection, store_path: Path) -> None:
        self._db = db
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

    def _look(self) -> int:
        return int(self._db.execute("PRAGMA data_version").fetchone()[0])


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
