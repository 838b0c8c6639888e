"""`tokentail daily`: what each day used and cost, from the store or without it."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from datetime import date, datetime
from zoneinfo import ZoneInfo

from tokentail import prices
from tokentail.commands import options
from tokentail.model import Problem, Report
from tokentail.reports import text


def configure(parser: argparse.ArgumentParser, name: str) -> None:
    parser.description = "What each day used and cost, oldest first."
    options.add_places(parser)
    options.add_period(parser)
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="one JSON object (docs/json.md)")
    shape.add_argument("--csv", action="store_true", help="comma-separated values with a header line")
    parser.add_argument("--no-store", action="store_true", help="read all logs anew, by the slow and independent way")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    zone = options.zone(args)
    since, until = options.period(args, datetime.now(zone).date())
    report, problems = (_recounted if args.no_store else _stored)(args, zone, since, until)
    if args.json:
        from tokentail.reports.as_json import report_json  # json is not needed for a table

        print(report_json(report))
    elif args.csv:
        from tokentail.reports.as_csv import report_csv

        sys.stdout.write(report_csv(report))
    else:
        style = text.Style.of(sys.stdout, os.environ)
        sys.stdout.write(text.report_table(report, width=text.terminal_width(sys.stdout), style=style))
    if not report.rows and not problems:
        options.explain_emptiness(options.source(args), has_period=since is not None or until is not None)
    return options.tell_problems(problems)


def _stored(args: argparse.Namespace, zone: ZoneInfo, since: date | None, until: date | None) -> tuple[Report, list[Problem]]:
    from tokentail.coordinator import UpdateCoordinator  # --help does without
    from tokentail.reports import daily

    price_list, source = prices.load(), options.source(args)
    with contextlib.closing(
        UpdateCoordinator(source, options.store_path(args), prices=price_list, progress=options.progress())
    ) as coordinator:
        report, update = coordinator.answer(
            lambda db, update: daily.from_store(
                db, price_list, zone=zone, since=since, until=until, sources=source.names, degraded=update.degraded
            )
        )
    return report, update.problems


def _recounted(args: argparse.Namespace, zone: ZoneInfo, since: date | None, until: date | None) -> tuple[Report, list[Problem]]:
    from tokentail.recount import recount
    from tokentail.reports import daily

    source = options.source(args)
    counted = recount(source)
    report = daily.from_replies(
        counted.replies,
        prices.load(),
        zone=zone,
        since=since,
        until=until,
        sources=source.names,
        malformed_lines=counted.malformed_lines,
    )
    return report, counted.problems
