"""A day of three months of logs, 2 GB, counted without a store: by a full read, and by what an index leaves of it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import measure, trees
from benchmarks.bench import Bench, measured
from benchmarks.measure import MeasureError, Subject
from benchmarks.results import Row
from tokentail import database
from tokentail.demo.tree import TreePlan
from tokentail.periods import day_from_number
from tokentail.time_index import index_path

DAYS = 90
PLAN = TreePlan(total_bytes=2_000_000_000, files=4_800, days=DAYS)
MAX_READ = 5.0  # percent of the logs
MAX_INDEX = 0.5


def run(bench: Bench, plan: TreePlan = PLAN) -> list[Row]:
    """Whole processes; what they read is what the system says that they read."""
    logs = trees.tree(bench.cache, plan)
    files, size = trees.size_of(logs)
    last = day_from_number(plan.end_ms // 86_400_000)
    days = [last - timedelta(days=back) for back in range(5, plan.days, 9)]
    with bench.scratch() as scratch:

        def asked(*words: str) -> measure.Command:
            return bench.ours("daily", "--json", "--no-store", "--timezone=UTC", *words, logs=logs, home=scratch)

        def on(day: object) -> measure.Command:
            return asked(f"--since={day}", f"--until={day}")

        first = measure.run(asked())
        rows = {row["day"]: row for row in json.loads(first.output)["rows"]}
        looks = [measure.run(on(day)) for day in days]
        shares = tuple(_checked(json.loads(look.output), rows, size) for look in looks)
        middle = days[len(days) // 2]
        results = measured([Subject("a day", lambda: on(middle)), Subject("nothing", lambda: on("1999-01-01"))], bench)
        index = _size(scratch)
    what = f"{files} files, {size / 1e9:.1f} GB, {plan.days} days"
    return [
        Row(what=f"{what}: all of it without a store, which makes the index", values=(first.wall_s * 1000,), unit="ms"),
        Row(what=f"a day of it, {len(days)} days: share of the logs that was read", values=shares, unit="%", at_most=MAX_READ),
        Row(what="the same: the most", values=(max(shares),), unit="%", at_most=MAX_READ),
        Row(what="the same, as the system counts it: the most", values=(max(look.read_bytes for look in looks) / size * 100,), unit="%"),
        Row(what="the same, wall time of each day once", values=tuple(look.wall_s * 1000 for look in looks), unit="ms"),
        Row(what=f"{middle}, wall time", values=results["a day"].wall_ms, unit="ms"),
        Row(what=f"{middle}, peak memory", values=results["a day"].peak_mb, unit="MB"),
        Row(what="a day before all usage, wall time", values=results["nothing"].wall_ms, unit="ms"),
        Row(what="the index, as a share of the logs", values=(index / size * 100,), unit="%", at_most=MAX_INDEX),
        Row(what="how many times as fast a day is", values=(first.wall_s * 1000 / median(results["a day"].wall_ms),)),
    ]


def _checked(document: Any, rows: dict[str, Any], size: int) -> float:
    """How much was read, in percent of the logs, for a report that says what the full read says."""
    (row,) = document["rows"]
    if row != rows[row["day"]]:
        raise MeasureError(f"the report on {row['day']} differs from that of a full read")
    return float(document["notes"]["bytes_read"]) / size * 100


def _size(home: Path) -> int:
    return index_path(database.store_path(home, None)).stat().st_size
