"""Tests of `tokentail.watcher`: a watcher as a whole, in its thread, with real files and faults that are switched on and off."""

from __future__ import annotations

import errno
import mmap
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tokentail.sources import LocalFolders
from tokentail.sources.local import is_log_name
from tokentail.watcher import FileWatcher, Hints
from watching import EVENTS_ONLY, HASTY, NEVER_S, Faulty, Seen, append, in_namespace, no_events, watching

# Only the canary and what follows from it is fast: what is told is not told by a sweep.
NO_SWEEP = HASTY._replace(sweep_in_doubt_s=NEVER_S, sweep_in_calm_s=NEVER_S)


@pytest.fixture(name="root")
def fixture_root(tmp_path: Path) -> Path:
    append(tmp_path / "logs" / "a" / "s1.jsonl")
    return tmp_path / "logs"


@pytest.fixture(name="canary")
def fixture_canary(tmp_path: Path) -> Path:
    return tmp_path / "home" / "watcher" / "canary"


# What is told


def test_first_hints_say_lost(root: Path) -> None:
    """Once everything is watched, what was there before has to be looked at by whoever waits."""
    with FileWatcher([str(root)], is_log_name, canary=None, pace=EVENTS_ONLY) as watcher:
        seen = Seen(watcher)
        seen.until(lambda: seen.losses == 1)
        assert (seen.files, seen.trees, seen.last.live) == ([], [], "events")


def test_append(root: Path) -> None:
    """A write is told at once, once."""
    with watching(root) as seen:
        path = append(root / "a" / "s1.jsonl")
        seen.until_covers(path)
        assert (seen.files, seen.trees, seen.losses) == ([str(path)], [], 0)


def test_many_events_are_one_hint(root: Path) -> None:
    """A hint is a place and not an event: what is written again before it was taken adds nothing."""
    with watching(root) as seen:
        for _ in range(1000):
            append(root / "a" / "s1.jsonl")
        last = append(root / "a" / "z.jsonl")
        seen.until_covers(last)
        assert len(seen.files) <= 1000
        assert set(seen.files) == {str(root / "a" / "s1.jsonl"), str(last)}


def test_change_after_hints_were_taken(root: Path) -> None:
    """What changes while the hints before are acted on is told the next time."""
    with watching(root) as seen:
        for _ in range(200):
            path = append(root / "a" / "s1.jsonl")
            seen.until_covers(path)
            seen.clear()


def test_deep_folders_and_files_at_once(root: Path) -> None:
    """Made by somebody else as fast as can be, with the thread at work: not one file is missed (S37)."""
    with watching(root) as seen:
        paths = [append(root / f"{number}" / "b" / "c" / "s.jsonl") for number in range(300)]
        seen.until_covers(*paths)
        seen.clear()
        for path in paths:
            append(path)
        seen.until_covers(*paths)
        assert seen.losses == 0


def test_random_changes_by_another_process(root: Path) -> None:
    """Whatever a writer does to a tree, each file that is not as it was is covered by a hint."""
    source = LocalFolders([root])
    with watching(root) as seen:
        before = {file.path: file for file in source.list_files().files}
        subprocess.run([sys.executable, "-c", RANDOM_WRITER, str(root), "7", "1500"], check=True)
        last = append(root / "last.jsonl")
        seen.until_covers(last)
        after = {file.path: file for file in source.list_files().files}
        changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
        assert len(changed) > 50
        seen.until_covers(*changed)
        assert seen.losses == 0


RANDOM_WRITER = """
import contextlib, os, random, shutil, sys
from pathlib import Path
root, draw = Path(sys.argv[1]), random.Random(int(sys.argv[2]))
def somewhere():
    return root.joinpath(*(draw.choice("abcd") for _ in range(draw.randrange(1, 5))))
for number in range(int(sys.argv[3])):
    folder, other = somewhere(), somewhere()
    file = folder / draw.choice(["s1.jsonl", "s2.jsonl", "s2.jsonl.1"])
    with contextlib.suppress(OSError, shutil.Error):
        match draw.randrange(12):
            case 0: shutil.rmtree(folder)
            case 1: folder.rename(other)
            case 2: file.unlink()
            case 3: file.rename(other / "s3.jsonl")
            case _:
                folder.mkdir(parents=True, exist_ok=True)
                with file.open("ab") as log:
                    log.write(b"x" * number)
"""


