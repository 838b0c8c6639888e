"""The reports: what was used and cost, by day, week, month, session, project, model, machine, person or five-hour window."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from tokentail import database
from tokentail.commands import options
from tokentail.config import ROUNDINGS, WEEKDAYS
from tokentail.errors import UsageError
from tokentail.reports import text

if TYPE_CHECKING:
    import sqlite3

    from tokentail.model import Problem, Report, Source, Update
    from tokentail.reports.request import Estimates, Request


_REPORTS: Mapping[str, str] = {
    "daily": "What each day used and cost, oldest first.",
    "weekly": "What each week used and cost, oldest first; a week is named by its first day.",
    "monthly": "What each month used and cost, oldest first.",
    "sessions": "What each session used and cost, oldest first; what its subagents used is part of it, and shown under it.",
    "projects": "What each project used and cost, costliest first.",
    "models": "What each model used and cost, costliest first.",
    "hosts": "What each machine used and cost, costliest first, where others send to this one.",
    "users": "What each person used and cost, costliest first, where other machines send to this one.",
    "blocks": "What each five-hour window used and cost, and where the running one leads.",
}


def configure(parser: argparse.ArgumentParser, name: str) -> None:
    parser.description = _REPORTS[name]
    options.add_places(parser)
    options.add_period(parser)
    options.add_names(parser)
    options.add_machines(parser)
    if name != "models":
        parser.add_argument("--breakdown", action="store_true", help="each row's models, too")
    if name == "sessions":
        parser.add_argument("--agents", action="store_true", help="each session's subagents one by one")
    if name == "blocks":
        parser.add_argument("--rounding", choices=ROUNDINGS, help="to what the start of a window is rounded down (hour)")
    if name == "projects":
        parser.add_argument("--worktrees", action="store_true", help="worktrees of one repository as one project")
    parser.add_argument(
        "--provenance", action="store_true", help="how much stands in logs on disk, was deleted or rewritten, or came from elsewhere"
    )
    parser.add_argument(
        "--not-final", action="store_true", help="the replies whose output count is a lower bound, and their share of the cost"
    )
    parser.add_argument(
        "--estimate-output",
        action="store_true",
        help="beside the counts, what they may be where the log holds no final output: an estimate",
    )
    orders = ("cost", "tokens", "name") if name == "models" else ("oldest", "newest", "cost", "tokens", "name")
    parser.add_argument("--order", choices=orders, help="which rows come first")
    parser.add_argument("--limit", type=rows_wanted, metavar="N", help="at most so many rows; the totals stay those of all")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="one JSON object (docs/json.md)")
    shape.add_argument("--csv", action="store_true", help="comma-separated values with a header line (docs/json.md)")
    shape.add_argument("--chart", action="store_true", help="bars of what each row cost")
    parser.add_argument("--no-store", action="store_true", help="count the logs anew, by the slow and independent way")
    options.add_store(parser)
    parser.set_defaults(run=run, report=name)


def run(args: argparse.Namespace) -> int:
    if args.provenance and args.no_store:
        raise UsageError("--provenance needs the store: a re-read knows only what is on disk (leave out --no-store)")
    if args.estimate_output and args.no_store:
        raise UsageError("--estimate-output needs the store, which knows where each reply stands (leave out --no-store)")
    if args.store:
        return _central(args)
    request = _request(args)
    report, problems = (_recounted if args.no_store else _stored)(args, request)
    sys.stdout.write(_shown(args, report))
    for hint in report.hints:
        text.warn(hint)
    if not report.rows and not problems and not report.hints:
        options.explain_emptiness(options.source(args), is_choice=options.is_choice(args))
    return options.tell_problems(problems)


def _central(args: argparse.Namespace) -> int:
    """
    The report on a central store; no log of this machine is looked at.

    Raises:
        UsageError: what was asked for only a machine's own store or logs can tell.
    """
    for word, is_there in (
        ("--no-store", args.no_store),
        ("--estimate-output", args.estimate_output),
        ("--source", hasattr(args, "source")),
    ):
        if is_there:
            raise UsageError(f"{word} is about the logs of this machine, and --store about a central store (choose one)")
    from tokentail.fleet.clickhouse.data import opened
    from tokentail.reports.build import build
    from tokentail.reports.request import Context

    price_list = options.price_list(args)
    with contextlib.closing(opened(args.store, price_list)) as data:
        context = Context(price_list, int(time.time() * 1000), (data.name,), dict(options.settings(args).projects.aliases))
        report = build(_request(args), data, context)
        for reason in data.degraded():
            text.warn(reason)
    sys.stdout.write(_shown(args, report))
    for hint in report.hints:
        text.warn(hint)
    return 0


def _shown(args: argparse.Namespace, report: Report) -> str:
    """The report in the shape that was asked for; each one loads only what it needs."""
    if args.json:
        from tokentail.reports.as_json import report_json

        return f"{report_json(report)}\n"
    breakdown = getattr(args, "breakdown", False)
    if args.csv:
        from tokentail.reports.as_csv import report_csv

        return report_csv(report, breakdown=breakdown, agents=getattr(args, "agents", False))
    width, style = text.terminal_width(sys.stdout), text.Style.of(sys.stdout, os.environ)
    if args.chart:
        from tokentail.reports.as_chart import report_chart

        return report_chart(report, width=width, style=style, breakdown=breakdown)
    from tokentail.reports.as_table import report_table

    return report_table(report, width=width, style=style, breakdown=breakdown)


def _request(args: argparse.Namespace) -> Request:
    from tokentail.reports.request import Request  # --help does without

    zone, settings = options.zone(args), options.settings(args)
    since, until = options.period(args, datetime.now(zone).date())
    return Request(
        args.report,
        zone,
        since,
        until,
        tuple(args.project),
        tuple(args.model),
        breakdown=getattr(args, "breakdown", False) or _lists_models(args),
        agents=getattr(args, "agents", False),
        worktrees=getattr(args, "worktrees", False) or settings.projects.worktrees,
        week_starts=WEEKDAYS.index(settings.week_starts),
        rounding=getattr(args, "rounding", None) or settings.blocks.rounding,
        provenance=args.provenance,
        not_final=args.not_final,
        estimate=args.estimate_output,
        order=args.order or "",
        limit=args.limit,
        hosts=tuple(args.hosts),
        users=tuple(args.users),
    )


def _lists_models(args: argparse.Namespace) -> bool:
    """Is it a table that has room for the names of each row's models?"""
    if args.json or args.csv or args.chart:
        return False
    from tokentail.reports.as_table import lists_models

    return lists_models(args.report, text.terminal_width(sys.stdout))


