"""One file an agent: the only places that know an agent's folders and its log format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from tokentail.formats import claude
from tokentail.formats.parsed import Entry, LineParser, Look, Parsed
from tokentail.model import LogFile

__all__ = ["FORMATS", "Entry", "Format", "LineParser", "Look", "Parsed", "usual_folders"]


class Format(Protocol):
    """An agent's log format; a new agent is a new module that gives one, listed in FORMATS."""

    @property
    def mark(self) -> bytes:
        """Bytes that every line with usage holds: only such lines are parsed."""

    def default_folders(self, environment: Mapping[str, str], home: Path) -> list[Path]:
        """Where this agent writes its logs, whether the folders exist or not."""

    def place(self, file: LogFile) -> tuple[object, ...]:
        """What the path says about the lines of a file: one that moves from one place to another is read anew."""

    def session(self, file: LogFile) -> str:
        """The session that a log is one of, by its path; "" where only its lines say."""

    def look_at(self, line: bytes, file: LogFile) -> list[Look]:
        """What a complete line holds, and how much content stands beside its usage; for few lines, since it is slow."""

    def line_parser(self, expected_bytes: int) -> LineParser:
        """
        A function from a complete line, without its line end, to what it holds; for one thread.

        Args:
            expected_bytes: about how much will be parsed: what is worth preparing for.
        """


FORMATS: tuple[Format, ...] = (claude.Claude(),)


def usual_folders(environment: Mapping[str, str]) -> list[Path]:
    """Where all agents write their logs."""
    home = Path(environment.get("HOME") or Path.home())
    return [folder for agent in FORMATS for folder in agent.default_folders(environment, home)]
