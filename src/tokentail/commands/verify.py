"""`tokentail verify`: the store against a full re-read."""

from __future__ import annotations

import argparse
import contextlib
import sys

from tokentail.commands import options
from tokentail.reports import text


def configure(parser: argparse.ArgumentParser, name: str) -> None:
    parser.description = "Read all logs anew, without the store, and show every difference; exit code 1 when there is one."
    options.add_places(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from tokentail.coordinator import UpdateCoordinator
    from tokentail.recount import recount
    from tokentail.verify import verdict_text, verify

    source = options.source(args)
    with contextlib.closing(
        UpdateCoordinator(source, options.store_path(args), prices=options.price_list(args), progress=options.progress())
    ) as coordinator:
        # The re-read comes first: what is appended meanwhile is then in the store, and not only in the logs.
        counted = recount(source)
        verdict, update = coordinator.answer(lambda db, _: verify(db, counted))
    sys.stdout.write(text.safe_lines(verdict_text(verdict, counted)))
    return max(options.tell_problems([*update.problems, *counted.problems]), 0 if verdict.agrees else 1)
