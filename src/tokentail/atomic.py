"""The only place that writes a file where a person wants it: whole, safe on the disk and for its owner alone, or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tokentail.errors import TokentailError


@contextmanager
def whole_file(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """
    A new empty file beside `path`, which takes its place when the block is done. A block that does not end well leaves nothing.

    Where `path` is a link, that is the file that it leads to.

    Raises:
        TokentailError: there is no such folder, a file that may not be replaced, or no room.
    """
    target = Path(os.path.realpath(path))
    part = target.with_name(f".tokentail-{os.getpid()}-{os.urandom(4).hex()}.part")
    try:
        _check_place(target, path, overwrite=overwrite)
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        yield part
        _sync(part)
        _check_place(target, path, overwrite=overwrite)  # somebody else may have been quicker
        part.rename(target)
    except OSError as error:
        raise cannot_write(path, error.strerror or str(error)) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
    with contextlib.suppress(OSError):  # not every file system can do that with a folder
        _sync(target.parent)


def cannot_write(path: Path, why: str) -> TokentailError:
    """What to tell a person whose file cannot be written."""
    return TokentailError(f"cannot write {path}: {why} (nothing was kept of it; free space, or name a file in another folder)")


def _check_place(target: Path, path: Path, *, overwrite: bool) -> None:
    if not target.parent.is_dir():
        raise TokentailError(f"cannot write {path}: there is no folder {target.parent} (make it first, or name another one)")
    if target.is_dir():
        raise TokentailError(f"cannot write {path}: it is a folder (name a file in it)")
    if target.exists() and not target.is_file():
        raise TokentailError(f"cannot write {path}: it is no regular file (name another one)")
    if target.exists() and not overwrite:
        raise TokentailError(f"cannot write {path}: there is such a file already (name another one, or replace it with --force)")


def _sync(path: Path) -> None:
    """Wait until it is on the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
