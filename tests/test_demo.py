"""The made-up logs: what their writer says they add up to is what a slow reader, written from the rules alone, finds in them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokentail.demo import write_demo
from tokentail.demo.live import LiveWriter, Mishaps
from tokentail.demo.plan import CLEAN, Dirt
from tokentail.demo.tree import TreePlan, write_tree
from tokentail.demo.truth import Sums, Truth

NOW = datetime(2026, 11, 18, 15, 30, tzinfo=UTC)  # a Wednesday
FILTHY = Dirt(
    crlf=0.3,
    bom=0.3,
    nul_runs=0.4,
    torn_end=0.3,
    no_newline=0.3,
    two_on_a_line=0.4,
    doubled=0.2,
    sorted_keys=0.15,
    spaced=0.15,
    bad_utf8=0.3,
    bad_lines=0.05,
    odd_counts=0.1,
    missing_ids=0.2,
)
BUSY = TreePlan(
    total_bytes=700_000,
    files=24,
    days=9,
    projects=5,
    subagent_share=0.4,
    resumed_share=0.5,
    old_share=0.3,
    side_question_share=0.5,
    fast_share=0.3,
    never_final_share=0.1,
    missing_request_share=0.1,
    web_search_share=0.1,
    extra_share=0.1,
    trap_share=0.2,
    error_share=0.3,
    text_scale=0.3,
)
SHARES = (
    "subagent_share",
    "resumed_share",
    "old_share",
    "side_question_share",
    "partial_share",
    "never_final_share",
    "missing_request_share",
    "extra_share",
)


# A slow reader of docs/counting.md: every line is decoded, every record of a message is kept.


@dataclass(frozen=True)
class Record:
    """A line that carries usage, and where it stands."""

    line: dict[str, Any]
    session: str
    project: str
    subagent: bool

    @property
    def usage(self) -> dict[str, Any]:
        found: dict[str, Any] = self.line["message"]["usage"]
        return found

    @property
    def stopped(self) -> bool:
        return self.line["message"].get("stop_reason") is not None

    @property
    def rank(self) -> tuple[object, ...]:
        """R4, least first."""
        canonical = json.dumps(self.usage, sort_keys=True, separators=(",", ":"))
        return (-count(self.usage, "output_tokens"), not self.stopped, -len(self.usage), canonical, self.line["message"]["model"])

    @property
    def owner(self) -> tuple[object, ...]:
        """R7, least first."""
        return ("forkedFrom" in self.line or self.line.get("sessionKind") == "bg", self.subagent, self.session, self.project)


def count(counts: dict[str, Any], name: str) -> int:
    value = counts.get(name)
    return value if type(value) is int and 0 <= value <= 2**53 else 0


def objects(line: bytes) -> tuple[list[object], bool]:
    """R1: the JSON values of a line, and whether something after them is none."""
    text, decoder, at = line.decode(errors="replace").strip(" \t\r\n"), json.JSONDecoder(), 0
    found: list[object] = []
    while at < len(text):
        try:
            value, at = decoder.raw_decode(text, at)
        except ValueError:
            return found, True
        found.append(value)
        at += len(text[at:]) - len(text[at:].lstrip(" \t\r\n"))
    return found, False


def has_usage(value: object) -> bool:
    """R2."""
    if not isinstance(value, dict) or value.get("type") != "assistant":
        return False
    message = value.get("message")
    if not isinstance(message, dict) or not isinstance(message.get("usage"), dict):
        return False
    if not message.get("model") or message["model"] == "<synthetic>":
        return False
    try:
        datetime.fromisoformat(value["timestamp"])
    except ValueError:
        return False
    return True


class SlowReader:
    """Reads whole trees, again and again if asked to; what it saw once it keeps."""

    def __init__(self) -> None:
        self.messages: dict[str, dict[str, Record]] = defaultdict(dict)  # key, then the record itself as text and its place
        self.malformed = self.files = self.bytes = self.lines = 0

    def read(self, root: Path) -> SlowReader:
        for path in sorted((root / "projects").rglob("*.jsonl")):
            data = path.read_bytes()
            self.files += 1
            self.bytes += len(data)
            self.lines += data.count(b"\n") + (data[-1:] not in {b"", b"\n"})
            self.read_file(path.relative_to(root / "projects"), data)
        return self

    def read_file(self, path: Path, data: bytes) -> None:
        *lines, last = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        for line in [*lines, last]:
            found, broken = objects(line)
            self.malformed += broken and b'"usage"' in line and line is not last
            for value in found:
                if has_usage(value):
                    assert isinstance(value, dict)
                    self.keep(path, value)

    def keep(self, path: Path, line: dict[str, Any]) -> None:
        session = path.parts[1] if "subagents" in path.parts else line["sessionId"]
        record = Record(line, session, path.parts[0], path.name.startswith("agent-"))
        self.messages[line["message"].get("id") or line["uuid"]][json.dumps([str(path), line])] = record

    def resolved(self) -> Iterator[list[Record]]:
        """R3 for logs without a gateway that reuses ids: replays under another request are dropped."""
        for records in self.messages.values():
            own = [record for record in records.values() if not record.line["isSidechain"]]
            requests = {record.line.get("requestId") for record in own} - {None}
            assert len(requests) <= 1
            yield [r for r in records.values() if not own or not r.line["isSidechain"] or r.line.get("requestId") in requests]

    def parts(self) -> Iterator[tuple[str, str, str, str, Sums]]:
        """Day, model, project, session and counts of each reply, and of what is billed besides."""
        for records in self.resolved():
            winner = min(records, key=lambda record: record.rank)
            at = min(datetime.fromisoformat(record.line["timestamp"]) for record in records)
            _, _, session, project = min(records, key=lambda record: record.owner).owner
            day = at.astimezone(UTC).date().isoformat()
            searches = max(count(record.usage.get("server_tool_use") or {}, "web_search_requests") for record in records)
            sums = tokens(winner.usage)._replace(
                replies=1, not_final=0 if any(record.stopped for record in records) else 1, web_searches=searches
            )
            yield day, winner.line["message"]["model"], str(project), str(session), sums
            for extra in winner.usage.get("iterations") or []:
                if extra["type"] not in {"message", "fallback_message"}:
                    yield day, extra["model"], str(project), str(session), tokens(extra)

    def truth(self) -> Truth:
        rows = list(self.parts())
        nested: dict[str, dict[str, Sums]] = {}
        for day, model in sorted({(row[0], row[1]) for row in rows}):
            nested.setdefault(day, {})[model] = total(row[4] for row in rows if row[:2] == (day, model))
        return Truth(
            totals=total(row[4] for row in rows),
            by_day=table(rows, 0),
            by_model=table(rows, 1),
            by_project=table(rows, 2),
            by_session=table(rows, 3),
            by_day_model=nested,
            malformed_lines=self.malformed,
            files=self.files,
            bytes=self.bytes,
            lines=self.lines,
        )


def tokens(usage: dict[str, Any]) -> Sums:
    """R5."""
    split = usage.get("cache_creation") or {}
    five, hour = count(split, "ephemeral_5m_input_tokens"), count(split, "ephemeral_1h_input_tokens")
    if not five + hour:
        five = count(usage, "cache_creation_input_tokens")
    return Sums(count(usage, "input_tokens"), count(usage, "output_tokens"), count(usage, "cache_read_input_tokens"), five, hour)


def total(rows: Iterable[Sums]) -> Sums:
    return Sums(*map(sum, zip(Sums(), *rows, strict=True)))


def table(rows: list[tuple[str, str, str, str, Sums]], place: int) -> dict[str, Sums]:
    return {key: total(row[4] for row in rows if row[place] == key) for key in sorted({str(row[place]) for row in rows})}


def read(root: Path) -> Truth:
    return SlowReader().read(root).truth()


def tree_bytes(root: Path) -> dict[str, str]:
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def log_lines(root: Path) -> list[dict[str, Any]]:
    """Every line of a clean tree, decoded."""
    return [json.loads(line) for path in sorted(root.rglob("*.jsonl")) for line in path.read_bytes().splitlines()]


# Trees


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("dirty", [CLEAN, True, FILTHY], ids=["clean", "dirty", "filthy"])
def test_truth_is_what_the_rules_find(tmp_path: Path, seed: int, dirty: bool | Dirt) -> None:
    """The writer's truth is what a reader that knows only the rules finds in the files."""
    truth = write_tree(tmp_path, replace(BUSY, seed=seed, dirty=dirty))

    assert truth.totals.replies > 50
    assert truth == read(tmp_path)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 2**32),
    files=st.integers(1, 9),
    total_bytes=st.integers(1, 60_000),
    days=st.integers(1, 400),
    shares=st.lists(st.sampled_from([0.0, 0.2, 1.0]), min_size=len(SHARES), max_size=len(SHARES)),
    dirt=st.sampled_from([CLEAN, FILTHY]),
)
def test_truth_holds_for_any_plan(
    tmp_path_factory: pytest.TempPathFactory, seed: int, files: int, total_bytes: int, days: int, shares: list[float], dirt: Dirt
) -> None:
    """Whatever the shares, the writer knows what it wrote."""
    chosen: dict[str, Any] = dict(zip(SHARES, shares, strict=True))
    plan = replace(BUSY, seed=seed, files=files, total_bytes=total_bytes, days=days, text_scale=0.1, dirty=dirt, **chosen)
    root = tmp_path_factory.mktemp("tree")

    assert write_tree(root, plan) == read(root)