def test_burst_is_bounded(root: Path) -> None:
    """More places than the box holds are told as lost, and memory stays as it is."""
    with watching(root, most_paths=10) as seen:
        for number in range(100):
            append(root / "a" / f"{number}.jsonl")
        seen.until(lambda: seen.losses > 0)
        path = append(root / "a" / "s1.jsonl")
        seen.clear()
        seen.until_covers(path)


def test_overflow(root: Path) -> None:
    """A thread that did not get to read: the kernel's queue runs over, everything is told as lost, and it goes on (S40)."""
    faults = Faulty()
    with watching(root, open_events=faults) as seen:
        faults.may_read.clear()
        overrun(root)
        append(root / "new" / "s2.jsonl")
        faults.may_read.set()
        seen.until(lambda: seen.losses > 0)
        seen.clear()
        path = append(root / "new" / "s2.jsonl")
        seen.until(lambda: str(path) in seen.files)
        assert seen.last.degraded == ()


def overrun(root: Path) -> None:
    """Make more events than the kernel's queue holds, cheaply: it joins equal ones only if they follow one another."""
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    with (root / "a" / "x.jsonl").open("ab", 0) as first, (root / "a" / "y.jsonl").open("ab", 0) as second:
        for _ in range(most // 2 + 100):
            first.write(b"x")
            second.write(b"x")


# How one waits


def test_time_is_over(root: Path) -> None:
    """Quiet hints, when nothing happens."""
    with watching(root) as seen:
        hints = seen.watcher.wait(0.01)
        assert hints == Hints(frozenset(), frozenset(), False, (), "events", False)
        assert hints.is_quiet


def test_wake_from_another_thread(root: Path) -> None:
    """Who stops a program need not wait until something happens to a log."""
    with watching(root) as seen:
        threading.Timer(0.05, seen.watcher.wake).start()
        assert seen.watcher.wait(NEVER_S).is_quiet


def test_wake_before_the_wait(root: Path) -> None:
    """It is not lost, and ends one wait only."""
    with watching(root) as seen:
        seen.watcher.wake()
        seen.watcher.wake()
        assert seen.watcher.wait(NEVER_S).is_quiet
        path = append(root / "a" / "s1.jsonl")
        assert seen.watcher.wait(NEVER_S).files == {str(path)}


def test_wake_by_a_signal_handler(root: Path) -> None:
    """A handler runs wherever the program is, also within a wait."""
    with watching(root) as seen:
        before = signal.signal(signal.SIGALRM, lambda *_: seen.watcher.wake())
        try:
            for _ in range(50):
                signal.setitimer(signal.ITIMER_REAL, 0.002)
                assert seen.watcher.wait(NEVER_S).is_quiet
        finally:
            signal.signal(signal.SIGALRM, before)


def test_waiting_together_with_something_else(root: Path) -> None:
    """The descriptor reads as ready as long as there are hints that were not taken."""
    with watching(root) as seen:
        assert select.select([seen.watcher], [], [], 0)[0] == []
        path = append(root / "a" / "s1.jsonl")
        assert select.select([seen.watcher], [], [], NEVER_S)[0] == [seen.watcher]
        assert seen.watcher.wait(0).files == {str(path)}
        assert select.select([seen.watcher], [], [], 0)[0] == []


def test_close_ends_the_thread(root: Path) -> None:
    """And gives all descriptors back; whoever wakes a closed watcher does no harm."""
    before, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    with watching(root) as seen:
        watcher = seen.watcher
        append(root / "a" / "s1.jsonl")
    watcher.wake()
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == (before, threads)


def test_one_thread(root: Path, canary: Path) -> None:
    """Whatever there is to watch, one thread does it."""
    before = threading.active_count()
    with watching(root, canary=canary, pace=HASTY) as seen:
        seen.until(lambda: seen.last.proven)
        assert threading.active_count() == before + 1


# Whether events arrive


def test_canary_proves_events(root: Path, canary: Path) -> None:
    """Its event comes, so events do; it is no hint, and it is not made among the logs."""
    logs = sorted(root.rglob("*"))
    with watching(root, pace=NO_SWEEP, canary=canary) as seen:
        seen.until(lambda: seen.last.proven)
        assert seen.last.degraded == ()
        assert (seen.files, seen.trees) == ([], [])
        assert sorted(root.rglob("*")) == logs


def test_canary_that_cannot_be_touched(root: Path) -> None:
    """A folder that cannot be written says nothing about events: nothing is degraded, and nothing proven."""
    with watching(root, pace=NO_SWEEP, canary=root / "a" / "s1.jsonl" / "no folder" / "canary") as seen:
        path = append(root / "a" / "s1.jsonl")
        seen.until_covers(path)
        assert (seen.last.live, seen.last.degraded) == ("events", ())


def test_canary_whose_folder_is_deleted(root: Path, canary: Path) -> None:
    """It is made again."""
    with watching(root, pace=NO_SWEEP, canary=canary) as seen:
        seen.until(canary.exists)
        # Away at one stroke: while it is emptied, the canary may be made in it again.
        canary.parents[1].rename(root.parent / "gone")
        seen.until(canary.exists)
        seen.until(lambda: seen.last.proven)


def test_mute_system(root: Path, canary: Path) -> None:
    """When no event arrives at all, files are polled, with the reason; when events come again it is over (S43)."""
    faults = Faulty()
    with watching(root, pace=NO_SWEEP, canary=canary, open_events=faults) as seen:
        faults.is_mute = True
        seen.until(lambda: seen.last.live == "polling")
        assert seen.last.degraded == ("file events do not arrive; files are polled",)
        seen.clear()
        for path in (root / "a" / "s1.jsonl", root / "b" / "c" / "s2.jsonl"):
            append(path)
            seen.until_covers(path)
            seen.clear()
        faults.is_mute = False
        seen.until(lambda: seen.last.live == "events" and seen.last.proven and seen.losses > 0)
        seen.clear()
        path = append(root / "b" / "c" / "s2.jsonl")
        seen.until(lambda: str(path) in seen.files)


def test_mute_folder(root: Path, canary: Path) -> None:
    """Where a sweep finds what no event told of, it is polled often, until an event comes from there."""
    append(root / "mute" / "s2.jsonl")
    faults = Faulty()
    with watching(root, pace=HASTY, canary=canary, open_events=faults) as seen:
        faults.mute_below = str(root / "mute")
        reason = f"file events do not arrive from {root / 'mute'}; polled instead"
        path = root / "mute" / "s2.jsonl"
        seen.until(lambda: change_both(path, root / "a" / "s1.jsonl") and seen.last.degraded == (reason,))
        assert seen.last.live == "events"
        assert not seen.last.proven
        seen.clear()
        append(path)
        seen.until_covers(path)
        faults.mute_below = ""
        seen.until(lambda: bool(append(path)) and seen.last.degraded == ())
        seen.until(lambda: seen.last.proven)


def change_both(*paths: Path) -> bool:
    return all(map(append, paths))


def test_mute_file_system(root: Path, canary: Path) -> None:
    """If nothing at all arrives from a root, the root is polled: it may lie on another file system than the canary."""
    faults = Faulty()
    with watching(root, pace=HASTY, canary=canary, open_events=faults) as seen:
        faults.mute_below = str(root)
        reason = f"file events do not arrive from {root}; polled instead"
        seen.until(lambda: change_both(root / "a" / "s1.jsonl") and seen.last.degraded == (reason,))
        assert seen.last.live == "polling"


def test_network_file_system(root: Path, tmp_path: Path, canary: Path) -> None:
    """What others write there makes no event here, so it is polled from the start, and what lies elsewhere is watched."""
    append(root / "net" / "s2.jsonl")
    table = tmp_path / "mountinfo"
    table.write_text(f"1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 0:9 / {root}/net rw - nfs4 host:/logs rw\n")
    faults = Faulty()
    with watching(root, pace=NO_SWEEP, canary=canary, open_events=faults, mountinfo=str(table)) as seen:
        reason = f"{root}/net is on nfs4, where what others write makes no events; polled instead"
        assert seen.last.degraded == (reason,)
        assert seen.last.live == "events"
        faults.mute_below = str(root / "net")
        path = append(root / "net" / "s2.jsonl")
        seen.until_covers(path)
        table.write_text("1 0 8:1 / / rw - ext4 /dev/sda rw\n")
        seen.until(lambda: seen.last.degraded == ())


def test_everything_on_a_network(root: Path, tmp_path: Path) -> None:
    """Then nothing is live by events."""
    table = tmp_path / "mountinfo"
    table.write_text("1 0 0:9 / / rw - fuse.sshfs host: rw\n")
    with watching(root, pace=HASTY, mountinfo=str(table)) as seen:
        assert seen.last.live == "polling"


# What events never tell


def test_written_through_a_map(root: Path) -> None:
    """A sweep finds it (S44)."""
    path = append(root / "a" / "s1.jsonl", b"x" * 4096)
    with watching(root, pace=HASTY) as seen:
        with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as map_:
            seen.clear()
            map_[0:1] = b"y"
            map_.flush()
        seen.until_covers(path)


def test_written_through_a_name_elsewhere(root: Path, tmp_path: Path) -> None:
    """Links and files with several names are looked at often, and nothing is degraded by them (S31, S44)."""
    target = append(tmp_path / "target")
    (root / "a" / "link.jsonl").symlink_to(target)
    os.link(root / "a" / "s1.jsonl", tmp_path / "twin")
    with watching(root, pace=HASTY) as seen:
        for outside, inside in ((target, "link.jsonl"), (tmp_path / "twin", "s1.jsonl")):
            append(outside)
            seen.until_covers(root / "a" / inside)
            assert seen.last.degraded == ()


# What the system refuses


def test_no_instance_to_be_had(root: Path) -> None:
    """Everything is polled, with the reason, until there is one (S42)."""
    faults = Faulty()
    faults.no_instance = OSError(errno.EMFILE, "too many instances")
    with watching(root, pace=NO_SWEEP, open_events=faults) as seen:
        assert seen.last.degraded == ("there are no file events: too many instances; files are polled",)
        assert seen.last.live == "polling"
        path = append(root / "b" / "c" / "s2.jsonl")
        seen.until_covers(path)
        faults.no_instance = None
        seen.until(lambda: seen.last.live == "events")
        seen.until(lambda: seen.losses > 0)
        seen.clear()
        append(path)
        seen.until(lambda: str(path) in seen.files)
        assert not seen.last.degraded


def test_limit_of_watches(root: Path) -> None:
    """Folders that are refused are polled, one by one or all of them; when there is room they are watched (S41)."""
    faults = Faulty()
    with watching(root, pace=NO_SWEEP, open_events=faults) as seen:
        faults.refusal = OSError(errno.ENOSPC, "the limit is reached")
        path = append(root / "b" / "c" / "s2.jsonl")
        seen.until(lambda: seen.last.degraded == (f"{root}/b cannot be watched: the limit is reached; polled instead",))
        seen.until_covers(path)
        seen.clear()
        append(path)
        seen.until_covers(path)
        append(root / "d" / "s3.jsonl")
        seen.until(lambda: seen.last.degraded == (f"{root}/b and 1 more cannot be watched: the limit is reached; polled instead",))
        assert seen.last.live == "events"
        faults.refusal = None
        seen.until(lambda: seen.last.degraded == ())
        seen.clear()
        append(path)
        seen.until(lambda: str(path) in seen.files)


def test_too_many_open_files(root: Path) -> None:
    """A folder that cannot be listed for want of a descriptor is refused for so long, and nobody ends by it (S36)."""
    with watching(root, pace=NO_SWEEP) as seen:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, limit[1]))
        try:
            (root / "b" / "c").mkdir(parents=True)
            seen.until(lambda: seen.last.degraded == (f"{root}/b cannot be watched: Too many open files; polled instead",))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        seen.until(lambda: seen.last.degraded == ())
        seen.clear()
        path = append(root / "b" / "c" / "s2.jsonl")
        seen.until_covers(path)


