"""`tokentail ingest`: logs of other machines, read once by many processes."""

from __future__ import annotations

import argparse
import contextlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tokentail import database
from tokentail.commands import fleet, options
from tokentail.errors import UsageError

if TYPE_CHECKING:
    from tokentail.backfill.running import Read
    from tokentail.backfill.tasks import Shard
    from tokentail.fleet.central import Central
    from tokentail.model import Record

_MOST_WORKERS = 1_000


def configure(parser: argparse.ArgumentParser, name: str) -> None:
    parser.description = (
        "Read the logs of other machines once, and join what they hold into the store; they are not watched afterwards. Each reply counts "
        "once, and done again it changes nothing (docs/fleet-backfill.md)."
    )
    parser.add_argument("places", nargs="+", metavar="PLACE", help="a folder that is searched for logs, or a bucket (s3://, gs://, az://)")
    parser.add_argument(
        "--executor", default="local", metavar="WHO", help="who parses: local, for processes of this machine, or dask://HOST:PORT (local)"
    )
    parser.add_argument("--workers", type=workers, metavar="N", help="how many work at once (as many as there are processors)")
    parser.add_argument("--shard", metavar="i/N", default="1/1", help="only the i-th of N parts, which together are all logs")
    fleet.add_names(parser)
    options.add_store(parser)
    parser.set_defaults(run=run)


def workers(word: str) -> int:
    number = int(word)
    if not 1 <= number <= _MOST_WORKERS:
        raise ValueError(word)
    return number


workers.__name__ = "number of workers"  # argparse names it in its message


def run(args: argparse.Namespace) -> int:
    from tokentail.backfill.crews import open_crew
    from tokentail.backfill.running import back_fill
    from tokentail.backfill.tasks import cut
    from tokentail.sources import existing_place, open_source
    from tokentail.sources.clouds import Access

    shard, remote = _shard(args.shard), options.settings(args).remote
    source = open_source([existing_place(word, "the place") for word in args.places], remote)
    path = options.store_path(args)
    made = _central(args, path)
    with open_crew(args.executor, args.workers) as crew, contextlib.closing(made) as central, options.ending_like_ctrl_c():
        listing = source.list_files()
        files = [file for file in listing.files if shard.has(file)]
        if shard.of > 1:
            print(f"Part {shard.number} of {shard.of} has {len(files):,} of {len(listing.files):,} logs.")
        if not files:
            if not listing.files:
                options.explain_emptiness(source, is_choice=False)
            return options.tell_problems(listing.problems)

        def take(records: Sequence[Record], folders: Sequence[tuple[str, int, str]]) -> int:
            return central.add(list(fleet.labelled(args, records)), folders)

        take((), ())  # before anything is read: can it be written?
        before = 0 if args.store else _replies(path)
        tasks = cut(files, Access(remote.endpoint, remote.anonymous, remote.profile))
        read = back_fill(tasks, crew, take, progress=options.progress() or _quietly)
        after = None if args.store else _replies(path)
    _tell(read, before, after)
    return options.tell_problems([*listing.problems, *read.problems])


def _central(args: argparse.Namespace, path: Path) -> Central:
    from tokentail.fleet.sqlite import SqliteCentral

    if not args.store:
        return SqliteCentral(path, options.price_list(args).thresholds)
    from tokentail.fleet.clickhouse.address import parse
    from tokentail.fleet.clickhouse.central import ClickHouse

    return ClickHouse(parse(args.store))


def _shard(word: str) -> Shard:
    from tokentail.backfill.tasks import Shard

    found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", word)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise UsageError(f"cannot read part {word} of the logs: it is none (say 1/8 for the first of eight)")
    return Shard(int(found[1]), int(found[2]))


def _replies(store: Path) -> int:
    with contextlib.closing(database.open_for_reading(store)) as db:
        return int(db.execute("SELECT count(*) FROM replies").fetchone()[0])


def _quietly(done: int, total: int) -> None:
    """There is nobody to see it."""


def _tell(read: Read, before: int, after: int | None) -> None:
    news = "" if after is None else f"; {read.news:,} of them said something new"
    logs = "1 log was" if read.files == 1 else f"{read.files:,} logs were"
    print(f"{logs} read ({read.bytes_read / 1e6:,.1f} MB): {read.records:,} records{news}.")
    if read.malformed:
        lines = "1 line" if read.malformed == 1 else f"{read.malformed:,} lines"
        print(f"  {lines} could not be read and count{'s' if read.malformed == 1 else ''} nothing.")
    if after is not None:
        print(f"  {after - before:,} replies were added: this store holds {after:,} now.")
