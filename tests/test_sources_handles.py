"""Tests of `tokentail.sources.handles`: which logs stay open, and what becomes of those that leave their places."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path

import pytest

from logs import coordinator, line, told
from tokentail.coordinator import UpdateCoordinator
from tokentail.model import LogFile
from tokentail.sources import LocalFolders
from tokentail.sources.handles import MOST, Handles, most_handles


def listed(path: Path) -> LogFile:
    status = path.stat()
    return LogFile(
        str(path), str(path.parent), path.name, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )


def made(folder: Path, *names: str) -> list[LogFile]:
    for name in names:
        (folder / name).write_bytes(b"x\n")
    return [listed(folder / name) for name in names]


def read(handles: Handles, file: LogFile) -> bytes:
    with handles.opened(file) as held:
        data = os.pread(held.handle, 1 << 20, 0)
        held.end_bytes = len(data)
        return data


def open_logs(root: Path) -> set[str]:
    """The logs below a folder that this process has open, by name; " (deleted)" follows that of one that has gone."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            found.add(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:
            continue
    return {os.path.basename(path) for path in found if path.startswith(f"{root}/") and ".jsonl" in path}


def room_for(more: int) -> int:
    """A limit under which just so many more descriptors can be had, whichever are in use."""
    free = (number for number in count() if not Path(f"/proc/self/fd/{number}").exists())
    return next(islice(free, more, None))


