"""The only place that decides into which tasks logs are cut, and which share of them a run reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from tokentail.digest import blake2b
from tokentail.model import RULES_VERSION, START, Cursor, LogFile
from tokentail.sources.clouds import NO_SETTINGS, Access
from tokentail.sources.inflated import is_compressed

TASK_BYTES = 64_000_000  # of logs: a fraction of a second to a few seconds of work
COMPRESSED_HOLD = 8  # times their size, about


class Shard(NamedTuple):
    """One of so many parts of all logs, from 1 on."""

    number: int = 1
    of: int = 1

    def has(self, file: LogFile) -> bool:
        """Is it in this part? It depends on its name below the place that was named, and on nothing else: it is so on every machine."""
        name = file.relative.encode("utf-8", "surrogateescape")
        return int.from_bytes(blake2b(name, digest_size=8).digest()) % self.of == self.number - 1


class Task(NamedTuple):
    """Logs that one worker reads in one go, and all that it must know."""

    files: tuple[LogFile, ...]
    access: Access = NO_SETTINGS  # how buckets are asked
    cursor: Cursor = START  # of the first file: what stands before it has been read
    deaths: int = 0  # how many workers died of it, or beside it
    rules: int = RULES_VERSION  # of who asks

    def halves(self) -> list[Task]:
        """The same logs in two tasks."""
        middle = len(self.files) // 2
        return [self._replace(files=self.files[:middle]), self._replace(files=self.files[middle:], cursor=START)]


def cut(files: Iterable[LogFile], access: Access = NO_SETTINGS, *, task_bytes: int = TASK_BYTES) -> list[Task]:
    """Neighbours together, large files alone; the largest tasks first, so that no worker is left alone with one at the end."""
    weighed = [(sum(map(weight, group)), group) for group in _groups(files, task_bytes)]
    weighed.sort(key=lambda each: -each[0])
    return [Task(tuple(group), access) for _, group in weighed]


def weight(file: LogFile) -> int:
    """The bytes that are to be looked through."""
    return file.size_bytes * (COMPRESSED_HOLD if is_compressed(file.path) else 1)


def _groups(files: Iterable[LogFile], task_bytes: int) -> Iterator[list[LogFile]]:
    # Of one bucket or folder each: a worker opens its connections once.
    for _, of_root in groupby(sorted(files, key=attrgetter("root", "path")), attrgetter("root")):
        group: list[LogFile] = []
        size = 0
        for file in of_root:
            if group and size + weight(file) > task_bytes:
                yield group
                group, size = [], 0
            group.append(file)
            size += weight(file)
        yield group