def test_thread_that_finds_no_descriptors(root: Path) -> None:
    """It ends, files are polled as well as can be, and when there are descriptors again it is started anew."""
    faults = Faulty()
    with watching(root, pace=NO_SWEEP, open_events=faults) as seen:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, limit[1]))
        try:
            faults.error = RuntimeError("broken")
            (root / "b").mkdir()
            seen.until(lambda: any("OSError" in reason for reason in seen.last.degraded))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        seen.until(lambda: seen.last.live == "events" and not seen.last.degraded)


REAL_LIMITS = """
import sys
from pathlib import Path
from watching import NEVER_S, HASTY, append, watching

root = Path(sys.argv[1])
paths = [append(root / f"p{number}" / "s.jsonl") for number in range(60)]
limit = Path("/proc/sys/user") / sys.argv[2]
before = limit.read_text()
limit.write_text(sys.argv[3])
with watching(root, pace=HASTY._replace(sweep_in_doubt_s=NEVER_S, sweep_in_calm_s=NEVER_S)) as seen:
    assert seen.last.degraded, seen.last
    more = [append(root / f"q{number}" / "r" / "s.jsonl") for number in range(40)]
    seen.until_covers(*more)
    seen.clear()
    for path in paths + more:
        append(path)
    seen.until_covers(*paths, *more)
    print(seen.last.degraded[0].partition(": ")[2])
    limit.write_text(before)
    seen.until(lambda: not seen.last.degraded and seen.last.live == "events")
"""


