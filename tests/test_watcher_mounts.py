"""Tests of `tokentail.watcher.mounts`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tokentail.watcher.mounts import silent_areas


@pytest.mark.parametrize(
    ("table", "areas"),
    [
        ("1 0 8:1 / / rw - ext4 /dev/sda rw", {}),
        ("1 0 0:5 / / rw - overlay overlay rw", {}),
        ("1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 0:9 / /home rw - nfs4 host:/home rw", {"/home/logs": "nfs4"}),
        ("1 0 0:9 / /home/logs rw shared:3 master:1 - fuse.sshfs host: rw", {"/home/logs": "fuse.sshfs"}),
        ("1 0 0:9 / /home/logs/p rw - cifs //host/p rw", {"/home/logs/p": "cifs"}),
        ("1 0 0:9 / /home/logs2 rw - cifs //host/p rw", {}),
        ("1 0 0:9 / / rw - 9p host rw", {"/home/logs": "9p"}),
        ("1 0 0:9 / /home rw - nfs host:/home rw\n2 1 8:1 / /home/logs rw - btrfs /dev/sdb rw", {}),
        ("1 0 0:9 / /home rw - nfs host:/home rw\n2 1 8:1 / /home rw - xfs /dev/sdb rw", {}),
        ("1 0 0:9 / /home/logs/a\\040b\\134c\\012 rw - nfs host:/ rw", {"/home/logs/a b\\c\n": "nfs"}),
        ("1 0 0:9 / /home/logs/p rw - fuseblk /dev/sdc rw", {}),
        ("garbage\n\n - \n1 2 - nfs", {}),
    ],
)
def test_silent_areas(tmp_path: Path, table: str, areas: dict[str, str]) -> None:
    """What is on the network or answered for by a program, by the mount that a root is on and those below it."""
    (tmp_path / "mountinfo").write_text(table + "\n")
    assert silent_areas(["/home/logs"], str(tmp_path / "mountinfo")) == areas


def test_mounts_of_this_system(tmp_path: Path) -> None:
    """The real table can be read; where there is none, nothing is known."""
    assert isinstance(silent_areas(["/"]), dict)
    assert silent_areas(["/"], str(tmp_path / "none")) == {}
