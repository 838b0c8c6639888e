"""A store of replies at known moments, and a server that hears webhooks, for the tests of budgets."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from builders import MODEL, OWNER, record, store_of, usage
from tokentail import prices
from tokentail.budgets.measuring import Standing, standings
from tokentail.config import Budget, Config
from tokentail.model import Record

UTC = ZoneInfo("UTC")
NOW_MS = 1_790_942_400_000  # Friday, 2026-10-02 12:00 UTC
MINUTE_MS = 60_000


def used(
    number: int, ago_minutes: float, *, output: int = 1000, project: str = "-home-dev-app", model: str = MODEL, read: int = 0
) -> Record:
    """A reply so many minutes ago; of the usual model a thousand tokens of output cost 0.025 USD, and there is nothing else."""
    counts = usage(output, input_tokens=0, cache_read_input_tokens=read, cache_creation_input_tokens=0, cache_creation={})
    at_ms = NOW_MS - round(ago_minutes * MINUTE_MS)
    return record(f"msg_{number}", at_ms=at_ms, usage=counts, owner=OWNER._replace(project=project), model=model)


def measured(
    budgets: Sequence[Budget], *lines: Record, zone: ZoneInfo = UTC, settings: Config | None = None, now_ms: int = NOW_MS
) -> list[Standing]:
    """How those budgets stand on a store of those records."""
    said = (settings or Config())._replace(budgets=tuple(budgets))
    return standings(store_of(*lines).connection, said, prices.load(), zone, now_ms)


class Heard(NamedTuple):
    """A request that the server got."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


class Hook:
    """A server that answers with the given statuses, one after another, and then with the last one."""

    def __init__(self, server: HTTPServer, scheme: str) -> None:
        self._server = server
        self._scheme = scheme
        self.heard: list[Heard] = []
        self.answers = [204]

    @property
    def address(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}/hook/s3cret?a=b"


@contextmanager
def hook(tls: ssl.SSLContext | None = None) -> Iterator[Hook]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the server's name for it
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.heard.append(Heard(self.path, dict(self.headers.items()), body))
            status = made.answers.pop(0) if len(made.answers) > 1 else made.answers[0]
            self.send_response(status)
            if 300 <= status < 400:
                self.send_header("Location", made.address)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # the server's name for it
            """Say nothing."""

    class Server(HTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing of clients that hang up."""

    with Server(("127.0.0.1", 0), Handler) as server:
        made = Hook(server, "https" if tls else "http")
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()
