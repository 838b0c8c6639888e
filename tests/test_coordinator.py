"""Tests of `tokentail.coordinator`: passes over real files into a real store, and a machine that does anything to both."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from logs import PRICES, CountingFolders, coordinator, line, lines, told, wait_for
from tokentail import coordinator as module
from tokentail import database, queries
from tokentail.coordinator import UpdateCoordinator
from tokentail.demo.live import LiveWriter, Mishaps
from tokentail.demo.truth import Sums
from tokentail.errors import StoreBusyError, StoreError, StoreNewerError
from tokentail.forget import Choice
from tokentail.model import Chunk, Listing, LogFile, Reply, Update, Window
from tokentail.prices import SHIPPED, PriceList, reading
from tokentail.recount import recount
from tokentail.sources import LocalFolders
from tokentail.store import Applied, Store
from tokentail.usage import Question, usage
from tokentail.verify import verify


def write(root: Path, name: str, data: bytes) -> Path:
    path = root / "logs" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def append(root: Path, name: str, data: bytes) -> None:
    path = root / "logs" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as log:
        log.write(data)


@contextlib.contextmanager
def watching(root: Path, **more: object) -> Iterator[UpdateCoordinator]:
    live = coordinator(root, **more)  # type: ignore[arg-type]
    try:
        yield live
    finally:
        live.close()


def counted(live: UpdateCoordinator) -> list[int]:
    return sorted(reply.tokens.output for reply in queries.replies_since(live.db, 0))


# One pass


def test_metrics_of_a_pass(tmp_path: Path) -> None:
    """Each number of a pass is exactly what happened in it."""
    write(tmp_path, "p/s1.jsonl", lines(1, 3) + line("msg_1", 1))
    write(tmp_path, "p/s2.jsonl", lines(3, 5) + b'{"usage" oops\n')
    write(tmp_path, "p/s3.jsonl", b"")
    source = CountingFolders([tmp_path / "logs"])
    with watching(tmp_path, source=source) as live:
        first = live.check_for_updates().metrics
        assert first[:2] == (3, 3)
        assert first.bytes_read == source.bytes_read == sum(path.stat().st_size for path in (tmp_path / "logs/p").iterdir())
        assert (first.entries_parsed, first.malformed_lines) == (7, 1)
        assert (first.replies_new, first.replies_grown, first.replies_corrected, first.replies_gone) == (5, 0, 0, 0)
        assert first.took_s > 0
        assert first.cache_hit_rate == 0
        append(tmp_path, "p/s1.jsonl", line("msg_2", 20) + line("msg_9", 9) + line("msg_3", 3, at="2026-09-30T10:00:00.000Z"))
        second = live.check_for_updates().metrics
        assert (second.files_checked, second.files_read, second.entries_parsed, second.malformed_lines) == (3, 1, 3, 0)
        assert (second.replies_new, second.replies_grown, second.replies_corrected, second.replies_gone) == (1, 1, 1, 0)
        assert second.cache_hit_rate == pytest.approx(2 / 3)
        third = live.check_for_updates().metrics
        assert (third.files_checked, third.files_read, third.bytes_read, third.is_idle) == (3, 0, 0, True)


def test_passes_are_kept(tmp_path: Path) -> None:
    """What passes cost can be asked later; one that finds nothing is not worth a write."""
    write(tmp_path, "p/s1.jsonl", lines(1, 3))
    with watching(tmp_path) as live:
        metrics = live.check_for_updates().metrics
        live.check_for_updates()
        (kept,) = queries.passes(live.db, 10)
    assert kept.process == os.getpid()
    assert (kept.metrics["replies_new"], kept.metrics["bytes_read"]) == (3, metrics.bytes_read)


def test_a_reply_that_splits(tmp_path: Path) -> None:
    """When a second request under one id comes to light, the one reply is gone and two are new."""
    write(tmp_path, "p/s1.jsonl", line("msg_1", 5, requestId="r1"))
    with watching(tmp_path) as live:
        live.check_for_updates()
        append(tmp_path, "p/s1.jsonl", line("msg_1", 6, requestId="r2"))
        update = live.check_for_updates()
        assert sorted(told(update.changes)) == [("gone", "msg_1"), ("new", "msg_1/r1"), ("new", "msg_1/r2")]
        assert (update.metrics.replies_new, update.metrics.replies_gone) == (2, 1)


def test_changes_are_in_time_order(tmp_path: Path) -> None:
    """Across files, however they are named and whatever order their lines have."""
    write(tmp_path, "p/a.jsonl", lines(0, 0))
    with watching(tmp_path) as live:
        live.check_for_updates()
        for number in range(12):
            at = f"2026-10-01T10:00:{(7 * number) % 12:02}.000Z"
            append(tmp_path, f"p/{'cab'[number % 3]}.jsonl", line(f"m{number}", number, at=at))
        changes = live.check_for_updates().changes
    times = [change.reply.at_ms for change in changes if change.reply]
    assert times == sorted(times)
    assert len(times) == 12


def test_first_fill_tells_no_changes(tmp_path: Path) -> None:
    """Who opens an empty store asks it what it holds; a history of years is no news."""
    write(tmp_path, "p/s1.jsonl", lines(1, 3))
    with watching(tmp_path) as live:
        assert live.check_for_updates().changes == []


def test_first_replies_are_told_to_who_waits_for_them(tmp_path: Path) -> None:
    """Who was there when the store was empty is told what fills it, whichever process does."""
    with watching(tmp_path) as live, watching(tmp_path) as other:
        assert live.check_for_updates().changes == []
        assert other.check_for_updates().changes == []
        write(tmp_path, "p/s1.jsonl", lines(1, 2))
        assert told(live.check_for_updates().changes) == [("new", "msg_1"), ("new", "msg_2")]
        assert told(other.check_for_updates().changes) == [("new", "msg_1"), ("new", "msg_2")]
        append(tmp_path, "p/s1.jsonl", lines(3, 3))
        assert told(live.check_for_updates().changes) == [("new", "msg_3")]


def test_each_change_is_told_once(tmp_path: Path) -> None:
    """An update holds what came since the one before, whether that was looked at or not."""
    write(tmp_path, "p/s1.jsonl", lines(1, 1))
    with watching(tmp_path) as live:
        live.check_for_updates()
        append(tmp_path, "p/s1.jsonl", lines(2, 2))
        second = live.check_for_updates()
        append(tmp_path, "p/s1.jsonl", lines(3, 3))
        third = live.check_for_updates()
        assert told(third.changes) == [("new", "msg_3")]
        assert told(second.changes) == told(second.changes) == [("new", "msg_2")]
        assert live.check_for_updates().changes == []


def test_update_says_when(tmp_path: Path) -> None:
    """The clock is the one that was given."""
    live = UpdateCoordinator(LocalFolders([tmp_path]), tmp_path / "store.db", prices=PRICES, clock=lambda: 1_800_000_000.5)
    assert live.check_for_updates().started_at_ms == 1_800_000_000_500
    live.close()


def test_progress(tmp_path: Path) -> None:
    """Whoever waits is told after each file how many bytes of how many are done."""
    for number in range(4):
        write(tmp_path, f"p/s{number}.jsonl", lines(number, number))
    size = sum(path.stat().st_size for path in (tmp_path / "logs/p").iterdir())
    seen: list[tuple[int, int]] = []
    live = UpdateCoordinator(
        LocalFolders([tmp_path / "logs"]), tmp_path / "store.db", prices=PRICES, progress=lambda done, total: seen.append((done, total))
    )
    live.check_for_updates()
    live.close()
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert {total for _, total in seen} == {size}
    assert seen[-1] == (size, size)


def test_no_logs_at_all(tmp_path: Path) -> None:
    """There is a store afterwards, with nothing in it."""
    with watching(tmp_path) as live:
        update = live.check_for_updates()
        assert (update.metrics.files_checked, update.problems, counted(live)) == (0, [], [])


class Vanishing(LocalFolders):
    """Folders in which something happens to logs between their being listed and their being opened, once each."""

    def __init__(self, root: Path, races: dict[str, Callable[[Path], object]]) -> None:
        super().__init__([root / "logs"])
        self._races = races

    def read_into(self, file: LogFile, start_bytes: int, buffer: memoryview) -> int:
        if race := self._races.pop(os.path.basename(file.path), None):
            race(Path(file.path))
        return super().read_into(file, start_bytes, buffer)


def _is_replaced(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


def test_file_that_goes_away_before_it_is_read(tmp_path: Path) -> None:
    """It is gone, whatever stands there now: that is no problem, and the others are read."""
    for number in range(1, 6):
        write(tmp_path, f"p{number}/s{number}.jsonl", lines(number, number))
    races: dict[str, Callable[[Path], object]] = {
        "s1.jsonl": Path.unlink,
        "s2.jsonl": lambda path: _is_replaced(path, Path.mkdir),
        "s3.jsonl": lambda path: _is_replaced(path, os.mkfifo),
        "s4.jsonl": lambda path: shutil.rmtree(path.parent),
    }
    with watching(tmp_path, source=Vanishing(tmp_path, races)) as live:
        assert (live.check_for_updates().problems, counted(live), races) == ([], [5], {})


def test_file_that_is_renamed_before_it_is_read(tmp_path: Path) -> None:
    """It is found under its new name by the same pass, though the listing was over."""
    write(tmp_path, "p/s1.jsonl", lines(1, 1))
    write(tmp_path, "p/s2.jsonl", lines(2, 2))
    source = Vanishing(tmp_path, {"s2.jsonl": lambda path: path.rename(path.with_name("s0.jsonl"))})
    with watching(tmp_path, source=source) as live:
        update = live.check_for_updates()
        assert (update.problems, counted(live)) == ([], [1, 2])


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    """It is named, and the others are read."""
    path = write(tmp_path, "p/s1.jsonl", lines(1, 1))
    write(tmp_path, "p/s2.jsonl", lines(2, 2))
    source = CountingFolders([tmp_path / "logs"])
    source.unreadable[str(path)] = PermissionError(13, "Permission denied")
    with watching(tmp_path, source=source) as live:
        update = live.check_for_updates()
        assert [tuple(problem) for problem in update.problems] == [(str(path), "Permission denied")]
        assert counted(live) == [2]


def test_batches_of_a_backlog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large backlog is committed in parts; a file may span them, and nothing is counted twice."""
    monkeypatch.setattr(module, "BATCH_RECORDS", 50)
    for number in range(6):
        write(tmp_path, f"p/s{number}.jsonl", lines(100 * number, 100 * number + 70))
    with watching(tmp_path) as live:
        assert live.check_for_updates().metrics.replies_new == 6 * 71
        assert verify(live.db, recount(LocalFolders([tmp_path / "logs"]))).agrees


