"""The server: a socket, the application on it, and an end in which nobody is left hanging."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence

import uvicorn

from tokentail.coordinator import UpdateCoordinator
from tokentail.errors import StoreError, TokentailError, UsageError
from tokentail.fleet.central import Central
from tokentail.fleet.clickhouse.data import Stored
from tokentail.fleet.hub_tokens import Keyring
from tokentail.fleet.intake import Intake
from tokentail.reports import text
from tokentail.web.answers import Answers, Place
from tokentail.web.app import application
from tokentail.web.central_answers import CentralAnswers
from tokentail.web.gate import MOST_HEADER_BYTES, Rules
from tokentail.web.live import Broadcast
from tokentail.web.taking import Taking

LEAVE_WITHIN_S = 3
LOOK_EVERY_S = 1.0  # at a central store
KEEP_OPEN_S = 75  # for the next question: machines send every few seconds or minutes
BACKLOG = 512
MOST_HANDLES = 16_384  # of a hub: a thousand machines may be connected at once


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


def serve(
    place: Place,
    coordinator: UpdateCoordinator,
    rules: Rules,
    listening: socket.socket,
    *,
    on_ready: Callable[[], object],
    central: Central | None = None,
    shared: Stored | None = None,
) -> int:
    """
    Serve until SIGINT or SIGTERM; `on_ready` is called once, when what was there is counted.

    `central` is where a hub keeps what other machines send; `shared` asks it, where that is not the store of this machine.
    """
    return asyncio.run(_serve(place, coordinator, rules, listening, on_ready, central, shared))


async def _serve(
    place: Place,
    coordinator: UpdateCoordinator,
    rules: Rules,
    listening: socket.socket,
    on_ready: Callable[[], object],
    central: Central | None,
    shared: Stored | None,
) -> int:
    broadcast = Broadcast(coordinator, place.prices)
    taking = Taking(central, Intake(central, committed=coordinator.hear_now)) if central is not None else None

    def degraded() -> tuple[str, ...]:
        return (*broadcast.degraded(), *(taking.intake.degraded() if taking is not None else ()))

    answers = Answers(place, degraded) if shared is None else CentralAnswers(place, shared, degraded)
    app = application(answers, broadcast, rules, shows_content=place.shows_content, taking=taking)
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
        timeout_keep_alive=KEEP_OPEN_S,
        proxy_headers=False,
    )
    server = _Server(config)

    def end() -> None:
        server.should_exit = True
        broadcast.end_streams()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    broadcast.start()
    if taking is not None:
        _ask_for_handles()
        taking.start()
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    telling = asyncio.create_task(_tell(broadcast, degraded, rules.keyring, on_ready))
    ending = asyncio.create_task(broadcast.ended.wait())
    watching = asyncio.create_task(_watch(shared, broadcast) if shared is not None else asyncio.sleep(0))
    await asyncio.wait((serving, ending), return_when=asyncio.FIRST_COMPLETED)
    end()
    await serving
    for task in (telling, ending, watching):
        task.cancel()
    if taking is not None:
        await asyncio.to_thread(taking.stop)
    await asyncio.to_thread(broadcast.stop)
    if rules.keyring is not None:
        _write_uses(rules.keyring, at_once=True)
    if broadcast.error is not None:
        raise broadcast.error
    return 0


async def _watch(shared: Stored, broadcast: Broadcast) -> None:
    """Let the pages ask anew whenever a central store has something new, whichever hub has taken it in."""
    known: int | None = None
    while True:
        with contextlib.suppress(StoreError):  # whoever asks next is told
            latest = await asyncio.to_thread(shared.latest_ms)
            if known is not None and latest != known:
                broadcast.refresh()
            known = latest
        await asyncio.sleep(LOOK_EVERY_S)


async def _tell(
    broadcast: Broadcast, degraded: Callable[[], Sequence[str]], keyring: Keyring | None, on_ready: Callable[[], object]
) -> None:
    await broadcast.ready.wait()
    on_ready()
    told: set[str] = set()
    stamp = keyring.stamp if keyring is not None else None
    while True:
        for reason in degraded():
            if reason not in told:
                told.add(reason)
                text.warn(reason)
        if keyring is not None:
            await asyncio.to_thread(_write_uses, keyring)
            if keyring.stamp != stamp:
                stamp = keyring.stamp
                broadcast.end_streams()  # whoever may still listen comes again
        sys.stderr.flush()
        await asyncio.sleep(1.0)


def _ask_for_handles() -> None:
    """Many systems let a program open 1 024 files and connections, unless it asks for more."""
    import resource

    few, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_HANDLES if most == resource.RLIM_INFINITY else min(MOST_HANDLES, most)
    if few != resource.RLIM_INFINITY and few < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _write_uses(keyring: Keyring, *, at_once: bool = False) -> None:
    with contextlib.suppress(TokentailError):  # a full disk: the next minute is as good
        keyring.write_uses(at_once=at_once)


class _Server(uvicorn.Server):
    """Whose signals are handled by whoever runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
