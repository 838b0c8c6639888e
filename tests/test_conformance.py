"""Tokentail against the cases of `tests/conformance/`, and tests of the cases and of their runner."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from conformance import run
from tokentail.cli import main
from tokentail.formats import claude

FOLDER = Path(run.__file__).parent
CASES = run.load_cases()
IDS = [case["id"] for case in CASES]
EDGES = range(1, 45)  # the edge cases of docs/counting.md
STILL = [case for case in CASES if "steps" not in case and not case.get("ordered")]  # whose lines may come in any order
COUNTS = {
    "input_tokens",
    "output_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "cache_read_tokens",
    "total_tokens",
    "replies",
    "not_final_replies",
    "web_searches",
    "cost_usd",
    "cost_is_lower_bound",
}


class InProcess:
    """Tokentail, called as a function."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, store: bool) -> None:
        self.store = store
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        self._adapter = run.Contract()

    def ask(self, report: str, case: run.Case, folder: Path) -> run.Answer:
        self._monkeypatch.delenv("CLAUDE_CONFIG_DIR", raising=False)
        for name, value in self._adapter.environment(case, folder).items():
            self._monkeypatch.setenv(name, value)
        self._monkeypatch.chdir(folder / case.get("cwd", "."))
        code = _exit_code([report, "--json", *self._adapter.words(case, folder), *([] if self.store else ["--no-store"])])
        out, err = self._capsys.readouterr()
        if code == run.USAGE_ERROR and "invalid choice" in err:
            raise run.UnknownReportError(report)
        if code != case.get("exit_code", 0):
            raise run.NoAnswerError(f"exit code {code}: {err}")
        return run.read_answer(self._adapter, out)


