"""Scenarios about what a watcher misses, and a watcher that breaks."""

from __future__ import annotations

import mmap
import time

from faults.scene import Scene
from faults.table import scenario

F = "-app/s1.jsonl"
EVENTS = ("events",)
ITS_OWN = "it brings its own watcher"


def _many(s: Scene, rounds: int = 3) -> None:
    """Appends, new folders and renames, each of which must be noticed."""
    for number in range(rounds):
        s.append(F, 2)
        s.append(f"-new{number}/deep/s.jsonl", 2)
        s.move(f"-new{number}/deep", f"-new{number}/moved")
        s.append(f"-new{number}/moved/s.jsonl", 1)
        s.caught_up()


@scenario(
    "S40",
    "the reader is stopped, more happens than the kernel keeps events of, the reader goes on",
    sizes=True,
    modes=("events", "polling", "muted"),
    why="a stopped reader",
)
def s40(s: Scene) -> None:
    s.append(F, 2)
    s.append("-app/s2.jsonl", 2)
    s.start()
    s.caught_up()
    s.freeze()
    if s.is_full:
        names = [f"-p{number % 50}/s{number}.jsonl" for number in range(10_000)]
        s.write_many(names, [s.lines() for _ in names])
    with s.path(F).open("ab", buffering=0) as one, s.path("-app/s2.jsonl").open("ab", buffering=0) as other:
        for _ in range(9000):  # one event after the other, of which no two are the same
            one.write(b"\n")
            other.write(b"\n")
    names = [f"-late{number}/a/s.jsonl" for number in range(20)]
    s.write_many(names, [s.lines() for _ in names])
    s.thaw()
    s.caught_up()
    s.write_many(names, [s.lines() for _ in names])


@scenario("S41", "the limit of watches: 20, for 60 folders at the start and 40 more later", modes=EVENTS, why=ITS_OWN, needs="namespaces")
def s41(s: Scene) -> None:
    s.options = ["--watcher", "limited"]
    names = [f"-p{number}/s.jsonl" for number in range(60)]
    s.write_many(names, [s.lines() for _ in names])
    s.start(before=_limited("max_inotify_watches", 20))
    s.wait_for_words("cannot be watched")
    names += [f"-q{number}/s.jsonl" for number in range(40)]
    s.write_many(names, [s.lines() for _ in names])
    s.caught_up()
    s.write_many(names, [s.lines() for _ in names])


@scenario("S42", "no instance of inotify is left", modes=EVENTS, why=ITS_OWN, needs="namespaces")
def s42(s: Scene) -> None:
    s.options = ["--watcher", "limited"]
    s.append(F, 2)
    s.start(before=_limited("max_inotify_instances", 0))
    s.wait_for_words("there are no file events: ")
    _many(s)


def _limited(name: str, limit: int) -> list[str]:
    return ["unshare", "-Ur", "sh", "-c", f'echo {limit} > /proc/sys/user/{name}; exec "$@"', "sh"]


@scenario("S43", "the thread that watches breaks, again and again", modes=EVENTS, why=ITS_OWN)
def s43(s: Scene) -> None:
    s.options = ["--watcher", "dying"]
    s.start()
    _many(s)
    s.wait_for_words("the thread that watches files has ended: RuntimeError: broken on purpose; files are polled")


@scenario("F32", "the thread that watches hangs", modes=EVENTS, why=ITS_OWN)
def f32(s: Scene) -> None:
    s.options = ["--watcher", "hanging"]
    s.start()
    _many(s)
    s.wait_for_words("the thread that watches files hangs; files are polled")


@scenario("F31", "events never arrive: the canary finds out, and files are polled", modes=EVENTS, why=ITS_OWN)
def f31(s: Scene) -> None:
    s.options = ["--watcher", "deaf"]
    s.start()
    _many(s)
    s.wait_for_words("file events do not arrive; files are polled")


@scenario("F33", "events twice, late, out of order, and of places that are not there", modes=EVENTS, why=ITS_OWN)
def f33(s: Scene) -> None:
    s.options = ["--watcher", "noisy"]
    s.start()
    _many(s, 6)


@scenario("S44", "written through a memory map, a hard link outside, the target of a link outside", rescans=True)
def s44(s: Scene) -> None:
    s.append(F, 1)
    hard, target = s.outside / "hard.jsonl", s.outside / "target.jsonl"
    s.link(F, hard)
    target.write_bytes(s.lines())
    s.symlink(target, "-app/link.jsonl")
    s.start()
    for _ in range(3):
        for path in (hard, target):
            with path.open("ab") as log:
                log.write(s.lines())
            s.caught_up()
        _append_by_map(s, "-app/mapped.jsonl")
        s.caught_up()


def _append_by_map(s: Scene, name: str) -> None:
    """Room is made first, which makes an event; what is written into it makes none."""
    data = s.lines()
    path = s.path(name)
    size = path.stat().st_size if path.exists() else 0
    s.write(name, b"\0" * len(data))
    s.caught_up()
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[size:] = data
        memory.flush()


@scenario("S45", "clocks: a file's time goes back, stands still, lies ahead")
def s45(s: Scene) -> None:
    s.append(F, 1)
    s.start()
    still = s.path(F).stat().st_mtime_ns
    hour = 3600 * 10**9
    for moment in (still, still - hour, still, time.time_ns() + 24 * hour, 0, still + 1):
        s.append(F, 1)
        s.stamp(F, moment)
        s.caught_up()
    s.append(F, 1)


@scenario("S46", "two appends in one second, then silence", sizes=True)
def s46(s: Scene) -> None:
    s.start()
    for number in range(s.times(3, 12)):
        s.append(f"-app/s{number}.jsonl", 1)
        s.append(f"-app/s{number}.jsonl", 1)
        s.caught_up()
        s.append(f"-app/s{number}.jsonl", 1)


@scenario("F48", "rotated faster than anybody looks", oracle="⊆")
def f48(s: Scene) -> None:
    s.start()
    s.append(F, 1)
    for number in range(60):  # no two are of one size: in one tick of the file system's clock they would be one to anybody
        s.path(F).write_bytes(s.lines(pad=number))
        s.path(F).replace(s.path(f"{F}.1"))
    s.append(F, 1)
