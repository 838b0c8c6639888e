"""Tests of `tokentail.feed`."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from datetime import UTC
from pathlib import Path

import pytest

from logs import PRICES, coordinator, line, lines
from tokentail import feed, queries
from tokentail.demo.live import LiveWriter, Mishaps
from tokentail.model import Counts, Owner, Reply, ReplyChange, Tokens
from tokentail.recount import recount
from tokentail.reports.as_json import feed_json
from tokentail.sources import LocalFolders
from tokentail.totals import counts_of

DEADLINE_S = 20.0


class Listener:
    """Runs the feed in a thread, and keeps what it says."""

    def __init__(self, root: Path, *, since_ms: int | None = None, source: LocalFolders | None = None) -> None:
        self.live = coordinator(root, source=source)
        self.changes: list[ReplyChange] = []
        self.stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(since_ms,))

    def __enter__(self) -> Listener:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop.set()
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive()
        self.live.close()

    def _run(self, since_ms: int | None) -> None:
        feed.run(self.live, self.changes.append, since_ms=since_ms, stop=self.stop)

    @property
    def said(self) -> list[tuple[str, str]]:
        return [(change.event, change.key) for change in self.changes]


def wait_until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < until, "it did not come"
        threading.Event().wait(0.002)


@pytest.fixture(name="log")
def fixture_log(tmp_path: Path) -> Path:
    path = tmp_path / "logs" / "-app" / "s1.jsonl"
    path.parent.mkdir(parents=True)
    return path


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as log:
        log.write(data)


def test_starts_with_what_comes_next(tmp_path: Path, log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was there is not told; `ready` on stderr says that from now on everything is."""
    log.write_bytes(lines(1, 3))
    with Listener(tmp_path) as listener:
        wait_until(lambda: "ready\n" in capsys.readouterr().err)
        assert listener.said == []
        append(log, lines(4, 4))
        wait_until(lambda: bool(listener.changes))
        append(log, line("msg_4", 40) + line("msg_2", 2, at="2026-09-30T10:00:00.000Z"))
        wait_until(lambda: len(listener.changes) == 3)
    assert sorted(listener.said) == [("corrected", "msg_2"), ("grown", "msg_4"), ("new", "msg_4")]


def test_since(tmp_path: Path, log: Path) -> None:
    """With a beginning the replies from then on come first, as new, oldest first."""
    some = [line(f"m{day}", day, at=f"2026-10-0{day}T10:00:00.000Z") for day in (5, 2, 4, 3, 1)]
    log.write_bytes(b"".join(some))
    since_ms = 1_790_985_600_000  # 2026-10-03
    with Listener(tmp_path, since_ms=since_ms) as listener:
        wait_until(lambda: len(listener.changes) == 3)
        append(log, line("m6", 6))
        wait_until(lambda: len(listener.changes) == 4)
    assert listener.said == [("new", "m3"), ("new", "m4"), ("new", "m5"), ("new", "m6")]


def test_second_request_of_an_id(tmp_path: Path, log: Path) -> None:
    """A reply that turns out to be two is told as gone, and the two as new."""
    log.write_bytes(line("m1", 5, requestId="r1"))
    with Listener(tmp_path, since_ms=0) as listener:
        wait_until(lambda: bool(listener.changes))
        append(log, line("m1", 6, requestId="r2"))
        wait_until(lambda: len(listener.changes) == 4)
    assert sorted(listener.said[1:]) == [("gone", "m1"), ("new", "m1/r1"), ("new", "m1/r2")]


def test_what_cannot_be_read_is_told(tmp_path: Path, log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Problems go to stderr, and the feed goes on."""
    log.write_bytes(lines(1, 1))
    (log.parent / "a.jsonl").symlink_to(log.parent / "a.jsonl")
    with Listener(tmp_path, since_ms=0) as listener:
        wait_until(lambda: bool(listener.changes))
        wait_until(lambda: "cannot read" in capsys.readouterr().err)


def test_sum_of_the_lines(tmp_path: Path) -> None:
    """Whoever keeps the latest line of each key, and drops what is gone, has the totals of a report."""
    mishaps = Mishaps(tear=0.1, rewrite=0.05, truncate=0.05, delete=0.02, resume=0.03)
    writer = LiveWriter(tmp_path, seed=11, rate_per_s=0, clock=time.time, sleep=lambda _: None, mishaps=mishaps)
    source = LocalFolders([tmp_path / "projects"])

    class Enough:
        left = 40

        def is_set(self) -> bool:
            self.left -= 1
            return self.left < 0

    with Listener(tmp_path, since_ms=0, source=source) as listener:
        for _ in range(15):
            before = len(listener.changes)
            writer.run(Enough())
            writer.append_one()
            wait_until(lambda before=before: len(listener.changes) > before)  # type: ignore[misc]
        writer.append_one()
        own = LocalFolders([tmp_path / "projects"])  # a source is of one thread, and the listener's reads with its own
        truth = {reply.key for reply in recount(own).replies}
        wait_until(lambda: truth <= {change.key for change in listener.changes})
    final = coordinator(tmp_path, source=source)
    assert final.check_for_updates().changes == []
    latest: dict[str, Counts] = {}
    for change in listener.changes:
        document = json.loads(feed_json(change, PRICES))
        counts = Counts(**{name: document[name] for name in Counts._fields})
        latest.pop(change.key, None)
        if document["event"] != "gone":
            latest[change.key] = counts
    assert latest == {reply.key: counts_of(reply, PRICES) for reply in queries.replies_since(final.db, 0)}
    final.close()


def test_line_for_people(tmp_path: Path, log: Path) -> None:
    """Time of the viewer's zone, what happened, the project's name, which model, tokens and cost; names can do no harm."""
    log.write_bytes(line("m1", cwd="/srv/app"))
    live = coordinator(tmp_path)
    live.check_for_updates()
    lines_of = feed.Lines(live, PRICES, UTC, {})
    owner = Owner(False, False, "s1", "-app", "")
    reply = Reply("m1", "m1", 1_790_848_800_000, "claude-opus-5\x1b[31m", "", Tokens(4, 310, 2000), (), 0, False, 0, "", "", "", owner)
    shown = lines_of.text(ReplyChange(1, "grown", "m1", reply))
    assert shown.startswith("2026-10-01 10:00:00  grown      app                   claude-opus-5\ufffd[31m")
    assert shown.endswith("in  2.00k  out    310  $ ?")
    assert shown.isprintable()
    assert lines_of.text(ReplyChange(1, "gone", "m1\x07", None)).split() == ["gone", "m1\ufffd"]
    assert "  Shop  " in feed.Lines(live, PRICES, UTC, {"/srv/app": "Shop"}).text(ReplyChange(1, "grown", "m1", reply))
    live.close()


def test_line_for_people_while_the_store_cannot_be_read(tmp_path: Path, log: Path) -> None:
    """The slug stands for the project's name until it can: that is no reason to end."""
    log.write_bytes(line("m1", cwd="/srv/app"))
    live = coordinator(tmp_path)
    live.check_for_updates()
    (reply,) = queries.replies_since(live.db, 0)
    live.db.close()
    assert f"  {reply.owner.project}  " in feed.Lines(live, PRICES, UTC, {}).text(ReplyChange(1, "new", "m1", reply))
    live.close()
