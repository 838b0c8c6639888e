"""Tests of `tokentail.cli`: commands as people and programs call them, and trees whose totals are known."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from logs import line, lines
from tokentail import __version__
from tokentail.cli import main
from tokentail.commands import options
from tokentail.demo.plan import DIRTY, TreePlan
from tokentail.demo.tree import write_tree
from tokentail.demo.truth import Sums, Truth

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
COUNTS = {
    "input_tokens": int,
    "output_tokens": int,
    "cache_write_5m_tokens": int,
    "cache_write_1h_tokens": int,
    "cache_read_tokens": int,
    "total_tokens": int,
    "replies": int,
    "not_final_replies": int,
    "web_searches": int,
    "cost_usd": float,
    "cost_is_lower_bound": bool,
}
HOSTILE = "-a\x1b]0;x\x07\n=1+1"


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Home:
    """A home folder of its own, with logs in the usual place."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.path = path
        self.projects = path / ".claude" / "projects"
        self._capsys = capsys

    def run(self, *words: str) -> Ran:
        code = main(words)
        return Ran(code, *self._capsys.readouterr())

    def write(self, name: str, data: bytes, *, projects: Path | None = None) -> Path:
        path = (projects or self.projects) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def outputs(self, *words: str) -> int:
        """The output tokens of the daily report, the same with a store and without."""
        ran, without = self.run("daily", "--json", *words), self.run("daily", "--json", "--no-store", *words)
        assert ran.json["totals"] == without.json["totals"]
        assert ran.json["rows"] == without.json["rows"]
        return int(ran.json["totals"]["output_tokens"])