def test_pass_that_is_broken_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever ends a pass in the middle, the next one goes on from the last commit and nothing is counted twice."""
    monkeypatch.setattr(module, "BATCH_RECORDS", 50)
    for number in range(6):
        write(tmp_path, f"p/s{number}.jsonl", lines(100 * number, 100 * number + 70))
    source = CountingFolders([tmp_path / "logs"])
    with watching(tmp_path, source=source) as live:
        source.unreadable[str(tmp_path / "logs/p/s4.jsonl")] = KeyboardInterrupt()  # type: ignore[assignment]
        with pytest.raises(KeyboardInterrupt):
            live.check_for_updates()
        source.unreadable.clear()
        before = len(counted(live))
        assert 0 < before < 6 * 71
        live.check_for_updates()
        assert len(counted(live)) == 6 * 71
        assert verify(live.db, recount(source)).agrees


# Several coordinators on one store


def test_two_processes_see_each_others_changes(tmp_path: Path) -> None:
    """Whoever commits them, each coordinator tells every change exactly once."""
    write(tmp_path, "p/s1.jsonl", lines(1, 1))
    with watching(tmp_path) as one, watching(tmp_path) as other:
        for live in (one, other):
            live.check_for_updates()
        seen: dict[str, list[tuple[str, str]]] = {"one": [], "other": []}
        for number in range(2, 12):
            append(tmp_path, f"p/s{number % 3}.jsonl", lines(number, number))
            for name, live in [("one", one), ("other", other)][:: 1 if number % 2 else -1]:
                seen[name] += told(live.check_for_updates().changes)
        expected = [("new", f"msg_{number}") for number in range(2, 12)]
        assert seen == {"one": expected, "other": expected}


def test_a_reader_that_looks_seldom(tmp_path: Path) -> None:
    """What grew many times since is new once, and what was corrected and is still there is not gone."""
    write(tmp_path, "p/s1.jsonl", lines(1, 1))
    with watching(tmp_path) as one, watching(tmp_path) as other:
        for live in (one, other):
            live.check_for_updates()
        for output in (5, 6, 7):
            append(tmp_path, "p/s1.jsonl", line("msg_2", output))
            one.check_for_updates()
        (change,) = other.check_for_updates().changes
        assert (change.event, change.reply.tokens.output if change.reply else None) == ("new", 7)


def test_another_price_list_ends_a_follower(tmp_path: Path) -> None:
    """Whoever goes by other long-context limits than the store does now neither writes into it nor reads on, and says why."""
    longer = json.loads(SHIPPED.read_bytes())
    longer["models"]["claude-haiku-5-5"]["prices"][0]["long_context"][0]["above"] = 150_000
    other = PriceList(reading.read(json.dumps(longer).encode()))
    write(tmp_path, "p/s1.jsonl", lines(1, 2))
    with watching(tmp_path) as live:
        live.check_for_updates()
        with contextlib.closing(UpdateCoordinator(LocalFolders([tmp_path / "logs"]), tmp_path / "store.db", prices=other)) as newer:
            newer.check_for_updates()
            append(tmp_path, "p/s1.jsonl", line("msg_3", 3, usage={"input_tokens": 120_000}))
            for _ in range(2):
                with pytest.raises(StoreError, match="a price list with other long-context limits was imported"):
                    live.check_for_updates()
            newer.check_for_updates()
            assert counted(newer) == [1, 2, 3]
            assert newer.db.execute("SELECT DISTINCT prompt_class FROM quarters JOIN tiers ON tiers.id = tier").fetchall() == [(0,)]


def test_busy_store(tmp_path: Path) -> None:
    """While another process ingests for long, what it committed is shown, and that is said; with nothing to show it is an error."""
    write(tmp_path, "p/s1.jsonl", lines(1, 2))
    live = UpdateCoordinator(LocalFolders([tmp_path / "logs"]), tmp_path / "store.db", prices=PRICES, wait_s=0)
    with database.locked(tmp_path / "store.db", wait_s=0), pytest.raises(StoreBusyError, match=f"process {os.getpid()}"):
        live.check_for_updates()
    live.check_for_updates()
    append(tmp_path, "p/s1.jsonl", lines(3, 3))
    with database.locked(tmp_path / "store.db", wait_s=0):
        update = live.check_for_updates()
        assert len(update.degraded) == 1
        assert counted(live) == [1, 2]
    update = live.check_for_updates()
    assert (update.degraded, counted(live)) == ([], [1, 2, 3])
    live.close()


def test_damaged_store(tmp_path: Path) -> None:
    """It is moved aside, what the logs still hold is read again, and both are said."""
    write(tmp_path, "p/s1.jsonl", lines(1, 3))
    with watching(tmp_path) as live:
        live.check_for_updates()
    (tmp_path / "store.db").write_bytes(b"this is no database " * 100)
    with watching(tmp_path) as live:
        update = live.check_for_updates()
        assert counted(live) == [1, 2, 3]
        assert len(update.degraded) == 1
        assert "damaged" in update.degraded[0]
    assert len(list(tmp_path.glob("store.db.damaged-*"))) >= 1


def test_newer_store(tmp_path: Path) -> None:
    """A store of a newer version is left alone."""
    with watching(tmp_path) as live:
        live.check_for_updates()
        live.db.execute(f"PRAGMA user_version = {database.SCHEMA_VERSION + 1}")
    with watching(tmp_path) as live, pytest.raises(StoreNewerError):
        live.check_for_updates()


def test_store_that_was_restored_from_a_backup(tmp_path: Path) -> None:
    """An older copy catches up from the logs (S51)."""
    write(tmp_path, "p/s1.jsonl", lines(1, 3))
    with watching(tmp_path) as live:
        live.check_for_updates()
    backup = (tmp_path / "store.db").read_bytes()
    append(tmp_path, "p/s1.jsonl", lines(4, 6))
    with watching(tmp_path) as live:
        live.check_for_updates()
    (tmp_path / "store.db").write_bytes(backup)
    with watching(tmp_path) as live:
        live.check_for_updates()
        assert counted(live) == [1, 2, 3, 4, 5, 6]
        assert verify(live.db, recount(LocalFolders([tmp_path / "logs"]))).agrees


# Following


def test_following(tmp_path: Path) -> None:
    """One update at once; then what is appended to a known file, what is new, and an end when told to stop."""
    write(tmp_path, "p/s1.jsonl", lines(1, 1))
    stop = threading.Event()
    with watching(tmp_path) as live:
        updates = live.follow(stop)
        assert next(updates).metrics.replies_new == 1
        append(tmp_path, "p/s1.jsonl", lines(2, 2))
        assert told(wait_for(updates, lambda update: bool(update.changes)).changes) == [("new", "msg_2")]
        write(tmp_path, "q/deep/er/s2.jsonl", lines(3, 3))
        assert told(wait_for(updates, lambda update: bool(update.changes)).changes) == [("new", "msg_3")]
        append(tmp_path, "q/deep/er/s2.jsonl", line("msg_3", 30))
        assert told(wait_for(updates, lambda update: bool(update.changes)).changes) == [("grown", "msg_3")]
        assert wait_for(updates, lambda update: not update.changes).metrics.files_read == 0
        stop.set()
        assert list(updates) == []


def test_following_a_writer(tmp_path: Path) -> None:
    """While a writer tears, cuts, copies and replaces its logs, nothing that was whole at its end is missed or counted twice."""
    mishaps = Mishaps(tear=0.1, rewrite=0.03, resume=0.02)
    writer = LiveWriter(tmp_path, seed=5, rate_per_s=0, clock=time.time, sleep=lambda _: None, mishaps=mishaps)
    stop = threading.Event()

    class Enough:
        count = 0

        def is_set(self) -> bool:
            self.count += 1
            return self.count > 600

    done = threading.Event()

    def write_all() -> None:
        writer.run(Enough())
        writer.append_one()  # the rest of a torn line
        done.set()

    thread = threading.Thread(target=write_all)
    with watching(tmp_path, source=LocalFolders([tmp_path / "projects"])) as live:
        updates = live.follow(stop)
        next(updates)
        thread.start()
        wait_for(updates, lambda _: done.is_set())
        thread.join()
        stop.set()
        live.check_for_updates()
        assert totals_of(queries.replies_since(live.db, 0)) == writer.truth().totals
        assert verify(live.db, recount(LocalFolders([tmp_path / "projects"]))).agrees


def totals_of(replies: list[Reply]) -> Sums:
    total = [0] * len(Sums._fields)
    for reply in replies:
        parts = [(*reply.tokens, 1, int(not reply.final), reply.web_searches), *((*extra.tokens, 0, 0, 0) for extra in reply.extras)]
        for part in parts:
            total = [sum(pair) for pair in zip(total, part, strict=True)]
    return Sums(*total)


def test_log_whose_place_a_link_of_another_log_took(tmp_path: Path) -> None:
    """It is gone, and its replies stay; found by the machine below."""
    kept = write(tmp_path, "p/b.jsonl", lines(1, 1))
    gone = write(tmp_path, "p/a.jsonl", lines(2, 2))
    with watching(tmp_path) as live:
        live.check_for_updates()
        gone.unlink()
        gone.hardlink_to(kept)
        live.check_for_updates()
        assert verify(live.db, recount(live.source)).agrees
        assert live.db.execute("SELECT state FROM files ORDER BY id").fetchall() == [("missing",), ("live",)]


# Anything in any order

NAMES = st.sampled_from(["p/a.jsonl", "p/b.jsonl", "p/c.jsonl", "q/a.jsonl", "q/s/subagents/agent-x.jsonl"])


class Machine(RuleBasedStateMachine):
    """
    A tree of logs that anything happens to, and coordinators that come, go and die.

    The model knows of each reply the greatest output that ever stood whole on disk when a pass was made; after each pass
    the store must hold exactly that.
    """

    def __init__(self) -> None:
        super().__init__()
        self.number = 0
        self.best: dict[str, int] = {}
        self.view: dict[str, int] = {}  # of somebody who listens to the updates
        self.forgotten: set[str] = set()
        self.abandoned: list[UpdateCoordinator] = []
        self.rests: dict[Path, bytes] = {}

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="tokentail-test-", ignore_cleanup_errors=True)
        self.root = Path(self.folder.name)
        (self.root / "logs").mkdir()
        self.live = coordinator(self.root)
        self.look()

    def teardown(self) -> None:
        if hasattr(self, "live"):
            for each in (self.live, *self.abandoned):
                each.close()
            self.folder.cleanup()

    @property
    def logs(self) -> list[Path]:
        return sorted(path for path in (self.root / "logs").rglob("*.jsonl") if path.is_file())

    def pick(self, which: int) -> Path | None:
        logs = self.logs
        return logs[which % len(logs)] if logs else None

    def fresh(self, name: str) -> Path:
        path = self.root / "logs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink() and not path.exists():  # a link to nothing or to itself cannot be written
            path.unlink()
        return path

    # writing

    @rule(name=NAMES, count=st.integers(1, 4))
    def append_lines(self, name: str, count: int) -> None:
        self.finish(self.fresh(name))
        for _ in range(count):
            self.number += 1
            append(self.root, name, line(f"m{self.number}", self.number % 7))

    @rule(name=NAMES, back=st.integers(0, 5), more=st.integers(0, 9))
    def append_copy_of_a_reply(self, name: str, back: int, more: int) -> None:
        self.finish(self.fresh(name))
        append(self.root, name, line(f"m{max(self.number - back, 1)}", self.number % 7 + more))
        self.number = max(self.number, 1)

    @rule(name=NAMES, cut=st.integers(1, 400))
    def append_half_a_line(self, name: str, cut: int) -> None:
        path = self.fresh(name)
        self.finish(path)
        self.number += 1
        whole = line(f"m{self.number}", 5)
        append(self.root, name, whole[:cut])
        self.rests[path] = whole[cut:]

    @rule(name=NAMES)
    def append_a_line_without_newline(self, name: str) -> None:
        path = self.fresh(name)
        self.finish(path)
        self.number += 1
        append(self.root, name, line(f"m{self.number}", 6)[:-1])
        self.rests[path] = b"\n"

    @rule(name=NAMES, what=st.sampled_from([b"\n", b"\r\n", b'{"usage" oops\n', b'{"type":"user"}\n', b"\0" * 30 + b"\n"]))
    def append_something_else(self, name: str, what: bytes) -> None:
        self.finish(self.fresh(name))
        append(self.root, name, what)

    def finish(self, path: Path) -> None:
        """Write the rest of a half line."""
        rest = self.rests.pop(path, b"")
        if rest and path.exists():
            with path.open("ab") as log:
                log.write(rest)

    # mishaps

    @rule(which=st.integers(0, 9), share=st.floats(0, 1))
    def truncate(self, which: int, share: float) -> None:
        if path := self.pick(which):
            os.truncate(path, int(path.stat().st_size * share))
            self.rests.pop(path, None)

    @rule(which=st.integers(0, 9), keep=st.integers(0, 3), count=st.integers(0, 4), in_place=st.booleans())
    def rewrite(self, which: int, keep: int, count: int, in_place: bool) -> None:
        """Some of the lines in another order, and new ones; in place or by a new file."""
        if path := self.pick(which):
            new = path.read_bytes().splitlines(keepends=True)[:keep][::-1]
            for _ in range(count):
                self.number += 1
                new.append(line(f"m{self.number}", 3))
            target = path if in_place else path.with_suffix(".tmp")
            target.write_bytes(b"".join(new))
            target.replace(path)
            self.rests.pop(path, None)

    @rule(which=st.integers(0, 9))
    def rewrite_the_same_bytes(self, which: int) -> None:
        if path := self.pick(which):
            copy = path.with_suffix(".tmp")
            copy.write_bytes(path.read_bytes())
            copy.replace(path)

    @rule(which=st.integers(0, 9), name=NAMES)
    def rename(self, which: int, name: str) -> None:
        if path := self.pick(which):
            target = self.fresh(name)
            path.rename(target)
            rest = self.rests.pop(path, None)
            self.rests.pop(target, None)
            if rest:
                self.rests[target] = rest

    @rule(first=st.integers(0, 9), second=st.integers(0, 9))
    def swap(self, first: int, second: int) -> None:
        one, other = self.pick(first), self.pick(second)
        if one and other and one != other:
            aside = one.with_suffix(".aside")
            one.rename(aside)
            other.rename(one)
            aside.rename(other)
            rests = self.rests.pop(one, None), self.rests.pop(other, None)
            self.rests |= {path: rest for path, rest in zip((other, one), rests, strict=True) if rest}

    @rule(which=st.integers(0, 9), name=NAMES)
    def copy(self, which: int, name: str) -> None:
        if path := self.pick(which):
            target = self.fresh(name)
            if target != path:
                target.write_bytes(path.read_bytes())
                self.rests.pop(target, None)

    @rule(which=st.integers(0, 9), name=NAMES)
    def copy_and_truncate(self, which: int, name: str) -> None:
        path = self.pick(which)
        self.copy(which, name)
        if path is not None and path.exists():
            os.truncate(path, 0)
            self.rests.pop(path, None)

    @rule(which=st.integers(0, 9), name=NAMES)
    def hard_link(self, which: int, name: str) -> None:
        path, target = self.pick(which), self.fresh(name)
        if path is not None and not target.exists():
            os.link(path, target)

    @rule(which=st.integers(0, 9), name=NAMES)
    def symbolic_link(self, which: int, name: str) -> None:
        path, target = self.pick(which), self.fresh(name)
        if path is not None and not os.path.lexists(target):
            target.symlink_to(path)

    @rule(which=st.integers(0, 9))
    def delete(self, which: int) -> None:
        if path := self.pick(which):
            path.unlink()
            self.rests.pop(path, None)

    @rule()
    def remove_a_folder(self) -> None:
        shutil.rmtree(self.root / "logs" / "p", ignore_errors=True)

    @rule()
    def move_a_folder(self) -> None:
        source, target = self.root / "logs" / "p", self.root / "logs" / "r"
        if source.exists() and not target.exists():
            source.rename(target)

    # reading

    @rule()
    def restart(self) -> None:
        self.live.close()
        self.live = coordinator(self.root)

    @rule()
    def die(self) -> None:
        """The process is gone without a word: its connection is not closed, its lock is."""
        self.abandoned.append(self.live)
        self.live = coordinator(self.root)

    @rule(project=st.sampled_from(["p", "q", "r"]))
    def forget(self, project: str) -> None:
        """A person has had enough of a project."""
        self.look()
        gone = {reply.key for reply in queries.replies_since(self.live.db, 0) if reply.owner.project == project}
        with watching(self.root) as other:
            assert other.change_store(lambda store: store.forget(Choice(projects=[project]))) == len(gone)
        self.forgotten |= gone
        self.best = {key: output for key, output in self.best.items() if key not in gone}
        self.look()

    @rule()
    def rebuild(self) -> None:
        self.look()
        with watching(self.root) as other:
            renewed, _ = other.rebuild(keeps_old=False)
            assert renewed.corrected == []
        self.look()

    @rule(names=st.sets(NAMES, min_size=1, max_size=3), folders=st.sets(st.sampled_from(["", "/p", "/q", "/r"]), max_size=1))
    def look_at_some_places(self, names: set[str], folders: set[str]) -> None:
        """As hints lead there; what stands elsewhere is not looked at."""
        logs = os.path.realpath(self.root / "logs")
        self.look_in_part(self.live.source.list_below({f"{logs}/{name}" for name in names}, {logs + each for each in folders}))

    @rule(most_bytes=st.integers(1, 5000))
    def look_for_a_slice(self, most_bytes: int) -> None:
        """A pass may end before everything is read; what is pending is read later."""
        self.look_in_part(None, most_bytes)
        self.look_in_part(self.live.next_pending(most_bytes), most_bytes)

    def look_in_part(self, only: Listing | None, most_bytes: int | None = None) -> None:
        """What was read is what stands there now, and stays counted whatever happens before the next look at everything."""
        there = {reply.key: reply.tokens.output for reply in recount(LocalFolders([self.root / "logs"])).replies}
        self.listen(self.live.look(only, most_bytes=most_bytes))
        for key, output in self.stored().items():
            assert output <= max(self.best.get(key, 0), there.get(key, 0))
            self.best[key] = max(self.best.get(key, 0), output)
        assert self.stored().keys() == self.best.keys()

    @rule()
    def look(self) -> None:
        seen = recount(LocalFolders([self.root / "logs"]))
        for reply in seen.replies:
            if reply.key not in self.forgotten:
                self.best[reply.key] = max(self.best.get(reply.key, 0), reply.tokens.output)
        self.listen(self.live.check_for_updates())
        stored = self.stored()
        assert stored == self.best
        assert stored == self.view
        verdict = verify(self.live.db, seen)
        assert verdict.differences == []
        assert (verdict.replies_in_logs, verdict.replies_in_store) == (len(seen.replies), len(self.best))
        summed = [used.cell for used in usage(self.live.db, Question([Window("", 0, 1 << 60)]), PRICES)]
        assert sum(cell.tokens.output for cell in summed) == sum(self.best.values())
        assert sum(cell.replies for cell in summed) == len(self.best)

    def listen(self, update: Update) -> None:
        """Whoever starts with the replies that are there and goes by the updates knows what the store holds."""
        assert {problem.why for problem in update.problems} <= {os.strerror(errno.ELOOP)}
        if not self.view:
            self.view = self.stored()
        for change in update.changes:
            if change.reply is None:
                assert change.key in self.forgotten
                del self.view[change.key]
            else:
                self.view[change.key] = change.reply.tokens.output

    def stored(self) -> dict[str, int]:
        return {reply.key: reply.tokens.output for reply in queries.replies_since(self.live.db, 0)}


def run_machine(*, runs: int, steps: int) -> None:
    run_state_machine_as_test(
        Machine, settings=settings(deadline=None, max_examples=runs, stateful_step_count=steps, suppress_health_check=list(HealthCheck))
    )


def test_anything_in_any_order() -> None:
    """Whatever happens to the logs and to those who read them: after each pass nothing is lost, nothing is counted twice."""
    run_machine(runs=25, steps=30)


@pytest.mark.slow
def test_anything_in_any_order_at_length() -> None:
    """The same for longer lives."""
    run_machine(runs=150, steps=60)


def test_a_slice_of_a_backlog_holds_many_small_files(tmp_path: Path) -> None:
    """What was written last comes first, many small files at once, and a large one by itself (S40)."""
    for number in range(1, 6):
        os.utime(write(tmp_path, f"p/s{number}.jsonl", lines(number, number)), (number, number))
    size = (tmp_path / "logs" / "p" / "s1.jsonl").stat().st_size
    with watching(tmp_path) as live:
        live.look(None, most_bytes=1)
        assert counted(live) == [5]
        assert [file.relative for file in live.next_pending(3 * size).files] == ["p/s4.jsonl", "p/s3.jsonl", "p/s2.jsonl"]
        assert [file.relative for file in live.next_pending(1).files] == ["p/s4.jsonl"]
        (tmp_path / "logs" / "p" / "s4.jsonl").unlink()
        assert [file.relative for file in live.next_pending(1).files] == ["p/s3.jsonl"]
        while live.pending:
            live.look(live.next_pending(3 * size), most_bytes=3 * size)
        assert counted(live) == [1, 2, 3, 5]


def test_a_file_that_was_read_in_part_is_read_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is stopped between two commits of one large file leaves it as changed, not as read: the next process goes on there."""
    log = tmp_path / "logs" / "-app" / "s1.jsonl"
    log.parent.mkdir(parents=True)
    log.write_bytes(lines(1, 8000))
    monkeypatch.setattr(module, "BATCH_RECORDS", 1000)
    first = coordinator(tmp_path)
    applied = Store.apply

    def once(store: Store, chunks: Sequence[Chunk]) -> Applied:
        if queries.latest_replies(store.connection, 1):
            raise KeyboardInterrupt
        return applied(store, chunks)

    monkeypatch.setattr(Store, "apply", once)
    with pytest.raises(KeyboardInterrupt):
        first.check_for_updates()
    first.close()
    monkeypatch.setattr(Store, "apply", applied)

    second = coordinator(tmp_path)
    read = second.check_for_updates().metrics
    assert 0 < read.bytes_read < log.stat().st_size
    assert len(queries.replies_since(second.db, 0)) == 8000
    assert second.check_for_updates().metrics.files_read == 0
    second.close()