@pytest.fixture(name="with_store")
def fixture_with_store(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> InProcess:
    return InProcess(monkeypatch, capsys, store=True)


@pytest.fixture(name="without_store")
def fixture_without_store(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> InProcess:
    return InProcess(monkeypatch, capsys, store=False)


# Tokentail


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_case_with_a_store(case: run.Case, with_store: InProcess, tmp_path: Path) -> None:
    """Every case gives its expected report from the store, after each of its steps."""
    assert run.check_case(case, with_store, tmp_path) == []


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_case_by_the_quick_parser(case: run.Case, with_store: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parser for large reads gives what the one for a few lines gives; a case is small, so without this it would not be met."""
    monkeypatch.setattr(claude, "QUICK_FROM_BYTES", 0)
    assert run.check_case(case, with_store, tmp_path) == []


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_case_without_a_store(case: run.Case, without_store: InProcess, tmp_path: Path) -> None:
    """Every case gives its expected report from a full read, after each of its steps."""
    assert run.check_case(case, without_store, tmp_path) == []


@pytest.mark.parametrize("case", STILL, ids=lambda case: case["id"])
def test_lines_in_reverse(case: run.Case, with_store: InProcess, tmp_path: Path) -> None:
    """The order of the lines in a file changes nothing."""
    assert run.check_case(_with_files(case, {name: lines[::-1] for name, lines in _lines(case).items()}), with_store, tmp_path) == []


@pytest.mark.parametrize("case", STILL, ids=lambda case: case["id"])
def test_lines_shuffled(case: run.Case, without_store: InProcess, tmp_path: Path) -> None:
    """The order of the lines in a file changes nothing for a full read either."""
    dice = random.Random(case["id"])
    shuffled = {name: dice.sample(lines, len(lines)) for name, lines in _lines(case).items()}
    assert run.check_case(_with_files(case, shuffled), without_store, tmp_path) == []


@pytest.mark.parametrize("case", STILL, ids=lambda case: case["id"])
def test_files_split_in_two(case: run.Case, with_store: InProcess, tmp_path: Path) -> None:
    """It changes nothing whether a session's lines stand in one file or in two."""
    files = dict(chain.from_iterable(_halves(name, lines) for name, lines in _lines(case).items()))
    assert run.check_case(_with_files(case, files), with_store, tmp_path) == []


@pytest.mark.parametrize("case", STILL, ids=lambda case: case["id"])
def test_lines_one_by_one(case: run.Case, with_store: InProcess, tmp_path: Path) -> None:
    """Lines that arrive one by one, with a look after each, give what they give at once."""
    (tmp_path / "home").mkdir()
    tree = tmp_path / "tree"
    lines = _lines(case)
    run.write_tree(_with_files(case, {name: [] for name in lines}), tree)
    for number in range(max(map(len, lines.values()))):
        for name in lines:
            run.write_file(tree / name, b"".join(lines[name][number : number + 1]), mode="ab")
        with_store.ask("daily", case, tree)
    assert run.check_answers(case["expect"], with_store, case, tree) == []


@pytest.mark.slow
@pytest.mark.parametrize("how", ["with_store", "without_store"])
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_every_report_has_the_same_totals(case: run.Case, how: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """However a case's replies are cut into rows, they add up to what the case says, after each of its steps."""
    program: InProcess = request.getfixturevalue(how)
    (tmp_path / "home").mkdir()
    tree = tmp_path / "tree"
    tree.mkdir()
    run.write_tree(case, tree)
    for step, expected in run.expectations(case, store=program.store):
        run.take_step(step, tree)
        for report in run.OTHER_REPORTS:
            answer = program.ask(report, case, tree)
            assert run.compare_counts(report, expected["totals"], answer.totals) + run.compare_sums(answer) == []


# The cases


def test_every_edge_has_a_case() -> None:
    """Each edge case of the counting rules is held by at least one case, and no case claims another edge."""
    assert {case["edge"] for case in CASES} - {None} == set(EDGES)


def test_file_names_are_ids() -> None:
    """A case is found by its id, which begins with its edge."""
    assert sorted(path.stem for path in (FOLDER / "cases").glob("*.json")) == IDS
    assert [case["id"] for case in CASES if case["edge"] and not case["id"].startswith(f"{case['edge']:02}-")] == []


def test_readme_lists_every_edge() -> None:
    """The table of edges in the README is what the cases say."""
    rows = re.findall(r"^\| ([0-9]+) \| `([^`]+)` \| (.+) \|$", (FOLDER / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [(str(case["edge"]), case["id"], case["says"]) for case in CASES if case["edge"]]


def test_readme_shows_the_base_line() -> None:
    """The base line in the README is the one that cases are built from."""
    shown = re.search(r"```json\n(.+?)```", (FOLDER / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert shown is not None
    assert json.loads(shown[1]) == json.loads((FOLDER / "line.json").read_bytes())


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_case_is_well_formed(case: run.Case) -> None:
    """A case has a sentence, known keys, whole totals that add up, and its lines end in a newline unless their order is said to matter."""
    assert case["says"].endswith(".")
    known = {"id", "edge", "rules", "says", "files", "expect", "steps", "ordered", "timezone", "links", "sources", "cwd", "exit_code"}
    assert set(case) <= known
    for expected in _expectations(case):
        totals = expected["totals"]
        assert set(totals) == COUNTS
        classes = ("input_tokens", "output_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "cache_read_tokens")
        assert totals["total_tokens"] == sum(totals[name] for name in classes)
        assert set(expected) <= {"totals", "days", "notes", *run.OTHER_REPORTS}
    whole = all(line.endswith(b"\n") and not line.startswith(b"\xef") for lines in _lines(case).values() for line in lines)
    assert whole or case.get("ordered", False) or "steps" in case


def test_entry_is_written_as_it_says() -> None:
    """An entry is the changed base line, an object, a text or bytes, so many times, with its own end of line."""
    assert run.entry_bytes({"json": {"a": "é", "b": [1]}}) == '{"a":"é","b":[1]}\n'.encode()
    assert run.entry_bytes({"raw": "ab", "times": 3, "end": "\r\n"}) == b"ababab\r\n"
    assert run.entry_bytes({"hex": "00ff", "end": ""}) == b"\x00\xff"
    line = json.loads(run.entry_bytes({"line": {"message.usage.output_tokens": 7, "new": 1}, "without": ["requestId", "message.id"]}))
    assert (line["message"]["usage"]["output_tokens"], line["new"]) == (7, 1)
    assert "requestId" not in line
    assert "id" not in line["message"]


# The runner


def test_runner_passes_the_right_and_fails_the_wrong(tmp_path: Path) -> None:
    """A program that always gives the same answer passes the case it is right for and fails the other, which is explained."""
    done = _run_fake(tmp_path, "03-identical-copies", "01-growing-copies")
    assert done.returncode == 1
    assert done.stdout == (
        "FAIL  01-growing-copies\n"
        "      Three lines of one reply show its output grow 2, 2, 310: one reply of 310.\n"
        "        totals.output_tokens: expected 310, got 100\n"
        "        totals.total_tokens: expected 2614, got 2404\n"
        "        totals.cost_usd: expected 0.004708, got 0.002608\n"
        "ok    03-identical-copies\n"
        "\n"
        "1 of 2 cases pass; the tokens are right in 1\n"
    )


def test_runner_ends_well_when_all_is_right(tmp_path: Path) -> None:
    """The exit code is 0 when every case passes."""
    assert _run_fake(tmp_path, "03-identical-copies").returncode == 0


def test_runner_tells_other_tools_by_environment(tmp_path: Path) -> None:
    """With `--adapter env` the logs are named by CLAUDE_CONFIG_DIR alone, and a case about `--source` is left out."""
    looks = "import os, sys, pathlib; place = pathlib.Path(os.environ['CLAUDE_CONFIG_DIR'], 'projects/-home-dev-app')\n"
    asserts = "assert place.is_dir() and not sys.argv[1:] and not os.listdir(os.environ['HOME'])\n"
    done = _run(tmp_path, looks + asserts + FAKE, "03-identical-copies", "82-loose-files", options=["--adapter", "env"])
    assert done.stdout.splitlines()[:2] == ["ok    03-identical-copies", "n/a   82-loose-files"]
    assert done.returncode == 0


def test_runner_fails_a_program_that_crashes(tmp_path: Path) -> None:
    """No answer is a wrong answer."""
    done = _run(tmp_path, "raise SystemExit('lost')", "38-nothing-to-count")
    assert done.returncode == 1
    assert "exit code 1: lost" in done.stdout


def test_runner_fails_a_report_that_does_not_add_up() -> None:
    """Rows that do not add up to the totals are wrong, whatever the totals."""
    answer = run.Answer({"input_tokens": 4}, {"2026-10-01": {"input_tokens": 3}}, {})
    assert run.compare({"totals": {"input_tokens": 4}}, answer) == ["totals.input_tokens: 4, but its rows add up to 3"]


def test_runner_tells_unknown_from_zero_and_true_from_one() -> None:
    """A cost of null is not 0, and a flag is not a number."""
    expected: dict[str, Any] = {"cost_usd": None, "cost_is_lower_bound": True}
    assert run.compare_counts("totals", expected, {"cost_usd": 0.0, "cost_is_lower_bound": 1}) == [
        "totals.cost_usd: expected null, got 0",
        "totals.cost_is_lower_bound: expected true, got 1",
    ]


def test_runner_reads_the_names_of_ccusage() -> None:
    """The adapter for ccusage gives both kinds of cache writes as one count."""
    row = {
        "inputTokens": 4,
        "outputTokens": 100,
        "cacheCreationTokens": 300,
        "cacheReadTokens": 2000,
        "totalTokens": 2404,
        "totalCost": 0.002608,
    }
    answer = run.Ccusage().read({"daily": [{"date": "2026-10-01", **row}], "totals": row})
    (case,) = (case for case in CASES if case["id"] == "03-identical-copies")
    assert run.compare(case["expect"], answer) == []
    assert answer.rows["2026-10-01"]["cache_write_tokens"] == 300


def test_runner_reads_the_windows_of_ccusage() -> None:
    """They have other names, no totals, and pauses between them, which are no windows."""
    counts = {"inputTokens": 4, "outputTokens": 100, "cacheCreationInputTokens": 300, "cacheReadInputTokens": 2000}
    window = {"startTime": "2026-10-01T10:00:00.000Z", "isGap": False, "tokenCounts": counts, "totalTokens": 2404, "costUSD": 0.002608}
    answer = run.Ccusage().read({"blocks": [window, {**window, "startTime": "2026-10-01T15:00:00.000Z", "isGap": True}]})
    (case,) = (case for case in CASES if case["id"] == "03-identical-copies")
    assert run.compare_rows("blocks", {"2026-10-01T10:00:00Z": case["expect"]["totals"]}, answer, whole=True) == []
    assert answer.rows["2026-10-01T10:00:00Z"]["cost_usd"] == 0.002608


def test_runner_has_ccusage_begin_weeks_on_monday() -> None:
    """As the cases do; its own weeks begin on Sunday."""
    case: run.Case = {"timezone": "Europe/Berlin"}
    assert run.Ccusage().words(case, Path(), "weekly") == ["--timezone", "Europe/Berlin", "--start-of-week", "monday"]
    assert run.Ccusage().words(case, Path(), "monthly") == ["--timezone", "Europe/Berlin"]


def test_runner_wants_one_total_of_all_reports() -> None:
    """A report that adds up to something else than the case says is wrong, whatever its rows."""
    (case,) = (case for case in CASES if case["id"] == "86-week-of-a-zone")
    wrong = run.check_answers(case["expect"], Forgetful(case), case, Path())
    assert wrong == ["weekly.totals.output_tokens: expected 300, got 100", "weekly: no row 2026-10-05"]


class Forgetful:
    """A program whose weeks lack what its days have."""

    store = True

    def __init__(self, case: run.Case) -> None:
        self._expected = case["expect"]

    def ask(self, report: str, case: run.Case, folder: Path) -> run.Answer:
        totals = {"output_tokens": 300 if report == "daily" else 100}
        rows = {key: {"output_tokens": row["output_tokens"]} for key, row in self._expected[{"daily": "days"}.get(report, report)].items()}
        return run.Answer(totals, rows if report == "daily" else dict(list(rows.items())[:1]), {})


def _exit_code(words: list[str]) -> object:
    try:
        return main(words)
    except SystemExit as end:
        return end.code


def _lines(case: run.Case) -> dict[str, list[bytes]]:
    """The lines of each file, with their ends."""
    return {name: re.findall(rb"[^\n]*\n|[^\n]+", b"".join(map(run.entry_bytes, entries))) for name, entries in case["files"].items()}


def _with_files(case: run.Case, files: dict[str, list[bytes]]) -> run.Case:
    return {**case, "files": {name: [{"hex": line.hex(), "end": ""} for line in lines] for name, lines in files.items()}}


def _halves(name: str, lines: list[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    """The first half of a log under its own name, the rest under a rotated one; other files whole."""
    middle = (len(lines) + 1) // 2 if name.endswith(".jsonl") else len(lines)
    yield name, lines[:middle]
    if lines[middle:]:
        yield f"{name}.7", lines[middle:]


def _expectations(case: run.Case) -> list[dict[str, Any]]:
    steps = case.get("steps", [])
    return [case["expect"], *(step[name] for step in steps for name in ("expect", "expect_no_store") if name in step)]


FAKE = """
import json
counts = dict(input_tokens=4, output_tokens=100, cache_write_5m_tokens=0, cache_write_1h_tokens=300, cache_read_tokens=2000,
    total_tokens=2404, replies=1, not_final_replies=0, web_searches=0, cost_usd=0.002608, cost_is_lower_bound=False)
print(json.dumps(dict(rows=[dict(day="2026-10-01", **counts)], totals=counts, notes={})))
"""


def _run_fake(folder: Path, *ids: str) -> subprocess.CompletedProcess[str]:
    return _run(folder, FAKE, *ids)


def _run(folder: Path, program: str, *ids: str, options: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """The runner in a process of its own, on a program made of these lines."""
    script = folder / "fake.py"
    script.write_text(program, encoding="utf-8")
    chosen = [word for case in ids for word in ("--case", case)]
    words = [sys.executable, str(FOLDER / "run.py"), *options, *chosen, "--", sys.executable, str(script)]
    return subprocess.run(words, capture_output=True, text=True, check=False)
