"""
Every error that tokentail raises on purpose, and the exit code it ends a command with.

TokentailError            1  something could not be read or written
├── SourceError           1  a log file or folder could not be read
├── StoreError            1  the store could not be opened, read or written
│   ├── StoreNewerError   1  written by a newer tokentail
│   └── StoreBusyError    1  another process holds it
└── UsageError            2  the command's words are off
"""

from __future__ import annotations


class TokentailError(Exception):
    """The message says what was tried, on what, what went wrong and the next step."""

    exit_code = 1


class SourceError(TokentailError):
    """A log file or folder could not be read."""


class StoreError(TokentailError):
    """The store could not be opened, read or written."""


class StoreNewerError(StoreError):
    """The store was written by a newer tokentail; this one leaves it alone."""


class StoreBusyError(StoreError):
    """Another process holds the store longer than we are ready to wait."""


class UsageError(TokentailError):
    """A wrong option, date or time zone."""

    exit_code = 2
