"""Tests of `tokentail.pending`: what was written last is read first, a slice at a time."""

from __future__ import annotations

from logs import log_file
from tokentail import pending
from tokentail.model import LogFile
from tokentail.pending import Pending


def file(number: int, size_bytes: int = 10) -> LogFile:
    return log_file(f"-app/s{number}.jsonl", inode=number)._replace(mtime_ns=number, size_bytes=size_bytes)


def names(waiting: Pending, most_bytes: int, *gone: int) -> list[str]:
    found = waiting.latest(most_bytes, lambda each: None if each.inode in gone else each).files
    return [each.relative for each in found]


def test_latest_first() -> None:
    """About so many bytes, and one at least; they wait until they are done."""
    waiting = Pending()
    waiting.add([file(1), file(3), file(2, size_bytes=1000)])
    assert names(waiting, 500) == ["-app/s3.jsonl"]
    assert names(waiting, 5000) == ["-app/s3.jsonl", "-app/s2.jsonl", "-app/s1.jsonl"]
    waiting.done(file(3))
    assert names(waiting, 1) == ["-app/s2.jsonl"]
    assert len(waiting) == 2


def test_what_has_gone_waits_no_more() -> None:
    """And is not given."""
    waiting = Pending()
    waiting.add([file(1), file(2)])
    assert names(waiting, 5000, 2) == ["-app/s1.jsonl"]
    assert len(waiting) == 1


def test_not_all_at_once() -> None:
    """However small they are: what is live waits meanwhile."""
    waiting = Pending()
    waiting.add(file(number, size_bytes=0) for number in range(1, pending.MOST_FILES + 5))
    assert len(names(waiting, 5000)) == pending.MOST_FILES
