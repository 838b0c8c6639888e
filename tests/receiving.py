"""A central store for the tests of who sends: a real server that takes records in, and goes wrong as networks do when it is told to."""

from __future__ import annotations

import gzip
import json
import sqlite3
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

from builders import SCHEMA, THRESHOLDS
from tokentail.fleet import wire
from tokentail.fleet.sessions import by_session
from tokentail.interned import records_of
from tokentail.model import Record
from tokentail.store import Store

LOSES_ANSWER, CUTS, NONSENSE = "loses the answer", "cuts the connection", "answers nonsense"


class Got(NamedTuple):
    """A request that came in."""

    path: str
    headers: dict[str, str]
    raw: bytes  # as it was on the wire

    @property
    def body(self) -> bytes:
        return gzip.decompress(self.raw) if self.headers.get("Content-Encoding") == "gzip" else self.raw

    @property
    def records(self) -> list[Record]:
        return wire.decode_json(self.body).records


class Central:
    """
    Takes records into a store of its own.

    Attributes:
        faults: what happens to the next requests, one each: a status, or one of the words above.
        poison: a group of records that it will not have.
    """

    def __init__(self, scheme: str) -> None:
        self._scheme = scheme
        self.port = 0
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)  # each request has a thread of its own
        connection.executescript(SCHEMA)
        self.store = Store(connection, Path("central.db"), thresholds=THRESHOLDS)
        self.errors: list[BaseException | None] = []
        self.lock = threading.Lock()
        self.got: list[Got] = []
        self.faults: list[int | str] = []
        self.retry_after = ""
        self.poison = ""
        self.is_partial = False  # says of poison that it took the rest, as a collector does
        self.came = threading.Event()

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}"

    @property
    def records(self) -> list[Record]:
        with self.lock:
            return sorted(each for _, each in records_of(self.store.connection))

    def take(self, got: Got) -> tuple[int, dict[str, str], dict[str, object]]:
        """The status, headers and body of the answer."""
        if got.path == "/v1/reconcile":
            return 200, {}, {"differ": self._differing(json.loads(got.body))}
        records = got.records
        bad = [record for record in records if self.poison and record.group == self.poison]
        if bad and not self.is_partial:
            return 400, {}, {"detail": "the body holds a record that cannot be"}
        news = self.store.take([record for record in records if record not in bad], wire.decode_json(got.body).folders)
        part = {"partialSuccess": {"rejectedLogRecords": str(len(bad)), "errorMessage": "not taken"}} if bad else {}
        return 200, {"tokentail-news": str(news)}, {**part}

    def _differing(self, said: dict[str, dict[str, list[int]]]) -> list[str]:
        known = by_session(self.store.connection, str(said["user"]), str(said["host"]))
        return [session for session, counts in said["sessions"].items() if list(known.get(session, ())) != counts]


@contextmanager
def central(tls: ssl.SSLContext | None = None, port: int = 0) -> Iterator[Central]:
    """One that is there until the block ends, on any free port or on that one."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the server's name for it
            got = Got(self.path, dict(self.headers.items()), self.rfile.read(int(self.headers["Content-Length"])))
            with made.lock:
                made.got.append(got)
                fault = made.faults.pop(0) if made.faults else 0
                status, headers, body = made.take(got) if fault in (0, LOSES_ANSWER) else (0, {}, {})
            made.came.set()
            if fault in (LOSES_ANSWER, CUTS):
                self.close_connection = True
                return
            data = json.dumps(body).encode()
            if fault == NONSENSE:
                status, data = 502, b"<html>\xff"
            elif isinstance(fault, int) and fault:
                status = fault
                headers = {"Retry-After": made.retry_after} if made.retry_after else {}
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if 300 <= status < 400:
                self.send_header("Location", f"{made.url}/elsewhere")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:  # the server's name for it
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client may hang up; what else there is, is an error of the test."""
            if not isinstance(sys.exc_info()[1], OSError):
                made.errors.append(sys.exc_info()[1])

    made = Central("https" if tls else "http")
    with Server(("127.0.0.1", port), Handler) as server:
        made.port = int(server.server_address[1])
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()
            made.store.close()
            assert not made.errors
