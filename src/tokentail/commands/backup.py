"""`tokentail backup`: a copy of the store, made while others use it."""

from __future__ import annotations

import argparse
from pathlib import Path

from tokentail.commands import options
from tokentail.reports import text


def configure(parser: argparse.ArgumentParser, name: str) -> None:
    parser.description = "Copy the store to a file while others go on reading and writing it, and check the copy."
    options.add_places(parser)
    parser.add_argument("file", metavar="FILE", help="the copy, in a folder that exists")
    parser.add_argument("--force", action="store_true", help="replace the file if there is one")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from tokentail.backup import back_up

    target = Path(args.file).expanduser()
    with options.ending_like_ctrl_c():
        made = back_up(options.store_path(args), target, overwrite=args.force)
    print(f"The store was copied to {text.safe(str(target))} ({made.size_bytes / 1e6:,.1f} MB, {made.replies:,} replies).")
    return 0