def test_same_plan_same_bytes(tmp_path: Path) -> None:
    """A plan is all that a tree depends on."""
    plan = replace(BUSY, dirty=True)
    first, second, other = tmp_path / "first", tmp_path / "second", tmp_path / "other"

    assert write_tree(first, plan) == write_tree(second, plan)
    write_tree(other, replace(plan, seed=2))

    assert tree_bytes(first) == tree_bytes(second)
    assert tree_bytes(first) != tree_bytes(other)


def test_size_is_met_closely(tmp_path: Path) -> None:
    """A tree has about the bytes and files that were asked for; half of its files are far below the mean."""
    truth = write_tree(tmp_path, TreePlan(total_bytes=24_000_000, files=120))

    sizes = sorted(path.stat().st_size for path in tmp_path.rglob("*.jsonl"))
    assert 0.85 < truth.bytes / 24_000_000 < 1.15
    assert 120 <= truth.files <= 132
    assert sizes[60] < 0.6 * truth.bytes / truth.files
    assert sizes[-1] > 1_500_000


def test_nothing_is_later_than_the_end(tmp_path: Path) -> None:
    """No line and no file has a time after the plan's end, nor before its first day."""
    write_tree(tmp_path, replace(BUSY, end=NOW, recent_sessions=3))

    times = [datetime.fromisoformat(line["timestamp"]) for line in log_lines(tmp_path) if "timestamp" in line]
    assert max(times) <= NOW
    assert min(times) >= NOW - timedelta(days=9)
    assert max(path.stat().st_mtime for path in tmp_path.rglob("*.jsonl")) <= NOW.timestamp()


