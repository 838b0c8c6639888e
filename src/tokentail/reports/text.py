"""Text for a terminal: styles, widths, numbers as people read them, names that can do no harm."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TextIO

from tokentail.model import Counts

_MOST_MARKS = 4  # on one letter; more of them are no writing, and paint over the lines above
_ACTED_ON = ("Cc", "Cf", "Cs", "Zl", "Zp")


class Style:
    """ANSI styles, or none of them where there is no terminal or NO_COLOR is set."""

    def __init__(self, enabled: bool) -> None:
        self._enabled = enabled

    @classmethod
    def of(cls, stream: TextIO, environment: Mapping[str, str]) -> Style:
        return cls(stream.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb")

    def __call__(self, text: str, codes: str) -> str:
        return f"\x1b[{codes}m{text}\x1b[0m" if self._enabled and codes and text else text


def safe(name: str) -> str:
    """A name from a log with everything neutralised that a terminal would act on."""
    if name.isascii() and name.isprintable():
        return name
    import unicodedata  # not at the top: it takes 3 ms, and most names do without

    kept = []
    marks = 0
    for char in name:
        category = unicodedata.category(char)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if marks <= _MOST_MARKS:
            kept.append("\ufffd" if category in _ACTED_ON else char)
    return "".join(kept)


def safe_lines(text: str) -> str:
    """The same for a text of several lines."""
    return "".join(f"{safe(line)}\n" for line in text.splitlines())


def cost(counts: Counts, *, places: int = 2) -> str:
    """Dollars; `≥` before a lower bound, `?` where nothing has a price."""
    if counts.cost_usd is None:
        return "?"
    return f"{'≥ ' if counts.cost_is_lower_bound else ''}{counts.cost_usd:,.{places}f}"


def percent(part: float) -> str:
    """A share that is called 100 % only when it is all."""
    return "100 %" if part >= 1 else f"{min(part * 100, 99.9):.1f} %"


def duration(milliseconds: float) -> str:
    """A stretch of time in its two greatest units: 45s, 12m, 2h 13m, 3d 4h."""
    minutes = int(milliseconds) // 60_000
    if minutes < 1:
        return f"{int(milliseconds) // 1000}s"
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days}d {hours}h" if days else f"{hours}h {minutes}m" if hours else f"{minutes}m"


def short(number: int) -> str:
    """A number in four characters or so: 950, 12.3k, 4.56M."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            digits = number / size
            return f"{digits:.2f}{unit}" if digits < 10 else f"{digits:.1f}{unit}" if digits < 100 else f"{digits:.0f}{unit}"
    return str(number)


def terminal_width(stream: TextIO) -> int:
    """Columns of the terminal; 120 where there is none."""
    if given := os.environ.get("COLUMNS", ""):
        return max(int(given), 40) if given.isdecimal() else 120
    try:
        return max(os.get_terminal_size(stream.fileno()).columns, 40)
    except (OSError, ValueError):
        return 120


def text_width(text: str) -> int:
    """How many cells of a terminal a text takes."""
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(0 if unicodedata.category(char) in ("Mn", "Me") else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def cut(name: str, width: int) -> str:
    """A name made safe, in at most that many cells; what is left out is shown as `…`."""
    return shortened(safe(name), width)


def shortened(words: str, width: int) -> str:
    """The same of a text that is safe."""
    if len(words) <= width and words.isascii():
        return words
    if text_width(words) <= width:
        return words
    kept, room = "", width - 1
    for char in words:
        room -= text_width(char)
        if room < 0:
            break
        kept += char
    return f"{kept}…"


def warn(message: str) -> None:
    """Tell a person something that is not the result."""
    print(f"tokentail: {safe(message)}", file=sys.stderr)
