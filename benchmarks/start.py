"""What starting costs, before there is any work."""

from __future__ import annotations

import sys

from benchmarks.bench import OURS, Bench, measured
from benchmarks.measure import Command, Subject
from benchmarks.results import Row

MAX_HELP_MS = 80


def run(bench: Bench) -> list[Row]:
    """The help, beside a Python that does nothing."""
    with bench.scratch() as scratch:
        (scratch / "logs").mkdir()
        subjects = [
            Subject(OURS, lambda: bench.ours("--help", logs=scratch / "logs", home=scratch / "home")),
            Subject("python", lambda: Command((sys.executable, "-c", "pass"), {})),
        ]
        results = measured(subjects, bench)
    bare = results["python"].wall_ms
    return [
        Row(what="tokentail --help", values=results[OURS].wall_ms, unit="ms", at_most=MAX_HELP_MS, peer="python -c pass", peer_values=bare)
    ]
