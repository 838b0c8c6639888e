"""Tests of `tokentail.export`: what other programs read adds up to the reports, whatever the format, the choice and the names."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import pty
import random
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import AT_MS, AUTUMN, MODEL, SPREAD, chunk, coordinator, line, many_lines, record, store_of, usage, write_logs
from logs import PRICES
from tokentail.export.as_csv import csv_pieces
from tokentail.export.as_ndjson import ndjson_pieces
from tokentail.export.as_parquet import write_parquet
from tokentail.export.document import write
from tokentail.export.rows import ExportRow, export_rows
from tokentail.model import Counts, Owner, Record
from tokentail.periods import LAST_MS, QUARTER_MS
from tokentail.prices import PICO_PER_USD
from tokentail.reports.as_csv import guarded
from tokentail.reports.build import build, scope_of
from tokentail.reports.data import Stored
from tokentail.reports.request import Context, Request
from tokentail.store import Store

SRC = Path(__file__).resolve().parents[1] / "src"
DEADLINE_S = 60.0
CONTEXT = Context(PRICES, AUTUMN)
ALL = Request("export", ZoneInfo("UTC"))
FORMATS = ("parquet", "csv", "ndjson")
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"]).map(ZoneInfo)
DAYS = st.one_of(
    st.none(),
    st.dates(date(2026, 3, 26), date(2026, 4, 1)),
    st.dates(date(2026, 10, 22), date(2026, 10, 28)),
    st.sampled_from([date.min, date(1969, 12, 31), date(1970, 1, 1), date.max]),
)
REQUESTS = st.builds(
    Request,
    *(st.just("export"), ZONES, DAYS, DAYS),
    st.sampled_from([(), ("-a",), ("-b", "nobody"), ("-*",), ("x",)]),
    st.sampled_from([(), (MODEL,), ("*haiku*",), ("claude-OPUS-5", "claude-zeta-?")]),
    **{name: st.just(value) for name, value in Request._field_defaults.items() if name not in Request._fields[2:6]},
)
HOSTILE = (
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "'quoted'",
    'a "b", c',
    "two\nlines",
    "\x1b]0;x\x07\x9b31m",
    "a\r=1+1",
    "\u202egnp.exe",
    "\u2028\u0000x",
    "é" * 300,
    "[bold]{0}%s</b>",
)
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
from tokentail.cli import main
sys.exit(main(sys.argv[2:]))
"""
# Sends itself a signal in the moment in which the file begins to be written.
ENDED_IN_THE_MIDDLE = """
import os, sys
number = int(sys.argv[1])
sys.addaudithook(lambda event, said: event == "open" and str(said[0]).endswith(".part") and said[1] == "w" and os.kill(os.getpid(), number))
from tokentail.cli import main
sys.exit(main(sys.argv[2:]))
"""
WITHOUT_PYARROW = """
import sys
sys.modules["pyarrow"] = None
from tokentail.cli import main
sys.exit(main(sys.argv[1:]))
"""


# Reading them back, as other programs do


def read_parquet(data: bytes) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pyarrow.parquet.read_table(io.BytesIO(data)).to_pylist()
    for row in rows:
        row["at"] = row["at"].astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return rows


def read_csv(data: bytes) -> list[dict[str, Any]]:
    kinds: Mapping[str, Callable[[str], Any]] = {
        "int": int,
        "float | None": lambda text: float(text) if text else None,
        "int | None": lambda text: int(text) if text else None,
        "bool": {"true": True, "false": False}.__getitem__,
        "str": str,
    }
    kind_of = {name: kinds[annotation.__forward_arg__] for name, annotation in ExportRow.__annotations__.items()} | {"at": str}
    return [{name: kind_of[name](text) for name, text in row.items()} for row in csv.DictReader(io.StringIO(data.decode(), newline=""))]


def read_ndjson(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(row) for row in data.decode("ascii").splitlines()]


