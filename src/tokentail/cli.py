"""The only place that turns words into calls and errors into exit codes."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from tokentail import __version__, database, periods, prices
from tokentail.errors import SourceError, TokentailError, UsageError
from tokentail.formats import FORMATS
from tokentail.model import Problem, Report
from tokentail.reports import text
from tokentail.sources import LocalFolders

PROGRESS_FROM_BYTES = 20_000_000  # what is read faster than a blink needs no bar


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
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def _run(argv: Sequence[str]) -> int:
    try:
        args = build_parser().parse_args(argv)
    except SystemExit as stop:  # argparse has said what it had to say
        return int(stop.code or 0)
    code: int = args.run(args)
    return code


def build_parser() -> argparse.ArgumentParser:
    """Every command and option; a test holds the README against it."""
    parser = _Parser(
        prog="tokentail",
        description="What your coding agents use, counted exactly, while they use it.",
        epilog="Without a command: the live screen on a terminal, today's overview elsewhere.",
    )
    parser.add_argument("--version", action="version", version=f"tokentail {__version__}")
    _add_place_options(parser)
    _add_zone_option(parser)
    parser.set_defaults(run=_run_screen)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    daily = commands.add_parser("daily", help="what each day used and cost", description="What each day used and cost, oldest first.")
    _add_place_options(daily)
    _add_period_options(daily)
    shape = daily.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="one JSON object (docs/json.md)")
    shape.add_argument("--csv", action="store_true", help="comma-separated values with a header line")
    daily.add_argument("--no-store", action="store_true", help="read all logs anew, by the slow and independent way")
    daily.set_defaults(run=_run_daily)

    feed = commands.add_parser(
        "feed", help="one line for every reply, as it happens", description="One line for every reply, as it happens."
    )
    _add_place_options(feed)
    _add_zone_option(feed)
    feed.add_argument("--since", metavar="DAY", help="first the replies from that day on (2026-10-01, today, yesterday, 7d)")
    feed.add_argument("--json", action="store_true", help="one JSON object a line (docs/json.md)")
    feed.set_defaults(run=_run_feed)

    verify = commands.add_parser(
        "verify",
        help="hold the store against a full re-read",
        description="Read all logs anew, without the store, and show every difference; exit code 1 when there is one.",
    )
    _add_place_options(verify)
    verify.set_defaults(run=_run_verify)

    demo = commands.add_parser(
        "demo",
        help="made-up logs to try it on",
        description="The live screen on made-up logs that go on being written, in a temporary folder.",
    )
    _add_zone_option(demo)
    demo.add_argument("--rate", type=float, default=2.0, metavar="N", help="lines written a second (2)")
    demo.add_argument("--write", metavar="DIR", help="only write the logs, into a new folder, and end")
    demo.set_defaults(run=_run_demo)
    return parser


class _Parser(argparse.ArgumentParser):
    """
    A parser whose help is as wide as the terminal; its commands are of this kind, too.

    Told the width, argparse does without `shutil`, which takes every command 4 ms to import.
    """

    def _get_formatter(self) -> argparse.HelpFormatter:
        width = min(text.terminal_width(sys.stdout), 120) - 2
        return argparse.HelpFormatter(self.prog, max_help_position=28, width=width)


def _add_place_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--source",
        action="append",
        metavar="DIR",
        default=argparse.SUPPRESS,
        help="a folder to search for logs instead of the usual places; may be given several times",
    )


def _add_zone_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--timezone", metavar="ZONE", default=argparse.SUPPRESS, help="IANA name, like Europe/Berlin (the machine's zone)")


def _add_period_options(parser: argparse.ArgumentParser) -> None:
    _add_zone_option(parser)
    parser.add_argument("--since", metavar="DAY", help="first day: 2026-10-01, today, yesterday or 7d (today and the six days before)")
    parser.add_argument("--until", metavar="DAY", help="last day, inclusive")


# Commands


def _run_daily(args: argparse.Namespace) -> int:
    zone = _zone(args)
    since, until = _period(args, datetime.now(zone).date())
    source, given = _source(args), _given(args)
    report, problems = (_recounted if args.no_store else _stored)(source, given, zone, since, until)
    if args.json:
        from tokentail.reports.as_json import report_json  # json is not needed for a table

        print(report_json(report))
    elif args.csv:
        from tokentail.reports.as_csv import report_csv

        sys.stdout.write(report_csv(report))
    else:
        style = text.Style.of(sys.stdout, os.environ)
        sys.stdout.write(text.report_table(report, width=text.terminal_width(sys.stdout), style=style))
    if not report.rows and not problems:
        _explain_emptiness(source, since is not None or until is not None)
    return _tell_problems(problems)


def _stored(
    source: LocalFolders, given: list[Path] | None, zone: ZoneInfo, since: date | None, until: date | None
) -> tuple[Report, list[Problem]]:
    from tokentail.coordinator import UpdateCoordinator  # --help does without
    from tokentail.reports import daily

    price_list = prices.load()
    with contextlib.closing(UpdateCoordinator(source, _store_path(given), prices=price_list, progress=_progress())) as coordinator:
        report, update = coordinator.answer(
            lambda db, update: daily.from_store(
                db, price_list, zone=zone, since=since, until=until, sources=source.names, degraded=update.degraded
            )
        )
    return report, update.problems


def _recounted(
    source: LocalFolders, given: list[Path] | None, zone: ZoneInfo, since: date | None, until: date | None
) -> tuple[Report, list[Problem]]:
    from tokentail.recount import recount
    from tokentail.reports import daily

    counted = recount(source)
    report = daily.from_replies(
        counted.replies,
        prices.load(),
        zone=zone,
        since=since,
        until=until,
        sources=source.names,
        malformed_lines=counted.malformed_lines,
    )
    return report, counted.problems


def _run_feed(args: argparse.Namespace) -> int:
    from tokentail import feed
    from tokentail.coordinator import UpdateCoordinator

    zone = _zone(args)
    since_ms = None
    if args.since is not None:
        since_ms = periods.day_start_ms(periods.parse_day(args.since, today=datetime.now(zone).date()), zone)
    price_list = prices.load()
    coordinator = UpdateCoordinator(_source(args), _store_path(_given(args)), prices=price_list, progress=_progress())
    write = feed.json_line if args.json else feed.text_line
    with _stopping() as stop, contextlib.closing(coordinator):
        return feed.run(coordinator, lambda change: print(write(change, price_list, zone), flush=True), since_ms=since_ms, stop=stop)


def _run_verify(args: argparse.Namespace) -> int:
    from tokentail.coordinator import UpdateCoordinator
    from tokentail.recount import recount
    from tokentail.verify import verdict_text, verify

    source = _source(args)
    with contextlib.closing(
        UpdateCoordinator(source, _store_path(_given(args)), prices=prices.load(), progress=_progress())
    ) as coordinator:
        # The re-read comes first: what is appended meanwhile is then in the store, and not only in the logs.
        counted = recount(source)
        verdict, update = coordinator.answer(lambda db, _: verify(db, counted))
    sys.stdout.write(text.safe_lines(verdict_text(verdict, counted)))
    return max(_tell_problems([*update.problems, *counted.problems]), 0 if verdict.agrees else 1)


def _run_demo(args: argparse.Namespace) -> int:
    from tokentail import demo_run

    if args.write is not None:
        return demo_run.write_only(Path(args.write))
    if not 0 < args.rate <= 1000:
        raise UsageError(f"--rate {args.rate:g} is not between 0 and 1000 lines a second")
    return demo_run.show(zone=_zone(args), rate_per_s=args.rate, on_terminal=_on_terminal())


def _run_screen(args: argparse.Namespace) -> int:
    source, given = _source(args), _given(args)
    # What was counted once is shown even when its logs are gone.
    if given is None and not _store_path(None).exists() and not source.list_files().files:
        from tokentail import demo_run

        _explain_emptiness(source, False)
        print("Here is the demo instead, on made-up logs:\n", file=sys.stderr)
        return demo_run.show(zone=_zone(args), rate_per_s=2.0, on_terminal=_on_terminal())
    from tokentail.coordinator import UpdateCoordinator

    price_list = prices.load()
    with contextlib.closing(UpdateCoordinator(source, _store_path(given), prices=price_list, progress=_progress())) as coordinator:
        if not _on_terminal():
            from tokentail.reports.overview import overview, overview_text

            zone = _zone(args)
            seen, update = coordinator.answer(lambda db, update: overview(db, price_list, zone, update.started_at_ms))
            sys.stdout.write(overview_text(seen, update, zone, text.Style.of(sys.stdout, os.environ)))
            return _tell_problems(update.problems)
        from tokentail.tui.app import run_screen

        return run_screen(coordinator, price_list, _zone(args), label="")


# What the commands share


def _given(args: argparse.Namespace) -> list[Path] | None:
    """The folders of --source, or None for the usual places."""
    if not hasattr(args, "source"):
        return None
    folders = [Path(folder).expanduser() for folder in args.source]
    for folder in folders:
        if not folder.is_dir():
            what = "not a folder" if folder.exists() else "no such folder"
            raise SourceError(f"cannot read --source {folder}: {what} (give the folder that holds the .jsonl logs)")
    return folders


def _source(args: argparse.Namespace) -> LocalFolders:
    return LocalFolders(_given(args) or usual_folders(os.environ))


def usual_folders(environment: Mapping[str, str]) -> list[Path]:
    """Where the agents write their logs."""
    home = Path(environment.get("HOME") or Path.home())
    return [folder for agent in FORMATS for folder in agent.default_folders(environment, home)]


def _store_path(given: list[Path] | None) -> Path:
    return database.store_path(database.home_folder(os.environ), given)


def _zone(args: argparse.Namespace) -> ZoneInfo:
    return periods.parse_zone(getattr(args, "timezone", None))


def _period(args: argparse.Namespace, today: date) -> tuple[date | None, date | None]:
    since = None if args.since is None else periods.parse_day(args.since, today=today)
    until = None if args.until is None else periods.parse_day(args.until, today=today)
    if since is not None and until is not None and since > until:
        raise UsageError(f"--since {since} is after --until {until} (swap them)")
    return since, until


def _on_terminal() -> bool:
    return sys.stdout.isatty() and sys.stdin.isatty()


def _tell_problems(problems: Sequence[Problem]) -> int:
    for problem in dict.fromkeys(problems):
        text.warn(f"cannot read {problem.where}: {problem.why}")
    return 1 if problems else 0


def _explain_emptiness(source: LocalFolders, has_period: bool) -> None:
    if has_period and source.list_files().files:
        return
    looked = "\n".join(f"  {text.safe(name)}" for name in source.names)
    text_lines = f"No logs were found. These folders were searched:\n{looked}\nName another one with --source DIR, or try `tokentail demo`."
    print(text_lines, file=sys.stderr)


def _progress() -> Callable[[int, int], None] | None:
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


@contextlib.contextmanager
def _stopping() -> Iterator[threading.Event]:
    """An event that SIGTERM and Ctrl-C set."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
