"""`tokentail` without a command: the live screen on a terminal, today's overview elsewhere."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys

from tokentail.commands import options
from tokentail.reports import text


def configure(parser: argparse.ArgumentParser, name: str) -> None:
    options.add_places(parser)
    options.add_interval(parser)
    options.add_zone(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    source, path = options.source(args), options.store_path(args)
    # What was counted once is shown even when its logs are gone.
    if options.given_places(args) is None and not path.exists() and not source.list_files().files:
        from tokentail import demo_run

        options.explain_emptiness(source, is_choice=False)
        print("Here is the demo instead, on made-up logs:\n", file=sys.stderr)
        return demo_run.show(zone=options.zone(args), rate_per_s=2.0, on_terminal=options.on_terminal())
    from tokentail.coordinator import UpdateCoordinator

    price_list = options.price_list(args)
    with contextlib.closing(UpdateCoordinator(source, path, prices=price_list, progress=options.progress())) as coordinator:
        if not options.on_terminal():
            from tokentail.reports.overview import overview, overview_text

            zone = options.zone(args)
            seen, update = coordinator.answer(lambda db, update: overview(db, price_list, zone, update.started_at_ms))
            sys.stdout.write(overview_text(seen, update, zone, text.Style.of(sys.stdout, os.environ)))
            return options.tell_problems(update.problems)
        from tokentail.tui.app import run_screen

        with options.watching_budgets(args, price_list, is_quiet=True):
            return run_screen(coordinator, price_list, options.zone(args), label="", settings=options.settings(args))
