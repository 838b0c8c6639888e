"""Tests of `tokentail.originals`: a line is opened where it stands, or it is said why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from builders import line, write_logs
from tokentail.originals import Original, read
from tokentail.sighted import Known, Sighting
from tokentail.sources import LocalFolders

LOG = "-home-dev-app/s1.jsonl"


def opened(folder: Path, data: bytes, record: Known, *, offset: int = 0, stands: str = "on_disk") -> Original | str:
    source = LocalFolders([write_logs(folder, {LOG: data})])
    (file,) = source.list_files().files
    return read(source, Sighting(file, stands, offset), record)


def known(id: str = "msg_1") -> Known:
    return Known(id, f"req_{id}", False, 1)


def text_of(found: Original | str) -> bytes:
    assert isinstance(found, Original)
    return found.line


def test_a_line_is_read_at_its_place(tmp_path: Path) -> None:
    """Whatever stands before and after it."""
    before, own = line("msg_0"), line("msg_1")
    assert text_of(opened(tmp_path, before + own + line("msg_2"), known(), offset=len(before))) == own.rstrip(b"\n")


def test_a_last_line_without_its_newline_is_read(tmp_path: Path) -> None:
    """It counts, so it can be seen."""
    assert text_of(opened(tmp_path, line().rstrip(b"\n"), known())) == line().rstrip(b"\n")


@pytest.mark.parametrize("filler", [0, 65_536, 3_000_000])
def test_a_line_of_any_length_is_read_whole(tmp_path: Path, filler: int) -> None:
    """An image in it may be megabytes."""
    long = line(padding="x" * filler)
    assert text_of(opened(tmp_path, long + line("msg_2"), known())) == long.rstrip(b"\n")


def test_signs_around_a_line_are_no_part_of_it(tmp_path: Path) -> None:
    """A byte order mark before the first one, a carriage return at its end."""
    own = line().rstrip(b"\n")
    assert text_of(opened(tmp_path, b"\xef\xbb\xbf" + own + b"\r\n", known())) == own


@pytest.mark.parametrize("data", [b"", b"\n", b"x" * 500, line("msg_2"), line()[5:]])
def test_another_line_is_not_taken_for_it(tmp_path: Path, data: bytes) -> None:
    """The log was changed since it was read."""
    assert opened(tmp_path, data, known()) == "the log was changed: another line stands there now"


def test_a_line_that_is_known_to_be_gone_is_not_looked_for(tmp_path: Path) -> None:
    """Another file may stand at its place."""
    assert opened(tmp_path, line(), known(), stands="deleted") == "the log was deleted, or rewritten without it"


def test_a_log_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """In the words of the system."""
    source = LocalFolders([write_logs(tmp_path, {LOG: line()})])
    (file,) = source.list_files().files
    (tmp_path / LOG).unlink()
    assert read(source, Sighting(file, "on_disk", 0), known()) == "No such file or directory"
