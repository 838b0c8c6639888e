"""Every report against trees whose totals are known from whoever made them, with a store and by a full re-read."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from test_cli import PLANS, SHARED, by_family, by_our_names, comparable, families, sums_of
from tokentail.cli import main
from tokentail.demo.plan import TreePlan
from tokentail.demo.tree import write_tree
from tokentail.demo.truth import Sums, Truth

HOW = pytest.mark.parametrize("how", [[], ["--no-store"]], ids=["store", "recount"])
Ask = Callable[..., Any]


@pytest.fixture(name="ask")
def fixture_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """A report on a tree, in days of UTC, as what its JSON holds."""
    for name in ("HOME", "TOKENTAIL_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))

    def ask(report: str, folder: Path, *words: str) -> Any:
        assert main([report, "--json", "--timezone=UTC", f"--source={folder}", *words]) == 0
        return json.loads(capsys.readouterr().out)

    return ask


def rows_of(document: Any) -> dict[str, Sums]:
    """Each row by its name."""
    return {next(iter(row.values())): sums_of(row) for row in document["rows"]}


def grouped(rows: Mapping[str, Sums], group_of: Callable[[str], str]) -> dict[str, Sums]:
    sums: dict[str, Sums] = {}
    for key, row in rows.items():
        group = group_of(key)
        sums[group] = Sums(*map(sum, zip(sums.get(group, Sums()), row, strict=True)))
    return sums


def week_of(day: str) -> str:
    return str(date.fromisoformat(day) - timedelta(days=date.fromisoformat(day).weekday()))


# Our own trees


@pytest.fixture(name="tree", scope="module", params=sorted(PLANS))
def fixture_tree(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    folder = tmp_path_factory.mktemp(request.param) / "tree"
    plan: TreePlan = PLANS[request.param]
    return folder, write_tree(folder, plan)


@HOW
def test_reports_of_a_tree(how: Sequence[str], tree: tuple[Path, Truth], ask: Ask) -> None:
    """Each row is what was written; weeks and months are the sums of their days, and all reports have one total."""
    folder, truth = tree
    expected = {
        "daily": truth.by_day,
        "weekly": grouped(truth.by_day, week_of),
        "monthly": grouped(truth.by_day, lambda day: day[:7]),
        "sessions": truth.by_session,
        "projects": truth.by_project,
        "models": truth.by_model,
    }
    for report, rows in expected.items():
        document = ask(report, folder, *how)
        assert rows_of(document) == rows
        assert sums_of(document["totals"]) == truth.totals
    blocks = ask("blocks", folder, *how)
    assert grouped(rows_of(blocks), lambda _: "")[""] == sums_of(blocks["totals"]) == truth.totals


@HOW
def test_models_of_the_days_of_a_tree(how: Sequence[str], tree: tuple[Path, Truth], ask: Ask) -> None:
    """Each day's models are those that were written."""
    folder, truth = tree
    rows = ask("daily", folder, "--breakdown", *how)["rows"]
    assert {row["day"]: {model["model"]: sums_of(model) for model in row["models"]} for row in rows} == truth.by_day_model


# Those of others, for who has them beside the checkout


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "real-logs" / "truth.json").exists(), reason="there are no real logs beside the checkout")
@HOW
def test_reports_of_real_logs(how: Sequence[str], ask: Ask, tmp_path: Path) -> None:
    """Real logs give the totals that were counted for them by other means."""
    folder = tmp_path / "logs"
    shutil.copytree(SHARED / "real-logs" / "projects", folder / "projects")
    truth = json.loads((SHARED / "real-logs" / "truth.json").read_bytes())
    days = {day: by_our_names(row) for day, row in truth["day"].items()}
    assert comparable(rows_of(ask("daily", folder, *how))) == days
    assert comparable(rows_of(ask("models", folder, *how))) == {name: by_our_names(row) for name, row in truth["model"].items()}
    for report in ("weekly", "monthly", "sessions", "projects", "blocks"):
        assert comparable({"": sums_of(ask(report, folder, *how)["totals"])})[""] == by_our_names(truth["total"])


SHAPES = {
    "clean": ["--seed=5"],
    "dirty": ["--seed=6", "--dirty", "--no-request-id-rate=0.05"],
    "forks": ["--seed=7", "--dup-rate=0.6", "--asides=0.5"],
}


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "corpus" / "make_corpus.py").exists(), reason="there is no maker of logs beside the checkout")
@HOW
@pytest.mark.parametrize("shape", SHAPES)
def test_reports_of_logs_of_another_maker(shape: str, how: Sequence[str], ask: Ask, tmp_path: Path) -> None:
    """
    Trees that somebody else's program made give the totals that it says.

    It gives a copied reply to the session that wrote it first. R7 gives it to the smallest session, since nothing on the lines
    marks the copy; so sessions and projects are compared by families of copies.
    """
    folder = tmp_path / "logs"
    program = [sys.executable, str(SHARED / "corpus" / "make_corpus.py"), "--out", str(folder), "--no-verify", "--bytes=8M", "--files=100"]
    subprocess.run([*program, *SHAPES[shape]], check=True, capture_output=True)
    truth = json.loads((folder / "truth.json").read_bytes())
    told = {name: {key: by_our_names(row) for key, row in truth[f"by_{name}"].items()} for name in ("day", "model", "session", "project")}
    assert comparable(rows_of(ask("daily", folder, *how))) == told["day"]
    assert comparable(rows_of(ask("models", folder, *how))) == told["model"]
    for report, name in (("sessions", "session"), ("projects", "project")):
        document = ask(report, folder, *how)
        kin = families(folder, name)
        assert by_family(comparable(rows_of(document)), kin) == by_family(told[name], kin)
        assert comparable({"": sums_of(document["totals"])})[""] == by_our_names(truth["totals"])
