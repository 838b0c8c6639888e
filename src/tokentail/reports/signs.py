"""The only place that knows what to write where an output has no room for a sign: one that is not UTF-8."""

from __future__ import annotations

import codecs
from io import TextIOWrapper
from typing import TextIO

from tokentail.reports.text import text_width

_HANDLER = "tokentail.signs"
_SIGNS = str.maketrans(
    {
        **dict.fromkeys("─━–╸", "-"),
        **dict.fromkeys("│├┤", "|"),
        **dict.fromkeys("└╵", "`"),
        **dict.fromkeys("█▉▊▋▌", "#"),
        **dict.fromkeys("▍▎▏", "."),
        "…": "~",
        "●": "*",
        "·": "-",
        "×": "x",
    }
)


def make_safe(stream: TextIO) -> None:
    """From now on a sign that the stream cannot hold is written as one that it can, as wide as it was; nothing is raised."""
    if isinstance(stream, TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
        codecs.register_error(_HANDLER, _instead)
        stream.reconfigure(errors=_HANDLER)


def _instead(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    # A lower bound's sign and the space behind it keep their width.
    if error.object.startswith("≥ ", error.start):
        return ">=", error.start + 2
    sign = error.object[error.start]
    plain = sign.translate(_SIGNS)
    return plain if plain.isascii() else ">" if sign == "≥" else "?" * text_width(sign), error.start + 1
