"""The nouns of watching: what whoever waits is told, and what a source of file events does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

MOST_PATHS = 10_000

IsLog = Callable[[str], object]  # does a file of that name interest us?


class Hints(NamedTuple):
    """
    What may have changed since the hints before, and how much they can be relied upon.

    All paths are places: a root as it was given and the names below it; links are not resolved. Nothing here is a fact:
    what a place holds now is known only to whoever looks.

    Attributes:
        files: places of logs that were written, made, renamed, deleted, or had their permissions changed.
        trees: folders of which everything below may have changed; a new one is named even if it looks empty.
        lost: anything may have changed, list everything anew.
        degraded: what cannot be relied upon now, why, and what is done instead, a sentence each; empty when all is well.
        live: whether changes are told by events, or found by looking again and again.
        proven: events were seen to arrive lately and nothing is degraded; there is no need to list everything often.
    """

    files: frozenset[str]
    trees: frozenset[str]
    lost: bool
    degraded: tuple[str, ...]
    live: Literal["events", "polling"]
    proven: bool

    @property
    def is_quiet(self) -> bool:
        """Nothing seems to have changed."""
        return not (self.files or self.trees or self.lost)


class Sink(Protocol):
    """Where file events go. To tell of one twice, for nothing, or in another order does no harm."""

    def dirty(self, path: str) -> None:
        """A file may have changed, come or gone."""

    def dirty_tree(self, folder: str) -> None:
        """A folder and all below it may have changed."""

    def covered(self, folder: str) -> None:
        """A folder and all below it is watched now, as was asked for, and may have changed meanwhile."""

    def lost(self) -> None:
        """Events were missed, but from now on none is: all may have changed."""


class Events(Protocol):
    """
    The operating system's file events as hints. All methods are called by one thread.

    Attributes:
        tells_loss: whether it says so when events were lost.
        refused: folders that could not be watched, nor what is below them, each with the reason.
    """

    tells_loss: bool
    refused: dict[str, str]

    def fileno(self) -> int:
        """Readable when there is something to take."""

    def begin_anew(self) -> None:
        """Watch everything again; `lost` is told when it is done."""

    def cover(self, folder: str) -> None:
        """Watch a folder and all below it, as far as that is not so yet; `covered` is told when it is done."""

    def retry(self) -> None:
        """Try again to watch what was refused."""

    def watch_beside(self, folder: str) -> None:
        """
        Watch a folder that is none of the logs', in which every file is told.

        Raises:
            OSError: it cannot be watched.
        """

    def is_watched(self, folder: str) -> bool:
        """Is every change of what is in this folder meant to make an event?"""

    def take(self) -> None:
        """Tell what has come since the last time."""

    def work(self, is_over: Callable[[], bool]) -> bool:
        """Go on with what takes long, until it is done or over; True when more remains."""

    def close(self) -> None:
        """Watch nothing any more."""


OpenEvents = Callable[[Sequence[str], IsLog, Sink], Events]
