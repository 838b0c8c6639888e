"""Tests of `tokentail.skim` and `tokentail.reports.from_logs`: whatever an index leaves out, a report says what a full read says."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from logs import PRICES
from tokentail import periods, time_index
from tokentail.criteria import Criterion, During, Everything, OfModels, OfProjects
from tokentail.model import Listing, LogFile, LogsRead, Report
from tokentail.periods import DAY_MS, HOUR_MS
from tokentail.recount import TornError, recount
from tokentail.reports.build import KINDS, build
from tokentail.reports.data import Counted
from tokentail.reports.from_logs import report_from_logs
from tokentail.reports.request import Context, Request
from tokentail.skim import Skim
from tokentail.time_index import Indexed

FIRST_MS = 1_790_000_000_000
FIRST_DAY = periods.day_from_number(FIRST_MS // DAY_MS)
UTC, LORD_HOWE = ZoneInfo("UTC"), ZoneInfo("Australia/Lord_Howe")
OPUS, HAIKU = "claude-opus-5", "claude-haiku-4-5"


@dataclass
class Shelf:
    """A source of files in memory; writes stamp them as a file system does."""

    files: dict[str, bytes] = field(default_factory=dict)
    stamps: dict[str, int] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    owed: dict[str, bytes] = field(default_factory=dict)  # what is still to be written of files
    reads: list[tuple[str, int, int]] = field(default_factory=list)
    at_read: Callable[[], None] = lambda: None
    writes: int = 0
    names: Sequence[str] = ("/logs",)

    def write(self, name: str, data: bytes) -> None:
        self.writes += 1
        self.files[name], self.stamps[name] = data, self.writes

    def remove(self, name: str) -> None:
        self.files.pop(name, None)
        self.owed.pop(name, None)

    def list_files(self) -> Listing:
        found = [
            LogFile(f"/logs/{name}", "/logs", name, 1, 1 + sum(name.encode()), len(self.files[name]), self.stamps[name], self.stamps[name])
            for name in sorted(self.files)
        ]
        return Listing(found, [])

    def read(self, file: LogFile, start_bytes: int, length_bytes: int) -> bytes:
        self.at_read()
        if file.relative in self.unreadable:
            raise PermissionError(13, "Permission denied")
        if file.relative not in self.files:
            raise FileNotFoundError(2, "No such file")
        data = self.files[file.relative][start_bytes : start_bytes + length_bytes]
        self.reads.append((file.relative, start_bytes, len(data)))
        return data

    def bytes_asked(self) -> int:
        """Since it was asked last."""
        asked, self.reads = sum(length for *_, length in self.reads), []
        return asked


def line(
    group: str = "msg_1", at_ms: int = FIRST_MS, *, output: int = 10, model: str = OPUS, newline: bool = True, **changes: Any
) -> bytes:
    extra = changes.pop("extra", None)
    usage = {"input_tokens": 4, "output_tokens": output, **({"iterations": [extra]} if extra else {})}
    fields: dict[str, Any] = {
        "type": "assistant",
        "timestamp": periods.utc_text(at_ms, digits="milliseconds"),
        "sessionId": "s1",
        "requestId": "req_1",
        "cwd": "/home/dev/app",
        "message": {"id": group, "model": model, "stop_reason": "end_turn", "usage": usage},
        **changes,
    }
    return json.dumps({name: value for name, value in fields.items() if value is not None}).encode() + b"\n" * newline


MALFORMED = b'{"usage" oops\n'
PROMPT = b'{"type":"user","message":"' + b"x" * 300 + b'"}\n'
CONTEXT = Context(PRICES, FIRST_MS + 3 * DAY_MS, ("/logs",), {"-app": "An App"})


def full(request: Request, shelf: Shelf, context: Context = CONTEXT) -> Report:
    """What a full read says."""
    counted = recount(shelf)
    data = Counted(counted.replies, counted.project_names, PRICES)
    return build(request, data, context._replace(malformed_lines=counted.malformed_lines))


# Lines that meet in every way: copies with other times in other files, side answers, requests that share an id, names of folders
MOMENTS = st.one_of(
    st.integers(-40, 90).map(lambda hours: FIRST_MS + hours * HOUR_MS),
    st.sampled_from([0, FIRST_MS - 400 * DAY_MS, FIRST_MS + 365 * DAY_MS, FIRST_MS - FIRST_MS % DAY_MS]),
)
LINES = st.one_of(
    st.builds(
        line,
        st.sampled_from(["msg_1", "msg_2", "msg_3", "msg_4", "id:x/y"]),
        MOMENTS,
        output=st.integers(0, 3),
        model=st.sampled_from([OPUS, OPUS, HAIKU, "claude-zeta-9", "<synthetic>"]),
        requestId=st.sampled_from(["req_1", "req_1", "req_2", None]),
        isSidechain=st.sampled_from([False, False, True]),
        cwd=st.sampled_from(["/home/dev/app", "/home/dev/other/app", "/home/dev/app", None]),
        sessionId=st.sampled_from(["s1", "s2"]),
        sessionKind=st.sampled_from([None, None, "bg"]),
        extra=st.sampled_from([None, None, {"type": "compaction", "model": HAIKU, "input_tokens": 7}]),
    ),
    st.sampled_from([MALFORMED, PROMPT, b"\n", b'{"type":"summary"}\n', line().removesuffix(b"\n") + b"{}\r\n"]),
)
TEXTS = st.lists(LINES, max_size=8).map(b"".join)
FILES = st.sampled_from(
    ["-app/s1.jsonl", "-app/s2.jsonl", "-other/s1.jsonl", "-app/s1/subagents/agent-a1.jsonl", "projects/-deep/s3.jsonl"]
)
DAYS = st.one_of(st.none(), st.integers(-4, 6).map(lambda days: FIRST_DAY + timedelta(days=days)), st.sampled_from([date.min, date.max]))
REQUESTS = st.builds(
    partial(Request, order="name"),  # `builds` would make up what is left out
    st.sampled_from(sorted(KINDS)),
    st.sampled_from([UTC, LORD_HOWE]),
    DAYS,
    DAYS,
    st.sampled_from([(), (), (), ("An App",), ("*app*",), ("-other",), ("nobody",)]),
    st.sampled_from([(), (), (), (OPUS,), ("*haiku*",), ("claude-zeta-?", OPUS), ("claude-haiku-5",)]),
    breakdown=st.booleans(),
    agents=st.booleans(),
    worktrees=st.booleans(),
    not_final=st.booleans(),
    week_starts=st.integers(0, 6),
    rounding=st.sampled_from(["hour", "10min", "none"]),
    limit=st.sampled_from([None, None, 1]),
    subagents=st.sampled_from([None, None, True]),
)


def is_in_order(request: Request) -> bool:
    return request.since is None or request.until is None or request.since <= request.until


REQUESTS = REQUESTS.filter(is_in_order)


def reported(request: Request, shelf: Shelf, index: Path, context: Context = CONTEXT, *, stretch_bytes: int = 1) -> Report:
    """What is reported with an index, whose stretches are usually of a line each."""
    report, problems = report_from_logs(request, shelf, index, context, stretch_bytes=stretch_bytes)
    assert problems == recount(shelf).problems
    return report._replace(logs_read=None)


Step = Callable[[Shelf], None]


def put(name: str, text: bytes) -> Step:
    """A file that is new, or written anew: its first line is one that no file had."""
    return lambda shelf: shelf.write(name, b'{"n":%d}\n' % shelf.writes + text)


def add(name: str, text: bytes, cut: int) -> Step:
    """More of a file; its last line may be half there, and goes on with the next addition."""

    def step(shelf: Shelf) -> None:
        before, after = shelf.files.get(name, b""), shelf.owed.pop(name, b"") + text
        end = max(len(after) - cut, 0)
        shelf.owed[name] = after[end:]
        shelf.write(name, before + after[:end])

    return step


def shorten(name: str, length: int) -> Step:
    return lambda shelf: shelf.write(name, shelf.files.get(name, b"")[:-length])


def delete(name: str) -> Step:
    return lambda shelf: shelf.remove(name)


def copy(name: str, to: str) -> Step:
    """What a fork of a session does."""
    return lambda shelf: shelf.write(to, shelf.files.get(name, b""))


STEPS = st.one_of(
    st.builds(put, FILES, TEXTS),
    st.builds(add, FILES, TEXTS, st.sampled_from([0, 0, 0, 1, 5, 100])),
    st.builds(add, FILES, TEXTS, st.just(0)),
    st.builds(shorten, FILES, st.sampled_from([1, 20, 400])),
    st.builds(delete, FILES),
    st.builds(copy, FILES, FILES),
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.lists(STEPS, min_size=1, max_size=4), REQUESTS), min_size=1, max_size=4), st.sampled_from([1, 400, 10**6]))
def test_reports_are_those_of_a_full_read(turns: Sequence[tuple[Sequence[Step], Request]], stretch_bytes: int) -> None:
    """Whatever is asked for and however logs were written, copied, cut and deleted since the index was made."""
    shelf = Shelf()
    with TemporaryDirectory() as folder:
        for steps, request in turns:
            for step in steps:
                step(shelf)
            index = Path(folder) / "store.db.index"
            assert reported(request, shelf, index, stretch_bytes=stretch_bytes) == full(request, shelf)


@settings(max_examples=300)
@given(st.lists(st.tuples(FILES, TEXTS), min_size=1, max_size=5), REQUESTS, REQUESTS)
def test_reports_from_a_whole_index(texts: Sequence[tuple[str, bytes]], first: Request, second: Request) -> None:
    """All logs are known, as they mostly are: then nothing is read but what is asked for."""
    shelf = Shelf()
    for name, text in texts:
        shelf.write(name, text)
    with TemporaryDirectory() as folder:
        index = Path(folder) / "store.db.index"
        reported(Request("daily", UTC), shelf, index)
        for request in (first, second):
            assert reported(request, shelf, index) == full(request, shelf)


PAUSES: list[list[float]] = [[0.5, 2, 4.9, 5, 5.1, 8], [2, 3, 4.5], [1], [2]]


@pytest.mark.slow
@settings(max_examples=200)
@given(
    st.one_of(*(st.lists(st.sampled_from(hours), min_size=20, max_size=100) for hours in PAUSES)),
    st.builds(timedelta, days=st.integers(0, 12)),
    st.builds(timedelta, days=st.integers(0, 3)),
    st.sampled_from(["hour", "10min", "none"]),
    st.integers(-5, 5),
    st.booleans(),
)
def test_windows_follow_from_what_was_before(
    pauses: Sequence[float], since: timedelta, length: timedelta, rounding: Any, now_h: int, has_copies: bool
) -> None:
    """The windows of a period are those of all usage, also where nobody paused for days, and the running one counts what is behind it."""
    shelf, at_ms, text = Shelf(), FIRST_MS, b""
    for number, hours in enumerate(pauses):
        text += line(f"msg_{number}", at_ms, model=OPUS if number % 5 else HAIKU)
        at_ms += int(hours * HOUR_MS)
    shelf.write("-app/s1.jsonl", text)
    if has_copies:  # then some of the replies are earlier than what is asked for
        shelf.write("-app/s2.jsonl", b"".join(line(f"msg_{number}", FIRST_MS + (number - 30) * HOUR_MS) for number in range(0, 99, 9)))
    midnight = FIRST_MS - FIRST_MS % DAY_MS + (since + length + timedelta(days=1)) // timedelta(milliseconds=1)
    context = CONTEXT._replace(now_ms=midnight + now_h * HOUR_MS)
    with TemporaryDirectory() as folder:
        index = Path(folder) / "store.db.index"
        reported(Request("daily", UTC), shelf, index, context)
        for models in ((), (HAIKU,)):
            first = FIRST_DAY + since
            request = Request("blocks", UTC, first, first + length, models=models, rounding=rounding)
            assert reported(request, shelf, index, context) == full(request, shelf, context)


# What proves that a log has only grown


class Home:
    """What is known from one count to the next."""

    def __init__(self, *, stretch_bytes: int = 1, piece_bytes: int = 1 << 20) -> None:
        self.shelf = Shelf()
        self.known: dict[str, Indexed] = {}
        self._stretch_bytes, self._piece_bytes = stretch_bytes, piece_bytes

    def skim(self, criterion: Criterion | None = None) -> Skim:
        found = Skim(self.shelf, self.known, stretch_bytes=self._stretch_bytes, piece_bytes=self._piece_bytes)
        if criterion is not None:
            found.want(criterion)
        self.known |= found.changed
        return found

    def read(self) -> list[tuple[str, int, int]]:
        """Which bytes a count reads for itself."""
        self.shelf.reads = []
        self.skim()
        return self.shelf.reads


LOG = "-app/s1.jsonl"
LONG = b"".join(line(f"msg_{number}", FIRST_MS + number * DAY_MS) for number in range(20))
FIFTH = LONG.index(b'{"type": "assistant"', 5 * len(LONG) // 20 - 20)


@pytest.fixture(name="home")
def fixture_home() -> Home:
    """Logs of which one is known, of 20 replies on 20 days."""
    home = Home()
    home.shelf.write(LOG, LONG)
    home.skim()
    return home


def test_what_is_as_it_was_is_not_opened(home: Home) -> None:
    """A stamp that is the same is enough."""
    assert home.read() == []


def test_what_a_log_gains_is_read_and_proven(home: Home) -> None:
    """The first 1024 bytes in a read of their own, the last 1024 before the end in the same read as the new lines."""
    home.shelf.write(LOG, LONG + line("msg_new"))
    new = len(line("msg_new"))
    assert home.read() == [(LOG, 0, 1024), (LOG, len(LONG) - 1024, 1024 + new)]
    assert home.read() == []
    home.shelf.write(LOG, LONG + 2 * line("msg_new"))
    assert home.read() == [(LOG, 0, 1024), (LOG, len(LONG) + new - 1024, 1024 + new)]


@pytest.mark.parametrize("piece_bytes", [7, 1000, 1 << 20])
@pytest.mark.parametrize("count", [0, 1, 3, 20])
def test_every_growth_is_known_to_be_one(piece_bytes: int, count: int) -> None:
    """From nothing on, line by line, beyond where the proofs have their full length, in whichever pieces it is read."""
    home = Home(piece_bytes=piece_bytes)
    home.shelf.write(LOG, LONG[: count * len(LONG) // 20])
    home.skim()
    for number in range(6):
        home.shelf.write(LOG, home.shelf.files[LOG] + line(f"msg_more{number}"))
        before = home.known[f"/logs/{LOG}"]
        found = home.skim(Everything())
        assert found.changed[f"/logs/{LOG}"].stretches[: len(before.stretches)] == before.stretches
        assert found.replies() == recount(home.shelf).replies


@pytest.mark.parametrize("at", [0, 1000, len(LONG) - 1000, len(LONG) - 40])
@pytest.mark.parametrize("more", [b"", line("msg_new")], ids=["as long", "longer"])
def test_a_log_that_was_written_anew_is_read_anew(home: Home, at: int, more: bytes) -> None:
    """Whether its beginning or what stood before the end is other than it was; where it did not grow, whatever it is."""
    home.shelf.write(LOG, LONG[:at] + b"~" + LONG[at + 1 :] + more)
    assert (LOG, 0, len(LONG) + len(more)) in home.read()
    assert home.skim(Everything()).replies() == recount(home.shelf).replies


def test_a_log_of_one_length_that_was_touched_is_read_anew(home: Home) -> None:
    """Nothing but its time says that it was written: its middle may be another one."""
    middle = LONG[FIFTH:].replace(b'"output_tokens": 10', b'"output_tokens": 99', 1)
    home.shelf.write(LOG, LONG[:FIFTH] + middle)
    assert home.read() == [(LOG, 0, len(LONG))]


def test_a_last_line_without_newline_is_read_each_time(home: Home) -> None:
    """It counts, and is no part of a stretch yet."""
    home.shelf.write(LOG, LONG + line("msg_new", newline=False))
    home.skim()
    assert home.read() == [(LOG, len(LONG) - 1024, 1024 + len(line("msg_new")) - 1)]
    assert len(home.skim(Everything()).replies()) == 21


def test_a_log_that_grows_by_lines_has_few_stretches() -> None:
    """A short last stretch takes in what follows, with its times, models, replies and malformed lines."""
    home = Home(stretch_bytes=10**6)
    home.shelf.write(LOG, line("msg_1", FIRST_MS, model=HAIKU) + MALFORMED)
    home.skim()
    home.shelf.write(LOG, home.shelf.files[LOG] + line("msg_2", FIRST_MS - DAY_MS, cwd="/earlier") + MALFORMED)
    found = home.skim()
    (stretch,) = found.changed[f"/logs/{LOG}"].stretches
    assert stretch[:6] == (0, len(home.shelf.files[LOG]), FIRST_MS - DAY_MS, FIRST_MS, 2, (HAIKU, OPUS))
    assert sorted(stretch.groups) == sorted(map(time_index.hashed, ("msg_1", "msg_2")))
    assert found.changed[f"/logs/{LOG}"][6:8] == (FIRST_MS - DAY_MS, "/earlier")


def test_the_earliest_folder_of_a_log_stays_known(home: Home) -> None:
    """What a log gains may name another one, later."""
    home.shelf.write(LOG, LONG + line("msg_new", FIRST_MS + 30 * DAY_MS, cwd="/later"))
    home.skim()
    assert home.skim().project_names() == {"-app": "/home/dev/app"}


# What is read for an answer


def test_only_stretches_that_may_matter_are_read(home: Home) -> None:
    """A day of twenty is one line of twenty, and the byte before it."""
    found = home.skim()
    home.shelf.reads = []
    found.want(During(FIRST_MS + 5 * DAY_MS, FIRST_MS + 6 * DAY_MS))
    assert home.shelf.reads == [(LOG, FIFTH - 1, 1 + len(LONG[FIFTH:].partition(b"\n")[0]) + 1)]
    assert [reply.id for reply in found.replies()] == ["msg_5"]


def test_stretches_that_meet_are_one_read(home: Home) -> None:
    """A read of a remote log costs a question, whatever its length."""
    found = home.skim()
    home.shelf.reads = []
    found.want(During(FIRST_MS + 5 * DAY_MS, FIRST_MS + 9 * DAY_MS))
    assert [start for _, start, _ in home.shelf.reads] == [FIFTH - 1]
    found.want(During(FIRST_MS + 5 * DAY_MS, FIRST_MS + 9 * DAY_MS))
    assert len(home.shelf.reads) == 1


def test_lines_of_a_reply_are_read_wherever_they_stand(home: Home) -> None:
    """A copy in another log, at another time, may be the one that has the final count, or make the reply an earlier one."""
    home.shelf.write("-other/s2.jsonl", line("msg_5", FIRST_MS + 300 * DAY_MS, output=777) + line("msg_6", FIRST_MS - DAY_MS))
    home.skim()
    found = home.skim()
    found.want(During(FIRST_MS + 5 * DAY_MS, FIRST_MS + 7 * DAY_MS))
    assert {reply.id: (reply.at_ms, reply.tokens.output) for reply in found.replies()} == {
        "msg_5": (FIRST_MS + 5 * DAY_MS, 777),
        "msg_6": (FIRST_MS - DAY_MS, 10),
    }


def test_replies_that_may_be_incomplete_are_not_given(home: Home) -> None:
    """A line that was read by chance, beside one that is asked for, says nothing of its reply."""
    home = Home(stretch_bytes=10**6)
    home.shelf.write(LOG, line("msg_1", model=HAIKU, output=1) + line("msg_2", FIRST_MS + DAY_MS))
    home.shelf.write("-other/s2.jsonl", line("msg_1", output=9))
    home.skim()
    found = home.skim()
    found.want(During(FIRST_MS + DAY_MS, None))
    assert [reply.id for reply in found.replies()] == ["msg_2"]


@pytest.mark.parametrize("extra", [None, {"type": "compaction", "model": HAIKU, "input_tokens": 7}])
def test_a_model_is_looked_for_in_what_is_billed_beside_a_reply_too(extra: object) -> None:
    """A compaction may be by another model than the reply that it came with."""
    home = Home()
    home.shelf.write(LOG, line("msg_1", extra=extra, model=OPUS if extra else HAIKU) + line("msg_2"))
    home.skim()
    found = home.skim()
    found.want(OfModels(lambda name: name == HAIKU))
    assert [reply.id for reply in found.replies()] == ["msg_1"]
    assert found.bytes_skipped == len(line("msg_2"))


def test_a_project_is_looked_for_in_its_logs() -> None:
    """A reply whose line stands in a log of the project may be another's; then it is complete, too."""
    home = Home()
    home.shelf.write(LOG, line("msg_1") + line("msg_2"))
    home.shelf.write("-zoo/s2.jsonl", line("msg_2", output=99) + line("msg_3"))
    home.shelf.write("-zzz/s3.jsonl", line("msg_4"))
    home.skim()
    found = home.skim()
    found.want(OfProjects({"-zoo"}))
    assert {reply.id: (reply.owner.project, reply.tokens.output) for reply in found.replies()} == {
        "msg_2": ("-app", 99),
        "msg_3": ("-zoo", 10),
    }


