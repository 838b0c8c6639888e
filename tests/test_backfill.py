"""Tests of `tokentail.backfill` and `tokentail ingest`: many processes come to what one pass over the same logs comes to."""

from __future__ import annotations

import gzip
import multiprocessing
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import memory_store, replies_in, write_logs
from clouds import Cloud, speaking_to
from logs import DEADLINE_S, PRICES, line, lines
from tokentail import database, queries
from tokentail.backfill.crews import Crew, Work, open_crew
from tokentail.backfill.parsing import Found, parse
from tokentail.backfill.running import MOST_DEATHS, Read, back_fill
from tokentail.backfill.tasks import Shard, Task, cut, weight
from tokentail.cli import main
from tokentail.coordinator import UpdateCoordinator
from tokentail.demo.plan import TreePlan
from tokentail.demo.tree import write_tree
from tokentail.errors import TokentailError, UsageError
from tokentail.joining import join_store
from tokentail.model import LogFile, Record
from tokentail.provenance import has_elsewhere
from tokentail.sources import LocalFolders
from tokentail.sources.buckets import Buckets
from tokentail.store import Store

SMALL_BYTES = 100_000  # of a task, so that there are many


class Here:
    """Workers that are none: each task is done when it is handed out."""

    at_once = 1
    lost: tuple[type[BaseException], ...] = ()

    def submit(self, work: Work, task: Task) -> Future[Found]:
        future: Future[Found] = Future()
        try:
            future.set_result(work(task))
        except (TokentailError, MemoryError) as error:
            future.set_exception(error)
        return future

    def renew(self) -> None:
        raise AssertionError("nobody can die")


def too_large(task: Task) -> Found:
    """The work of a worker that has no room for some logs."""
    if any("deadly" in file.relative for file in task.files):
        raise MemoryError
    return parse(task)


def a_few(task: Task) -> Found:
    """The work of a worker that hands over little at once."""
    return parse(task, most_records=3)


def deadly(task: Task) -> Found:
    """The work of a worker that does not survive some logs."""
    if any("deadly" in file.relative for file in task.files):
        os.kill(os.getpid(), signal.SIGKILL)
    return parse(task)


def outdated(task: Task) -> Found:
    """The work of a worker that counts by other rules."""
    return parse(task._replace(rules=task.rules + 1))


def files_in(*folders: Path) -> list[LogFile]:
    return LocalFolders(folders).list_files().files


def filled(folder: Path, crew: Crew, *, work: Work = parse, task_bytes: int = SMALL_BYTES) -> tuple[Store, Read]:
    store = memory_store(PRICES.thresholds)
    return store, back_fill(cut(files_in(folder), task_bytes=task_bytes), crew, store.take, work=work)


Everything = tuple[object, ...]


def everything(db: sqlite3.Connection) -> Everything:
    """The replies of a store, their projects' folders, and all sums."""
    sums = [db.execute(f"SELECT sum({column}) FROM quarters").fetchone() for column in ("input", "output", "cache_read", "replies")]
    replies, folders = replies_in(db), queries.project_folders(db)
    return replies, {slug: folders.get(slug) for slug in {reply.owner.project for reply in replies.values()}}, sums


