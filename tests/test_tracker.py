"""Tests of `tokentail.tracker`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from logs import CountingFolders, Listed, coordinator, line, lines
from tokentail import queries
from tokentail.coordinator import UpdateCoordinator
from tokentail.model import START, Change, Life, LogFile, Problem, Update
from tokentail.recount import recount
from tokentail.sources import LocalFolders
from tokentail.tracker import FileTracker
from tokentail.verify import verify


def file(path: str, inode: int = 1, *, size: int = 10, mtime: int = 1) -> LogFile:
    return LogFile(f"/logs/{path}", "/logs", path, 7, inode, size, mtime, mtime)


class Known:
    """A tracker over a made-up listing; `gone` are the paths that a second look does not find."""

    def __init__(self, *files: LogFile) -> None:
        self.source = Listed()
        self.gone: set[str] = set()
        self.tracker = FileTracker(self.source, is_gone=lambda file, _: file.path in self.gone)
        self.next_id = 1
        self.look(*files)

    def look(self, *files: LogFile, problems: list[Problem] | None = None) -> list[Change]:
        """One listing; every change is read and committed."""
        self.source.files, self.source.problems = list(files), problems or []
        changes = list(self.tracker.check_changes())
        for change in changes:
            life = change.life or Life(self.next_id, change.file, "live", START)
            self.next_id += change.life is None
            self.tracker.update_position(life._replace(file=change.file, state="live"))
        return changes


def brief(changes: list[Change]) -> list[tuple[str, int | None, int | None]]:
    """Name, life that goes on, life that ends."""
    return [(change.file.relative, change.life.id if change.life else None, change.ends.id if change.ends else None) for change in changes]


# What a listing means


def test_new_file() -> None:
    """A file that nobody knows is read from its start."""
    assert brief(Known().look(file("a"))) == [("a", None, None)]


def test_unchanged_file() -> None:
    """A file that is as it was is no change."""
    assert Known(file("a")).look(file("a")) == []


@pytest.mark.parametrize("now", [file("a", size=11), file("a", size=9), file("a", mtime=2), file("a", mtime=0)])
def test_changed_file(now: LogFile) -> None:
    """Any other size or time is a change, be it less or more (S45)."""
    assert brief(Known(file("a")).look(now)) == [("a", 1, None)]


def test_renamed_file() -> None:
    """The same inode under another name goes on with its life (S33)."""
    assert brief(Known(file("a")).look(file("b"))) == [("b", 1, None)]


def test_rotated_file() -> None:
    """The old file goes on under its new name, and a new one begins at the old name (S14)."""
    assert brief(Known(file("a")).look(file("a", 2), file("a.1", 1))) == [("a", None, None), ("a.1", 1, None)]


def test_cascade_of_rotations() -> None:
    """Each file moves one name on, again and again, and keeps its life (S16)."""
    known = Known(file("a", 1))
    known.look(file("a", 2), file("a.1", 1))
    assert brief(known.look(file("a", 3), file("a.1", 2), file("a.2", 1))) == [("a", None, None), ("a.1", 2, None), ("a.2", 1, None)]
    assert brief(known.look(file("a", 3, size=20), file("a.1", 2, size=20), file("a.2", 1, size=20))) == [
        ("a", 3, None),
        ("a.1", 2, None),
        ("a.2", 1, None),
    ]


def test_two_files_that_swap_names() -> None:
    """Both lives go on under the other name, and are still known afterwards (S26)."""
    known = Known(file("a", 1), file("b", 2))
    assert brief(known.look(file("a", 2), file("b", 1))) == [("a", 2, None), ("b", 1, None)]
    assert known.look(file("a", 2), file("b", 1)) == []


def test_swap_of_which_one_half_cannot_be_read() -> None:
    """The file that could not be read under its new name keeps its life until it can."""
    known = Known(file("a", 1), file("b", 2))
    known.source.files = [file("a", 2), file("b", 1)]
    first, second = known.tracker.check_changes()
    assert first.life is not None
    known.tracker.update_position(first.life._replace(file=first.file))
    assert brief([second]) == brief(known.look(file("a", 2), file("b", 1))) == [("b", 1, None)]


def displaced() -> Known:
    """Life 1 was at `a`, was found at `b`, and could not be read there; another file was read at `a`."""
    known = Known(file("a", 1))
    known.source.files = [file("a", 2), file("b", 1)]
    first, second = known.tracker.check_changes()
    assert brief([first, second]) == [("a", None, None), ("b", 1, None)]
    known.tracker.update_position(Life(2, first.file, "live", START))
    return known


def test_file_that_could_not_be_read_where_it_went_comes_back() -> None:
    """Its life goes on at the name it had, and the one that stood there meanwhile ends (F48)."""
    known = displaced()
    assert brief(known.look(file("a", 1))) == [("a", 1, 2)]
    assert known.look(file("a", 1)) == []


def test_file_that_could_not_be_read_where_it_went_and_is_gone() -> None:
    """Its life has ended, and is not left over beside that of the file that took its place (F48)."""
    known = displaced()
    assert known.look(file("a", 2)) == []
    assert [(life.id, life.state) for life in known.tracker.persist()] == [(1, "rewritten")]
    assert brief(known.look(file("a", 2), file("c", 1))) == [("c", None, None)]


def test_three_files_that_change_names_in_a_ring() -> None:
    """The same for any ring of names."""
    known = Known(file("a", 1), file("b", 2), file("c", 3))
    known.look(file("a", 3), file("b", 1), file("c", 2))
    assert known.look(file("a", 3), file("b", 1), file("c", 2)) == []


def test_replaced_file() -> None:
    """Another inode at a known name is a new life, and the one that stood there ends (S27)."""
    known = Known(file("a", 1))
    assert brief(known.look(file("a", 2))) == [("a", None, 1)]
    assert known.look(file("a", 2)) == []


def test_old_inode_after_a_replacement() -> None:
    """A life that ended is forgotten: its inode, when it comes again, is a new file (S24)."""
    known = Known(file("a", 1))
    known.look(file("a", 2))
    assert brief(known.look(file("a", 2), file("b", 1))) == [("b", None, None)]


def test_file_renamed_and_another_put_in_its_place_later() -> None:
    """The life that moved away ended nowhere, whatever happens at its old name."""
    known = Known(file("a", 1))
    known.look(file("b", 1))
    known.gone = {"/logs/b"}
    assert brief(known.look(file("a", 2))) == [("a", None, None)]
    assert [(life.id, life.file.path, life.state) for life in known.tracker.persist()] == [(1, "/logs/b", "missing")]


def test_hard_links() -> None:
    """Several names of one inode are one file, under the name that is known already (S31)."""
    known = Known(file("b", 1))
    assert known.look(file("a", 1), file("b", 1), file("c", 1)) == []
    assert brief(known.look(file("a", 1, size=20), file("b", 1, size=20))) == [("b", 1, None)]
    assert brief(known.look(file("a", 1, size=20))) == [("a", 1, None)]


def test_hard_links_in_several_projects() -> None:
    """A name in another project is another file, for its lines have another owner there (R7)."""
    known = Known(file("p/a", 1))
    assert brief(known.look(file("p/a", 1), file("q/a", 1), file("q/b", 1))) == [("q/a", None, None)]
    assert known.look(file("p/a", 1), file("q/a", 1), file("q/b", 1)) == []
    changes = known.look(file("p/a", 1, size=20), file("q/a", 1, size=20), file("q/b", 1, size=20))
    assert brief(changes) == [("p/a", 1, None), ("q/a", 2, None)]
    assert brief(known.look(file("p/a", 1, size=20), file("q/b", 1, size=20))) == [("q/b", 2, None)]


def test_renamed_file_that_was_rewritten_too() -> None:
    """Its new life is the only one that is known afterwards."""
    known = Known(file("a", 1))
    known.source.files = [file("b", 1, size=5)]
    (change,) = known.tracker.check_changes()
    assert change.life is not None
    known.tracker.update_position(Life(9, change.file, "live", START))
    assert brief(known.look(file("c", 1, size=5))) == [("c", 9, None)]


def test_new_hard_links() -> None:
    """Of names that are all new it is the first."""
    assert brief(Known().look(file("a", 1), file("b", 1))) == [("a", None, None)]


# Deletion


def test_deleted_file() -> None:
    """A file that is not listed, and that a second look does not find, is missing; that is said once."""
    known = Known(file("a"))
    known.gone = {"/logs/a"}
    assert known.look() == []
    assert [(life.id, life.state) for life in known.tracker.persist()] == [(1, "missing")]
    known.look()
    assert known.tracker.persist() == []


@pytest.mark.parametrize("problems", [[], [Problem("/logs", "Permission denied")], [Problem("/logs", "Too many open files")]])
def test_deletion_needs_a_second_look(problems: list[Problem]) -> None:
    """Nothing follows from a listing that a file is not in, and never anything from an error (S36)."""
    known = Known(file("a"))
    known.look(problems=problems)
    assert known.tracker.persist() == []
    assert known.tracker.problems == problems
    assert known.look(file("a")) == []


def test_file_that_comes_back() -> None:
    """A missing file that is there again is looked at, with the life it had."""
    known = Known(file("a"))
    known.gone = {"/logs/a"}
    known.look()
    assert brief(known.look(file("a"))) == [("a", 1, None)]
    assert known.look(file("a")) == []


def test_looking_at_some_files_only() -> None:
    """From a look at a few files nothing follows for the others."""
    known = Known(file("a", 1), file("b", 2))
    known.gone = {"/logs/b"}
    listing = known.source.list_files()._replace(files=[file("a", 1, size=20)])
    assert brief(list(known.tracker.check_changes(listing))) == [("a", 1, None)]
    assert known.tracker.persist() == []
    assert known.tracker.files_checked == 1


def test_looking_at_no_file() -> None:
    """When no file is hot, none is looked at, and the source is not asked."""
    known = Known(file("a"))
    known.source.files = [file("a", size=99)]
    assert list(known.tracker.check_changes(known.source.list_files()._replace(files=[]))) == []
    assert known.tracker.files_checked == 0


def test_restoring() -> None:
    """A tracker that starts from what the store knows sees only what changed since."""
    tracker = FileTracker(source := Listed())
    tracker.restore([Life(4, file("a"), "live", START), Life(5, file("b", 2), "missing", START)])
    source.files = [file("a"), file("b", 2)]
    assert brief(list(tracker.check_changes())) == [("b", 5, None)]


def test_files_that_were_gone_are_recalled_when_one_may_be_back() -> None:
    """As long as every file is known nobody asks for them; then once, and the one that is back goes on with its life."""
    asked: list[int] = []

    def recall() -> list[Life]:
        asked.append(1)
        return [Life(5, file("b", 2), "missing", START)]

    tracker = FileTracker(source := Listed())
    tracker.restore([Life(4, file("a"), "live", START)], recall=recall)
    source.files = [file("a")]
    assert (list(tracker.check_changes()), asked) == ([], [])
    source.files = [file("a"), file("c", 2)]
    assert brief(list(tracker.check_changes())) == [("c", 5, None)]
    source.files = [file("a"), file("d", 9)]
    list(tracker.check_changes())
    assert asked == [1]


# Files on disk, with a store


class Logs:
    """A folder of logs and a coordinator that reads it; all that is counted is in `outputs`."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "logs"
        self.folder.mkdir()
        self.root = root
        self.source = CountingFolders([self.folder])
        self.live: UpdateCoordinator = coordinator(root, source=self.source)

    def look(self) -> Update:
        """One pass; the store and the logs agree after it."""
        self.source.opened.clear()
        self.source.bytes_read = 0
        update = self.live.check_for_updates()
        verdict = verify(self.live.db, recount(LocalFolders([self.folder])))
        assert verdict.differences == []
        return update

    def restart(self) -> None:
        self.live.close()
        self.live = coordinator(self.root, source=self.source)

    def write(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def append(self, name: str, data: bytes) -> None:
        with (self.folder / name).open("ab") as log:
            log.write(data)

    @property
    def counted(self) -> list[int]:
        return sorted(reply.tokens.output for reply in queries.replies_since(self.live.db, 0))

    @property
    def states(self) -> dict[str, int]:
        return dict(self.live.db.execute("SELECT state, count(*) FROM files GROUP BY state"))


@pytest.fixture(name="logs")
def fixture_logs(tmp_path: Path) -> Logs:
    return Logs(tmp_path)


def numbers(last: int) -> list[int]:
    return list(range(1, last + 1))


def test_unchanged_files_are_not_opened(logs: Logs) -> None:
    """Only what changed is opened, also by a new process."""
    for number in range(1, 6):
        logs.write(f"p/s{number}.jsonl", lines(number, number))
    assert logs.look().metrics.files_read == 5
    assert logs.look().metrics.files_read == 0
    assert logs.source.opened == []
    logs.restart()
    logs.append("p/s3.jsonl", lines(6, 6))
    assert logs.look().metrics.files_read == 1
    assert set(logs.source.opened) == {"s3.jsonl"}
    assert logs.counted == numbers(6)


@pytest.mark.parametrize("stopped", [False, True])
def test_rotation_by_renaming(logs: Logs, stopped: bool) -> None:
    """An old writer may go on in the renamed file: both tails count, and nothing is read again (S14, S15)."""
    logs.write("p/s.jsonl", lines(1, 40))
    logs.look()
    (logs.folder / "p/s.jsonl").rename(logs.folder / "p/s.jsonl.1")
    logs.append("p/s.jsonl.1", lines(41, 41))
    logs.write("p/s.jsonl", lines(42, 42))
    if stopped:
        logs.restart()
    metrics = logs.look().metrics
    assert logs.counted == numbers(42)
    assert metrics.entries_parsed == 2
    assert logs.states == {"live": 2}


def test_renaming_reads_nothing_again(logs: Logs) -> None:
    """A file that was only moved costs its proofs (S33)."""
    logs.write("p/s.jsonl", lines(1, 500))
    logs.look()
    (logs.folder / "p/s.jsonl").rename(logs.folder / "p/t.jsonl")
    metrics = logs.look().metrics
    assert (metrics.files_read, metrics.entries_parsed) == (1, 0)
    assert logs.source.bytes_read <= 4096
    assert logs.look().metrics.files_read == 0


def test_renaming_over_another_log(logs: Logs) -> None:
    """The file that stood there ends, what it held stays counted, and the one that came goes on."""
    logs.write("p/a.jsonl", lines(1, 3))
    logs.write("p/b.jsonl", lines(4, 6))
    logs.look()
    (logs.folder / "p/b.jsonl").rename(logs.folder / "p/a.jsonl")
    assert logs.look().metrics.entries_parsed == 0
    assert logs.states == {"live": 1, "rewritten": 1}
    logs.restart()
    logs.append("p/a.jsonl", lines(7, 7))
    assert logs.look().metrics.entries_parsed == 1
    assert logs.counted == numbers(7)


def test_moving_to_another_project(logs: Logs) -> None:
    """What its path says of a file is no longer so: it is read anew, and all of it stands in the new place (R7)."""
    logs.write("q/s.jsonl", lines(1, 3))
    logs.look()
    (logs.folder / "p").mkdir()
    (logs.folder / "q/s.jsonl").rename(logs.folder / "p/s.jsonl")
    assert logs.look().metrics.entries_parsed == 3
    assert {reply.owner.project for reply in queries.replies_since(logs.live.db, 0)} == {"p"}
    assert logs.look().metrics.files_read == 0
    (logs.folder / "p/s.jsonl").rename(logs.folder / "q/s.jsonl")
    logs.look()
    assert logs.counted == numbers(3)


def test_rotation_by_copying(logs: Logs) -> None:
    """The copy adds nothing, the file that was cut begins a new life, and what only the copy holds counts (S19, S20)."""
    logs.write("p/s.jsonl", lines(1, 40))
    logs.look()
    logs.append("p/s.jsonl", lines(41, 42))
    logs.write("p/s.jsonl.1", (logs.folder / "p/s.jsonl").read_bytes())
    os.truncate(logs.folder / "p/s.jsonl", 0)
    logs.append("p/s.jsonl", lines(43, 44))
    logs.look()
    assert logs.counted == numbers(44)


@pytest.mark.parametrize("new", [lines(1, 50), lines(41, 50), lines(41, 42), b""])
def test_atomic_replacement(logs: Logs, new: bytes) -> None:
    """A file that was put in the place of another is read from its start; what the old one held stays counted (S27)."""
    logs.write("p/s.jsonl", lines(1, 40))
    logs.look()
    logs.write("p/s.tmp", new).replace(logs.folder / "p/s.jsonl")
    logs.look()
    assert set(logs.counted) == set(numbers(40)) | {number for number in range(41, 51) if f'"msg_{number}"'.encode() in new}
    assert logs.states == {"live": 1, "rewritten": 1}


def test_inode_that_is_used_again(logs: Logs) -> None:
    """A new file may get the inode of one that was deleted, at the same name or another: the proofs tell them apart (S24, S25)."""
    for name in ("p/s.jsonl", "p/t.jsonl"):
        path = logs.write("p/s.jsonl", lines(1, 40))
        logs.look()
        path.unlink()
        logs.write(name, lines(41, 90))
        logs.look()
        logs.append(name, lines(91, 91))
        logs.look()
        (logs.folder / name).unlink()
    assert logs.counted == numbers(91)


@pytest.mark.parametrize("size", [10, 40, 60])
def test_cut_and_grown_again(logs: Logs, size: int) -> None:
    """Whether it is then smaller, of the same size or greater: what it held stays, what it holds counts (S21)."""
    logs.write("p/s.jsonl", lines(101, 140))
    logs.look()
    logs.write("p/s.jsonl", lines(201, 200 + size))
    logs.look()
    assert logs.counted == [*range(101, 141), *range(201, 201 + size)]


def test_rewrite_of_the_same_size_and_time(logs: Logs) -> None:
    """A rewrite that restores the size and the time of last change is still seen: nobody sets the inode's own time (S28)."""
    path = logs.write("p/s.jsonl", lines(11, 19))
    logs.look()
    before = path.stat()
    with path.open("r+b") as file:
        file.write(lines(21, 29))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    logs.look()
    assert logs.counted == [*range(11, 20), *range(21, 30)]


def test_cut_in_the_middle_then_appended(logs: Logs) -> None:
    """What was cut off stays counted, what stayed is counted once (S23)."""
    path = logs.write("p/s.jsonl", lines(1, 9))
    logs.look()
    os.truncate(path, len(lines(1, 4)))
    logs.append("p/s.jsonl", lines(20, 21))
    logs.look()
    assert logs.counted == [*numbers(9), 20, 21]


def test_last_line_without_newline_that_is_taken_back(logs: Logs) -> None:
    """What counted while it stood there stays counted, and is then known to be removed by a rewrite."""
    path = logs.write("p/s.jsonl", lines(1, 3) + line("msg_4", 4).strip())
    logs.look()
    os.truncate(path, len(lines(1, 3)))
    logs.append("p/s.jsonl", lines(5, 5))
    logs.look()
    assert logs.counted == numbers(5)


def test_last_line_without_newline_that_becomes_another(logs: Logs) -> None:
    """The same when other bytes take its place, with no fewer bytes in the file."""
    path = logs.write("p/s.jsonl", lines(1, 3) + line("msg_4", 4).strip())
    logs.look()
    path.write_bytes(lines(1, 3) + lines(5, 9))
    logs.look()
    assert logs.counted == numbers(9)


def test_twin_files_that_diverge(logs: Logs) -> None:
    """Files with the same beginning are two files, and a copy adds nothing (S29, S30)."""
    logs.write("p/s.jsonl", lines(1, 20))
    logs.write("p/t.jsonl", lines(1, 20))
    logs.look()
    logs.append("p/s.jsonl", lines(21, 21))
    logs.append("p/t.jsonl", lines(22, 22))
    logs.look()
    assert logs.counted == numbers(22)


def test_hard_links_on_disk(logs: Logs) -> None:
    """Appended to through any of its names, a file counts once; when its known name goes, the others keep it (S31)."""
    path = logs.write("p/s.jsonl", lines(1, 5))
    logs.look()
    os.link(path, logs.folder / "p/a.jsonl")
    logs.append("p/a.jsonl", lines(6, 6))
    logs.look()
    path.unlink()
    logs.append("p/a.jsonl", lines(7, 7))
    logs.look()
    assert logs.counted == numbers(7)
    assert logs.states == {"live": 1}


def test_link_that_is_turned_to_other_files(logs: Logs) -> None:
    """What each target held counts, however often the link moves (S32)."""
    link = logs.folder / "p" / "current.jsonl"
    link.parent.mkdir()
    for number in range(1, 6):
        target = logs.root / "elsewhere" / f"{number}.jsonl"
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(lines(number, number))
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        logs.look()
    assert logs.counted == numbers(5)


def test_deleted_logs_stay_counted(logs: Logs) -> None:
    """A log that is cleaned away takes nothing with it, and is told apart from those that are there (edge case 30)."""
    logs.write("p/s.jsonl", lines(1, 5)).unlink()
    logs.write("p/s.jsonl", lines(1, 5))
    logs.write("p/t.jsonl", lines(6, 6))
    logs.look()
    (logs.folder / "p/s.jsonl").unlink()
    logs.look()
    assert logs.counted == numbers(6)
    assert logs.states == {"live": 1, "missing": 1}
    verdict = verify(logs.live.db, recount(logs.source))
    assert (verdict.replies_in_logs, verdict.only_deleted) == (1, 5)


def test_root_that_is_removed_and_comes_back(logs: Logs) -> None:
    """The folder may go with all that is in it, and come back with more (S39)."""
    path = logs.write("p/s.jsonl", lines(1, 5))
    logs.look()
    path.unlink()
    path.parent.rmdir()
    logs.folder.rmdir()
    assert logs.look().metrics.files_checked == 0
    logs.write("p/s.jsonl", lines(4, 8))
    logs.look()
    assert logs.counted == numbers(8)


def test_folder_that_is_moved(logs: Logs) -> None:
    """A folder that was renamed is not read again where its project's is the same; what is moved out stays counted (S38)."""
    for number in range(1, 4):
        logs.write(f"p/deep/s{number}.jsonl", lines(number, number))
    logs.look()
    (logs.folder / "p").rename(logs.folder / "q")
    assert logs.look().metrics.entries_parsed == 0
    (logs.folder / "q").rename(logs.root / "out")
    logs.look()
    (logs.root / "out").rename(logs.folder / "r")
    logs.append("r/deep/s1.jsonl", lines(4, 4))
    logs.look()
    assert logs.counted == numbers(4)
    assert logs.states == {"live": 3}


@pytest.mark.parametrize("name", [b"\xff\xfe.jsonl", b"a\nb.jsonl", b"x" * 249 + b".jsonl", b"-rf.jsonl"])
def test_hostile_names_in_the_store(name: bytes, logs: Logs) -> None:
    """A file is found again by the very bytes of its name (S54)."""
    path = os.fsdecode(name)
    logs.write(path, lines(1, 2))
    logs.look()
    logs.restart()
    assert logs.look().metrics.files_read == 0
    logs.append(path, lines(3, 3))
    assert logs.look().metrics.entries_parsed == 1
    assert logs.counted == numbers(3)


def test_file_that_cannot_be_read_for_a_while(logs: Logs) -> None:
    """It is named, nothing is deleted, and it is read when it can be (S35)."""
    path = logs.write("p/s.jsonl", lines(1, 2))
    logs.write("p/t.jsonl", lines(3, 3))
    logs.look()
    logs.append("p/s.jsonl", lines(4, 5))
    logs.source.unreadable[str(path)] = PermissionError(13, "Permission denied")
    update = logs.live.check_for_updates()
    assert update.problems == [Problem(str(path), "Permission denied")]
    assert logs.counted == numbers(3)
    logs.source.unreadable.clear()
    logs.look()
    assert logs.counted == numbers(5)


def test_bytes_read_for_an_append(logs: Logs) -> None:
    """n new bytes cost n bytes and the proofs, whatever the size of the file and of the tree."""
    for number in range(30):
        logs.write(f"p/s{number}.jsonl", lines(100 * number, 100 * number + 99))
    logs.look()
    logs.append("p/s7.jsonl", lines(5000, 5000))
    metrics = logs.look().metrics
    assert logs.source.bytes_read <= len(lines(5000, 5000)) + 64 * 1024
    assert metrics.bytes_read == logs.source.bytes_read