def _stored(args: argparse.Namespace, request: Request) -> tuple[Report, list[Problem]]:
    from tokentail.coordinator import UpdateCoordinator
    from tokentail.queries import malformed_lines
    from tokentail.reports.build import build
    from tokentail.reports.data import Stored
    from tokentail.reports.request import Context

    price_list, source, aliases = options.price_list(args), options.source(args), dict(options.settings(args).projects.aliases)

    def answer(db: sqlite3.Connection, update: Update) -> Report:
        with database.snapshot(db):
            estimates = _estimates(db, source) if request.estimate else None
            context = Context(price_list, update.started_at_ms, source.names, aliases, malformed_lines(db), update.degraded, estimates)
            return build(request, Stored(db, price_list), context)

    with contextlib.closing(
        UpdateCoordinator(source, options.store_path(args), prices=price_list, progress=options.progress())
    ) as coordinator:
        report, update = coordinator.answer(answer)
    return report, update.problems


def _estimates(db: sqlite3.Connection, source: Source) -> Estimates:
    from functools import partial

    from tokentail.estimate import between

    return partial(between, db, source)


def _recounted(args: argparse.Namespace, request: Request) -> tuple[Report, list[Problem]]:
    from tokentail.reports.from_logs import report_from_logs
    from tokentail.reports.request import Context
    from tokentail.time_index import index_path

    price_list, source = options.price_list(args), options.source(args)
    context = Context(price_list, int(time.time() * 1000), source.names, dict(options.settings(args).projects.aliases))
    return report_from_logs(request, source, index_path(options.store_path(args)), context, announce=source.announce)


def rows_wanted(word: str) -> int:
    number = int(word)
    if number < 1:
        raise ValueError(word)
    return number


rows_wanted.__name__ = "number of rows"  # argparse names it in its message