def test_real_limit_of_watches(tmp_path: Path) -> None:
    """60 and 40 folders with 20 watches: every file is covered, and the setting to raise is named (S41)."""
    said = "the limit of watches is reached (fs.inotify.max_user_watches); polled instead\n"
    assert in_namespace(REAL_LIMITS, str(tmp_path / "logs"), "max_inotify_watches", "20") == said


def test_real_limit_of_instances(tmp_path: Path) -> None:
    """The same without any instance (S42)."""
    said = "too many instances of inotify (fs.inotify.max_user_instances) or open files (ulimit -n); files are polled\n"
    assert in_namespace(REAL_LIMITS, str(tmp_path / "logs"), "max_inotify_instances", "0") == said


# A thread that fails


def test_thread_that_ends(root: Path) -> None:
    """Whoever waits polls in its stead, says why, and goes on with a new thread (S43)."""
    faults = Faulty()
    with watching(root, pace=NO_SWEEP._replace(restart_after_s=NEVER_S, beat_every_s=NEVER_S), open_events=faults) as seen:
        faults.error = RuntimeError("broken")
        append(root / "a" / "s1.jsonl")
        reason = "the thread that watches files has ended: RuntimeError: broken; files are polled until it runs again"
        seen.until(lambda: seen.last.degraded == (reason,))
        seen.until(lambda: seen.losses > 0)
        assert seen.last.live == "polling"
        seen.clear()
        for path in (root / "a" / "s1.jsonl", root / "b" / "s2.jsonl"):
            append(path)
            seen.until_covers(path)
            seen.clear()


