"""
How live it is: from an appended line to its arrival in another process, and what that costs.

Each latency runs from the moment when the writer's `write` returned to the moment when this process has the line that a second
`tokentail feed --json` printed for it. So four processes take part: the writer, the one that reads the logs, the one that hears
what that commits, and this one. All by one clock, and a line counts only when it arrived.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import quantiles
from typing import NamedTuple

from benchmarks import append, backlog, trees
from benchmarks.bench import Bench
from benchmarks.feeds import Feed
from benchmarks.measure import Command, MeasureError
from benchmarks.measure import run as run_command
from benchmarks.peers import CCUSAGE
from benchmarks.results import Row

NEW_FOLDERS = 100
CREATED = 20_000  # files at once, more than the kernel keeps events for
LAG_WITHIN_S = 60.0
BACKLOG_WITHIN_S = 600.0
MAX_READY_MS = 500
MAX_NEW_FOLDER_P99_MS = 50
MAX_IDLE_PERCENT = {"events": 0.1, "polling": 2.0}
MAX_BACKLOG_MB = 200
MAX_BACKLOG_P99_MS = 100
_APPEND = Path(append.__file__)


class Latencies(NamedTuple):
    """Of lines that were written: how late they arrived, how many did not, and how long after the last was written the last came."""

    all_ms: list[float]
    lost: int
    lag_s: float


class Field:
    """A tree of 10 000 logs that is ours to change, with the home of its store."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self.bench = bench
        self.tree = folder / "tree"
        self.home = folder / "home"
        self.folder = folder
        shutil.copytree(trees.tree(bench.cache, trees.MANY_FILES) / "projects", self.tree / "projects")
        self.logs = sorted((self.tree / "projects").rglob("*.jsonl"))
        self._numbers = 0
        _end_lines(self.logs)
        run_command(self.ours("daily", "--json"))

    def ours(self, *words: str) -> Command:
        return self.bench.ours(*words, logs=self.tree, home=self.home)

    def feed(self, *, keeps: bool = False) -> Feed:
        return Feed(self.ours("feed", "--json"), keeps=keeps)

    @contextmanager
    def pair(self) -> Iterator[tuple[Feed, Feed]]:
        """One process that reads the logs, and one that hears of it."""
        with self.feed() as leader, self.feed(keeps=True) as reader:
            time.sleep(1.0)  # what starting brings with it is over
            yield leader, reader

    def writer(self, rate: float, seconds: float, logs: Sequence[Path]) -> Writer:
        self._numbers += 1
        return Writer(self.folder / f"journal-{self._numbers}", rate, seconds, f"w{self._numbers:02}x", logs)

    def prefix(self) -> str:
        self._numbers += 1
        return f"w{self._numbers:02}x"


class Writer:
    """A process that appends lines."""

    def __init__(self, journal: Path, rate: float, seconds: float, prefix: str, logs: Sequence[Path]) -> None:
        self._journal = journal
        names = journal.with_suffix(".names")
        names.write_text("\n".join(map(str, logs)))
        words = [sys.executable, "-I", "-S", str(_APPEND), str(journal), str(rate), str(seconds), prefix, str(names)]
        self.process = subprocess.Popen(words)

    def written(self) -> dict[str, float]:
        """When each line was written, once all are."""
        if self.process.wait():
            raise MeasureError("the writer failed")
        pairs = (line.split() for line in self._journal.read_text().splitlines())
        return {f"msg_{name}": float(moment) for name, moment in pairs}


