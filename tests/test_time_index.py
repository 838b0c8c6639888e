"""Tests of `tokentail.time_index`: what is kept comes back as it was, or not at all."""

from __future__ import annotations

import gzip
import json
import multiprocessing
import os
import sqlite3
import stat
from array import array
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import line, write_logs
from test_cli import PLANS
from tokentail import database, time_index
from tokentail.cli import main
from tokentail.demo.tree import write_tree
from tokentail.model import LogsRead
from tokentail.time_index import Index, Indexed, Stretch

READ = LogsRead(10, 20)
AT_MS = 1_790_000_000_000
NUMBERS = st.integers(0, 2**62)
HASHES = st.lists(st.integers(0, 2**32 - 1), max_size=5, unique=True).map(lambda each: array("I", sorted(each)))
MODELS = st.lists(st.sampled_from(["claude-opus-5", "m\u00f6del", ""]), max_size=2, unique=True).map(tuple)
STRETCHES = st.lists(st.builds(Stretch, NUMBERS, NUMBERS, NUMBERS, st.integers(-1, 2**62), NUMBERS, MODELS, HASHES), max_size=3)
LOGS = st.builds(
    Indexed,
    *(st.text("0123456789abcdef"), NUMBERS, NUMBERS, st.just("aa"), st.just("bb"), st.booleans(), NUMBERS, st.sampled_from(["", "/ä"])),
    STRETCHES.map(tuple),
)
ONE = Indexed("5a", 100, 100, "aa", "bb", False, AT_MS, "/home", (Stretch(0, 100, 1, 2, 0, ("m",), array("I", [7])),))


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from(["/a.jsonl", "/\udcff.jsonl", "s3://b/ä"]), LOGS, max_size=3))
def test_what_is_kept_comes_back(logs: dict[str, Indexed]) -> None:
    """Whatever a log is called and holds."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "store.db.index"
        time_index.save(path, logs, logs.keys(), READ, AT_MS)
        assert time_index.load(path) == logs
        count = sum(len(log.stretches) for log in logs.values())
        assert time_index.look(path) == Index(len(logs), count, path.stat().st_size, AT_MS, READ)


def test_without_an_index_nothing_is_known(tmp_path: Path) -> None:
    """And to ask makes none."""
    path = tmp_path / "store.db.index"
    assert (time_index.load(path), time_index.look(path)) == ({}, None)
    assert list(tmp_path.iterdir()) == []


def test_a_log_is_replaced_as_a_whole_and_forgotten_when_it_is_gone(tmp_path: Path) -> None:
    """What did not change stays; of two processes that both learnt of a log the later one counts."""
    path = tmp_path / "store.db.index"
    other = ONE._replace(stamp="5b", stretches=())
    time_index.save(path, {"/a": ONE, "/b": ONE, "/c": ONE}, ["/a", "/b", "/c"], READ, AT_MS)
    time_index.save(path, {"/b": other}, ["/a", "/b"], READ, AT_MS)
    assert time_index.load(path) == {"/a": ONE, "/b": other}


def test_nobody_else_can_read_it(tmp_path: Path) -> None:
    """It has the names of folders and models."""
    path = tmp_path / "new" / "store.db.index"
    time_index.save(path, {"/a": ONE}, ["/a"], READ, AT_MS)
    assert [stat.S_IMODE(each.stat().st_mode) for each in (path.parent, path)] == [0o700, 0o600]


def garbage(path: Path) -> None:
    path.write_bytes(b"no database at all" * 1000)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def overwritten(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:] = bytes(len(data) - 4096)
    path.write_bytes(data)


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 999999")


def of_other_rules(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {db.execute('PRAGMA user_version').fetchone()[0] + 1}")


def a_stores(path: Path) -> None:
    path.unlink()
    database.open_for_writing(path).close()


@pytest.mark.parametrize("happen", [garbage, emptied, cut, overwritten, newer, of_other_rules, a_stores])
def test_an_index_that_is_of_no_use_is_made_anew(tmp_path: Path, happen: Callable[[Path], None]) -> None:
    """It is no error, and no wrong answer: it is as if there were none, and the next one takes its place."""
    path = tmp_path / "store.db.index"
    logs = {f"/{number}": ONE for number in range(100)}
    time_index.save(path, logs, logs.keys(), READ, AT_MS)
    happen(path)
    assert (time_index.load(path), time_index.look(path)) == ({}, None)
    time_index.save(path, {"/a": ONE}, ["/a"], READ, AT_MS)
    assert time_index.load(path) == {"/a": ONE}


@pytest.mark.parametrize(
    "column", ["known = replace(known, 'aa', 'ab')", "groups = x'08000000'", "path = x'2f62'", "stretches = 2", "known = 'x'"]
)
def test_a_row_that_was_changed_is_none(tmp_path: Path, column: str) -> None:
    """The database would not notice; what it says is only taken if its hash is right."""
    path = tmp_path / "store.db.index"
    time_index.save(path, {"/a": ONE, "/c": ONE}, ["/a", "/c"], READ, AT_MS)
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"UPDATE logs SET {column} WHERE path = x'2f61'")
        db.commit()
    assert time_index.load(path) == {"/c": ONE}


def test_where_it_cannot_be_written_nothing_happens(tmp_path: Path) -> None:
    """Not even a warning: everything is read then."""
    (tmp_path / "file").write_text("no folder")
    for path in (tmp_path / "file" / "store.db.index", tmp_path):
        time_index.save(path, {"/a": ONE}, ["/a"], READ, AT_MS)
        assert time_index.load(path) == {}


def test_it_can_be_deleted_at_any_time(tmp_path: Path) -> None:
    """With what an interrupted write left beside it, which would spoil the next one."""
    path = tmp_path / "store.db.index"
    time_index.drop(path)
    time_index.save(path, {"/a": ONE}, ["/a"], READ, AT_MS)
    path.with_name(f"{path.name}-journal").write_bytes(b"left")
    time_index.drop(path)
    assert list(tmp_path.iterdir()) == []


def _write_often(path: Path, mine: str, other: str) -> None:
    for number in range(40):
        time_index.save(path, {mine: ONE._replace(size_bytes=number)}, [mine, other], READ, AT_MS)


def test_many_processes_may_write_it(tmp_path: Path) -> None:
    """Each keeps what it learnt of its logs, whoever writes at the same time."""
    path = tmp_path / "store.db.index"
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=_write_often, args=(path, *names)) for names in (("/a", "/b"), ("/b", "/a"))]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert time_index.load(path) == {name: ONE._replace(size_bytes=39) for name in ("/a", "/b")}


# Commands


ASKED = [
    *("daily", "daily --since 2026-11-10 --until 2026-11-12", "blocks --since 2026-11-15 --until 2026-11-16", "daily --since 2027-01-01"),
    *("sessions --agents --until 2026-10-25", "projects --project *harbor*", "models --model *haiku*", "monthly --model claude-none"),
]


@pytest.mark.parametrize("plan", sorted(PLANS))
def test_reports_on_a_tree(plan: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With forks, side questions and dirt of all kinds: one after the other, they say what each says that is the first."""
    write_tree(tmp_path / "tree", PLANS[plan])

    def ask(words: str, home: str) -> tuple[int, object, str]:
        monkeypatch.setenv("TOKENTAIL_HOME", str(tmp_path / home))
        code = main([*words.split(), "--no-store", "--json", "--timezone=Europe/Berlin", f"--source={tmp_path / 'tree'}"])
        out, err = capsys.readouterr()
        document = json.loads(out)
        for name in LogsRead._fields:
            document["notes"].pop(name, None)
        return code, document, err

    assert [ask(words, "one") for words in ASKED] == [ask(words, f"other {number}") for number, words in enumerate(ASKED)]


