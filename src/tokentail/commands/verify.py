"""`tokentail verify`: the store against a full re-read."""

from __future__ import annotations

import argparse
import contextlib
import sys
from typing import TYPE_CHECKING

from tokentail.commands import options
from tokentail.errors import UsageError
from tokentail.reports import text

if TYPE_CHECKING:
    from tokentail.coordinator import UpdateCoordinator

EVERY_S = 60.0


def configure(parser: argparse.ArgumentParser, name: str) -> None:
    parser.description = "Read all logs anew, without the store, and show every difference; exit code 1 when there is one."
    options.add_places(parser)
    parser.add_argument("--follow", action="store_true", help="go on until it is stopped, beside the store that follows the logs")
    parser.add_argument("--every", type=float, metavar="SECONDS", help=f"how often --follow reads all logs anew ({EVERY_S:g})")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from tokentail.coordinator import UpdateCoordinator
    from tokentail.recount import recount
    from tokentail.verify import verdict_text, verify

    if args.every is not None and not (args.follow and args.every > 0):
        raise UsageError("--every takes a number of seconds above 0, and goes with --follow")
    source = options.source(args)
    with contextlib.closing(
        UpdateCoordinator(source, options.store_path(args), prices=options.price_list(args), progress=options.progress())
    ) as coordinator:
        if args.follow:
            return _follow(coordinator, args)
        # The re-read comes first: what is appended meanwhile is then in the store, and not only in the logs.
        counted = recount(source, announce=source.announce)
        verdict, update = coordinator.answer(lambda db, _: verify(db, counted))
    sys.stdout.write(text.safe_lines(verdict_text(verdict, counted)))
    return max(options.tell_problems([*update.problems, *counted.problems]), 0 if verdict.agrees else 1)


def _follow(coordinator: UpdateCoordinator, args: argparse.Namespace) -> int:
    """A line for each comparison and what it found that is new; 1 when there was a difference, or something could not be read."""
    import time

    from tokentail import parallel, periods
    from tokentail.verify import difference_lines

    told: set[object] = set()
    code = 0
    with options.stopping(coordinator) as stop:
        for found in parallel.rounds(coordinator, options.source(args), stop, every_s=args.every or EVERY_S):
            verdict = found.verdict
            at = periods.at(int(time.time() * 1000)).strftime("%Y-%m-%d %H:%M:%S")
            says = f"{len(verdict.differences):,} NEW DIFFERENCES" if verdict.differences else "no new difference"
            held = f"{verdict.replies_in_logs:,} replies in the logs, {verdict.replies_in_store:,} in the store"
            sys.stdout.write(text.safe_lines("\n".join([f"{at} UTC  {held}: {says}", *difference_lines(verdict)])))
            sys.stdout.flush()
            for reason in found.degraded:
                if reason not in told:
                    text.warn(reason)
            problems = [one for one in (*found.problems, *found.counted.problems) if one not in told]
            told.update((*problems, *found.degraded))
            code = max(code, options.tell_problems(problems), 0 if verdict.agrees else 1)
    return code