def test_projects_that_no_line_names_are_known_by_their_replies() -> None:
    """So the logs of such a project are read, or it would depend on the period whether there is one of that name."""
    home = Home()
    home.shelf.write(LOG, LONG)
    home.shelf.write("-nameless/s1.jsonl", line("msg_x", cwd=None))
    home.shelf.write("-copies/s1.jsonl", line("msg_x", cwd=None, sessionId="z"))
    for criterion in (None, During(0, 1), During(0, 1)):
        found = home.skim(criterion)
    assert [(reply.id, reply.owner.project) for reply in found.replies()] == [("msg_x", "-nameless")]


def test_a_log_that_is_cut_while_it_is_read_is_no_other_log(home: Home) -> None:
    """What was chosen of a log that is not that one any more is not taken for lines of it."""
    found = home.skim()
    home.shelf.files[LOG] = LONG[: FIFTH + 40]
    with pytest.raises(TornError):
        found.want(During(FIRST_MS + 5 * DAY_MS, None))


@pytest.mark.parametrize("text", [LONG[50:], LONG[: FIFTH + 40], b"", None], ids=["shifted", "cut", "emptied", "gone"])
def test_a_log_that_changes_while_it_is_read(home: Home, tmp_path: Path, text: bytes | None) -> None:
    """Then all logs are read anew, and the report is that of what stands there."""
    request, index = Request("daily", UTC, FIRST_DAY + timedelta(days=5), FIRST_DAY + timedelta(days=9)), tmp_path / "index"
    reported(Request("daily", UTC), home.shelf, index)

    def change() -> None:
        home.shelf.at_read = lambda: None
        if text is None:
            home.shelf.remove(LOG)
        else:
            home.shelf.write(LOG, text)

    home.shelf.at_read = change
    assert report_from_logs(request, home.shelf, index, CONTEXT, stretch_bytes=1)[0].rows == full(request, home.shelf).rows


