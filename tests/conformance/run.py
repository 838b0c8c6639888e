"""
The only place that knows how to hold a program against the conformance cases: it needs nothing but Python 3.11.

    python tests/conformance/run.py                                    tokentail, with a store
    python tests/conformance/run.py --no-store --case 28 --case 30     some cases, without one
    python tests/conformance/run.py --adapter ccusage -- ccusage claude daily --offline --json

README.md, next to this file, describes the cases.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

HERE = Path(__file__).resolve().parent
DEFAULT_COMMAND = ("tokentail", "daily", "--json")
PERIODS = ("weekly", "monthly", "blocks")
OTHER_REPORTS = (*PERIODS, "sessions", "projects", "models")  # what `expect` may hold besides days
USAGE_ERROR = 2  # the exit code by which a command says that it does not know a report
TIMEOUT_S = 120

Case = dict[str, Any]
Expectation = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command said, in the names of the report contract; what it does not report is missing."""

    totals: Mapping[str, Any]
    rows: Mapping[str, Mapping[str, Any]]
    notes: Mapping[str, Any]


class NoAnswerError(Exception):
    """The command gave no answer; the message says why."""


class UnknownReportError(NoAnswerError):
    """The command says that it has no such report."""


# Trees


def load_cases(folder: Path = HERE / "cases") -> list[Case]:
    """Every case, ordered by its id."""
    return sorted((json.loads(path.read_bytes()) for path in folder.glob("*.json")), key=lambda case: str(case["id"]))


def entry_bytes(entry: Mapping[str, Any]) -> bytes:
    """One entry of a file, with its end of line."""
    end = str(entry.get("end", "\n")).encode()
    return _body(entry) * int(entry.get("times", 1)) + end


