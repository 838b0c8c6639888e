"""
A small made-up store, and what every report looks like on it: the stored outputs in `tests/data/reports/sample`.

`python tests/sample.py` writes them anew; look at each that changed before you commit it.
"""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from builders import coordinator, line, record, usage, write_logs
from tokentail import prices, queries
from tokentail.model import LogsRead, Owner, Record, Reply, Report
from tokentail.reports.as_chart import report_chart
from tokentail.reports.as_csv import report_csv
from tokentail.reports.as_json import report_json
from tokentail.reports.as_table import lists_models, report_table
from tokentail.reports.build import KINDS, build
from tokentail.reports.data import Stored
from tokentail.reports.request import Context, Request
from tokentail.reports.text import Style

STORED = Path(__file__).with_name("data") / "reports" / "sample"
NOW = datetime(2026, 10, 2, 13, 30, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
PLAIN = Style(False)
# Two of the sessions begin alike, and one is a fork of the other.
HARBOR, FORK, HOSTILE = "3f2a91c4-7c1e-4b0a-9a51", "3f2a91c4-d002-4f7e-8e90", "=2+5\x1b]0;x\x07"
HOSTILE_FOLDER = "/home/dev/=1+1\x1b[2J\u202e日本e\u0301e\u0301\u200b[red]" + "long" * 74
HOSTILE_MODEL = "zeta-9\x1b[31m" + "!" * 60
SONNET, HAIKU = "claude-sonnet-4-5-20250929", "claude-haiku-4-5"


def write_sample(folder: Path) -> Path:
    """Logs of three sessions in two projects, 15 replies in all; gives back their folder."""
    harbor = "-home-dev-src-harbor-api"
    main = [
        _line("m1", "2026-09-28T08:02:11.100Z", 812),
        _line("m2", "2026-09-28T08:05:40.000Z", 4_410, read=31_000),
        _line("m3", "2026-09-28T08:31:00.000Z", 95, read=35_200, model=SONNET, usage_more={"server_tool_use": {"web_search_requests": 2}}),
        _line("m4", "2026-09-28T11:20:09.250Z", 12, read=40_100, stop_reason=None),
    ]
    one = [
        _line(f"a{n}", f"2026-09-28T08:10:0{n}.000Z", 240 + n, model=HAIKU, isSidechain=True, agentId="a51c09e2bd0f4e77a") for n in (1, 2)
    ]
    other = [_line("b1", "2026-09-28T08:40:00.000Z", 1_999, read=8_000, isSidechain=True, agentId="a77e")]
    fork = [
        *(_copied(each) for each in main[:2]),
        _line("f1", "2026-09-30T09:00:00.000Z", 3_300, read=36_000, session=FORK),
        _line("f2", "2026-09-30T09:12:00.000Z", 2_750, read=39_000, session=FORK, model=SONNET),
        _line("f3", "2026-10-01T22:30:00.000Z", 640, session=FORK, model=HOSTILE_MODEL),  # the next day in Berlin
        b'{"usage": broken\n',
    ]
    hostile = [
        _line("h1", "2026-10-02T05:15:00.000Z", 900, read=20_000, write=9_000, session=HOSTILE, cwd=HOSTILE_FOLDER),
        _line("h2", "2026-10-02T10:40:00.000Z", 1_800, read=40_000, stop_reason=None, write=9_000, session=HOSTILE, cwd=HOSTILE_FOLDER),
        _line("h3", "2026-10-02T11:05:00.000Z", 2_700, read=60_000, write=9_000, session=HOSTILE, cwd=HOSTILE_FOLDER),
        _line("h4", "2026-10-02T11:59:00.000Z", 3_600, read=80_000, write=9_000, session=HOSTILE, cwd=HOSTILE_FOLDER),
        _line("h5", "2026-10-02T13:20:00.000Z", 4_500, read=100_000, write=9_000, session=HOSTILE, cwd=HOSTILE_FOLDER),
    ]
    files = {
        f"{harbor}/{HARBOR}.jsonl": main,
        f"{harbor}/{HARBOR}/subagents/agent-a51c09e2bd0f4e77a.jsonl": one,
        f"{harbor}/{HARBOR}/subagents/agent-a77e.jsonl": other,
        f"{harbor}/{FORK}.jsonl": fork,
        "-home-dev--1-1/s3.jsonl": hostile,
    }
    return write_logs(folder, {name: b"".join(lines) for name, lines in files.items()})


class Sample(Stored):
    """The sample's store, with made-up estimates for what is not final: 5 000 more."""

    def __init__(self, db: sqlite3.Connection) -> None:
        super().__init__(db, prices.load())
        self._replies = [reply for reply in queries.replies_since(db, 0) if not reply.final]

    def estimates(self, start_ms: int, end_ms: int, *, projects: Set[str] | None, models: Set[str] | None) -> Sequence[tuple[Reply, int]]:
        return [(reply, reply.tokens.output + 5_000) for reply in self._replies]


def sample(report: str, stored: Sample, malformed_lines: int, **asked: Any) -> Report:
    """A report on the sample, as if it were read at `NOW`."""
    now_ms = round(NOW.timestamp() * 1000)
    context = Context(prices.load(), now_ms, ("/home/dev/.claude/projects",), {}, malformed_lines, estimates=stored.estimates)
    return build(Request(report, BERLIN, **asked), stored, context)


@contextlib.contextmanager
def sample_store(taken: Sequence[Record] = ()) -> Iterator[tuple[Sample, int]]:
    """
    The sample's store with what other machines sent, and how many lines of its logs could not be read.

    Since it was filled a log was deleted, and one was written anew without its reply m3; both stay counted.
    """
    with tempfile.TemporaryDirectory() as folder:
        logs = write_sample(Path(folder) / "logs")
        looking = coordinator(logs, Path(folder) / "store.db")
        looking.check_for_updates()
        main = logs / "-home-dev-src-harbor-api" / f"{HARBOR}.jsonl"
        (main.with_suffix("") / "subagents" / "agent-a77e.jsonl").unlink()
        main.write_bytes(b"".join(each for each in main.read_bytes().splitlines(keepends=True) if b'"m3"' not in each))
        looking.check_for_updates()
        if taken:
            looking.change_store(lambda store: store.take(taken))
        with contextlib.closing(looking):
            yield Sample(looking.db), queries.malformed_lines(looking.db)


def sent() -> list[Record]:
    """What two machines of Anna's and one whose names are hostile have sent, one reply of it twice."""
    laptop = Owner(False, False, "9b1e66d0-laptop", "-home-anna-harbor-api", "", "anna", "anna-laptop")
    runner = Owner(False, False, "77c0ffee-runner", "-builds-harbor-api", "", "anna", "ci-7")
    evil = Owner(False, False, "e0e0e0e0-evil", "-x", "", "=cmd\x1b[31m", "\u202eevil\x07\n+1")
    at_ms = round(datetime(2026, 10, 1, 9, 0, tzinfo=UTC).timestamp() * 1000)
    return [
        *(record(f"l{n}", at_ms=at_ms + n * 60_000, usage=usage(1_000 + n), owner=laptop) for n in range(5)),
        *(record(f"r{n}", at_ms=at_ms + n * 3_600_000, usage=usage(700), owner=runner, model=HAIKU) for n in range(3)),
        record("l4", at_ms=at_ms + 240_000, usage=usage(2_222), owner=runner),
        record("e1", at_ms=at_ms + 120_000, usage=usage(9_999), stopped=False, owner=evil),
    ]


def fleet_outputs() -> Mapping[str, str]:
    """The same, where other machines send to the one of the sample."""
    shown: dict[str, str] = {}
    with sample_store(sent()) as (stored, malformed):
        for name in ("daily", "sessions", "hosts", "users"):
            for width in (80, 160):
                plain = sample(name, stored, malformed, provenance=name != "sessions" and width == 80)
                shown[f"fleet-{name}-{width}.txt"] = report_table(plain, width=width, style=PLAIN)
            shown |= {f"fleet-{name}.json": report_json(plain) + "\n", f"fleet-{name}.csv": report_csv(plain)}
        anna = sample("daily", stored, malformed, users=("ann?",), hosts=("CI-*",))
        shown["fleet-runner.json"] = report_json(anna) + "\n"
    return shown


def outputs() -> Mapping[str, str]:
    """Every stored output by its name."""
    shown = dict(fleet_outputs())
    with sample_store() as (stored, malformed):
        for name in KINDS:
            plain = sample(name, stored, malformed)
            full = sample(name, stored, malformed, breakdown=True, agents=True)
            wide = full if lists_models(name, 160) else plain
            split = sample(name, stored, malformed, provenance=True, not_final=True, estimate=True)
            shown |= {
                f"{name}-80.txt": report_table(plain, width=80, style=PLAIN),
                f"{name}-160.txt": report_table(wide, width=160, style=PLAIN),
                f"{name}-chart.txt": report_chart(plain, width=80, style=PLAIN),
                f"{name}.json": report_json(plain) + "\n",
                f"{name}.csv": report_csv(plain),
            }
            if name in ("daily", "sessions", "projects"):
                shown |= {
                    f"{name}-parts.txt": report_table(split, width=80, style=PLAIN),
                    f"{name}-parts.json": report_json(split) + "\n",
                    f"{name}-parts.csv": report_csv(split),
                }
            if name == "daily":
                partly = plain._replace(logs_read=LogsRead(23_412_000, 1_976_588_000))
                shown |= {"daily-logs.txt": report_table(partly, width=80, style=PLAIN), "daily-logs.json": report_json(partly) + "\n"}
            if name not in ("models", "weekly", "monthly"):
                shown |= {
                    f"{name}-full.txt": report_table(full, width=80, style=PLAIN, breakdown=True),
                    f"{name}-full.json": report_json(full) + "\n",
                    f"{name}-full.csv": report_csv(full, breakdown=True, agents=name == "sessions"),
                }
    return shown


def _line(
    id: str,
    at: str,
    output: int,
    *,
    read: int = 0,
    write: int = 2_400,
    session: str = HARBOR,
    cwd: str = "/home/dev/src/harbor-api",
    stop_reason: str | None = "end_turn",
    usage_more: Mapping[str, object] | None = None,
    **outer: Any,
) -> bytes:
    counts = usage(
        output,
        cache_read_input_tokens=read,
        cache_creation_input_tokens=write,
        cache_creation={"ephemeral_5m_input_tokens": write // 2, "ephemeral_1h_input_tokens": write - write // 2},
        **(usage_more or {}),
    )
    return line(id, timestamp=at, usage=counts, stop_reason=stop_reason, cwd=cwd, sessionId=session, **outer)


def _copied(logged: bytes) -> bytes:
    """The line as it stands in the log of a fork."""
    return logged.replace(HARBOR.encode(), FORK.encode()).replace(b'"type":', b'"forkedFrom": {"sessionId": "x"}, "type":', 1)


def _write_stored() -> None:
    STORED.mkdir(parents=True, exist_ok=True)
    for name, shown in outputs().items():
        (STORED / name).write_text(shown, encoding="utf-8", newline="")


if __name__ == "__main__":
    _write_stored()
