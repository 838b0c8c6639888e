"""The only place that looks for what no event told, a few milliseconds at a time: whether every log is as it is known."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from tokentail.model import Listing
from tokentail.sources import LiveSource
from tokentail.tracker import FileTracker

SLICE_S = 0.003  # what a line that is written meanwhile may wait for it


class Sweep:
    """One walk through all places, in slices between which anything may happen."""

    def __init__(self, source: LiveSource, tracker: FileTracker) -> None:
        self._source = source
        self._tracker = tracker
        self._expected = tracker.standing_paths()
        self._seen: set[str] = set()
        self._odd: list[str] = []
        self._steps: Iterator[tuple[list[str], list[str]]] = source.differing(tracker.standing)

    def go_on(self, for_s: float = SLICE_S) -> bool:
        """Walk for so long; is it over?"""
        until = time.monotonic() + for_s
        for same, odd in self._steps:
            self._seen.update(same)
            self._odd += odd
            if time.monotonic() >= until:
                return False
        return True

    def outcome(self) -> Listing | None:
        """
        Which logs have only grown, as they are now; None where something else has happened, and all places are to be looked at.

        What hints brought to light while it walked is no news.
        """
        absent = self._expected - self._seen - set(self._odd)
        if any(self._tracker.standing(path) is not None for path in absent):
            return None
        listing = self._source.list_below(self._odd, ())
        if listing.problems or len(listing.files) != len(self._odd) or not self._are_known(self._odd, listing):
            return None
        return listing

    def _are_known(self, places: Iterable[str], listing: Listing) -> bool:
        """Are these the files that are known there, wherever they end now?"""
        known = map(self._tracker.standing, places)
        return {file[:5] for file in listing.files} == {file[:5] for file in known if file is not None}
