"""The only place for what a worker does: a task's logs in, their records out."""

from __future__ import annotations

from typing import NamedTuple

from tokentail.addresses import is_address
from tokentail.backfill.tasks import Task
from tokentail.errors import TokentailError
from tokentail.merge import RecordKey, join
from tokentail.model import RULES_VERSION, START, Change, Chunk, Cursor, Life, LogFile, Problem, Record
from tokentail.parser import IncrementalParser
from tokentail.sources.buckets import Buckets
from tokentail.sources.everywhere import Everywhere
from tokentail.sources.inflated import is_compressed
from tokentail.sources.local import LocalFolders
from tokentail.workers import Columns, columns_of

MOST_RECORDS = 50_000  # that a worker hands over at once: what is left is a task of its own, however large a log is


class Found(NamedTuple):
    """What a task gave."""

    records: Columns
    folders: list[tuple[str, int, str]]  # slug, moment and folder
    problems: list[Problem]  # logs that could not be read
    files: list[LogFile]  # that are done, read or not
    bytes_read: int
    malformed: int  # lines
    rest: Task | None  # what is still to be read of it


def parse(task: Task, most_records: int = MOST_RECORDS) -> Found:
    """
    Read a task's logs, as they are now. Done again it gives the same, or what has been written since.

    Raises:
        TokentailError: this tokentail counts by other rules than the one that asks.
    """
    if task.rules != RULES_VERSION:
        raise TokentailError(
            f"the workers count by other rules ({RULES_VERSION}) than this tokentail ({task.rules}; install the same version everywhere)"
        )
    source = _source(task)
    parser = IncrementalParser(source)
    changes = [_change(file, START if number else task.cursor) for number, file in enumerate(task.files)]
    source.expect(changes)
    gathered = _Gathered()
    for number, change in enumerate(changes):
        try:
            for chunk in parser.parse_new_entries(change):
                gathered.add(chunk)
                if chunk.more and gathered.count >= most_records:
                    return gathered.found(task._replace(files=task.files[number:], cursor=chunk.cursor))
        except OSError as error:
            gathered.problems.append(Problem(change.file.path, error.strerror or str(error)))
        if is_compressed(change.file.path) and (why := source.damage(change.file)):
            gathered.problems.append(Problem(change.file.path, why))
        gathered.files.append(change.file)
        if gathered.count >= most_records and number + 1 < len(changes):
            return gathered.found(task._replace(files=task.files[number + 1 :], cursor=START))
    return gathered.found(None)


def _source(task: Task) -> Everywhere:
    roots = dict.fromkeys(file.root for file in task.files if is_address(file.path))
    return Everywhere(LocalFolders([]), Buckets(roots, task.access, is_strict=True), [], every_s=0.0)


def _change(file: LogFile, cursor: Cursor) -> Change:
    return Change(file, None if cursor == START else Life(0, file, "live", cursor), None)


class _Gathered:
    """Adds up what chunks hold."""

    def __init__(self) -> None:
        self._records: dict[RecordKey, Record] = {}
        self._folders: dict[str, tuple[int, str]] = {}
        self.problems: list[Problem] = []
        self.files: list[LogFile] = []
        self._bytes_read = self._malformed = 0

    @property
    def count(self) -> int:
        return len(self._records)

    def add(self, chunk: Chunk) -> None:
        known = self._records
        for record in chunk.records:
            key = record[:3]
            known[key] = join(known[key], record) if key in known else record
        if chunk.folder is not None:
            slug = chunk.records[0].owner.project
            self._folders[slug] = min(self._folders.get(slug, chunk.folder), chunk.folder)
        self._bytes_read += chunk.bytes_read
        self._malformed += len(chunk.rejects)

    def found(self, rest: Task | None) -> Found:
        folders = [(slug, *folder) for slug, folder in self._folders.items()]
        columns = columns_of(list(self._records.values()))
        return Found(columns, folders, self.problems, self.files, self._bytes_read, self._malformed, rest)