@pytest.fixture(name="home")
def fixture_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Home:
    for name in ("CLAUDE_CONFIG_DIR", "XDG_CONFIG_HOME", "COLUMNS", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TOKENTAIL_HOME", str(tmp_path / "store"))
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.chdir(tmp_path)
    return Home(tmp_path / "home", capsys)


def days(ran: Ran) -> list[str]:
    return [row["day"] for row in ran.json["rows"]]


# The JSON contract


def test_json_contract(home: Home) -> None:
    """Names, their order and types are what docs/json.md promises."""
    home.write("-app/s1.jsonl", lines(1, 3) + line("m9", 9, model="claude-zeta-9") + line("m8", 8, stop_reason=None) + b'{"usage" oops\n')
    document = home.run("daily", "--json", "--timezone", "Europe/Berlin").json
    assert list(document) == ["schema", "report", "timezone", "sources", "rows", "totals", "notes"]
    assert (document["schema"], document["report"], document["timezone"]) == ("tokentail/report/1", "daily", "Europe/Berlin")
    assert "~/.claude/projects" in document["sources"]
    (row,) = document["rows"]
    assert list(row) == ["day", *COUNTS]
    assert list(document["totals"]) == list(COUNTS)
    assert {name: type(value) for name, value in document["totals"].items()} == COUNTS
    assert document["notes"] == {"not_final_replies": 1, "unpriced_models": ["claude-zeta-9"], "malformed_lines": 1, "degraded": []}
    assert (row["replies"], row["not_final_replies"], row["output_tokens"], row["cost_is_lower_bound"]) == (5, 1, 23, True)


def test_unknown_cost_is_null(home: Home) -> None:
    """When nothing in a row has a price its cost is null, never zero (edge case 32)."""
    home.write("-app/s1.jsonl", line("m1", 1, model="claude-zeta-9"))
    document = home.run("daily", "--json").json
    assert (document["rows"][0]["cost_usd"], document["totals"]["cost_usd"]) == (None, None)


def test_empty_report(home: Home) -> None:
    """An empty total costs 0, and that it is empty is told apart from the result."""
    home.write("-app/s1.jsonl", b"")
    ran = home.run("daily", "--json")
    assert (ran.code, ran.json["rows"], ran.json["totals"]["cost_usd"]) == (0, [], 0)


def test_csv(home: Home) -> None:
    """One header, one line a row; what a program reads with it are the fields of the JSON."""
    home.write("-app/s1.jsonl", lines(1, 3) + line("m9", 9, at="2026-10-05T10:00:00.000Z"))
    rows = list(csv.DictReader(io.StringIO(home.run("daily", "--csv").out)))
    document = home.run("daily", "--json").json
    assert [row["day"] for row in rows] == ["2026-10-01", "2026-10-05"]
    assert [int(row["output_tokens"]) for row in rows] == [row["output_tokens"] for row in document["rows"]]


def test_table(home: Home) -> None:
    """For people: a table with its totals, without colour where there is no terminal."""
    home.write("-app/s1.jsonl", lines(1, 3))
    ran = home.run("daily")
    assert ran.out.splitlines()[-1].split()[:2] == ["Total", "3"]
    assert "\x1b" not in ran.out
    assert ran.err == ""


def test_chart(home: Home) -> None:
    """Bars instead of numbers, in every report."""
    home.write("-app/s1.jsonl", lines(1, 3))
    for name in ("daily", "weekly", "monthly", "sessions", "projects", "models", "blocks"):
        ran = home.run(name, "--chart")
        assert ran.code == 0
        assert "█" in ran.out
        assert "Replies" not in ran.out


def test_models_beside_the_numbers(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wide terminal names the models of a day, and shows them under it only on request."""
    home.write("-app/s1.jsonl", lines(1, 3))
    for width, words, columns, rows in (("160", [], 1, 5), ("120", [], 0, 5), ("160", ["--breakdown"], 0, 6)):
        monkeypatch.setenv("COLUMNS", width)
        shown = home.run("daily", *words).out.split("\n\n")[0].splitlines()
        assert shown[0].count("Models") == columns
        assert len(shown) == rows - 1


def test_width(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """COLUMNS says how wide it may be."""
    home.write("-app/s1.jsonl", lines(1, 3))
    monkeypatch.setenv("COLUMNS", "50")
    assert max(map(len, home.run("daily").out.splitlines())) <= 50


# Periods and zones

FIVE_DAYS = b"".join(line(f"m{day}", day, at=f"2026-10-0{day}T22:30:00.000Z") for day in range(1, 6))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--since", "2026-10-02", "--until", "2026-10-04"], ["2026-10-02", "2026-10-03", "2026-10-04"]),
        (["--since", "20261004"], ["2026-10-04", "2026-10-05"]),
        (["--until", "2026-10-01"], ["2026-10-01"]),
        (["--since", "2026-10-04", "--timezone", "Europe/Berlin"], ["2026-10-04", "2026-10-05", "2026-10-06"]),
        (["--until", "2026-10-01", "--timezone", "Europe/Berlin"], []),
        (["--since", "9999-12-31"], []),
        (["--since", "0001-01-01", "--until", "9999-12-31"], [f"2026-10-0{day}" for day in range(1, 6)]),
    ],
)
def test_period(words: list[str], expected: list[str], home: Home) -> None:
    """`--since` and `--until` are inclusive days of the report's zone, with a store and without."""
    home.write("-app/s1.jsonl", FIVE_DAYS)
    assert days(home.run("daily", "--json", *words)) == expected
    assert days(home.run("daily", "--json", "--no-store", *words)) == expected


def test_days_before_today(home: Home) -> None:
    """`7d` is today and the six days before; `today` and `yesterday` are days too."""
    now = datetime.now(UTC)
    stamps = [(now - timedelta(days=back)).strftime("%Y-%m-%dT00:00:00.000Z") for back in range(10)]
    home.write("-app/s1.jsonl", b"".join(line(f"m{back}", 1, at=stamp) for back, stamp in enumerate(stamps)))
    expected = [stamp[:10] for stamp in reversed(stamps)]
    assert days(home.run("daily", "--json", "--since", "7d"))[-7:] == expected[-7:]
    assert len(days(home.run("daily", "--json", "--since", "7d"))) in (6, 7)  # midnight may have passed since
    assert set(days(home.run("daily", "--json", "--since", "yesterday", "--until", "today"))) <= {*expected[-2:]}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--timezone", "Mars/Olympus"], "Mars/Olympus"),
        (["--timezone", "../../etc/passwd"], "unknown time zone"),
        (["--since", "2026-10-05", "--until", "2026-10-01"], "swap"),
        (["--since", "tomorrowish"], "tomorrowish"),
        (["--since", "2026-02-30"], "2026-02-30"),
        (["--until", ""], "cannot read the day"),
        (["--json", "--csv"], "not allowed"),
        (["--chart", "--json"], "not allowed"),
        (["--csv", "--chart"], "not allowed"),
        (["--frobnicate"], "--frobnicate"),
    ],
)
def test_wrong_usage(words: list[str], says: str, home: Home) -> None:
    """Exit code 2, the reason on stderr, nothing on stdout."""
    home.write("-app/s1.jsonl", lines(1, 1))
    ran = home.run("daily", *words)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err


