"""`tokentail merge`: the store of another machine, joined into this one."""

from __future__ import annotations

import argparse
import contextlib
import sqlite3
import tempfile
from pathlib import Path

from tokentail import database
from tokentail.commands import options
from tokentail.errors import StoreError, UsageError
from tokentail.reports import text


def configure(parser: argparse.ArgumentParser, name: str) -> None:
    parser.description = (
        "Join the store of another machine, or a backup of one, into this one. Each reply counts once, and done again it changes nothing."
    )
    options.add_places(parser)
    parser.add_argument("file", metavar="FILE", help="the other store, which stays as it is")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from tokentail.backup import back_up
    from tokentail.coordinator import UpdateCoordinator
    from tokentail.joining import Joined, join_store
    from tokentail.store import Store

    path, other = options.store_path(args), Path(args.file).expanduser()
    if other.exists() and path.exists() and other.samefile(path):
        raise UsageError(f"cannot merge {other} with itself (name the store of another machine)")
    made = UpdateCoordinator(options.source(args), path, prices=options.price_list(args), progress=options.progress())
    with contextlib.closing(made) as coordinator, tempfile.TemporaryDirectory(prefix="tokentail-") as folder:
        # A copy, checked and of our version: the other one may be in use, older, or where nothing can be written.
        copy = Path(folder) / "other.db"
        _check_is_store(other)
        back_up(other, copy, overwrite=False)
        with contextlib.closing(database.open_for_writing(copy)) as db, options.ending_like_ctrl_c():

            def work(store: Store) -> Joined:
                return join_store(store, db, other.resolve())

            coordinator.check_for_updates()
            joined = coordinator.change_store(work)
    print(f"{text.safe(str(other))} holds {joined.records:,} records; {joined.joined:,} of them said something new.")
    print(f"  {joined.replies_new:,} replies were added: this store holds {joined.replies:,} now.")
    return 0


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
