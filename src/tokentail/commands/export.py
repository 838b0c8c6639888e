"""`tokentail export`: every reply as a row for other programs."""

from __future__ import annotations

import argparse
import contextlib
import sqlite3
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, TypeVar

from tokentail.commands import options
from tokentail.errors import StoreError, TokentailError, UsageError
from tokentail.reports import text

if TYPE_CHECKING:
    from tokentail.export.document import Written
    from tokentail.model import Update
    from tokentail.reports.request import Request

_FORMATS = ("parquet", "csv", "ndjson")
_ENDINGS = {".parquet": "parquet", ".csv": "csv", ".ndjson": "ndjson", ".jsonl": "ndjson"}
_STDOUT = "-"
Done = TypeVar("Done")  # what is said of an export that was written


def configure(parser: argparse.ArgumentParser, name: str) -> None:
    parser.description = "Write a row for every reply, with its counts and its cost, for other programs (docs/export.md)."
    parser.add_argument("file", metavar="FILE", help="where to: a file, or - for stdout")
    parser.add_argument("--format", choices=_FORMATS, help="by default what the file's name ends in; Parquet needs pyarrow")
    parser.add_argument(
        "--records", action="store_true", help="for another tokentail to merge: all that is known, as Parquet (docs/fleet-backfill.md)"
    )
    parser.add_argument("--force", action="store_true", help="replace the file if there is one")
    options.add_places(parser)
    options.add_period(parser)
    options.add_names(parser)
    options.add_machines(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from tokentail.coordinator import UpdateCoordinator  # --help does without
    from tokentail.export.document import write
    from tokentail.reports.request import Context

    if args.records:
        return _export_records(args)
    kind, request, source, price_list = _format(args), _request(args), options.source(args), options.price_list(args)
    coordinator = UpdateCoordinator(source, options.store_path(args), prices=price_list, progress=options.progress())
    aliases = dict(options.settings(args).projects.aliases)
    with options.ending_like_ctrl_c(), contextlib.closing(coordinator), _output(args) as begin:

        def ask(db: sqlite3.Connection, update: Update) -> Written:
            context = Context(price_list, update.started_at_ms, aliases=aliases)
            return begin(lambda file: write(db, file, kind, request, context))

        written, update = coordinator.answer(ask)
    _tell_written(args, f"{written.rows:,} rows")
    for said in (*update.degraded, *written.hints):
        text.warn(said)
    if not written.rows and not update.problems and not written.hints:
        options.explain_emptiness(source, is_choice=options.is_choice(args))
    return options.tell_problems(update.problems)


def _export_records(args: argparse.Namespace) -> int:
    """
    Everything that another tokentail needs to join what is known here.

    Raises:
        UsageError: only some of it was asked for, or in another format.
    """
    from tokentail.coordinator import UpdateCoordinator  # as above
    from tokentail.export.as_parquet import write_records
    from tokentail.fleet.wire import is_sound

    if any((args.since, args.until, args.project, args.model)):
        raise UsageError("--records writes all that is known (leave out --since, --until, --project and --model)")
    args.format = args.format or _ENDINGS.get(Path(args.file).suffix.lower(), "parquet")
    if _format(args) != "parquet":
        raise UsageError("records are written as Parquet (name a file that ends in .parquet)")
    source = options.source(args)
    made = UpdateCoordinator(source, options.store_path(args), prices=options.price_list(args), progress=options.progress())
    with options.ending_like_ctrl_c(), contextlib.closing(made) as coordinator, _output(args) as begin:
        written, update = coordinator.answer(lambda db, _: begin(lambda file: write_records(db, file, is_sound)))
    _tell_written(args, f"{written.records:,} records")
    if written.left_out:
        text.warn(f"{written.left_out:,} records hold names or counts that another tokentail does not take: they were left out")
    for said in update.degraded:
        text.warn(said)
    if not written.records and not update.problems:
        options.explain_emptiness(source, is_choice=False)
    return options.tell_problems(update.problems)


def _tell_written(args: argparse.Namespace, what: str) -> None:
    if args.file != _STDOUT:
        size = Path(args.file).expanduser().stat().st_size
        print(f"{what} were written to {text.safe(args.file)} ({size / 1e6:,.1f} MB).")


def _format(args: argparse.Namespace) -> str:
    """
    The format that was asked for, when there is what it takes.

    Raises:
        UsageError: the file's name does not say.
    """
    kind: str | None = args.format or _ENDINGS.get(Path(args.file).suffix.lower())
    if kind is None:
        what = "stdout has no name" if args.file == _STDOUT else f"the name {args.file} does not say"
        raise UsageError(f"cannot tell which format is wanted: {what} (add --format parquet, csv or ndjson)")
    if kind == "parquet":
        from tokentail.export.as_parquet import check_pyarrow

        check_pyarrow()
        if args.file == _STDOUT and sys.stdout.isatty():
            raise UsageError("Parquet is nothing for a terminal (name a file, or send it to another program)")
    return kind


def _request(args: argparse.Namespace) -> Request:
    from tokentail.reports.request import Request

    zone, settings = options.zone(args), options.settings(args)
    since, until = options.period(args, datetime.now(zone).date())
    request = Request("export", zone, since, until, tuple(args.project), tuple(args.model), worktrees=settings.projects.worktrees)
    return request._replace(hosts=tuple(args.hosts), users=tuple(args.users))


# Opens the output and hands it on; where the store turns out to be damaged it is called once more.
class _Begin(Protocol):
    def __call__(self, write: Callable[[BinaryIO], Done]) -> Done: ...


@contextlib.contextmanager
def _output(args: argparse.Namespace) -> Iterator[_Begin]:
    if args.file == _STDOUT:
        yield _to_stdout
        return
    from tokentail.atomic import whole_file

    with whole_file(Path(args.file).expanduser(), overwrite=args.force) as part:

        def to_file(write: Callable[[BinaryIO], Done]) -> Done:
            with part.open("wb") as file:
                return write(file)

        yield to_file


def _to_stdout(write: Callable[[BinaryIO], Done]) -> Done:
    """
    To whoever reads it.

    Raises:
        StoreError: the store is damaged; what was written cannot be taken back.
        TokentailError: it cannot be written.
    """
    try:
        # By itself, not through sys.stdout, which would try once more at the end to write what cannot be written.
        with open(sys.stdout.fileno(), "wb", closefd=False) as file:
            return write(file)
    except sqlite3.DatabaseError as error:
        raise StoreError(
            f"cannot read the store: {error} (what was written is not all; run `tokentail verify`, then export again)"
        ) from error
    except BrokenPipeError:
        raise
    except OSError as error:
        raise TokentailError(f"cannot write to stdout: {error.strerror or error} (what was written is not all; free space)") from error
