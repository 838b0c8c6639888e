"""The only place that knows which log files exist, who each one is and how far it was read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from tokentail.formats import FORMATS, Format
from tokentail.model import Change, Life, Listing, LogFile, Problem, Source
from tokentail.sources.local import is_gone


class FileTracker:
    """Compares what the source lists with what is known; opens no file."""

    def __init__(self, source: Source, *, format: Format = FORMATS[0], is_gone: Callable[[LogFile, Sequence[str]], bool] = is_gone) -> None:
        self._source = source
        self._format = format
        self._is_gone = is_gone
        self._by_inode: dict[tuple[int, int], Life] = {}
        self._by_path: dict[str, Life] = {}
        self._restated: dict[int, Life] = {}
        self.files_checked = 0
        self.problems: list[Problem] = []

    def restore(self, lives: Iterable[Life]) -> None:
        """Start from what the store knows: the lives that have not ended."""
        self._by_inode, self._by_path, self._restated = {}, {}, {}
        for life in sorted(lives, key=lambda life: life.state == "live"):  # the living one goes before a dead one of the same inode
            self.track_file(life)

    def track_file(self, life: Life) -> None:
        """Know a life from now on."""
        self._by_inode[life.file.device, life.file.inode] = life
        self._by_path[life.file.path] = life

    def active_since(self, at_s: float) -> list[LogFile]:
        """The known files that were written at or after a moment, in seconds since 1970."""
        return [life.file for life in self._by_path.values() if life.state == "live" and life.file.mtime_ns >= at_s * 1e9]

    def check_changes(self, only: Listing | None = None) -> Iterator[Change]:
        """
        Every file that is new or differs in size, times, inode or path from what is known.

        Args:
            only: files to look at instead of all that the source lists; nothing follows from a file that is not among them.

        A file whose path, device, inode, size and times are all as they were is unchanged. A path that is missing from
        the listing is marked missing only when looking at it once more says that it is gone, never because of an error.
        """
        listing = only or self._source.list_files()
        self.files_checked, self.problems = len(listing.files), listing.problems
        here = self._one_path_an_inode(listing.files)
        seen: set[int] = set()
        changed: list[Change] = []
        for file in here:
            life = self._by_inode.get((file.device, file.inode))
            # Its lines belong to somebody else now: they are read anew, as those of another file.
            if life is not None and life.file.relative != file.relative and self._format.place(life.file) != self._format.place(file):
                life = None
            if life is not None:
                seen.add(life.id)
                if life.file[0] == file[0] and life.file[5:] == file[5:] and life.state == "live":
                    continue
            changed.append(Change(file, life, None))
        if only is None and len(seen) < len(self._by_path):
            self._mark_missing(seen, {file.path for file in here})
        for change in changed:
            yield self._with_ended(change, seen)

    def update_position(self, life: Life) -> None:
        """A read was committed: remember where it ended."""
        moved = self._by_inode.get((life.file.device, life.file.inode))
        if moved is not None and moved.id == life.id and self._by_path.get(moved.file.path) is moved:
            del self._by_path[moved.file.path]
        before = self._by_path.get(life.file.path)
        if before is not None and before.id != life.id:
            self._forget_inode(before)
        self.track_file(life)

    def persist(self) -> list[Life]:
        """The lives whose state changed without a read, to be written to the store; given once."""
        restated, self._restated = list(self._restated.values()), {}
        return restated

    def _one_path_an_inode(self, files: list[LogFile]) -> list[LogFile]:
        """Hard links are one file: under the path that is known already, or else the first."""
        chosen: dict[tuple[int, int], LogFile] = {}
        for file in files:
            inode = (file.device, file.inode)
            if inode not in chosen or ((life := self._by_inode.get(inode)) is not None and life.file.path == file.path):
                chosen[inode] = file
        return list(chosen.values())

    def _with_ended(self, change: Change, seen: set[int]) -> Change:
        """A new inode at a known path ends the life that was there, unless that one only moved."""
        before = self._by_path.get(change.file.path)
        if before is None or before.id in seen or (change.life is not None and before.id == change.life.id):
            return change
        return change._replace(ends=before)

    def _mark_missing(self, seen: set[int], paths: set[str]) -> None:
        for life in list(self._by_path.values()):
            if life.id in seen or life.state != "live" or life.file.path in paths:
                continue
            if self._is_gone(life.file, self._source.names):
                missing = life._replace(state="missing")
                self.track_file(missing)
                self._restated[missing.id] = missing

    def _forget_inode(self, life: Life) -> None:
        inode = (life.file.device, life.file.inode)
        known = self._by_inode.get(inode)
        if known is not None and known.id == life.id:
            del self._by_inode[inode]