class Home:
    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.logs = write_logs(path / "logs", {f"-app/s{day}.jsonl": self._day(day) for day in range(1, 10)})
        self.index = time_index.index_path(database.store_path(path / "home", [self.logs]))
        self._capsys = capsys

    @staticmethod
    def _day(day: int) -> bytes:
        return line(f"msg_{day}", timestamp=f"2026-10-{day:02}T10:00:00.000Z")

    def run(self, *words: str) -> str:
        assert main([*words, f"--source={self.logs}"]) == 0
        return self._capsys.readouterr().out


@pytest.fixture(name="home")
def fixture_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Home:
    monkeypatch.setenv("TOKENTAIL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TZ", "UTC")
    return Home(tmp_path, capsys)


def test_a_report_without_a_store_leaves_an_index_for_the_next(home: Home) -> None:
    """Which says how much it read, in JSON and in words, and is in all else the same."""
    size = sum(log.stat().st_size for log in home.logs.rglob("*.jsonl"))
    whole = json.loads(home.run("daily", "--no-store", "--json"))
    assert list(whole["notes"]) == ["not_final_replies", "unpriced_models", "malformed_lines", "degraded"]
    words = ("daily", "--no-store", "--since", "2026-10-03", "--until", "2026-10-04")
    part = json.loads(home.run(*words, "--json"))
    assert part["rows"] == whole["rows"][2:4]
    assert part["notes"]["bytes_read"] == size * 2 // 9
    assert part["notes"]["bytes_skipped"] == size * 7 // 9
    assert "an index says that they hold nothing of this" in home.run(*words)
    assert "an index says" not in home.run("daily", "--no-store")


