"""What a report is asked for, and what it is made with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from datetime import date
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo

from tokentail.config import Rounding
from tokentail.model import Reply
from tokentail.prices import PriceList


class Estimates(Protocol):
    """Looks for replies that are not final, and estimates their output."""

    def __call__(self, start_ms: int, end_ms: int, *, projects: Set[str] | None, models: Set[str] | None) -> Sequence[tuple[Reply, int]]:
        """What `estimate.between` gives."""


class Request(NamedTuple):
    """What a person asks for."""

    report: str  # daily, weekly, monthly, sessions, projects, models, hosts, users, blocks
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
    estimate: bool = False  # each row with estimates in the place of output counts that are not final
    week_starts: int = 0  # Monday; Sunday is 6
    rounding: Rounding = "hour"  # of a five-hour window's start, see blocks.ROUNDINGS
    order: str = ""  # see build.ORDERS; "" is the report's own
    limit: int | None = None  # rows
    subagents: bool | None = None  # only what they used, or only what they did not
    hosts: tuple[str, ...] = ()  # names as of projects, see `machines`
    users: tuple[str, ...] = ()

    @property
    def is_choice(self) -> bool:
        """Is it about some of all usage only, whatever the days?"""
        return bool(self.projects or self.models or self.hosts or self.users)


class Context(NamedTuple):
    """What a report is made with, whatever it is asked for."""

    prices: PriceList
    now_ms: int
    sources: Sequence[str] = ()
    aliases: Mapping[str, str] = {}
    malformed_lines: int = 0
    degraded: Sequence[str] = ()
    estimates: Estimates | None = None  # what estimates are made with, where they are asked for
