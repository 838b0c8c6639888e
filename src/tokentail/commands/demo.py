"""`tokentail demo`: made-up logs to try it on."""

from __future__ import annotations

import argparse
from pathlib import Path

from tokentail.commands import options
from tokentail.errors import UsageError


def configure(parser: argparse.ArgumentParser, name: str) -> None:
    parser.description = "The live screen on made-up logs that go on being written, in a temporary folder."
    options.add_zone(parser)
    parser.add_argument("--rate", type=float, default=2.0, metavar="N", help="lines written a second (2)")
    parser.add_argument("--write", metavar="DIR", help="only write the logs, into a new folder, and end")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from tokentail import demo_run

    if args.write is not None:
        return demo_run.write_only(Path(args.write))
    if not 0 < args.rate <= 1000:
        raise UsageError(f"--rate {args.rate:g} is not between 0 and 1000 lines a second")
    return demo_run.show(zone=options.zone(args), rate_per_s=args.rate, on_terminal=options.on_terminal())