READERS: Mapping[str, Callable[[bytes], list[dict[str, Any]]]] = {"parquet": read_parquet, "csv": read_csv, "ndjson": read_ndjson}


def exported(store: Store, format: str, request: Request = ALL) -> list[dict[str, Any]]:
    file = io.BytesIO()
    written = write(store.connection, file, format, request, CONTEXT)
    rows = READERS[format](file.getvalue())
    assert written.rows == len(rows)
    return rows


def summed(rows: list[dict[str, Any]]) -> Counts:
    """What a person adds up in a spreadsheet."""
    whole = {name: sum(row[name] for row in rows) for name in Counts._fields[:9]}
    costs = [int(row["cost_picodollars"]) for row in rows if row["cost_picodollars"] is not None]
    cost_usd = sum(costs) / PICO_PER_USD if costs or not rows else None
    return Counts(**whole, cost_usd=cost_usd, cost_is_lower_bound=any(row["cost_is_lower_bound"] for row in rows))


# Sums


@pytest.mark.parametrize("format", FORMATS)
@settings(deadline=None, max_examples=40)
@given(lines=SPREAD, request_=REQUESTS)
def test_rows_add_up_to_the_report(format: str, lines: list[Record], request_: Request) -> None:
    """Whatever was chosen, in any zone, the sums of an export are the totals of the daily report, to the last digit."""
    store = store_of(*lines)
    report = build(request_._replace(report="daily"), Stored(store.connection, PRICES), CONTEXT)
    assert summed(exported(store, format, request_)) == report.totals


@settings(deadline=None, max_examples=40)
@given(SPREAD, REQUESTS)
def test_all_formats_hold_the_same(lines: list[Record], request: Request) -> None:
    """Row by row, in the order of time; key and part name a row."""
    store = store_of(*lines)
    rows = [exported(store, kind, request) for kind in FORMATS]
    for row in rows[1]:
        row |= {name: row[name].removeprefix("'") for name in ("project", "project_name")}
    assert rows[0] == rows[1] == rows[2]
    places = [(row["at"], row["key"], row["part"]) for row in rows[0]]
    assert places == sorted(set(places))


def test_what_is_billed_besides_a_reply_has_its_own_row() -> None:
    """At its own model, with its tokens and 0 replies (R6)."""
    spent = [{"type": "compaction", "model": "claude-haiku-4-5", "input_tokens": 50}, {"type": "advisor_message", "input_tokens": 7}]
    rows = exported(store_of(record(usage=usage(iterations=spent), stopped=False)), "ndjson")
    names = ("key", "part", "model", "input_tokens", "replies", "not_final_replies", "final")
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("msg_1", 0, MODEL, 4, 1, 1, False),
        ("msg_1", 1, "claude-haiku-4-5", 50, 0, 0, True),
        ("msg_1", 2, MODEL, 7, 0, 0, True),
    ]


def test_a_model_is_chosen_by_row() -> None:
    """Of a reply at another model only what was billed at that one."""
    spent = [{"type": "compaction", "model": "claude-haiku-4-5", "input_tokens": 50}]
    rows = exported(store_of(record(usage=usage(iterations=spent))), "ndjson", ALL._replace(models=("*haiku*",)))
    assert [(row["part"], row["model"]) for row in rows] == [(1, "claude-haiku-4-5")]


def test_costs_are_exact_however_great() -> None:
    """What a log claims may cost more than 64 bits hold."""
    store = store_of(*(record(f"msg_{number}", usage=usage(2**53, input_tokens=2**53)) for number in range(3)))
    rows = exported(store, "parquet")
    costs = [row["cost_picodollars"] for row in rows]
    assert all(isinstance(cost, Decimal) and cost > 2**64 for cost in costs)
    for kind in FORMATS:
        assert [row["cost_picodollars"] for row in exported(store, kind)] == costs