def one_pass(folder: Path) -> Everything:
    """What a store holds that reads the same logs as ever."""
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "store.db"
        with closing(UpdateCoordinator(LocalFolders([folder]), path, prices=PRICES)) as live:
            live.check_for_updates()
            return everything(live.db)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Logs as they are found, some of them compressed."""
    folder = tmp_path_factory.mktemp("tree")
    write_tree(folder, TreePlan(total_bytes=3_000_000, files=40, dirty=True))
    for number, path in enumerate(sorted(folder.rglob("*.jsonl"))):
        if number % 7 == 0:
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
    return folder


@pytest.fixture(scope="module")
def expected(tree: Path) -> Everything:
    return one_pass(tree)


# Tasks


def sized(name: str, size: int) -> LogFile:
    return LogFile(f"/logs/{name}", "/logs", name, 1, 1, size, 0, 0)


@given(st.lists(st.integers(0, 300), max_size=30))
def test_every_log_is_in_one_task(sizes: list[int]) -> None:
    """Tasks hold no more than they may, unless one log does; the largest come first."""
    files = [sized(f"p/{number}.jsonl", size) for number, size in enumerate(sizes)]
    tasks = cut(files, task_bytes=200)
    assert sorted(file for task in tasks for file in task.files) == sorted(files)
    weights = [sum(map(weight, task.files)) for task in tasks]
    assert all(size <= 200 or len(task.files) == 1 for size, task in zip(weights, tasks, strict=True))
    assert weights == sorted(weights, reverse=True)


def test_a_compressed_log_weighs_what_it_holds() -> None:
    """About that: nobody has looked into it."""
    assert weight(sized("p/s.jsonl.gz", 10)) > weight(sized("p/s.jsonl", 10))


@given(st.lists(st.text(min_size=1, max_size=8), unique=True, max_size=20), st.integers(1, 9))
def test_parts_are_the_whole(names: list[str], count: int) -> None:
    """Each log is in one part of N, wherever the place that holds it is."""
    files = [sized(name, 1) for name in names]
    elsewhere = [file._replace(root="s3://logs", path=f"s3://logs/{file.relative}") for file in files]
    shards = [Shard(number, count) for number in range(1, count + 1)]
    assert sorted(file for shard in shards for file in files if shard.has(file)) == sorted(files)
    assert [[shard.has(file) for file in files] for shard in shards] == [[shard.has(file) for file in elsewhere] for shard in shards]


# Parsing


def test_a_large_log_comes_in_parts(tmp_path: Path) -> None:
    """However many records it has, a worker hands over a few at once, and goes on behind them."""
    long = b"".join(line(f"msg_{number}", number, pad="x" * 100_000) for number in range(60))
    write_logs(tmp_path, {"p/s1.jsonl": long, "p/s2.jsonl": lines(100, 105), "p/s3.jsonl": lines(106, 107)})
    store, read = filled(tmp_path, Here(), work=a_few, task_bytes=1 << 30)
    assert everything(store.connection) == one_pass(tmp_path)
    assert (read.files, read.records) == (3, 68)
    (task,) = cut(files_in(tmp_path))
    rest = a_few(task).rest
    assert rest is not None
    assert rest.cursor.offset_bytes > 0


def test_a_log_that_is_rewritten_between_two_parts(tmp_path: Path) -> None:
    """Its second part proves that it is another one by now, and reads that from its start."""
    path = tmp_path / "p" / "s1.jsonl"
    write_logs(tmp_path, {"p/s1.jsonl": b"".join(line(f"msg_{number}", 1, pad="x" * 100_000) for number in range(40))})
    (task,) = cut(files_in(tmp_path))
    rest = a_few(task).rest
    assert rest is not None
    path.write_bytes(b"".join(line(f"other_{number}", 1, pad="y" * 100_000) for number in range(40)))
    store = memory_store()
    back_fill([rest], Here(), store.take)
    assert len(replies_in(store.connection)) == 40


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A log that has gone since it was listed, and one that is damaged; the others are read."""
    damaged = gzip.compress(lines(1, 9)) + b"no member"
    write_logs(tmp_path, {"p/s1.jsonl": lines(1, 3), "p/s2.jsonl": b"", "p/s3.jsonl.gz": damaged})
    tasks = cut(files_in(tmp_path))
    (tmp_path / "p" / "s2.jsonl").unlink()
    store = memory_store()
    read = back_fill(tasks, Here(), store.take)
    assert [Path(problem.where).name for problem in read.problems] == ["s2.jsonl", "s3.jsonl.gz"]
    assert "no compressed data" in read.problems[1].why
    assert len(replies_in(store.connection)) == 9


def test_workers_of_other_rules_are_refused(tmp_path: Path) -> None:
    """What they find cannot be mixed with what we have."""
    write_logs(tmp_path, {"p/s1.jsonl": lines(1, 3)})
    with pytest.raises(TokentailError, match="install the same version everywhere"):
        filled(tmp_path, Here(), work=outdated)


# Workers


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_come_to_what_one_pass_does(tree: Path, expected: Everything, workers: int) -> None:
    """In whatever order their results come; and a second time nothing is new."""
    with open_crew("local", workers) as crew:
        store, read = filled(tree, crew)
        assert everything(store.connection) == expected
        again = back_fill(cut(files_in(tree)), crew, store.take)
    assert everything(store.connection) == expected
    assert (read.problems, again.problems, again.news) == ([], [], 0)
    assert read.files == again.files == len(files_in(tree))


