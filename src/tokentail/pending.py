"""The only place that knows which files a pass has left to be read by later ones, and which of them come next."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable

from tokentail.model import Listing, LogFile

MOST_FILES = 500  # that are read at once while others wait


class Pending:
    """Files of a backlog, by path."""

    def __init__(self) -> None:
        self._files: dict[str, LogFile] = {}

    def __len__(self) -> int:
        return len(self._files)

    def add(self, files: Iterable[LogFile]) -> None:
        self._files.update((file.path, file) for file in files)

    def done(self, file: LogFile) -> None:
        self._files.pop(file.path, None)

    def latest(self, most_bytes: int, look_again: Callable[[LogFile], LogFile | None]) -> Listing:
        """Those which were written last, as they are now: at least one, and otherwise about so many bytes."""
        found: list[LogFile] = []
        size = 0
        # Several, because a commit for each of ten thousand small files would take minutes; not all, because what is live waits.
        for file in heapq.nlargest(MOST_FILES, self._files.values(), key=lambda file: file.mtime_ns):
            fresh = look_again(file)
            if fresh is None:
                self.done(file)
                continue
            size += fresh.size_bytes
            if found and size > most_bytes:
                break
            found.append(fresh)
        return Listing(found, [])