def test_a_cost_that_is_unknown_is_none() -> None:
    """Not 0 in any format."""
    for kind in FORMATS:
        (row,) = exported(store_of(record(model="claude-zeta-9")), kind)
        assert (row["cost_usd"], row["cost_picodollars"], row["cost_is_lower_bound"]) == (None, None, True)


# Days


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (date(2026, 10, 25), date(2026, 10, 25), ["first", "last"]),
        (date(2026, 10, 26), None, ["after"]),
        (None, date(2026, 10, 24), ["before"]),
        (date(2026, 10, 27), None, []),
        (date.min, date.max, ["before", "first", "last", "after"]),
    ],
)
def test_since_and_until_are_whole_days(since: date | None, until: date | None, expected: list[str]) -> None:
    """Inclusive, to the millisecond, also on the day of 25 hours."""
    first, after = AUTUMN - 3 * 4 * QUARTER_MS, AUTUMN + 22 * 4 * QUARTER_MS  # Berlin's midnights: 22:00 UTC, and 23:00 UTC the next day
    moments = {"before": first - 1, "first": first, "last": after - 1, "after": after}
    store = store_of(*(record(name, at_ms=at_ms) for name, at_ms in moments.items()))
    request = Request("export", ZoneInfo("Europe/Berlin"), since, until)
    assert [row["key"] for row in exported(store, "csv", request)] == expected


def test_moments_at_the_end_of_the_calendar() -> None:
    """A line that claims a time after the year 9999 is taken for its last moment, which every reader can read."""
    store = store_of(record(at_ms=LAST_MS), record("msg_2", at_ms=LAST_MS + 36_000_000))
    for kind in FORMATS:
        assert {row["at"] for row in exported(store, kind)} == {"9999-12-31T23:59:59.999Z"}


# Names


def hostile_store() -> Store:
    lines = [
        record(f"{name}{number}", model=name, version=name, at_ms=AT_MS + number, owner=Owner(False, False, name, name, name))
        for number, name in enumerate(HOSTILE)
    ]
    store = store_of()
    for number, each in enumerate(lines):
        made = chunk(each, folder=(AT_MS, HOSTILE[number]))
        made.change = made.change._replace(file=made.change.file._replace(path=f"/logs/{number}.jsonl", inode=number))
        store.apply([made])
    return store


@pytest.mark.parametrize("format", ["parquet", "ndjson"])
def test_names_are_told_as_they_are(format: str) -> None:
    """A program gets what the log says."""
    rows = exported(hostile_store(), format)
    for column in ("session", "project", "folder", "agent", "model", "version"):
        assert [row[column] for row in rows] == list(HOSTILE)


def test_names_are_no_formulas() -> None:
    """In a spreadsheet every name is a text, in its own field of its own row."""
    rows = exported(hostile_store(), "csv")
    assert len(rows) == len(HOSTILE)
    for row, name in zip(rows, HOSTILE, strict=True):
        assert [row[column] for column in ("session", "agent", "model", "folder")] == [guarded(name)] * 4
        assert not any(str(value).startswith(("=", "+", "-", "@", "\t")) for value in row.values())


def test_names_do_a_terminal_no_harm() -> None:
    """On a terminal no format sends it anything to act on."""
    for kind in ("csv", "ndjson"):
        file = io.BytesIO()
        write(hostile_store().connection, file, kind, ALL, CONTEXT)
        shown = file.getvalue().decode()
        assert all(char.isprintable() or char in "\n\t" for char in shown)


# One moment, a row at a time


class Meddled(io.BytesIO):
    """A file at whose first byte somebody else deletes what was not written yet."""

    def __init__(self, store: Path) -> None:
        super().__init__()
        self._store = store

    def write(self, data: Any) -> int:
        with closing(sqlite3.connect(self._store, isolation_level=None)) as other:
            other.execute("DELETE FROM replies")
        return super().write(data)


