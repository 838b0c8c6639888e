"""Are our made-up logs as hard to read as somebody else's? Time a megabyte on both, where there is another maker of them."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

from benchmarks import trees
from benchmarks.bench import Bench, measured
from benchmarks.measure import Runs, Subject
from benchmarks.results import Row
from tokentail.demo.tree import TreePlan

OTHER_MAKER = Path(__file__).resolve().parents[2] / "shared" / "corpus" / "make_corpus.py"
PLAN = TreePlan(total_bytes=150_000_000, files=360, days=60)


def run(bench: Bench) -> list[Row]:
    """Cold time for each megabyte of our own tree, and of one that a neighbour of the checkout makes."""
    if not OTHER_MAKER.exists():
        return [Row(what="corpus", note="there is no other maker of logs beside the checkout")]
    folders = {"our own": trees.tree(bench.cache, PLAN), "the other maker's": _other(bench.cache)}
    with bench.scratch() as scratch:
        subjects = [_subject(whose, bench, logs, scratch) for whose, logs in folders.items()]
        results = measured(subjects, bench)
    return [_row(whose, folders[whose], runs) for whose, runs in results.items()]


def _subject(whose: str, bench: Bench, logs: Path, scratch: Path) -> Subject:
    numbers = itertools.count()
    return Subject(whose, lambda: bench.ours("daily", "--json", logs=logs, home=scratch / f"{whose}-{next(numbers)}"))


def _row(whose: str, logs: Path, runs: Runs) -> Row:
    files, size = trees.size_of(logs)
    lines = sum(log.read_bytes().count(b'"usage"') for log in (logs / "projects").rglob("*.jsonl"))
    note = f"({files} files, {lines / size * 1e6:.0f} mentions of usage a MB)"
    return Row(what=f"cold, {whose} logs, a MB", values=tuple(ms / (size / 1e6) for ms in runs.wall_ms), unit="ms", note=note)


def _other(cache: Path) -> Path:
    folder = cache / f"tree-other-{PLAN.total_bytes}-{PLAN.files}"
    if not (folder / "truth.json").exists():
        sizes = ("--bytes", str(PLAN.total_bytes), "--files", str(PLAN.files), "--days", str(PLAN.days))
        subprocess.run([sys.executable, str(OTHER_MAKER), "--out", str(folder), *sizes], check=True, stdout=subprocess.DEVNULL)
    return folder
