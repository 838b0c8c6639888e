"""The only place that words what the live screen shows: numbers, names and what was found, in few cells."""

from __future__ import annotations

import re

from tokentail.model import Counts
from tokentail.prices import normalise
from tokentail.reports import text

_NEWER = re.compile(r"claude-(?P<family>[a-z]+)-(?P<version>[0-9]+(?:-[0-9]+)?)")
_OLDER = re.compile(r"claude-(?P<version>[0-9]+(?:-[0-9]+)?)-(?P<family>[a-z]+)")


def fit(words: str, width: int) -> str:
    """Exactly `width` cells: a name that is longer ends in an ellipsis."""
    words = text.safe(words)
    used = text.text_width(words)
    if used <= width:
        return words + " " * (width - used)
    kept = ""
    for char in words:
        if text.text_width(kept + char) > width - 1:
            break
        kept += char
    return kept + "…" + " " * (width - 1 - text.text_width(kept))


def model_name(model: str) -> str:
    """`claude-sonnet-4-5-20250929` is `sonnet 4.5` to people; a name of another make stays as it is."""
    name = normalise(model)
    match = _NEWER.fullmatch(name) or _OLDER.fullmatch(name)
    return text.safe(model if match is None else f"{match['family']} {match['version'].replace('-', '.')}")


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


def percent(part: float) -> str:
    """A share that is called 100 % only when it is all."""
    return "100 %" if part >= 1 else f"{min(part * 100, 99.9):.1f} %"


def replies(count: int) -> str:
    return "1 reply" if count == 1 else f"{count:,} replies"
