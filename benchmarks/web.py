"""
`tokentail web` with two hundred streams open: how late an event is, whether each has all of them, and what idling costs.

A latency runs from the moment when the writer's `write` returned to the moment when this process read the event from its socket; with
two hundred streams this process, which reads them all, takes its part of the two cores.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from statistics import quantiles

from benchmarks import history
from benchmarks.bench import Bench
from benchmarks.measure import Command, MeasureError
from benchmarks.measure import run as run_command
from benchmarks.results import Row
from benchmarks.screen import log_line
from tokentail import database

STREAMS, RATE = 200, 50  # lines a second
MAX_LATE_P99_MS, MAX_IDLE_PERCENT = 100, 10.0
_ASKED = ("overview", "minutes?minutes=1440", "sessions?limit=50", "replies?limit=100", "reports/daily?since=30d&breakdown=true", "limits")
_KEY = re.compile(rb'"key":"([^"]+)"')
_TICKS = os.sysconf("SC_CLK_TCK")


class Server:
    """A server, and what it costs."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process, self.port = process, port

    def stream(self) -> socket.socket:
        found = socket.create_connection(("127.0.0.1", self.port))
        found.sendall(f"GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n\r\n".encode())
        return found

    def ask(self, path: str) -> float:
        """How many milliseconds an answer takes."""
        began = time.perf_counter()
        connection = HTTPConnection("127.0.0.1", self.port)
        connection.request("GET", path)
        answer = connection.getresponse()
        if answer.status != 200:
            raise MeasureError(f"{path} was answered by {answer.status}")
        answer.read()
        connection.close()
        return (time.perf_counter() - began) * 1000

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def memory_mb(self) -> float:
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


class Heard:
    """All streams, read in a thread: which keys each has had, and when each key came."""

    def __init__(self, streams: list[socket.socket]) -> None:
        self.keys: dict[int, list[bytes]] = {stream.fileno(): [] for stream in streams}
        self.at: dict[bytes, list[float]] = {}
        self._streams, self._rest = {stream.fileno(): stream for stream in streams}, dict.fromkeys(self.keys, b"")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _read(self) -> None:
        poll = select.epoll()
        for number in self._streams:
            poll.register(number, select.EPOLLIN)
        while not self._over.is_set():
            for number, _ in poll.poll(0.05):
                data = self._rest[number] + self._streams[number].recv(1 << 20)
                now = time.time()
                whole, _, self._rest[number] = data.rpartition(b"\n\n")
                for match in _KEY.finditer(whole):
                    self.keys[number].append(match[1])
                    self.at.setdefault(match[1], []).append(now)


def run(bench: Bench) -> list[Row]:
    """One stream, two hundred, idle, and questions to a store of a year."""
    with on_made_up_logs(bench) as (server, log):
        rows = [*_live(bench, server, log, 1, bench.seconds), *_live(bench, server, log, STREAMS, max(bench.seconds, 60.0))]
        rows += _idle(bench, server)
    return [*rows, *_answers(bench)]


@contextmanager
def on_made_up_logs(bench: Bench) -> Iterator[tuple[Server, Path]]:
    """A server on the demo's logs, and one more log to write to."""
    with bench.scratch() as scratch:
        logs = scratch / "logs"
        log = logs / "projects" / "-home-dev-app" / "web.jsonl"
        run_command(bench.ours("demo", "--write", str(logs), logs=logs, home=scratch))
        log.parent.mkdir(parents=True)
        log.write_bytes(log_line("old"))
        with serving(bench.ours("web", "--no-browser", "--port", "0", logs=logs, home=scratch / "home")) as server:
            yield server, log


def _live(bench: Bench, server: Server, log: Path, many: int, seconds: float) -> list[Row]:
    streams = [server.stream() for _ in range(many)]
    time.sleep(1.0)
    heard, before = Heard(streams), server.cpu_s()
    written = write_lines(log, seconds)
    share = (server.cpu_s() - before) / seconds * 100
    until = time.monotonic() + 10.0
    while any(len(keys) < len(written) for keys in heard.keys.values()) and time.monotonic() < until:
        time.sleep(0.05)
    heard.stop()
    if any(keys != list(written) for keys in heard.keys.values()):
        raise MeasureError("a stream has not had all events in order and once")
    for stream in streams:
        stream.close()
    late = sorted((at - moment) * 1000 for key, moment in written.items() for at in heard.at[key])
    cuts = quantiles(late, n=100, method="inclusive")
    what = f"web, {many} stream{'s' if many > 1 else ''}, {RATE} lines/s"
    return [
        Row(what=f"{what}: event, p50", values=(cuts[49],), unit="ms"),
        Row(what=f"{what}: event, p99", values=(cuts[98],), unit="ms", at_most=MAX_LATE_P99_MS, note=f"({len(late)} events, all in order)"),
        Row(what=f"{what}: of a core", values=(share,), unit="%"),
    ]


def _idle(bench: Bench, server: Server) -> list[Row]:
    streams = [server.stream() for _ in range(STREAMS)]
    time.sleep(2.0)
    before_mb, before, began = server.memory_mb(), server.cpu_s(), time.monotonic()
    time.sleep(max(bench.seconds, 30.0))
    share = (server.cpu_s() - before) / (time.monotonic() - began) * 100
    row = Row(what=f"web, {STREAMS} streams, idle: of a core", values=(share,), unit="%", at_most=MAX_IDLE_PERCENT)
    grown = server.memory_mb() - before_mb
    for stream in streams:
        stream.close()
    return [row, Row(what=f"web, {STREAMS} streams, idle: memory", values=(before_mb,), unit="MB", note=f"({grown:+.1f} since)")]


def _answers(bench: Bench) -> list[Row]:
    folder = history.filled(bench.cache, history.REPLIES)
    with bench.scratch() as scratch:
        shutil.copy(database.store_path(folder, None), database.store_path(scratch, None))
        (scratch / "logs" / "projects").mkdir(parents=True)
        with serving(bench.ours("web", "--no-browser", "--port", "0", logs=scratch / "logs", home=scratch)) as server:
            rows = []
            for path in _ASKED:
                times = []
                for _ in range(bench.runs + 1):
                    time.sleep(0.6)  # a fresh answer, not a kept one
                    times.append(server.ask(f"/api/v1/{path}"))
                rows.append(Row(what=f"web, a year: {path}", values=tuple(times[1:]), unit="ms"))
    return rows


def write_lines(log: Path, seconds: float, rate: int = RATE) -> dict[bytes, float]:
    """Lines at their rate, and when each was written."""
    written, began = {}, time.monotonic()
    with log.open("ab", buffering=0) as file:
        for number in range(int(seconds * rate)):
            time.sleep(max(began + number / rate - time.monotonic(), 0))
            name = f"w{time.time_ns()}"
            file.write(log_line(name))
            written[f"msg_{name}".encode()] = time.time()
    return written


@contextmanager
def serving(command: Command) -> Iterator[Server]:
    environment = {**os.environ, **command.environment}
    with subprocess.Popen(command.words, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True) as process:
        port = 0
        for line in process.stderr or ():
            if found := re.match(r"tokentail: http://[^:]+:(\d+)/", line):
                port = int(found[1])
            if line == "ready\n":
                break
        if not port:
            raise MeasureError("the server did not start")
        try:
            yield Server(process, port)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(10)
