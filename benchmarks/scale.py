"""
What grows with the number of logs and with their size, and what does not: the curves of docs/scale.md.

Two things are scaled apart from each other. *Files*: trees of 1 000, 10 000 and 100 000 small logs. *Bytes*: a history that is made
and read in parts, as it would be over months; of each part that was read the middle is then punched out of its files. They keep
their sizes, their first bytes and their last, which is all that is ever looked at again, and 50 GB lie on a few megabytes of disk.
"""

from __future__ import annotations

import csv
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks import append, measure, parts, trees
from benchmarks.bench import Bench
from benchmarks.feeds import Feed
from benchmarks.measure import Command, MeasureError, Usage
from benchmarks.results import Row
from tokentail import database, queries

SIZES = (1_000, 10_000, 100_000)
MANY = 100  # logs that gain a line each
FOLDER_FILES = 200
LIVE_LINES = 20
MAX_EXCESS_BYTES = 64 * 1024  # read beyond what was appended, a log
KEPT = "scale.csv"
LOOKS = 10  # at a history while it grows
_OLD_S = 86_400
_WITHIN_S = 60.0


class Figure(NamedTuple):
    """Something that was measured at a size, several times."""

    curve: str  # files, bytes
    size: float  # in files, or in gigabytes
    what: str
    unit: str
    values: tuple[float, ...]


class Field:
    """Logs and the store of them."""

    def __init__(self, bench: Bench, logs: Path, home: Path) -> None:
        self._bench, self._logs, self._home = bench, logs, home
        self._numbers = 0
        self.written_at = 0.0  # when the newest line was

    def ours(self, *words: str) -> Command:
        return self._bench.ours(*words, logs=self._logs, home=self._home)

    def report(self) -> Usage:
        return measure.run(self.ours("daily", "--json"))

    def append(self, logs: Sequence[Path]) -> int:
        """A line each; gives their bytes."""
        size = 0
        for log in logs:
            self._numbers += 1
            data = append.line(f"scale{self._numbers:06}", str(log))
            self.written_at = append.append(str(log), data)
            size += len(data)
        return size

    def bytes_of_logs(self) -> int:
        return trees.size_of(self._logs)[1]

    def log_bytes_read(self) -> int:
        """By the newest pass."""
        with closing(database.open_for_reading(database.store_path(self._home, None))) as db:
            (newest,) = queries.passes(db, 1)
        return int(newest.metrics["bytes_read"])


def run(bench: Bench) -> list[Row]:
    """Both curves; the medians are kept beside the cache as well, for the plot."""
    figures = [*_by_files(bench), *_by_bytes(bench)]
    with (bench.cache / KEPT).open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["curve", "size", "what", "unit", "median"])
        writer.writerows([each.curve, f"{each.size:g}", each.what, each.unit, f"{median(each.values):.6g}"] for each in figures)
    print(f"scale: the medians stand in {bench.cache / KEPT}", file=sys.stderr)
    return [_row(each) for each in figures]


def _row(figure: Figure) -> Row:
    size = f"{figure.size:,.0f} files".replace(",", " ") if figure.curve == "files" else f"{figure.size:.3g} GB"
    limit = MAX_EXCESS_BYTES * (MANY if "100 logs" in figure.what else 1) if "beyond" in figure.what else None
    return Row(what=f"scale, {size}: {figure.what}", values=figure.values, unit=figure.unit, at_most=limit)


# By files


def _by_files(bench: Bench) -> Iterator[Figure]:
    for files in [size for size in SIZES if size < bench.files] + [bench.files]:
        with bench.scratch() as scratch:
            logs = list(_written(scratch / "logs" / "projects", files))
            field = Field(bench, scratch / "logs", scratch / "home")

            def figure(what: str, unit: str, *values: float, files: int = files) -> Figure:
                return Figure("files", files, what, unit, values)

            yield from _first(field, figure)
            yield from _reports(field, logs, bench.runs, figure)
            yield from _live(field, logs, bench.runs, figure)


Make = Callable[..., Figure]


def _written(top: Path, files: int) -> Iterator[Path]:
    """Small logs of a question and two answers each, that nobody has touched for a day."""
    then = time.time() - _OLD_S
    for number in range(files):
        log = top / f"-home-dev-project-{number // FOLDER_FILES:03}" / f"{number:08x}-0000-4000-8000-{number:012x}.jsonl"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(_small_log(number, log.stem))
        os.utime(log, (then, then))
        yield log