@pytest.mark.parametrize(
    "words", [["nonsense"], ["demo", "--rate", "0"], ["demo", "--rate", "x"], ["--timezone"], ["feed", "--since", "x"]]
)
def test_other_wrong_usage(words: list[str], home: Home) -> None:
    """The same for every command."""
    home.write("-app/s1.jsonl", lines(1, 1))
    assert home.run(*words).code == 2


# Places


def test_source(home: Home) -> None:
    """`--source` replaces the usual places; several may be given, and loose files count."""
    home.write("-app/s1.jsonl", lines(1, 1))
    one, two = home.path / "one", home.path / "two"
    home.write("s1.jsonl", lines(10, 10), projects=one)
    home.write("projects/-x/s2.jsonl", lines(20, 20), projects=two)
    assert home.outputs("--source", str(one)) == 10
    assert home.outputs("--source", str(one), "--source", str(two)) == 30
    assert home.outputs() == 1


def test_source_of_several_shapes(home: Home) -> None:
    """The projects folder, one that holds it, one project, and one by a relative path with a dash in front (edge case 43)."""
    home.write("-Users-me-app/s1.jsonl", lines(1, 3))
    os.chdir(home.projects)
    for folder in (str(home.projects), str(home.projects.parent), str(home.projects / "-Users-me-app"), "./-Users-me-app", "."):
        assert home.outputs("--source", folder) == 6
    assert home.outputs("--source=-Users-me-app") == 6


@pytest.mark.parametrize(("make", "why"), [(None, "no such folder"), (lambda path: path.write_text("x"), "not a folder")])
def test_missing_source(make: Callable[[Path], object] | None, why: str, home: Home) -> None:
    """A source that is not there is an error of its own, that names it."""
    path = home.path / "nowhere"
    home.path.mkdir()
    if make is not None:
        make(path)
    ran = home.run("daily", "--source", str(path))
    assert (ran.code, ran.out) == (1, "")
    assert str(path) in ran.err
    assert why in ran.err


def test_stores_of_sources(home: Home) -> None:
    """A source has a store of its own, whatever it is called; the usual places share one."""
    home.write("-app/s1.jsonl", lines(1, 1))
    (home.path / "link").symlink_to(home.projects)
    home.run("daily")
    home.run("daily", "--source", str(home.projects))
    home.run("daily", "--source", str(home.path / "link"))
    stores = sorted(path.name for path in Path(os.environ["TOKENTAIL_HOME"]).glob("*.db"))
    assert len(stores) == 2
    assert stores[1] == "store.db"


def test_config_dir(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """CLAUDE_CONFIG_DIR may name several folders, with commas; one that ends in `projects` is one; the usual ones count too."""
    home.write("-app/s1.jsonl", lines(1, 1))
    home.write("projects/-app/s2.jsonl", lines(10, 10), projects=home.path / "b")
    home.write("-app/s3.jsonl", lines(100, 100), projects=home.path / "c" / "projects")
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", f"{home.path / 'b'}, {home.path / 'c' / 'projects'}")
    assert home.outputs() == 111


def test_config_dir_that_is_no_longer_set(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was counted there stays counted, and `verify` knows that nobody looks there now."""
    home.write("-app/s1.jsonl", lines(1, 1))
    home.write("projects/-app/s2.jsonl", lines(10, 10), projects=home.path / "b")
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(home.path / "b"))
    home.run("daily")
    monkeypatch.delenv("CLAUDE_CONFIG_DIR")
    assert home.run("daily", "--json").json["totals"]["output_tokens"] == 11
    assert home.run("verify").code == 0


def test_other_usual_places(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of some 1.x versions, wherever XDG_CONFIG_HOME puts it, and the sessions of Claude Desktop."""
    home.write("-app/s1.jsonl", lines(1, 1), projects=home.path / "xdg" / "claude" / "projects")
    desktop = home.path / "xdg" / "Claude" / "local-agent-mode-sessions" / "o" / "w" / "local_1" / ".claude" / "projects"
    home.write("-app/s2.jsonl", lines(10, 10), projects=desktop)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home.path / "xdg"))
    assert home.outputs() == 11


