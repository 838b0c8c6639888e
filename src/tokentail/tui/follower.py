"""The only place that loops over updates for the live screen: a thread that looks at the logs and posts what it finds."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from tokentail.coordinator import UpdateCoordinator
from tokentail.errors import StoreError
from tokentail.model import Update
from tokentail.tui.snapshot import Snapshot, Watch

PROGRESS_EVERY_S = 0.05
LEAVE_WITHIN_S = 5.0


class Reading(NamedTuple):
    """How far a long read is."""

    done_bytes: int
    total_bytes: int


class Ended(NamedTuple):
    """The thread has ended: told to, or by an error that the follower keeps."""


Found: TypeAlias = Snapshot | Reading | Ended
Post = Callable[[Found], object]


class Follower:
    """
    Follows the logs in a thread of its own, which alone touches the store, and posts snapshots to the screen.

    Attributes:
        error: what ended the thread before its time.
    """

    def __init__(self, coordinator: UpdateCoordinator, watch: Watch) -> None:
        self._coordinator, self._watch = coordinator, watch
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._post: Post = lambda _: None
        self._next_progress = 0.0
        self._has_shown = False
        self.error: Exception | None = None

    def start(self, post: Post) -> None:
        """Begin; `post` is called in the thread."""
        self._post = post
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)
        self._thread.start()

    def look_now(self) -> None:
        """Look at all the logs without waiting for the next turn."""
        self._coordinator.look_now()

    def stop(self) -> None:
        """End the thread; a long read ends after the file that it is at."""
        self._over.set()
        self._coordinator.wake()
        if self._thread is not None:
            self._thread.join(LEAVE_WITHIN_S)

    def _run(self) -> None:
        self._coordinator.report_progress(self._report)
        try:
            for update in self._coordinator.follow(self._over):
                self._show(update)
        except _LeftError:
            pass
        except sqlite3.Error as error:
            self.error = StoreError(f"cannot read the store: {error} (start again; `tokentail verify` compares it with the logs)")
        except Exception as error:  # noqa: BLE001  # a thread's last frame: `run_screen` raises it again when the screen is gone
            self.error = error
        finally:
            self._coordinator.report_progress(None)
            self._post(Ended())

    def _show(self, update: Update) -> None:
        self._has_shown = True
        try:
            snapshot = self._watch.take(self._coordinator.db, update)
        except sqlite3.DatabaseError as error:  # where no look meets the damage
            update.degraded += self._coordinator.repair(error)
            self._coordinator.look_now()
            self._watch.forget()
            snapshot = self._watch.take(self._coordinator.db, update)
        self._post(snapshot)

    def _report(self, done_bytes: int, total_bytes: int) -> None:
        if self._over.is_set():
            raise _LeftError
        if self._has_shown:  # what comes then is seen by itself
            return
        now = time.monotonic()
        if now >= self._next_progress:
            self._next_progress = now + PROGRESS_EVERY_S
            self._post(Reading(done_bytes, total_bytes))


class _LeftError(Exception):
    """The person left in the middle of a long read; what was committed stays."""
