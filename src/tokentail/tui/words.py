"""The only place that words what the live screen shows: numbers, names and what was found, in few cells."""

from __future__ import annotations

from tokentail.model import Counts
from tokentail.reports import text


def fit(words: str, width: int) -> str:
    """Exactly `width` cells: a name that is longer ends in an ellipsis."""
    shown = text.cut(words, width)
    return shown + " " * (width - text.text_width(shown))


def dollars(counts: Counts, digits: int = 2) -> str:
    """A cost; `≥` before a lower bound, `?` where nothing has a price."""
    if counts.cost_usd is None:
        return "$ ?"
    return f"{'≥ ' if counts.cost_is_lower_bound else ''}${counts.cost_usd:,.{digits}f}"


def size(count: int) -> str:
    """Bytes."""
    return f"{count:,} B" if count < 1000 else f"{count / 1e3:,.1f} kB" if count < 1e6 else f"{count / 1e6:,.1f} MB"


def duration(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:,.1f} s"


def replies(count: int) -> str:
    return "1 reply" if count == 1 else f"{count:,} replies"
