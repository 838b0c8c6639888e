"""The only place that orders what comes in at a hub: all batches that wait are committed together, and answered after that."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import NamedTuple

from tokentail.errors import TokentailError
from tokentail.fleet.central import Central
from tokentail.fleet.wire import Batch

MOST_WAITING = 100_000  # records
MOST_AT_ONCE = 20_000  # records of a commit, and never less than a batch
GAP_S = 0.012  # between two commits: whoever else waits for the store's lock tries it every 10 ms


class Full(Exception):  # noqa: N818  # it is told to a program as a 503, not raised to a person
    """So much waits already that no more can be taken now."""


class Counted(NamedTuple):
    """What came in since the start."""

    batches: int = 0
    records: int = 0
    news: int = 0  # records that said something new
    commits: int = 0
    commits_s: float = 0.0  # what they took
    failed: int = 0  # batches that could not be kept


class _Waiting(NamedTuple):
    batch: Batch
    news: Future[int | None]


class Intake:
    """
    One thread that writes, and any number of threads that bring batches.

    Attributes:
        counted: replaced as a whole by the thread that writes.
    """

    def __init__(self, central: Central, *, committed: Callable[[], object], most_waiting: int = MOST_WAITING) -> None:
        """`committed` is called after each commit that changed something, in the thread that writes."""
        self._central, self._committed, self._most_waiting = central, committed, most_waiting
        self._waiting: list[_Waiting] = []
        self._records = 0
        self._has_more = threading.Condition()
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
        self.counted = Counted()
        self._why = ""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """What waits is still written."""
        with self._has_more:
            self._is_over = True
            self._has_more.notify()
        if self._thread.is_alive():
            self._thread.join()
        self._central.close()

    @property
    def waiting(self) -> int:
        """Records that are not committed yet."""
        return self._records

    def degraded(self) -> tuple[str, ...]:
        """Why what came in last could not be kept."""
        return (f"what other machines send cannot be kept: {why}",) if (why := self._why) else ()

    def put(self, batch: Batch) -> Future[int | None]:
        """
        Hand in a batch. What is given is done when all of the batch is committed.

        It is how many of its records said something new; None where they went with those of others, so that nobody knows.

        Raises:
            Full: too much waits.
        """
        with self._has_more:
            if self._is_over or (self._records and self._records + len(batch.records) > self._most_waiting):
                raise Full
            mine = _Waiting(batch, Future())
            mine.news.set_running_or_notify_cancel()  # who waits may go, the batch stays
            self._waiting.append(mine)
            self._records += len(batch.records)
            self._has_more.notify()
        return mine.news

    def _run(self) -> None:
        ended = 0.0
        while some := self._next():
            time.sleep(max(ended + GAP_S - time.monotonic(), 0.0))
            self._write([*some, *self._also(sum(len(each.batch.records) for each in some))])
            ended = time.monotonic()

    def _next(self) -> list[_Waiting]:
        """The batch that has waited for the longest; none at the end."""
        with self._has_more:
            while not self._waiting and not self._is_over:
                self._has_more.wait()
            return [self._waiting.pop(0)] if self._waiting else []

    def _also(self, records: int) -> list[_Waiting]:
        """What else waits by now and fits into the same commit."""
        with self._has_more:
            count = 0
            for each in self._waiting:
                records += len(each.batch.records)
                if records > MOST_AT_ONCE:
                    break
                count += 1
            some, self._waiting = self._waiting[:count], self._waiting[count:]
            return some

    def _write(self, some: Sequence[_Waiting]) -> None:
        began = time.monotonic()
        try:
            news = self._central.add(
                [record for each in some for record in each.batch.records], [folder for each in some for folder in each.batch.folders]
            )
        except TokentailError as error:
            self._fail(some, error)
        except Exception as error:  # noqa: BLE001  # whatever a batch holds, those of others are kept, and the thread goes on
            if len(some) > 1:
                for each in some:
                    self._write([each])
            else:
                self._fail(some, error)
        else:
            self._tell(some, news, time.monotonic() - began)

    def _tell(self, some: Sequence[_Waiting], news: int, took_s: float) -> None:
        records, self._why = self._leave(some), ""
        was = self.counted
        self.counted = was._replace(
            batches=was.batches + len(some),
            records=was.records + records,
            news=was.news + news,
            commits=was.commits + 1,
            commits_s=was.commits_s + took_s,
        )
        if news:
            self._committed()
        for each in some:
            each.news.set_result(_share(len(each.batch.records), records, news))

    def _fail(self, some: Sequence[_Waiting], error: Exception) -> None:
        self._leave(some)
        self._why = str(error) or type(error).__name__
        self.counted = self.counted._replace(failed=self.counted.failed + len(some))
        for each in some:
            each.news.set_exception(error)

    def _leave(self, some: Sequence[_Waiting]) -> int:
        """They wait no longer; gives how many records that were."""
        records = sum(len(each.batch.records) for each in some)
        with self._has_more:
            self._records -= records
        return records


def _share(own: int, records: int, news: int) -> int | None:
    """How many of a batch's own records were news, as far as that can be told from those of all."""
    if own == records:
        return news
    return {0: 0, records: own}.get(news)
