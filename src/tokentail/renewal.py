"""The only place that puts a new store into the place of an old one: all of it or nothing, at whatever moment the process is killed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from tokentail import database, salvage
from tokentail.carryover import CarryOver
from tokentail.errors import StoreBlockedError, StoreError
from tokentail.store import Store

Opener = Callable[[Path], Store]
Tell = Callable[[str], None]  # hears what is being done now
STEP_PAGES = 2048  # 8 MiB: between two steps Ctrl-C is heard


class Renewed(NamedTuple):
    """What became of a store that was made anew."""

    replies: int
    carried: int  # records that were taken over, since not only today's logs speak for them
    corrected: list[str]  # replies, by key, that the logs give in another way
    aside: Path | None  # the old store


def renew(
    old: Store, open_store: Opener, read_logs: Callable[[Store], None], *, origin: Path, keeps_old: bool, by_other_rules: bool, tell: Tell
) -> Renewed:
    """
    Fill a new store from the logs, take over what they no longer hold, and put it into the place of the old one.

    Until the last step the old one stays as it is. That step is one transaction, so whoever reads sees the old store or the new one.

    Args:
        origin: the name of the old store when it is kept; also what is said of records whose place nobody knows.

    Raises:
        StoreError: the new store would count less than the old one; or there is no room for it.
        sqlite3.DatabaseError: the old store is damaged.
    """
    with _beside(old, open_store) as new:
        with closing(CarryOver(old.path, new)) as way:
            way.copy_forgotten()
            tell("Reading the logs")
            read_logs(new)
            tell("Taking over what no log holds")
            carried = way.take_over(origin, by_other_rules=by_other_rules)
            tell("Comparing the new store with the old one")
            found = way.differences()
        if found.lost and not by_other_rules:
            raise _refused(old.path, found.lost)
        _check(new)
        if keeps_old:
            _copy(old, origin, lambda: tell("Keeping the old store"))
        _put(new, old, lambda: tell("Putting the new store in its place"))
        replies = int(new.connection.execute("SELECT count(*) FROM replies").fetchone()[0])
    return Renewed(replies, carried, found.corrected, origin if keeps_old else None)


def replace_damaged(path: Path, open_store: Opener, error: sqlite3.DatabaseError, now: Callable[[], float]) -> str:
    """
    Put a new store, with what can still be read of a damaged one, into its place; says what was done.

    Raises:
        StoreError: the error does not mean damage, or the new store cannot be made.
    """
    if not database.is_damaged(error):
        kind = StoreBlockedError if database.may_pass(error) else StoreError
        raise kind(f"cannot read the store {path}: {error}") from error
    # Made beside the old one, which stays in its place until all of it was taken over: the disk may be full.
    aside, fresh = database.name_aside(path, "damaged", now), _fresh_name(path)
    _remove(fresh)
    with closing(open_store(fresh)) as new:
        new.keep_forgotten(salvage.forgotten_of(path))
        new.keep_said(salvage.said_of(path))
        kept = new.keep(aside, salvage.records_of(path))
        new.begin_changes()
    lost = "" if salvage.has_all_forgotten(path) else "; what it was told to forget could not all be read: run `tokentail forget` again"
    database.exchange(path, aside, fresh)
    return (
        f"the store was damaged ({error}): it was moved to {aside}, {kept} records were recovered from it, "
        f"and everything that is still in the logs was read again{lost}"
    )


def remove_leftovers(path: Path) -> None:
    """Delete what a process that was killed left half made beside the store; with the lock held."""
    for name in (_fresh_name(path), _part_name(path)):
        _remove(name)


def copies_beside(path: Path) -> list[Path]:
    """The older stores that stand beside this one: before a migration or a rebuild, of other rules, damaged."""
    found = [other for why in ("before", "old-rules", "damaged") for other in path.parent.glob(f"{path.name}.{why}-*")]
    return sorted(other for other in found if not other.name.endswith(("-wal", "-shm")))


@contextmanager
def _beside(old: Store, open_store: Opener) -> Iterator[Store]:
    """An empty store beside the old one; it is gone when the block ends."""
    fresh = _fresh_name(old.path)
    remove_leftovers(old.path)
    try:
        # As large as the old one's, or its pages could not be put in their place.
        page_bytes = int(old.connection.execute("PRAGMA page_size").fetchone()[0])
        database.make_empty(fresh, page_bytes=page_bytes)
        with closing(open_store(fresh)) as new:
            yield new
    finally:
        _remove(fresh)


def _check(new: Store) -> None:
    (said,) = new.connection.execute("PRAGMA quick_check(1)").fetchone()
    if said != "ok":
        raise StoreError(f"cannot make a new store beside {new.path}: {said} (the old one stays as it was; try another disk)")


def _copy(old: Store, target: Path, at_step: Callable[[], None]) -> None:
    """A copy of the old store, which has its name only when it is whole."""
    at_step()
    part = _part_name(old.path)
    database.make_empty(part)
    try:
        with closing(sqlite3.connect(part, isolation_level=None)) as copy:
            _back_up(old.connection, copy, at_step)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a write-ahead log beside it
        part.rename(target)
    except (OSError, sqlite3.OperationalError) as error:
        raise database.cannot_write(target, error) from error
    finally:
        _remove(part)


def _put(new: Store, old: Store, at_step: Callable[[], None]) -> None:
    """Every page of the new store in one transaction of the old one."""
    at_step()
    try:
        _back_up(new.connection, old.connection, at_step)
        old.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.OperationalError as error:
        raise database.cannot_write(old.path, error) from error


def _back_up(source: sqlite3.Connection, target: sqlite3.Connection, at_step: Callable[[], None]) -> None:
    # In one transaction of the source: a backup by itself begins anew whenever somebody writes meanwhile.
    source.execute("BEGIN")
    source.execute("SELECT count(*) FROM meta").fetchone()
    try:
        source.backup(target, pages=STEP_PAGES, progress=lambda *_: at_step())
    finally:
        source.execute("COMMIT")


def _refused(path: Path, lost: list[str]) -> StoreError:
    return StoreError(
        f"the store {path} was not replaced: of {len(lost):,} replies the new one would count less, and nothing explains why "
        f"({', '.join(lost[:5])}); the old one stays as it was (try again, and see what `tokentail verify` says)"
    )


def _fresh_name(path: Path) -> Path:
    return path.with_name(f"{path.name}.fresh")


def _part_name(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
