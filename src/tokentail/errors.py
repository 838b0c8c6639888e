"""
Every error that tokentail raises on purpose, and the exit code it ends a command with.

TokentailError            1  something could not be read or written
├── SourceError           1  a log file or folder could not be read
├── StoreError            1  the store could not be opened, read or written
│   ├── StoreNewerError   1  written by a newer tokentail
│   ├── StoreBlockedError 1  it cannot be written at this moment, and that may pass
│   └── StoreBusyError    1  another process holds it
└── UsageError            2  the command's words are off
    └── ConfigError       2  the file of settings cannot be used
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class TokentailError(Exception):
    """The message says what was tried, on what, what went wrong and the next step."""

    exit_code = 1


class SourceError(TokentailError):
    """A log file or folder could not be read."""


class StoreError(TokentailError):
    """The store could not be opened, read or written."""


class StoreNewerError(StoreError):
    """The store was written by a newer tokentail; this one leaves it alone."""


class StoreBlockedError(StoreError):
    """The store cannot be written at this moment: a full disk, no permission. Nothing that was counted before is lost."""


class StoreBusyError(StoreError):
    """Another process holds the store longer than we are ready to wait."""


class UsageError(TokentailError):
    """A wrong option, date or time zone."""

    exit_code = 2


class ConfigError(UsageError):
    """
    The file of settings cannot be used.

    Attributes:
        problems: a sentence for each thing that is wrong in it.
    """

    def __init__(self, path: Path, problems: Sequence[str]) -> None:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        wrong = "; ".join(problems[:3])
        super().__init__(
            f"cannot use the settings in {path}: {wrong}{more} (correct them; `tokentail config check` names all that is wrong)"
        )
        self.problems = tuple(problems)
