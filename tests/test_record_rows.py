"""Tests of `export --records` and of `merge` with what it wrote: records leave a store as they are, and only records come in."""

from __future__ import annotations

import io
import re
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import memory_store, record, records, replies_in, write_logs
from logs import PRICES, line, lines
from tokentail import database, queries
from tokentail.cli import main
from tokentail.errors import StoreError
from tokentail.export import as_parquet
from tokentail.export.as_parquet import is_parquet, read_records, write_records
from tokentail.export.record_rows import COLUMNS, RECORDS_SCHEMA, Digest, Written
from tokentail.fleet.wire import is_sound
from tokentail.interned import records_of
from tokentail.joining import join_store
from tokentail.model import MAX_COUNT, RULES_VERSION, Owner, Record, Tokens
from tokentail.store import Store

NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)  # a NUL is none of a host or user
WHOSE = st.builds(Owner, st.booleans(), st.booleans(), NAMES, NAMES, NAMES, NAMES, NAMES)
COUNTS = st.one_of(st.integers(0, 9), st.integers(0, 2**32))
ANY = st.builds(
    lambda known, owner, tokens, at_ms, model, version: known._replace(
        owner=owner, tokens=Tokens(*tokens), at_ms=at_ms, model=model, version=version
    ),
    records(),
    WHOSE,
    st.tuples(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS),
    st.integers(0, 250_000_000_000_000),
    NAMES,
    NAMES,
)


def store_of(found: Iterable[Record], folders: Iterable[tuple[str, int, str]] = ()) -> Store:
    store = memory_store(PRICES.thresholds)
    store.take(found, folders)
    return store


def known(db: sqlite3.Connection) -> dict[tuple[str, str, bool], Record]:
    return {record[:3]: record for _, record in records_of(db)}


def written(store: Store, path: Path) -> Written:
    with path.open("wb") as file:
        return write_records(store.connection, file, is_sound)


def rows_of(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    return found


def write_rows(path: Path, rows: list[dict[str, Any]], *, said: Mapping[str, str] | None = None, schema: pyarrow.Schema = None) -> None:
    """A file such as ours, of whatever rows."""
    kinds = {str: pyarrow.string(), int: pyarrow.int64(), bool: pyarrow.bool_()}
    schema = schema or pyarrow.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()])
    digest = Digest()
    for row in rows:
        digest.add([row.get(name) for name in COLUMNS])
    said = {"tokentail.schema": RECORDS_SCHEMA, "tokentail.rules": str(RULES_VERSION)} if said is None else said
    said = {**said, "tokentail.digest": digest.text()}
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema).replace_schema_metadata(dict(said)), path)


# There and back


@settings(max_examples=60)
@given(st.lists(ANY, max_size=12), st.lists(st.tuples(NAMES, st.integers(0, 9), NAMES.filter(bool)), max_size=3))
def test_records_come_back_as_they_were(found: list[Record], folders: list[tuple[str, int, str]]) -> None:
    """Every field of every record, whatever is in it, and what its project is called."""
    store = store_of(found, folders)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "records.parquet"
        assert written(store, path) == Written(len(known(store.connection)), 0)
        batches = list(read_records(path))
    other = memory_store(PRICES.thresholds)
    for batch in batches:
        other.take([record for record, _ in batch], [folder for _, folder in batch if folder[2]])
    assert known(other.connection) == known(store.connection)
    assert replies_in(other.connection) == replies_in(store.connection)
    named = {reply.owner.project for reply in replies_in(store.connection).values()}
    assert {slug: folder for slug, folder in queries.project_folders(other.connection).items() if slug in named} == {
        slug: folder for slug, folder in queries.project_folders(store.connection).items() if slug in named
    }


