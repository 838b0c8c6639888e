"""One file an agent: the only places that know an agent's folders and its log format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from tokentail.formats import claude
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


class Format(Protocol):
    """An agent's log format; a new agent is a new module that gives one, listed in FORMATS."""

    @property
    def mark(self) -> bytes:
        """Bytes that every line with usage holds: only such lines are parsed."""

    def default_folders(self, environment: Mapping[str, str], home: Path) -> list[Path]:
        """Where this agent writes its logs, whether the folders exist or not."""

    def line_parser(self) -> LineParser:
        """A function from a complete line, without its line end, to what it holds; made once, when the first line is read."""


FORMATS: tuple[Format, ...] = (claude.Claude(),)
