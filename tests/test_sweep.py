"""Tests of `tokentail.sweep`: what no event told is found by a walk in slices, and what is known is not looked at twice."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from builders import line
from logs import coordinator
from tokentail.coordinator import UpdateCoordinator
from tokentail.model import Listing
from tokentail.sources import LocalFolders
from tokentail.sweep import Sweep

NO_TIME_S = 0.0  # a step a slice


@contextmanager
def live_on(root: Path, logs: int = 3) -> Iterator[UpdateCoordinator]:
    """A coordinator that has read some logs."""
    for number in range(logs):
        log = log_at(root, number)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(line(f"msg_{number}"))
    with closing(coordinator(root, source=LocalFolders([root / "logs"]))) as live:
        live.check_for_updates()
        yield live


def log_at(root: Path, number: int) -> Path:
    return root / "logs" / f"-app-{number % 2}" / f"s{number}.jsonl"


def append(log: Path, name: str) -> None:
    with log.open("ab") as out:
        out.write(line(name))


def walked(sweep: Sweep) -> Listing | None:
    while not sweep.go_on(NO_TIME_S):
        pass
    return sweep.outcome()


def test_where_all_is_as_known_there_is_nothing_to_look_at(tmp_path: Path) -> None:
    """No file is read, and none is listed twice; also in a folder that takes several slices."""
    with live_on(tmp_path, 600) as live:
        sweep = live.sweep()
        slices = 1
        while not sweep.go_on(NO_TIME_S):
            slices += 1
        assert slices > 4
        assert sweep.outcome() == Listing([], [])


def test_a_log_that_grew_without_an_event_is_named(tmp_path: Path) -> None:
    """It alone is looked at."""
    with live_on(tmp_path) as live:
        append(log_at(tmp_path, 1), "msg_new")
        found = walked(live.sweep())
        assert found is not None
        assert [file.path for file in found.files] == [str(log_at(tmp_path, 1))]
        assert [change.key for change in live.look(found).changes] == ["msg_new"]
        assert walked(live.sweep()) == Listing([], [])


def new(root: Path) -> None:
    (root / "logs" / "-app-0" / "new.jsonl").write_bytes(line("msg_new"))


def replaced(root: Path) -> None:
    other = root / "other"
    other.write_bytes(line("msg_other"))
    other.replace(log_at(root, 1))


def deleted(root: Path) -> None:
    log_at(root, 1).unlink()


def moved_folder(root: Path) -> None:
    (root / "logs" / "-app-1").rename(root / "logs" / "-app-9")


def hidden_behind_a_link(root: Path) -> None:
    """A second way to a log that stands, and one log less: as many as before."""
    log_at(root, 1).unlink()
    (root / "logs" / "-app-1" / "way.jsonl").symlink_to(log_at(root, 0))


@pytest.mark.parametrize("happen", [new, replaced, deleted, moved_folder, hidden_behind_a_link], ids=lambda happen: happen.__name__)
def test_anything_else_wants_a_look_at_all_places(tmp_path: Path, happen: Callable[[Path], None]) -> None:
    """What a file that came, went or changed its identity means only a comparison of all of them tells."""
    with live_on(tmp_path) as live:
        happen(tmp_path)
        assert walked(live.sweep()) is None
        live.check_for_updates()


def test_what_was_read_meanwhile_is_no_news(tmp_path: Path) -> None:
    """Lines that a hint brought while it walked, and a log that went then, need no second look."""
    with live_on(tmp_path, 600) as live:
        sweep = live.sweep()
        sweep.go_on(NO_TIME_S)
        for number in (1, 599):
            append(log_at(tmp_path, number), f"msg_new_{number}")
        log_at(tmp_path, 300).unlink()
        assert len(live.check_for_updates().changes) == 2
        found = walked(sweep)
        assert found is not None
        assert live.look(found).changes == []


def test_a_folder_that_cannot_be_read_is_no_proof(tmp_path: Path) -> None:
    """Where no more files may be open its logs are not taken for gone,."""
    with live_on(tmp_path) as live:
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        full = os.dup(2)
        os.close(full)
        resource.setrlimit(resource.RLIMIT_NOFILE, (full, before[1]))
        try:
            assert walked(live.sweep()) is None
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert walked(live.sweep()) == Listing([], [])
