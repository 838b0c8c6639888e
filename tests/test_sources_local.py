"""Tests of `tokentail.sources.local`."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from logs import line
from tokentail.model import LogFile
from tokentail.sources.local import LocalFolders, is_gone

NOBODY = 65534


def write(path: Path, data: bytes = b"x\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def at(folder: Path, relative: str) -> LogFile:
    """The file that is there, as it would be listed; or one that is not."""
    try:
        status = os.stat(folder / relative)
    except OSError:
        return LogFile(f"{folder}/{relative}", str(folder), relative, 0, 0, 0, 0, 0)
    return LogFile(f"{folder}/{relative}", str(folder), relative, status.st_dev, status.st_ino, 0, 0, 0)


def found(*folders: Path) -> list[str]:
    listing = LocalFolders(folders).list_files()
    assert listing.problems == []
    return [file.relative for file in listing.files]


def as_nobody(check: Callable[[], None]) -> None:
    """Run a check as a user who may be refused; root never is."""
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        code = 1
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            check()
            code = 0
        except BaseException as error:  # noqa: BLE001  # the last frame of a process
            print(repr(error), file=sys.stderr)
        finally:
            sys.stderr.flush()
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0


@pytest.fixture(name="open_path")
def fixture_open_path(tmp_path: Path) -> Path:
    """A folder that every user can reach."""
    folder = tmp_path
    while folder != folder.parent and folder.stat().st_uid == os.getuid():
        folder.chmod(folder.stat().st_mode | 0o055)
        folder = folder.parent
    return tmp_path


# What is found


def test_logs_at_any_depth(tmp_path: Path) -> None:
    """`*.jsonl` and rotated `*.jsonl.N`, plain or compressed, sorted by path; nothing else."""
    logs = [".hidden/s4.jsonl", ".jsonl", "a/b/c/s2.jsonl", "a/s1.jsonl", "s3.jsonl.1", "s3.jsonl.12", "z/s6.jsonl.2.zst", "z/s6.jsonl.gz"]
    others = ("s5.json", "s6.gz", "s6.jsonl.gz.1", "s6.jsonl.xz", "s7.jsonl.", "s8.jsonl.1a", "s9.jsonl~", "s0.jsonl.1\n", "x.jsonl.tmp")
    for name in (*reversed(logs), *others):
        write(tmp_path / name)
    assert found(tmp_path) == logs


def test_what_a_listing_says(tmp_path: Path) -> None:
    """Path, place and all by which a change is noticed."""
    path = write(tmp_path / "a" / "s1.jsonl", b"12345")
    status = path.stat()
    expected = (status.st_dev, status.st_ino, 5, status.st_mtime_ns, status.st_ctime_ns)
    assert LocalFolders([tmp_path]).list_files().files == [LogFile(str(path), str(tmp_path), "a/s1.jsonl", *expected)]


def test_missing_folder(tmp_path: Path) -> None:
    """A folder that is not there holds nothing; that is no problem."""
    assert found(tmp_path / "nowhere") == []


def test_same_folder_by_several_names(tmp_path: Path) -> None:
    """Reached directly, through a link and as part of another folder, each file is found once (edge case 41)."""
    write(tmp_path / "real" / "p" / "s1.jsonl")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    source = LocalFolders([tmp_path / "link", tmp_path / "real", tmp_path / "real" / "p", tmp_path / "real" / ".." / "real"])
    assert [file.relative for file in source.list_files().files] == ["p/s1.jsonl"]
    assert list(source.names) == [str(tmp_path / name) for name in ("link", "real", "real/p", "real/../real")]


def test_folder_whose_name_begins_like_anothers(tmp_path: Path) -> None:
    """Only a folder inside another one is left out, not its neighbour."""
    write(tmp_path / "logs" / "s1.jsonl")
    write(tmp_path / "logs2" / "s2.jsonl")
    assert found(tmp_path / "logs", tmp_path / "logs2") == ["s1.jsonl", "s2.jsonl"]


def test_folder_named_like_a_log(tmp_path: Path) -> None:
    """It is a folder, and searched like any other."""
    write(tmp_path / "x.jsonl" / "s1.jsonl")
    assert found(tmp_path) == ["x.jsonl/s1.jsonl"]


def test_pipe_named_like_a_log(tmp_path: Path) -> None:
    """A pipe is no log: it is neither listed nor opened for good."""
    pipe = tmp_path / "x.jsonl"
    os.mkfifo(pipe)
    assert found(tmp_path) == []
    source = LocalFolders([tmp_path])
    with pytest.raises(OSError, match="not a regular file"):
        source.read(at(tmp_path, "x.jsonl"), 0, 10)


@pytest.mark.parametrize(
    "name",
    [
        b"\xff\xfe.jsonl",
        b"a\nb.jsonl",
        b"x" * 249 + b".jsonl",
        b"-rf.jsonl",
        b"$(id).jsonl",
        b" .jsonl",
        "🦦.jsonl".encode(),
        b"\x1b[31m.jsonl",
    ],
)
def test_hostile_names(name: bytes, tmp_path: Path) -> None:
    """Names are bytes to the file system: all are found and read, and come back as they are (S54)."""
    path = os.path.join(os.fsencode(tmp_path), name)
    with open(path, "wb") as file:
        file.write(b"hello")
    source = LocalFolders([tmp_path])
    (log,) = source.list_files().files
    assert (os.fsencode(log.path), source.read(log, 1, 3)) == (path, b"ell")


# Links


def test_link_to_a_file(tmp_path: Path) -> None:
    """It is read under its real path, and stands where the link stands."""
    target = write(tmp_path / "elsewhere" / "real.jsonl")
    (tmp_path / "logs" / "p").mkdir(parents=True)
    (tmp_path / "logs" / "p" / "s1.jsonl").symlink_to(target)
    (file,) = LocalFolders([tmp_path / "logs"]).list_files().files
    assert (file.path, file.relative) == (str(target), "p/s1.jsonl")


@pytest.mark.parametrize("names", [("a/link", "z/real"), ("z/link", "a/real")])
def test_file_and_links_to_it(names: tuple[str, str], tmp_path: Path) -> None:
    """A file that is reached in several ways stands at its own place, whatever is found first."""
    link, real = names
    target = write(tmp_path / f"{real}.jsonl")
    (tmp_path / link).parent.mkdir()
    (tmp_path / f"{link}.jsonl").symlink_to(target)
    (tmp_path / f"{link}2.jsonl").symlink_to(target)
    assert found(tmp_path) == [f"{real}.jsonl"]


def test_several_links_to_a_file_outside(tmp_path: Path) -> None:
    """It stands at the first of them by name, so that every look agrees."""
    target = write(tmp_path / "elsewhere" / "real.jsonl")
    for name in ("c", "a", "b"):
        (tmp_path / "logs" / name).mkdir(parents=True)
        (tmp_path / "logs" / name / "s1.jsonl").symlink_to(target)
    assert found(tmp_path / "logs") == ["a/s1.jsonl"]


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    """So no loop can catch the search, and no copy of a tree is read twice (S32)."""
    write(tmp_path / "a" / "s1.jsonl")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "up.jsonl").symlink_to(tmp_path)
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a")
    assert found(tmp_path) == ["a/s1.jsonl"]


def test_dangling_link(tmp_path: Path) -> None:
    """A link to nothing is nothing, until its target is there."""
    (tmp_path / "s1.jsonl").symlink_to(tmp_path / "target")
    assert found(tmp_path) == []
    write(tmp_path / "target")
    assert found(tmp_path) == ["s1.jsonl"]


def test_links_in_a_circle(tmp_path: Path) -> None:
    """Links that lead to one another end nowhere: that is named, and the rest is found."""
    (tmp_path / "a.jsonl").symlink_to(tmp_path / "b.jsonl")
    (tmp_path / "b.jsonl").symlink_to(tmp_path / "a.jsonl")
    write(tmp_path / "c.jsonl")
    listing = LocalFolders([tmp_path]).list_files()
    assert [file.relative for file in listing.files] == ["c.jsonl"]
    assert {problem.why for problem in listing.problems} == {os.strerror(errno.ELOOP)}


def test_link_is_not_followed_behind_our_back(tmp_path: Path) -> None:
    """A file that became a link since it was listed is not read."""
    path = write(tmp_path / "s1.jsonl")
    source = LocalFolders([tmp_path])
    (file,) = source.list_files().files
    path.unlink()
    path.symlink_to(write(tmp_path / "secret"))
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        source.read(file, 0, 1)


# No permission


def test_unreadable_folder(open_path: Path) -> None:
    """A folder that may not be searched is named with the reason, and the others are found."""
    write(open_path / "shut" / "s1.jsonl")
    write(open_path / "open" / "s2.jsonl")
    (open_path / "shut").chmod(0)

    def check() -> None:
        listing = LocalFolders([open_path]).list_files()
        assert [file.relative for file in listing.files] == ["open/s2.jsonl"]
        assert [tuple(problem) for problem in listing.problems] == [(str(open_path / "shut"), os.strerror(errno.EACCES))]
        assert not is_gone(at(open_path, "shut/s1.jsonl"), [str(open_path)])

    try:
        as_nobody(check)
    finally:
        (open_path / "shut").chmod(0o755)


def test_unreadable_file(open_path: Path) -> None:
    """It is listed, and reading it says why it cannot be read."""
    write(open_path / "s1.jsonl").chmod(0)

    def check() -> None:
        source = LocalFolders([open_path])
        (file,) = source.list_files().files
        with pytest.raises(PermissionError):
            source.read(file, 0, 1)

    as_nobody(check)


def test_what_counts_as_gone(tmp_path: Path) -> None:
    """A file is gone when its name or its folder is certainly not there, or when it is no file now; an error says nothing."""
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "target")
    write(tmp_path / "file")
    (tmp_path / "folder").mkdir()
    gone = ["s1.jsonl", "no/s1.jsonl", "file/s1.jsonl", "link.jsonl", "folder"]
    assert [name for name in [*gone, "x" * 300, "file"] if is_gone(at(tmp_path, name), [str(tmp_path)])] == gone


def test_another_file_at_its_place(tmp_path: Path) -> None:
    """A file is gone when another one stands there, as a hard link of a log that is known by another name may."""
    write(tmp_path / "s1.jsonl")
    file = at(tmp_path, "s1.jsonl")
    assert not is_gone(file, [str(tmp_path)])
    write(tmp_path / "s2.jsonl")
    (tmp_path / "s1.jsonl").unlink()
    (tmp_path / "s1.jsonl").hardlink_to(tmp_path / "s2.jsonl")
    assert is_gone(file, [str(tmp_path)])


def test_file_that_is_no_longer_among_the_logs(tmp_path: Path) -> None:
    """So is a file that is there, but in a folder that is not searched now, or at the end of a link that leads elsewhere now."""
    write(tmp_path / "logs" / "s1.jsonl")
    target = write(tmp_path / "target")
    (tmp_path / "logs" / "link.jsonl").symlink_to(target)
    (tmp_path / "again").symlink_to(tmp_path / "logs")
    linked = at(tmp_path / "logs", "link.jsonl")._replace(path=str(target))
    for folder in ("logs", "logs/", "again", "."):
        assert not is_gone(at(tmp_path / "logs", "s1.jsonl"), [str(tmp_path / folder)])
        assert not is_gone(linked, [str(tmp_path / "elsewhere"), f"{tmp_path}/{folder}"])
    assert is_gone(at(tmp_path / "logs", "s1.jsonl"), [str(tmp_path / "logs2"), str(tmp_path / "log")])
    (tmp_path / "logs" / "link.jsonl").unlink()
    assert is_gone(linked, [str(tmp_path)])


# Reading


def test_reading_a_part(tmp_path: Path) -> None:
    """From the given byte on, and less only at the end of the file."""
    write(tmp_path / "s1.jsonl", b"0123456789")
    source = LocalFolders([tmp_path])
    (file,) = source.list_files().files
    assert [source.read(file, *part) for part in ((0, 4), (8, 4), (10, 4), (99, 4), (3, 0))] == [b"0123", b"89", b"", b"", b""]


def test_looking_again(tmp_path: Path) -> None:
    """A known file as it is now; None when no regular file is to be seen there."""
    path = write(tmp_path / "s1.jsonl", b"1")
    source = LocalFolders([tmp_path])
    (file,) = source.list_files().files
    write(path, b"22")
    again = source.look_again(file)
    assert again is not None
    assert (again.size_bytes, again.relative) == (2, "s1.jsonl")
    path.unlink()
    assert source.look_again(file) is None
    path.mkdir()
    assert source.look_again(file) is None


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    """Neither the search nor a read keeps a file open, also when it fails."""
    write(tmp_path / "a" / "s1.jsonl")
    os.mkfifo(tmp_path / "pipe")
    source = LocalFolders([tmp_path])
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    (file,) = source.list_files().files
    source.read(file, 0, 10)
    with pytest.raises(OSError, match="not a regular"):
        source.read(file._replace(path=str(tmp_path / "pipe")), 0, 10)
    assert (len(os.listdir("/proc/self/fd")) if before else 0) == before


def test_few_descriptors(tmp_path: Path) -> None:
    """With room for 20 open files, 500 logs are counted exactly, and none is taken for deleted (S36)."""
    for number in range(500):
        write(tmp_path / "logs" / f"p{number % 25}" / f"s{number}.jsonl", line(f"msg_{number}", number))
    code = """
import contextlib, resource, sys
from pathlib import Path
from tokentail import cli, coordinator, parser, prices, workers
from tokentail.sources import LocalFolders
import sqlite3
root = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
with contextlib.closing(coordinator.UpdateCoordinator(LocalFolders([root / "logs"]), root / "s.db", prices=prices.load())) as live:
    for _ in range(2):
        update = live.check_for_updates()
        print(update.metrics.files_checked, update.metrics.replies_new, update.problems, update.degraded)
    print(live.db.execute("SELECT state, count(*) FROM files GROUP BY 1").fetchall())
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "src")}
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True, env=environment)
    assert done.stdout.splitlines() == ["500 500 [] []", "500 0 [] []", "[('live', 500)]"]
