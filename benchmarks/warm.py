"""When all or nearly all is known: nothing changed, many files, one line more."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median

from benchmarks import measure, trees
from benchmarks.bench import OURS, Bench, comparable, count_rows, measured
from benchmarks.measure import Command, Subject
from benchmarks.peers import TOKSCALE
from benchmarks.results import Row
from tokentail import database, queries

MAX_WARM_MS = 120
MAX_SHARE_OF_TOKSCALE = 0.3
MAX_MANY_FILES_MS = 250
MAX_APPEND_MS = 10  # beyond a warm report
MAX_APPEND_BYTES = 64 * 1024  # read beyond what was appended


def run(bench: Bench) -> list[Row]:
    """Warm reports on the usual tree and on many small files, and after an append."""
    logs = trees.tree(bench.cache, trees.USUAL)
    return [*_unchanged(bench, logs), *_many_files(bench), *_appended(bench, logs)]


def _unchanged(bench: Bench, logs: Path) -> list[Row]:
    wanted = (TOKSCALE,)
    with bench.scratch() as scratch:
        results = measured(bench.subjects(logs, scratch, wanted, fresh=False), bench)
    ours = results[OURS]
    peer = results[TOKSCALE.name].wall_ms if comparable(TOKSCALE, results) else ()
    return [
        Row(
            what="warm, nothing changed",
            values=ours.wall_ms,
            unit="ms",
            at_most=MAX_WARM_MS,
            share=MAX_SHARE_OF_TOKSCALE,
            peer=TOKSCALE.name,
            peer_values=peer,
        ),
        Row(what="warm, peak of the largest process", values=ours.peak_mb, unit="MB"),
        *count_rows("warm", results, wanted),
    ]


def _many_files(bench: Bench) -> list[Row]:
    logs = trees.tree(bench.cache, trees.MANY_FILES)
    files, _ = trees.size_of(logs)
    with bench.scratch() as scratch:
        results = measured(bench.subjects(logs, scratch, (TOKSCALE,), fresh=False), bench)
    peer = results[TOKSCALE.name].wall_ms if comparable(TOKSCALE, results) else ()
    what = f"warm, {files} files"
    return [Row(what=what, values=results[OURS].wall_ms, unit="ms", at_most=MAX_MANY_FILES_MS, peer=TOKSCALE.name, peer_values=peer)]


def _appended(bench: Bench, logs: Path) -> list[Row]:
    """A warm report and one after an append take turns, on a tree that is nobody else's."""
    with bench.scratch() as scratch:
        copies = trees.twin(logs, scratch / "tree", writable=bench.runs + 1)
        numbers = itertools.count()
        excess: list[float] = []

        def ask() -> Command:
            return bench.ours("daily", "--json", logs=scratch / "tree", home=scratch / OURS)

        def append_and_ask() -> Command:
            number = next(numbers)
            written.append(trees.append_reply(copies[number % len(copies)], number))
            return ask()

        written: list[int] = []
        store = database.store_path(scratch / OURS, None)
        warm = Subject("warm", _after(ask, lambda: excess.extend(_excess(store, written))))
        measure.run(ask())
        results = measured([Subject("append", append_and_ask), warm], bench)
    limit = median(results["warm"].wall_ms) + MAX_APPEND_MS
    return [
        Row(what="warm, in the run of the next row", values=results["warm"].wall_ms, unit="ms"),
        Row(what="one line appended", values=results["append"].wall_ms, unit="ms", at_most=limit),
        Row(what="bytes read beyond that line", values=tuple(excess[1:]), unit="B", at_most=MAX_APPEND_BYTES),
    ]


def _after(ask: Callable[[], Command], look: Callable[[], None]) -> Callable[[], Command]:
    """Look at what the run before left, then ask."""

    def both() -> Command:
        look()
        return ask()

    return both


def _excess(store: Path, written: list[int]) -> list[float]:
    """How much the newest pass read beyond the line that was written for it."""
    with closing(database.open_for_reading(store)) as connection:
        (newest,) = queries.passes(connection, 1)
    return [float(newest.metrics["bytes_read"] - written[-1])]
