"""The only place that keeps an imported price list: it checks a file, and puts it where `in_use` finds it or takes it away."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path

from tokentail.errors import TokentailError
from tokentail.prices import PriceList, imported_path, load, reading

MAX_BYTES = 10_000_000  # the list that ships has 10,000


def import_list(file: Path, home: Path, *, today: date) -> PriceList:
    """
    Keep a newer price list, which is in use from now on. A crash on the way leaves the one before.

    Raises:
        TokentailError: the file cannot be read, it is no list that can be used, or it cannot be kept; nothing was changed.
    """
    data = _read(file)
    try:
        book = reading.read(data)
        _check_day(book.as_of, today)
    except ValueError as error:
        raise TokentailError(
            f"cannot import {file}: {error} (nothing was changed; only lists of the schema {reading.SCHEMA!r} can be imported,"
            " see docs/prices.md)"
        ) from error
    _keep(data, imported_path(home))
    return PriceList(book, is_imported=True)


def reset(home: Path) -> bool:
    """
    Take the imported list away, and what an import that was killed has left. Was there one?

    Raises:
        TokentailError: it cannot be deleted.
    """
    path = imported_path(home)
    try:
        for rest in home.glob(f"{path.name}.*.new"):
            rest.unlink(missing_ok=True)
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise TokentailError(f"cannot delete {path}: {error.strerror or error} (delete it by hand)") from error
    return True


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise TokentailError(f"cannot read the price list {file}: {error.strerror or error} (name a file that can be read)") from error
    if len(data) > MAX_BYTES:
        raise TokentailError(f"cannot import {file}: it is larger than 10 MB, and no price list is (name another file)")
    return data


def _check_day(as_of: date | None, today: date) -> None:
    shipped = load().as_of
    if as_of is None:
        raise ValueError("as_of is missing: the day on which its prices were looked up, as in 2026-11-23")
    if as_of > today + timedelta(days=1):  # somewhere it is tomorrow already
        raise ValueError(f"as_of: {as_of} has not come yet, and until then no newer list would be used")
    if shipped is not None and as_of < shipped:
        raise ValueError(f"as_of: it is of {as_of}, and the list that ships with tokentail is newer, of {shipped}")


def _keep(data: bytes, path: Path) -> None:
    """Write beside and rename: whoever reads finds the old list or the new one, whole."""
    beside = None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(".new", f"{path.name}.", path.parent)  # for its owner alone
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.rename(beside, path)
    except OSError as error:
        if beside is not None:
            with suppress(OSError):
                os.unlink(beside)
        raise TokentailError(
            f"cannot keep the price list as {path}: {error.strerror or error} (nothing was changed; free space or make the folder"
            " writable, or set TOKENTAIL_HOME)"
        ) from error
