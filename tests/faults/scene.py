"""What a scenario of the fault suite acts on: a tree of logs, a reader, and what must have been counted in the end."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from faults.processes import Nursery, Process, wait_until
from faults.reader import NOBODY
from logs import line
from tokentail.database import store_path
from tokentail.sources.local import is_log_name

DEADLINE_S = 60.0
_PAUSES_S = (0.0, 0.003, 0.01, 0.03, 0.06)  # from a step to the end of the reader: before, while and after it is read
_KNOWN = "SELECT path, inode, size_bytes, mtime_ns, ctime_ns FROM files WHERE state != 'rewritten'"


class Scene:
    """
    The writer's hands.

    Whatever changes the tree is a step. In the mode `killed` the reader is killed after each step, and started again.
    """

    def __init__(self, nursery: Nursery, mode: str, *, is_full: bool = False, seed: str = "", within_s: float = DEADLINE_S) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tokentail-faults-"))
        self.folder.chmod(0o755)  # for readers who are nobody
        self.logs, self.outside, self.home = (self.folder / name for name in ("logs", "outside", "home"))
        for path in (self.logs, self.outside, self.home):
            path.mkdir()
        self.home.chmod(0o777)
        self.store = store_path(self.home, [self.logs])
        self.mode = mode
        self.is_full = is_full
        self.expected: dict[str, int] = {}  # id and output
        self.perhaps: dict[str, int] = {}  # may be counted as well
        self.options: list[str] = []  # of the reader
        self.codes = {0}  # it may end with
        self.reader: Process | None = None
        self._nursery = nursery
        self._within_s = within_s
        self._rng = random.Random(seed)
        self._numbers = 0
        self._named = self._forked = 0
        self._pens: list[Pen] = []
        self._processes: list[Process] = []

    def times(self, few: int, many: int) -> int:
        """How often: few times in `make test`, many in `make test-all`."""
        return many if self.is_full else few

    # What is written

    def lines(self, count: int = 1, *, pad: int = 0) -> bytes:
        """New lines, each of a reply of its own that must be counted in the end."""
        return b"".join(self.line(pad=pad) for _ in range(count))

    def line(self, *, pad: int = 0, id: str | None = None, output: int | None = None) -> bytes:
        self._numbers += 1
        name, count = id or f"m{self._numbers}", self._numbers if output is None else output
        self.expected[name] = max(count, self.expected.get(name, 0))
        return line(name, count, content="x" * pad if pad else None, cwd="/home/dev/app")

    def uncounted(self, count: int = 1, *, pad: int = 0) -> bytes:
        """New lines that nobody can count."""
        before = dict(self.expected)
        written = self.lines(count, pad=pad)
        self.expected = before
        return written

    def optional(self, count: int = 1) -> bytes:
        """New lines that may be counted or not: nobody can say when somebody looked."""
        before = dict(self.expected)
        written = self.lines(count)
        self.perhaps |= {name: output for name, output in self.expected.items() if name not in before}
        self.expected = before
        return written

    def fresh(self, stem: str) -> str:
        """A name that nothing has had yet."""
        self._named += 1
        return f"{stem}{self._named}"

    def path(self, name: str) -> Path:
        return self.logs / name

    def append(self, name: str, count: int = 1, *, pad: int = 0) -> None:
        """Append so many new lines, in one write."""
        self.write(name, self.lines(count, pad=pad))

    def write(self, name: str, data: bytes) -> None:
        """Append bytes."""
        self._append(name, data)
        self._step()

    def write_many(self, names: Sequence[str], data: Sequence[bytes]) -> None:
        """Append to each file its bytes: one step."""
        for name, each in zip(names, data, strict=True):
            self._append(name, each)
        self._step()

    def put(self, name: str, data: bytes) -> None:
        """Cut a file to nothing and write it anew, in place."""
        self.path(name).parent.mkdir(parents=True, exist_ok=True)
        self.path(name).write_bytes(data)
        self._step()

    def put_within(self, name: str, data: bytes, at: int = 0) -> None:
        """Overwrite bytes in place."""
        with self.path(name).open("r+b") as file:
            file.seek(at)
            file.write(data)
        self._step()

    def replace(self, name: str, data: bytes) -> None:
        """Put another file in its place, at once."""
        fresh = self.path(name).with_name("fresh.tmp")
        fresh.write_bytes(data)
        fresh.replace(self.path(name))
        self._step()

    def truncate(self, name: str, size: int = 0) -> None:
        os.truncate(self.path(name), size)
        self._step()

    def pen(self, name: str, *, appends: bool = True) -> Pen:
        """A writer that keeps its file open, and its place in it unless it appends."""
        pen = Pen(self, self.path(name), appends)
        self._pens.append(pen)
        return pen

    # What happens to files and folders

    def move(self, name: str | Path, to: str | Path) -> None:
        """Paths are those of other places."""
        (self.logs / to).parent.mkdir(parents=True, exist_ok=True)
        (self.logs / name).rename(self.logs / to)
        self._step()

    def copy(self, name: str, to: str) -> None:
        shutil.copyfile(self.path(name), self.path(to))
        self._step()

    def remove(self, name: str) -> None:
        path = self.path(name)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
        self._step()

    def link(self, target: str | Path, name: str | Path) -> None:
        os.link(self.logs / target, self.logs / name)
        self._step()

    def symlink(self, target: str | Path, name: str) -> None:
        """Put a link there, or turn the one that is there."""
        fresh = self.logs / "link.tmp"
        fresh.symlink_to(self.logs / target)
        fresh.replace(self.path(name))
        self._step()

    def chmod(self, name: str, mode: int) -> None:
        self.path(name).chmod(mode)
        self._step()

    def stamp(self, name: str, mtime_ns: int) -> None:
        os.utime(self.path(name), ns=(mtime_ns, mtime_ns))
        self._step()

    # What happens to the reader

    def start(self, *, before: Sequence[str] = (), waits: bool = True) -> None:
        """Start a reader, with `before` its command; `waits` until it has said that it is ready."""
        self.reader = self.another(before=before, waits=waits)

    def another(self, *, before: Sequence[str] = (), waits: bool = True) -> Process:
        argv = ["--source", str(self.logs), "--store", str(self.store), *self.options]
        files = self._files("reader")
        reader = self._nursery.start(before, argv, files) if before else self._nursery.fork("reader", argv, self.home, files)
        self._processes.append(reader)
        if waits:
            self._wait_until_ready(reader)
        return reader

    def stop(self) -> None:
        """End the reader as a person does."""
        if self.reader is not None:
            self._wait_until_ready(self.reader)  # before that it does not know what a signal means
            code = self.reader.end(signal.SIGTERM, self._within_s)
            assert code in self.codes, f"it ended with {code}: {self.reader.said}"
            self.reader = None

    def kill(self) -> None:
        if self.reader is not None:
            self.reader.end(signal.SIGKILL, self._within_s)
            self.reader = None

    def freeze(self) -> None:
        assert self.reader is not None
        self.reader.send(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.reader is not None
        self.reader.send(signal.SIGCONT)

    def wait(self, is_so: Callable[[], object], what: Callable[[], str]) -> None:
        wait_until(is_so, self._within_s, what)

    def wait_for_words(self, words: str) -> None:
        """Until the reader has said so on its stderr."""
        reader = self.reader
        assert reader is not None
        self.wait(lambda: words in reader.said, lambda: f"it has not said {words!r} but {reader.said!r}")

    def caught_up(self) -> None:
        """Wait until the store knows each log as it is now, and the file system's clock has gone on: it may stand still for 4 ms."""
        self.wait(lambda: not self._unknown(), lambda: f"not read: {_some(self._unknown())}; {self.reader and self.reader.said}")
        then_ns = self._now_ns()
        self.wait(lambda: self._now_ns() > then_ns, lambda: "the clock stands still")

    def wait_until_told(self, reader: Process | None) -> None:
        """Until a feed has told of all that was written, and of nothing else."""
        assert reader is not None
        wanted = Counter(self.expected.items())
        self.wait(
            lambda: _all(reader) - Counter(self.perhaps.items()) == wanted,
            lambda: f"told is not what was written: {_difference(wanted, _all(reader))}; {reader.said}",
        )

    def _now_ns(self) -> int:
        """By the file system's clock."""
        path = self.folder / "clock"
        path.write_bytes(b"")
        return path.stat().st_mtime_ns

    def known_offset(self, name: str) -> int:
        """Where its cursor stands in the store."""
        with self._db() as db:
            inode = self.path(name).stat().st_ino
            return int(db.execute("SELECT offset_bytes FROM files WHERE state = 'live' AND inode = ?", (inode,)).fetchone()[0])

    def rejects(self) -> int:
        with self._db() as db:
            return int(db.execute("SELECT sum(malformed_lines) FROM files").fetchone()[0])

    def run(self, *words: str) -> tuple[int | None, str, str]:
        """A command of tokentail on this place: its exit code, output and messages."""
        argv = [words[0], "--source", str(self.logs), *words[1:]]
        process = self._nursery.fork("command", argv, self.home, self._files(words[0]))
        self._processes.append(process)
        return process.wait(self._within_s), process.output, process.said

    # The end

    def finish(self, oracle: str, *, settles: bool = True) -> None:
        """The feed, the report and the full re-read must agree, and with what was written: all of it (=), or a part (⊆)."""
        if self.reader is None:
            self.start()
        reader = self.reader
        assert reader is not None
        if settles:
            self.caught_up()
        told = self._told(reader, oracle)
        self.stop()
        code, out, err = self.run("daily", "--json")
        assert code in self.codes, err
        totals = json.loads(out)["totals"]
        assert (totals["replies"], totals["output_tokens"]) == (sum(told.values()), sum(output for _, output in told.elements()))
        code, out, err = self.run("verify")
        assert code in self.codes, out + err
        assert "The store and the logs agree." in out

    def close(self) -> None:
        for pen in self._pens:
            pen.close()
        for process in self._processes:
            process.end(signal.SIGKILL, self._within_s)
        shutil.rmtree(self.folder)

    def _told(self, reader: Process, oracle: str) -> Counter[tuple[str, int]]:
        wanted = Counter((self.expected | self.perhaps).items())
        if oracle == "=":
            self.wait_until_told(reader)
        else:
            self.wait(lambda: len(reader.listen()) == self._count(), lambda: f"told is not what is stored; {reader.said}")
        told = _all(reader)
        assert told <= wanted, _difference(wanted, told)
        return told

    def _count(self) -> int:
        with self._db() as db:
            return int(db.execute("SELECT count(*) FROM replies").fetchone()[0])

    def _wait_until_ready(self, reader: Process) -> None:
        self.wait(lambda: "ready\n" in reader.said or not reader.is_running, lambda: f"it is not ready: {reader.said}")

    def _unknown(self) -> list[str]:
        """The logs that the store does not know as they are."""
        try:
            with self._db() as db:
                marks = [(os.fsdecode(path), *mark) for path, *mark in db.execute(_KNOWN)]
        except sqlite3.Error:  # it is being made
            return ["the store"]
        known = {*marks, *(("", *mark) for _, *mark in marks)}
        return [mark[0] or "a hard link" for mark in _marks(self.logs) if mark not in known]

    @contextlib.contextmanager
    def _db(self) -> Iterator[sqlite3.Connection]:
        """The store, opened as its reader is: files that root makes beside it would be root's for a moment."""
        is_nobody = "--nobody" in self.options and os.geteuid() == 0
        if is_nobody:
            os.seteuid(NOBODY)
        try:
            with contextlib.closing(sqlite3.connect(f"file:{self.store}?mode=rw", uri=True, timeout=5)) as db:
                yield db
        finally:
            if is_nobody:
                os.seteuid(0)

    def _append(self, name: str, data: bytes) -> None:
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as log:
            log.write(data)

    def _files(self, name: str) -> Path:
        self._forked += 1
        return self.folder / f"{name}-{self._forked}"

    def _step(self) -> None:
        if self.mode == "killed" and self.reader is not None:
            threading.Event().wait(self._rng.choice(_PAUSES_S))
            self.kill()
            self.start(waits=False)


