"""The only place that makes more logs than fit on the disk: part by part, each punched hollow when it was read."""

from __future__ import annotations

import subprocess
from pathlib import Path

from benchmarks import trees
from tokentail.demo.tree import TreePlan

PART_BYTES = 250_000_000
PLAN = TreePlan(total_bytes=PART_BYTES, files=5, days=60, subagent_share=0, resumed_share=0)
PARTS_A_YEAR = 17  # so that 50 GB are twelve years of 4 GB: days that all of a history shared would be days of a thousand sessions
_LAST_YEAR = 2026  # that of the plan
_KEPT_BYTES = 64 * 1024  # at both ends: the proofs of a cursor lie there, and where a line is appended


class Parts:
    """Logs below a folder that grow by a part at a time, each with ids of its own, the latest year first."""

    def __init__(self, cache: Path, folder: Path) -> None:
        self._tree = trees.tree(cache, PLAN) / "projects"
        self._folder = folder
        self._whole: list[Path] = []
        self._added = 0
        self.logs: list[Path] = []
        self.size_bytes = 0

    def add(self) -> int:
        """Write one more part; gives its bytes."""
        name, size = f"{self._added:04}".encode(), 0
        stamp = b'"timestamp":"%d-'
        year = _LAST_YEAR - self._added // PARTS_A_YEAR
        for log in sorted(self._tree.rglob("*.jsonl")):
            copy = self._folder / f"{log.parent.name}-{self._added:04}" / log.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            data = log.read_bytes().replace(b'"msg_', b'"msg_' + name).replace(b'"req_', b'"req_' + name)
            data = data.replace(stamp % _LAST_YEAR, stamp % year)
            size += copy.write_bytes(data.removesuffix(b"\n") + b"\n")
            self._whole.append(copy)
        self._added += 1
        self.size_bytes += size
        self.logs += self._whole
        return size

    def punch(self) -> None:
        """Give back the disk under the middles of what was added: they read as zeros from now on, and nobody reads them."""
        for log in self._whole:
            length = log.stat().st_size - 2 * _KEPT_BYTES
            if length > 0:
                where = ("--offset", str(_KEPT_BYTES), "--length", str(length))
                subprocess.run(["fallocate", "--punch-hole", *where, str(log)], check=True)
        self._whole = []
