"""`tokentail explain`: where a number comes from."""

from __future__ import annotations

import argparse
import contextlib
import os
import sqlite3
import sys
from datetime import datetime
from typing import TYPE_CHECKING

from tokentail import database
from tokentail.commands import options
from tokentail.commands.report import rows_wanted
from tokentail.reports import text

if TYPE_CHECKING:
    from tokentail.explain.story import ReplyStory, SumStory
    from tokentail.explain.telling import Context
    from tokentail.model import Update

LIMIT = 20


def configure(parser: argparse.ArgumentParser, name: str) -> None:
    parser.description = (
        "Where a number comes from: which lines of which logs were counted, which were copies of what, by which rule of docs/counting.md, "
        "and how they were priced (docs/explain.md). Lines that are gone are named, too."
    )
    parser.add_argument(
        "what",
        metavar="NAME",
        help="a reply by its key, message id or request id; a session by its id; or a day: 2026-10-01, today, 7d, 2026-W40, 2026-10."
        " The beginning of an id is enough",
    )
    parser.add_argument("--as", dest="kind", choices=("reply", "session", "day"), default="", help="what the name is meant to be")
    options.add_places(parser)
    options.add_zone(parser)
    parser.add_argument(
        "--limit", type=rows_wanted, metavar="N", default=LIMIT, help=f"of a session or day the latest so many replies ({LIMIT})"
    )
    parser.add_argument("--show-lines", action="store_true", help="the lines themselves, as far as they still are in the logs: CONTENT")
    parser.add_argument(
        "--estimate-output",
        action="store_true",
        help="where the log holds no final output count, an estimate from the length of what was said",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object (docs/explain.md)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from tokentail.coordinator import UpdateCoordinator

    source, price_list = options.source(args), options.price_list(args)
    options.zone(args)  # a wrong one is told before anything is read
    with contextlib.closing(
        UpdateCoordinator(source, options.store_path(args), prices=price_list, progress=options.progress())
    ) as coordinator:

        def answer(db: sqlite3.Connection, update: Update) -> ReplyStory | SumStory | None:
            with database.snapshot(db):
                return _story(db, args, context=_context(db, args))

        story, update = coordinator.answer(answer)
    for reason in update.degraded:
        text.warn(reason)
    if story is None:
        options.explain_emptiness(source, is_choice=False)
    else:
        sys.stdout.write(_shown(args, story))
    return options.tell_problems(update.problems)


def _context(db: sqlite3.Connection, args: argparse.Namespace) -> Context:
    from tokentail.explain.telling import Context
    from tokentail.projects import Projects
    from tokentail.queries import project_folders

    return Context(
        prices=options.prices_in_use(args),
        zone=options.zone(args),
        source=options.source(args),
        projects=Projects(project_folders(db), dict(options.settings(args).projects.aliases)),
        shows_lines=args.show_lines,
        estimates=args.estimate_output,
        limit=args.limit,
    )


def _story(db: sqlite3.Connection, args: argparse.Namespace, context: Context) -> ReplyStory | SumStory | None:
    """The explanation; None where nothing is counted yet."""
    from tokentail.explain import telling
    from tokentail.explain.meaning import meaning
    from tokentail.queries import has_replies

    if not has_replies(db):
        return None
    meant = meaning(db, args.what, today=datetime.now(context.zone).date(), kind=args.kind)
    return telling.of_meant(db, meant, context)


def _shown(args: argparse.Namespace, story: ReplyStory | SumStory) -> str:
    if args.json:
        from tokentail.explain.as_json import story_json

        return f"{story_json(story)}\n"
    from tokentail.explain.as_text import story_text

    return story_text(story, zone=options.zone(args), width=text.terminal_width(sys.stdout), style=text.Style.of(sys.stdout, os.environ))
