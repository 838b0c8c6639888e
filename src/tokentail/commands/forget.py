"""`tokentail forget`: replies that shall not be counted any more, whatever the logs say."""

from __future__ import annotations

import argparse
import contextlib
import os
import sqlite3
import sys
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from tokentail import database, periods, prices
from tokentail.commands import options
from tokentail.errors import StoreError, UsageError
from tokentail.reports import text

if TYPE_CHECKING:
    from tokentail.coordinator import UpdateCoordinator
    from tokentail.forget import Choice, Taken
    from tokentail.prices import PriceList
    from tokentail.projects import Projects
    from tokentail.store import Store

MAX_NAMED = 5
_END_OF_TIME_MS = 1 << 62


def configure(parser: argparse.ArgumentParser, name: str) -> None:
    parser.description = (
        "Remove replies from the store, and remember that they are forgotten, so that reading the logs again does not bring them back. "
        "Of several conditions all must hold. What would go is shown, and you are asked first. The logs stay as they are."
    )
    options.add_places(parser)
    parser.add_argument("--project", metavar="NAME", help="the replies of this project: its name, folder or slug; * and ? stand for others")
    parser.add_argument("--session", metavar="ID", help="the replies of this session; the beginning of its id is enough")
    whose = "`this` is what this machine's own logs say; * and ? stand for others"
    parser.add_argument("--host", dest="hosts", metavar="NAME", help=f"the replies of this machine; {whose}")
    parser.add_argument("--user", dest="users", metavar="NAME", help=f"the replies of this person's machines; {whose}")
    options.add_period(parser)
    parser.add_argument("--dry-run", action="store_true", help="only show what would go")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--list", action="store_true", help="show when how much was forgotten")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if args.list:
        return _list(args)
    if args.project is args.session is args.hosts is args.users is args.since is args.until is None:
        ways = "--project NAME, --session ID, --since DAY, --until DAY, --host NAME, --user NAME"
        raise UsageError(f"say what to forget: {ways}, or several of them")
    if not (args.yes or args.dry_run or options.on_terminal()):
        raise UsageError("there is nobody to ask: run it on a terminal, or give --yes (--dry-run shows what would go)")
    from tokentail.coordinator import UpdateCoordinator

    zone, path, price_list = options.zone(args), options.store_path(args), prices.load()
    days = options.period(args, datetime.now(zone).date())
    with contextlib.closing(UpdateCoordinator(options.source(args), path, prices=price_list, progress=options.progress())) as coordinator:
        # What the logs hold now is counted first: what was never counted cannot be forgotten.
        (choice, taken, projects), update = coordinator.answer(lambda db, _: _look(db, args, zone, days))
        for reason in update.degraded:
            text.warn(reason)
        code = options.tell_problems(update.problems)
        sys.stdout.write("".join(f"{text.safe(line)}\n" for line in _shown(taken, projects, price_list, zone, path)))
        if not taken.replies:
            return code
        if args.dry_run or not (args.yes or _agreed()):
            print("Nothing was forgotten.")
            return code
        return max(code, _forget(coordinator, choice))


def _look(
    db: sqlite3.Connection, args: argparse.Namespace, zone: ZoneInfo, days: tuple[date | None, date | None]
) -> tuple[Choice, Taken, Projects]:
    """What is chosen, and what it takes with it."""
    from tokentail import forget, queries, usage
    from tokentail.projects import Projects

    projects = Projects(queries.project_folders(db), dict(options.settings(args).projects.aliases))
    since, until = days
    known = usage.machines(db)
    choice = forget.Choice(
        projects=None if args.project is None else _projects(projects, args.project),
        session=None if args.session is None else _session(forget.sessions_like(db, args.session), args.session),
        start_ms=None if since is None else periods.day_start_ms(since, zone),
        end_ms=None if until is None else _end_ms(until, zone),
        hosts=None if args.hosts is None else _machines("host", {host for _, host in known}, args.hosts),
        users=None if args.users is None else _machines("user", {user for user, _ in known}, args.users),
    )
    taken = forget.preview(db, choice)
    # What is written while the person thinks about it is not what was shown.
    return choice._replace(last_id=taken.last_id), taken, projects


def _projects(projects: Projects, asked: str) -> set[str]:
    """
    The slugs that a name means.

    Raises:
        UsageError: none; or several, and the name does not say so by * or ?.
    """
    from tokentail.spelling import near

    found = projects.matching([asked])
    if not found:
        names = ", ".join(near(asked, projects.all_names()))
        raise UsageError(f"no project is called {asked!r}" + (f" (did you mean {names}?)" if names else ""))
    if len(found) > 1 and not set(asked) & set("*?["):
        raise UsageError(f"{asked!r} may mean {_named(sorted(found))} (give one of these as --project=NAME, or use * for several)")
    return found


def _machines(what: str, names: set[str], asked: str) -> set[str]:
    """
    The hosts or users that a name means.

    Raises:
        UsageError: none.
    """
    from tokentail import machines
    from tokentail.spelling import near

    if found := machines.meant(names, [asked]):
        return found
    like = ", ".join(near(asked, names - {""}))
    raise UsageError(f"no {what} is called {asked!r}" + (f" (did you mean {like}?)" if like else ""))


