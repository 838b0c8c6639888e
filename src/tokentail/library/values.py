"""The values that a program gets of replies, lines and looks at the logs. All are frozen; read them by name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, TypeAlias

from tokentail import merge, periods
from tokentail.formats import Entry
from tokentail.model import Counts, Extra, Metrics, Problem, Tokens

Event: TypeAlias = Literal["new", "grown", "corrected", "gone"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What tokens cost at list price."""

    usd: Decimal  # exact
    is_lower_bound: bool  # a part of the price is not known, and the standard one was taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer of a model, as all its log lines together tell it."""

    key: str  # names the reply: unique, and never another one
    id: str  # the message id as logged, "" where there is none; several replies may share it
    at: datetime  # when its first line was written, in UTC
    session: str
    project: str  # the slug: the folder's name under `projects`
    project_name: str  # as shown
    agent: str  # the subagent's id, "" in the main conversation
    host: str  # whose machine; "" is this one
    user: str
    model: str  # as logged
    version: str  # of the program that wrote the log
    tokens: Tokens  # of the answer itself
    extras: tuple[Extra, ...]  # billed besides it, each at a model of its own
    speed: str  # "" or "standard" for the usual one
    geo: str
    service_tier: str
    final: bool  # False: the output count is a lower bound
    counts: Counts  # of tokens and extras together
    cost: Decimal | None  # exact, in USD; None: nothing of it has a price

    @property
    def cost_usd(self) -> float | None:
        """The same, rounded once."""
        return self.counts.cost_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyChange:
    """What became of a reply."""

    event: Event
    key: str
    reply: Reply | None  # as it is now; None: it is gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """What one look at the logs found."""

    at: datetime  # when it began, in UTC
    changes: tuple[ReplyChange, ...]  # since the update before, in the replies' time order
    metrics: Metrics
    problems: tuple[Problem, ...]  # files and folders that could not be read
    degraded: tuple[str, ...]  # what could not be done as it should, and what was done instead, in words


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The usage in one log line. A reply has several lines; see `tokentail.parse_line`."""

    group: str  # the lines of one reply share it
    id: str  # the message id, "" where there is none
    request_id: str  # "" for none
    at: datetime  # the line's own time, in UTC
    session: str
    project: str
    agent: str
    sidechain: bool  # written by a subagent or a side question
    folder: str  # the working folder, "" where the line names none
    model: str
    version: str
    tokens: Tokens
    extras: tuple[Extra, ...]
    web_searches: int
    speed: str
    geo: str
    service_tier: str
    final: bool  # False: the reply was not finished when the line was written


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedLine:
    """What a log line holds."""

    records: tuple[Record, ...]  # one where the line carries usage, several where it is two lines run together
    malformed: str  # why the line, or the rest of it, could not be read; "" for a sound one


def record_of(entry: Entry) -> Record:
    """The usage of one line, with its place in the open."""
    record = entry.record
    said = merge.reply(record.group, record)
    return Record(
        group=record.group,
        id=said.id,
        request_id=record.request_id,
        at=periods.at(record.at_ms),
        session=record.owner.session,
        project=record.owner.project,
        agent=record.owner.agent,
        sidechain=record.sidechain,
        folder=entry.folder,
        model=record.model,
        version=record.version,
        tokens=record.tokens,
        extras=said.extras,
        web_searches=record.web_searches,
        speed=said.speed,
        geo=said.geo,
        service_tier=said.service_tier,
        final=record.final,
    )


def usd(pico: int) -> Decimal:
    """Pico-dollars as dollars: exact, whatever the precision of the caller's decimal context."""
    return Decimal(f"{pico}E-12")
