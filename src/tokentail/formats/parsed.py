"""What a line parser gives, and what a close look at a line does."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tokentail.model import LogFile, Record


class Entry(NamedTuple):
    """A record of one line, and the working folder that the line names ("" where it names none)."""

    record: Record
    folder: str


class Parsed(NamedTuple):
    """What one line holds."""

    entries: list[Entry]
    malformed: str  # why (a part of) the line could not be read, "" for a sound one


class Look(NamedTuple):
    """A record of one line, and how much content stands beside its usage: lengths, never the content."""

    record: Record
    uuid: str  # the line's own, which copies of it share; "" for none
    text_chars: int
    tool_chars: int  # of the inputs of tools, as compact JSON
    signature_chars: int  # of the signatures of thinking


LineParser = Callable[[bytes, LogFile], Parsed]
