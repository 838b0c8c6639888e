"""The only place that reads secrets from files."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_MAX_SECRET_BYTES = 4_096


def private_text(path: Path) -> str:
    """
    The first line of a file that nobody else may read.

    Raises:
        OSError: it cannot be read.
        ValueError: others may read it, or there is nothing in it.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{path} is no regular file")
        if status.st_mode & 0o077:
            raise ValueError(f"{path} holds a secret, and others may read it (chmod 600 {path})")
        first = os.read(handle, _MAX_SECRET_BYTES).split(b"\n")[0].strip().decode("utf-8", "replace")
    finally:
        os.close(handle)
    if not first:
        raise ValueError(f"{path} should hold a secret, and is empty")
    return first