def test_a_compressed_log_that_grows(home: Home) -> None:
    """It is known by what it holds, and what it holds more is read from where that ended."""
    log = home.logs / "-app" / "s99.jsonl.gz"
    early, late = (line(f"msg_gz{month}", timestamp=f"2026-{month}-03T10:00:00.000Z") for month in ("06", "12"))
    log.write_bytes(gzip.compress(early * 9))
    home.run("daily", "--no-store")
    with log.open("ab") as more:
        more.write(gzip.compress(late))
    document = json.loads(home.run("daily", "--no-store", "--json", "--since", "2026-12-01"))
    assert [(row["day"], row["replies"]) for row in document["rows"]] == [("2026-12-03", 1)]
    assert document["notes"]["bytes_read"] == 2 * 1024 + len(late)
    assert json.loads(home.run("daily", "--no-store", "--json", "--until", "2026-06-30"))["totals"]["replies"] == 1


def test_status_shows_the_index(home: Home) -> None:
    """What it knows, and how much the last report without a store read; there is none before."""
    assert json.loads(home.run("status", "--json"))["time_index"] is None
    home.run("daily", "--no-store")
    home.run("daily", "--no-store", "--since", "2026-10-09")
    said = json.loads(home.run("status", "--json"))
    size = sum(log.stat().st_size for log in home.logs.rglob("*.jsonl"))
    found = said["time_index"]
    assert (found["files"], found["stretches"], found["size_bytes"]) == (9, 9, home.index.stat().st_size)
    assert (found["bytes_read"], found["bytes_skipped"]) == (size // 9, size * 8 // 9)
    assert said["copies"] == []
    assert "Index" in home.run("status")


def test_what_is_forgotten_is_in_no_index(home: Home) -> None:
    """The names of its models and the hashes of its replies go with it."""
    home.run("daily", "--no-store")
    assert home.index.exists()
    home.run("forget", "--yes", "--until", "2026-10-03")
    assert not home.index.exists()


def test_to_forget_nothing_keeps_it(home: Home) -> None:
    """A look at what would go changes nothing."""
    home.run("daily", "--no-store")
    home.run("forget", "--dry-run", "--until", "2026-10-03")
    assert home.index.exists()


def test_what_proves_the_store_uses_no_index(home: Home) -> None:
    """An index that were wrong would hide what is wrong."""
    home.run("daily", "--no-store")
    os.truncate(home.index, 0)
    home.run("verify")
    assert home.index.stat().st_size == 0