def run(bench: Bench) -> list[Row]:
    """Every part after the other, on one tree."""
    with bench.scratch() as scratch:
        field = Field(bench, scratch)
        rows: list[Row] = []
        for part in PARTS:
            began = time.monotonic()
            try:
                rows += [_with_load(row) for row in part(field)]
            except MeasureError as error:
                rows.append(Row(what=f"live, {part.__name__.strip('_')}", note=f"failed: {error}"))
            print(f"live, {part.__name__.strip('_')}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        return rows


def _start(field: Field) -> list[Row]:
    """From the start of the process to the word `ready`; nothing has changed since the last one."""
    took = []
    for _ in range(field.bench.runs + 1):
        with field.feed() as feed:
            took.append((feed.ready_at - feed.began) * 1000)
    return [Row(what="live, from start to ready, 10 000 files", values=tuple(took[1:]), unit="ms", at_most=MAX_READY_MS)]


def _calm(field: Field) -> list[Row]:
    what = "live, 50 lines/s over 10 000 files"
    with field.pair() as (_, reader):
        return _rows(what, _followed(field.writer(50, field.bench.seconds, field.logs), reader), p50=2, p99=10)


def _busy(field: Field) -> list[Row]:
    what = "live, 1 000 lines/s over 10 000 files"
    with field.pair() as (_, reader):
        return _rows(what, _followed(field.writer(1000, field.bench.seconds, field.logs), reader), p50=5, p99=25)


def _flood(field: Field) -> list[Row]:
    what = "live, 5 000 lines/s over 500 files"
    with field.pair() as (leader, reader):
        before = leader.cpu_s()
        writer = field.writer(5000, field.bench.seconds, field.logs[:500])
        seen = _followed(writer, reader)
        cpu_s = leader.cpu_s() - before
        moments = sorted(writer.written().values())
        rate = len(moments) / (moments[-1] - moments[0])
    return [
        *_rows(what, seen),
        Row(what=f"{what}: written", values=(rate,), unit="/s"),
        Row(what=f"{what}: from the last line to all of them", values=(seen.lag_s,), unit="s", at_most=1),
        Row(what=f"{what}: processor time a line, of the process that reads", values=(cpu_s / len(moments) * 1e6,), unit="µs"),
    ]


def _idle(field: Field) -> list[Row]:
    return [_idle_row(field, "events", field.ours("feed", "--json")), _idle_row(field, "polling", _without_events(field))]


def _idle_row(field: Field, how: str, command: Command) -> Row:
    with Feed(command, keeps=False) as feed:
        time.sleep(20)  # until events are proven, and nothing was written lately
        before, began = feed.cpu_s(), time.monotonic()
        time.sleep(max(field.bench.seconds, 20))
        share = (feed.cpu_s() - before) / (time.monotonic() - began) * 100
    return Row(what=f"live, idle, 10 000 files, {how}", values=(share,), unit="%", at_most=MAX_IDLE_PERCENT[how])


def _without_events(field: Field) -> Command:
    """The same where the system has no more events to give; needs user namespaces."""
    usual = field.ours("feed", "--json")
    script = 'echo 0 > /proc/sys/user/max_inotify_instances && exec "$@"'
    return Command(("unshare", "-Ur", "sh", "-c", script, "sh", *usual.words), usual.environment)


def _new_folder(field: Field) -> list[Row]:
    """A log in a new folder, five levels down."""
    prefix = field.prefix()
    written: dict[str, float] = {}
    with field.pair() as (_, reader):
        for number in range(NEW_FOLDERS):
            folder = field.tree / "projects" / f"{prefix}-{number}" / "a" / "b" / "c" / "d"
            folder.mkdir(parents=True)
            log = str(folder / f"{prefix}-{number}.jsonl")
            written[f"msg_{prefix}{number}"] = append.append(log, append.line(f"{prefix}{number}", log))
            time.sleep(0.05)
        return _rows("live, a log in a new deep folder", _compared(written, reader), p99=MAX_NEW_FOLDER_P99_MS)


def _overflow(field: Field) -> list[Row]:
    """More events than the kernel keeps: whoever reads is stopped meanwhile."""
    prefix = field.prefix()
    with field.feed(keeps=True) as feed:
        time.sleep(1.0)
        feed.process.send_signal(signal.SIGSTOP)
        _create(field.tree / "projects", prefix)
        resumed = time.time()
        feed.process.send_signal(signal.SIGCONT)
        feed.wait_for(CREATED, LAG_WITHIN_S)
        arrivals = {name: moment for name, moment in feed.arrivals().items() if name.startswith(f"msg_{prefix}")}
    parse_s = _parse_s(field, prefix)
    took_s = max(arrivals.values(), default=0.0) - resumed
    lost = CREATED - len(arrivals)
    return [
        Row(what="live, after an overflow by 20 000 files, all seen", values=(took_s,), unit="s", note=f"({lost} lost)"),
        Row(what="live, the same without the time of a report on them", values=(took_s - parse_s,), unit="s", at_most=1),
    ]


def _create(folder: Path, prefix: str) -> None:
    for part in range(100):
        (folder / f"{prefix}-{part}").mkdir()
        for number in range(part * CREATED // 100, (part + 1) * CREATED // 100):
            log = str(folder / f"{prefix}-{part}" / f"{prefix}{number}.jsonl")
            append.append(log, append.line(f"{prefix}{number}", log))


def _parse_s(field: Field, prefix: str) -> float:
    """How long a report takes to read such files, beyond one that finds nothing new."""
    other = f"{prefix}again"
    before = run_command(field.ours("daily", "--json")).wall_s
    _create(field.tree / "projects", other)
    after = run_command(field.ours("daily", "--json")).wall_s
    for folder in [*(field.tree / "projects").glob(f"{prefix}-*"), *(field.tree / "projects").glob(f"{other}-*")]:
        shutil.rmtree(folder)
    run_command(field.ours("daily", "--json"))
    return after - before


def _backlog(field: Field) -> list[Row]:
    """Two gigabytes of logs are moved in while lines are written."""
    moved = backlog.made(field.bench.cache)
    place = field.tree / "projects" / "backlog"
    what = f"live, 50 lines/s while {backlog.SIZE_BYTES / 1e9:.0f} GB are read"
    with field.pair() as (leader, reader):
        began = time.time()
        moved.rename(place)
        try:
            writer = field.writer(50, field.bench.seconds, field.logs)
            latencies = _followed(writer, reader)
            took_s = _drained(field, leader, place, began)
        finally:
            place.rename(moved)
        peak_mb, peak_reader_mb = leader.peak_bytes() / 1e6, reader.peak_bytes() / 1e6
    return [
        *_rows(what, latencies, p99=MAX_BACKLOG_P99_MS),
        Row(what=f"{what}: peak of the process that reads", values=(peak_mb,), unit="MB", at_most=MAX_BACKLOG_MB),
        Row(what=f"{what}: peak of the one that hears", values=(peak_reader_mb,), unit="MB"),
        Row(what=f"{what}: until all of it was read", values=(took_s,), unit="s"),
    ]


def _drained(field: Field, leader: Feed, place: Path, began: float) -> float:
    """Seconds from `began` until the store has all logs below `place`."""
    while time.time() - began < BACKLOG_WITHIN_S and leader.process.poll() is None:
        if backlog.unread_bytes(field.home, place) == 0:
            return time.time() - began
        time.sleep(0.5)
    raise MeasureError(f"the backlog was not read in time (exit code {leader.process.poll()}): {leader.said[-3:]}")


def _side_by_side(field: Field) -> list[Row]:
    """One line is appended, and each program is asked for the day, or tells it by itself."""
    found = CCUSAGE.find(field.bench.cache)
    log = str(field.logs[0])
    ours_ms, ours_read, theirs_ms, theirs_read = [], [], [], []
    home = field.folder / CCUSAGE.name
    with field.pair() as (leader, reader):
        for number in range(field.bench.runs):
            name = f"{field.prefix()}{number}"
            before = leader.read_bytes() + reader.read_bytes()
            moment = append.append(log, append.line(name, log))
            time.sleep(0.3)
            ours_read.append(float(leader.read_bytes() + reader.read_bytes() - before))
            ours_ms.append((reader.arrivals()[f"msg_{name}"] - moment) * 1000)
            if found is not None:
                usage = run_command(CCUSAGE.command(found, field.tree, home))
                theirs_ms.append(usage.wall_s * 1000)
                theirs_read.append(float(usage.read_bytes))
    words = " ".join(CCUSAGE.words)
    what, peer = "live, one line more", f"{CCUSAGE.name} {words}"
    return [
        Row(what=f"{what}: until it is shown", values=tuple(ours_ms), unit="ms", peer=peer, peer_values=tuple(theirs_ms)),
        Row(what=f"{what}: read for it", values=tuple(ours_read), unit="B", peer=peer, peer_values=tuple(theirs_read)),
    ]


PARTS: Sequence[Callable[[Field], list[Row]]] = (_start, _calm, _busy, _flood, _new_folder, _side_by_side, _backlog, _overflow, _idle)


def _followed(writer: Writer, reader: Feed) -> Latencies:
    """What a writer writes, as it arrives."""
    before = reader.count()
    written = writer.written()
    reader.wait_for(before + len(written), LAG_WITHIN_S)
    return _compared(written, reader)


def _compared(written: dict[str, float], reader: Feed) -> Latencies:
    until = time.monotonic() + LAG_WITHIN_S
    arrivals = reader.arrivals()
    while not arrivals.keys() >= written.keys() and time.monotonic() < until:
        time.sleep(0.2)
        arrivals = reader.arrivals()
    found = sorted((arrivals[name] - moment) * 1000 for name, moment in written.items() if name in arrivals)
    last = max((arrivals[name] for name in written if name in arrivals), default=0.0)
    return Latencies(found, len(written) - len(found), last - max(written.values()))


def _rows(what: str, seen: Latencies, *, p50: float | None = None, p99: float | None = None) -> list[Row]:
    """The percentiles; a line that is lost fails the measurement."""
    if seen.lost:
        raise MeasureError(f"{what}: {seen.lost} of {seen.lost + len(seen.all_ms)} lines never arrived")
    cuts = quantiles(seen.all_ms, n=100, method="inclusive")
    note = f"({len(seen.all_ms):,} lines, none lost)"
    return [
        Row(what=f"{what}: p50", values=(cuts[49],), unit="ms", at_most=p50, note=note),
        Row(what=f"{what}: p90", values=(cuts[89],), unit="ms"),
        Row(what=f"{what}: p99", values=(cuts[98],), unit="ms", at_most=p99),
        Row(what=f"{what}: longest", values=(seen.all_ms[-1],), unit="ms"),
    ]


def _with_load(row: Row) -> Row:
    return replace(row, note=f"{row.note} load {os.getloadavg()[0]:.1f}".lstrip())


def _end_lines(logs: Sequence[Path]) -> None:
    """The end of a log need not be the end of a line; what the writer appends begins one."""
    for log in logs:
        with log.open("rb+") as file:
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")
