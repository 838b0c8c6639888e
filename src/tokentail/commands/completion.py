"""`tokentail completion`: a script that lets a shell complete tokentail's words, and what the script asks for."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokentail.commands import options
from tokentail.errors import TokentailError

SCRIPTS = Path(__file__).parents[1] / "completion"
SHELLS = {"bash": "bash.sh", "zsh": "zsh.zsh", "fish": "fish.fish"}


def configure(parser: argparse.ArgumentParser, name: str) -> None:
    parser.description = (
        "A script that lets the shell complete commands, options and their values, the names of your projects and models among them. "
        "Save it where the shell looks for such scripts; docs/cli.md says where."
    )
    parser.add_argument("shell", choices=tuple(SHELLS), help="whose script")
    # What the script itself calls: the words up to the cursor, each behind a dot, so that none of them is taken for an option.
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if not args.words:
        sys.stdout.write((SCRIPTS / SHELLS[args.shell]).read_text(encoding="utf-8"))
        return 0
    from tokentail import completion
    from tokentail.commands import grammar

    words = [word[1:] for word in args.words]
    typed = completion.joined(words) if args.shell == "bash" else words
    found = completion.offers(grammar.whole(), typed, _names)
    # bash replaces what stands behind the =, the others the whole word.
    before = "" if args.shell == "bash" or "=" not in typed[-1] else f"{typed[-1].partition('=')[0]}="
    paths = (completion.FILES, completion.FOLDERS)
    lines = [f"{'' if offer.word in paths else before}{offer.word}\t{offer.help}\n" for offer in found]
    sys.stdout.buffer.write("".join(lines).encode())
    return 0


def _names(what: str, sources: Sequence[str]) -> Iterable[str]:
    """Names of that kind; none where they cannot be had, since nobody wants to read about that in the middle of a line."""
    import sqlite3

    try:
        match what:
            case "timezone":
                from zoneinfo import available_timezones

                return available_timezones()
            case "project" | "model" | "hosts" | "users":
                return _stored_names(what, argparse.Namespace(source=list(sources)) if sources else argparse.Namespace())
    except (TokentailError, OSError, sqlite3.Error):
        pass
    return ()


def _stored_names(what: str, args: argparse.Namespace) -> Iterable[str]:
    import contextlib

    from tokentail import database, queries, usage
    from tokentail.machines import THIS
    from tokentail.projects import Projects

    with contextlib.closing(database.open_for_reading(options.store_path(args))) as db:
        if what == "model":
            return usage.models(db)
        if what in ("hosts", "users"):
            return {THIS, *(each[what == "hosts"] for each in usage.machines(db))} - {""}
        folders = queries.project_folders(db)
        projects = Projects(folders, dict(options.settings(args).projects.aliases))
        return {projects.name(slug) for slug in folders}
