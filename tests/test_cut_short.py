"""A log that is cut short while it is read: nobody dies of it, and what is counted is what was written."""

from __future__ import annotations

import gzip
import os
import random
import subprocess
import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest

from logs import DEADLINE_S, coordinator, line, lines
from tokentail.coordinator import UpdateCoordinator
from tokentail.model import LogFile
from tokentail.parser import BUFFER_BYTES
from tokentail.recount import recount
from tokentail.sources import LocalFolders
from tokentail.verify import verify

TESTS = Path(__file__).resolve().parent
LOG = Path("logs", "-home-dev-app", "s1.jsonl")
LONG_TEXT = "x" * 2_000
LINES = 4 * BUFFER_BYTES // len(LONG_TEXT)  # several reads' worth
NEW = 1_000_000  # from this number on replies are written after the cut

# Follows, or passes without an end, until its input is closed, and then looks once more.
READER = """
import sys, threading
from pathlib import Path
from logs import coordinator
root, how = Path(sys.argv[1]), sys.argv[2]
reader, stop = coordinator(root), threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
looks = reader.follow(stop) if how == "follow" else iter(lambda: None if stop.is_set() else reader.check_for_updates(), None)
for number, _ in enumerate(looks):
    if number == 0:
        print("reading", flush=True)
reader.check_for_updates()
reader.close()
"""

# Cuts the log at a place by chance and writes on, in pieces that end anywhere.
WRITER = """
import os, random, sys
from test_cut_short import long_lines
path, rounds, rng = sys.argv[1], int(sys.argv[2]), random.Random(3)
with open(path, "r+b", buffering=0) as log:
    for number in range(rounds):
        log.truncate(rng.choice((0, rng.randrange(os.path.getsize(path) + 1))))
        log.seek(0, os.SEEK_END)
        data = b"\\n" + long_lines(number * 1000, number * 1000 + 999)
        while data:
            size = rng.randrange(1, 300_000)
            log.write(data[:size])
            data = data[size:]
"""


class Cutting(LocalFolders):
    """Folders whose logs are cut by another hand between two reads, and maybe written to again."""

    def __init__(self, folder: Path, *, after_reads: int, to_bytes: int, then: bytes) -> None:
        super().__init__([folder])
        self._reads_left = after_reads
        self._to_bytes = to_bytes
        self._then = then
        self.mapped: list[str] = []

    def read_into(self, file: LogFile, start_bytes: int, buffer: memoryview) -> int:
        size = super().read_into(file, start_bytes, buffer)
        self.mapped += maps_of_logs()
        self._reads_left -= 1
        if self._reads_left == 0:
            os.truncate(file.path, self._to_bytes)
            with open(file.path, "ab") as log:
                log.write(self._then)
        return size


def maps_of_logs() -> list[str]:
    """The logs that are mapped into this process."""
    return [row for row in Path("/proc/self/maps").read_text().splitlines() if ".jsonl" in row]


def long_lines(first: int, last: int) -> bytes:
    return b"".join(line(f"msg_{number}", number, content=[{"type": "text", "text": LONG_TEXT}]) for number in range(first, last + 1))


def outputs(reader: UpdateCoordinator) -> dict[str, int]:
    return dict(reader.db.execute("SELECT key, output FROM replies"))


def as_written(numbers: Iterable[int]) -> dict[str, int]:
    return {f"msg_{number}": number for number in numbers}


def assert_exact(reader: UpdateCoordinator, source: LocalFolders) -> None:
    """What the logs hold is in the store, and each reply in it is as somebody wrote it."""
    assert verify(reader.db, recount(source)).differences == []
    assert {key: f"msg_{output}" for key, output in outputs(reader).items()} == {key: key for key in outputs(reader)}


@pytest.mark.parametrize("then", [b"", b"\n" + lines(NEW, NEW + 50)], ids=["stays short", "grows again"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("after_reads", [1, 3])
def test_cut_between_two_reads(tmp_path: Path, after_reads: int, share: float, then: bytes) -> None:
    """What was read before the cut counts, what it left and what came after it is read by the same pass or the next; no log is mapped."""
    data = long_lines(1, LINES)
    (tmp_path / LOG).parent.mkdir(parents=True)
    (tmp_path / LOG).write_bytes(data)
    source = Cutting(tmp_path / "logs", after_reads=after_reads, to_bytes=int(len(data) * share), then=then)

    with closing(coordinator(tmp_path, source=source)) as reader:
        for _ in range(2):
            assert reader.check_for_updates().problems == []

        assert_exact(reader, source)
        assert source.mapped == []
        read_before = after_reads * BUFFER_BYTES // (len(data) // LINES) - 10
        assert as_written(range(1, read_before)).items() <= outputs(reader).items()
        assert as_written(range(NEW, NEW + 51)).items() <= outputs(reader).items() or not then


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_compressed_log_is_cut_between_two_reads(tmp_path: Path, share: float) -> None:
    """It ends where it was cut, no map is made of it, and what was read before counts."""
    rng = random.Random(1)
    data = b"".join(line(f"msg_{number}", number, uuid=rng.randbytes(400).hex()) for number in range(1, 4_000))
    packed = gzip.compress(data)
    path = tmp_path / LOG.with_suffix(".jsonl.gz")
    path.parent.mkdir(parents=True)
    path.write_bytes(packed)
    source = Cutting(tmp_path / "logs", after_reads=1, to_bytes=int(len(packed) * share), then=b"")

    with closing(coordinator(tmp_path, source=source)) as reader:
        for _ in range(2):
            reader.check_for_updates()

        assert_exact(reader, source)
        assert source.mapped == []
        assert as_written(range(1, 800)).items() <= outputs(reader).items()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["follow", "passes"])
def test_another_process_cuts_and_fills_without_an_end(tmp_path: Path, how: str) -> None:
    """A reader beside a writer that cuts its log at every moment ends as it should, and has counted right."""
    rounds = 60
    (tmp_path / LOG).parent.mkdir(parents=True)
    (tmp_path / LOG).write_bytes(lines(1, 1000))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *filter(None, sys.path)])}
    words = [sys.executable, "-c", READER, str(tmp_path), how]
    with subprocess.Popen(words, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "reading\n"
            subprocess.run(
                [sys.executable, "-c", WRITER, str(tmp_path / LOG), str(rounds)], env=environment, check=True, timeout=DEADLINE_S
            )
            process.communicate(timeout=DEADLINE_S)
        finally:
            process.kill()
    assert process.returncode == 0

    source = LocalFolders([tmp_path / "logs"])
    with closing(coordinator(tmp_path, source=source)) as reader:
        assert reader.check_for_updates().metrics.files_read == 0
        assert_exact(reader, source)
        last = (rounds - 1) * 1000
        assert as_written(range(last, last + 1000)).items() <= outputs(reader).items()
        assert outputs(reader).items() <= as_written(range(rounds * 1000 + 1)).items()
