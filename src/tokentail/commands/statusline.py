"""`tokentail statusline`: one line for Claude Code, and putting it in and out of its settings."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tokentail.commands import options
from tokentail.errors import UsageError
from tokentail.reports import text


def configure(parser: argparse.ArgumentParser, name: str) -> None:
    parser.description = "One line for Claude Code, which gives its JSON on stdin; docs/statusline.md says how to have it another way."
    options.add_places(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--install", action="store_true", help="make it Claude Code's status line, in its settings.json")
    what.add_argument("--uninstall", action="store_true", help="take it out again, and bring back the one before")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if args.install or args.uninstall:
        return _change(args, to_install=args.install)
    if sys.stdin.isatty():
        raise UsageError("statusline reads what Claude Code gives it on stdin (`tokentail statusline --install` puts it in its settings)")
    from tokentail.statusline import show

    return show.main(getattr(args, "source", ()))


def _change(args: argparse.Namespace, *, to_install: bool) -> int:
    from tokentail import database
    from tokentail.statusline import settings

    home = Path(os.environ.get("HOME") or Path.home())
    path = settings.settings_path(os.environ, home)
    memory = database.home_folder(os.environ) / "statusline-before.json"
    done = settings.install(path, settings.command_of(_program()), memory) if to_install else settings.uninstall(path, memory)
    print(text.safe(f"{done.said}: {done.settings}"))
    if done.backup is not None:
        print(text.safe(f"What the file was is in {done.backup}"))
    if to_install and not options.store_path(args).exists():
        text.warn("nothing was counted yet: run `tokentail daily` once, and the status line knows what came before it")
    return 0


def _program() -> list[str]:
    """How this program is started, from any folder."""
    started = os.path.abspath(sys.argv[0])
    if os.path.basename(started) == "tokentail" and os.access(started, os.X_OK):
        return [started]
    return [sys.executable, "-m", "tokentail"]