def test_a_log_that_cannot_be_read(home: Home, tmp_path: Path) -> None:
    """It is a problem when its lines are asked for, or when it has changed."""
    home.shelf.unreadable.add(LOG)
    index = tmp_path / "index"
    for _ in range(2):
        _, problems = report_from_logs(Request("daily", UTC), home.shelf, index, CONTEXT)
        assert [problem.where for problem in problems] == [f"/logs/{LOG}"]
    home.shelf.unreadable.clear()
    report_from_logs(Request("daily", UTC), home.shelf, index, CONTEXT, stretch_bytes=1)
    home.shelf.unreadable.add(LOG)
    request = Request("daily", UTC, FIRST_DAY + timedelta(days=5))
    report, problems = report_from_logs(request, home.shelf, index, CONTEXT, stretch_bytes=1)
    assert (report.rows, [problem.where for problem in problems]) == ((), [f"/logs/{LOG}"])
    home.shelf.write(LOG, LONG + line("msg_new"))
    _, problems = report_from_logs(Request("daily", UTC, date(2000, 1, 1), date(2000, 1, 2)), home.shelf, index, CONTEXT)
    assert {problem.where for problem in problems} == {f"/logs/{LOG}"}


# Reports


@pytest.mark.parametrize("report", sorted(KINDS))
def test_a_report_on_a_day_reads_that_day(tmp_path: Path, report: str) -> None:
    """And says how much it read. Windows need the day before, to know where they begin."""
    shelf, index = Shelf(), tmp_path / "index"
    days = [b"".join(line(f"msg_{day}_{hour}", FIRST_MS + day * DAY_MS + hour * HOUR_MS) for hour in range(3)) for day in range(90)]
    for name in range(9):
        shelf.write(f"-app/s{name}.jsonl", b"".join(days[name::9]))
    size = sum(map(len, shelf.files.values()))
    first = report_from_logs(Request(report, UTC), shelf, index, CONTEXT, stretch_bytes=1)[0]
    assert first.logs_read == LogsRead(size, 0)
    shelf.bytes_asked()
    day = FIRST_DAY + timedelta(days=40)
    request = Request(report, UTC, day, day)
    found = report_from_logs(request, shelf, index, CONTEXT, stretch_bytes=1)[0]
    asked = shelf.bytes_asked()
    assert found.logs_read is not None
    assert found.logs_read.bytes_read == asked
    assert size <= sum(found.logs_read) <= size + 10
    assert asked <= (3 if report == "blocks" else 1) * len(days[40]) + 30
    assert found._replace(logs_read=None) == full(request, shelf)


