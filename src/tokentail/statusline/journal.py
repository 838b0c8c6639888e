"""The only place that writes down what went wrong where nobody must be disturbed: a file beside the store, bounded in size."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

MOST_BYTES = 50_000  # then the file becomes the older one, and that one goes
_LONGEST = 500  # characters of a message


def journal_path(home: Path) -> Path:
    return home / "statusline.log"


def note(home: Path, message: str) -> None:
    """A line with the time and the message. What cannot be written is not: there is nobody to tell."""
    path = journal_path(home)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    words = " ".join(message.split())[:_LONGEST].encode("unicode_escape").decode("ascii")
    with contextlib.suppress(OSError):
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > MOST_BYTES:
            path.replace(path.with_name(f"{path.name}.1"))
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(handle, f"{stamp} {words}\n".encode())
        finally:
            os.close(handle)
