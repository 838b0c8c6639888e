"""Tests of `tokentail.lateness`."""

from __future__ import annotations

from tokentail.lateness import LATEST, MOST_MS, Lateness


def test_percentiles_of_the_latest() -> None:
    """The median and the 99th percentile of the last thousand; older ones are no longer looked at."""
    late = Lateness()
    late.add([5000.0] * 500)
    late.add(float(each) for each in range(LATEST))
    assert late.percentiles() == (500.0, 990.0)


def test_what_was_not_live_does_not_count() -> None:
    """A log of yesterday is not late by a day; nor is a file that a clock has put into the future."""
    late = Lateness()
    late.add([MOST_MS, 1e9, -1.0])
    assert late.percentiles() is None
    late.add([2.5])
    assert late.percentiles() == (2.5, 2.5)
