"""Tests of `tokentail.watcher.native`: the adapter to watchdog, which reads inotify on this system."""

from __future__ import annotations

import os
import select
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tokentail.sources.local import is_log_name
from tokentail.watcher import Events, Sink
from tokentail.watcher.hints import IsLog
from tokentail.watcher.native import NativeEvents
from watching import DEADLINE_S, HASTY, NEVER_S, Told, append, watching

NO_SWEEP = HASTY._replace(sweep_in_doubt_s=NEVER_S, sweep_in_calm_s=NEVER_S)


@pytest.fixture(name="root")
def fixture_root(tmp_path: Path) -> Path:
    append(tmp_path / "logs" / "a" / "s1.jsonl")
    return tmp_path / "logs"


def test_append(root: Path) -> None:
    """A write is told as the place of the file, and no other files are."""
    with watching(root, pace=NO_SWEEP, open_events=NativeEvents) as seen:
        append(root / "a" / "notes.txt")
        path = append(root / "a" / "s1.jsonl")
        seen.until(lambda: str(path) in seen.files)
        assert (set(seen.files), seen.last.live) == ({str(path)}, "events")


def test_renames_and_folders(root: Path, tmp_path: Path) -> None:
    """Both places of what was moved, and new folders as trees."""
    with watching(root, pace=NO_SWEEP, open_events=NativeEvents) as seen:
        (root / "a" / "s1.jsonl").rename(root / "a" / "s1.jsonl.1")
        seen.until(lambda: {str(root / "a" / "s1.jsonl"), str(root / "a" / "s1.jsonl.1")} <= set(seen.files))
        append(tmp_path / "tree" / "b" / "s2.jsonl")
        (tmp_path / "tree").rename(root / "tree")
        seen.until_covers(root / "tree" / "b" / "s2.jsonl")
        (root / "a").rename(tmp_path / "gone")
        seen.until_covers(root / "a" / "s1.jsonl")


def test_reading_is_no_change(root: Path) -> None:
    """Our own looking does not make us look again."""
    with watching(root, pace=NO_SWEEP, open_events=NativeEvents) as seen:
        (root / "a" / "s1.jsonl").read_bytes()
        os.listdir(root / "a")
        path = append(root / "a" / "s2.jsonl")
        seen.until_covers(path)
        assert str(root / "a" / "s1.jsonl") not in seen.files


def test_canary(root: Path, tmp_path: Path) -> None:
    """It answers, and is no hint; yet nothing is proven, because watchdog does not say when events were lost."""
    with watching(root, pace=NO_SWEEP, canary=tmp_path / "home" / "canary", open_events=NativeEvents) as seen:
        seen.until((tmp_path / "home" / "canary").exists)
        for _ in range(20):
            seen.look(0.02)
        assert (seen.files, seen.trees, seen.last.degraded, seen.last.proven) == ([], [], (), False)


def test_root_removed_and_made_again(root: Path) -> None:
    """Its end is told; covered again, it is watched again, though it may have the very same inode (S39)."""
    told = Told()
    events = NativeEvents([str(root)], is_log_name, told)
    try:
        for _ in range(3):
            shutil.rmtree(root)
            path = append(root / "b" / "s2.jsonl")
            until(events, lambda: str(root) in told.trees)
            events.cover(str(root))
            events.work(lambda: False)
            assert events.is_watched(str(root / "b"))
            told.clear()
            until(events, lambda: bool(append(path)) and str(path) in told.files)  # noqa: B023  # called at once
            told.clear()
    finally:
        events.close()


def until(events: NativeEvents, is_so: Callable[[], bool]) -> None:
    """Take events until it is so."""
    ends = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < ends
        select.select([events], [], [], 0.1)
        events.take()


def test_root_that_comes_later(tmp_path: Path) -> None:
    """A sweep finds it."""
    with watching(tmp_path / "later", pace=HASTY, open_events=NativeEvents) as seen:
        path = append(tmp_path / "later" / "b" / "s2.jsonl")
        seen.until_covers(path)


def test_more_events_than_are_kept(root: Path) -> None:
    """Are told as lost."""

    def few(roots: Sequence[str], is_log: IsLog, sink: Sink) -> Events:
        return NativeEvents(roots, is_log, sink, most_events=0)

    with watching(root, pace=NO_SWEEP, open_events=few) as seen:
        append(root / "a" / "s1.jsonl")
        seen.until(lambda: seen.losses > 0)


def test_watchdog_ends(root: Path) -> None:
    """Then this thread does, too, and is started again."""
    opened: list[NativeEvents] = []

    def kept(roots: Sequence[str], is_log: IsLog, sink: Sink) -> Events:
        opened.append(NativeEvents(roots, is_log, sink))
        return opened[-1]

    with watching(root, pace=NO_SWEEP, open_events=kept) as seen:
        opened[0]._observer.stop()
        seen.until(lambda: any("watchdog's thread has ended" in reason for reason in seen.last.degraded))
        seen.until(lambda: seen.last.live == "events" and not seen.last.degraded)
        assert len(opened) == 2
