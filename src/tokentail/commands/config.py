"""`tokentail config`: where the settings are, which ones are in force, whether the file is sound."""

from __future__ import annotations

import argparse
import os
import sys

from tokentail import config
from tokentail.errors import ConfigError
from tokentail.reports import text


def configure(parser: argparse.ArgumentParser, name: str) -> None:
    parser.description = "The settings, which stand in one file; docs/config.md explains each."
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    path = actions.add_parser("path", help="where the file is looked for", description="Where the file is looked for.")
    path.set_defaults(run=run_path)
    show = actions.add_parser("show", help="all settings in force", description="All settings in force, as a file that says the same.")
    show.add_argument("--default", action="store_true", help="a file to start from, with every setting commented out")
    show.set_defaults(run=run_show)
    check = actions.add_parser(
        "check", help="everything that is wrong with the file", description="Everything that is wrong with the file."
    )
    check.set_defaults(run=run_check)


def run_path(args: argparse.Namespace) -> int:
    print(text.safe(str(config.config_path(os.environ))))
    return 0


def run_show(args: argparse.Namespace) -> int:
    from tokentail.config import pages

    path = config.config_path(os.environ)
    sys.stdout.write(pages.template() if args.default else pages.in_force(config.load(path), path, exists=path.exists()))
    return 0


def run_check(args: argparse.Namespace) -> int:
    path = config.config_path(os.environ)
    try:
        config.load(path)
    except ConfigError as error:
        for problem in error.problems:
            print(text.safe(f"{path}: {problem}"))
        return error.exit_code
    print("ok" if path.exists() else text.safe(f"ok: there is no {path}, so every setting has its default"))
    return 0
