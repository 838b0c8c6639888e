"""The only place that asks buckets beside whoever follows: it lists them now and then, and hands over what has grown once it is here."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from tokentail.errors import SourceError
from tokentail.model import MAX_LINE_BYTES, Change, Life, Listing, LogFile, Problem
from tokentail.sources.ahead import AT_ONCE, Fetch, Want
from tokentail.sources.buckets import Buckets, in_part
from tokentail.sources.inflated import is_compressed

BATCH_BYTES = 8 << 20  # handed over at once: what it takes to read them, a line that is written on this machine may wait
BATCH_FILES = 500
SHARE_BYTES = 4 << 20  # of an object in a batch

Known = Callable[[str], Life | None]  # the life that stands at a path
_Held = dict[str, tuple[LogFile, int, memoryview]]  # by path: what is here of an object, and from which byte on


class Arrivals:
    """
    A thread that lists buckets every so often, fetches what their objects gained, and wakes whoever follows.

    The one who follows takes a batch, whose bytes are here, and looks at it: nobody who waits for a line on this machine waits for a
    network. An object of which more is to come is shown as long as what has come of it.
    """

    def __init__(self, buckets: Buckets, known: Known, wake: Callable[[], None], *, every_s: float) -> None:
        self._buckets = buckets
        self._known = known
        self._wake = wake
        self._every_s = every_s
        self._told = threading.Condition()
        self._is_over = False
        self._is_wanted = True
        self._batch: Listing | None = None  # that nobody has taken yet
        self._is_taken = False  # it is being looked at
        self._held: _Held = {}  # of the batch
        self._problems: list[Problem] = []  # of the latest listing
        buckets.held = self.held
        threading.Thread(target=self._run, name="buckets", daemon=True).start()

    def take(self) -> Listing | None:
        """What has arrived, or None. Who asks has looked at what came before."""
        with self._told:
            if self._is_taken:
                self._is_taken, self._batch, self._held = False, None, {}
                self._told.notify_all()
            if self._batch is None:
                return None
            self._is_taken = True
            return self._batch

    def look_now(self) -> None:
        """List them at once."""
        with self._told:
            self._is_wanted = True
            self._told.notify_all()

    def problems(self) -> list[Problem]:
        """What the latest listing could not read."""
        return self._problems

    def shown(self, path: str) -> LogFile | None:
        """An object of the batch, as long as what is here of it."""
        held = self._held.get(path)
        return held[0] if held else None

    def held(self, file: LogFile, start_bytes: int) -> memoryview | None:
        """What is here of an object from a place on; None where nothing is."""
        found = self._held.get(file.path)
        if found is None or found[0] != file or not found[1] <= start_bytes:
            return None
        return found[2][start_bytes - found[1] :]

    def end(self) -> None:
        """The thread ends by itself, at the latest when a request that it waits for has ended."""
        with self._told:
            self._is_over, self._held = True, {}
            self._told.notify_all()

    def _run(self) -> None:
        try:
            self._ask()
        finally:
            if not self._is_over:  # by a mistake of ours: whoever follows must not take silence for calm
                self._problems = [Problem(name, "it is not looked at any more, by a mistake of tokentail") for name in self._buckets.names]
                self._batch = Listing([], self._problems)
                self._wake()

    def _ask(self) -> None:
        while not self._is_over:
            self._is_wanted = False
            due = time.monotonic() + self._every_s
            try:
                listing = self._buckets.list_files()
            except SourceError as error:
                listing = Listing([], [Problem(", ".join(self._buckets.names), str(error))])
            had_problems, self._problems = bool(self._problems), listing.problems
            self._hand_over_all(listing)
            if had_problems or listing.problems:
                self._hand_over(Listing([], listing.problems), {})
            with self._told:
                self._told.wait_for(lambda: self._is_over or self._is_wanted, max(due - time.monotonic(), 0.0))

    def _hand_over_all(self, listing: Listing) -> None:
        """Batch after batch, until all are known as they were listed; those that cannot be read have their turn with the next listing."""
        failed: set[str] = set()
        while not self._is_over:
            changed = [change for change in map(self._change, listing.files) if change is not None and change.file.path not in failed]
            if not changed:
                return
            changed.sort(key=lambda change: change.file.mtime_ns, reverse=True)
            wanted = list(_first(changed))
            batch, held = self._fetched(wanted)
            failed.update(change.file.path for change in wanted if change.file.path not in held)
            before = {change.file.path: change.life for change in changed}
            self._hand_over(batch, held)
            # Looked at, and not known any better: the store could not be written.
            failed.update(file.path for file in batch.files if self._known(file.path) == before[file.path])

    def _change(self, file: LogFile) -> Change | None:
        life = self._known(file.path)
        return None if life is not None and life.file == file else Change(file, life, None)

    def _fetched(self, changes: Sequence[Change]) -> tuple[Listing, _Held]:
        """What came of them."""
        problems: list[Problem] = []
        held: _Held = {}
        left = deque(changes)

        def work() -> None:
            while True:
                try:
                    change = left.popleft()
                except IndexError:
                    return
                try:
                    file, start, data = self._fetch(change)
                except OSError as error:
                    if not self._buckets.has_gone(change.file, error):  # else the next listing has what stands there now
                        problems.append(Problem(change.file.path, error.strerror or str(error)))
                else:
                    held[file.path] = (file, start, data)

        threads = [threading.Thread(target=work, name="fetch", daemon=True) for _ in range(min(AT_ONCE, len(changes)) - 1)]
        for thread in threads:
            thread.start()
        work()
        for thread in threads:
            thread.join()
        return Listing(sorted(file for file, _, _ in held.values()), problems), held

    def _fetch(self, change: Change) -> tuple[LogFile, int, memoryview]:
        """A share of what an object gained, with the end of a line in it where there is one; the object as long as that."""
        file = change.file
        want = next(self._buckets.wanted(change), None)
        if is_compressed(file.path) or want is None:
            # What was packed cannot be shown in part: of a large one, who looks at it fetches the rest.
            length = min(file.size_bytes, BATCH_BYTES)
            return file, 0, self._buckets.fetch(file, 0, length) if length else memoryview(b"")
        cursor_bytes = change.life.cursor.offset_bytes if change.life else 0
        data = _share(self._buckets.fetch, want, max(cursor_bytes - want.start_bytes, 0))
        end = want.start_bytes + len(data)
        if end == file.size_bytes:
            return file, want.start_bytes, data
        # Another tag and another length: it is not what was listed, and will be known to have changed.
        return file._replace(size_bytes=end, ctime_ns=in_part(file.ctime_ns)), want.start_bytes, data

    def _hand_over(self, batch: Listing, held: _Held) -> None:
        """And wait until it has been looked at."""
        with self._told:
            self._held, self._batch = held, batch
        self._wake()
        with self._told:
            self._told.wait_for(lambda: self._is_over or self._batch is None)


def _first(changes: Sequence[Change]) -> Iterator[Change]:
    """As many as make a batch."""
    size = 0
    for number, change in enumerate(changes):
        size += _share_bytes(change)
        if number and (size > BATCH_BYTES or number >= BATCH_FILES):
            return
        yield change


def _share_bytes(change: Change) -> int:
    """About how much of an object goes into a batch."""
    if is_compressed(change.file.path):
        return min(change.file.size_bytes, BATCH_BYTES)
    return min(max(change.file.size_bytes - (change.life.cursor.offset_bytes if change.life else 0), 0), SHARE_BYTES)


def _share(fetch: Fetch, want: Want, known_bytes: int) -> memoryview:
    """So much that a line ends in it behind what is known already, or that it is longer than a line may be."""
    file, start, end = want
    data = bytes(fetch(file, start, min(SHARE_BYTES, end - start)))
    while start + len(data) < end and data.rfind(b"\n", known_bytes) < 0 and len(data) <= MAX_LINE_BYTES:
        data += fetch(file, start + len(data), min(max(len(data), SHARE_BYTES), end - start - len(data)))
    return memoryview(data)
