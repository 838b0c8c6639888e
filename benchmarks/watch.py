"""How soon a change is hinted at, and what watching costs while nothing changes."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles

from benchmarks.bench import Bench
from benchmarks.results import Row
from tokentail.sources.local import is_log_name
from tokentail.watcher import Events, FileWatcher, Pace, Sink, open_events
from tokentail.watcher.hints import IsLog
from tokentail.watcher.poller import Poller

FOLDERS, FILES = 500, 10_000
APPENDED_FILES, APPENDS_A_S, APPENDS = 2_000, 50, 500
IDLE_S = 10.0
MAX_SETUP_MS = 200
MAX_IDLE_EVENTS = 0.1
MAX_IDLE_POLLING = 2.0
MAX_HINT_MS = 1.0
_OLD_S = 86_400
_STAMP_BYTES = 20

# Each line is the time just before it was written.
_WRITER = f"""
import os, random, sys, time
draw = random.Random(1)
paths = open(sys.argv[1]).read().split("\\n")
for _ in range({APPENDS}):
    time.sleep(1 / {APPENDS_A_S})
    file = os.open(draw.choice(paths), os.O_WRONLY | os.O_APPEND)
    os.write(file, b"%{_STAMP_BYTES - 1}d\\n" % time.monotonic_ns())
    os.close(file)
"""


def run(bench: Bench) -> list[Row]:
    """Set-up, idling by events and by polling, and the way of an append."""
    with bench.scratch() as scratch:
        logs = _tree(scratch / "logs", FOLDERS, FILES)
        what = f"watching {FILES} files in {FOLDERS} folders"
        runs = range(bench.runs)
        rows = [
            Row(
                what=f"{what}: until all is watched", values=tuple(_setup_ms(scratch, logs) for _ in runs), unit="ms", at_most=MAX_SETUP_MS
            ),
            *_idle(bench, scratch, logs, what),
        ]
    with bench.scratch() as scratch:
        few = _tree(scratch / "logs", FOLDERS // 5, APPENDED_FILES)
        delays = sorted(_delays_ms(scratch, few))
    centiles = quantiles(delays, n=100)
    what = f"an append to one of {APPENDED_FILES} files, {APPENDS_A_S} a second, {len(delays)} hints"
    return [
        *rows,
        Row(what=f"{what}: p50", values=(centiles[49],), unit="ms", at_most=MAX_HINT_MS),
        Row(what=f"{what}: p99", values=(centiles[98],), unit="ms"),
        Row(what=f"{what}: worst", values=(delays[-1],), unit="ms"),
    ]


def _tree(top: Path, folders: int, files: int) -> Path:
    """Small logs that were written a day ago."""
    then = time.time() - _OLD_S
    for number in range(files):
        path = top / f"project-{number % folders}" / f"{number}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"{}\n")
        os.utime(path, (then, then))
    return top


@contextmanager
def _watched(scratch: Path, logs: Path, *, by_events: bool = True) -> Iterator[FileWatcher]:
    with FileWatcher(
        [str(logs)], is_log_name, canary=scratch / "canary" / "canary", open_events=open_events if by_events else _no_events
    ) as watcher:
        while not watcher.wait(10.0).lost:
            pass
        yield watcher


def _no_events(roots: Sequence[str], is_log: IsLog, sink: Sink) -> Events:
    raise OSError(errno.EMFILE, "not wanted")


def _setup_ms(scratch: Path, logs: Path) -> float:
    began = time.perf_counter()
    with _watched(scratch, logs):
        return (time.perf_counter() - began) * 1000


def _idle(bench: Bench, scratch: Path, logs: Path, what: str) -> list[Row]:
    runs = range(bench.runs)
    # A sweep comes too seldom to be met in every run, so it is measured apart.
    sweeps = tuple(_sweep_ms(logs) for _ in runs)
    events = tuple(_idle_share(scratch, logs, by_events=True) + ms / 1000 / Pace().sweep_in_calm_s for ms in sweeps)
    polling = tuple(_idle_share(scratch, logs, by_events=False) for _ in runs)
    return [
        Row(what=f"{what}: a sweep", values=sweeps, unit="ms"),
        Row(what=f"{what}: idle, events and a sweep a minute", values=_percent(events), unit="%", at_most=MAX_IDLE_EVENTS),
        Row(what=f"{what}: idle, polling", values=_percent(polling), unit="%", at_most=MAX_IDLE_POLLING),
    ]


def _percent(shares: Sequence[float]) -> tuple[float, ...]:
    return tuple(share * 100 for share in shares)


def _idle_share(scratch: Path, logs: Path, *, by_events: bool) -> float:
    """The share of a core that goes by while nothing changes."""
    with _watched(scratch, logs, by_events=by_events) as watcher:
        settled = time.monotonic() + 1.0  # the first sweep
        while (left := settled - time.monotonic()) > 0:
            watcher.wait(left)
        began, used = time.monotonic(), time.process_time()
        while (left := began + IDLE_S - time.monotonic()) > 0:
            watcher.wait(left)
        return (time.process_time() - used) / (time.monotonic() - began)


def _sweep_ms(logs: Path) -> float:
    """The CPU time of one sweep, the first one left out."""
    poller = Poller([str(logs)], is_log_name, lambda _: None, Pace(sweep_in_doubt_s=0.0, most_share=1e9))
    took = 0.0
    while poller.sweeps_done < 2:
        began = time.thread_time()
        poller.work(lambda: True)
        took = took + time.thread_time() - began if poller.sweeps_begun == 2 else 0.0
    return took * 1000


def _delays_ms(scratch: Path, logs: Path) -> list[float]:
    names = scratch / "names"
    names.write_text("\n".join(map(str, logs.rglob("*.jsonl"))))
    delays: list[float] = []
    with _watched(scratch, logs) as watcher:
        writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(names)])
        while writer.poll() is None:
            hints = watcher.wait(0.1)
            now = time.monotonic_ns()
            delays.extend((now - _stamp(path)) / 1e6 for path in hints.files)
    return delays


def _stamp(path: str) -> int:
    with open(path, "rb") as file:
        file.seek(-_STAMP_BYTES, os.SEEK_END)
        return int(file.read())
