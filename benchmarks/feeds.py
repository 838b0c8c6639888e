"""The only place that starts `tokentail feed` to be measured, and says when each of its lines arrived."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Self

from benchmarks.measure import Command, MeasureError, usual_environment

READY_WITHIN_S = 120.0


class Feed:
    """A process that follows. All that it says is taken from it at once; `keeps` says whether its lines are kept."""

    def __init__(self, command: Command, *, keeps: bool) -> None:
        self.began = time.time()
        self.ready_at = 0.0
        self.said: list[str] = []
        self._came: list[tuple[float, bytes]] = []
        self._keeps = keeps
        self._is_ready = threading.Event()
        self._environment = {**usual_environment(), **command.environment}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command.words, env=self._environment, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._threads = [
            threading.Thread(target=self._take, args=(self.process.stdout,), daemon=True),
            threading.Thread(target=self._listen, args=(self.process.stderr,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        if not self._is_ready.wait(READY_WITHIN_S):
            self.__exit__(None, None, None)
            raise MeasureError(f"tokentail feed was not ready within {READY_WITHIN_S:g} s: {self.said[-3:]}")
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for thread in self._threads:
            thread.join()

    def take_lines(self, moment: float, data: bytes) -> None:
        """Whole lines, when they came."""
        if self._keeps:
            self._came.append((moment, data))

    def arrivals(self) -> dict[str, float]:
        """When each reply first came, by its id."""
        found: dict[str, float] = {}
        for moment, data in list(self._came):
            for line in data.splitlines():
                found.setdefault(json.loads(line)["id"], moment)
        return found

    def count(self) -> int:
        """How many lines came so far."""
        return sum(data.count(b"\n") for _, data in list(self._came))

    def wait_for(self, lines: int, within_s: float) -> bool:
        """Until so many lines came; False when that takes too long."""
        until = time.monotonic() + within_s
        while self.count() < lines:
            if time.monotonic() > until or self.process.poll() is not None:
                return False
            time.sleep(0.02)
        return True

    def cpu_s(self) -> float:
        """The processor time that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_bytes(self) -> int:
        return int(Path(f"/proc/{self.process.pid}/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024

    def rss_bytes(self) -> int:
        return int(Path(f"/proc/{self.process.pid}/status").read_text().partition("VmRSS:")[2].split()[0]) * 1024

    def read_bytes(self) -> int:
        """What it has read, by any call: logs, store, events."""
        return int(Path(f"/proc/{self.process.pid}/io").read_text().partition("rchar:")[2].split()[0])

    def handles(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def _take(self, pipe: IO[bytes]) -> None:
        rest = b""
        while data := os.read(pipe.fileno(), 1 << 16):
            moment = time.time()
            whole, newline, rest = (rest + data).rpartition(b"\n")
            self.take_lines(moment, whole + newline)
        pipe.close()

    def _listen(self, pipe: IO[bytes]) -> None:
        with suppress(ValueError), pipe:
            for line in pipe:
                self.said.append(line.decode(errors="replace").strip())
                if self.said[-1] == "ready":
                    self.ready_at = time.time()
                    self._is_ready.set()