def write_tree(case: Case, folder: Path) -> None:
    """
    The case's files and links, below `folder`.

    Raises:
        OSError: a link or a name is not possible here.
    """
    for name, entries in case["files"].items():
        write_file(folder / name, b"".join(map(entry_bytes, entries)))
    for name, target in case.get("links", {}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(target, target_is_directory=True)


def write_file(path: Path, data: bytes, mode: str = "wb") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open(mode) as file:
        file.write(data)


def take_step(step: Mapping[str, Any], folder: Path) -> None:
    """Change the tree as a step says: its actions in this order, whatever their order in the case."""
    for old, new in step.get("rename", {}).items():
        (folder / old).rename(folder / new)
    for name in step.get("delete", ()):
        (folder / name).unlink()
    for name, size_bytes in step.get("truncate", {}).items():
        os.truncate(folder / name, size_bytes)
    for name, entries in step.get("replace", {}).items():
        write_file(folder / name, b"".join(map(entry_bytes, entries)))
    for name, entries in step.get("append", {}).items():
        write_file(folder / name, b"".join(map(entry_bytes, entries)), mode="ab")


def source_words(case: Case, folder: Path) -> list[str]:
    """The case's sources, as a command is told them: as they stand when the case names a working folder, else as full paths."""
    sources = case.get("sources", ["projects"])
    return list(sources) if "cwd" in case else [str(folder / source) for source in sources]


def expectations(case: Case, *, store: bool) -> Iterator[tuple[Mapping[str, Any], Expectation]]:
    """The case's steps, the first of them empty, and what a run after each is to say."""
    expected: Expectation = case["expect"]
    yield {}, expected
    for step in case.get("steps", ()):
        expected = step.get("expect", expected)
        yield step, expected if store else step.get("expect_no_store", expected)


def _body(entry: Mapping[str, Any]) -> bytes:
    if "raw" in entry:
        return str(entry["raw"]).encode()
    if "hex" in entry:
        return bytes.fromhex(entry["hex"])
    value = entry["json"] if "json" in entry else _line(entry)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _line(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The base line with the entry's changes."""
    line: dict[str, Any] = copy.deepcopy(_BASE)
    for path, value in entry["line"].items():
        holder, key = _holder(line, path)
        holder[key] = value
    for path in entry.get("without", ()):
        holder, key = _holder(line, path)
        del holder[key]
    return line


def _holder(line: dict[str, Any], path: str) -> tuple[dict[str, Any], str]:
    """The object that holds the last name of a dotted path, and that name."""
    *names, key = path.split(".")
    for name in names:
        line = line[name]
    return line, key


_BASE = json.loads((HERE / "line.json").read_bytes())


# Commands


class Program(Protocol):
    """Something that counts; `Command` runs one in a process of its own."""

    @property
    def store(self) -> bool:
        """Whether it remembers what it has counted from one run to the next."""

    def ask(self, report: str, case: Case, folder: Path) -> Answer:
        """
        Have it report on the tree.

        Raises:
            UnknownReportError: it has no such report.
            NoAnswerError: it gave no answer.
        """


class Contract:
    """A command that takes `--source` and answers in tokentail's report contract."""

    other_reports: Sequence[str] = OTHER_REPORTS  # that it has, each named by a word in the place of `daily`

    def words(self, case: Case, folder: Path, report: str = "daily") -> list[str]:
        return [*(f"--source={source}" for source in source_words(case, folder)), f"--timezone={zone_of(case)}"]

    def environment(self, case: Case, folder: Path) -> dict[str, str]:
        return {"TOKENTAIL_HOME": str(folder.parent / "home/store"), "HOME": str(folder.parent / "home"), "TZ": zone_of(case)}

    def supports(self, case: Case) -> bool:
        return True

    def read(self, output: Mapping[str, Any]) -> Answer:
        rows = {str(next(iter(row.values()))): row for row in output["rows"]}
        return Answer(output["totals"], rows, output.get("notes", {}))


class Environment(Contract):
    """A command in the same contract that is told its logs by CLAUDE_CONFIG_DIR."""

    def words(self, case: Case, folder: Path, report: str = "daily") -> list[str]:
        return []

    def environment(self, case: Case, folder: Path) -> dict[str, str]:
        home = str(folder.parent / "home")
        parents = [str((folder / source).parent) for source in case.get("sources", ["projects"])]
        return {"CLAUDE_CONFIG_DIR": ",".join(parents), "HOME": home, "XDG_CONFIG_HOME": home, "TZ": zone_of(case)}

    def supports(self, case: Case) -> bool:
        return all(Path(source).name == "projects" for source in case.get("sources", ["projects"]))


class Ccusage(Environment):
    """`ccusage claude daily --json`, in its own names; it does not count replies and adds both kinds of cache writes up."""

    other_reports = PERIODS
    NAMES = (
        ("inputTokens", "input_tokens"),
        ("outputTokens", "output_tokens"),
        ("cacheCreationTokens", "cache_write_tokens"),
        ("cacheReadTokens", "cache_read_tokens"),
        ("totalTokens", "total_tokens"),
        ("totalCost", "cost_usd"),
        ("cacheCreationInputTokens", "cache_write_tokens"),  # in `blocks`, as the next two
        ("cacheReadInputTokens", "cache_read_tokens"),
        ("costUSD", "cost_usd"),
    )
    KEYS = (("daily", "date"), ("weekly", "week"), ("monthly", "month"), ("blocks", "startTime"))

    def words(self, case: Case, folder: Path, report: str = "daily") -> list[str]:
        return ["--timezone", zone_of(case), *(["--start-of-week", "monday"] if report == "weekly" else [])]

    def read(self, output: Mapping[str, Any]) -> Answer:
        report, key = next(each for each in self.KEYS if each[0] in output)
        rows = {
            str(row[key]).replace(".000Z", "Z"): self._renamed({**row, **row.get("tokenCounts", {})})
            for row in output[report]
            if not row.get("isGap")
        }
        return Answer(self._renamed(output.get("totals", {})), rows, {})

    def _renamed(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return {ours: row[theirs] for theirs, ours in self.NAMES if theirs in row}


ADAPTERS: dict[str, type[Contract]] = {"tokentail": Contract, "env": Environment, "ccusage": Ccusage}


@dataclass(frozen=True, slots=True)
class Command:
    """A program that is run in a process of its own for every question."""

    words: Sequence[str]
    adapter: Contract
    store: bool

    def ask(self, report: str, case: Case, folder: Path) -> Answer:
        """Run it on the tree; its word `daily` gives way to the report that is asked for."""
        if report != "daily" and not (report in self.adapter.other_reports and "daily" in self.words):
            raise UnknownReportError(report)
        words = [report if word == "daily" else word for word in self.words] + self.adapter.words(case, folder, report)
        inherited = {name: value for name, value in os.environ.items() if name not in {"CLAUDE_CONFIG_DIR", "TOKENTAIL_HOME"}}
        try:
            done = subprocess.run(
                words,
                env=inherited | self.adapter.environment(case, folder),
                cwd=folder / case.get("cwd", "."),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NoAnswerError(f"cannot run {words[0]}: {error}") from error
        if done.returncode != case.get("exit_code", 0):
            kind = UnknownReportError if report != "daily" and done.returncode == USAGE_ERROR else NoAnswerError
            raise kind(f"exit code {done.returncode}: {done.stderr.decode(errors='replace').strip()[-200:]}")
        return read_answer(self.adapter, done.stdout.decode(errors="replace"))


def read_answer(adapter: Contract, text: str) -> Answer:
    """
    What a command printed.

    Raises:
        NoAnswerError: it is not the JSON that was asked for.
    """
    try:
        return adapter.read(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NoAnswerError(f"no report on stdout ({type(error).__name__}: {error}): {text[:100]!r}") from error


def zone_of(case: Case) -> str:
    return str(case.get("timezone", "UTC"))


# Comparing


def compare(expected: Expectation, answer: Answer) -> list[str]:
    """What a daily report got wrong, a line each; the report must also add up by itself."""
    wrong = compare_counts("totals", expected["totals"], answer.totals)
    if "days" in expected:
        wrong += compare_rows("days", expected["days"], answer, whole=True)
    for name, value in expected.get("notes", {}).items():
        if name in answer.notes and answer.notes[name] != value:
            wrong.append(f"notes.{name}: expected {value}, got {answer.notes[name]}")
    return wrong + compare_sums(answer)


def compare_rows(name: str, expected: Mapping[str, Expectation], answer: Answer, *, whole: bool) -> list[str]:
    """Differences of the rows that are named; `whole` when no other rows may be there."""
    wrong = [f"{name}: unexpected row {key}" for key in answer.rows if whole and key not in expected]
    for key, counts in expected.items():
        if key in answer.rows:
            wrong += compare_counts(f"{name}.{key}", counts, answer.rows[key])
        else:
            wrong.append(f"{name}: no row {key}")
    return wrong


def compare_counts(name: str, expected: Expectation, got: Mapping[str, Any]) -> list[str]:
    """Differences of the counts that both sides have; costs may differ by the rounding of floating point numbers."""
    return [
        f"{name}.{field}: expected {_text(value)}, got {_text(got[field])}"
        for field, value in _with_sums(expected).items()
        if field in got and not _same(value, got[field])
    ]


def compare_sums(answer: Answer) -> list[str]:
    """Token totals that are not the sum of their rows."""
    wrong = []
    for field, total in answer.totals.items():
        if field.endswith("_tokens"):
            added = sum(row.get(field, 0) for row in answer.rows.values())
            if added != total:
                wrong.append(f"totals.{field}: {total}, but its rows add up to {added}")
    return wrong


def _with_sums(counts: Expectation) -> dict[str, Any]:
    """The counts, and both kinds of cache writes together for those who do not tell them apart."""
    if "cache_write_5m_tokens" not in counts or "cache_write_1h_tokens" not in counts:
        return dict(counts)
    return {**counts, "cache_write_tokens": counts["cache_write_5m_tokens"] + counts["cache_write_1h_tokens"]}


def _same(expected: Any, got: Any) -> bool:
    if isinstance(expected, float) or isinstance(got, float):
        numbers = (int, float)
        return isinstance(expected, numbers) and isinstance(got, numbers) and math.isclose(expected, got, rel_tol=1e-9, abs_tol=1e-12)
    return bool(expected == got) and isinstance(expected, bool) == isinstance(got, bool)


def _text(value: Any) -> str:
    return f"{value:.9g}" if isinstance(value, float) else json.dumps(value)


# Running


def check_case(case: Case, program: Program, folder: Path) -> list[str]:
    """Everything that a program gets wrong in one case; `folder` is empty and the case's own."""
    (folder / "home").mkdir()
    tree = folder / "tree"
    tree.mkdir()
    write_tree(case, tree)
    wrong: list[str] = []
    for number, (step, expected) in enumerate(expectations(case, store=program.store)):
        take_step(step, tree)
        found = check_answers(expected, program, case, tree)
        wrong += [f"step {number}: {line}" for line in found] if number else found
    return wrong


def check_answers(expected: Expectation, program: Program, case: Case, tree: Path) -> list[str]:
    """What a program gets wrong about a tree as it stands; of the reports that a case names, those that it does not have are left out."""
    try:
        wrong = compare(expected, program.ask("daily", case, tree))
        for report in filter(expected.__contains__, OTHER_REPORTS):
            with contextlib.suppress(UnknownReportError):
                answer = program.ask(report, case, tree)
                wrong += compare_counts(f"{report}.totals", expected["totals"], answer.totals)
                wrong += compare_rows(report, expected[report], answer, whole=report in PERIODS)
    except NoAnswerError as error:
        return [str(error)]
    return wrong


def run(cases: Sequence[Case], program: Command) -> int:
    """Print a line for each case and a summary; the number of cases that failed."""
    failed = wrong_tokens = left_out = 0
    for case in cases:
        if not program.adapter.supports(case):
            left_out += 1
            print(f"n/a   {case['id']}")
            continue
        with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
            wrong = check_case(case, program, Path(folder))
        print_verdict(case, wrong)
        failed += bool(wrong)
        wrong_tokens += any(".cost_" not in line for line in wrong)
    held = len(cases) - left_out
    print(
        f"\n{held - failed} of {held} cases pass; the tokens are right in {held - wrong_tokens}"
        + (f"; {left_out} not applicable" if left_out else "")
    )
    return failed


def print_verdict(case: Case, wrong: Sequence[str]) -> None:
    """A line for a case that passes; for one that fails also what it is about and every difference."""
    print(f"{'FAIL' if wrong else 'ok':<5} {case['id']}")
    for line in [case["says"], *(f"  {line}" for line in wrong)] if wrong else ():
        print(f"      {line}")


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 every case passes, 1 some fail, 2 wrong usage."""
    parser = argparse.ArgumentParser(description="Hold a program against the conformance cases.")
    parser.add_argument(
        "--adapter", choices=sorted(ADAPTERS), default="tokentail", help="how the command is told its logs and how it answers"
    )
    parser.add_argument(
        "--no-store", action="store_true", help="add --no-store to the command, and expect what can be known without a store"
    )
    parser.add_argument("--case", action="append", default=[], metavar="START", help="only cases whose id starts so (repeatable)")
    parser.add_argument("command", nargs="*", default=DEFAULT_COMMAND, help="after --; default: tokentail daily --json")
    args = parser.parse_args(argv)
    cases = [case for case in load_cases() if not args.case or case["id"].startswith(tuple(args.case))]
    if not cases:
        parser.error("no case has such an id")
    keeps_store = args.adapter == "tokentail" and not args.no_store
    words = [*args.command, *(["--no-store"] if args.no_store else [])]
    words[0] = shutil.which(words[0]) or words[0]
    return 1 if run(cases, Command(words, ADAPTERS[args.adapter](), keeps_store)) else 0


if __name__ == "__main__":
    sys.exit(main())