def test_rows_go_by_a_few_at_a_time(tmp_path: Path) -> None:
    """However many records a store has, they are read as they are written, and handed over as they are read."""
    one = record()
    store = store_of(one._replace(group=f"msg_{number}") for number in range(34_000))

    class Stopping(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            if asked > 1:
                raise BlockingIOError(f"{asked} records were asked for")
            return len(data)

    asked = 0

    def count(each: Record) -> bool:
        nonlocal asked
        asked += 1
        return True

    with pytest.raises(BlockingIOError):
        write_records(store.connection, Stopping(), count)  # type: ignore[arg-type]  # as much of a file as it takes
    assert asked < 34_000
    written(store, tmp_path / "records.parquet")
    sizes = [len(batch) for batch in read_records(tmp_path / "records.parquet")]
    assert sum(sizes) == 34_000
    assert max(sizes) <= 16_384


def test_a_record_that_nobody_takes_is_left_out(tmp_path: Path) -> None:
    """A log may hold a name without end; what is written can be read by every other tokentail."""
    store = store_of([record("msg_1"), record("m" * 5_000)])
    assert written(store, tmp_path / "records.parquet") == Written(1, 1)


# What is refused


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """A file of records."""
    path = tmp_path / "records.parquet"
    written(store_of([record(f"msg_{number}", request_id=f"req_{number * number}") for number in range(500)]), path)
    return path


@settings(max_examples=150)
@given(share=st.floats(0, 1, exclude_max=True), value=st.integers(1, 255))
def test_a_byte_that_has_changed(share: float, value: int) -> None:
    """The file is refused, or the byte meant nothing: what is read is what was written."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "records.parquet"
        path.write_bytes(_SMALL[: (at := int(share * len(_SMALL)))] + bytes([_SMALL[at] ^ value]) + _SMALL[at + 1 :])
        try:
            found = [each for batch in read_records(path) for each, _ in batch]
        except StoreError:
            return
    assert found == _RECORDS


_RECORDS = [record(f"msg_{number}", request_id=f"req_{number * number}") for number in range(50)]
write_records(store_of(_RECORDS).connection, _file := io.BytesIO(), is_sound)
_SMALL = _file.getvalue()


@pytest.mark.parametrize("size", [0, 4, 8, 1_000, -1])
def test_a_file_that_was_cut(sound: Path, size: int) -> None:
    sound.write_bytes(sound.read_bytes()[:size])
    with pytest.raises(StoreError, match="it is damaged"):
        list(read_records(sound))


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({}, "it holds no records of tokentail"),
        ({"tokentail.schema": "tokentail/export/1"}, "it holds no records of tokentail"),
        ({"tokentail.schema": "tokentail/records/2"}, "another version"),
        ({"tokentail.schema": RECORDS_SCHEMA, "tokentail.rules": "99"}, "counted by other rules"),
    ],
)
def test_a_file_of_another_kind(sound: Path, said: Mapping[str, str], why: str) -> None:
    """It may be sound Parquet, and is not what is wanted."""
    write_rows(sound, rows_of(sound), said=said)
    with pytest.raises(StoreError, match=why):
        list(read_records(sound))


def test_columns_that_are_others(sound: Path) -> None:
    """One that is missing, or holds something else; one more does no harm."""
    rows = rows_of(sound)
    kinds = {str: pyarrow.string(), int: pyarrow.int64(), bool: pyarrow.bool_()}
    fields = [pyarrow.field(name, kinds[kind]) for name, kind in COLUMNS.items()]
    write_rows(sound, rows, schema=pyarrow.schema(fields[1:]))
    with pytest.raises(StoreError, match="it lacks columns"):
        list(read_records(sound))
    write_rows(sound, rows, schema=pyarrow.schema([*fields[:-1], pyarrow.field("folder_at_ms", pyarrow.int32())]))
    with pytest.raises(StoreError, match="it lacks columns"):
        list(read_records(sound))
    write_rows(sound, [{**row, "more": 1} for row in rows], schema=pyarrow.schema([pyarrow.field("more", pyarrow.int64()), *fields]))
    assert sum(map(len, read_records(sound))) == len(rows)


def test_the_columns_are_the_documented_ones() -> None:
    """In that order, and of those types."""
    document = (Path(__file__).parents[1] / "docs" / "fleet-backfill.md").read_text(encoding="utf-8")
    table = document.partition("| column | Parquet |")[2].partition("\n\n")[0]
    kinds = {"string": str, "int64": int, "bool": bool}
    found: list[tuple[str, type]] = []
    for columns, said in re.findall(r"^\| (`.+?) \| ([\w, ]+) \|", table, re.MULTILINE):
        names, types = re.findall(r"`(\w+)`", columns), said.split(", ")
        found += zip(names, [kinds[each] for each in (types if len(types) > 1 else types * len(names))], strict=True)
    assert found == list(COLUMNS.items())


# The commands


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two machines with logs, `one` and `two`."""
    monkeypatch.chdir(tmp_path)
    write_logs(tmp_path / "one", {"-home-dev-app/s1.jsonl": lines(1, 3)})
    write_logs(tmp_path / "two", {"-home-dev-app/s2.jsonl": lines(3, 5) + line("msg_6", 6, cwd="/home/mia/app")})
    return tmp_path


def on(machine: str, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setenv("TOKENTAIL_HOME", f"home-{machine}")
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", machine)
    Path(machine, "projects").mkdir(exist_ok=True, parents=True)
    for folder in Path(machine).glob("-*"):
        folder.rename(Path(machine, "projects", folder.name))
    return main(words)


def replies_on(machine: str) -> dict[str, str]:
    """The replies of a machine, and whose they are."""
    with closing(database.open_for_reading(Path(f"home-{machine}") / "store.db")) as db:
        return {key: f"{reply.owner.user}@{reply.owner.host}" for key, reply in replies_in(db).items()}


def test_out_and_in(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What one machine wrote the other one joins, by the names that are given; its own stay its own. Twice is once."""
    assert on("two", monkeypatch, "export", "--records", "two.parquet") == 0
    assert capsys.readouterr().out.startswith("4 records were written to two.parquet (")
    words = ("merge", "two.parquet", "--host", "laptop", "--user", "mia")
    assert on("one", monkeypatch, *words) == 0
    assert capsys.readouterr().out == (
        "two.parquet holds 4 records; 3 of them said something new.\n  3 replies were added: this store holds 6 now.\n"
    )
    before = replies_on("one")
    assert before == {**{f"msg_{n}": "@" for n in (1, 2, 3)}, **{f"msg_{n}": "mia@laptop" for n in (4, 5, 6)}}
    assert on("one", monkeypatch, *words) == 0
    assert "0 of them said something new" in capsys.readouterr().out
    assert replies_on("one") == before
    assert on("one", monkeypatch, "export", "--records", "all.parquet") == 0
    assert on("three", monkeypatch, "merge", "all.parquet") == 0
    assert replies_on("three") == before
    assert on("three", monkeypatch, "verify") == 0


def test_stores_and_files_together(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is told by what it is, not by its name."""
    assert on("one", monkeypatch, "export", "--records", "one.parquet") == 0
    Path("one.parquet").rename("one.db")
    assert on("two", monkeypatch, "daily") == on("two", monkeypatch, "backup", "two.parquet") == 0
    assert on("three", monkeypatch, "merge", "one.db", "two.parquet", "--host", "both") == 0
    assert replies_on("three") == {f"msg_{number}": "@both" for number in range(1, 7)}


def test_records_to_stdout(home: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """The same bytes as in a file, and nothing else."""
    assert on("one", monkeypatch, "export", "--records", "one.parquet") == 0
    capfdbinary.readouterr()
    assert on("one", monkeypatch, "export", "--records", "-") == 0
    assert capfdbinary.readouterr() == (Path("one.parquet").read_bytes(), b"")


def test_no_records(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """There is a file all the same, which brings nothing."""
    assert on("three", monkeypatch, "export", "--records", "none.parquet") == 0
    told = capsys.readouterr()
    assert told.out.startswith("0 records were written to none.parquet (")
    assert "No logs were found." in told.err
    assert on("one", monkeypatch, "merge", "none.parquet") == 0
    assert capsys.readouterr().out.startswith("none.parquet holds 0 records; 0 of them said something new.\n")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"output_tokens": -1}, "a count is none"),
        ({"input_tokens": MAX_COUNT + 1}, "a count is none"),
        ({"group": None}, "a name is too long, or none"),
        ({"group": ""}, "a record has no group"),
        ({"host": "h" * 5_000}, "a name is too long, or none"),
        ({"sidechain": None}, "neither"),
        ({"at_ms": 1 << 62}, "a time is none"),
        ({"form": '{"note":"what somebody has asked for"}'}, "none of it"),
        ({"form": "{"}, "none of it"),
        ({"folder": "f" * 5_000}, "a project's folder is none"),
        ({"folder": None}, "a project's folder is none"),
    ],
)
def test_a_row_that_is_no_record(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], changed: Mapping[str, object], why: str
) -> None:
    """Nothing of its file is taken, what is sound before it neither."""
    written(store_of([record("msg_10")]), Path("records.parquet"))
    (row,) = rows_of(Path("records.parquet"))
    write_rows(Path("records.parquet"), [*([row] * 20_000), {**row, **changed}])
    assert on("one", monkeypatch, "merge", "records.parquet") == 1
    assert why in capsys.readouterr().err
    assert not Path("home-one").exists()


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["records.csv"], 2, "a file that ends in .parquet"),
        (["records.parquet", "--since", "7d"], 2, "leave out --since"),
        (["records.parquet", "--project", "app"], 2, "leave out --since"),
        (["nowhere/records.parquet"], 1, "there is no folder"),
    ],
)
def test_wrong_words(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], code: int, says: str
) -> None:
    assert on("one", monkeypatch, "export", "--records", *words) == code
    assert says in capsys.readouterr().err


def test_a_store_is_no_file_of_records(home: Path, tmp_path: Path) -> None:
    """Nor is what cannot be read."""
    Path("x.db").write_bytes(b"SQLite format 3\0")
    assert not is_parquet(Path("x.db"))
    assert not is_parquet(tmp_path)
    assert not is_parquet(tmp_path / "nothing")


def test_names_are_given_to_a_store_likewise() -> None:
    """What it knows of other machines stays theirs."""
    other = store_of([record("msg_1"), record("msg_2", owner=Owner(False, False, "s", "p", "", "ben", "desk"))])
    store = memory_store()
    join_store(store, other.connection, Path("other.db"), _named)
    assert {key: each.owner.user for key, each in replies_in(store.connection).items()} == {"msg_1": "mia", "msg_2": "ben"}


def _named(found: Iterable[Record]) -> Iterator[Record]:
    for each in found:
        yield each if each.owner.user else each._replace(owner=each.owner._replace(user="mia"))


def test_pyarrow_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has none is told what to install."""
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(Exception, match=r"cannot read Parquet: .*pip install 'tokentail\[parquet\]'\)$"):
        as_parquet.check_pyarrow("", verb="read")