@contextmanager
def limit(handles: int) -> Iterator[None]:
    """So many descriptors for this process."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (handles, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_nothing_stays_open_by_itself(tmp_path: Path) -> None:
    """A report opens each log, reads it and closes it."""
    handles = Handles()
    (file,) = made(tmp_path, "a.jsonl")
    assert read(handles, file) == b"x\n"
    assert open_logs(tmp_path) == set()


def test_the_log_that_was_read_longest_ago_is_closed_first(tmp_path: Path) -> None:
    """There are never more open logs than may be, also while another one is opened."""
    handles = Handles()
    handles.keep(2)
    a, b, c = made(tmp_path, "a.jsonl", "b.jsonl", "c.jsonl")
    read(handles, a)
    read(handles, b)
    read(handles, a)
    with handles.opened(c):
        assert open_logs(tmp_path) == {"a.jsonl", "c.jsonl"}
    assert open_logs(tmp_path) == {"a.jsonl", "c.jsonl"}
    handles.keep(1)
    assert open_logs(tmp_path) == {"c.jsonl"}
    handles.close_all()
    assert open_logs(tmp_path) == set()


def test_an_open_log_is_read_whatever_stands_at_its_path(tmp_path: Path) -> None:
    """What was listed is what is read: a file that takes the place is another one."""
    handles = Handles()
    handles.keep(8)
    (file,) = made(tmp_path, "a.jsonl")
    read(handles, file)
    (tmp_path / "new").write_bytes(b"other\n")
    os.replace(tmp_path / "new", file.path)
    assert read(handles, file) == b"x\n"
    assert read(handles, listed(Path(file.path))) == b"other\n"
    handles.close_all()


def test_a_file_that_took_the_place_is_not_held_as_the_one_that_was_listed(tmp_path: Path) -> None:
    """A log that was replaced between listing and reading is read as it is now, and stays open under no wrong name."""
    handles = Handles()
    handles.keep(8)
    (file,) = made(tmp_path, "a.jsonl")
    os.rename(file.path, tmp_path / "kept")  # so that its inode is not given away
    Path(file.path).write_bytes(b"other\n")
    assert read(handles, file) == b"other\n"
    assert len(handles) == 0
    assert open_logs(tmp_path) == set()


def test_an_inode_is_not_used_again_while_its_log_is_open(tmp_path: Path) -> None:
    """So a new file cannot be taken for a deleted one."""
    handles = Handles()
    handles.keep(8)
    (file,) = made(tmp_path, "a.jsonl")
    read(handles, file)
    os.unlink(file.path)
    others = made(tmp_path, *(f"{number}.jsonl" for number in range(50)))
    assert file.inode not in {other.inode for other in others}
    handles.close_all()


@pytest.mark.parametrize("leave", [os.unlink, lambda path: os.rename(path, path + ".away")], ids=["deleted", "moved"])
def test_what_a_log_held_when_it_left_can_be_read(tmp_path: Path, leave: object) -> None:
    """A log that leaves its place with unread bytes is given once more, as long as it is; without any it is only closed."""
    assert callable(leave)
    handles = Handles()
    handles.keep(8)
    drained, unread = made(tmp_path, "drained.jsonl", "unread.jsonl")
    read(handles, drained)
    read(handles, unread)
    with open(unread.path, "ab") as out:
        out.write(b"y\n")
    leave(drained.path)
    leave(unread.path)
    assert handles.left() == []  # nobody has looked
    handles.look()
    (left,) = handles.left()
    assert (left.path, left.inode, left.size_bytes) == (unread.path, unread.inode, 4)
    assert read(handles, left) == b"x\ny\n"
    assert handles.left() == []
    handles.close_left()
    assert open_logs(tmp_path) == set()


def test_a_listing_tells_what_has_left(tmp_path: Path) -> None:
    """Of the places that were listed, one that another file has now, or none, was left; others are not looked at."""
    handles = Handles()
    handles.keep(8)
    stays, goes, elsewhere = made(tmp_path, "stays.jsonl", "goes.jsonl", "elsewhere.jsonl")
    for file in (stays, goes, elsewhere):
        read(handles, file)
        os.truncate(file.path, 3)
        os.unlink(file.path)
    handles.compare([stays.path, goes.path], {stays.path: stays})
    assert [file.path for file in handles.left()] == [goes.path]
    handles.close_all()


def test_too_many_open_files_costs_the_held_ones_and_nothing_else(tmp_path: Path) -> None:
    """Where no file can be opened any more the held ones are closed, and it is tried again."""
    handles = Handles()
    handles.keep(64)
    files = made(tmp_path, *(f"{number}.jsonl" for number in range(64)))
    with limit(room_for(8)):
        assert [read(handles, file) for file in files] == [b"x\n"] * 64
        assert 0 < len(handles) < 20
    handles.close_all()


def test_a_quarter_of_what_may_be_open() -> None:
    """The default leaves room for all else; it is at least one."""
    few = room_for(10)
    with limit(few):
        assert most_handles() == few // 4
    with limit(resource.getrlimit(resource.RLIMIT_NOFILE)[1]):
        assert most_handles() <= MOST


# While following


@contextmanager
def leading(root: Path) -> Iterator[UpdateCoordinator]:
    """A coordinator that leads, and has read what is there."""
    live = coordinator(root, source=LocalFolders([root / "logs"]))
    try:
        live.check_for_updates()
        live.lead(True)
        yield live
        live.lead(False)
    finally:
        live.close()
    assert open_logs(root) == set()


def session(root: Path, name: str = "s1.jsonl") -> Path:
    path = root / "logs" / "-home-dev-app" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as out:
        out.write(data)


def look(live: UpdateCoordinator, *paths: Path) -> list[tuple[str, str]]:
    return told(live.look(live.source.list_below(map(str, paths), [])).changes)


def test_lines_of_a_log_that_was_rotated_away_count(tmp_path: Path) -> None:
    """S18: what stood in an open log when it left the tree is counted, and the new one at its place from its start."""
    log = session(tmp_path)
    log.write_bytes(line("msg_1"))
    with leading(tmp_path) as live:
        append(log, line("msg_2"))
        assert look(live, log) == [("new", "msg_2")]
        append(log, line("msg_3"))
        log.rename(tmp_path / "old")
        log.write_bytes(line("msg_4"))
        assert look(live, log) == [("new", "msg_3"), ("new", "msg_4")]
        append(log, line("msg_5"))
        append(tmp_path / "old", line("msg_6"))  # not in the tree
        assert look(live, log) == [("new", "msg_5")]
        states = live.db.execute("SELECT state, count(*) FROM files GROUP BY state ORDER BY state").fetchall()
        assert states == [("live", 1), ("rewritten", 1)]


def test_lines_of_a_log_that_was_deleted_count(tmp_path: Path) -> None:
    """S18: also when nothing comes to its place, and it is not open any more after that."""
    log = session(tmp_path)
    log.write_bytes(line("msg_1"))
    with leading(tmp_path) as live:
        append(log, line("msg_2"))
        look(live, log)
        append(log, line("msg_3"))
        log.unlink()
        assert look(live, log) == [("new", "msg_3")]
        assert open_logs(tmp_path) == set()
        live.check_for_updates()
        assert live.db.execute("SELECT state FROM files").fetchall() == [("missing",)]


def test_a_deleted_log_is_let_go_without_an_event(tmp_path: Path) -> None:
    """S55: following looks by itself whether what it has open is still there."""
    log = session(tmp_path)
    log.write_bytes(line("msg_1"))
    live, stop = coordinator(tmp_path), threading.Event()
    try:
        for update in live.follow(stop):
            if update.changes == [] and update.metrics.files_checked:  # what was there is read
                append(log, line("msg_2"))
            elif "msg_2" in {change.key for change in update.changes}:
                assert open_logs(tmp_path) == {"s1.jsonl"}
                log.unlink()
            elif not log.exists() and open_logs(tmp_path) == set():
                stop.set()
    finally:
        live.close()
    assert open_logs(tmp_path) == set()


def test_with_few_descriptors_all_is_counted(tmp_path: Path) -> None:
    """S36: 200 logs and hardly a file that may be open: nothing is missing, and no more are open than may be."""
    logs = [session(tmp_path, f"s{number}.jsonl") for number in range(200)]
    for number, log in enumerate(logs):
        log.write_bytes(line(f"msg_{number}"))
    with leading(tmp_path) as live, limit(room_for(8)):
        live.source.hold(100)
        for number, log in enumerate(logs):
            append(log, line(f"more_{number}"))
        assert look(live, *logs) == sorted(("new", f"more_{number}") for number in range(200))
        update = live.check_for_updates()
        assert (update.problems, update.degraded) == ([], [])