def test_thread_is_started_again(root: Path) -> None:
    """What happens in between is covered by `lost`."""
    faults = Faulty()
    with watching(root, pace=NO_SWEEP, open_events=faults) as seen:
        for _ in range(3):
            faults.error = RuntimeError("broken")
            append(root / "a" / "s1.jsonl")
            seen.until(lambda: bool(seen.last.degraded))
            seen.until(lambda: not seen.last.degraded and seen.last.live == "events")
            seen.clear()
            path = append(root / "b" / "s2.jsonl")
            seen.until_covers(path)
        assert faults.opened == 4


def test_thread_that_never_lasts(root: Path) -> None:
    """It is tried less and less often, and files are polled all the time."""
    faults = Faulty()
    with watching(root, pace=NO_SWEEP, open_events=faults) as seen:
        for _ in range(6):
            faults.error = RuntimeError("broken")
            path = append(root / "a" / "s1.jsonl")
            seen.clear()
            seen.until_covers(path)
            seen.until(lambda: faults.error is None)


def test_thread_that_hangs(root: Path) -> None:
    """It is left behind, and ends when it comes back."""
    faults = Faulty()
    with watching(root, pace=NO_SWEEP, open_events=faults) as seen:
        threads = threading.active_count()
        faults.may_read.clear()
        append(root / "a" / "s1.jsonl")
        reason = "the thread that watches files hangs; files are polled until it runs again"
        seen.until(lambda: seen.last.degraded == (reason,))
        seen.until(lambda: seen.losses > 0)
        seen.clear()
        path = append(root / "b" / "s2.jsonl")
        seen.until_covers(path)
        faults.may_read.set()
        seen.until(lambda: not seen.last.degraded and seen.last.live == "events")
        seen.clear()
        append(path)
        seen.until_covers(path)
        seen.until(lambda: threading.active_count() == threads)


