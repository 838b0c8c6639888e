"""A real `tokentail web` on real logs, and somebody who listens to it: what the server's tests share."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from builders import line, write_logs

WITHIN_S = 30.0
_ADDRESS = re.compile(r"tokentail: (http://\S+)")


class Served:
    """A server, and how it is asked."""

    def __init__(self, root: Path, process: subprocess.Popen[str], address: str, said: list[str]) -> None:
        self.root, self.process, self.said = root, process, said
        self.address, _, self.token = address.partition("#token=")
        self.port = httpx.URL(self.address).port or 0
        self.http = httpx.Client(base_url=self.address, timeout=WITHIN_S, trust_env=False)

    @property
    def log(self) -> Path:
        return self.root / "logs" / "-home-dev-app" / "s1.jsonl"

    def get(self, path: str, **params: Any) -> Any:
        """The JSON at an address of the API."""
        answer = self.http.get(f"/api/v1/{path}", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def write(self, *lines: bytes, name: str = "-home-dev-app/s1.jsonl") -> None:
        path = self.root / "logs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as log:
            log.write(b"".join(lines))

    def run(self, *words: str) -> str:
        """What a command says of the same logs."""
        done = subprocess.run(
            [sys.executable, "-m", "tokentail", *words, "--source", str(self.root / "logs")],
            env=environment(self.root),
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout


def environment(root: Path) -> dict[str, str]:
    return {**os.environ, "TOKENTAIL_HOME": str(root / "home"), "TZ": "UTC"}


def seeded(root: Path) -> Path:
    """A folder with one reply in its logs: the first one of an empty store is loaded, not told."""
    write_logs(root / "logs", {"-home-dev-app/s0.jsonl": line("m0")})
    return root


@contextmanager
def serving(root: Path, *words: str, ends_with: int = 0) -> Iterator[Served]:
    """`tokentail web` on any free port, until the block ends; it must end well, or as a block that kills it says."""
    (root / "logs").mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "tokentail", "web", "--no-browser", "--source", str(root / "logs")]
    command += [] if "--port" in words else ["--port", "0"]
    said: list[str] = []
    with subprocess.Popen([*command, *words], env=environment(root), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        address = ""
        for line in process.stderr:
            said.append(line)
            if found := _ADDRESS.match(line):
                address = found[1]
            if line == "ready\n":
                break
        assert address, "".join(said)
        rest = threading.Thread(target=lambda: said.extend(process.stderr or ()), daemon=True)
        rest.start()
        served = Served(root, process, address, said)
        try:
            yield served
        finally:
            served.http.close()
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        assert process.wait(WITHIN_S) == ends_with, "".join(said)


class Event(NamedTuple):
    """A server-sent event."""

    name: str
    id: str
    data: Any


class Listening:
    """Somebody who listens in a thread of his own."""

    def __init__(self, served: Served, *, last_id: str = "", headers: dict[str, str] | None = None) -> None:
        self.events: list[Event] = []
        self.is_over = threading.Event()
        self._has_begun = threading.Event()
        self._connection = HTTPConnection("127.0.0.1", served.port)
        self._headers = {**(headers or {}), **({"Last-Event-ID": last_id} if last_id else {})}
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Listening:
        self._thread.start()
        assert self._has_begun.wait(WITHIN_S)
        return self

    def __exit__(self, *error: object) -> None:
        self.cut()

    def cut(self) -> None:
        """As when a connection breaks."""
        with contextlib.suppress(OSError, AttributeError):  # it may have ended by itself
            self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(WITHIN_S)
        self._connection.close()

    @property
    def replies(self) -> list[Event]:
        return [event for event in self.events if event.name == "reply"]

    @property
    def keys(self) -> list[str]:
        return [event.data["key"] for event in self.replies]

    def until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + WITHIN_S
        while not holds():
            assert time.monotonic() < end, self.events
            time.sleep(0.005)

    def _run(self) -> None:
        fields: dict[str, str] = {}
        try:
            self._connection.request("GET", "/api/v1/stream", headers=self._headers)
            response = self._connection.getresponse()
            while said := response.readline():
                self._has_begun.set()
                line = said.decode().rstrip("\n")
                if line and not line.startswith(":"):
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif not line:
                    if "event" in fields:
                        self.events.append(Event(fields["event"], fields.get("id", ""), json.loads(fields["data"])))
                    fields = {}
        except (OSError, HTTPException, ValueError):
            pass  # the connection was cut
        finally:
            self._has_begun.set()
            self.is_over.set()


def numbers(events: Sequence[Event]) -> list[int]:
    """Of the changes that they tell."""
    return [int(event.id.partition("-")[2]) for event in events]
