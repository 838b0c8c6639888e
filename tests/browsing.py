"""A person before the page: real Chromium, a real `tokentail web` on made-up logs. What the page's tests, figures and pictures share."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from playwright.sync_api import Browser, sync_playwright

from logs import line

ROOT = Path(__file__).resolve().parents[1]
STATIC = ROOT / "src" / "tokentail" / "web" / "static"
WITHIN_S = 30.0
# The zone where it is about noon, so that no day ends while a test runs. The signs of these names are the other way round.
ZONE = ZoneInfo(f"Etc/GMT{datetime.now(UTC).hour - 12:+d}" if datetime.now(UTC).hour != 12 else "Etc/GMT")
# What a browser does by itself, and what needs rights or devices that a machine for tests lacks.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium() -> str | None:
    """The browser: what CHROMIUM names, or what the system has."""
    names = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if name and (found := shutil.which(name))), None)


@contextmanager
def browser() -> Iterator[Browser]:
    """A new Chromium with an empty profile."""
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        yield opened
        opened.close()


class Served:
    """`tokentail web` as a process, on the logs of a folder."""

    def __init__(self, folder: Path, *words: str, config: Path | None = None) -> None:
        self.logs = folder / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self._folder, self._words, self._config = folder, words, config
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}/"

    @property
    def store(self) -> Path:
        (found,) = (self._folder / "store").glob("*.db")
        return found

    @property
    def process(self) -> int:
        assert self._process
        return self._process.pid

    def start(self) -> None:
        """Returns when it is ready."""
        kept = {name: value for name, value in os.environ.items() if name not in ("CLAUDE_CONFIG_DIR", "XDG_CONFIG_HOME")}
        environment = {**kept, "HOME": str(self._folder), "TOKENTAIL_HOME": str(self._folder / "store"), "TZ": ZONE.key}
        if self._config:
            environment["TOKENTAIL_CONFIG"] = str(self._config)
        with (self._folder / "server.log").open("wb") as log:
            self._process = subprocess.Popen(self.command(), env=environment, stdout=log, stderr=log)
        end = time.monotonic() + WITHIN_S
        while "ready\n" not in self.said():
            assert self._process.poll() is None, self.said()
            assert time.monotonic() < end, self.said()
            time.sleep(0.02)

    def command(self) -> list[str]:
        words = ["web", "--no-browser", "--port", str(self._port), "--source", str(self.logs), *self._words]
        return [sys.executable, "-m", "tokentail", *words]

    def stop(self) -> None:
        """As from a terminal."""
        if self._process:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(WITHIN_S)
            self._process = None

    def said(self) -> str:
        return (self._folder / "server.log").read_text(encoding="utf-8", errors="replace")

    def write(self, *lines: bytes, name: str = "-home-dev-app/s1.jsonl") -> None:
        log = self.logs / name
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            file.writelines(lines)


@contextmanager
def served(folder: Path, *words: str, config: Path | None = None) -> Iterator[Served]:
    """One that runs, and ends with the block."""
    server = Served(folder, *words, config=config)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def reply(name: str, output: int = 310, *, ago: timedelta = timedelta(), **more: object) -> bytes:
    """A line of the log about a reply that began so long ago."""
    at = (datetime.now(UTC) - ago).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return line(f"msg_{name}", output, at=at, **more)


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])
