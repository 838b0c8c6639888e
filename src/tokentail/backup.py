"""The only place that copies the store while others read and write it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from tokentail import database
from tokentail.atomic import cannot_write, whole_file
from tokentail.errors import StoreError, TokentailError, UsageError

STEP_PAGES = 256  # 1 MiB: between two steps Ctrl-C is heard
_BESIDE = ("", "-wal", "-shm", "-journal", ".lock", ".fresh")  # what belongs to a store in use


class Backup(NamedTuple):
    """A copy that was proven to be whole."""

    size_bytes: int
    replies: int


def back_up(store: Path, target: Path, *, overwrite: bool) -> Backup:
    """
    Copy the store as it is at this moment to `target`, check the copy, and only then give it its name.

    Raises:
        UsageError: the target is the store.
        TokentailError: the copy cannot be written.
        StoreError: there is no store, or it cannot be read, or it is damaged.
    """
    _check_is_another(store, target)
    with closing(database.open_for_reading(store)) as source, whole_file(target, overwrite=overwrite) as part:
        try:
            # All of it is read in one transaction. By itself the backup would take a lock for each step and begin anew whenever
            # somebody has written meanwhile: beside a busy writer it never ends.
            source.execute("BEGIN")
            before = _view(source)
            _copy(source, part)
            found = _checked(part)
        except sqlite3.DatabaseError as error:
            raise _explained(error, store, target) from error
        if found != before:
            raise TokentailError(f"the copy {target} is not what the store holds: it was not kept (try again, on another disk)")
        return Backup(part.stat().st_size, before["replies"])


def _check_is_another(store: Path, target: Path) -> None:
    place = os.path.realpath(target)
    if place in {os.path.realpath(f"{store}{suffix}") for suffix in _BESIDE} or (
        target.exists() and store.exists() and target.samefile(store)
    ):
        raise UsageError(f"cannot copy the store to {target}: that is the store itself (name another file)")
    # A write-ahead log that is not the file's own would be taken for it, and spoil it.
    if (log := Path(f"{place}-wal")).exists():
        raise TokentailError(f"cannot write {target}: {log} says that it is a database in use (name another file)")


def _view(db: sqlite3.Connection) -> dict[str, int]:
    """The version, and how many rows each table has."""
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    return {"": version} | {name: int(db.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]) for name in tables}


def _copy(source: sqlite3.Connection, part: Path) -> None:
    with closing(sqlite3.connect(part, isolation_level=None)) as copy:
        # Nobody else sees it yet, and it is safe on the disk before anybody does.
        copy.execute("PRAGMA journal_mode = OFF")
        copy.execute("PRAGMA synchronous = OFF")
        source.backup(copy, pages=STEP_PAGES, progress=lambda *_: None)  # without the call Ctrl-C would wait for the end


def _checked(part: Path) -> dict[str, int]:
    """What the copy holds, after a look at all of its pages."""
    with closing(sqlite3.connect(part, isolation_level=None)) as copy:
        copy.execute("PRAGMA synchronous = OFF")
        copy.execute("PRAGMA journal_mode = DELETE")  # one file that can be opened where nothing can be written
        (said,) = copy.execute("PRAGMA quick_check(1)").fetchone()
        if said != "ok":
            raise sqlite3.DatabaseError(said)
        return _view(copy)


def _explained(error: sqlite3.DatabaseError, store: Path, target: Path) -> Exception:
    if isinstance(error, sqlite3.OperationalError):
        return cannot_write(target, str(error))
    return StoreError(
        f"cannot copy the store {store}: it is damaged ({error}); no copy was kept "
        "(run `tokentail verify`, which saves what can be read of it, then try again)"
    )
