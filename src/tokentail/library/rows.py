"""The reports that a program gets: a row type for each kind, made from the rows that tables and JSON are made from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Generic, TypeVar

from tokentail import model, periods
from tokentail.model import BlockFacts, Counts, MachineFacts, Notes, Pace, Problem, ProjectFacts, SessionFacts


class Row:
    """What every row has."""

    __slots__ = ()

    counts: Counts

    @property
    def cost_usd(self) -> float | None:
        """What the row costs at list price; None: nothing in it has a price."""
        return self.counts.cost_usd


RowT_co = TypeVar("RowT_co", bound=Row, covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(Generic[RowT_co]):
    """A whole report."""

    name: str  # daily, weekly, ...
    timezone: str  # whose midnights divide the days
    sources: tuple[str, ...]  # the folders that were searched, the home folder as `~`
    rows: tuple[RowT_co, ...]
    totals: Counts  # of all rows, also of those that a limit leaves out
    notes: Notes
    hints: tuple[str, ...]  # what a name that means nothing may have meant, why a period has nothing
    problems: tuple[Problem, ...]  # files and folders that could not be read


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRow(Row):
    """A model, by the name that the logs have for it."""

    model: str
    counts: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class DayRow(Row):
    day: date
    counts: Counts
    models: tuple[ModelRow, ...]  # with breakdown=True, costliest first


@dataclass(frozen=True, slots=True, kw_only=True)
class WeekRow(Row):
    week: date  # its first day
    counts: Counts
    models: tuple[ModelRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthRow(Row):
    month: date  # its first day
    counts: Counts
    models: tuple[ModelRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentRow(Row):
    """A subagent."""

    agent: str
    counts: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow(Row):
    """A session, with what its subagents used."""

    session: str
    project: str  # the slug
    project_name: str  # as shown
    first_at: datetime  # of its first reply and its last one, in UTC
    last_at: datetime
    counts: Counts
    models: tuple[ModelRow, ...]
    subagents: int  # how many
    by_subagents: Counts  # their part of `counts`
    agents: tuple[AgentRow, ...]  # with agents=True, costliest first
    host: str  # whose machine; "" is this one
    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectRow(Row):
    project: str  # the slug
    project_name: str
    folder: str  # "" where no log names it
    slugs: tuple[str, ...]  # with worktrees=True, all that were taken together
    first_at: datetime
    last_at: datetime
    counts: Counts
    models: tuple[ModelRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRow(Row):
    """A machine."""

    host: str  # "" is this one
    first_at: datetime
    last_at: datetime
    counts: Counts
    models: tuple[ModelRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRow(Row):
    """A person's machines."""

    user: str  # "" is what this machine's own logs say
    first_at: datetime
    last_at: datetime
    counts: Counts
    models: tuple[ModelRow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRow(Row):
    """A five-hour window."""

    start: datetime  # in UTC
    end: datetime
    first_at: datetime
    last_at: datetime
    counts: Counts
    models: tuple[ModelRow, ...]
    pace: Pace | None  # of the window that is still running

    @property
    def active(self) -> bool:
        """Is the window still running?"""
        return self.pace is not None


def report_of(report: model.Report, problems: Iterable[Problem]) -> Report[Row]:
    """A report with typed rows."""
    row_of = _KINDS[report.name]
    return Report(
        name=report.name,
        timezone=report.timezone,
        sources=report.sources,
        rows=tuple(map(row_of, report.rows)),
        totals=report.totals,
        notes=report.notes,
        hints=report.hints,
        problems=tuple(dict.fromkeys(problems)),
    )


def _day(row: model.Row) -> DayRow:
    return DayRow(day=date.fromisoformat(row.key), counts=row.counts, models=_models(row))


def _week(row: model.Row) -> WeekRow:
    return WeekRow(week=date.fromisoformat(row.key), counts=row.counts, models=_models(row))


def _month(row: model.Row) -> MonthRow:
    return MonthRow(month=date.fromisoformat(f"{row.key}-01"), counts=row.counts, models=_models(row))


def _session(row: model.Row) -> SessionRow:
    about = row.about
    assert isinstance(about, SessionFacts)
    return SessionRow(
        session=row.key,
        project=about.project,
        project_name=about.name,
        first_at=periods.at(about.first_ms),
        last_at=periods.at(about.last_ms),
        counts=row.counts,
        models=_models(row),
        subagents=about.subagents,
        by_subagents=about.by_subagents,
        agents=tuple(AgentRow(agent=agent.key, counts=agent.counts) for agent in about.agents),
        host=about.host,
        user=about.user,
    )


def _project(row: model.Row) -> ProjectRow:
    about = row.about
    assert isinstance(about, ProjectFacts)
    return ProjectRow(
        project=row.key,
        project_name=about.name,
        folder=about.folder,
        slugs=about.slugs,
        first_at=periods.at(about.first_ms),
        last_at=periods.at(about.last_ms),
        counts=row.counts,
        models=_models(row),
    )


def _model(row: model.Row) -> ModelRow:
    return ModelRow(model=row.key, counts=row.counts)


def _host(row: model.Row) -> HostRow:
    about = row.about
    assert isinstance(about, MachineFacts)
    first_at, last_at = map(periods.at, about)
    return HostRow(host=row.key, first_at=first_at, last_at=last_at, counts=row.counts, models=_models(row))


def _user(row: model.Row) -> UserRow:
    about = row.about
    assert isinstance(about, MachineFacts)
    first_at, last_at = map(periods.at, about)
    return UserRow(user=row.key, first_at=first_at, last_at=last_at, counts=row.counts, models=_models(row))


def _block(row: model.Row) -> BlockRow:
    about = row.about
    assert isinstance(about, BlockFacts)
    return BlockRow(
        start=datetime.fromisoformat(row.key),
        end=periods.at(about.end_ms),
        first_at=periods.at(about.first_ms),
        last_at=periods.at(about.last_ms),
        counts=row.counts,
        models=_models(row),
        pace=about.pace,
    )


def _models(row: model.Row) -> tuple[ModelRow, ...]:
    return tuple(map(_model, row.models))


_KINDS: Mapping[str, Callable[[model.Row], Row]] = {
    "daily": _day,
    "weekly": _week,
    "monthly": _month,
    "sessions": _session,
    "projects": _project,
    "models": _model,
    "hosts": _host,
    "users": _user,
    "blocks": _block,
}