def test_workers_that_are_killed_change_nothing(tree: Path, expected: Everything) -> None:
    """SIGKILL to all of them, three times while they work: others do their tasks once more."""
    store = memory_store(PRICES.thresholds)
    killed, calls = 0, iter(range(999))

    def take(records: list[Record], folders: list[tuple[str, int, str]]) -> int:
        nonlocal killed
        if next(calls) in (0, 5, 10):  # a task that loses its worker each time is left out
            for process in multiprocessing.active_children():
                process.kill()
                killed += 1
        return store.take(records, folders)

    with open_crew("local", 2) as crew:
        read = back_fill(cut(files_in(tree), task_bytes=SMALL_BYTES), crew, take)
    assert killed >= 3
    assert (read.problems, read.files) == ([], len(files_in(tree)))
    assert everything(store.connection) == expected


def test_a_log_that_there_is_no_room_for_is_named(tmp_path: Path) -> None:
    """It alone is left out: whatever it shared a task with is read."""
    write_logs(tmp_path, {f"p/s{number}.jsonl": lines(number, number) for number in range(1, 8)})
    write_logs(tmp_path, {"p/deadly.jsonl": lines(50, 50), "p/a.jsonl": lines(20, 20)})
    store, read = filled(tmp_path, Here(), work=too_large)
    assert [Path(problem.where).name for problem in read.problems] == ["deadly.jsonl"]
    assert (read.files, len(replies_in(store.connection))) == (9, 8)


@pytest.mark.slow
def test_a_log_that_kills_its_workers_is_named(tmp_path: Path) -> None:
    """After so many deaths it is left out, it alone: whatever it shared a task with is read."""
    write_logs(tmp_path, {f"p/s{number}.jsonl": lines(number, number) for number in range(1, 8)})
    write_logs(tmp_path, {"p/deadly.jsonl": lines(50, 50), "p/a.jsonl": lines(20, 20)})
    with open_crew("local", 2) as crew:
        store, read = filled(tmp_path, crew, work=deadly, task_bytes=1_100)
    assert [Path(problem.where).name for problem in read.problems] == ["deadly.jsonl"]
    assert f"{MOST_DEATHS} workers died" in read.problems[0].why
    assert len(replies_in(store.connection)) == 8


def test_what_is_in_flight_is_bounded(tmp_path: Path) -> None:
    """No more tasks are handed out than twice the workers: a store that is slow does not fill the memory."""
    write_logs(tmp_path, {f"p/s{number}.jsonl": lines(number, number) for number in range(30)})
    handed_out, taken, most = 0, 0, 0

    class Counted(Here):
        def submit(self, work: Work, task: Task) -> Future[Found]:
            nonlocal handed_out, most
            handed_out += 1
            most = max(most, handed_out - taken)
            return super().submit(work, task)

    def take(records: list[Record], folders: list[tuple[str, int, str]]) -> int:
        nonlocal taken
        taken += 1
        return 0

    back_fill(cut(files_in(tmp_path), task_bytes=1), Counted(), take)
    assert (handed_out, taken, most) == (30, 30, 2)


@pytest.mark.parametrize("word", ["", "locals", "dask://", "dask://host", "dask://host:1/x", "tcp://host:1"])
def test_an_executor_that_is_none(word: str) -> None:
    with pytest.raises(UsageError, match="cannot use the executor"), open_crew(word):
        raise AssertionError("it was opened")