@pytest.mark.parametrize("format", FORMATS)
def test_an_export_is_of_one_moment(tmp_path: Path, format: str) -> None:
    """What others commit meanwhile is not in it."""
    logs = write_logs(tmp_path / "logs", {"-app/s1.jsonl": many_lines(2_500)})
    with closing(coordinator(logs, tmp_path / "store.db")) as engine:
        engine.check_for_updates()
        file = Meddled(tmp_path / "store.db")
        assert write(engine.db, file, format, ALL, CONTEXT).rows == 2_500
        assert engine.db.execute("SELECT count(*) FROM replies").fetchone() == (0,)
    assert len(READERS[format](file.getvalue())) == 2_500


class EnoughError(Exception):
    """Ends what has no end."""


class Stopping(io.RawIOBase):
    """A file that takes its first bytes and a few more."""

    taken = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if self.taken > 1_000:
            raise EnoughError
        self.taken += len(data)
        return len(data)


def test_rows_are_written_as_they_are_read() -> None:
    """However many rows there are: of endless ones the first arrive all the same."""
    rng = random.Random(1)
    (row,) = export_rows((db := store_of(record()).connection), scope_of(ALL, Stored(db, PRICES), CONTEXT), PRICES)
    endless: Iterator[ExportRow] = (row._replace(key=f"msg_{rng.random()}") for _ in itertools.count())
    assert next(csv_pieces(endless)).count(b"\n") <= 1_001
    assert next(ndjson_pieces(endless)).count(b"\n") <= 1_000
    with pytest.raises(EnoughError):
        write_parquet(endless, Stopping(), prices="")  # type: ignore[arg-type]  # as much of a file as it takes


@pytest.mark.parametrize("format", FORMATS)
def test_no_row_at_all(format: str) -> None:
    """A file of no rows is a sound one, with its columns."""
    file = io.BytesIO()
    write(store_of().connection, file, format, ALL, CONTEXT)
    assert READERS[format](file.getvalue()) == []
    if format == "csv":
        assert file.getvalue().decode().strip().split(",") == list(ExportRow._fields)
    if format == "parquet":
        assert pyarrow.parquet.read_schema(io.BytesIO(file.getvalue())).names == list(ExportRow._fields)


# As a command


class Home:
    """A home folder with logs in the usual place, and somewhere to write to."""

    def __init__(self, folder: Path) -> None:
        self.logs = write_logs(folder / ".claude" / "projects", {"-home-dev-app/s1.jsonl": many_lines(300)})
        self.out = folder / "out"
        self.out.mkdir()
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in ("CLAUDE_CONFIG_DIR", "XDG_CONFIG_HOME")},
            "HOME": str(folder),
            "TOKENTAIL_HOME": str(folder / "store"),
            "PYTHONPATH": str(SRC),
            "PYTHONWARNINGS": "error",
            "TZ": "UTC",
        }

    def run(self, *words: str, **more: Any) -> subprocess.CompletedProcess[bytes]:
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
        return subprocess.run([sys.executable, *words], env=self.environment, timeout=DEADLINE_S, check=False, cwd=self.out, **streams)

    def export(self, *words: str, **more: Any) -> subprocess.CompletedProcess[bytes]:
        return self.run("-m", "tokentail", "export", *words, **more)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.mark.parametrize("name", ["usage.parquet", "usage.CSV", "usage.ndjson", "usage.jsonl"])
def test_the_name_says_the_format(home: Home, name: str) -> None:
    """The file is whole, private, and what its name ends in."""
    ran = home.export(name)
    (path,) = home.out.iterdir()
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert ran.stdout.decode() == f"300 rows were written to {name} ({path.stat().st_size / 1e6:,.1f} MB).\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    ending = path.suffix[1:].lower().replace("jsonl", "ndjson")
    assert len(READERS[ending](path.read_bytes())) == 300


