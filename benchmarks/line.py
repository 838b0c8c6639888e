"""The status line with a store of a year, as Claude Code asks for it: with nothing new, and after a reply."""

from __future__ import annotations

import itertools
import json
import shutil
import time
from pathlib import Path

from benchmarks import append, history
from benchmarks.bench import Bench, measured
from benchmarks.measure import Command, Subject
from benchmarks.results import Row
from tokentail import database

MAX_WALL_MS = 80
_SAME, _NEW = "nothing new", "a new reply"


def run(bench: Bench, replies: int = history.REPLIES) -> list[Row]:
    """Whole processes. The one with something new finds a grown log, another cost and other limits each time."""
    folder = history.filled(bench.cache, replies)
    with bench.scratch() as scratch:
        shutil.copy(database.store_path(folder, None), database.store_path(scratch, None))
        log = scratch / "logs" / "projects" / "-home-dev-app" / "0e1d2c3b-0000-4000-8000-000000000001.jsonl"
        log.parent.mkdir(parents=True)
        numbers = itertools.count(1)

        def asked(number: int) -> Command:
            append.append(str(log), append.line(f"line{number:07}", str(log)))
            return _asked(bench, scratch, log, number)

        subjects = [
            Subject(_SAME, lambda: _asked(bench, scratch, scratch / "none.jsonl", 0)),
            Subject(_NEW, lambda: asked(next(numbers))),
            Subject("--version", lambda: bench.ours("--version", logs=scratch / "logs", home=scratch)),
        ]
        results = measured(subjects, bench)
    other = results["--version"].wall_ms
    return [
        Row(
            what=f"a year: tokentail statusline, {name}",
            values=results[name].wall_ms,
            unit="ms",
            at_most=MAX_WALL_MS,
            peer="--version",
            peer_values=other,
        )
        for name in (_SAME, _NEW)
    ]


def _asked(bench: Bench, scratch: Path, log: Path, number: int) -> Command:
    """tokentail with what Claude Code says of a session on stdin."""
    resets_s = int(time.time()) // 3600 * 3600 + 7200
    said = {
        "session_id": log.stem,
        "transcript_path": str(log),
        "cost": {"total_cost_usd": number / 10},
        "context_window": {"used_percentage": 34},
        "rate_limits": {kind: {"used_percentage": number / 10, "resets_at": resets_s} for kind in ("five_hour", "seven_day")},
    }
    given = scratch / "said.json"
    given.write_text(json.dumps(said), encoding="utf-8")
    ours = bench.ours("statusline", logs=scratch / "logs", home=scratch)
    return Command(("/bin/sh", "-c", 'exec "$@" < "$0"', str(given), *ours.words), ours.environment)
