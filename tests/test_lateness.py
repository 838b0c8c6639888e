"""Tests of `tokentail.lateness`."""

from __future__ import annotations

from tokentail.lateness import LATEST, LOOKS, MOST_MS, Lateness
from tokentail.model import Metrics, Recent, Share

LOOK = Metrics(files_checked=1, files_read=1)
FIGURES = Share(1, 1), Share(0, 0), Share(0, 0), Share(0.0, 0.0), Share(0.0, 0.0)


def test_percentiles_of_the_latest() -> None:
    """The median and the 99th percentile of the last thousand lines; older ones are no longer looked at."""
    late = Lateness()
    late.add(LOOK, [5000.0] * 500)
    late.add(LOOK, (float(each) for each in range(LATEST)))
    recent = late.recent()
    assert recent is not None
    assert recent.late_ms == (500.0, 990.0)


def test_what_was_not_live_does_not_count() -> None:
    """A log of yesterday is not late by a day; nor is a file that a clock has put into the future."""
    late = Lateness()
    assert late.recent() is None
    late.add(LOOK, [MOST_MS, 1e9, -1.0])
    assert late.recent() == Recent(1, *FIGURES, None)
    late.add(LOOK, [2.5])
    assert late.recent() == Recent(2, *FIGURES, Share(2.5, 2.5))


def test_figures_of_the_latest_looks() -> None:
    """Of the last two hundred; of hits in the cache the 99th percentile is the bad end, as it is of the others."""
    late = Lateness()
    late.add(Metrics(10**9, 0, 10**9, 10**9, took_s=10**9), [])
    for number in range(LOOKS):
        late.add(Metrics(files_checked=200, files_read=number, bytes_read=10 * number, entries_parsed=number, took_s=number / 1000), [])
    assert late.recent() == Recent(
        200, Share(200, 200), Share(1000, 1980), Share(100, 198), Share(1 - 100 / 200, 1 - 198 / 200), Share(100.0, 198.0), None
    )
