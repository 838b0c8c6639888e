"""The only place that runs a back-fill: tasks to workers, what they find into a store, and what is done when a worker dies."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from typing import NamedTuple

from tokentail.backfill.crews import Crew, Work
from tokentail.backfill.parsing import Found, parse
from tokentail.backfill.tasks import Task, weight
from tokentail.errors import TokentailError
from tokentail.model import Problem, Record
from tokentail.workers import records_of

MOST_DEATHS = 3  # of workers, then a log is left alone
Take = Callable[[list[Record], list[tuple[str, int, str]]], int]  # joins records and folders into a store; how many said something new
Progress = Callable[[int, int], None]  # of bytes, how many are done


class Read(NamedTuple):
    """What a back-fill came to."""

    files: int
    bytes_read: int
    records: int  # that were handed over; one that several tasks met counts several times
    news: int  # of them, those that said something new
    malformed: int  # lines
    problems: list[Problem]  # logs that could not be read


def back_fill(tasks: Iterable[Task], crew: Crew, take: Take, *, work: Work = parse, progress: Progress = lambda _, __: None) -> Read:
    """
    Read all tasks' logs and join what they hold, in whatever order it comes: that makes no difference, nor does doing it again.

    What was taken stays taken, also when this ends early.

    Raises:
        TokentailError: the store cannot be written, or the workers are of no use.
    """
    return _BackFill(tasks, crew, take, work, progress).run()


class _BackFill:
    def __init__(self, tasks: Iterable[Task], crew: Crew, take: Take, work: Work, progress: Progress) -> None:
        self._waiting = deque(tasks)
        self._suspects: deque[Task] = deque()  # a worker died while it had them, and perhaps of them
        self._in_flight: dict[Future[Found], Task] = {}
        self._crew, self._take, self._work, self._progress = crew, take, work, progress
        self._total = sum(weight(file) for task in self._waiting for file in task.files)
        self._done = 0
        self._files = self._bytes = self._records = self._news = self._malformed = 0
        self._problems: list[Problem] = []

    def run(self) -> Read:
        while self._waiting or self._suspects or self._in_flight:
            self._hand_out()
            done, _ = wait(self._in_flight, return_when=FIRST_COMPLETED)
            for future in done:
                self._hear(future, self._in_flight.pop(future))
        return Read(self._files, self._bytes, self._records, self._news, self._malformed, self._problems)

    def _hand_out(self) -> None:
        """As many tasks as may be in flight: that bounds what waits to be taken. A suspect goes alone, so that it is known who did it."""
        if self._suspects:
            if not self._in_flight:
                self._submit(self._suspects)
            return
        while self._waiting and len(self._in_flight) < 2 * self._crew.at_once:
            self._submit(self._waiting)

    def _submit(self, tasks: deque[Task]) -> None:
        future = self._crew.submit(self._work, tasks[0])
        self._in_flight[future] = tasks.popleft()

    def _hear(self, future: Future[Found], task: Task) -> None:
        try:
            found = future.result()
        except self._crew.lost:
            self._crew.renew()
            self._bury(task._replace(deaths=task.deaths + 1))
        except MemoryError:  # a worker that lives, and has no room for it
            self._bury(task._replace(deaths=task.deaths + 1))
        except ImportError as error:
            raise TokentailError(f"the workers cannot run tokentail: {error} (install tokentail where they are)") from error
        except CancelledError as error:
            raise TokentailError("the workers have gone away (what was read is kept; start them, and give the command again)") from error
        else:
            self._join(found)

    def _bury(self, task: Task) -> None:
        """Once more, unless it was too often; of several logs it is found out which one it is."""
        if task.deaths < MOST_DEATHS:
            self._suspects.append(task)
        elif len(task.files) > 1:
            self._suspects.extend(half._replace(deaths=MOST_DEATHS - 1) for half in task.halves())
        else:
            why = f"{task.deaths} workers died while they read it (of memory? it is left out, and all others are read)"
            self._problems.append(Problem(task.files[0].path, why))
            self._count(1, weight(task.files[0]))

    def _join(self, found: Found) -> None:
        records = records_of(*found.records)
        self._news += self._take(records, found.folders)
        self._records += len(records)
        self._bytes += found.bytes_read
        self._malformed += found.malformed
        self._problems += found.problems
        self._count(len(found.files), sum(map(weight, found.files)))
        if found.rest is not None:
            self._waiting.appendleft(found.rest)

    def _count(self, files: int, done: int) -> None:
        self._files += files
        self._done += done
        self._progress(self._done, self._total)
