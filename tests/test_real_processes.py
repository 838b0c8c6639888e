"""Tokentail as a process: pipes, signals, several at once, and an end at any moment."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from logs import line, lines
from tokentail import prices, queries
from tokentail.coordinator import UpdateCoordinator
from tokentail.demo.live import LiveWriter, Mishaps
from tokentail.model import Counts
from tokentail.recount import recount
from tokentail.sources import LocalFolders
from tokentail.verify import verify

SOURCE = Path(__file__).resolve().parents[1] / "src"
DEADLINE_S = 30.0


class Place:
    """A home folder, and `tokentail` as a command that reads and keeps what is in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.logs = path / ".claude" / "projects"
        self.logs.mkdir(parents=True)
        kept = {name: value for name, value in os.environ.items() if name not in ("CLAUDE_CONFIG_DIR", "XDG_CONFIG_HOME", "COLUMNS")}
        self.environment = {
            **kept,
            "HOME": str(path),
            "TOKENTAIL_HOME": str(path / "store"),
            "PYTHONPATH": str(SOURCE),
            "TZ": "UTC",
            "PYTHONWARNINGS": "error",
        }

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "tokentail", *words]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*words), env=self.environment, capture_output=True, text=True, timeout=DEADLINE_S, check=False)

    def shell(self, script: str) -> subprocess.CompletedProcess[str]:
        """A script in which $TOKENTAIL is the command."""
        environment = {**self.environment, "TOKENTAIL": f"{sys.executable} -m tokentail"}
        return subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=DEADLINE_S, check=False)

    def append(self, name: str, data: bytes) -> None:
        path = self.logs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as log:
            log.write(data)

    def totals(self) -> dict[str, Any]:
        ran = self.run("daily", "--json")
        assert (ran.returncode, ran.stderr) == (0, "")
        totals: dict[str, Any] = json.loads(ran.stdout)["totals"]
        return totals


@pytest.fixture(name="place")
def fixture_place(tmp_path: Path) -> Place:
    return Place(tmp_path / "home")


