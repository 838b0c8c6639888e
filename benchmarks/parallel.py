"""How a backlog is read fastest: by how many processes, and by which way of reading the files that nobody writes any more."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import mapped, trees
from benchmarks.bench import Bench
from benchmarks.measure import Command, Subject, interleaved
from benchmarks.results import Row
from tokentail.demo.tree import TreePlan

_SHARED = ("-m", "benchmarks.shared")
_ROOT = Path(__file__).resolve().parents[1]


class Split(NamedTuple):
    """How a backlog is shared out."""

    helpers: int
    share: float  # of the bytes, a helper each
    processors: int

    def __str__(self) -> str:
        who = f"{self.helpers} helper{'s' if self.helpers != 1 else ''}"
        how_much = f" with {self.share:.0%}" if self.helpers else ""
        return f"{who}{how_much}{' each' if self.helpers > 1 else ''}, {self.processors} processor{'s' if self.processors > 1 else ''}"


SPLITS = (
    *(Split(0, 0, 2), Split(1, 0.46, 2), Split(1, 0.56, 2), Split(2, 0.33, 2), Split(2, 0.4, 2), Split(3, 0.25, 2)),
    *(Split(0, 0, 1), Split(1, 0.46, 1)),
)

SMALL_BYTES = (24_000_000, 48_000_000, 96_000_000)  # around `backlog.WORTH_BYTES`


def run(bench: Bench) -> list[Row]:
    """Both, on the usual tree; and on smaller ones from where on a helper pays."""
    logs = trees.tree(bench.cache, trees.USUAL)
    small = [trees.tree(bench.cache, TreePlan(total_bytes=size, files=size // 400_000, days=60)) for size in SMALL_BYTES]
    few = [row for each in small for row in _by_processes(bench, each, SPLITS[:2])]
    return [*_by_processes(bench, logs, SPLITS), *few, *mapped.run(bench, logs)]


def _by_processes(bench: Bench, logs: Path, splits: Sequence[Split]) -> list[Row]:
    """Cold reports side by side; each is held against the one by a single process on as many processors."""
    files, size = trees.size_of(logs)
    numbers = itertools.count()
    with bench.scratch() as scratch:

        def asked(split: Split) -> Subject:
            return Subject(str(split), lambda: _command(bench, split, logs, scratch / f"{next(numbers)}"))

        results = interleaved([asked(split) for split in splits], bench.runs)
    outputs = {runs.first.output for runs in results.values()}
    assert len(outputs) == 1, "they do not count alike"
    return [
        Row(
            what=f"cold, {size / 1e6:.0f} MB in {files} files: {split}",
            values=results[str(split)].wall_ms,
            unit="ms",
            peer="alone",
            peer_values=results[str(Split(0, 0, split.processors))].wall_ms,
        )
        for split in splits
    ]


def _command(bench: Bench, split: Split, logs: Path, home: Path) -> Command:
    ours = bench.ours("daily", "--json", logs=logs, home=home)
    numbers = (str(split.helpers), str(split.share), str(split.processors))
    return Command((sys.executable, *_SHARED, *numbers, "daily", "--json"), {**ours.environment, "PYTHONPATH": str(_ROOT)})
