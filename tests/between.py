"""Somebody between a client and a storage server: writes down what is asked, and does what networks and servers do at their worst."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Callable
from typing import NamedTuple

# What happens to a request, given its bytes: says whether it was answered, so that the server is not asked.
Happens = Callable[[bytes, socket.socket, int], bool]


class Asked(NamedTuple):
    """A request."""

    method: str
    path: str  # with its query
    range: str  # "" for none

    @property
    def is_listing(self) -> bool:
        return "list-type=2" in self.path or "comp=list" in self.path


class Between:
    """A proxy on a port of its own; a context manager."""

    def __init__(self, to_port: int, *, keeps_host: bool = True) -> None:
        """Signatures need the host that a client named, and some servers answer to their own name only."""
        self.to_port = to_port
        self._keeps_host = keeps_host
        self.asked: list[Asked] = []
        self._plans: list[tuple[Callable[[Asked], bool], Happens, list[int]]] = []
        self._lock = threading.Lock()
        between = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                between._handle(self.request)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> Between:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def when(self, wanted: Callable[[Asked], bool], happens: Happens, *, times: int = 1) -> None:
        """So many requests that are wanted go so."""
        with self._lock:
            self._plans.append((wanted, happens, [times]))

    def forget(self) -> None:
        """What was asked, and what is still planned."""
        with self._lock:
            self.asked.clear()
            self._plans.clear()

    @property
    def listings(self) -> list[Asked]:
        return [asked for asked in self.asked if asked.is_listing]

    @property
    def reads(self) -> list[Asked]:
        return [asked for asked in self.asked if not asked.is_listing]

    def _handle(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            more = client.recv(65_536)
            if not more:
                return
            head += more
        asked = _asked(head)
        if not self._keeps_host:
            head = head.replace(f"127.0.0.1:{self.port}".encode(), f"127.0.0.1:{self.to_port}".encode())
        with self._lock:
            self.asked.append(asked)
            happens = next((happens for wanted, happens, left in self._plans if left[0] > 0 and wanted(asked) and not _take(left)), None)
        if happens is None or not happens(head, client, self.to_port):
            relay(head, client, self.to_port)


def relay(head: bytes, client: socket.socket, port: int, *, most_bytes: int | None = None) -> None:
    """Ask the server and hand on its answer; after so many bytes the connection breaks."""
    try:
        with socket.create_connection(("127.0.0.1", port)) as server:
            first, _, rest = head.partition(b"\r\n")
            server.sendall(first + b"\r\nConnection: close\r\n" + rest)
            sent = 0
            while piece := server.recv(65_536):
                if most_bytes is not None and sent + len(piece) > most_bytes:
                    client.sendall(piece[: most_bytes - sent])
                    return
                client.sendall(piece)
                sent += len(piece)
    except OSError:
        return  # the server is not there, or the client has gone: for the other one the connection ends


def answers(status: int, code: str = "") -> Happens:
    """The server says no, with that code."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>made up</Message></Error>".encode()

    def happens(head: bytes, client: socket.socket, port: int) -> bool:
        client.sendall(f"HTTP/1.1 {status} Made Up\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        return True

    return happens


def breaks(head: bytes, client: socket.socket, port: int) -> bool:
    """The connection ends without an answer."""
    return True


def first(does: Callable[[], object]) -> Happens:
    """Something happens just before the server is asked."""

    def happens(head: bytes, client: socket.socket, port: int) -> bool:
        does()
        return False

    return happens


def cut_after(most_bytes: int) -> Happens:
    """The connection breaks in the middle of the answer."""

    def happens(head: bytes, client: socket.socket, port: int) -> bool:
        relay(head, client, port, most_bytes=most_bytes)
        return True

    return happens


def _take(left: list[int]) -> bool:
    left[0] -= 1
    return False


def _asked(head: bytes) -> Asked:
    first, *headers = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    ranges = [value.strip() for name, _, value in (header.partition(":") for header in headers) if name.lower() == "range"]
    return Asked(method, path, ranges[0] if ranges else "")
