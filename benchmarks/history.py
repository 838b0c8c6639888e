"""A store that holds a year of a heavy user: how large it is, how fast it was filled, how fast it answers."""

from __future__ import annotations

import itertools
import json
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import tokentail
from benchmarks import trees, year
from benchmarks.bench import Bench, measured
from benchmarks.measure import Subject
from benchmarks.results import Row
from tokentail import database, prices
from tokentail.coordinator import BATCH_RECORDS
from tokentail.model import Change, Chunk, Life
from tokentail.reports.build import KINDS, build
from tokentail.reports.data import Stored
from tokentail.reports.request import Context, Request
from tokentail.store import Store

REPLIES = 2_000_000
MAX_BYTES_A_REPLY = 250
MAX_QUERY_MS = 100
MAX_WALL_MS = 250
WEEK_BEGINS = year.LAST_DAY - timedelta(days=6)
_MADE = "made.json"  # written last: without it the store is taken for half made
_COMMITS = 40
_WRITING = ("schema.sql", "store.py", "ledger.py", "summaries.py", "interned.py", "merge.py", "database.py")


def run(bench: Bench) -> list[Row]:
    """Size, filling, queries and whole commands on a store of two million replies."""
    folder = filled(bench.cache, REPLIES)
    made = json.loads((folder / _MADE).read_text())
    size = database.store_path(folder, None).stat().st_size
    what = f"a year, {made['replies'] / 1e6:.2f} million replies"
    return [
        Row(what=f"{what}: store a reply", values=(size / made["replies"],), unit="B", at_most=MAX_BYTES_A_REPLY),
        *_parts(database.store_path(folder, None), made["replies"]),
        Row(what="a year: replies written a second", values=(made["replies"] / made["took_s"],), unit="/s", note="(when it was made)"),
        Row(what=f"a year: commit of {year.LOOK_REPLIES} more", values=_commits(bench, folder), unit="ms"),
        *_queries(folder, bench.runs),
        *_commands(bench, folder),
    ]


def filled(cache: Path, replies: int) -> Path:
    """A folder that is the home of a store of so many replies; made anew when the code that writes stores has changed."""
    package = Path(tokentail.__file__).parent
    code = trees.digest(*((package / name).read_bytes() for name in _WRITING), Path(year.__file__).read_bytes())
    folder = cache / f"year-{replies}-{code}"
    if not (folder / _MADE).exists():
        for old in cache.glob(f"year-{replies}-*"):
            shutil.rmtree(old)
        (folder / "logs" / "projects").mkdir(parents=True)
        count, took_s = _fill(database.store_path(folder, None), year.chunks(replies))
        (folder / _MADE).write_text(json.dumps({"replies": count, "took_s": took_s}))
    return folder


def open_store(path: Path) -> Store:
    """A store to write to."""
    return Store(database.open_for_writing(path), path, thresholds=prices.load().thresholds)


class Writer:
    """Applies chunks as the coordinator does: each one goes on where its file's chunk before ended."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lives: dict[str, Life] = {}
        self.took_s = 0.0

    def apply(self, chunks: list[Chunk]) -> None:
        for chunk in chunks:
            chunk.change = Change(chunk.change.file, self._lives.get(chunk.change.file.path), None)
        began = time.perf_counter()
        self._store.trim_changes()  # as before every pass
        applied = self._store.apply(chunks)
        self.took_s += time.perf_counter() - began
        self._lives.update((life.file.path, life) for life in applied.lives)


def batches(chunks: Iterable[Chunk], records: int) -> Iterable[list[Chunk]]:
    """Chunks in commits of at least so many records."""
    batch: list[Chunk] = []
    size = 0
    for chunk in chunks:
        batch.append(chunk)
        size += len(chunk.records)
        if size >= records:
            yield batch
            batch, size = [], 0
    yield batch


def _fill(path: Path, chunks: Iterable[Chunk]) -> tuple[int, float]:
    with closing(open_store(path)) as store:
        writer, count = Writer(store), 0
        for batch in batches(chunks, BATCH_RECORDS):
            writer.apply(batch)
            count += sum(len(chunk.records) for chunk in batch)
        return count, writer.took_s


def _parts(path: Path, replies: int) -> list[Row]:
    """The largest tables and indexes, where this SQLite can tell."""
    query = "SELECT name, sum(pgsize) FROM dbstat WHERE aggregate = 0 GROUP BY name ORDER BY 2 DESC LIMIT 6"
    try:
        with closing(database.open_for_reading(path)) as db:
            return [Row(what=f"a year: of that {name}", values=(size / replies,), unit="B") for name, size in db.execute(query)]
    except sqlite3.OperationalError:
        return []


def _commits(bench: Bench, folder: Path) -> tuple[float, ...]:
    """How long small commits take, on a copy of the store."""
    took: list[float] = []
    with bench.scratch() as scratch:
        copy = scratch / "store.db"
        shutil.copy(database.store_path(folder, None), copy)
        with closing(open_store(copy)) as store:
            writer = Writer(store)
            for chunk in itertools.islice(year.chunks(50_000, seed=2), _COMMITS):
                before = writer.took_s
                writer.apply([chunk])
                took.append((writer.took_s - before) * 1000)
    return tuple(took[1:])


def _queries(folder: Path, runs: int) -> list[Row]:
    price_list, zone = prices.load(), ZoneInfo("Europe/Berlin")
    context = Context(price_list, int(time.time() * 1000))

    # Each time a new connection, as every command has one.
    def timed(request: Request) -> tuple[float, ...]:
        def report() -> None:
            with closing(database.open_for_reading(database.store_path(folder, None))) as db:
                build(request, Stored(db, price_list), context)

        return _timed(report, runs)

    rows = []
    for name in KINDS:
        for what, request in (("all days", Request(name, zone)), ("7 days", Request(name, zone, since=WEEK_BEGINS))):
            rows.append(Row(what=f"a year: query for {name}, {what}", values=timed(request), unit="ms", at_most=MAX_QUERY_MS))
    project = Request("daily", zone, projects=("project-00",))
    odd = Request("daily", ZoneInfo("Asia/Kathmandu"))
    rows.append(Row(what="a year: query for daily, one project", values=timed(project), unit="ms", at_most=MAX_QUERY_MS))
    rows.append(Row(what="a year: query for daily, 5:45 from UTC", values=timed(odd), unit="ms", at_most=MAX_QUERY_MS))
    return rows


def _timed(call: Callable[[], None], runs: int) -> tuple[float, ...]:
    call()
    took = []
    for _ in range(runs):
        began = time.perf_counter()
        call()
        took.append((time.perf_counter() - began) * 1000)
    return tuple(took)


def _commands(bench: Bench, folder: Path) -> list[Row]:
    """Whole processes; the logs themselves are gone, as logs older than a month are."""

    def asked(*words: str) -> Subject:
        return Subject(" ".join(words), lambda: bench.ours(*words, logs=folder / "logs", home=folder))

    subjects = [asked(name) for name in KINDS] + [asked("sessions", "--json"), asked("daily", "--json", "--since", str(WEEK_BEGINS))]
    results = measured(subjects, bench)
    return [Row(what=f"a year: tokentail {name}", values=runs.wall_ms, unit="ms", at_most=MAX_WALL_MS) for name, runs in results.items()]
