"""
A stand-in for a ClickHouse server: the engine that runs inside a process, behind as much of ClickHouse's HTTP as its client asks for.

Run with a folder, and a port, it serves until it is killed. A POST to /_faults has it go wrong as servers and networks do.
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import httpx
import lz4.frame  # type: ignore[import-untyped]  # it ships no types
import zstandard

USER, PASSWORD = "tail", "s3cret: with a / in it"
# What can go wrong with a request: a status, or one of these.
CUT, LOST, KILLED, KILLED_AFTER = "cut", "lost", "killed", "killed after"
_NOT_THE_ENGINES = {"database", "query", "default_format", "client_protocol_version", "wait_end_of_query", "query_id", "session_id"}
_BUSY = "Code: 159. DB::Exception: too busy at the moment. (TIMEOUT_EXCEEDED)"
_DENIED = "Code: 516. DB::Exception: tail: Authentication failed: password is incorrect. (AUTHENTICATION_FAILED)"


class Running:
    """A ClickHouse in a process of its own, whose folder outlives it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self.start()

    def start(self) -> None:
        """At the same port as before."""
        script = __file__
        words = [sys.executable, script, str(self.folder), str(self.port)]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def url(self, password: str = PASSWORD) -> str:
        return f"clickhouse://{USER}:{quote(password, safe='')}@127.0.0.1:{self.port}/fleet?rollup_every_s=86400"

    def fail(self, *faults: str | int, on_inserts: bool = False) -> None:
        """The next requests, or the next ones that insert: one fault each."""
        answer = httpx.post(f"http://127.0.0.1:{self.port}/_faults", json=[faults, on_inserts], trust_env=False)
        assert answer.status_code == 200

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()

    def is_gone(self) -> bool:
        """It was killed, and has ended."""
        return self.process.wait() != 0


class Engine:
    """One connection, which one request at a time uses."""

    def __init__(self, folder: str) -> None:
        import chdb  # only in the process that serves

        self._connection = chdb.connect(folder)
        self._lock = threading.Lock()

    def answer(self, query: str, data: bytes, params: dict[str, str]) -> bytes:
        """
        What the engine says to a query, or to rows that are to be inserted.

        Raises:
            RuntimeError: what it has against that.
        """
        values = {name.removeprefix("param_"): value for name, value in params.items() if name.startswith("param_")}
        settings = {name: value for name, value in params.items() if not name.startswith("param_") and name not in _NOT_THE_ENGINES}
        with self._lock:
            self._connection.query(f"USE `{params.get('database') or 'default'}`")
            for name, value in settings.items():
                if re.fullmatch(r"\w+", name) and not name.startswith(("enable_http", "send_progress", "http_headers")):
                    self._connection.query(f"SET {name} = '{value}'")
            if data:
                return self._inserted(query, data)
            answer = self._connection.query(query, params.get("default_format", "TabSeparated"), params=values)
            return bytes(answer.bytes() or b"")

    def _inserted(self, query: str, data: bytes) -> bytes:
        into, _, name = query.strip().rpartition(" FORMAT ")
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            self._connection.query(f"{into} FROM INFILE '{file.name}' FORMAT {name}")
        return b""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Double

    def do_GET(self) -> None:
        if self.path.startswith("/ping"):
            self._say(200, b"Ok.\n")
        else:
            self.do_POST()

    def do_POST(self) -> None:
        double = self.server
        if self.path == "/_faults":
            double.faults, double.spares_questions = json.loads(self._body())
            self._say(200, b"")
            return
        fault = double.next_fault(is_insert=self.headers.get("Transfer-Encoding") == "chunked")
        if fault in (KILLED, CUT):
            self.rfile.read1(64)  # a part of it only
            if fault == KILLED:
                os.kill(os.getpid(), signal.SIGKILL)
            self._hang_up()
            return
        body = self._body()
        if isinstance(fault, int):
            self._say(
                fault, b"Code: 159. DB::Exception: too busy at the moment. (TIMEOUT_EXCEEDED)", {"X-ClickHouse-Exception-Code": "159"}
            )
            return
        self._answer(body)
        if fault == KILLED_AFTER:
            os.kill(os.getpid(), signal.SIGKILL)
        if fault == LOST:
            self._hang_up()
        else:
            self._say(*self._answered)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""

    def _answer(self, body: bytes) -> None:
        params = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        if self.headers.get("Authorization") != f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}":
            self._answered = 403, _DENIED.encode(), {"X-ClickHouse-Exception-Code": "516"}
            return
        query, data = params.get("query", ""), body
        if not query:
            head, newline, rest = body.partition(b"\n")
            is_insert = head.lstrip().upper().startswith(b"INSERT") and head.rstrip().endswith(b" FORMAT Native")
            query, data = (head.decode(), rest) if is_insert and newline else (body.decode(), b"")
        try:
            said = self.server.engine.answer(query, data, params)
        except RuntimeError as error:
            code = re.search(r"Code: (\d+)", str(error))
            self._answered = 500, str(error).encode(), {"X-ClickHouse-Exception-Code": code[1] if code else "1"}
        else:
            shape = re.search(r"FORMAT (\w+)\s*$", query)
            has_rows = {"X-ClickHouse-Format": shape[1] if shape else "TabSeparated"} if said else {}
            self._answered = 200, said, {"X-ClickHouse-Summary": "{}", "X-ClickHouse-Timezone": "UTC", **has_rows}

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            raw = b"".join(parts)
        else:
            raw = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        match self.headers.get("Content-Encoding"):
            case "lz4":
                return bytes(lz4.frame.decompress(raw))
            case "zstd":
                return zstandard.ZstdDecompressor().decompressobj().decompress(raw)
        return raw

    def _say(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.close()


class Double(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, folder: str, port: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.engine = Engine(folder)
        self.faults: list[str | int] = []
        self.spares_questions = False

    def next_fault(self, *, is_insert: bool) -> str | int | None:
        """Rows that are inserted come in chunks, and nothing else does."""
        return self.faults.pop(0) if self.faults and (is_insert or not self.spares_questions) else None


if __name__ == "__main__":
    with Double(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0) as served:
        print(served.server_address[1], flush=True)
        served.serve_forever()
