"""`tokentail prices`: the price list in use, and a newer one in its place."""

from __future__ import annotations

import argparse
import contextlib
import os
import sqlite3
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from tokentail import database, prices
from tokentail.commands import options
from tokentail.errors import StoreError
from tokentail.prices import PriceList
from tokentail.reports import text

Answer = TypeVar("Answer")


def configure(parser: argparse.ArgumentParser, name: str) -> None:
    parser.description = (
        "What tokens cost by model and date, where each price was found, and which models in the store have none. "
        "Reads no logs and opens no connection."
    )
    options.add_places(parser)
    parser.add_argument("--model", action="append", default=[], metavar="NAME", help="only this model; * and ? as in a shell")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--json", action="store_true", help="one JSON object (docs/json.md)")
    what.add_argument("--import", metavar="FILE", dest="import_file", help="use the list in FILE instead of an older one")
    what.add_argument("--reset", action="store_true", help="take the imported list away")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    home = database.home_folder(os.environ)
    if args.import_file is not None:
        return _import(Path(args.import_file).expanduser(), home, args)
    if args.reset:
        return _reset(home)
    return _show(home, args)


def _show(home: Path, args: argparse.Namespace) -> int:
    from tokentail.reports.price_list import shown
    from tokentail.reports.unpriced import left_open

    wanted = _wanted(args.model)
    in_use = _saying_of_an_older_one(options.prices_in_use(args), home)
    left, code = _ask_store(args, lambda db: left_open(db, in_use, wanted))
    view = shown(in_use, left, wanted)
    if args.json:
        from tokentail.reports.price_json import price_json

        print(price_json(view))
    else:
        from tokentail.reports.price_table import price_table

        style = text.Style.of(sys.stdout, os.environ)
        sys.stdout.write(price_table(view, width=text.terminal_width(sys.stdout), style=style))
    return code


def _import(file: Path, home: Path, args: argparse.Namespace) -> int:
    from tokentail.prices.changes import changes_between
    from tokentail.prices.importing import import_list
    from tokentail.reports.price_table import changes_text
    from tokentail.reports.unpriced import used_by_model

    before = prices.in_use(home)
    after = import_list(file, home, today=datetime.now(UTC).date())
    changes = changes_between(before, after)
    used, code = _ask_store(args, lambda db: used_by_model(db, prices.normalise)) if changes.gone else ({}, 0)
    was = f"the imported one of {before.as_of}" if before.is_imported else f"the one of {before.as_of} that ships with tokentail"
    print(f"The list of {after.as_of} is in use from now on, in place of {was}.")
    sys.stdout.write(changes_text(changes, used or {}, width=text.terminal_width(sys.stdout), style=text.Style.of(sys.stdout, os.environ)))
    return code


def _reset(home: Path) -> int:
    from tokentail.prices.importing import reset

    print(
        f"The imported list is gone. In use is the one that ships with tokentail, of {prices.load().as_of}."
        if reset(home)
        else f"No list was imported. In use is the one that ships with tokentail, of {prices.load().as_of}."
    )
    return 0


def _saying_of_an_older_one(in_use: PriceList, home: Path) -> PriceList:
    if in_use.is_imported or in_use.problems or not prices.imported_path(home).exists():
        return in_use
    return in_use.with_problem(
        "the imported list is not used, because it is older than the one that ships with tokentail"
        " (`tokentail prices --reset` takes it away)"
    )


def _ask_store(args: argparse.Namespace, question: Callable[[sqlite3.Connection], Answer]) -> tuple[Answer | None, int]:
    """What the store answers, and the exit code; None where nothing is counted yet, or it cannot be read, which is said."""
    path = options.store_path(args)
    if not path.exists():
        return None, 0
    try:
        with contextlib.closing(database.open_for_reading(path)) as db:
            return question(db), 0
    except StoreError as error:
        text.warn(str(error))
    except sqlite3.DatabaseError as error:
        text.warn(f"cannot read the store {path}: {error} (run `tokentail daily` first, which puts it in order)")
    return None, 1


def _wanted(asked: Sequence[str]) -> Callable[[str], bool] | None:
    """Is a model one of those that were asked for, in whatever way it is written? None where none were."""
    from tokentail.projects import matches

    names = [name for each in asked for name in (each, prices.normalise(each))]
    return (lambda model: any(matches((model, prices.normalise(model)), name) for name in names)) if names else None
