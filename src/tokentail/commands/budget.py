"""`tokentail budget`: how the budgets of the settings stand, and telling when one is crossed."""

from __future__ import annotations

import argparse
import contextlib
import os
import sqlite3
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tokentail import database
from tokentail.commands import options
from tokentail.errors import UsageError
from tokentail.reports import text

if TYPE_CHECKING:
    from tokentail.budgets.channels import Channels
    from tokentail.budgets.firing import Fired
    from tokentail.budgets.measuring import Standing
    from tokentail.budgets.memory import Memory
    from tokentail.coordinator import UpdateCoordinator

CROSSED = 3  # the exit code of --check
LOOK_EVERY_S = 2.0


def configure(parser: argparse.ArgumentParser, name: str) -> None:
    parser.description = "How the budgets of your settings stand (docs/budgets.md). By itself it tells nobody but you."
    options.add_places(parser)
    options.add_zone(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--check", action="store_true", help=f"tell of what is crossed and was not told yet; exit code {CROSSED} where anything is crossed"
    )
    what.add_argument("--watch", action="store_true", help="do so as soon as it happens, until it is stopped")
    what.add_argument("--test", metavar="NAME", help="tell of the budget with this name now, in all its ways, as a test")
    parser.add_argument("--json", action="store_true", help="one JSON object (docs/budgets.md)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from tokentail.coordinator import UpdateCoordinator

    options.zone(args)  # a wrong one is told before anything is read
    coordinator = UpdateCoordinator(
        options.source(args), options.store_path(args), prices=options.price_list(args), progress=options.progress()
    )
    with contextlib.closing(coordinator):
        if args.watch:
            return _watch(coordinator, args)
        standings, update = coordinator.answer(lambda db, _: _standings(db, args))
        for reason in update.degraded:
            text.warn(reason)
        code = options.tell_problems(update.problems)
        if args.test is not None:
            return max(code, _test(standings, args))
        if args.check:
            code = max(code, options.tell_crossings(_fire(standings, args)))
        sys.stdout.write(_shown(standings, args))
        for hint in dict.fromkeys(hint for each in standings for hint in each.hints):
            text.warn(hint)
        return CROSSED if args.check and any(each.is_crossed for each in standings) else code


def _standings(db: sqlite3.Connection, args: argparse.Namespace) -> list[Standing]:
    from tokentail.budgets.measuring import standings

    with database.snapshot(db):
        return standings(db, options.settings(args), options.prices_in_use(args), options.zone(args), int(time.time() * 1000))


def _shown(standings: Sequence[Standing], args: argparse.Namespace) -> str:
    from tokentail.budgets import showing

    if args.json:
        return f"{showing.budgets_json(standings, _memory(args).read())}\n"
    return showing.budgets_text(standings, width=text.terminal_width(sys.stdout), style=text.Style.of(sys.stdout, os.environ))


def _fire(standings: Sequence[Standing], args: argparse.Namespace) -> Fired:
    from tokentail.budgets.firing import fire

    return fire(standings, _memory(args), _channels(args), int(time.time() * 1000))


def _watch(coordinator: UpdateCoordinator, args: argparse.Namespace) -> int:
    if not options.settings(args).budgets:
        raise UsageError("there is no budget to watch (docs/budgets.md shows how to set one)")
    code, next_look, said = 0, 0.0, set[str]()
    with options.stopping(coordinator) as stop:
        for update in coordinator.follow(stop):
            for reason in (*update.degraded, *(f"cannot read {problem.where}: {problem.why}" for problem in update.problems)):
                if reason not in said:
                    said.add(reason)
                    text.warn(reason)
            if update.catching_up or time.monotonic() < next_look:
                continue
            code = max(code, options.tell_crossings(_fire(_standings(coordinator.db, args), args)))
            if not next_look:
                print("ready", file=sys.stderr, flush=True)
            next_look = time.monotonic() + LOOK_EVERY_S
    return code


def _test(standings: Sequence[Standing], args: argparse.Namespace) -> int:
    """Tell of a budget as if it had been crossed now; nothing is remembered of it."""
    from tokentail.budgets.channels import Channels, Told
    from tokentail.spelling import near

    found = next((each for each in standings if each.budget.name == args.test), None)
    if found is None:
        names = near(args.test, [each.budget.name for each in standings])
        raise UsageError(f"there is no budget {args.test!r} ({f'did you mean {names[0]}?' if names else '`tokentail budget` shows all'})")
    ways, code = Channels.of(found.budget), 0
    for way in ways:
        why = _channels(args).tell(way, Told(found, int(time.time() * 1000), is_test=True))
        print(f"{way}: {text.safe(why) or 'told'}")
        code = max(code, bool(why))
    if not ways:
        print("This budget is told to nobody: it has no desktop, webhook or command.")
    return code


def _memory(args: argparse.Namespace) -> Memory:
    from tokentail.budgets.memory import Memory

    return Memory(options.store_path(args))


def _channels(args: argparse.Namespace) -> Channels:
    from tokentail.budgets.channels import Channels

    return Channels(options.settings(args), os.environ)
