"""The only place that moves the write-ahead log of a followed store into its file: beside the commits, not in them."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from pathlib import Path
from typing import Self

from tokentail import database

EVERY_S = 1.0
IDLE_EVERY_S = 4.0  # while nothing is written: to wake for nothing is a third of what idling costs


class Checkpoints:
    """
    A thread with a connection of its own, which checkpoints once a second while something is written.

    A checkpoint copies up to megabytes and syncs them to the disk. Done by the connection that commits, now and then a commit
    would take as long.
    """

    def __init__(self, path: Path, *, every_s: float = EVERY_S) -> None:
        self._path = path
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        before: object = None
        wait_s = self._every_s
        while not self._stop.wait(wait_s):
            now = self._written()
            wait_s = min(2 * wait_s, IDLE_EVERY_S)
            if now != before:
                before, wait_s = now, self._every_s
                # A store that is damaged, replaced or on a full disk is the business of who commits to it.
                with contextlib.suppress(sqlite3.DatabaseError):
                    database.checkpoint(self._path)

    def _written(self) -> object:
        try:
            status = os.stat(f"{self._path}-wal")
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns
