"""The only place for what commands have in common: their options for place and time, and how they tell what went wrong."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from tokentail import config, database, periods, prices
from tokentail.config import Config
from tokentail.errors import UsageError
from tokentail.formats import usual_folders
from tokentail.model import Problem, Source
from tokentail.prices import PriceList
from tokentail.reports import text
from tokentail.sources import LiveSource, Place, existing_place, open_source

if TYPE_CHECKING:
    from tokentail.budgets.firing import Fired
    from tokentail.coordinator import UpdateCoordinator

PROGRESS_FROM_BYTES = 20_000_000  # what is read faster than a blink needs no bar


def add_places(parser: argparse.ArgumentParser) -> None:
    """Which logs."""
    parser.add_argument(
        "--source",
        action="append",
        metavar="PLACE",
        default=argparse.SUPPRESS,
        help="a folder to search for logs instead of the usual places, or a bucket (s3://, gs://, az://); may be given several times",
    )


def add_store(parser: argparse.ArgumentParser) -> None:
    """Which central store, where it is not this machine's own."""
    parser.add_argument("--store", metavar="URL", help="a ClickHouse instead of the store of this machine (docs/fleet-clickhouse.md)")


def add_interval(parser: argparse.ArgumentParser) -> None:
    """How often what is far away is asked."""
    parser.add_argument(
        "--interval", type=seconds, metavar="SECONDS", help="how often buckets are listed (60); of folders each line is heard"
    )


def seconds(word: str) -> int:
    number = int(word)
    if not 1 <= number <= config.MAX_INTERVAL_S:
        raise ValueError(word)
    return number


seconds.__name__ = "number of seconds"  # argparse names it in its message


def add_zone(parser: argparse.ArgumentParser) -> None:
    """Whose midnight."""
    parser.add_argument("--timezone", metavar="ZONE", default=argparse.SUPPRESS, help="IANA name, like Europe/Berlin (the machine's zone)")


def add_period(parser: argparse.ArgumentParser) -> None:
    """Which days, of whose midnight."""
    add_zone(parser)
    parser.add_argument(
        "--since", metavar="DAY", help="first day: 2026-10-01, today, yesterday, 7d (today and the six days before), 2026-W40 or 2026-10"
    )
    parser.add_argument("--until", metavar="DAY", help="last day, inclusive; of a week or month its last one")


def add_names(parser: argparse.ArgumentParser) -> None:
    """Which projects, which models."""
    parser.add_argument(
        "--project",
        action="append",
        default=[],
        metavar="NAME",
        help="only this project: its name, folder or slug; * and ? stand for others",
    )
    parser.add_argument("--model", action="append", default=[], metavar="NAME", help="only this model; * and ? as in a shell")


def add_machines(parser: argparse.ArgumentParser) -> None:
    """Whose machines, where other machines send to this one."""
    for name, what in (("--host", "machine"), ("--user", "person's machines")):
        parser.add_argument(
            name,
            dest=f"{name[2:]}s",
            action="append",
            default=[],
            metavar="NAME",
            help=f"only this {what}: `this` is what this machine's own logs say; * and ? as in a shell",
        )


def is_choice(args: argparse.Namespace) -> bool:
    """Is a command asked about some of all usage?"""
    return any((args.since, args.until, args.project, args.model, args.hosts, args.users))


def settings(args: argparse.Namespace) -> Config:
    """What the config file says; it is read once a command."""
    if not hasattr(args, "settings"):
        args.settings = config.load(config.config_path(os.environ))
    found: Config = args.settings
    return found


def given_places(args: argparse.Namespace) -> list[Place] | None:
    """The folders and buckets of --source, or else of the config file; None for the usual places."""
    words, by = getattr(args, "source", None), "--source"
    if words is None:
        words, by = settings(args).sources, "the folder that the config file names,"
    return [existing_place(word, by) for word in words] or None


def source(args: argparse.Namespace) -> LiveSource:
    """The logs that a command is about."""
    remote = settings(args).remote
    if (every_s := getattr(args, "interval", None)) is not None:
        remote = remote._replace(interval_s=every_s)
    return open_source(given_places(args) or usual_folders(os.environ), remote)


def store_path(args: argparse.Namespace) -> Path:
    """The store of those logs."""
    return database.store_path(database.home_folder(os.environ), given_places(args))


def price_list(args: argparse.Namespace) -> PriceList:
    """The prices in use, for a report. Why they are not those that were imported is said."""
    found = prices_in_use(args)
    for problem in found.problems:
        text.warn(problem)
    return found


def prices_in_use(args: argparse.Namespace) -> PriceList:
    """The prices in use; their `problems` are the caller's to tell."""
    return prices.in_use(database.home_folder(os.environ), settings(args).prices.models)