def test_every_dirt_is_there(tmp_path: Path) -> None:
    """A plan's dirt reaches the files, each kind of it."""
    truth = write_tree(tmp_path, replace(BUSY, files=150, total_bytes=3_000_000, text_scale=0.1, dirty=FILTHY))

    files = [path.read_bytes() for path in tmp_path.rglob("*.jsonl")]
    everything = b"".join(files)
    assert any(data.startswith(b"\xef\xbb\xbf") for data in files)
    assert any(data and not data.endswith(b"\n") and data.endswith(b"}") for data in files)
    assert any(data and not data.endswith((b"\n", b"}")) for data in files)
    for trace in (b"\r\n", b"\0", b"\xff\xc3", b'}{"type"', b'"usage": {', b'"input_tokens":null', b'{"cwd":', b"\n\r\n"):
        assert trace in everything
    assert truth.malformed_lines > 0


def test_shapes_of_every_kind_are_there(tmp_path: Path) -> None:
    """A tree holds what trips counters up: copies, replays, growing counts, usage that is not one, old and new shapes."""
    write_tree(tmp_path, replace(BUSY, files=150, total_bytes=4_000_000, text_scale=0.1))

    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*.jsonl"))
    for trace in (
        b'"forkedFrom"',
        b'"sessionKind":"bg"',
        b'"type":"agent_progress"',
        b'"toolUseResult":{"usage"',
        b'"input":{"usage"',
        b"<synthetic>",
        b'"speed":"fast"',
        b'"web_search_requests":3',
        b'"type":"compaction"',
        b'"type":"fallback_message"',
        b'"version":"1.0.24"',
        b'"version":"2.1.229"',
        b'"cwd":"C:\\\\Users',
    ):
        assert trace in everything, trace
    assert list(tmp_path.glob("projects/*/agent-????????.jsonl"))
    assert list(tmp_path.glob("projects/*/*/subagents/agent-aside_question-*.jsonl"))
    assert list(tmp_path.glob("projects/*/*/subagents/workflows/*/journal.jsonl"))


