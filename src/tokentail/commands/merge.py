"""`tokentail merge`: what another machine has counted, joined into this store: its store, or a file of its records."""

from __future__ import annotations

import argparse
import contextlib
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tokentail import database
from tokentail.commands import fleet, options
from tokentail.errors import StoreError, UsageError
from tokentail.reports import text

if TYPE_CHECKING:
    from tokentail.coordinator import UpdateCoordinator
    from tokentail.joining import Folder, Joined, Label
    from tokentail.model import Record

_LONGEST_FOLDER = 4_096


def configure(parser: argparse.ArgumentParser, name: str) -> None:
    parser.description = (
        "Join what other machines have counted into this store: the store of one, a backup of it, or a file that `export --records` wrote "
        "there. Each reply counts once, and done again it changes nothing."
    )
    options.add_places(parser)
    fleet.add_names(parser)
    parser.add_argument("files", metavar="FILE", nargs="+", help="the other store or the Parquet file, which stays as it is")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from tokentail.coordinator import UpdateCoordinator
    from tokentail.export.as_parquet import is_parquet

    path, others = options.store_path(args), [Path(file).expanduser() for file in args.files]
    for other in others:
        if other.exists() and path.exists() and other.samefile(path):
            raise UsageError(f"cannot merge {other} with itself (name the store of another machine)")
    made = UpdateCoordinator(options.source(args), path, prices=options.price_list(args), progress=options.progress())
    with contextlib.closing(made) as coordinator, options.ending_like_ctrl_c():
        for other in others:
            join = _join_records if is_parquet(other) else _join_store
            joined = join(coordinator, other, lambda records: fleet.labelled(args, records))
            print(f"{text.safe(str(other))} holds {joined.records:,} records; {joined.joined:,} of them said something new.")
            print(f"  {joined.replies_new:,} replies were added: this store holds {joined.replies:,} now.")
    return 0


def _join_store(coordinator: UpdateCoordinator, other: Path, label: Label) -> Joined:
    from tokentail.backup import back_up
    from tokentail.joining import join_store

    with tempfile.TemporaryDirectory(prefix="tokentail-") as folder:
        # A copy, checked and of our version: the other one may be in use, older, or where nothing can be written.
        copy = Path(folder) / "other.db"
        _check_is_store(other)
        back_up(other, copy, overwrite=False)
        with contextlib.closing(database.open_for_writing(copy)) as db:
            coordinator.check_for_updates()
            return coordinator.change_store(lambda store: join_store(store, db, other.resolve(), label))


def _join_records(coordinator: UpdateCoordinator, other: Path, label: Label) -> Joined:
    from tokentail.export.as_parquet import check_pyarrow
    from tokentail.joining import join_records

    check_pyarrow("", verb="read")
    for _ in _sound(other):
        pass  # all of it, before anything is joined
    coordinator.check_for_updates()
    return coordinator.change_store(lambda store: join_records(store, _sound(other), label))


def _sound(path: Path) -> Iterator[tuple[list[Record], Iterable[Folder]]]:
    """
    The records of a file, and what their projects are called.

    Raises:
        StoreError: it cannot be read, or a row of it is no record.
    """
    from tokentail.export.as_parquet import read_records
    from tokentail.fleet.wire import Malformed, check

    for batch in read_records(path):
        try:
            records = [check(record) for record, _ in batch]
            folders = {_checked(folder) for _, folder in batch if folder[2] != ""}
        except Malformed as error:
            raise StoreError(f"cannot merge {path}: a row of it is no record: {error} (export it again where it comes from)") from error
        yield records, folders


def _checked(folder: Folder) -> Folder:
    from tokentail.fleet.wire import Malformed

    _, at_ms, name = folder
    if type(name) is not str or type(at_ms) is not int or len(name) > _LONGEST_FOLDER:
        raise Malformed("a project's folder is none")
    return folder


def _check_is_store(other: Path) -> None:
    """Before a copy of it is brought to our version, which would make a store of any database."""
    if not other.exists():
        raise StoreError(f"cannot merge {other}: there is no such file (`tokentail status` names the store of a machine)")
    try:
        with contextlib.closing(sqlite3.connect(f"{other.absolute().as_uri()}?mode=ro", uri=True)) as db:
            is_store = db.execute("PRAGMA user_version").fetchone() != (0,)
    except sqlite3.DatabaseError:
        is_store = False
    if not is_store:
        raise StoreError(f"cannot merge {other}: it is no store of tokentail (`tokentail status` names the store of a machine)")
