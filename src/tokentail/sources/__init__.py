"""Places that hold log files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from tokentail import addresses
from tokentail.addresses import Place, is_address
from tokentail.errors import SourceError
from tokentail.model import Change, Life, Listing, LogFile, Source
from tokentail.sources.local import LocalFolders

__all__ = ["LiveSource", "LocalFolders", "Place", "Remote", "existing_place", "is_address", "open_source"]


class LiveSource(Source, Protocol):
    """What following needs of a source."""

    @property
    def roots(self) -> Sequence[str]:
        """The folders of this machine, by their real paths, none within another."""

    def list_below(self, places: Iterable[str], folders: Iterable[str]) -> Listing:
        """The log files at these places of this machine, and those in these folders at any depth."""

    def differing(self, known: Callable[[str], LogFile | None]) -> Iterator[tuple[list[str], list[str]]]:
        """Step by step all places that are as known, and those that are not."""

    def look_again(self, file: LogFile) -> LogFile | None:
        """The same path as it is now; None when no log stands there."""

    def is_gone(self, file: LogFile) -> bool:
        """Is it certainly not among the logs any more?"""

    def has_gone(self, file: LogFile, error: OSError) -> bool:
        """Could a file that was listed not be read because it has gone meanwhile, or something else stands there?"""

    def expect(self, changes: Sequence[Change]) -> None:
        """These will be read, in that order."""

    def announce(self, ranges: Sequence[tuple[LogFile, int, int]]) -> None:
        """The same for whoever says it by the bytes, [start, end)."""

    def read_into(self, file: LogFile, start_bytes: int, buffer: memoryview) -> int:
        """Fill `buffer` with the bytes from `start_bytes` on; fewer only at the end of the file."""

    def follow(self, is_followed: bool) -> None:
        """From now on nobody who looks waits for a network; or no longer."""

    def listen(self, known: Callable[[str], Life | None] | None, wake: Callable[[], None]) -> None:
        """Ask what is far away for what is not as it is known, and wake whoever takes it; with None no longer."""

    def arrived(self) -> Listing | None:
        """What has come of it, to be looked at now; the next call says that it was."""

    def look_now(self) -> None:
        """Ask at once."""

    def hold(self, most: int) -> None:
        """From now on the logs that are read stay open, so many at most; with 0 none."""

    def take_back(self) -> None:
        """What was read of the open logs was not kept: all of it is unread again."""

    def left_behind(self, *, thorough: bool) -> Listing:
        """Open logs that were deleted or moved away with something in them that was not read yet."""

    def let_go(self) -> None:
        """Close those, read or not."""


class Remote(Protocol):
    """How buckets are asked; what the settings say."""

    @property
    def endpoint(self) -> str: ...

    @property
    def anonymous(self) -> bool: ...

    @property
    def profile(self) -> str: ...

    @property
    def interval_s(self) -> float:
        """How often they are listed while somebody follows."""


def existing_place(word: str | os.PathLike[str], by: str) -> Place:
    """
    The folder or the bucket that a word names; a bucket is not asked.

    Args:
        by: what named it.

    Raises:
        SourceError: it is no folder, or no address.
    """
    try:
        place = addresses.place(os.fspath(word))
    except ValueError as error:
        raise SourceError(f"cannot read {by} {word}: {error} (docs/remote.md)") from error
    if isinstance(place, Path) and not place.is_dir():
        what = "not a folder" if place.exists() else "no such folder"
        raise SourceError(f"cannot read {by} {place}: {what} (give the folder that holds the .jsonl logs)")
    return place


def open_source(places: Iterable[Place], remote: Remote) -> LiveSource:
    """
    Folders, and buckets where there are addresses among them.

    Raises:
        ValueError: an address is none.
    """
    places = list(places)
    far = [place for place in places if isinstance(place, str) and is_address(place)]
    folders = LocalFolders([Path(place) for place in places if place not in far])
    if not far:
        return folders
    from tokentail.sources.buckets import Buckets  # who has folders only does without
    from tokentail.sources.clouds import Access
    from tokentail.sources.everywhere import Everywhere

    buckets = Buckets(far, Access(remote.endpoint, remote.anonymous, remote.profile))
    return Everywhere(folders, buckets, [str(place) for place in places], every_s=remote.interval_s)