def test_same_folder_in_three_ways(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reached directly, by a link and by CLAUDE_CONFIG_DIR, a log counts once (edge case 41)."""
    home.write("-app/s1.jsonl", lines(1, 3))
    (home.path / "link").symlink_to(home.path / ".claude")
    (home.path / ".config").mkdir()
    (home.path / ".config" / "claude").symlink_to(home.path / ".claude")
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", f"{home.path / 'link'},{home.path / '.claude'}")
    ran = home.run("daily", "--json")
    assert ran.json["totals"]["replies"] == 3
    assert home.outputs() == 6
    assert home.run("verify").code == 0


# Bad input


def bad_tree(home: Home) -> None:
    home.write("-app/s1.jsonl", lines(1, 3))
    home.write("-app/garbage.jsonl", bytes(range(256)) * 200 + b'"usage"' + bytes(range(256)) + b"\n")
    home.write("-app/nothing.jsonl", b"")
    home.write(f"{HOSTILE}/s2.jsonl", lines(4, 4) + b'{"usage": \x1b[31m\n')
    (home.projects / "folder.jsonl").mkdir()
    (home.projects / "dangling.jsonl").symlink_to(home.projects / "nowhere")
    os.mkfifo(home.projects / "pipe.jsonl")


def test_bad_tree(home: Home) -> None:
    """Garbage is counted as malformed, pipes, folders and links to nothing are passed over, and the rest counts."""
    bad_tree(home)
    ran = home.run("daily", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert ran.json["totals"]["replies"] == 4
    assert ran.json["notes"]["malformed_lines"] == 2
    assert home.outputs() == 10


def test_verify_of_a_bad_tree(home: Home) -> None:
    """It names the lines that cannot be read; no name does anything to a terminal."""
    bad_tree(home)
    ran = home.run("verify")
    assert ran.code == 0
    assert "garbage.jsonl: at byte" in ran.out
    assert "\x1b" not in ran.out
    assert "\x07" not in ran.out


def test_links_in_a_circle(home: Home) -> None:
    """A file that cannot be read is named, the others count, and the exit code says so."""
    home.write("-app/s1.jsonl", lines(1, 1))
    (home.projects / "-app" / HOSTILE.replace("/", "")).with_suffix(".jsonl").symlink_to("loop.jsonl")
    (home.projects / "-app" / "loop.jsonl").symlink_to("loop.jsonl")
    for words in (["daily", "--json"], ["daily", "--json", "--no-store"]):
        ran = home.run(*words)
        assert (ran.code, ran.json["totals"]["output_tokens"]) == (1, 1)
        assert "loop.jsonl" in ran.err
        assert "\x1b" not in ran.err


def test_no_logs(home: Home) -> None:
    """It names the folders that were searched, and what to do next; that is no error."""
    ran = home.run("daily")
    assert ran.code == 0
    assert str(home.projects) in ran.err
    assert "--source" in ran.err
    assert "tokentail demo" in ran.err


def test_no_logs_in_a_period(home: Home) -> None:
    """When there are logs, and only none in the period, no folder is blamed but the period."""
    home.write("-app/s1.jsonl", lines(1, 1))
    ran = home.run("daily", "--until", "2026-09-01")
    why = "tokentail: the period ends before the first usage, which was on 2026-10-01\n"
    assert (ran.code, ran.out, ran.err) == (0, "No usage in this period.\n", why)


def test_store_that_cannot_be_written(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the store and the way out."""
    home.write("-app/s1.jsonl", lines(1, 1))
    (home.path / "file").write_text("x")
    monkeypatch.setenv("TOKENTAIL_HOME", str(home.path / "file"))
    ran = home.run("daily")
    assert (ran.code, ran.out) == (1, "")
    assert "--no-store" in ran.err
    assert home.run("daily", "--json", "--no-store").json["totals"]["replies"] == 1


# Other commands


def test_overview(home: Home) -> None:
    """Without a command and without a terminal: today and the last seven days."""
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT00:00:00.000Z")
    home.write("-app/s1.jsonl", line("m1", 1, at=stamp) + line("m2", 2, at=stamp))
    ran = home.run()
    assert ran.code == 0
    assert "(UTC)" in ran.out.splitlines()[0]
    assert "2 replies" in next(row for row in ran.out.splitlines() if "7 days" in row)
    assert "claude-opus-5" in ran.out


def test_overview_without_logs(home: Home) -> None:
    """It names the folders, and shows the demo, labelled as made-up."""
    ran = home.run()
    assert ran.code == 0
    assert str(home.projects) in ran.err
    assert "made-up" in ran.out.splitlines()[0]
    assert "7 days" in ran.out


def test_verify(home: Home) -> None:
    """Store and logs agree after any report, and when logs are gone."""
    path = home.write("-app/s1.jsonl", lines(1, 3))
    home.write("-app/s2.jsonl", lines(4, 5))
    home.run("daily")
    path.unlink()
    ran = home.run("verify")
    assert ran.code == 0
    assert "3 of them stand only in files that are gone" in ran.out


def test_verify_of_a_wrong_store(home: Home) -> None:
    """A store that disagrees ends with 1, and the lines that explain it are named."""
    import sqlite3
    from contextlib import closing

    home.write("-app/s1.jsonl", lines(1, 3))
    home.run("daily")
    with closing(sqlite3.connect(Path(os.environ["TOKENTAIL_HOME"]) / "store.db")) as db, db:
        db.execute("UPDATE replies SET output = 7 WHERE key = 'msg_2'")
    ran = home.run("verify")
    assert ran.code == 1
    assert "DISAGREE in " in ran.out
    assert f"s1.jsonl: at byte {len(line('msg_1', 1))}" in ran.out


def test_demo_to_a_folder(home: Home) -> None:
    """`demo --write` makes logs that every command takes; a folder with something in it is left alone."""
    ran = home.run("demo", "--write", str(home.path / "made"))
    assert ran.code == 0
    assert home.run("daily", "--json", "--source", str(home.path / "made")).json["totals"]["replies"] > 100
    assert home.run("verify", "--source", str(home.path / "made")).code == 0
    assert home.run("demo", "--write", str(home.path / "made")).code == 2


@pytest.mark.parametrize("command", [[], ["daily"], ["feed"], ["verify"], ["demo"]])
def test_help(command: list[str], home: Home) -> None:
    """Every command says what it does and takes, and reads nothing."""
    ran = home.run(*command, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(" ".join(["usage: tokentail", *command]))
    assert not Path(os.environ["TOKENTAIL_HOME"]).exists()


def test_version(home: Home) -> None:
    """`--version` names the version."""
    assert home.run("--version").out == f"tokentail {__version__}\n"


def test_interrupt(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends any command with 130, without a trace."""

    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(options, "source", interrupted)
    ran = home.run("daily")
    assert (ran.code, ran.out, ran.err) == (130, "", "")


# Trees whose totals are known


def rows_by(name: str, folder: Path, how: str) -> dict[str, Sums]:
    """Sums by day, model, project or session, from the store or from a full re-read."""
    from tokentail import prices, queries
    from tokentail.coordinator import UpdateCoordinator
    from tokentail.recount import recount
    from tokentail.sources import LocalFolders

    source = LocalFolders([folder])
    if how == "recount":
        replies = recount(source).replies
    else:
        live = UpdateCoordinator(source, folder.parent / "truth.db", prices=prices.load())
        live.check_for_updates()
        replies = queries.replies_since(live.db, 0)
        live.close()
    sums: dict[str, list[int]] = {}
    for reply in replies:
        parts = [(reply.model, (*reply.tokens, 1, int(not reply.final), reply.web_searches))]
        parts += [(extra.model, (*extra.tokens, 0, 0, 0)) for extra in reply.extras]
        for model, part in parts:
            day = datetime.fromtimestamp(reply.at_ms / 1000, UTC).date().isoformat()
            key = {"day": day, "model": model, "project": reply.owner.project, "session": reply.owner.session, "": ""}[name]
            sums[key] = [sum(pair) for pair in zip(sums.get(key, [0] * 8), part, strict=True)]
    return {key: Sums(*values) for key, values in sums.items()}


PLANS = {
    "clean": TreePlan(
        seed=3, total_bytes=2_000_000, files=40, resumed_share=0.5, side_question_share=0.3, extra_share=0.05, text_scale=0.2
    ),
    "dirty": TreePlan(
        seed=4, total_bytes=2_000_000, files=40, resumed_share=0.4, side_question_share=0.3, extra_share=0.05, text_scale=0.2, dirty=DIRTY
    ),
}


@pytest.fixture(name="tree", scope="module", params=sorted(PLANS))
def fixture_tree(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    folder = tmp_path_factory.mktemp(request.param) / "tree"
    return folder, write_tree(folder, PLANS[request.param])


@pytest.mark.parametrize("how", ["store", "recount"])
def test_truth_of_a_tree(how: str, tree: tuple[Path, Truth]) -> None:
    """Totals by day, model, project and session are those that were written, forks, side questions and dirt or not."""
    folder, truth = tree
    assert rows_by("", folder, how)[""] == truth.totals
    assert rows_by("day", folder, how) == truth.by_day
    assert rows_by("model", folder, how) == truth.by_model
    assert rows_by("project", folder, how) == truth.by_project
    assert rows_by("session", folder, how) == truth.by_session


@pytest.mark.parametrize("how", [[], ["--no-store"]])
def test_daily_report_of_a_tree(how: list[str], tree: tuple[Path, Truth], home: Home) -> None:
    """The report's rows are those of the days that were written, and its note counts every malformed line."""
    folder, truth = tree
    document = home.run("daily", "--json", "--source", str(folder), *how).json
    assert {row["day"]: sums_of(row) for row in document["rows"]} == truth.by_day
    assert sums_of(document["totals"]) == truth.totals
    assert document["notes"]["malformed_lines"] == truth.malformed_lines
    assert document["notes"]["not_final_replies"] == truth.totals.not_final


def sums_of(row: Mapping[str, int]) -> Sums:
    tokens = [f"{name}_tokens" for name in ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")]
    return Sums(*(row[name] for name in (*tokens, "replies", "not_final_replies", "web_searches")))


# More trees, for those who have them beside the checkout

# What both kinds of truth call what we call ...
OTHER_NAMES = {
    "input": ("input", "input_tokens"),
    "output": ("output", "output_tokens"),
    "cache_read": ("cache_read", "cache_read_input_tokens"),
    "cache_write": ("cache_write_5m", "cache_creation_input_tokens"),
    "replies": ("messages", "messages"),
}


def by_our_names(row: Mapping[str, int]) -> dict[str, int]:
    found = {ours: next(row[name] for name in theirs if name in row) for ours, theirs in OTHER_NAMES.items()}
    found["cache_write"] += row.get("cache_write_1h", 0)
    return found


def comparable(rows: Mapping[str, Sums]) -> dict[str, dict[str, int]]:
    return {
        key: {
            "input": sums.input,
            "output": sums.output,
            "cache_read": sums.cache_read,
            "cache_write": sums.cache_write_5m + sums.cache_write_1h,
            "replies": sums.replies,
        }
        for key, sums in rows.items()
    }


def families(folder: Path, name: str) -> dict[str, str]:
    """Sessions (or projects) that hold copies of one another's replies, each by the first of its kin; who owns a copy is not compared."""
    from tokentail.formats import FORMATS
    from tokentail.sources import LocalFolders

    source, parse = LocalFolders([folder]), FORMATS[0].line_parser(1 << 40)
    homes: dict[str, set[str]] = {}
    for file in source.list_files().files:
        for data in source.read(file, 0, file.size_bytes).split(b"\n"):
            for found in parse(data, file).entries if b'"usage"' in data else ():
                homes.setdefault(found.record.group, set()).add(getattr(found.record.owner, name))
    kin: dict[str, str] = {}

    def first(home: str) -> str:
        while kin.setdefault(home, home) != home:
            home = kin[home]
        return home

    for together in homes.values():
        head = min(map(first, together))
        for home in together:
            kin[first(home)] = head
    return {home: first(home) for home in kin}


def by_family(rows: Mapping[str, Mapping[str, int]], kin: Mapping[str, str]) -> dict[str, dict[str, int]]:
    totals: dict[str, dict[str, int]] = {}
    for home, row in rows.items():
        total = totals.setdefault(kin.get(home, home), dict.fromkeys(row, 0))
        for name, count in row.items():
            total[name] += count
    return totals


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "real-logs" / "truth.json").exists(), reason="there are no real logs beside the checkout")
@pytest.mark.parametrize("how", ["store", "recount"])
def test_real_logs(how: str, tmp_path: Path) -> None:
    """Real logs give the totals that were counted for them by other means."""
    shutil.copytree(SHARED / "real-logs" / "projects", tmp_path / "logs" / "projects")
    truth = json.loads((SHARED / "real-logs" / "truth.json").read_bytes())
    for name in ("day", "model"):
        assert comparable(rows_by(name, tmp_path / "logs", how)) == {key: by_our_names(row) for key, row in truth[name].items()}


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "corpus" / "make_corpus.py").exists(), reason="there is no maker of logs beside the checkout")
@pytest.mark.parametrize("how", ["store", "recount"])
def test_logs_of_another_maker(how: str, tmp_path: Path) -> None:
    """A dirty tree that somebody else's program made gives the totals that it says, sessions and projects by families of copies."""
    folder = tmp_path / "logs"
    shape = ["--bytes", "8M", "--seed", "11", "--dirty", "--dup-rate", "0.3", "--asides", "0.3", "--no-request-id-rate", "0.02"]
    program = [sys.executable, str(SHARED / "corpus" / "make_corpus.py"), "--out", str(folder), "--no-verify", *shape]
    subprocess.run(program, check=True, capture_output=True)
    truth = json.loads((folder / "truth.json").read_bytes())
    assert comparable(rows_by("", folder, how))[""] == by_our_names(truth["totals"])
    for name in ("day", "model"):
        assert comparable(rows_by(name, folder, how)) == {key: by_our_names(row) for key, row in truth[f"by_{name}"].items()}
    for name in ("session", "project"):
        kin = families(folder, name)
        told = by_family({key: by_our_names(row) for key, row in truth[f"by_{name}"].items()}, kin)
        assert by_family(comparable(rows_by(name, folder, how)), kin) == told


