"""The only place that makes one of folders and buckets: each log is read where it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from tokentail.addresses import is_address
from tokentail.model import Change, Life, Listing, LogFile
from tokentail.sources.arrivals import Arrivals
from tokentail.sources.buckets import Buckets
from tokentail.sources.local import LocalFolders

_STEP = 256  # objects


class Everywhere:
    """
    Folders and buckets as one source.

    While somebody follows, buckets are asked by a thread of their own (`arrivals`), and nobody else waits for a network: to all others
    an object stands as it is known.
    """

    def __init__(self, folders: LocalFolders, buckets: Buckets, names: Sequence[str], *, every_s: float) -> None:
        """`every_s` is how often buckets are listed while somebody follows."""
        self._folders = folders
        self._buckets = buckets
        self._names = tuple(names)
        self._every_s = every_s
        self._is_followed = False
        self._known: Callable[[str], Life | None] = lambda _: None
        self._arrivals: Arrivals | None = None

    @property
    def names(self) -> Sequence[str]:
        return self._names

    @property
    def roots(self) -> Sequence[str]:
        """The real paths of the folders, none within another."""
        return self._folders.roots

    def list_files(self) -> Listing:
        found = self._folders.list_files()
        there = self._standing() if self._is_followed else self._buckets.list_files()
        return Listing(sorted([*found.files, *there.files]), [*found.problems, *there.problems])

    def list_below(self, places: Iterable[str], folders: Iterable[str]) -> Listing:
        """The logs of this machine at these places, and those in these folders at any depth."""
        return self._folders.list_below(places, folders)

    def differing(self, known: Callable[[str], LogFile | None]) -> Iterator[tuple[list[str], list[str]]]:
        """As of folders; objects are as known, since their own thread looks at them."""
        yield from self._folders.differing(known)
        listed = list(self._buckets.listed())
        for start in range(0, len(listed), _STEP):
            yield listed[start : start + _STEP], []

    def look_again(self, file: LogFile) -> LogFile | None:
        if not is_address(file.path):
            return self._folders.look_again(file)
        if self._arrivals is not None:
            return self._arrivals.shown(file.path)
        return self._buckets.look_again(file)

    def is_gone(self, file: LogFile) -> bool:
        return self._buckets.is_gone(file) if is_address(file.path) else self._folders.is_gone(file)

    def has_gone(self, file: LogFile, error: OSError) -> bool:
        return self._buckets.has_gone(file, error) if is_address(file.path) else self._folders.has_gone(file, error)

    def damage(self, file: LogFile) -> str:
        """Why a compressed log could not be read to its end; "" where nothing is wrong with it."""
        return self._buckets.damage(file) if is_address(file.path) else self._folders.damage(file)

    def expect(self, changes: Sequence[Change]) -> None:
        """These will be read, in that order."""
        if not self._is_followed:
            self._buckets.expect(change for change in changes if is_address(change.file.path))

    def announce(self, ranges: Sequence[tuple[LogFile, int, int]]) -> None:
        """The same, by the bytes, [start, end)."""
        self._buckets.announce(each for each in ranges if is_address(each[0].path))

    def read(self, file: LogFile, start_bytes: int, length_bytes: int) -> bytes:
        buffer = bytearray(length_bytes)
        return bytes(buffer[: self.read_into(file, start_bytes, memoryview(buffer))])

    def read_into(self, file: LogFile, start_bytes: int, buffer: memoryview) -> int:
        """
        Fill `buffer` with the bytes from `start_bytes` on; fewer only at the end of the file.

        Raises:
            OSError: the file cannot be read.
        """
        places = self._buckets if is_address(file.path) else self._folders
        return places.read_into(file, start_bytes, buffer)

    def follow(self, is_followed: bool) -> None:
        """From now on nobody who looks waits for a bucket; or no longer."""
        self._is_followed = is_followed

    def listen(self, known: Callable[[str], Life | None] | None, wake: Callable[[], None]) -> None:
        """Ask buckets for what is not as it is known, and wake whoever takes it; with None no longer."""
        if self._arrivals is not None:
            self._arrivals.end()
        self._known = known or (lambda _: None)
        self._arrivals = None if known is None else Arrivals(self._buckets, known, wake, every_s=self._every_s)

    def arrived(self) -> Listing | None:
        """What has come of buckets, to be looked at now; the next call says that it was."""
        return self._arrivals.take() if self._arrivals is not None else None

    def look_now(self) -> None:
        """List buckets at once."""
        if self._arrivals is not None:
            self._arrivals.look_now()

    def hold(self, most: int) -> None:
        self._folders.hold(most)

    def take_back(self) -> None:
        self._folders.take_back()

    def left_behind(self, *, thorough: bool) -> Listing:
        return self._folders.left_behind(thorough=thorough)

    def let_go(self) -> None:
        self._folders.let_go()

    def _standing(self) -> Listing:
        lives = map(self._known, self._buckets.listed())
        problems = self._arrivals.problems() if self._arrivals is not None else []
        return Listing([life.file for life in lives if life is not None], problems)
