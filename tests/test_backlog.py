"""A backlog that a helper process reads a part of gives what reading it here gives, whatever happens to the helper."""

from __future__ import annotations

from pathlib import Path

import pytest

from tokentail import backlog, prices, workers
from tokentail.coordinator import UpdateCoordinator
from tokentail.demo.tree import TreePlan, write_tree
from tokentail.model import Change, Chunk
from tokentail.recount import recount
from tokentail.sources import LocalFolders
from tokentail.tracker import FileTracker
from tokentail.verify import verify

# The helper's own code, but for what the test does to it.
KILLED_AT_ONCE = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
KILLED_AFTER_A_FRAME = """
import os, signal
from tokentail import workers
workers._FRAME_RECORDS = 20
write = workers._Frame.write
def once(frame):
    write(frame)
    os.kill(os.getpid(), signal.SIGKILL)
workers._Frame.write = once
workers.main()
"""


@pytest.fixture
def tree(tmp_path: Path) -> LocalFolders:
    """Some 40 files with every kind of dirt."""
    write_tree(tmp_path / "logs", TreePlan(seed=5, total_bytes=1_500_000, files=40, days=9, dirty=True, side_question_share=0.3))
    return LocalFolders([tmp_path / "logs"])


def outcomes(source: LocalFolders, total_bytes: int) -> dict[str, tuple[object, ...]]:
    """What reading all files gave, by path: the cursor, the records and the rejects of each."""
    found: dict[str, list[Chunk]] = {}
    finished: list[Change] = []
    for change, outcome in backlog.read(list(FileTracker(source).check_changes()), source, total_bytes):
        if isinstance(outcome, Chunk):
            found.setdefault(change.file.path, []).append(outcome)
        else:
            assert outcome is None
            finished.append(change)
    assert len(finished) == len(found) == len(source.list_files().files)
    return {
        path: (
            chunks[-1].cursor,
            [record for chunk in chunks for record in chunk.records],
            [[*chunk.seen_records, *chunk.seen_offsets] for chunk in chunks],
            [reject for chunk in chunks for reject in chunk.rejects],
            [(chunk.folder, chunk.tail_lines, chunk.restarted, chunk.bytes_read) for chunk in chunks],
        )
        for path, chunks in found.items()
    }


def test_two_processes_give_what_one_gives(tree: LocalFolders, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks pass between processes without loss."""
    given: list[int] = []
    make = backlog._helper

    def counting(changes: list[Change]) -> workers.Helper:
        given.append(len(changes))
        return make(changes)

    monkeypatch.setattr(backlog, "_cores", lambda: 2)
    monkeypatch.setattr(backlog, "_helper", counting)

    alone, together = outcomes(tree, backlog.WORTH_BYTES - 1), outcomes(tree, backlog.WORTH_BYTES)

    assert len(given) == 1
    assert given[0] > 10
    assert together == alone


@pytest.mark.parametrize("code", [KILLED_AT_ONCE, KILLED_AFTER_A_FRAME], ids=["at once", "half-way"])
def test_killed_helper_loses_nothing(tree: LocalFolders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """What a killed helper did not finish is read here, and the store is exact, one life a file."""
    monkeypatch.setattr(backlog, "_cores", lambda: 2)
    monkeypatch.setattr(backlog, "WORTH_BYTES", 1)
    monkeypatch.setattr(workers, "_START", code)
    coordinator = UpdateCoordinator(tree, tmp_path / "store.db", prices=prices.load())

    update = coordinator.check_for_updates()

    verdict = verify(coordinator.db, recount(tree))
    lives = coordinator.db.execute("SELECT count(*), count(DISTINCT path) FROM files").fetchone()
    coordinator.close()
    assert verdict.differences == []
    assert verdict.replies_in_logs == verdict.replies_in_store > 100
    assert lives == (len(tree.list_files().files),) * 2
    assert update.problems == []


def test_file_that_the_helper_cannot_read_is_named(tree: LocalFolders, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error passes between processes with its reason."""
    monkeypatch.setattr(backlog, "_cores", lambda: 2)
    changes = list(FileTracker(tree).check_changes())
    gone = changes[0].file.path
    Path(gone).unlink()

    found = [
        (change.file.path, outcome) for change, outcome in backlog.read(changes, tree, backlog.WORTH_BYTES) if isinstance(outcome, OSError)
    ]

    assert [path for path, _ in found] == [gone]
    assert "No such file" in str(found[0][1])
