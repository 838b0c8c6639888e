"""The server: a socket, the application on it, and an end in which nobody is left hanging."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
import sys
from collections.abc import Callable, Iterator

import uvicorn

from tokentail.coordinator import UpdateCoordinator
from tokentail.errors import UsageError
from tokentail.reports import text
from tokentail.web.answers import Answers, Place
from tokentail.web.app import application
from tokentail.web.gate import MOST_HEADER_BYTES, Rules
from tokentail.web.live import Hub

LEAVE_WITHIN_S = 3
BACKLOG = 512


def listen(host: str, port: int) -> socket.socket:
    """
    A socket on that address.

    Raises:
        UsageError: it cannot be had.
    """
    try:
        family, kind, number, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        found = socket.socket(family, kind, number)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(address)
            found.listen(BACKLOG)
        except BaseException:
            found.close()
            raise
    except OSError as error:
        advice = "name another one with --port, or 0 for any that is free" if error.errno == errno.EADDRINUSE else "see --host and --port"
        raise UsageError(f"cannot listen on {host} port {port}: {error.strerror or error} ({advice})") from error
    return found


def serve(place: Place, coordinator: UpdateCoordinator, rules: Rules, listening: socket.socket, *, on_ready: Callable[[], object]) -> int:
    """Serve until SIGINT or SIGTERM; `on_ready` is called once, when what was there is counted."""
    return asyncio.run(_serve(place, coordinator, rules, listening, on_ready))


async def _serve(
    place: Place, coordinator: UpdateCoordinator, rules: Rules, listening: socket.socket, on_ready: Callable[[], object]
) -> int:
    hub = Hub(coordinator, place.prices)
    app = application(Answers(place, hub.degraded), hub, rules, shows_content=place.shows_content)
    config = uvicorn.Config(
        app,
        log_level="error",
        access_log=False,
        lifespan="off",
        server_header=False,
        ws="none",
        http="h11",
        h11_max_incomplete_event_size=MOST_HEADER_BYTES * 2,
        timeout_graceful_shutdown=LEAVE_WITHIN_S,
        proxy_headers=False,
    )
    server = _Server(config)

    def end() -> None:
        server.should_exit = True
        hub.end_streams()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    hub.start()
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    telling = asyncio.create_task(_tell(hub, on_ready))
    ending = asyncio.create_task(hub.ended.wait())
    await asyncio.wait((serving, ending), return_when=asyncio.FIRST_COMPLETED)
    end()
    await serving
    for task in (telling, ending):
        task.cancel()
    await asyncio.to_thread(hub.stop)
    if hub.error is not None:
        raise hub.error
    return 0


async def _tell(hub: Hub, on_ready: Callable[[], object]) -> None:
    await hub.ready.wait()
    on_ready()
    told: set[str] = set()
    while True:
        for reason in hub.degraded():
            if reason not in told:
                told.add(reason)
                text.warn(reason)
        sys.stderr.flush()
        await asyncio.sleep(1.0)


class _Server(uvicorn.Server):
    """Whose signals are handled by whoever runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