def _session(found: Sequence[str], asked: str) -> str:
    if len(found) != 1 or not asked:
        several = f" (it may mean {_named(found)}: give more of it)" if found and asked else ""
        raise UsageError(f"there is no such session: {asked!r}" if not several else f"{asked!r} is no whole session id{several}")
    return found[0]


def _end_ms(until: date, zone: ZoneInfo) -> int:
    return _END_OF_TIME_MS if until == date.max else periods.day_start_ms(date.fromordinal(until.toordinal() + 1), zone)


def _shown(taken: Taken, projects: Projects, price_list: PriceList, zone: ZoneInfo, path: Path) -> list[str]:
    """What would go, for people."""
    from tokentail.renewal import copies_beside
    from tokentail.totals import Adder

    if not taken.replies:
        return ["Nothing to forget: no reply matches."]
    adder = Adder(price_list)
    for cell in taken.cells:
        adder.add("", cell)
    first, last = (periods.day_of(at_ms, zone) for at_ms in (taken.first_ms, taken.last_ms))
    only_here = taken.replies - taken.in_logs
    replies, sessions = _count(taken.replies, "reply", "replies"), _count(taken.sessions, "session", "sessions")
    names = _named([projects.name(slug) for slug in taken.projects])
    lines = [
        "This would be forgotten:",
        f"  {replies} of {sessions} in {_count(len(taken.projects), 'project', 'projects')}: {names}",
        *_whose(taken.machines),
        f"  from {first} to {last} ({zone.key}), $ {text.cost(adder.totals())}",
    ]
    if taken.in_logs:
        lines += [
            f"  {taken.in_logs:,} of them still stand in logs on disk. Reading those again would bring them back, but it is remembered",
            "  that they are forgotten: no re-read, fork of a session, rebuild or update of tokentail will.",
        ]
    if only_here and any(map(any, taken.machines)):
        lines += [
            f"  {only_here:,} of them stand in no log of this machine. What other machines sent is not taken again, and what they have",
            "  themselves stays there.",
        ]
    elif only_here:
        lines.append(f"  {only_here:,} of them stand in no log any more: once forgotten, nothing can bring them back.")
    if copies := copies_beside(path):
        lines += ["These older copies of the store may hold them, too, and stay as they are:", *(f"  {copy}" for copy in copies)]
    return lines


def _whose(found: Sequence[tuple[str, str]]) -> list[str]:
    """Of which machines it is, where there are others than this one."""
    from tokentail import machines

    if not any(map(any, found)):
        return []
    return [f"  of {_named([f'{machines.shown(host)} of {machines.shown(user)}' for user, host in found])}"]


def _agreed() -> bool:
    """Ask. Everything but a yes is a no, also the end of the input; Ctrl-C ends the command."""
    try:
        sys.stdout.write("Forget them? [y/N] ")
        sys.stdout.flush()
        answer = sys.stdin.buffer.readline()  # as bytes: whatever was typed
    except KeyboardInterrupt:
        print("\nNothing was forgotten.")
        raise
    if not answer.endswith(b"\n"):
        print()
    return answer.strip().lower() in (b"y", b"yes")


def _forget(coordinator: UpdateCoordinator, choice: Choice) -> int:
    from tokentail import time_index
    from tokentail.renewal import remove_leftovers

    with options.steps() as tell:

        def work(store: Store) -> tuple[int, str]:
            tell("Forgetting")
            count = store.forget(choice)
            remove_leftovers(store.path)
            time_index.drop(time_index.index_path(store.path))
            tell("Writing the store's file anew")
            try:
                database.wipe(store.connection, store.path)
            except StoreError as error:
                return count, str(error)
            return count, ""

        count, problem = coordinator.change_store(work)
    print(f"{_count(count, 'reply was', 'replies were')} forgotten.")
    if problem:
        text.warn(problem)
    return 1 if problem else 0


def _list(args: argparse.Namespace) -> int:
    from tokentail.forgotten import forgettings
    from tokentail.reports import grid

    zone = options.zone(args)
    with contextlib.closing(database.open_for_reading(options.store_path(args))) as db:
        found = list(forgettings(db))
    if not found:
        print("Nothing was ever forgotten.")
        return 0
    moments = [f"{periods.at(each.at_ms, zone):%Y-%m-%d %H:%M:%S}" for each in found]
    marks = [f"{each.marks:,}" for each in found]
    total = f"{sum(each.marks for each in found):,}"
    table = grid.Grid(
        [grid.Column("Forgotten", grid.ALWAYS, moments, style=grid.BOLD)],
        [grid.Column("Replies", grid.ALWAYS, marks, total, right=True)],
        total="Total",
    )
    style = text.Style.of(sys.stdout, os.environ)
    sys.stdout.writelines(f"{line}\n" for line in grid.draw(table, width=text.terminal_width(sys.stdout), style=style))
    return 0


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:MAX_NAMED]) + (", ..." if len(names) > MAX_NAMED else "")
