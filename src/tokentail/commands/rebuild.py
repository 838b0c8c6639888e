"""`tokentail rebuild`: the store made anew from the logs."""

from __future__ import annotations

import argparse
import contextlib

from tokentail import prices
from tokentail.commands import options
from tokentail.reports import text

MAX_NAMED = 10


def configure(parser: argparse.ArgumentParser, name: str) -> None:
    parser.description = (
        "Make the store anew from the logs, and take over from the old one what they no longer hold. The old one is kept beside it."
    )
    options.add_places(parser)
    parser.add_argument("--discard", action="store_true", help="do not keep the old store")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from tokentail.coordinator import UpdateCoordinator

    made = UpdateCoordinator(options.source(args), options.store_path(args), prices=prices.load(), progress=options.progress())
    with contextlib.closing(made) as coordinator, options.steps() as tell:
        renewed, update = coordinator.rebuild(keeps_old=not args.discard, tell=tell)
    for reason in update.degraded:
        text.warn(reason)
    print(f"The store was made anew from {update.metrics.files_read:,} logs: it holds {renewed.replies:,} replies.")
    if renewed.carried:
        print(f"  {renewed.carried:,} records were taken over from the old one: some of their lines stand in no log any more.")
    if renewed.corrected:
        named = ", ".join(map(text.safe, renewed.corrected[:MAX_NAMED])) + (", ..." if len(renewed.corrected) > MAX_NAMED else "")
        print(f"  {len(renewed.corrected):,} replies were put right, which the logs give in another way: {named}")
    if renewed.aside is not None:
        print(f"The old one is kept: {text.safe(str(renewed.aside))} (delete it when you are content)")
    return options.tell_problems(update.problems)
