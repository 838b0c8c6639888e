"""Tests of `tokentail.following`: one process leads, the others hear the same, and nobody is left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

from builders import line, record
from logs import PRICES, QUICK, coordinator, told, wait_for
from tokentail.coordinator import UpdateCoordinator
from tokentail.fleet.sqlite import SqliteCentral


def first_log(root: Path) -> Path:
    path = root / "logs" / "-app" / "s1.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(line("msg_1"))
    return path


def append(path: Path, *names: str) -> None:
    with path.open("ab") as log:
        log.write(b"".join(map(line, names)))


def leading_elsewhere(root: Path) -> subprocess.Popen[str]:
    """A feed in another process, which leads."""
    live = coordinator(root)
    environment = {**os.environ, "TOKENTAIL_HOME": str(live.store_path.parent)}
    code = (
        "import sys, threading; sys.path[:0] = sys.argv[1:2]\n"
        "from pathlib import Path; from logs import coordinator\n"
        "for number, update in enumerate(coordinator(Path(sys.argv[2])).follow(threading.Event())):\n"
        "    if not number: print('leads', update.live.leads, flush=True)\n"
    )
    words = [sys.executable, "-c", code, os.path.dirname(__file__), str(root)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    assert process.stdout.readline() == "leads True\n"
    return process


def test_who_reads_is_told_the_same_as_who_leads(tmp_path: Path) -> None:
    """Two that follow: one leads and the other hears what it commits, change by change."""
    log = first_log(tmp_path)
    stop = threading.Event()
    with closing(coordinator(tmp_path)) as one, closing(coordinator(tmp_path)) as other:
        leads, reads = one.follow(stop), other.follow(stop)
        assert (next(leads).live.leads, next(reads).live.leads) == (True, False)  # type: ignore[union-attr]  # both follow
        for name in ("msg_2", "msg_3"):
            append(log, name)
            assert told(wait_for(leads, lambda update: bool(update.changes)).changes) == [("new", name)]
            heard = wait_for(reads, lambda update: bool(update.changes))
            assert told(heard.changes) == [("new", name)]
            assert heard.metrics.files_checked == 0
        stop.set()
        assert (list(leads), list(reads)) == ([], [])


def test_a_leader_that_is_killed_has_a_successor(tmp_path: Path) -> None:
    """Whoever reads takes the lead, and what is written from then on is told by it."""
    log = first_log(tmp_path)
    other = leading_elsewhere(tmp_path)
    stop = threading.Event()
    with closing(coordinator(tmp_path)) as ours:
        updates = ours.follow(stop)
        assert not next(updates).live.leads  # type: ignore[union-attr]  # it follows
        os.kill(other.pid, signal.SIGKILL)
        other.communicate()
        wait_for(updates, lambda update: update.live is not None and update.live.leads)
        append(log, "msg_2")
        assert told(wait_for(updates, lambda update: bool(update.changes)).changes) == [("new", "msg_2")]
        stop.set()
        assert list(updates) == []


def test_a_leader_that_was_stopped_is_named_and_not_waited_for(tmp_path: Path) -> None:
    """Its silence is told with its process id, and the logs are looked at from here meanwhile."""
    log = first_log(tmp_path)
    other = leading_elsewhere(tmp_path)
    stop = threading.Event()
    with closing(coordinator(tmp_path, pace=QUICK._replace(silent_after_s=0.2))) as ours:
        updates = ours.follow(stop)
        next(updates)
        os.kill(other.pid, signal.SIGSTOP)
        append(log, "msg_2")
        told_of: list[str] = []
        while len(told_of) < 3:
            update = wait_for(updates, lambda update: bool(update.changes) or bool(update.degraded))
            told_of += [reason for reason in update.degraded if str(other.pid) in reason]
        assert "has not been heard of since" in told_of[0]
        assert len(set(told_of)) == 1  # so that a feed says it once
        report = ours.check_for_updates()
        assert report.degraded == []  # a report takes no notice of who leads
        assert "msg_2" in {row[0] for row in ours.db.execute("SELECT key FROM replies")}
        os.kill(other.pid, signal.SIGKILL)
        other.communicate()
        stop.set()
        assert list(updates) == []


def test_a_look_at_everything_may_be_asked_for(tmp_path: Path) -> None:
    """By any thread, and it is done at once."""
    first_log(tmp_path)
    stop = threading.Event()
    with closing(coordinator(tmp_path, pace=QUICK._replace(in_doubt_every_s=900, in_calm_every_s=900))) as live:
        updates = live.follow(stop)
        next(updates)
        threading.Timer(0.05, live.look_now).start()
        assert wait_for(updates, lambda update: update.metrics.files_checked == 1).metrics.files_read == 0
        stop.set()


def test_what_another_thread_commits_is_told_at_once(tmp_path: Path) -> None:
    """When it says so: no idle update and no look at everything is waited for."""
    first_log(tmp_path)
    stop = threading.Event()
    pace = QUICK._replace(idle_every_s=900, stop_within_s=900, in_doubt_every_s=900, in_calm_every_s=900)
    with closing(coordinator(tmp_path, pace=pace)) as live, closing(SqliteCentral(live.store_path, PRICES.thresholds)) as central:
        updates = live.follow(stop)
        next(updates)
        for name in ("msg_2", "msg_3", "msg_4"):
            central.add([record(name)], [])
            live.hear_now()
            assert told(wait_for(updates, lambda update: bool(update.changes)).changes) == [("new", name)]
        stop.set()
        live.wake()
        assert list(updates) == []


def test_a_backlog_is_caught_up_in_slices(tmp_path: Path) -> None:
    """What is live is told while older logs are still being read; in the end all of them are."""
    import tokentail.following as module

    log = first_log(tmp_path)
    for number in range(40):
        path = tmp_path / "logs" / "-old" / f"s{number}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(line(f"old_{number}"))
        os.utime(path, (1_700_000_000, 1_700_000_000))
    first, module.FIRST_BYTES = module.FIRST_BYTES, 1
    slices, module.SLICE_BYTES = module.SLICE_BYTES, 1
    stop = threading.Event()
    try:
        with closing(coordinator(tmp_path)) as live:
            updates = live.follow(stop)
            assert next(updates).catching_up
            append(log, "msg_live")
            found = wait_for(updates, lambda update: any(change.key == "msg_live" for change in update.changes))
            wait_for(updates, lambda update: not update.catching_up)
            assert _replies(live) == 42
            assert found.live is not None
            stop.set()
    finally:
        module.FIRST_BYTES, module.SLICE_BYTES = first, slices


def _replies(live: UpdateCoordinator) -> int:
    return int(live.db.execute("SELECT count(*) FROM replies").fetchone()[0])