class Feed:
    """A running `tokentail feed --json`, and what it has said so far."""

    def __init__(self, place: Place, *words: str) -> None:
        self.process = subprocess.Popen(
            place.command("feed", "--json", *words), env=place.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.lines: list[dict[str, Any]] = []
        self.errors: list[str] = []
        self._threads = [threading.Thread(target=self._listen), threading.Thread(target=self._listen_to_errors)]
        for thread in self._threads:
            thread.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for written in self.process.stdout:
            self.lines.append(json.loads(written))

    def _listen_to_errors(self) -> None:
        assert self.process.stderr is not None
        for written in self.process.stderr:
            self.errors.append(written)

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        until = time.monotonic() + DEADLINE_S
        while not is_so():
            assert time.monotonic() < until, f"it did not come: {self.errors}"
            threading.Event().wait(0.01)

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(DEADLINE_S)
        for thread in self._threads:
            thread.join()
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.process.stdout.close()
        self.process.stderr.close()
        return code


@contextlib.contextmanager
def feeding(place: Place, *words: str) -> Iterator[Feed]:
    feed = Feed(place, *words)
    try:
        feed.wait_until(lambda: "ready\n" in feed.errors)
        yield feed
    finally:
        if feed.process.poll() is None:
            feed.end(signal.SIGKILL)


# Pipes and signals


@pytest.mark.parametrize(
    "words", ["daily", "daily --json", "daily --csv", "daily --no-store", "verify", "feed --json --since 2026-01-01", "--help", ""]
)
def test_reader_that_goes_away(words: str, place: Place) -> None:
    """`tokentail daily | head -0` ends quietly: no traceback, no message, no error."""
    for number in range(40):
        place.append("-app/s1.jsonl", line(f"m{number}", number, at=f"2026-{number % 12 + 1:02}-{number % 28 + 1:02}T10:00:00.000Z"))
    ran = place.shell(f"set -o pipefail; $TOKENTAIL {words} | head -0; echo ${{PIPESTATUS[0]}}")
    assert (ran.stdout, ran.stderr.replace("ready\n", "")) == ("0\n", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize("words", ["daily", "sessions --json", "status", "verify", "config show --default"])
def test_output_on_a_full_disk(words: str, place: Place) -> None:
    """It is said in a line, with exit code 1."""
    place.append("-app/s1.jsonl", lines(1, 3))
    ran = place.shell(f"$TOKENTAIL {words} > /dev/full")
    assert ran.returncode == 1
    assert ran.stderr == "tokentail: cannot go on: [Errno 28] No space left on device (is there room for the output?)\n"


def test_output_that_is_closed(place: Place) -> None:
    """Without a stdin, stdout or stderr there is nobody to tell, and no traceback either."""
    place.append("-app/s1.jsonl", lines(1, 3))
    for words in ("", "daily", "daily --json", "verify"):
        ran = place.shell(f"$TOKENTAIL {words} >&-; echo $?")
        assert (ran.stdout, ran.stderr) == ("0\n", "")
        assert place.shell(f"$TOKENTAIL {words} >/dev/null 2>&- <&-; echo $?").stdout == "0\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 0)])
def test_feed_ends_when_told(number: int, code: int, place: Place) -> None:
    """A signal ends it at once and quietly, with 0."""
    place.append("-app/s1.jsonl", lines(1, 3))
    with feeding(place) as feed:
        assert feed.end(number) == code
        assert (feed.lines, feed.errors) == ([], ["ready\n"])


def test_feed_tells_what_happens(place: Place) -> None:
    """Each line is a whole object, flushed as soon as it is committed."""
    place.append("-app/s1.jsonl", lines(1, 3))
    with feeding(place) as feed:
        place.append("-app/s1.jsonl", line("m4", 4))
        feed.wait_until(lambda: len(feed.lines) == 1)
        place.append("-app/s1.jsonl", line("m4", 40))
        feed.wait_until(lambda: len(feed.lines) == 2)
        assert feed.end() == 0
    first, second = feed.lines
    assert list(first)[:9] == ["schema", "event", "key", "id", "at", "session", "project", "agent", "model"]
    assert set(Counts._fields) <= first.keys()
    assert [(each["event"], each["key"], each["output_tokens"]) for each in (first, second)] == [("new", "m4", 4), ("grown", "m4", 40)]


def test_feed_replays_from_a_day_on(place: Place) -> None:
    """`--since` first tells what the store holds from that day on."""
    place.append("-app/s1.jsonl", line("m1", 1, at="2026-10-01T10:00:00.000Z") + line("m2", 2, at="2026-10-02T10:00:00.000Z"))
    place.run("daily")
    with feeding(place, "--since", "2026-10-02") as feed:
        feed.wait_until(lambda: bool(feed.lines))
        assert feed.end() == 0
    assert [(each["event"], each["key"]) for each in feed.lines] == [("new", "m2")]


@pytest.mark.parametrize("command", ["feed --since Neverday", "feed --timezone Nowhere/Land", "feed --source /no/such/folder"])
def test_feed_with_wrong_words(command: str, place: Place) -> None:
    """It ends at once and says why."""
    ran = place.run(*command.split())
    assert ran.returncode in (1, 2)
    assert ran.stdout == ""
    assert ran.stderr.count("\n") == 1 or "usage:" in ran.stderr


def test_sum_of_the_feed_is_the_report(place: Place) -> None:
    """The latest line of each key adds up to `tokentail daily`, whatever happened to the logs meanwhile."""
    mishaps = Mishaps(tear=0.1, rewrite=0.05, truncate=0.05, resume=0.04)
    writer = LiveWriter(place.path / ".claude", seed=21, rate_per_s=0, clock=time.time, sleep=lambda _: None, mishaps=mishaps)

    class Enough:
        left = 60

        def is_set(self) -> bool:
            self.left -= 1
            return self.left < 0

    with feeding(place, "--since", "2020-01-01") as feed:
        for _ in range(2):
            before = len(feed.lines)
            writer.run(Enough())
            writer.append_one()
            feed.wait_until(lambda before=before: len(feed.lines) > before)  # type: ignore[misc]
        writer.append_one()
        totals = place.totals()
        latest: dict[str, dict[str, Any]] = {}

        def is_told() -> bool:
            latest.clear()
            latest.update({told["key"]: told for told in list(feed.lines)})
            living = [told for told in latest.values() if told["event"] != "gone"]
            return all(sum(told[name] for told in living) == totals[name] for name in ("total_tokens", "output_tokens", "replies"))

        feed.wait_until(is_told)
        assert feed.end() == 0
    living = [told for told in latest.values() if told["event"] != "gone"]
    for name in Counts._fields[:9]:
        assert sum(told[name] for told in living) == totals[name]
    assert place.run("verify").returncode == 0


# Several at once, and an end at any moment


def test_reports_beside_a_feed(place: Place) -> None:
    """A feed that watches keeps nobody from reading, and each new line counts in the next report."""
    place.append("-app/s1.jsonl", lines(1, 3))
    with feeding(place) as feed:
        for number in range(4, 8):
            place.append("-app/s1.jsonl", lines(number, number))
            assert place.totals()["replies"] == number
        feed.wait_until(lambda: len(feed.lines) == 4)
        assert feed.end() == 0
    assert [told["key"] for told in feed.lines] == [f"msg_{number}" for number in range(4, 8)]


def test_many_at_the_same_moment(place: Place) -> None:
    """Commands that start together wait for one another, and all say the same."""
    for number in range(30):
        place.append(f"-app/s{number}.jsonl", lines(100 * number, 100 * number + 40))
    running = [
        subprocess.Popen(place.command("daily", "--json"), env=place.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    said = [process.communicate(timeout=DEADLINE_S) for process in running]
    assert [process.returncode for process in running] == [0] * 6
    assert {err for _, err in said} == {""}
    assert {json.loads(out)["totals"]["replies"] for out, _ in said} == {30 * 41}


def killed_after(place: Place, commits: int, *, during: str) -> None:
    """Run a report that is killed at its Nth commit: just before it, or just after."""
    code = f"""
import os, signal, sys
from tokentail import coordinator, store
coordinator.BATCH_RECORDS = 60
left = {commits}
apply = store.Store.apply
def counted(self, chunks):
    global left
    left -= 1
    if left == 0 and {during == "before"}:
        os.kill(os.getpid(), signal.SIGKILL)
    if left == 0 and {during == "inside"}:
        self._write_changes = lambda _: os.kill(os.getpid(), signal.SIGKILL)
    result = apply(self, chunks)
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return result
store.Store.apply = counted
from tokentail.cli import main
sys.exit(main(["daily", "--json"]))
"""
    ran = subprocess.run([sys.executable, "-c", code], env=place.environment, capture_output=True, timeout=DEADLINE_S, check=False)
    assert ran.returncode == -signal.SIGKILL, ran.stderr


@pytest.mark.parametrize("during", ["before", "inside", "after"])
@pytest.mark.parametrize("commits", [1, 2, 4])
def test_killed_at_a_commit(commits: int, during: str, place: Place) -> None:
    """Killed before a commit, in the middle of one or after it: the next run counts everything once (S13)."""
    for number in range(8):
        place.append(f"-app/s{number}.jsonl", lines(100 * number, 100 * number + 40) + line(f"msg_{100 * number}", 3))
    killed_after(place, commits, during=during)
    totals = place.totals()
    assert (totals["replies"], totals["output_tokens"]) == (8 * 41, sum(range(41)) * 8 + 100 * sum(range(8)) * 41 + 3)
    assert place.run("verify").returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_killed_at_any_moment(seed: int, place: Place) -> None:
    """Readers that are killed whenever it may be, while a writer goes on: nothing is lost, nothing is counted twice."""
    rng = random.Random(seed)
    mishaps = Mishaps(tear=0.1, rewrite=0.04, resume=0.03)
    writer = LiveWriter(place.path / ".claude", seed=seed, rate_per_s=0, clock=time.time, sleep=lambda _: None, mishaps=mishaps)

    class Enough:
        left = 0

        def is_set(self) -> bool:
            self.left -= 1
            return self.left < 0

    enough = Enough()
    for _ in range(8):
        process = subprocess.Popen(
            place.command("feed", "--json"), env=place.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        enough.left = rng.randrange(200)
        writer.run(enough)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(rng.random() * 0.8)
        process.kill()
        process.wait()
    writer.append_one()
    totals = place.totals()
    truth = writer.truth().totals
    assert (totals["replies"], totals["output_tokens"], totals["cache_read_tokens"]) == (truth.replies, truth.output, truth.cache_read)
    assert place.run("verify").returncode == 0


def test_helper_process(place: Place) -> None:
    """A backlog that two processes parse gives what one gives, and memory stays bounded."""
    text = "x" * 60_000
    for number in range(40):
        place.append(f"-app/s{number}.jsonl", b"".join(line(f"m{number}-{at}", at, content=text) for at in range(25)))
    # Asked of a process that starts nothing else: ours has had other children.
    peak = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True);"
    peak += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    command = [sys.executable, "-c", peak, *place.command("daily")]
    ran = subprocess.run(command, env=place.environment, capture_output=True, text=True, timeout=DEADLINE_S, check=True)
    totals = place.totals()
    assert (totals["replies"], totals["output_tokens"]) == (40 * 25, 40 * sum(range(25)))
    assert int(ran.stdout) < 150_000  # kilobytes
    assert place.run("verify").returncode == 0


def test_store_seen_by_another_process(place: Place) -> None:
    """What a command committed is told to who follows in another process, without looking at the logs again."""
    place.append("-app/s1.jsonl", lines(1, 1))
    live = UpdateCoordinator(LocalFolders([place.logs]), place.path / "store" / "store.db", prices=prices.load())
    with contextlib.closing(live):
        live.check_for_updates()
        place.append("-app/s1.jsonl", lines(2, 2))
        place.totals()
        update = live.check_for_updates()
        assert [(change.event, change.key) for change in update.changes] == [("new", "msg_2")]
        assert update.metrics.files_read == 0
        assert len(queries.replies_since(live.db, 0)) == 2
        assert verify(live.db, recount(LocalFolders([place.logs]))).agrees


def test_feeds_beside_a_forgetting_and_a_rebuild(place: Place) -> None:
    """Who leads and who only reads hear that replies are gone, hear nothing of a rebuild, and hear of what is written afterwards."""
    place.append("-secret/s1.jsonl", lines(1, 3))
    place.append("-app/s2.jsonl", lines(4, 5))
    place.totals()
    with feeding(place) as one, feeding(place) as other:
        assert place.run("forget", "--yes", "--project=-secret").returncode == 0
        assert place.run("rebuild").returncode == 0
        place.append("-secret/s1.jsonl", lines(1, 3) + lines(6, 6))
        gone = [("gone", f"msg_{number}") for number in (1, 2, 3)]
        for feed in (one, other):
            feed.wait_until(lambda feed=feed: len(feed.lines) == 4)  # type: ignore[misc]  # mypy does not see what a default is for
            # What is told at once comes in the order of time, and what is gone after it.
            assert sorted((line["event"], line["key"]) for line in feed.lines) == [*gone, ("new", "msg_6")]
    assert place.totals()["replies"] == 3
    assert "3 of them were forgotten on purpose" in place.run("verify").stdout


def test_bare_command_without_a_terminal(place: Place) -> None:
    """`tokentail | cat` prints the overview of today."""
    place.append("-app/s1.jsonl", lines(1, 3))
    ran = place.run()
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "7 days" in ran.stdout


def test_bare_command_without_logs(place: Place) -> None:
    """It names the folders, then shows the demo and says that it is made up; nothing of it is left behind."""
    ran = place.run()
    assert ran.returncode == 0
    assert str(place.logs) in ran.stderr
    assert "made-up" in ran.stdout
    assert list(place.logs.iterdir()) == []
