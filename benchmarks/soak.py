"""
A store that follows for minutes while everything happens to its logs and its processes; at the end each count is exact.

500 logs get 200 lines a second, in replies that grow. Logs are rotated by renaming and by copying and cutting, rewritten with the
same bytes under another inode, and moved to other names. Three processes follow; in the first half whoever leads is killed again
and again and replaced, in the second half memory and descriptors are watched. No line leaves the tree, so at the end what was
written, what a full re-read finds, what the store holds and what each process told must be the same.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks import append
from benchmarks.bench import program
from benchmarks.feeds import Feed
from benchmarks.measure import Command, usual_environment

LOGS = 500
LINES_A_SECOND = 200
FOLLOWERS = 3
KILL_EVERY_S = 10.0
SETTLE_WITHIN_S = 60.0
MAX_HANDLES = 256 + 64
MAX_GROWTH, MAX_GROWTH_BYTES = 1.1, 8_000_000  # of memory in the second half: a tenth and some
SINCE = "2026-01-01"


class Told(Feed):
    """A process that follows, and what it last said of each reply."""

    def __init__(self, command: Command) -> None:
        self.outputs: dict[str, int] = {}
        self.lines = 0
        super().__init__(command, keeps=False)

    def take_lines(self, moment: float, data: bytes) -> None:
        for line in data.splitlines():
            change = json.loads(line)
            self.lines += 1
            if change["event"] == "gone":
                self.outputs.pop(change["id"], None)
            else:
                self.outputs[change["id"]] = change["output_tokens"]


@dataclass(slots=True)
class Writer:
    """Writes replies in one or two lines, and what happens to their logs in between."""

    folder: Path
    rng: random.Random
    outputs: dict[str, int] = field(default_factory=dict)  # of each reply, as a right reader shows it
    lines: int = 0
    happened: dict[str, int] = field(default_factory=dict)
    _logs: list[Path] = field(default_factory=list)
    _growing: list[tuple[Path, str]] = field(default_factory=list)
    _rotated: int = 0

    def __post_init__(self) -> None:
        for number in range(LOGS):
            log = self.folder / f"-home-dev-app{number % 25}" / f"session-{number:03}.jsonl"
            log.parent.mkdir(parents=True, exist_ok=True)
            self._logs.append(log)
            self._write(log, f"first{number}", 1)

    def step(self) -> None:
        """One line, and now and then a mishap."""
        if self._growing and self.rng.random() < 0.4:
            log, name = self._growing.pop(self.rng.randrange(len(self._growing)))
            self._write(log, name, 900)
        else:
            log, name = self.rng.choice(self._logs), f"r{self.lines:07}"
            grows = self.rng.random() < 0.4
            self._write(log, name, 5 if grows else 300)
            if grows:
                self._growing.append((log, name))
        if self.rng.random() < 0.01:
            self._mishap(self.rng.choice(self._logs))

    def _write(self, log: Path, name: str, output: int) -> None:
        line = append.line(name, str(log)).replace(b'"output_tokens":500', b'"output_tokens":%d' % output)
        append.append(str(log), line)
        self.outputs[f"msg_{name}"] = output
        self.lines += 1

    def _mishap(self, log: Path) -> None:
        what = self.rng.choice(("rename", "copy and cut", "rewrite", "cut and fill"))
        self.happened[what] = self.happened.get(what, 0) + 1
        self._rotated += 1
        aside = log.with_name(f"{log.name}.{self._rotated}")
        match what:
            case "rename":
                log.rename(aside)
                log.touch()
            case "copy and cut":
                shutil.copyfile(log, aside)
                os.truncate(log, 0)
            case "rewrite":
                copy = log.with_suffix(".tmp")
                shutil.copyfile(log, copy)
                copy.replace(log)
            case _:
                data = log.read_bytes()
                shutil.copyfile(log, aside)
                os.truncate(log, len(data) // 2)
                log.write_bytes(data)
                aside.unlink()


class Soak:
    """The run, and what was seen of it."""

    def __init__(self, root: Path, minutes: float, seed: int) -> None:
        self._root = root
        self._seconds = minutes * 60
        self._writer = Writer(root / "logs" / "projects", random.Random(seed))
        self._command = Command(
            (*program(), "feed", "--json", "--since", SINCE),
            {"HOME": str(root), "CLAUDE_CONFIG_DIR": str(root / "logs"), "TOKENTAIL_HOME": str(root / "home")},
        )
        self._feeds: list[Told] = []
        self._samples: dict[int, list[tuple[int, int]]] = {}  # by process: memory and descriptors, once a second
        self._kills = 0
        self._most_handles = 0
        self._lasted_s = 0.0

    def run(self) -> list[tuple[str, str, bool]]:
        """What, how it was, and whether that is right."""
        with contextlib.ExitStack() as stack:
            stack.callback(self._end_all)
            self._feeds = [Told(self._command).__enter__() for _ in range(FOLLOWERS)]
            self._go_on()
            settled_s = self._settle()
            told = [feed.outputs == self._writer.outputs for feed in self._feeds]
            degraded = sorted({line for feed in self._feeds for line in feed.said if line != "ready"})
        return [*self._counts(told, settled_s), *self._health(), ("said besides", "; ".join(degraded) or "nothing", True)]

    def _go_on(self) -> None:
        began = time.monotonic()
        kill_due, sample_due = began + KILL_EVERY_S, began + 1
        for due in _beat(began, self._seconds, LINES_A_SECOND):
            self._writer.step()
            if due >= kill_due and due - began < self._seconds / 2:
                kill_due = due + KILL_EVERY_S
                self._kill_leader()
            if due >= sample_due:
                sample_due = due + 1
                self._sample(keeps=due - began >= self._seconds / 2 + 5)
        self._lasted_s = time.monotonic() - began

    def _kill_leader(self) -> None:
        (path,) = (self._root / "home").glob("*.leader")
        leader = int(path.read_text().split()[0])
        for index, feed in enumerate(self._feeds):
            if feed.process.pid == leader:
                feed.process.kill()
                feed.__exit__(None, None, None)
                self._feeds[index] = Told(self._command)
                self._kills += 1

    def _sample(self, *, keeps: bool) -> None:
        for feed in self._feeds:
            with contextlib.suppress(OSError, IndexError):
                handles = feed.handles()
                self._most_handles = max(self._most_handles, handles)
                if keeps:
                    self._samples.setdefault(feed.process.pid, []).append((feed.rss_bytes(), handles))

    def _settle(self) -> float:
        began = time.monotonic()
        while time.monotonic() - began < SETTLE_WITHIN_S:
            if all(feed.outputs == self._writer.outputs for feed in self._feeds):
                break
            time.sleep(0.05)
        return time.monotonic() - began

    def _counts(self, told: list[bool], settled_s: float) -> Iterator[tuple[str, str, bool]]:
        writer = self._writer
        yield "written", f"{writer.lines:,} lines of {len(writer.outputs):,} replies in {self._lasted_s:.0f} s", True
        yield "happened to logs", ", ".join(f"{what} {count}" for what, count in sorted(writer.happened.items())), True
        yield "leaders killed", str(self._kills), self._kills > 0
        wanted = (len(writer.outputs), sum(writer.outputs.values()))
        for name, words in (("the store", ("daily", "--json")), ("a full re-read", ("daily", "--json", "--no-store"))):
            totals = json.loads(self._ask(*words).stdout)["totals"]
            found = (totals["replies"], totals["output_tokens"])
            yield f"in {name}", f"{found[0]:,} replies, {found[1]:,} output tokens", found == wanted
        verified = self._ask("verify")
        yield "verify", verified.stdout.decode().strip().splitlines()[-1], verified.returncode == 0
        for number, (feed, right) in enumerate(zip(self._feeds, told, strict=True), start=1):
            yield f"told by process {number}", f"{len(feed.outputs):,} replies in {feed.lines:,} changes", right
        yield "after the last line all had it within", f"{settled_s:.2f} s", settled_s < SETTLE_WITHIN_S

    def _health(self) -> Iterator[tuple[str, str, bool]]:
        yield "most descriptors of a process", str(self._most_handles), self._most_handles <= MAX_HANDLES
        for number, samples in enumerate(self._samples.values(), start=1):
            part = max(len(samples) // 4, 1)
            memory, later = (median(sample[0] for sample in some) for some in (samples[:part], samples[-part:]))
            handles, handles_later = (median(sample[1] for sample in some) for some in (samples[:part], samples[-part:]))
            flat = later <= memory * MAX_GROWTH + MAX_GROWTH_BYTES
            yield f"memory of process {number}", f"{memory / 1e6:.1f} MB, later {later / 1e6:.1f} MB", flat
            yield f"descriptors of process {number}", f"{handles:g}, later {handles_later:g}", handles_later <= MAX_HANDLES

    def _ask(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        environment: Mapping[str, str] = {**usual_environment(), **self._command.environment}
        return subprocess.run((*program(), *words), env=environment, capture_output=True, check=False)

    def _end_all(self) -> None:
        for feed in self._feeds:
            feed.__exit__(None, None, None)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, metavar="N", help="how long it goes on (10)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of what happens (1)")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="tokentail-soak-", ignore_cleanup_errors=True) as folder:
        rows = Soak(Path(folder), args.minutes, args.seed).run()
    width = max(len(what) for what, _, _ in rows)
    for what, how, right in rows:
        print(f"{what:{width}}  {'ok   ' if right else 'WRONG'}  {how}")
    return 0 if all(right for _, _, right in rows) else 1


def _beat(began: float, seconds: float, rate: int) -> Iterator[float]:
    """The moments of an even rate, each one when it has come."""
    for number in range(int(seconds * rate)):
        due = began + number / rate
        time.sleep(max(due - time.monotonic(), 0.0))
        yield due


if __name__ == "__main__":
    sys.exit(main())
