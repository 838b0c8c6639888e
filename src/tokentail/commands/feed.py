"""`tokentail feed`: one line for every reply, as it happens."""

from __future__ import annotations

import argparse
import contextlib
import sys
from datetime import datetime

from tokentail import periods
from tokentail.commands import options


def configure(parser: argparse.ArgumentParser, name: str) -> None:
    parser.description = "One line for every reply, as it happens."
    options.add_places(parser)
    options.add_interval(parser)
    options.add_zone(parser)
    parser.add_argument("--since", metavar="DAY", help="first the replies from that day on (2026-10-01, today, 7d, 2026-W40)")
    options.add_machines(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object a line (docs/json.md)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from tokentail import feed
    from tokentail.coordinator import UpdateCoordinator

    zone = options.zone(args)
    since_ms = None
    if args.since is not None:
        since_ms = periods.day_start_ms(periods.parse_days(args.since, today=datetime.now(zone).date())[0], zone)
    price_list = options.price_list(args)
    coordinator = UpdateCoordinator(options.source(args), options.store_path(args), prices=price_list, progress=options.progress())
    lines = feed.Lines(coordinator, price_list, zone, dict(options.settings(args).projects.aliases))
    write = lines.json if args.json else lines.text
    with options.stopping(coordinator) as stop, contextlib.closing(coordinator), options.watching_budgets(args, price_list):
        tell = feed.of_machines(lambda change: print(write(change)), hosts=args.hosts, users=args.users)
        return feed.run(coordinator, tell, since_ms=since_ms, stop=stop, flush=sys.stdout.flush)
