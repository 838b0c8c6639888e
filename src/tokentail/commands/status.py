"""`tokentail status`: what is tracked and how well."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time

from tokentail.commands import options
from tokentail.reports import text

_WAIT_S = 1.0  # for another process's pass, before saying that there is one


def configure(parser: argparse.ArgumentParser, name: str) -> None:
    parser.description = "What is tracked and how well, after a look at the logs: folders, files, the store, the last looks."
    options.add_places(parser)
    options.add_zone(parser)
    parser.add_argument("--no-update", action="store_true", help="how things stand without a look at the logs before")
    parser.add_argument("--json", action="store_true", help="one JSON object (docs/json.md)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from tokentail.coordinator import UpdateCoordinator  # --help does without
    from tokentail.status.now import take_status

    zone, source, path, price_list = options.zone(args), options.source(args), options.store_path(args), options.prices_in_use(args)
    coordinator = UpdateCoordinator(source, path, prices=price_list, progress=options.progress(), wait_s=_WAIT_S)
    with contextlib.closing(coordinator):
        looking = None if args.no_update else coordinator
        status = take_status(source, path, price_list, coordinator=looking, now_ms=int(time.time() * 1000))
    if args.json:
        from tokentail.status.as_json import status_json

        print(status_json(status, zone))
    else:
        from tokentail.status.as_text import status_text

        sys.stdout.write(status_text(status, zone, text.Style.of(sys.stdout, os.environ)))
    return 1 if status.problems or (status.store.exists and status.census is None) else 0
