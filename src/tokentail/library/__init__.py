"""The library: all that `import tokentail` offers to programs, and nothing else is promised to them (docs/library.md)."""

from __future__ import annotations

from tokentail.errors import (
    ConfigError,
    SourceError,
    StoreBlockedError,
    StoreBusyError,
    StoreError,
    StoreNewerError,
    TokentailError,
    UsageError,
)
from tokentail.library.asked import ReportOptions
from tokentail.library.lines import parse_line, price
from tokentail.library.rows import (
    AgentRow,
    BlockRow,
    DayRow,
    HostRow,
    ModelRow,
    MonthRow,
    ProjectRow,
    Report,
    Row,
    SessionRow,
    UserRow,
    WeekRow,
)
from tokentail.library.tail import Tail, open  # noqa: A004  # `tokentail.open` says what it does
from tokentail.library.values import Cost, ParsedLine, Record, Reply, ReplyChange, Update
from tokentail.model import Counts, Extra, Metrics, Notes, Pace, Problem, Tokens

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
    "open",
    "parse_line",
    "price",
]