@pytest.mark.parametrize("format", FORMATS)
def test_to_stdout(home: Home, format: str) -> None:
    """The rows and nothing else, the same as in a file."""
    ran = home.export("-", "--format", format)
    home.export("file", "--format", format)
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert ran.stdout == (home.out / "file").read_bytes()


def test_what_is_chosen(home: Home) -> None:
    """Days, projects and models are named as in the reports; a name that means nothing is told."""
    (home.logs / "-home-dev-app" / "s1.jsonl").write_bytes(
        line("m1", timestamp="2026-10-01T23:30:00.000Z") + line("m2", model="claude-haiku-4-5") + line("m3", cwd="/home/dev/app")
    )
    words = ("-", "--format", "ndjson", "--timezone", "Europe/Berlin")

    def keys(*more: str) -> list[str]:
        return [row["key"] for row in read_ndjson(home.export(*words, *more).stdout)]

    assert keys("--since", "2026-10-02") == ["m1"]
    assert keys("--until", "2026-10-01", "--project", "app") == ["m2", "m3"]
    assert keys("--model", "*haiku*") == ["m2"]
    ran = home.export(*words, "--project", "nap")
    assert (ran.returncode, ran.stdout) == (0, b"")
    assert ran.stderr.decode() == "tokentail: no project is called 'nap' (did you mean 'app'?)\n"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["usage.xlsx"], 2, "add --format parquet, csv or ndjson"),
        (["-"], 2, "stdout has no name"),
        (["there.csv"], 1, "replace it with --force"),
        (["none/usage.csv"], 1, "there is no folder"),
        (["usage.csv", "--since", "tomorrowish"], 2, "tomorrowish"),
        (["usage.csv", "--format", "xml"], 2, "invalid choice"),
        ([], 2, "FILE"),
    ],
)
def test_wrong_words(home: Home, words: list[str], code: int, says: str) -> None:
    """They are told before anything is read or written."""
    (home.out / "there.csv").write_bytes(b"theirs")
    ran = home.export(*words)
    assert (ran.returncode, ran.stdout) == (code, b"")
    assert says in ran.stderr.decode()
    assert [(path.name, path.read_bytes()) for path in home.out.iterdir()] == [("there.csv", b"theirs")]
    assert not Path(home.environment["TOKENTAIL_HOME"]).exists()


def test_force_replaces_a_file(home: Home) -> None:
    """What was there is gone when all of the new file is there."""
    (home.out / "usage.csv").write_bytes(b"theirs")
    assert home.export("usage.csv", "--force").returncode == 0
    assert len(read_csv((home.out / "usage.csv").read_bytes())) == 300


def test_without_pyarrow(home: Home) -> None:
    """Parquet says what to install; the other formats do without."""
    ran = home.run("-c", WITHOUT_PYARROW, "export", "usage.parquet")
    assert (ran.returncode, ran.stdout) == (1, b"")
    assert "pip install 'tokentail[parquet]'" in ran.stderr.decode()
    assert ran.stderr.count(b"\n") == 1
    assert list(home.out.iterdir()) == []
    for name in ("usage.csv", "usage.ndjson"):
        assert home.run("-c", WITHOUT_PYARROW, "export", name).returncode == 0


@pytest.mark.parametrize("format", FORMATS)
def test_a_reader_that_goes_away(home: Home, format: str) -> None:
    """`tokentail export - | head -c 1` ends quietly."""
    write_logs(home.logs, {"-home-dev-app/s2.jsonl": many_lines(4_000, first=1_000)})
    script = f"set -o pipefail; $0 -m tokentail export - --format {format} | head -c 1 >/dev/null; echo ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", script, sys.executable], env=home.environment, capture_output=True, timeout=DEADLINE_S, check=False)
    assert (ran.stdout, ran.stderr) == (b"0\n", b"")


