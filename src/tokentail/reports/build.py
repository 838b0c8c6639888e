"""The only place that makes reports: what is chosen, which kind of report adds it up, in which order it is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from tokentail import machines, periods
from tokentail.errors import UsageError
from tokentail.model import Notes, Report, Row
from tokentail.periods import LocalDay
from tokentail.prices import normalise
from tokentail.projects import Projects, matches
from tokentail.reports import blocks, by_machine, by_model, by_period, by_project, by_session
from tokentail.reports.data import Data
from tokentail.reports.hints import unknown_name, why_empty
from tokentail.reports.parts import with_estimates, with_not_final, with_provenance
from tokentail.reports.request import Context, Request
from tokentail.reports.scope import Scope, Tally

# A kind takes what is chosen and gives its rows, in no order, having added everything to the tally.
Kind = Callable[[Request, Data, Context, Scope, Tally], Sequence[Row]]
KINDS: Mapping[str, tuple[Kind, str]] = {  # with their own order
    "daily": (by_period.rows, "oldest"),
    "weekly": (by_period.rows, "oldest"),
    "monthly": (by_period.rows, "oldest"),
    "sessions": (by_session.rows, "oldest"),
    "projects": (by_project.rows, "cost"),
    "models": (by_model.rows, "cost"),
    "hosts": (by_machine.rows, "cost"),
    "users": (by_machine.rows, "cost"),
    "blocks": (blocks.rows, "oldest"),
}
ORDERS = ("oldest", "newest", "cost", "tokens", "name")


def build(request: Request, data: Data, context: Context) -> Report:
    """
    The report that was asked for.

    Its totals are those of all rows, also of those that a limit leaves out.

    Raises:
        UsageError: the report has no such order.
    """
    scope = scope_of(request, data, context)
    kind, own_order = KINDS[request.report]
    tally = Tally(context.prices, breakdown=request.breakdown)
    rows = _ordered(kind(request, data, context, scope, tally), request.order or own_order, request.report)
    totals = tally.totals()
    notes = Notes(totals.not_final_replies, tally.unpriced_models(), context.malformed_lines, tuple(context.degraded))
    shown = tuple(_limited(rows, request.limit, request.order or own_order))
    hints = scope.hints if rows else tuple(why_empty(request, data, context, scope))
    report = Report(request.report, request.zone.key, tuple(map(shown_path, context.sources)), shown, totals, notes, hints)
    again = partial(kind, request, data, context)
    if request.provenance:
        report = with_provenance(report, scope, again, context.prices)
    if request.not_final:
        report = with_not_final(report, scope, again, context.prices)
    if request.estimate:
        report = with_estimates(report, scope, lambda added, into: kind(request, added, context, scope, into), data, context)
    return report


def shown_path(path: str) -> str:
    """A path as a person writes it: the home folder as `~`."""
    home = str(Path.home())
    return f"~{path[len(home) :]}" if path == home or path.startswith(f"{home}/") else path


def scope_of(request: Request, data: Data, context: Context) -> Scope:
    """What of all usage is asked for."""
    needs_names = bool(request.projects) or request.report in ("sessions", "projects", "export")
    projects = Projects(data.folders() if needs_names else {}, context.aliases)
    hints: list[str] = []
    slugs = models = None
    if request.projects:
        slugs = chosen_projects(request, projects)
        hints += [unknown_name("project", asked, projects.all_names()) for asked in request.projects if not projects.matching([asked])]
    if request.models:
        called = {name: (name, normalise(name)) for name in data.models()}
        models = {name for name in called if is_chosen_model(request, name)}
        hints += [
            unknown_name("model", asked, called) for asked in request.models if not any(matches(names, asked) for names in called.values())
        ]
    users, hosts = _chosen_machines(request, data, hints)
    days = _chosen_days(request, data)
    return Scope(days, projects, slugs, models, tuple(hints), subagents=request.subagents, users=users, hosts=hosts)


def chosen_projects(request: Request, projects: Projects) -> set[str]:
    """The slugs of the projects that are asked for."""
    slugs = projects.matching(request.projects)
    if not request.worktrees:
        return slugs
    chosen = {projects.repository(slug) for slug in slugs}
    return {slug for slug in projects.folders if projects.repository(slug) in chosen}


def is_chosen_model(request: Request, model: str) -> bool:
    """Is it one of the models that are asked for?"""
    return any(matches((model, normalise(model)), asked) for asked in request.models)


def _chosen_machines(request: Request, data: Data, hints: list[str]) -> tuple[set[str] | None, set[str] | None]:
    """The users and the hosts that are asked for; hints are added."""
    is_choice = request.users or request.hosts
    if not is_choice and request.report != "blocks":
        return None, None
    known = data.machines()
    if not is_choice and len(known) > 1:
        hints.append("these windows are of several machines together, but a limit is a person's (--user NAME shows one's)")
    chosen: list[set[str] | None] = []
    for what, asked, names in (("user", request.users, {user for user, _ in known}), ("host", request.hosts, {host for _, host in known})):
        chosen.append(machines.meant(names, asked) if asked else None)
        hints += [unknown_name(what, each, names - {""}) for each in asked if not machines.meant({"", *names}, [each])]
    users, hosts = chosen
    return users, hosts


def _chosen_days(request: Request, data: Data) -> list[LocalDay]:
    """The local days that have usage, as far as they are asked for."""
    since, until = request.since, request.until
    days = periods.local_days(request.zone, data.days())
    return [each for each in days if (since is None or each.day >= since) and (until is None or each.day <= until)]


def _ordered(rows: Sequence[Row], order: str, report: str) -> list[Row]:
    match order:
        case "cost":
            return sorted(rows, key=lambda row: (-(row.counts.cost_usd or 0), -row.counts.total_tokens, row.key))
        case "tokens":
            return sorted(rows, key=lambda row: (-row.counts.total_tokens, row.key))
        case "name":
            return sorted(rows, key=lambda row: (getattr(row.about, "name", ""), row.key))
        case "oldest" | "newest" if report != "models":
            return sorted(rows, key=lambda row: (getattr(row.about, "first_ms", 0), row.key), reverse=order == "newest")
    raise UsageError(f"{report} cannot be ordered by {order!r} (use cost, tokens or name)")


def _limited(rows: Sequence[Row], limit: int | None, order: str) -> Sequence[Row]:
    """The first rows; of those that are shown oldest first, the newest."""
    if limit is None:
        return rows
    return rows[max(len(rows) - limit, 0) :] if order == "oldest" else rows[:limit]
