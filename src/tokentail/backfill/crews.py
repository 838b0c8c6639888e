"""The only place that knows who parses a back-fill: processes of this machine, or a cluster of Dask."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, Protocol

from tokentail.backfill.parsing import Found
from tokentail.backfill.tasks import Task
from tokentail.errors import TokentailError, UsageError

LOCAL = "local"
_CONNECT_S = 10
Work = Callable[[Task], Found]


class Crew(Protocol):
    """Workers."""

    at_once: int  # how many tasks they can work on at the same time
    lost: tuple[type[BaseException], ...]  # what comes of a task whose worker died

    def submit(self, work: Work, task: Task) -> Future[Found]: ...

    def renew(self) -> None:
        """Some have died: let others come in their place, before the next task."""


@contextmanager
def open_crew(executor: str, workers: int | None = None) -> Iterator[Crew]:
    """
    The workers that `local` or `dask://HOST:PORT` names; they are sent away at the end.

    Raises:
        UsageError: it names nothing.
        TokentailError: they cannot be reached.
    """
    if executor == LOCAL:
        with _processes(workers or _cores()) as crew:
            yield crew
        return
    found = re.fullmatch(r"dask://([^/\s]+:\d+)/?", executor)
    if found is None:
        raise UsageError(f"cannot use the executor {executor} (say local, or dask://HOST:PORT, the address of a Dask scheduler)")
    with _dask(found[1], workers) as cluster:
        yield cluster


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Processes:
    # Also what the pool says of a task that it was about to hand out when it broke. A task says nothing of the kind of itself.
    lost: tuple[type[BaseException], ...] = (BrokenProcessPool, OSError)

    def __init__(self, workers: int, alive: Connection) -> None:
        self.at_once = workers
        self._alive = alive
        self._pool: ProcessPoolExecutor | None = None

    def submit(self, work: Work, task: Task) -> Future[Found]:
        try:
            return self._opened().submit(work, task)
        except (BrokenProcessPool, OSError):  # one has died while none had work, and the pool closes its own pipe at this moment
            self.renew()
        try:
            return self._opened().submit(work, task)
        except OSError as error:
            raise TokentailError(f"cannot start a worker: {error} (start fewer of them with --workers)") from error

    def renew(self) -> None:
        if self._pool is not None:
            with contextlib.suppress(OSError):  # likewise: what is broken is closed already
                self._pool.shutdown(wait=False)
            self._pool = None

    def _opened(self) -> ProcessPoolExecutor:
        if self._pool is None:
            # Spawned: a fork would take over our connections and locks.
            context = get_context("spawn")
            self._pool = ProcessPoolExecutor(self.at_once, mp_context=context, initializer=_begin, initargs=(self._alive,))
            # All workers at the first task and none later: one that is started while the pool breaks makes the pool's own thread fail,
            # which goes through the workers at that moment. Where another Python has no such attribute, this changes nothing.
            vars(self._pool)["_safe_to_dynamically_spawn_children"] = False
        return self._pool

    def close(self) -> None:
        if self._pool is not None:
            with contextlib.suppress(OSError):
                self._pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _processes(workers: int) -> Iterator[_Processes]:
    # We alone hold the end that is written to: when it closes, by us or with us, the workers go, whatever they are at.
    theirs, ours = get_context("spawn").Pipe(duplex=False)
    crew = _Processes(workers, theirs)
    try:
        yield crew
    finally:
        ours.close()
        crew.close()
        theirs.close()


def _begin(alive: Connection) -> None:
    """What a worker does first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started it
    gc.disable()  # parsing makes no cycles
    threading.Thread(target=_end_with, args=(alive,), name="alive", daemon=True).start()


def _end_with(alive: Connection) -> None:
    alive.poll(None)  # nothing is ever written: this is its end
    os._exit(0)


class _Dask:
    def __init__(self, executor: Executor, lost: tuple[type[BaseException], ...], at_once: int) -> None:
        self._executor, self.lost, self.at_once = executor, lost, at_once

    def submit(self, work: Work, task: Task) -> Future[Found]:
        return self._executor.submit(work, task)

    def renew(self) -> None:
        """Dask does so by itself."""


@contextmanager
def _dask(address: str, workers: int | None) -> Iterator[_Dask]:
    try:
        from distributed import Client
        from distributed.scheduler import KilledWorker
    except ImportError as error:
        raise TokentailError(f"cannot use a cluster of Dask: {error} (pip install 'tokentail[dask]')") from error
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # what goes wrong is said here
    connect: Any = Client
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S).close()  # who refuses is asked again and again by Dask
        client = connect(f"tcp://{address}", timeout=_CONNECT_S, set_as_default=False)
    except (OSError, OverflowError) as error:
        raise TokentailError(
            f"cannot reach the Dask scheduler at {address}: {getattr(error, 'strerror', None) or error} (is it running?)"
        ) from error
    try:
        threads = sum(client.nthreads().values())
        if not threads:
            raise TokentailError(f"the Dask scheduler at {address} has no workers (start some: dask worker {address})")
        executor = client.get_executor(pure=False)
        try:
            yield _Dask(executor, (KilledWorker,), min(workers or threads, threads))
        finally:
            executor.shutdown(wait=False)
    finally:
        client.close()
