"""The only place that opens the store's file: where it is, its settings, its version, its lock, and what to do when it is damaged."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from tokentail.digest import hex_digest
from tokentail.errors import StoreBlockedError, StoreBusyError, StoreError, StoreNewerError

SCHEMA_VERSION = 6
_SCHEMA = Path(__file__).with_name("schema.sql")
_MIGRATIONS = Path(__file__).with_name("migrations")  # N.sql leads from version N to the next one
_BUSY_TIMEOUT_MS = 5_000
_PASSING = (
    *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM),
    *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL),
)
_PROCESS_WIDTH = 20  # of a process's id in the lock file


def store_path(home: Path, sources: Sequence[Path | str] | None) -> Path:
    """The store of the default places, or the one of the given ones: named by a hash of their sorted real paths and addresses."""
    if sources is None:
        return home / "store.db"
    names = sorted({os.path.realpath(source) if isinstance(source, Path) else source for source in sources})
    digest = hex_digest("\0".join(names).encode("utf-8", "surrogateescape"), 8)
    return home / f"source-{digest}.db"


def home_folder(environment: Mapping[str, str]) -> Path:
    """`$TOKENTAIL_HOME`, or the platform's folder for application data."""
    if given := environment.get("TOKENTAIL_HOME"):
        return Path(given).expanduser()
    import platformdirs  # not needed by those who set TOKENTAIL_HOME

    return Path(platformdirs.user_data_dir("tokentail", appauthor=False))


def open_for_writing(path: Path, *, migrations: Mapping[int, str] | None = None, version: int = SCHEMA_VERSION) -> sqlite3.Connection:
    """
    The store, made or migrated where needed. Call it with the lock held.

    Raises:
        StoreNewerError: a newer tokentail wrote it.
        StoreError: it cannot be opened or made.
        sqlite3.DatabaseError: the file is damaged; `exchange` is the next step.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Only where there is none: to close any handle of a file ends all locks of this process on it, those of SQLite's other
        # connections too; whoever closes next would take himself for the last, and delete the write-ahead log under them.
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        connection = _connect(path)
        try:
            _prepare(connection, path, migrations, version)
        except BaseException:
            connection.close()
            raise
    except (OSError, sqlite3.OperationalError) as error:
        raise cannot_write(path, error) from error
    return connection


def make_empty(path: Path, *, page_bytes: int | None = None) -> None:
    """
    An empty file for a database, which only its owner may read.

    Raises:
        StoreError: it cannot be made.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        if page_bytes is not None:
            with closing(sqlite3.connect(path, isolation_level=None)) as made:
                made.execute(f"PRAGMA page_size = {page_bytes}")
                made.execute("VACUUM")
    except (OSError, sqlite3.OperationalError) as error:
        raise cannot_write(path, error) from error


def open_for_reading(path: Path) -> sqlite3.Connection:
    """
    A second connection to a store that exists.

    Raises:
        StoreError: there is none, or it cannot be opened.
        StoreNewerError: a newer tokentail wrote it.
    """
    if not path.exists():
        raise StoreError(f"there is no store at {path} yet (run `tokentail daily` once)")
    try:
        connection = _connect(path)
        _check_version(connection, path, SCHEMA_VERSION)
        connection.execute("PRAGMA query_only = 1")
    except sqlite3.DatabaseError as error:
        raise StoreError(f"cannot read the store {path}: {error}") from error
    return connection


def open_to_look(path: Path) -> sqlite3.Connection:
    """
    A connection to a store that exists, for who has milliseconds. Closed as the last one it leaves the write-ahead log as it is.

    Any other that is closed last moves the log into the file and waits for the disk, which takes 5 to 25 ms.

    Raises:
        StoreError: it cannot be opened.
        StoreNewerError: a newer tokentail wrote it.
    """
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
        _check_version(connection, path, SCHEMA_VERSION)
    except sqlite3.DatabaseError as error:
        raise StoreError(f"cannot read the store {path}: {error}") from error
    return connection


def open_to_add(path: Path, *, wait_ms: int) -> sqlite3.Connection:
    """
    A connection to a store that exists, for a short addition of what no log says: it needs no lock but SQLite's own.

    Raises:
        sqlite3.OperationalError: it cannot be opened.
    """
    connection = sqlite3.connect(path, timeout=wait_ms / 1000, isolation_level=None)
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def is_current(connection: sqlite3.Connection, path: Path) -> bool:
    """Is the store's schema ours, and not an older one?"""
    return _check_version(connection, path, SCHEMA_VERSION) == SCHEMA_VERSION


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is asked within sees one state of the store, whatever is committed meanwhile."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.rollback()  # nothing was written; and after damage there may be nothing to end


def checkpoint_by_itself(connection: sqlite3.Connection, does: bool) -> None:
    """Whether commits of this connection make a checkpoint now and then, as they do from the start."""
    connection.execute(f"PRAGMA wal_autocheckpoint = {1000 if does else 0}")


def checkpoint(path: Path) -> None:
    """Move what is committed from the write-ahead log into the file, as far as nobody reads older pages; waits for nobody."""
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")


def cannot_write(path: Path, error: Exception) -> StoreBlockedError:
    """What to tell a person whose store cannot be written."""
    return StoreBlockedError(
        f"cannot write the store {path}: {error} (nothing that was counted before is lost; "
        "free space or make the folder writable, set TOKENTAIL_HOME, or use --no-store)"
    )


def identity(path: Path) -> tuple[int, int] | None:
    """Which file a store is, or None when there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def is_damaged(error: sqlite3.DatabaseError) -> bool:
    """Does the error mean that the file's content is broken, and not that the disk is full or the file locked?"""
    return error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def may_pass(error: sqlite3.DatabaseError) -> bool:
    """Does the error mean a disk that is full, fails or may not be written, or others in the way, and not that the store is of no use?"""
    return error.sqlite_errorcode & 0xFF in _PASSING