@pytest.mark.parametrize(
    ("since", "until", "most_lines"),
    [(25, None, 6), (30, 31, 16), (-9, -8, 16), (300, None, 20), (19, None, 1), (None, -5, 16)],
    ids=["after", "after, with an end", "before", "future", "not empty", "before all"],
)
def test_a_report_of_nothing_reads_no_more_than_it_says(
    home: Home, tmp_path: Path, since: int | None, until: int | None, most_lines: int
) -> None:
    """To say that there was something before or after, what is nearest is enough."""
    index = tmp_path / "index"
    reported(Request("daily", UTC), home.shelf, index)
    home.shelf.bytes_asked()
    first, last = (None if days is None else FIRST_DAY + timedelta(days=days) for days in (since, until))
    request = Request("daily", UTC, first, last)
    found, _ = report_from_logs(request, home.shelf, index, CONTEXT, stretch_bytes=1)
    assert home.shelf.bytes_asked() <= most_lines * (len(LONG) // 20 + 2)
    assert found._replace(logs_read=None) == full(request, home.shelf)


@pytest.mark.parametrize("is_known", [True, False])
def test_worktrees_of_a_repository_that_no_line_names(tmp_path: Path, is_known: bool) -> None:
    """Whether a project is chosen depends on all projects that there are, also on those without a reply in the period."""
    shelf, index = Shelf(), tmp_path / "index"
    tree = "/w/main/.claude/worktrees/x"
    shelf.write("-w-main/s1.jsonl", line("msg_1", cwd=None))
    shelf.write("-odd/s2.jsonl", line("msg_2", FIRST_MS + 9 * DAY_MS, cwd=tree))
    shelf.write("-w-mainly/s3.jsonl", line("msg_3", FIRST_MS + 9 * DAY_MS, cwd="/w/mainly"))
    reported(Request("daily", UTC), shelf, index)
    if not is_known:
        shelf.write("-w-main/s1.jsonl", line("msg_1", cwd=None))
    request = Request("projects", UTC, FIRST_DAY + timedelta(days=8), projects=("-w-main*",), worktrees=True)
    report = reported(request, shelf, index)
    assert [row.counts.replies for row in report.rows] == [1, 1]
    assert report == full(request, shelf)
