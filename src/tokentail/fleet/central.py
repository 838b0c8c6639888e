"""The only place that says what a hub needs of a central store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from tokentail.fleet.sessions import SessionCounts
from tokentail.model import Record


class Central(Protocol):
    """Where the records of many machines come together."""

    def add(self, records: Sequence[Record], folders: Sequence[tuple[str, int, str]]) -> int:
        """
        Join records, and what projects are called: slug, moment and folder. When it comes back they are safe on the disk.

        Gives how many of the records said something new. Of one thread.

        Raises:
            StoreError: they could not be kept, none of them; they may be another time.
        """

    def sessions(self, host: str, user: str) -> Mapping[str, SessionCounts]:
        """
        What the records of a user's machine add up to, by session. May be called by any thread.

        Raises:
            StoreError: the store cannot be read.
        """

    def close(self) -> None: ...
