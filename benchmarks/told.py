"""Where a number comes from: how long an explanation takes on a store of a year, and how long estimates take."""

from __future__ import annotations

import shutil
from contextlib import closing

from benchmarks import history, trees
from benchmarks.bench import Bench, measured
from benchmarks.measure import Subject
from benchmarks.results import Row
from tokentail import database
from tokentail.demo.tree import TreePlan

MAX_REPLY_MS = 500
NOT_FINAL = TreePlan(total_bytes=150_000_000, files=300, never_final_share=1.0)
_ID = 1_000_000  # a reply in the midst of the year
_NAMES = """
SELECT key, request_id, name, date(at_ms / 1000, 'unixepoch') FROM replies JOIN owners ON owners.id = owner JOIN names ON names.id = session
WHERE replies.id = ?"""


def run(bench: Bench, replies: int = history.REPLIES) -> list[Row]:
    """Whole processes."""
    return [*_explained(bench, replies), *_estimated(bench)]


def _explained(bench: Bench, replies: int) -> list[Row]:
    """The logs are gone, so it is the store that is measured; of a few lines that are still there hardly more is read."""
    folder = history.filled(bench.cache, replies)
    with bench.scratch() as scratch:
        shutil.copy(database.store_path(folder, None), database.store_path(scratch, None))
        (scratch / "logs" / "projects").mkdir(parents=True)
        with closing(database.open_for_reading(database.store_path(scratch, None))) as db:
            key, request, session, day = db.execute(_NAMES, (min(_ID, replies // 2),)).fetchone()

        def asked(what: str, name: str) -> Subject:
            return Subject(what, lambda: bench.ours("explain", name, logs=scratch / "logs", home=scratch))

        subjects = [
            asked("a reply", key),
            asked("a reply by its request", request),
            asked("a session", session),
            asked("a day", day),
            asked("a month", day[:7]),
        ]
        results = measured(subjects, bench)
    return [
        Row(what=f"a year: tokentail explain, {what}", values=runs.wall_ms, unit="ms", at_most=MAX_REPLY_MS if what == "a reply" else None)
        for what, runs in results.items()
    ]


def _estimated(bench: Bench) -> list[Row]:
    """Logs of which no reply has a final output count, and all of them read already."""
    logs = trees.tree(bench.cache, NOT_FINAL)
    with bench.scratch() as scratch:

        def asked(*words: str) -> Subject:
            return Subject(" ".join(words), lambda: bench.ours(*words, logs=logs, home=scratch))

        subjects = [asked("daily"), asked("daily", "--estimate-output")]
        results = measured(subjects, bench)
        with closing(database.open_for_reading(database.store_path(scratch, None))) as db:
            count = db.execute("SELECT count(*) FROM replies WHERE NOT final").fetchone()[0]
    return [
        Row(what=f"{count} replies that are not final: tokentail {what}", values=runs.wall_ms, unit="ms") for what, runs in results.items()
    ]