def _small_log(number: int, session: str) -> bytes:
    minute = number % (60 * 24 * 50)
    day, hour, minute = minute // 1440, minute // 60 % 24, minute % 60
    begin = f"2026-{9 + day // 28:02}-{1 + day % 28:02}T{hour:02}:{minute:02}"
    outer = f'"sessionId":"{session}","version":"2.1.229","cwd":"/home/dev/project"'
    usage = '"usage":{"input_tokens":3,"cache_creation_input_tokens":100,"cache_read_input_tokens":20000,"output_tokens":500}'
    lines = [f'{{"type":"user","timestamp":"{begin}:00.000Z",{outer},"message":{{"role":"user","content":"A question."}}}}\n']
    for part in range(2):
        name = f"{number:08}{part}"
        lines.append(
            f'{{"type":"assistant","timestamp":"{begin}:{20 + part}.000Z",{outer},"requestId":"req_{name}","uuid":"uuid-{name}",'
            f'"message":{{"id":"msg_{name}","role":"assistant","model":"claude-opus-4-8","stop_reason":"end_turn",{usage}}}}}\n'
        )
    return "".join(lines).encode()


def _first(field: Field, figure: Make) -> Iterator[Figure]:
    used = field.report()
    yield figure("all logs", "B", field.bytes_of_logs())
    yield figure("the first fill", "s", used.wall_s)
    yield figure("the first fill, peak of the largest process", "MB", used.peak_bytes / 1e6)


def _reports(field: Field, logs: Sequence[Path], runs: int, figure: Make) -> Iterator[Figure]:
    """A report when nothing is new, when a log has gained a line, and when a hundred have, in turn."""
    rng = random.Random(2)
    took: dict[str, list[float]] = {}

    def note(what: str, value: float) -> None:
        took.setdefault(what, []).append(value)

    many = min(MANY, len(logs))
    for _ in range(runs + 1):
        used = field.report()
        note("nothing new/ms", used.wall_s * 1000)
        note("nothing new, peak/MB", used.peak_bytes / 1e6)
        for what, count in (("a line in a log", 1), (f"a line in each of {many} logs", many)):
            written = field.append(rng.sample(list(logs), count))
            note(f"{what}/ms", field.report().wall_s * 1000)
            read = field.log_bytes_read()
            note(f"{what}, read of the logs/B", read)
            note(f"{what}, read beyond it/B", read - written)
    for name, values in took.items():
        what, unit = name.split("/")
        yield figure(f"a report, {what}", unit, *values[1:])


def _live(field: Field, logs: Sequence[Path], runs: int, figure: Make) -> Iterator[Figure]:
    """Following: until it is ready, and what a line costs then."""
    ready: list[float] = []
    for _ in range(runs):
        with Feed(field.ours("feed", "--json"), keeps=False) as feed:
            ready.append((feed.ready_at - feed.began) * 1000)
    yield figure("following, until ready", "ms", *ready)
    rng = random.Random(3)
    with Feed(field.ours("feed", "--json"), keeps=True) as feed:
        time.sleep(2.0)  # what starting brings with it is over
        memory, lines, late, read = feed.rss_bytes() / 1e6, 0, [], []
        for _ in range(LIVE_LINES):
            before = feed.read_bytes()
            field.append([rng.choice(logs)])
            lines += 1
            late.append((_last_came(feed, lines) - field.written_at) * 1000)
            read.append(feed.read_bytes() - before)
        began = time.time()
        many = min(MANY, len(logs))
        field.append(rng.sample(list(logs), many))
        all_ms = (_last_came(feed, lines + many) - began) * 1000
    yield figure("following, memory", "MB", memory)
    yield figure("following, a line in a log until it is told", "ms", *late)
    yield figure("following, a line in a log, read by any call", "B", *map(float, read))
    yield figure(f"following, a line in each of {many} logs until all are told", "ms", all_ms)


def _last_came(feed: Feed, lines: int) -> float:
    """When the last of so many lines came."""
    if not feed.wait_for(lines, _WITHIN_S):
        raise MeasureError(f"of {lines} lines {feed.count()} came within {_WITHIN_S:g} s")
    return max(feed.arrivals().values())


# By bytes


def _by_bytes(bench: Bench) -> Iterator[Figure]:
    """A history that grows part by part; looked at now and then, and at its end."""
    with bench.scratch() as scratch:
        history = parts.Parts(bench.cache, scratch / "logs" / "projects")
        field = Field(bench, scratch / "logs", scratch / "home")
        count = max(round(bench.gigabytes * 1e9 / parts.PART_BYTES), 1)
        looks = {round(count * look / LOOKS) for look in range(1, LOOKS + 1)}
        for number in range(1, count + 1):
            added = history.add()
            used = field.report()
            history.punch()

            def figure(what: str, unit: str, *values: float) -> Figure:
                return Figure("bytes", history.size_bytes / 1e9, what, unit, values)

            if number in looks or number == 1:
                yield figure("all logs", "B", history.size_bytes)
                yield figure("reading a part", "MB/s", added / 1e6 / used.wall_s)
                yield figure("reading a part, peak of the largest process", "MB", used.peak_bytes / 1e6)
                yield from _reports(field, history.logs, min(bench.runs, 3), figure)
        yield from _live(field, history.logs, bench.runs, figure)
