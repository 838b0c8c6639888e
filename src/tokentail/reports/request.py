"""What a report is asked for, and what it is made with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tokentail.config import Rounding
from tokentail.prices import PriceList


class Request(NamedTuple):
    """What a person asks for."""

    report: str  # daily, weekly, monthly, sessions, projects, models, blocks
    zone: ZoneInfo
    since: date | None = None  # days of the zone, inclusive
    until: date | None = None
    projects: tuple[str, ...] = ()  # names, whole or with wildcards; without one all of them
    models: tuple[str, ...] = ()
    breakdown: bool = False  # each row's models, too
    agents: bool = False  # each session's subagents, too
    worktrees: bool = False  # worktrees of one repository as one project
    provenance: bool = False  # how much of each row stands where
    not_final: bool = False  # what the replies used, in each row, whose output count is not final
    week_starts: int = 0  # Monday; Sunday is 6
    rounding: Rounding = "hour"  # of a five-hour window's start, see blocks.ROUNDINGS
    order: str = ""  # see build.ORDERS; "" is the report's own
    limit: int | None = None  # rows


class Context(NamedTuple):
    """What a report is made with, whatever it is asked for."""

    prices: PriceList
    now_ms: int
    sources: Sequence[str] = ()
    aliases: Mapping[str, str] = {}
    malformed_lines: int = 0
    degraded: Sequence[str] = ()
