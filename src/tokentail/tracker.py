"""The only place that knows which log files exist, who each one is and how far it was read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from tokentail.formats import FORMATS, Format
from tokentail.model import Change, Life, Listing, LogFile, Problem, Source
from tokentail.sources.local import is_gone

Recall = Callable[[], Iterable[Life]]


def _nothing() -> Iterable[Life]:
    return ()


class FileTracker:
    """
    Compares what the source lists with what is known; opens no file.

    A file is an inode and what its path says about its lines: a file that moves to another project is another file, and
    so is a hard link there.
    """

    def __init__(self, source: Source, *, format: Format = FORMATS[0], is_gone: Callable[[LogFile, Sequence[str]], bool] = is_gone) -> None:
        self._source = source
        self._format = format
        self._is_gone = is_gone
        self._lives: dict[int, Life] = {}
        self._by_path: dict[str, Life] = {}
        self._by_inode: dict[tuple[int, int], list[int]] = {}  # the lives' ids
        self._moving: set[int] = set()  # lives that the changes of this pass find under another path
        self._restated: dict[int, Life] = {}
        self._recall: Recall = _nothing
        self.files_checked = 0
        self.problems: list[Problem] = []

    def restore(self, lives: Iterable[Life], *, recall: Recall = _nothing) -> None:
        """
        Start from what the store knows: the lives that have not ended.

        `recall` gives more of them, once, when a file is met that none of these explains. A store of a year knows thousands
        of files that are gone, and hardly any pass has to.
        """
        self._lives, self._by_path, self._by_inode, self._restated = {}, {}, {}, {}
        self._recall = recall
        for life in lives:
            self.track_file(life)

    def track_file(self, life: Life) -> None:
        """Know a life from now on."""
        self._forget(self._lives.get(life.id))
        self._lives[life.id] = self._by_path[life.file.path] = life
        self._by_inode.setdefault((life.file.device, life.file.inode), []).append(life.id)

    def living(self, path: str) -> Life | None:
        """The life that is known to stand there. May be called by any thread."""
        life = self._by_path.get(path)
        return life if life is not None and life.state == "live" else None

    def standing(self, path: str) -> LogFile | None:
        """The file that is known to stand there, as it was last seen."""
        life = self.living(path)
        return life.file if life is not None else None

    def standing_paths(self) -> set[str]:
        """Where files are known to stand."""
        return {path for path, life in self._by_path.items() if life.state == "live"}

    def check_changes(self, only: Listing | None = None) -> Iterator[Change]:
        """
        Every file that is new or differs in size, times, inode or path from what is known.

        Args:
            only: files to look at instead of all that the source lists; nothing follows from a file that is not among them.

        A file whose path, device, inode, size and times are all as they were is unchanged. A path that is missing from
        the listing is marked missing only when looking at it once more says that it is gone, never because of an error.
        """
        listing = self._source.list_files() if only is None else self._at_known_places(only)
        self.files_checked, self.problems = len(listing.files), listing.problems
        self._recall_for(listing.files)
        here = self._one_path_a_file(listing.files)
        standing = {file.path: file[3:5] for file in here}
        seen: set[int] = set()
        changed: list[Change] = []
        for file in here:
            life = self._by_path.get(file.path)
            moved = life is None or life.file[3:5] != file[3:5] or (life.file[1:3] != file[1:3] and not self._in_one_place(life.file, file))
            if moved:
                life = self._moved_here(file, standing)
            if life is not None:
                seen.add(life.id)
                if not moved and life.file[5:] == file[5:] and life.state == "live":
                    continue
            changed.append(Change(file, life, None))
        self._moving = {change.life.id for change in changed if change.life and change.life.file.path != change.file.path}
        if only is None and len(seen) < len(self._lives):
            self._end_displaced(seen)
            self._mark_missing(seen, standing.keys())
        for change in changed:
            yield self._with_ended(change, seen)

    def update_position(self, life: Life) -> None:
        """A read was committed: remember where it ended."""
        before = self._by_path.get(life.file.path)
        if before is not None and before.id not in self._moving:
            self._forget(before)
        if life.id not in self._lives:  # a new life of a known file, maybe under a new name: the one it had has ended
            for other in self._same_file(life.file):
                self._forget(other)
        self.track_file(life)

    def persist(self) -> list[Life]:
        """The lives whose state changed without a read, to be written to the store; given once."""
        restated, self._restated = list(self._restated.values()), {}
        return restated

    def _recall_for(self, files: Iterable[LogFile]) -> None:
        """Know the lives of files that were gone, where one of these may be such a file."""
        if self._recall is _nothing or all(self._is_known(file) for file in files):
            return
        recalled, self._recall = self._recall(), _nothing
        for life in recalled:
            if life.file.path not in self._by_path:
                self.track_file(life)

    def _is_known(self, file: LogFile) -> bool:
        life = self._by_path.get(file.path)
        return life is not None and life.file[3:5] == file[3:5]

    def _at_known_places(self, only: Listing) -> Listing:
        """A file to which several links lead stands where a listing of everything has found it."""
        files = []
        for file in only.files:
            life = self._by_path.get(file.path)
            known = life.file if life is not None and life.file[3:5] == file[3:5] else file
            files.append(file._replace(root=known.root, relative=known.relative))
        return Listing(files, only.problems)

    def _one_path_a_file(self, files: list[LogFile]) -> list[LogFile]:
        """Hard links in one place are one file: under the path that is known already, or else the first."""
        inodes = [file[3:5] for file in files]
        if len(set(inodes)) == len(inodes):
            return files
        met: set[tuple[int, int]] = set()
        several = {inode for inode in inodes if inode in met or met.add(inode)}  # type: ignore[func-returns-value]  # None is what it is for
        chosen: dict[tuple[object, ...], LogFile] = {}
        for file, inode in zip(files, inodes, strict=True):
            key = (*inode, self._format.place(file)) if inode in several else inode
            known = self._by_path.get(file.path)
            if key not in chosen or (known is not None and known.file[3:5] == inode):
                chosen[key] = file
        return list(chosen.values())

    def _moved_here(self, file: LogFile, standing: Mapping[str, tuple[int, int]]) -> Life | None:
        """The life of a file that was known by another path, where another inode stands now or none; or that lost its path."""
        for life in self._same_file(file):
            if standing.get(life.file.path) != life.file[3:5] or self._is_displaced(life):
                return life
        return None

    def _same_file(self, file: LogFile) -> list[Life]:
        """The known lives of that inode in that place."""
        lives = [self._lives[number] for number in self._by_inode.get((file.device, file.inode), ())]
        return [life for life in lives if self._in_one_place(life.file, file)]

    def _in_one_place(self, one: LogFile, other: LogFile) -> bool:
        return self._format.place(one) == self._format.place(other)

    def _with_ended(self, change: Change, seen: set[int]) -> Change:
        """A new inode at a known path ends the life that was there, unless that one only moved."""
        before = self._by_path.get(change.file.path)
        if before is None or before.id in seen:
            return change
        return change._replace(ends=before)

    def _mark_missing(self, seen: set[int], paths: Collection[str]) -> None:
        for life in list(self._by_path.values()):
            if life.id in seen or life.state != "live" or life.file.path in paths:
                continue
            if self._is_gone(life.file, self._source.names):
                missing = life._replace(state="missing")
                self.track_file(missing)
                self._restated[missing.id] = missing

    def _end_displaced(self, seen: set[int]) -> None:
        """A file whose place another one took while it could not be read in its new place: if it is in neither, its life has ended."""
        for life in list(self._lives.values()):
            if life.id not in seen and self._is_displaced(life):
                self._forget(life)
                self._restated[life.id] = life._replace(state="rewritten")

    def _is_displaced(self, life: Life) -> bool:
        return self._by_path.get(life.file.path) is not life

    def _forget(self, life: Life | None) -> None:
        if life is None or self._lives.pop(life.id, None) is None:
            return
        if (here := self._by_path.get(life.file.path)) is not None and here.id == life.id:
            del self._by_path[life.file.path]
        numbers = self._by_inode[life.file.device, life.file.inode]
        numbers.remove(life.id)
        if not numbers:
            del self._by_inode[life.file.device, life.file.inode]