def wipe(connection: sqlite3.Connection, path: Path) -> None:
    """
    Write the whole file anew, so that no trace is left in it of what was deleted.

    Raises:
        StoreError: there is no room for that, or somebody reads for too long.
    """
    try:
        connection.execute("VACUUM")
        (is_blocked, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError as error:
        raise StoreError(
            f"traces of it may still be in the store's file {path}: {error} (make room, then `tokentail rebuild --discard`)"
        ) from error
    if is_blocked:
        raise StoreError(f"traces of it are still in {path}-wal, which another process reads (they go when that ends)")


def name_aside(path: Path, why: str, now: Callable[[], float] = time.time) -> Path:
    """A name for a store that is replaced, which no file has yet."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now()))
    aside = path.with_name(f"{path.name}.{why}-{stamp}")
    count = 1
    while aside.exists():
        count += 1
        aside = path.with_name(f"{path.name}.{why}-{stamp}-{count}")
    return aside


def exchange(path: Path, aside: Path, fresh: Path) -> None:
    """Give a damaged store and its write-ahead log the name `aside`, and put `fresh`, which is closed, into their place; delete nothing."""
    try:
        # The log goes first: beside the new store it would be taken for the new one's, and spoil it.
        for suffix in ("-wal", "-shm"):
            part = path.with_name(path.name + suffix)
            if part.exists():
                part.rename(aside.with_name(aside.name + suffix))
        _name_too(path, aside)
        fresh.replace(path)
    except OSError as error:
        raise StoreError(f"cannot put a new store in the place of the damaged one, {path}: {error}") from error


@contextmanager
def locked(path: Path, *, wait_s: float, clock: Callable[[], float] = time.monotonic) -> Iterator[None]:
    """
    Hold the right to ingest into the store at `path`: one process at a time. It ends with the process, however it ends.

    Raises:
        StoreBusyError: another process kept it for longer than `wait_s`; the message names it.
        StoreError: the lock file cannot be made.
    """
    lock_path = path.with_name(path.name + ".lock")
    try:
        handle = open_lock(lock_path)
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        until = clock() + wait_s
        while not _try_lock(handle):
            if clock() >= until:
                raise StoreBusyError(f"the store {path} is being written by process {_named_in(handle)} (try again when it has finished)")
            time.sleep(0.01)
        # Rewritten in place: to cut the file first takes some file systems milliseconds, and this is done for every commit.
        with suppress(OSError):  # a full disk: the name of the holder is a courtesy, the lock is held without it
            os.pwrite(handle, f"{os.getpid():<{_PROCESS_WIDTH}}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def lock_holder(path: Path) -> int | None:
    """The process that is ingesting into the store at `path` at this moment, 0 where it does not say which; None when there is none."""
    try:
        handle = os.open(path.with_name(path.name + ".lock"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: whoever else asks is no holder
    except BlockingIOError:
        named = _named_in(handle)
        return int(named) if named.isdecimal() else 0
    finally:
        os.close(handle)
    return None


def _named_in(handle: int) -> str:
    return os.pread(handle, 32, 0).decode("ascii", "replace").strip() or "unknown"


def _name_too(path: Path, aside: Path) -> None:
    """A second name for a file that is about to be replaced, so that there is one under its own name at every moment."""
    try:
        aside.hardlink_to(path)
    except OSError:  # not every file system can do that
        path.rename(aside)


def open_lock(path: Path) -> int:
    """The handle of a file to lock, which is made where it is missing, with its folder, for us alone."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(path, flags, 0o600)


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _connect(path: Path) -> sqlite3.Connection:
    # Transactions are begun and ended by hand: a deferred one that reads and then writes can fail at once, whatever the timeout.
    connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_MS / 1000, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, migrations: Mapping[int, str] | None, version: int) -> None:
    found = _check_version(connection, path, version)
    # Enough after a crash: rows and cursors vanish together, and the logs still hold what they came from.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA cache_size = -32768")
    connection.execute("PRAGMA journal_size_limit = 67108864")
    if found == 0:
        connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA.read_text()}; PRAGMA user_version = {version}; COMMIT")
    elif found < version:
        _migrate(connection, path, found, version, _shipped_migrations() if migrations is None else migrations)


def _check_version(connection: sqlite3.Connection, path: Path, version: int) -> int:
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if found > version:
        raise StoreNewerError(
            f"the store {path} was written by a newer tokentail (its version is {found}, ours {version}): update tokentail"
        )
    return found


def _shipped_migrations() -> dict[int, str]:
    return {int(path.stem): path.read_text() for path in _MIGRATIONS.glob("*.sql")}


def _migrate(connection: sqlite3.Connection, path: Path, found: int, version: int, migrations: Mapping[int, str]) -> None:
    """All steps or none, after a copy was made."""
    copy = path.with_name(f"{path.name}.before-{version}")
    os.close(os.open(copy, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    with closing(sqlite3.connect(copy)) as target:
        connection.backup(target)
    try:
        steps = "; ".join(migrations[step] for step in range(found, version))
        connection.executescript(f"BEGIN IMMEDIATE; {steps}; PRAGMA user_version = {version}; COMMIT")
    except (sqlite3.DatabaseError, KeyError) as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if isinstance(error, sqlite3.DatabaseError) and is_damaged(error):
            raise
        why = f"there is no way from version {error}" if isinstance(error, KeyError) else str(error)
        raise StoreError(f"cannot bring the store {path} from version {found} to {version}: {why} (a copy is kept at {copy})") from error