@pytest.mark.parametrize("format", FORMATS)
def test_a_full_disk(home: Home, format: str) -> None:
    """It is told in a line, and no half file is left; what went to stdout cannot be taken back."""
    write_logs(home.logs, {"-home-dev-app/s2.jsonl": many_lines(4_000, first=1_000)})
    home.run("-m", "tokentail", "daily")
    ran = home.run("-c", LIMITED, "50000", "export", f"usage.{format}")
    assert (ran.returncode, ran.stdout) == (1, b"")
    assert ran.stderr.startswith(f"tokentail: cannot write usage.{format}: File too large (nothing was kept of it".encode())
    assert list(home.out.iterdir()) == []
    with open("/dev/full", "wb") as full:
        ran = home.export("-", "--format", format, stdout=full)
    assert ran.returncode == 1
    assert ran.stderr == b"tokentail: cannot write to stdout: No space left on device (what was written is not all; free space)\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ended_in_the_middle(home: Home, number: int) -> None:
    """Ctrl-C, SIGTERM and a closed terminal leave nothing."""
    ran = home.run("-c", ENDED_IN_THE_MIDDLE, str(int(number)), "export", "usage.csv")
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, b"", b"")
    assert list(home.out.iterdir()) == []


def test_on_a_terminal(home: Home) -> None:
    """CSV is shown there, and Parquet is not."""
    ours, theirs = pty.openpty()
    try:
        assert home.export("-", "--format", "csv", "--since", "2026-12-27", stdout=theirs).returncode == 0
        assert os.read(ours, 4_096).startswith(b"key,part,id,at,session")
        ran = home.export("-", "--format", "parquet", stdout=theirs)
        assert (ran.returncode, b"Parquet is nothing for a terminal" in ran.stderr) == (2, True)
    finally:
        os.close(ours)
        os.close(theirs)


def spoil_replies(home: Home) -> None:
    """Break a page in the middle of what an export reads and a pass does not."""
    path = Path(home.environment["TOKENTAIL_HOME"]) / "store.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = db.execute("SELECT pageno FROM dbstat WHERE name = 'replies' AND pagetype = 'leaf' LIMIT 1 OFFSET 20").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)


def test_a_damaged_store(home: Home) -> None:
    """A file begins anew with what was saved and what the logs still hold; on stdout half of it is out already, which is told."""
    write_logs(home.logs, {"-home-dev-app/s2.jsonl": many_lines(4_000, first=1_000)})
    home.run("-m", "tokentail", "daily")
    spoil_replies(home)
    ran = home.export("-", "--format", "csv")
    assert ran.returncode == 1
    assert b"what was written is not all" in ran.stderr
    ran = home.export("usage.csv")
    assert ran.returncode == 0
    assert b"the store was damaged" in ran.stderr
    rows = read_csv((home.out / "usage.csv").read_bytes())
    assert len({row["key"] for row in rows}) == len(rows) == 4_300


def test_without_logs(home: Home) -> None:
    """There is a file without rows, and the folders that were searched are named."""
    (home.logs / "-home-dev-app" / "s1.jsonl").unlink()
    ran = home.export("usage.csv")
    assert (ran.returncode, ran.stdout) == (0, b"0 rows were written to usage.csv (0.0 MB).\n")
    assert str(home.logs).encode() in ran.stderr


def test_times_are_as_in_the_log(home: Home) -> None:
    """To the millisecond, as a timestamp with its zone in Parquet."""
    (home.logs / "-home-dev-app" / "s1.jsonl").write_bytes(line(timestamp="2026-10-01T12:34:56.789+02:00"))
    home.export("usage.parquet")
    table = pyarrow.parquet.read_table(home.out / "usage.parquet")
    assert str(table.schema.field("at").type) == "timestamp[ms, tz=UTC]"
    assert table["at"].to_pylist() == [datetime(2026, 10, 1, 10, 34, 56, 789_000, tzinfo=UTC)]
    assert table.schema.metadata[b"tokentail.schema"] == b"tokentail/export/1"