def test_replies_take_several_lines(tmp_path: Path) -> None:
    """Most replies are logged as more than one line, as in real logs."""
    write_tree(tmp_path, TreePlan(total_bytes=2_000_000, files=4, resumed_share=0.0, side_question_share=0.0))

    replies = Counter(line["message"]["id"] for line in log_lines(tmp_path) if has_usage(line))
    assert 1.8 < replies.total() / len(replies) < 2.4


def test_truth_as_json(tmp_path: Path) -> None:
    """The truth can be kept in a file: sums are objects."""
    truth = write_tree(tmp_path, replace(BUSY, files=4))

    kept = json.loads(truth.to_json())
    assert kept["totals"] == truth.totals._asdict()
    assert {
        day: {model: Sums(**sums) for model, sums in models.items()} for day, models in kept["by_day_model"].items()
    } == truth.by_day_model


def test_a_day_is_an_end(tmp_path: Path) -> None:
    """Where the end is a date, the whole of that UTC day belongs to the tree."""
    truth = write_tree(tmp_path, replace(BUSY, end=NOW.date(), days=1))

    assert list(truth.by_day) == ["2026-11-18"]


# The demo


@pytest.mark.parametrize("hour", [3, 15])
def test_demo_looks_alive(tmp_path: Path, hour: int) -> None:
    """The demo's history ends just before now and is busy in the last hour, by night as well."""
    now = NOW.replace(hour=hour)
    write_demo(tmp_path, now=now)

    times = [datetime.fromisoformat(line["timestamp"]) for line in log_lines(tmp_path) if has_usage(line)]
    minutes = {(now - at) // timedelta(minutes=1) for at in times if now - at < timedelta(hours=1)}
    assert timedelta(minutes=2) <= now - max(times) < timedelta(minutes=8)
    assert len(minutes) > 25


def test_demo_has_months_and_projects(tmp_path: Path) -> None:
    """The demo shows four months of six projects in less than twelve megabytes, with free weekends and quiet nights."""
    write_demo(tmp_path, now=NOW)

    truth = read(tmp_path)
    weekend = [day for day in truth.by_day if datetime.fromisoformat(day).weekday() > 4]
    assert 10_000_000 < truth.bytes < 12_000_000
    assert len(truth.by_project) == 6
    assert len(truth.by_model) >= 8
    assert 60 <= len(truth.by_day) <= 120
    assert min(truth.by_day) < "2026-08-10"
    assert sum(truth.by_day[day].replies for day in weekend) < 0.15 * truth.totals.replies


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_demo_was_busy_lately(tmp_path: Path, seed: int) -> None:
    """In the last fortnight a working day has about a hundred replies, some days far more than others, and free days are quiet."""
    write_demo(tmp_path, now=NOW, seed=seed)

    by_day = read(tmp_path).by_day
    days = [NOW.date() - timedelta(days=back) for back in range(1, 14)]
    replies = {day: by_day[day.isoformat()].replies if day.isoformat() in by_day else 0 for day in days}
    working = [count for day, count in replies.items() if day.weekday() < 5]
    free = [count for day, count in replies.items() if day.weekday() > 4]
    assert 60 < sum(working) / len(working) < 150
    assert max(working) > 2 * min(working)
    assert sum(count > 40 for count in working) > 0.7 * len(working)
    assert sum(free) / len(free) < 0.5 * sum(working) / len(working)


def test_demo_follows_the_seed(tmp_path: Path) -> None:
    """Two demos of one seed and moment are the same, byte for byte."""
    for name in ("first", "second"):
        write_demo(tmp_path / name, now=NOW, seed=3)

    assert tree_bytes(tmp_path / "first") == tree_bytes(tmp_path / "second")


# The live writer


class Clock:
    """A clock that only moves when somebody sleeps, or reads it: then by a millisecond."""

    def __init__(self, at: datetime = NOW) -> None:
        self.now_s = at.timestamp()
        self.slept_s: list[float] = []

    def __call__(self) -> float:
        self.now_s += 0.001
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_s += seconds


class StopAfter:
    """Lets a loop go round that many times."""

    def __init__(self, rounds: int) -> None:
        self.left = rounds

    def is_set(self) -> bool:
        self.left -= 1
        return self.left < 0


def live(root: Path, **options: Any) -> LiveWriter:
    clock = Clock()
    return LiveWriter(root, clock=clock, sleep=clock.sleep, **options)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_live_truth_is_what_was_ever_there(tmp_path: Path, seed: int) -> None:
    """A reader that looks after each write and keeps what it saw ends with the writer's truth, whatever happens to the files."""
    writer, reader = live(tmp_path, seed=seed, text_scale=0.02), SlowReader()
    happenings = [writer.tear, writer.rewrite, writer.truncate, writer.delete, writer.resume]

    for turn in range(150):
        if turn % 3 == 2:
            happenings[turn // 3 % len(happenings)]()
            reader.read(tmp_path)
        writer.append_one()
        reader.read(tmp_path)

    found, truth = reader.truth(), writer.truth()
    assert truth.totals.replies > 30
    assert replace(found, malformed_lines=0, files=0, bytes=0, lines=0) == replace(truth, malformed_lines=0, files=0, bytes=0, lines=0)


def test_live_sizes_are_what_was_written(tmp_path: Path) -> None:
    """While nothing happens to the files, the truth's sizes are theirs."""
    writer = live(tmp_path)
    for _ in range(200):
        writer.append_one()

    written = read(tmp_path)
    truth = writer.truth()
    assert (truth.bytes, truth.lines, truth.malformed_lines) == (written.bytes, written.lines, 0)
    assert truth.by_session == written.by_session


def test_torn_line_counts_when_it_is_whole(tmp_path: Path) -> None:
    """Half a line counts nothing; the next write brings the rest."""
    writer = live(tmp_path)
    half = writer.tear()
    while not half.reply:
        writer.append_one()
        half = writer.tear()
    before = writer.truth()

    assert half.path.read_bytes()[half.offset_bytes :] == half.data
    assert writer.truth() == before
    whole = writer.append_one()

    assert (whole.path, whole.offset_bytes, whole.reply) == (half.path, half.offset_bytes, half.reply)
    assert whole.data.startswith(half.data)
    assert writer.truth() != before


def test_appended_line_says_where_it_stands(tmp_path: Path) -> None:
    """The offset and the bytes of what was appended are those in the file."""
    writer = live(tmp_path)

    for _ in range(60):
        line = writer.append_one()
        assert line.path.read_bytes()[line.offset_bytes :] == line.data
        assert json.loads(line.data)["sessionId" if line.reply else "type"]


def test_replies_grow_while_they_stream(tmp_path: Path) -> None:
    """The lines of a reply show more and more output, and the last one a stop reason."""
    writer = live(tmp_path, sessions=1)
    shown = [line for line in (writer.append_one() for _ in range(400)) if line.reply]
    outputs: dict[str, list[int]] = defaultdict(list)
    for line in shown:
        outputs[line.reply].append(json.loads(line.data)["message"]["usage"]["output_tokens"])

    assert all(counts == sorted(counts) for counts in outputs.values())
    assert sum(counts[0] < counts[-1] for counts in outputs.values()) > 20
    assert len({line.session for line in shown}) > 1


def test_run_keeps_the_rate(tmp_path: Path) -> None:
    """Lines come irregularly, at the asked rate on average, with the times of the clock."""
    clock = Clock()
    writer = LiveWriter(tmp_path, clock=clock, sleep=clock.sleep, rate_per_s=10.0)

    writer.run(StopAfter(1_000))

    assert writer.truth().lines == 1_000
    assert 90 < clock.now_s - NOW.timestamp() < 110
    assert len(set(clock.slept_s)) > 500
    assert {day[:10] for day in writer.truth().by_day} == {"2026-11-18"}


def test_run_with_mishaps(tmp_path: Path) -> None:
    """In `run` the mishaps happen by chance, and files of every fate are there."""
    chances = Mishaps(tear=0.1, rewrite=0.05, truncate=0.05, delete=0.05, resume=0.05)
    writer = live(tmp_path, rate_per_s=50.0, mishaps=chances, text_scale=0.05)

    writer.run(StopAfter(300))

    left = read(tmp_path)
    assert 0 < left.totals.replies < writer.truth().totals.replies


def test_live_goes_on_in_the_tree_of_the_demo(tmp_path: Path) -> None:
    """The live writer works in the projects that the demo's tree has."""
    write_demo(tmp_path, now=NOW)
    known = {path.name for path in (tmp_path / "projects").iterdir()}

    writer = live(tmp_path)
    for _ in range(50):
        writer.append_one()

    assert {path.name for path in (tmp_path / "projects").iterdir()} == known
