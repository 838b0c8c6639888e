"""The only place of the fault suite that starts processes: readers and commands, forked by a nursery or started by themselves."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

READER = Path(__file__).with_name("reader.py")
SOURCE = Path(__file__).resolve().parents[2] / "src"


class TooLateError(AssertionError):
    """What had to come did not."""


def wait_until(is_so: Callable[[], object], within_s: float, what: Callable[[], str]) -> None:
    """Look again and again; the error names what was waited for."""
    until = time.monotonic() + within_s
    pause_s = 0.002
    while True:
        began = time.monotonic()
        if is_so():
            return
        now = time.monotonic()
        if now > until:
            raise TooLateError(what())
        time.sleep(max(pause_s, 3 * (now - began)))  # whoever is waited for needs the processor more
        pause_s = min(pause_s * 1.3, 0.05)


class Nursery:
    """Forks readers and commands of the package in a folder: milliseconds each."""

    def __init__(self, package: Path = SOURCE) -> None:
        self.environment = {**os.environ, "PYTHONPATH": str(package), "PYTHONWARNINGS": "error", "TZ": "UTC"}
        self._process = subprocess.Popen(
            [sys.executable, str(READER), "--nursery"],
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def fork(self, what: str, argv: Sequence[str], home: Path, files: Path) -> Process:
        """`what` is "reader" or "command"; `files` is the stem of the names of its outputs."""
        out, err = files.with_suffix(".out"), files.with_suffix(".err")
        order = {"what": what, "argv": list(argv), "home": str(home), "out": str(out), "err": str(err)}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        said = self._process.stdout.readline()
        assert said, "the nursery has ended"
        return Process(int(said), out, err)

    def start(self, before: Sequence[str], argv: Sequence[str], files: Path) -> Process:
        """A reader by itself, behind other words such as `unshare -Ur`."""
        out, err = files.with_suffix(".out"), files.with_suffix(".err")
        with out.open("ab") as out_file, err.open("ab") as err_file:
            started = subprocess.Popen(
                [*before, sys.executable, str(READER), *argv], env=self.environment, stdout=out_file, stderr=err_file
            )
        return Process(started.pid, out, err, started)

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


class Process:
    """One that runs, and what it has said so far."""

    def __init__(self, number: int, out: Path, err: Path, started: subprocess.Popen[bytes] | None = None) -> None:
        self.number = number
        self._out, self._err = out, err
        self._started = started
        self._read_bytes = 0
        self._handle: int | None = None
        with contextlib.suppress(ProcessLookupError):  # it has ended already
            self._handle = os.pidfd_open(number)
        self.told: dict[str, tuple[str, int]] = {}  # by key: id and output

    @property
    def said(self) -> str:
        """All of its stderr."""
        return self._err.read_text(errors="replace") if self._err.exists() else ""

    @property
    def output(self) -> str:
        return self._out.read_text()

    def listen(self) -> dict[str, tuple[str, int]]:
        """What its feed has told so far."""
        if self._out.exists():
            with self._out.open("rb") as file:
                file.seek(self._read_bytes)
                new = file.read()
            whole = new[: new.rfind(b"\n") + 1]
            self._read_bytes += len(whole)
            for line in whole.splitlines():
                self._hear(json.loads(line))
        return self.told

    def _hear(self, change: dict[str, Any]) -> None:
        if change["event"] == "gone":
            self.told.pop(change["key"], None)
        else:
            self.told[change["key"]] = change["id"], change["output_tokens"]

    @property
    def is_running(self) -> bool:
        return self._handle is not None and not select.select([self._handle], [], [], 0)[0]

    def send(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.number, number)

    def end(self, number: int, within_s: float) -> int | None:
        """Send a signal and wait; the exit code, None of a process that was killed."""
        if self.is_running:
            self.send(number)
        return self.wait(within_s)

    def wait(self, within_s: float) -> int | None:
        if self._handle is not None:
            if not select.select([self._handle], [], [], within_s)[0]:
                self.send(signal.SIGKILL)
                raise TooLateError(f"process {self.number} does not end: {self.said}")
            os.close(self._handle)
            self._handle = None
        if self._started is not None:
            return self._started.wait()
        last = self.said.rstrip().rpartition("\n")[2]
        return int(last.removeprefix("ended ")) if last.startswith("ended ") else None