def zone(args: argparse.Namespace) -> ZoneInfo:
    """The zone whose days are meant."""
    if name := getattr(args, "timezone", None) or settings(args).timezone:
        return periods.parse_zone(name)
    found, problem = periods.machine_zone()
    if problem:
        text.warn(problem)
    return found


def period(args: argparse.Namespace, today: date) -> tuple[date | None, date | None]:
    """The first and the last day, where they are given."""
    since = None if args.since is None else periods.parse_days(args.since, today=today)[0]
    until = None if args.until is None else periods.parse_days(args.until, today=today)[1]
    if since is not None and until is not None and since > until:
        raise UsageError(f"--since {since} is after --until {until} (swap them)")
    return since, until


def watching_budgets(args: argparse.Namespace, prices: PriceList, *, is_quiet: bool = False) -> contextlib.AbstractContextManager[None]:
    """While the block runs, who wants to know hears of a budget that is crossed; on stderr, too, unless it is to be quiet."""
    if not settings(args).budgets:
        return contextlib.nullcontext()
    from tokentail.budgets.watching import Watched, watching

    return watching(Watched(store_path(args), settings(args), prices, zone(args)), _hush if is_quiet else tell_crossings)


def tell_crossings(fired: Fired) -> int:
    """Say which budgets were crossed, and who could not be told; 1 where somebody could not."""
    for told in fired.crossed:
        text.warn(f"{told.title} is crossed: {told.standing.message}")
    for problem in fired.problems:
        text.warn(problem)
    return 1 if fired.problems else 0


def _hush(fired: Fired) -> None:
    """A screen has no stderr to write to, and shows its budgets itself."""


@contextmanager
def stopping(coordinator: UpdateCoordinator) -> Iterator[threading.Event]:
    """An event that SIGTERM and Ctrl-C set; the coordinator, which may be following, notices it at once."""
    import signal  # a report does without

    stop = threading.Event()

    def end(number: int, frame: object) -> None:
        stop.set()
        coordinator.wake()

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def on_terminal() -> bool:
    """Is there a person at both ends?"""
    return sys.stdout.isatty() and sys.stdin.isatty()


@contextlib.contextmanager
def ending_like_ctrl_c() -> Iterator[None]:
    """SIGTERM and a terminal that goes away end the block as Ctrl-C does: what is half done is taken back."""
    import signal

    # What somebody had ignored, as nohup does, stays ignored.
    usual = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_DFL]
    for number in usual:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in usual:
            signal.signal(number, signal.SIG_DFL)


def tell_problems(problems: Sequence[Problem]) -> int:
    """Name what could not be read. Gives the exit code."""
    for problem in dict.fromkeys(problems):
        text.warn(f"cannot read {problem.where}: {problem.why}")
    return 1 if problems else 0


def explain_emptiness(logs: Source, *, is_choice: bool) -> None:
    """Say where logs were looked for, where there are none; or that they hold nothing, where not only a choice of them was asked for."""
    if files := len(logs.list_files().files):
        if not is_choice:
            found = "1 log was found, and holds" if files == 1 else f"{files:,} logs were found, and hold"
            print(f"{found} no usage yet.", file=sys.stderr)
        return
    looked = "\n".join(f"  {text.safe(name)}" for name in logs.names)
    text_lines = f"No logs were found. These folders were searched:\n{looked}\nName another one with --source DIR, or try `tokentail demo`."
    print(text_lines, file=sys.stderr)


@contextlib.contextmanager
def steps() -> Iterator[Callable[[str], None]]:
    """A line on a terminal that says what is being done; it is gone at the end."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return

    def show(step: str) -> None:
        sys.stderr.write(f"\r\x1b[K{step} …")
        sys.stderr.flush()

    try:
        yield show
    finally:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


def progress() -> Callable[[int, int], None] | None:
    """A progress bar on a terminal, for long reads only."""
    if not sys.stderr.isatty():
        return None

    def show(done: int, total: int) -> None:
        if total < PROGRESS_FROM_BYTES:
            return
        share = done / total
        filled = int(share * 30)
        bar = "█" * filled + "░" * (30 - filled)
        end = "\r\x1b[K" if done >= total else ""
        sys.stderr.write(f"\rReading logs {bar} {share:4.0%} of {total / 1e6:,.0f} MB{end}")
        sys.stderr.flush()

    last = 0.0

    def sometimes(done: int, total: int) -> None:
        nonlocal last
        if done >= total or time.monotonic() - last > 0.05:
            last = time.monotonic()
            show(done, total)

    return sometimes
