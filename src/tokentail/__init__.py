"""tokentail: what your coding agents use, counted exactly, while they use it. docs/library.md explains the names."""

from __future__ import annotations

from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = [
    "AgentRow",
    "BlockRow",
    "ConfigError",
    "Cost",
    "Counts",
    "DayRow",
    "Extra",
    "HostRow",
    "Metrics",
    "ModelRow",
    "MonthRow",
    "Notes",
    "Pace",
    "ParsedLine",
    "Problem",
    "ProjectRow",
    "Record",
    "Reply",
    "ReplyChange",
    "Report",
    "ReportOptions",
    "Row",
    "SessionRow",
    "SourceError",
    "StoreBlockedError",
    "StoreBusyError",
    "StoreError",
    "StoreNewerError",
    "Tail",
    "Tokens",
    "TokentailError",
    "Update",
    "UsageError",
    "UserRow",
    "WeekRow",
    "__version__",
    "open",
    "parse_line",
    "price",
]

if TYPE_CHECKING:
    from tokentail.library import (
        AgentRow,
        BlockRow,
        ConfigError,
        Cost,
        Counts,
        DayRow,
        Extra,
        HostRow,
        Metrics,
        ModelRow,
        MonthRow,
        Notes,
        Pace,
        ParsedLine,
        Problem,
        ProjectRow,
        Record,
        Reply,
        ReplyChange,
        Report,
        ReportOptions,
        Row,
        SessionRow,
        SourceError,
        StoreBlockedError,
        StoreBusyError,
        StoreError,
        StoreNewerError,
        Tail,
        Tokens,
        TokentailError,
        Update,
        UsageError,
        UserRow,
        WeekRow,
        open,  # noqa: A004  # `tokentail.open` says what it does
        parse_line,
        price,
    )
else:

    def __getattr__(name: str) -> object:
        """Import the library when one of its names is used: the command line does without, and so does whoever asks for the version."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from tokentail import library

        return getattr(library, name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
