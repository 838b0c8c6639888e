"""Tests of `tokentail.atomic`: a file is whole, or it is not there."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import pytest

from tokentail.atomic import whole_file
from tokentail.errors import TokentailError


def test_a_file_is_whole_and_private(tmp_path: Path) -> None:
    """It has its name only when all of it is written, whatever the umask says."""
    path = tmp_path / "made"
    before = os.umask(0)
    try:
        with whole_file(path, overwrite=False) as part:
            part.write_bytes(b"half")
            assert not path.exists()
            with part.open("ab") as file:
                file.write(b" and half")
    finally:
        os.umask(before)
    assert path.read_bytes() == b"half and half"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    """Neither the new file nor a part of it; the file that stood there is as it was."""
    path = tmp_path / "made"
    path.write_bytes(b"old")

    def write() -> None:
        with whole_file(path, overwrite=True) as part:
            part.write_bytes(b"new")
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        write()
    assert (list(tmp_path.iterdir()), path.read_bytes()) == ([path], b"old")


def test_an_error_while_writing_is_told(tmp_path: Path) -> None:
    """What the system said is part of the message, and so is what to do."""
    path = tmp_path / "made"
    with pytest.raises(TokentailError) as told, whole_file(path, overwrite=False), Path("/dev/full").open("wb", buffering=0) as full:
        full.write(b"x")
    assert str(told.value).startswith(f"cannot write {path}: No space left on device (nothing was kept of it; ")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_not_replaced_unasked(tmp_path: Path) -> None:
    """One that was there before, or was put there by somebody quicker."""
    path = tmp_path / "made"
    with pytest.raises(TokentailError, match="there is such a file already"), whole_file(path, overwrite=False):
        path.write_bytes(b"theirs")
    with pytest.raises(TokentailError, match="there is such a file already"), whole_file(path, overwrite=False):
        pytest.fail("it began to write")
    assert (list(tmp_path.iterdir()), path.read_bytes()) == ([path], b"theirs")


def test_a_link_is_followed(tmp_path: Path) -> None:
    """The file that it leads to is written, and the link stays one."""
    (tmp_path / "there").mkdir()
    link, there = tmp_path / "link", tmp_path / "there" / "made"
    link.symlink_to(there)
    for text in (b"first", b"second"):
        with whole_file(link, overwrite=True) as part:
            part.write_bytes(text)
        assert (there.read_bytes(), link.is_symlink()) == (text, True)
    assert list(there.parent.iterdir()) == [there]


def test_a_name_may_be_as_long_as_names_can_be(tmp_path: Path) -> None:
    """The part's own name does not depend on it."""
    with whole_file(tmp_path / ("n" * 255), overwrite=False) as part:
        part.write_bytes(b"x")
    assert [len(path.name) for path in tmp_path.iterdir()] == [255]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("missing/made", "there is no folder"),
        ("file/made", "there is no folder"),
        ("folder", "it is a folder"),
        ("pipe", "it is no regular file"),
        ("n" * 256, "File name too long"),
    ],
)
def test_a_place_that_cannot_hold_it(tmp_path: Path, name: str, why: str) -> None:
    """It is refused before anything is done, --force or not."""
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(TokentailError, match=why), whole_file(tmp_path / name, overwrite=True) as part:
        part.write_bytes(b"x")
    assert sorted(tmp_path.rglob("*")) == before
