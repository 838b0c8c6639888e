"""What a line parser gives."""

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


LineParser = Callable[[bytes, LogFile], Parsed]
