"""
The live screen in a terminal of its own: how soon it is painted, how late a reply is on it, and what that costs.

A latency runs from the moment when the writer's `write` returned to the moment when this process read the reply's row from the
terminal. Then each reply has a model of its own, by whose name its row is known; what it costs is measured without that.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles

from benchmarks.bench import Bench
from benchmarks.measure import Command, MeasureError
from benchmarks.measure import run as run_command
from benchmarks.results import Row

SIZES = ((80, 24), (160, 50))
RATE = 10  # replies a second
MAX_FIRST_MS, MAX_PAINTED_P99_MS = 500, 100
MAX_BUSY_PERCENT, MAX_IDLE_PERCENT = 3.0, 0.5
_SETTLED_S = 5.0  # after its start
_PAINTED = b"7 days"
_TICKS = os.sysconf("SC_CLK_TCK")


class Terminal:
    """What was painted when."""

    def __init__(self, process: subprocess.Popen[bytes], keyboard: int) -> None:
        self.process, self._keyboard = process, keyboard
        self.began = time.time()
        self.pieces: list[tuple[float, bytes]] = []
        threading.Thread(target=self._read, daemon=True).start()

    def wait_for(self, words: bytes, within_s: float = 20.0) -> float:
        """When these words were painted first."""
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            for moment, data in list(self.pieces):
                if words in data:
                    return moment
            time.sleep(0.01)
        raise MeasureError(f"the screen never painted {words!r}")

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory_mb(self) -> float:
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def press(self, key: bytes) -> None:
        os.write(self._keyboard, key)

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                data = os.read(self._keyboard, 65_536)
                self.pieces.append((time.time(), data))


def run(bench: Bench) -> list[Row]:
    """Start, idle and busy, on a small terminal and on a large one."""
    rows = []
    with bench.scratch() as scratch:
        logs, home = scratch / "logs", scratch / "home"
        log = logs / "projects" / "-home-dev-app" / "screen.jsonl"
        run_command(bench.ours("demo", "--write", str(logs), logs=logs, home=home))
        log.parent.mkdir(parents=True)
        log.write_bytes(b"".join(log_line(f"old-{number}") for number in range(200)))
        command = bench.ours(logs=logs, home=home)
        run_command(bench.ours("daily", "--json", logs=logs, home=home))
        for width, height in SIZES:
            size = f"{width}x{height}"
            firsts = []
            for _ in range(bench.runs):
                with _terminal(command, width, height) as terminal:
                    firsts.append((terminal.wait_for(_PAINTED) - terminal.began) * 1000)
            rows.append(Row(what=f"screen {size}: from start to painted", values=tuple(firsts), unit="ms", at_most=MAX_FIRST_MS))
            with _terminal(command, width, height) as terminal:
                rows += _watched(bench, terminal, log, size)
    return rows


def _watched(bench: Bench, terminal: Terminal, log: Path, size: str) -> list[Row]:
    terminal.wait_for(_PAINTED)
    time.sleep(_SETTLED_S)
    idle = _share(terminal, lambda: time.sleep(bench.seconds))
    before_mb = terminal.memory_mb()
    terminal.pieces.clear()
    busy = _share(terminal, lambda: _write(log, bench.seconds, model="claude-opus-5"))
    painted = sum(len(data) for _, data in terminal.pieces) / (bench.seconds * RATE)
    terminal.pieces.clear()
    written = _write(log, bench.seconds)
    late_ms = sorted((terminal.wait_for(name) - moment) * 1000 for name, moment in written.items())
    cuts = quantiles(late_ms, n=100, method="inclusive")
    what = f"screen {size}, {RATE} replies/s"
    return [
        Row(what=f"screen {size}, idle", values=(idle,), unit="%", at_most=MAX_IDLE_PERCENT),
        Row(what=what, values=(busy,), unit="%", at_most=MAX_BUSY_PERCENT),
        Row(what=f"{what}: painted, p50", values=(cuts[49],), unit="ms"),
        Row(what=f"{what}: painted, p99", values=(cuts[98],), unit="ms", at_most=MAX_PAINTED_P99_MS, note=f"({len(late_ms)} replies)"),
        Row(what=f"{what}: written to the terminal for each", values=(painted,), unit="B"),
        Row(
            what=f"{what}: memory, and how much it grew",
            values=(terminal.memory_mb(),),
            unit="MB",
            note=f"(+{terminal.memory_mb() - before_mb:.1f})",
        ),
    ]


def _share(terminal: Terminal, work: Callable[[], object]) -> float:
    """Of a core, while that is done."""
    before, began = terminal.cpu_s(), time.monotonic()
    work()
    return (terminal.cpu_s() - before) / (time.monotonic() - began) * 100


def _write(log: Path, seconds: float, *, model: str = "") -> dict[bytes, float]:
    """Replies at their rate, by that model or each by one of its own; and when each was written."""
    written = {}
    began = time.monotonic()
    for number in range(int(seconds * RATE)):
        time.sleep(max(began + number / RATE - time.monotonic(), 0))
        name = f"zq{time.time_ns() // 1000 % 1_000_000_000:09}"
        with log.open("ab") as file:
            file.write(log_line(name, model or name))
        written[name.encode()] = time.time()
    return written


def log_line(name: str, model: str = "claude-opus-5") -> bytes:
    """A reply of that message id, written now."""
    usage = {"input_tokens": 100, "output_tokens": 50, "cache_read_input_tokens": 20_000, "cache_creation_input_tokens": 100}
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    message = {"id": f"msg_{name}", "role": "assistant", "model": model, "stop_reason": "end_turn", "usage": usage}
    line = {"type": "assistant", "timestamp": at, "sessionId": "screen", "requestId": f"req_{name}", "uuid": name, "message": message}
    return json.dumps({**line, "cwd": "/home/dev/app"}).encode() + b"\n"


@contextmanager
def _terminal(command: Command, width: int, height: int) -> Iterator[Terminal]:
    keyboard, line = pty.openpty()
    fcntl.ioctl(line, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
    environment = {**os.environ, **command.environment, "TERM": "xterm-256color", "COLORTERM": "truecolor", "COLORFGBG": "15;0"}
    process = subprocess.Popen(command.words, stdin=line, stdout=line, stderr=subprocess.DEVNULL, env=environment, start_new_session=True)
    try:
        yield Terminal(process, keyboard)
    finally:
        os.write(keyboard, b"q")
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        process.kill()
        process.wait()
        os.close(line)
        os.close(keyboard)
