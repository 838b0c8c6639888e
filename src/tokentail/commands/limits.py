"""`tokentail limits`: how far the limits are used, where that leads, and by whose work."""

from __future__ import annotations

import argparse
import contextlib
import os
import sqlite3
import sys
from typing import TYPE_CHECKING

from tokentail import database
from tokentail.commands import options
from tokentail.config import ROUNDINGS
from tokentail.reports import text

if TYPE_CHECKING:
    from tokentail.model import Update


def configure(parser: argparse.ArgumentParser, name: str) -> None:
    parser.description = "How far the limits of five hours and of seven days are used, where that leads, and by whose work."
    options.add_places(parser)
    options.add_zone(parser)
    parser.add_argument("--rounding", choices=ROUNDINGS, help="to what the start of a window is rounded down, where nobody said it (hour)")
    parser.add_argument("--backtest", action="store_true", help="how wrong looking ahead would have been in past windows, too")
    parser.add_argument("--json", action="store_true", help="one JSON object (docs/json.md)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from tokentail import queries
    from tokentail.coordinator import UpdateCoordinator
    from tokentail.limits import limits, past
    from tokentail.projects import Projects

    zone, settings, price_list = options.zone(args), options.settings(args), options.price_list(args)
    rounding = args.rounding or settings.blocks.rounding
    errors: list[past.Error] = []

    def answer(db: sqlite3.Connection, update: Update) -> str:
        now_ms = update.started_at_ms
        with database.snapshot(db):
            steady = past.steadiness(db, price_list, now_ms, rounding=rounding)
            found = limits(db, price_list, now_ms, rounding=rounding, steadiness=steady)
            names = Projects(queries.project_folders(db), dict(settings.projects.aliases))
            if args.backtest:
                errors.extend(past.backtest(db, price_list, now_ms, rounding=rounding))
        if args.json:
            from tokentail.limits.as_json import limits_json

            return f"{limits_json(found, now_ms, steady, errors, names.name)}\n"
        from tokentail.limits.as_text import errors_text, limits_text

        style = text.Style.of(sys.stdout, os.environ)
        return limits_text(found, now_ms, zone, style, names.name) + (errors_text(errors) if args.backtest else "")

    source, path = options.source(args), options.store_path(args)
    with contextlib.closing(UpdateCoordinator(source, path, prices=price_list, progress=options.progress())) as coordinator:
        shown, update = coordinator.answer(answer)
    sys.stdout.write(shown)
    for reason in update.degraded:
        text.warn(reason)
    return options.tell_problems(update.problems)
