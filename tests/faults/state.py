"""Scenarios about the store, several processes, and an end at any moment."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from faults.scene import Scene
from faults.table import scenario

F = "-app/s1.jsonl"
G = "-app/s2.jsonl"
ONCE = ("events",)
NOT_WATCHING = "how files are watched does not matter to it"


@scenario(
    "S13",
    "killed right after a commit, again and again, while lines stream in",
    modes=("events", "polling", "muted"),
    why="it kills by itself",
    sizes=True,
)
def s13(s: Scene) -> None:
    pieces = [s.lines(10) for _ in range(s.times(60, 400))]

    def stream() -> None:
        for number, piece in enumerate(pieces):
            with s.path(f"-app/s{number % 3}.jsonl").open("ab") as log:
                log.write(piece[:500])
                log.flush()
                log.write(piece[500:])
            threading.Event().wait(0.01)

    s.append(F, 1)
    writer = threading.Thread(target=stream)
    s.start()
    writer.start()
    while writer.is_alive():
        _wait_for_commit(s, writer)
        s.kill()
        s.start(waits=False)
    writer.join()


def _wait_for_commit(s: Scene, writer: threading.Thread) -> None:
    """Without a pause: what comes next must not get far."""
    with contextlib.closing(sqlite3.connect(s.store)) as db:
        version = before = db.execute("PRAGMA data_version").fetchone()
        while version == before and writer.is_alive():
            version = db.execute("PRAGMA data_version").fetchone()


@scenario("S49", "the store is missing, rubbish, or of a newer tokentail when the reader starts", modes=ONCE, why=NOT_WATCHING)
def s49(s: Scene) -> None:
    s.append(F, 4)
    s.start()
    s.caught_up()
    s.stop()
    for path in s.home.glob("*"):
        if path.is_file():
            path.unlink()
    s.start()
    s.caught_up()
    s.stop()
    s.store.write_bytes(os.urandom(9000))
    s.start()
    s.wait_for_words("the store was damaged")
    s.append(F, 1)
    s.caught_up()
    s.stop()
    with contextlib.closing(sqlite3.connect(s.store)) as db:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        db.execute("PRAGMA user_version = 99")
        refused = s.another()
        assert refused.wait(30) == 1
        assert "was written by a newer tokentail" in refused.said
        db.execute(f"PRAGMA user_version = {version}")


# A disk of 600 KiB besides what fills it; when `room` is made that goes, and in the end the store is copied out.
SMALL_DISK = """
mount -t tmpfs -o size=16m none "$0" && cd "$0" && head -c 15784k /dev/zero > filler || exit 99
(until [ -e "$ROOM" ]; do sleep 0.02; done; rm filler) &
"$@" & reader=$!
trap 'kill "$reader"' TERM
wait "$reader"; wait "$reader"; code=$?
cp store.db "$HOME_OF_STORE"; exit "$code"
"""


@scenario("F37", "the disk of the store is full while it is followed, and has room again", modes=ONCE, why=NOT_WATCHING, needs="namespaces")
def f37(s: Scene) -> None:
    disk, room = s.folder / "disk", s.folder / "room"
    disk.mkdir()
    s.append(F, 1)
    argv = ["env", f"HOME_OF_STORE={s.home}", f"ROOM={room}", "unshare", "-Urm", "sh", "-c", SMALL_DISK, str(disk)]
    store, s.store = s.store, disk / "store.db"
    s.start(before=argv)
    s.append(F, 1)
    s.wait_until_told(s.reader)
    s.write(F, s.lines(6000))
    s.wait_for_words("cannot write the store")
    s.append(G, 10)
    s.move(F, s.outside / "gone.jsonl")  # its reader holds it, and has read what it could not keep
    room.touch()
    s.wait_for_words("the store can be written again")
    s.append(G, 1)
    s.wait_until_told(s.reader)
    assert s.reader is not None
    assert s.reader.said.count("cannot write the store") == 1
    assert "nothing that was counted before is lost" in s.reader.said
    s.stop()
    s.store = store
    s.home.joinpath("store.db").rename(store)
    with contextlib.closing(sqlite3.connect(store)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@scenario("F38", "the store may not be written for a while", modes=ONCE, why=NOT_WATCHING)
def f38(s: Scene) -> None:
    s.options += ["--nobody"]
    s.append(F, 1)
    s.start()
    other = s.another()
    for _ in range(2):
        _forbid(s.home, 0o555, 0o444)
        s.append(F, 2)
        s.append(G, 2)
        s.wait_for_words("cannot write the store")
        _forbid(s.home, 0o777, 0o666)
        s.wait_until_told(s.reader)
        s.wait_until_told(other)
        s.wait_for_words("the store can be written again")
    assert other.end(signal.SIGTERM, 30) == 0


@scenario("F38-damage", "the store is overwritten, and then deleted, while two follow it", modes=ONCE, why=NOT_WATCHING)
def f38_damage(s: Scene) -> None:
    s.append(F, 20)
    s.start()
    other = s.another()
    for _ in range(2):
        s.store.write_bytes(os.urandom(9000))
        s.append(F, 2)
        s.append(G, 2)
        for reader in (s.reader, other):
            s.wait_until_told(reader)
    for path in s.home.glob(f"{s.store.name}*"):
        if path.suffix != ".leader" and path.is_file():
            path.unlink()
    s.append(F, 2)
    for reader in (s.reader, other):
        s.wait_until_told(reader)
    s.append(G, 2)
    s.wait_until_told(other)
    assert other.end(signal.SIGTERM, 30) == 0


def _forbid(home: Path, folder: int, file: int) -> None:
    home.chmod(folder)
    for path in home.iterdir():
        path.chmod(folder if path.is_dir() else file)


@scenario(
    "S50",
    "two readers on one store, a long read in a third, the first one killed, the second one stopped",
    modes=("events", "polling", "muted"),
    why="it kills by itself",
)
def s50(s: Scene) -> None:
    s.append(F, 3)
    s.start()
    other = s.another()
    with contextlib.closing(sqlite3.connect(s.store, isolation_level=None)) as db:
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM replies").fetchone()
        s.append(F, 3)
        s.append(G, 3)
        s.caught_up()
        for reader in (s.reader, other):
            s.wait_until_told(reader)
    s.kill()
    s.append(F, 2)
    s.caught_up()
    other.send(signal.SIGSTOP)
    s.start()
    s.append(G, 2)
    s.wait_for_words("has not been heard of since")
    s.caught_up()
    other.send(signal.SIGCONT)
    s.append(F, 2)
    s.caught_up()
    s.wait_until_told(other)
    assert other.end(signal.SIGTERM, 30) == 0


@scenario("S51", "the store is put back from an older backup", modes=ONCE, why=NOT_WATCHING)
def s51(s: Scene) -> None:
    s.append(F, 5)
    s.start()
    s.caught_up()
    s.stop()
    backup = s.folder / "backup"
    shutil.copytree(s.home, backup)
    s.append(F, 5)
    s.append(G, 5)
    s.start()
    s.caught_up()
    s.stop()
    shutil.rmtree(s.home)
    shutil.copytree(backup, s.home)
    s.move(G, "-app/s3.jsonl")
    s.append(F, 2)


@scenario("S52", "many logs at once, and a backlog while others are appended to", sizes=True)
def s52(s: Scene) -> None:
    names = [f"-p{number % 100}/s{number}.jsonl" for number in range(s.times(300, 4_000))]
    s.write_many(names, [s.lines(s.times(3, 10)) for _ in names])
    s.start(waits=False)
    large = s.lines(s.times(2_000, 15_000), pad=1000)
    for number in range(3):
        s.write(f"-large/s{number}.jsonl", large)
    for name in names[:20]:
        s.append(name, 1)


@scenario("F45", "who reads the feed does not read for a while", modes=ONCE, why="the feed's pipe is what matters")
def f45(s: Scene) -> None:
    pipe = s.folder / "reader-2.out"
    s.append(F, 1)
    s.start()
    os.mkfifo(pipe)
    keeper = os.open(pipe, os.O_RDWR)
    other = s.another(waits=False)
    try:
        for _ in range(10):
            s.append(F, 200)
        s.caught_up()
        told: dict[str, int] = {}
        _drain(s, keeper, told)
        assert told == s.expected
    finally:
        other.end(signal.SIGKILL, 30)
        os.close(keeper)


def _drain(s: Scene, handle: int, told: dict[str, int]) -> None:
    os.set_blocking(handle, False)
    rest = b""

    def is_all() -> bool:
        nonlocal rest
        with contextlib.suppress(BlockingIOError):
            rest += os.read(handle, 1 << 16)
        *whole, rest = rest.split(b"\n")
        for line in whole:
            change = json.loads(line)
            told[change["id"]] = change["output_tokens"]
        return len(told) == len(s.expected)

    s.wait(is_all, lambda: f"{len(told)} of {len(s.expected)} were told")


@scenario("F46", "thousands of appends a second over many logs", sizes=True)
def f46(s: Scene) -> None:
    names = [f"-p{number % 20}/s{number}.jsonl" for number in range(s.times(50, 500))]
    s.start()
    for _ in range(s.times(5, 20)):
        s.write_many(names, [s.lines() for _ in names])


@scenario("S56", "anything in any order", sizes=True)
def s56(s: Scene) -> None:
    for seed in range(s.times(1, 6)):
        rng = random.Random(seed)
        if s.reader is None:
            s.start()
        for _ in range(s.times(40, 120)):
            _any_step(s, rng)
        s.caught_up()


def _any_step(s: Scene, rng: random.Random) -> None:
    """Whatever destroys lines happens when they were read; whatever does not, at any moment."""
    there = sorted(path.relative_to(s.logs).as_posix() for path in s.logs.rglob("*.jsonl") if path.is_file())
    name = f"-p{rng.randrange(3)}/{rng.choice(('', 'sub/'))}s{rng.randrange(3)}.jsonl"
    old = rng.choice(there) if there else None
    if old is None or rng.random() < 0.5:
        half = s.lines(rng.randrange(1, 4), pad=rng.choice((0, 0, 1500)))
        cut = rng.randrange(len(half))
        s.write(name, half[:cut])
        s.write(name, half[cut:])
        return
    harmless: list[Callable[[], None]] = [
        lambda: s.copy(old, f"{old[:-6]}-copy{rng.randrange(9)}.jsonl"),
        lambda: s.kill() or s.start(waits=False),  # type: ignore[func-returns-value]  # one after the other
        lambda: s.stop() or s.start(waits=False),  # type: ignore[func-returns-value]  # one after the other
        lambda: s.stamp(old, rng.randrange(2**60)),
    ]
    if not s.path(name).exists():
        harmless.append(lambda: s.move(old, name))
    harmful: list[Callable[[], None]] = [
        lambda: s.truncate(old, 0),
        lambda: s.put(old, s.lines(rng.randrange(3), pad=rng.choice((0, 1500)))),
        lambda: s.replace(old, s.lines(2)),
        lambda: s.remove(old),
        lambda: s.move(old, s.outside / s.fresh("away")),
        lambda: s.move(os.path.dirname(old), s.fresh("-q")),
    ]
    if rng.random() < 0.5:
        rng.choice(harmless)()
    else:
        s.caught_up()
        rng.choice(harmful)()