class Pen:
    """A writer that keeps its file."""

    def __init__(self, scene: Scene, path: Path, appends: bool) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._scene = scene
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | (os.O_APPEND if appends else 0), 0o644)

    def append(self, count: int = 1) -> None:
        self.write(self._scene.lines(count))

    def write(self, data: bytes) -> None:
        os.write(self._handle, data)
        self._scene._step()

    def close(self) -> None:
        os.close(self._handle)


def _all(reader: Process) -> Counter[tuple[str, int]]:
    return Counter(reader.listen().values())


def _some(paths: list[str]) -> str:
    return f"{len(paths)} logs, {sorted(paths)[:5]}"


def _difference(wanted: Counter[tuple[str, int]], told: Counter[tuple[str, int]]) -> str:
    missing, extra = wanted - told, told - wanted
    return f"{missing.total()} are missing {sorted(missing)[:5]}, {extra.total()} are too many {sorted(extra)[:5]}"


def _marks(logs: Path) -> Iterator[tuple[str, int, int, int, int]]:
    """What a store knows each log by; of hard links it may know either name, so none is given here."""
    for folder, _, names in os.walk(logs):
        for name in filter(is_log_name, names):
            path = os.path.join(folder, name)
            with contextlib.suppress(OSError):
                if os.path.isfile(path):
                    status = os.stat(path)
                    real = os.path.realpath(path) if status.st_nlink == 1 else ""
                    yield real, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
