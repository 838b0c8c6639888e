"""The only place that makes a backlog too large to be read at once: a usual tree again and again, each time with ids of its own."""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from pathlib import Path

from benchmarks import trees
from tokentail import database
from tokentail.demo.tree import TreePlan

SIZE_BYTES = 2_000_000_000
PLAN = TreePlan(total_bytes=200_000_000, files=480, days=60)
_MADE = "made"


def made(cache: Path) -> Path:
    """A folder with logs of that many bytes, kept for the next time; it may be moved, and must be moved back."""
    tree = trees.tree(cache, PLAN)
    folder = cache / f"backlog-{SIZE_BYTES}-{tree.name}"
    if not (folder / _MADE).exists():
        for old in cache.glob("backlog-*"):
            shutil.rmtree(old)
        size = copy = 0
        while size < SIZE_BYTES:
            size += _repeated(tree / "projects", folder, f"{copy:02}")
            copy += 1
        (folder / _MADE).touch()
    return folder


def unread_bytes(home: Path, place: Path) -> int:
    """How much of the logs below a folder the store does not have yet."""
    query = "SELECT ifnull(sum(offset_bytes), 0) FROM files WHERE state = 'live' AND path >= ? AND path < ?"
    with closing(database.open_for_reading(database.store_path(home, None))) as db:
        read = int(db.execute(query, (f"{place}/", f"{place}0")).fetchone()[0])
    return sum(_whole_bytes(log) for log in place.rglob("*.jsonl")) - read


def _whole_bytes(log: Path) -> int:
    """Up to its last newline."""
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - (1 << 20), 0))
        return size - len(file.read().rpartition(b"\n")[2])


def _repeated(tree: Path, folder: Path, number: str) -> int:
    size = 0
    for log in sorted(tree.rglob("*.jsonl")):
        copy = folder / f"{number}-{log.relative_to(tree)}"
        copy.parent.mkdir(parents=True, exist_ok=True)
        data = log.read_bytes().replace(b'"msg_', b'"msg_%s' % number.encode()).replace(b'"req_', b'"req_%s' % number.encode())
        size += copy.write_bytes(data)
    return size
