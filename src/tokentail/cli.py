"""The only place that turns words into calls and errors into exit codes."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Collection, Sequence

from tokentail import __version__
from tokentail.commands import COMMANDS, SCREEN
from tokentail.errors import TokentailError
from tokentail.reports import text


def main(argv: Sequence[str]) -> int:
    """
    Run one command.

    Returns:
        0 done, 1 a file, source or store could not be read or written, 2 wrong usage.
    """
    try:
        code = _run(argv)
        sys.stdout.flush()
        return code
    except TokentailError as error:
        text.warn(str(error))
        return error.exit_code
    except BrokenPipeError:  # `tokentail daily | head` ends quietly
        _write_no_more()
        return 0
    except OSError as error:  # what is read and stored has errors of its own: this is a full disk behind stdout
        _write_no_more()
        text.warn(f"cannot go on: {error} (is there room for the output?)")
        return 1
    except KeyboardInterrupt:
        return 130


def _write_no_more() -> None:
    """What stdout still holds goes nowhere, or Python would try to write it when it ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(argv: Sequence[str]) -> int:
    try:
        args = build_parser(argv).parse_args(argv)
    except SystemExit as stop:  # argparse has said what it had to say
        return int(stop.code or 0)
    code: int = args.run(args)
    return code


def build_parser(only: Collection[str] = COMMANDS.keys()) -> argparse.ArgumentParser:
    """
    Every command, and the options of those that are named in `only`: a command line can mean no others.

    A test holds the README against it.
    """
    parser = _Parser(
        prog="tokentail",
        description="What your coding agents use, counted exactly, while they use it.",
        epilog="Without a command: the live screen on a terminal, today's overview elsewhere.",
    )
    parser.add_argument("--version", action="version", version=f"tokentail {__version__}")
    SCREEN.configure(parser, "")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, command in COMMANDS.items():
        of_command = commands.add_parser(name, help=command.help)
        if name in only:
            command.configure(of_command, name)
    return parser


class _Parser(argparse.ArgumentParser):
    """
    A parser whose help is as wide as the terminal; its commands are of this kind, too.

    Told the width, argparse does without `shutil`, which takes every command 4 ms to import.
    """

    def _get_formatter(self) -> argparse.HelpFormatter:
        width = min(text.terminal_width(sys.stdout), 120) - 2
        return argparse.HelpFormatter(self.prog, max_help_position=28, width=width)