# Settings


def test_settings_hold_where_no_option_says_otherwise(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The zone, the first day of a week, a window's rounding, names of projects and the folders that are read come from the config file."""
    config = home.write("config.toml", b"", projects=tmp_path)
    logs = home.write("-srv-app/s1.jsonl", line("m1", timestamp="2026-10-03T22:30:00.000Z"), projects=tmp_path / "logs").parents[1]
    config.write_text(
        f'timezone = "Europe/Berlin"\nweek_starts = "sunday"\nsources = ["{logs}"]\n'
        '[blocks]\nrounding = "none"\n[projects.aliases]\n"-srv-app" = "Shop"\n'
    )
    monkeypatch.setenv("TOKENTAIL_CONFIG", str(config))
    assert [row["week"] for row in home.run("weekly", "--json").json["rows"]] == ["2026-10-04"]
    assert [row["block"] for row in home.run("blocks", "--json").json["rows"]] == ["2026-10-03T22:30:00Z"]
    assert [row["project_name"] for row in home.run("projects", "--json", "--project", "shop").json["rows"]] == ["Shop"]
    assert [row["day"] for row in home.run("daily", "--json", "--timezone", "UTC").json["rows"]] == ["2026-10-03"]
    assert [row["block"] for row in home.run("blocks", "--json", "--rounding", "hour").json["rows"]] == ["2026-10-03T22:00:00Z"]


def test_a_mistake_in_the_settings_ends_a_command(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With exit code 2, the key and what it may have meant; help and `config` itself go on."""
    config = home.write("config.toml", b'weekstarts = "sunday"\n', projects=tmp_path)
    monkeypatch.setenv("TOKENTAIL_CONFIG", str(config))
    ran = home.run("daily")
    assert (ran.code, ran.out) == (2, "")
    assert "week_starts" in ran.err
    assert (home.run("daily", "--help").code, home.run("config", "path").code) == (0, 0)