def test_no_thread_to_be_had(root: Path) -> None:
    """A process that may start no more threads polls."""
    words = [sys.executable, "-c", NO_THREADS, str(root)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    ran = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ran.stdout.startswith("the thread that watches files has ended: RuntimeError"), ran.stderr


NO_THREADS = """
import sys, threading
from pathlib import Path
from tokentail.sources.local import is_log_name
from tokentail.watcher import FileWatcher
from watching import HASTY, Seen, append

threading.stack_size(2**46)  # more than there is: no thread can be started
root = Path(sys.argv[1])
with FileWatcher([str(root)], is_log_name, canary=None, pace=HASTY) as watcher:
    seen = Seen(watcher)
    seen.until(lambda: seen.losses > 0)
    seen.clear()
    path = append(root / "b" / "s2.jsonl")
    seen.until_covers(path)
    print(seen.last.degraded[0])
"""


def test_process_that_was_stopped(root: Path) -> None:
    """A thread that was stopped together with the whole process does not hang."""
    words = [sys.executable, "-c", STOPPED, str(root)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    child = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    with child.stdout as said:
        assert said.readline() == "ready\n"
        os.kill(child.pid, signal.SIGSTOP)
        ends = time.monotonic() + 3 * HASTY.beat_every_s * HASTY.hung_after_beats
        while time.monotonic() < ends:
            append(root / "c" / "s2.jsonl")
        append(root / "c" / "last.jsonl")
        os.kill(child.pid, signal.SIGCONT)
        assert said.readline() == "() True\n"
    assert child.wait(30) == 0


STOPPED = """
import sys
from pathlib import Path
from watching import HASTY, NEVER_S, watching

root = Path(sys.argv[1])
pace = HASTY._replace(sweep_in_doubt_s=NEVER_S, sweep_in_calm_s=NEVER_S, answer_within_s=NEVER_S)
with watching(root, pace=pace) as seen:
    print("ready", flush=True)
    degraded = set()
    seen.until(lambda: degraded.update(seen.last.degraded) or seen.covers(root / "c" / "last.jsonl"))
    for _ in range(10):
        seen.look(0.02)
        degraded.update(seen.last.degraded)
    print(tuple(degraded), seen.last.live == "events", flush=True)
"""


# Without events


def test_polling_only(root: Path) -> None:
    """Without any events all is found, files and folders, and roots that come later."""
    later = root.parent / "later"
    with watching(root, later, pace=HASTY, open_events=no_events) as seen:
        for path in (root / "a" / "s1.jsonl", root / "b" / "c" / "s2.jsonl", later / "d" / "s3.jsonl", root / "b" / "c" / "s2.jsonl"):
            append(path)
            seen.until_covers(path)
            seen.clear()
        shutil.rmtree(root)
        seen.until_covers(root / "a" / "s1.jsonl")