# Parts


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4)), min_size=1, max_size=6), st.integers(1, 6))
def test_parts_joined_are_the_whole(spans: Sequence[tuple[int, int]], count: int) -> None:
    """Logs that share replies, read in N parts into a store each, which are joined: one pass over all of them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        logs = {f"p{number % 2}/s{number}.jsonl": lines(first, first + more) for number, (first, more) in enumerate(spans)}
        write_logs(folder, logs)
        whole = memory_store(PRICES.thresholds)
        for number in range(1, count + 1):
            part = memory_store(PRICES.thresholds)
            shard = Shard(number, count)
            back_fill(cut(file for file in files_in(folder) if shard.has(file)), Here(), part.take)
            join_store(whole, part.connection, Path("part.db"))
        together = memory_store(PRICES.thresholds)
        back_fill(cut(files_in(folder)), Here(), together.take)
        assert everything(whole.connection) == everything(together.connection)


# Buckets


def put_all(cloud: Cloud, folder: Path, prefix: str) -> None:
    for path in folder.rglob("*.jsonl*"):
        cloud.put(f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes())


def test_a_bucket(tree: Path, expected: Everything, cloud_of: Callable[[str], Cloud]) -> None:
    """Objects are read by the workers themselves, compressed ones as what they hold."""
    cloud = cloud_of("s3")
    put_all(cloud, tree, "backfill")
    with speaking_to(cloud), open_crew("local", 2) as crew:
        store = memory_store(PRICES.thresholds)
        files = Buckets(["s3://logs/backfill"]).list_files().files
        read = back_fill(cut(files, task_bytes=SMALL_BYTES), crew, store.take)
    assert (read.problems, read.files) == ([], len(files_in(tree)))
    assert everything(store.connection) == expected


def test_an_object_that_is_replaced_meanwhile_is_named(cloud_of: Callable[[str], Cloud]) -> None:
    """What a worker read of it might be of two objects, so none of it counts."""
    cloud = cloud_of("s3")
    cloud.put("replaced/p/s1.jsonl", lines(1, 3))
    with speaking_to(cloud):
        tasks = cut(Buckets(["s3://logs/replaced"]).list_files().files)
        cloud.put("replaced/p/s1.jsonl", lines(1, 9))
        store = memory_store()
        read = back_fill(tasks, Here(), store.take)
    assert [problem.why for problem in read.problems] == ["it was replaced while it was read"]
    assert replies_in(store.connection) == {}


# Dask


@contextmanager
def cluster(workers: int) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and workers, processes that speak TCP; without anybody to bring a dead one back."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "ignore"}

    def start(*words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", *words], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        scheduler = ["distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard", "--no-show"]
        worker = ["distributed.cli.dask_worker", f"tcp://{address}", "--no-nanny", "--no-dashboard", "--nthreads", "1"]
        running = [start(*scheduler), *(start(*worker, "--local-directory", folder) for _ in range(workers))]
        for process in running:
            stack.callback(process.wait)
        for process in running:
            stack.callback(process.kill)
        _until_there(address, workers)
        yield address, running[1:]


def _until_there(address: str, workers: int) -> None:
    from distributed import Client

    until = time.monotonic() + DEADLINE_S
    connect: Callable[..., object] = Client
    while True:
        try:
            client = connect(f"tcp://{address}", timeout=1, set_as_default=False)
            break
        except OSError:
            assert time.monotonic() < until
    assert isinstance(client, Client)
    with client:
        client.wait_for_workers(workers, timeout=DEADLINE_S)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what Dask's own parts say of one another
def test_a_cluster_that_loses_a_worker(tree: Path, expected: Everything) -> None:
    """Dask gives its tasks to the others, and the result is the same."""
    store = memory_store(PRICES.thresholds)
    with cluster(2) as (address, workers), open_crew(f"dask://{address}") as crew:

        def take(records: list[Record], folders: list[tuple[str, int, str]]) -> int:
            workers[0].kill()
            return store.take(records, folders)

        assert crew.at_once == 2
        read = back_fill(cut(files_in(tree), task_bytes=SMALL_BYTES), crew, take)
        assert workers[0].wait() == -signal.SIGKILL
    assert (read.problems, read.files) == ([], len(files_in(tree)))
    assert everything(store.connection) == expected


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_command_on_a_cluster(tree: Path, tmp_path: Path, expected: Everything, monkeypatch: pytest.MonkeyPatch) -> None:
    """One without workers, and one that does not answer, are refused."""
    monkeypatch.setenv("TOKENTAIL_HOME", str(tmp_path))
    with cluster(1) as (address, _):
        assert main(["ingest", str(tree), "--executor", f"dask://{address}"]) == 0
    with stored(tmp_path) as db:
        assert everything(db) == expected
    assert main(["ingest", str(tree), "--executor", f"dask://{address}"]) == 1


# The command


@contextmanager
def stored(home: Path) -> Iterator[sqlite3.Connection]:
    with closing(database.open_for_reading(home / "store.db")) as db:
        yield db


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without logs of its own, and logs of others in `logs`."""
    monkeypatch.setenv("TOKENTAIL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(tmp_path / "none"))
    write_logs(
        tmp_path / "logs",
        {"-home-dev-app/s1.jsonl": lines(1, 3), "-home-dev-app/s2.jsonl": lines(3, 5) + b'{"type":"assistant","usage":\n'},
    )
    return tmp_path


def test_the_command(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says what came of it; nothing of those logs is watched or tracked, and their replies stand elsewhere."""
    words = ["ingest", str(home / "logs"), "--host", "ci-7", "--user", "mia"]
    assert main(words) == 0
    size = sum(path.stat().st_size for path in (home / "logs").rglob("*.jsonl")) / 1e6
    assert capsys.readouterr().out == (
        f"2 logs were read ({size:,.1f} MB): 5 records; 5 of them said something new.\n"
        "  1 line could not be read and counts nothing.\n"
        "  5 replies were added: this store holds 5 now.\n"
    )
    with stored(home / "home") as db:
        before = everything(db)
        assert {(reply.owner.host, reply.owner.user) for reply in replies_in(db).values()} == {("ci-7", "mia")}
        assert queries.project_folders(db) == {"-home-dev-app": "/home/dev/app"}
        assert db.execute("SELECT count(*) FROM files").fetchone() == (0,)
        assert db.execute("SELECT count(*) FROM sightings").fetchone() == (0,)
        assert has_elsewhere(db)
    assert main(words) == 0
    assert "0 of them said something new" in capsys.readouterr().out
    with stored(home / "home") as db:
        assert everything(db) == before


def test_a_part(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both of two parts together are all."""
    for part in ("1/2", "2/2"):
        assert main(["ingest", str(home / "logs"), "--shard", part]) == 0
        assert f"Part {part[0]} of 2 has" in capsys.readouterr().out
    with stored(home / "home") as db:
        assert len(replies_in(db)) == 5


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--shard", "0/2"], 2, "say 1/8"),
        (["--shard", "3/2"], 2, "say 1/8"),
        (["--shard", "x"], 2, "say 1/8"),
        (["--executor", "x"], 2, "cannot use the executor"),
        (["--workers", "0"], 2, "number of workers"),
        (["--executor", "dask://127.0.0.1:9"], 1, "cannot reach the Dask scheduler"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_wrong_words(home: Path, words: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ingest", str(home / "logs"), *words]) == code
    assert says in capsys.readouterr().err
    assert not (home / "home").exists()


def test_places_that_hold_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that is not there is wrong; one without logs is named."""
    assert main(["ingest", str(home / "nowhere")]) == 1
    assert "no such folder" in capsys.readouterr().err
    (home / "empty").mkdir()
    assert main(["ingest", str(home / "empty")]) == 0
    assert f"No logs were found. These folders were searched:\n  {home / 'empty'}" in capsys.readouterr().err
    assert not (home / "home").exists()


def test_a_log_that_cannot_be_read_ends_with_1(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And is named; all others count."""
    (home / "logs" / "-home-dev-app" / "s3.jsonl.zst").write_bytes(b"\x28\xb5\x2f\xfdno such frame")
    assert main(["ingest", str(home / "logs")]) == 1
    assert "s3.jsonl.zst: the compressed data is damaged" in capsys.readouterr().err
    with stored(home / "home") as db:
        assert len(replies_in(db)) == 5


KILLED = """
import multiprocessing, os, signal, sys
from pathlib import Path
from tokentail.backfill import tasks
from tokentail.cli import main
from tokentail.store import Store
cut, take, calls = tasks.cut, Store.take, iter(range(99))
def dying(*args):
    if next(calls) == 2:
        Path(sys.argv[1]).write_text(" ".join(str(process.pid) for process in multiprocessing.active_children()))
        os.kill(os.getpid(), signal.SIGKILL)
    return take(*args)
if __name__ == "__main__":
    tasks.cut = lambda files, access: cut(files, access, task_bytes=100_000)
    Store.take = dying
    sys.exit(main(sys.argv[2:]))
"""


def test_a_back_fill_that_is_killed_is_done_again(home: Path, tree: Path, expected: Everything) -> None:
    """Its workers end with it, what it had joined counts once, and the rest comes with the next one."""
    (home / "killed.py").write_text(KILLED)
    shutil.copytree(tree, home / "tree")
    words = ["ingest", str(home / "tree"), "--workers", "2"]
    ran = subprocess.run([sys.executable, str(home / "killed.py"), str(home / "pids"), *words], check=False, timeout=DEADLINE_S)
    assert ran.returncode == -signal.SIGKILL
    workers = list(map(int, (home / "pids").read_text().split()))
    assert workers
    until = time.monotonic() + DEADLINE_S
    while any(_runs(worker) for worker in workers):
        assert time.monotonic() < until, "a worker outlives the one that started it"
    with stored(home / "home") as db:
        assert 0 < len(replies_in(db)) < len(one_pass(tree)[0])  # type: ignore[arg-type]  # the replies
    assert main(words) == 0
    with stored(home / "home") as db:
        assert everything(db) == expected


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
