"""Tests of `tokentail budget`: what is shown, what scripts are told, and that a process which follows tells at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from budgeting import hook, measured, used
from builders import line, usage, write_logs
from tokentail.budgets import showing
from tokentail.cli import main
from tokentail.config import Budget
from tokentail.reports.text import Style

LOG = "-home-dev-app/s1.jsonl"
ROOT = Path(__file__).resolve().parents[1]


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Home:
    """A home with a log of one reply of 1 000 tokens, written now, and a config."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.said = folder / "said"
        self._capsys = capsys
        self.logs = write_logs(folder / "logs", {LOG: self.reply(1)})

    @staticmethod
    def reply(number: int) -> bytes:
        counts = usage(1000, input_tokens=0, cache_read_input_tokens=0, cache_creation_input_tokens=0, cache_creation={})
        return line(f"msg_{number}", timestamp=now(), usage=counts)

    def budget(self, *, threshold: int, name: str = "hour", more: str = "") -> None:
        """One budget of the last hour's tokens, told by a command that writes it down."""
        told = f"command = ['sh', '-c', 'echo \"$0\" >> {self.said}', '{{message}}']\n"
        text = f'[budgets."{name}"]\nmeasure = "tokens"\nperiod = "hour"\nthreshold = {threshold}\n{more or told}'
        (self.folder / "config.toml").write_text(text)

    def run(self, *words: str) -> tuple[int, str, str]:
        code = main(["budget", "--source", str(self.logs), *words])
        said = self._capsys.readouterr()
        return code, said.out, said.err

    def json(self, *words: str) -> dict[str, Any]:
        _, out, _ = self.run("--json", *words)
        (found,) = json.loads(out)["budgets"]
        assert isinstance(found, dict)
        return found

    def tells_of_a_crossing(self, *words: str) -> None:
        """A command that runs on tells of the budget that a new reply crosses, once, on stderr and by its way; SIGTERM ends it well."""
        command = [sys.executable, "-m", "tokentail", *words, "--source", str(self.logs)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
            assert process.stderr is not None
            assert process.stderr.readline() == "ready\n"
            with (self.logs / LOG).open("ab") as log:
                log.write(self.reply(2))
            assert process.stderr.readline() == "tokentail: budget hour is crossed: 2,000 of 2,000 tokens in the last hour\n"
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=30) == 0
        assert self.said.read_text() == "budget hour: 2,000 of 2,000 tokens in the last hour\n"


@pytest.fixture(name="home")
def fixture_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Home:
    monkeypatch.setenv("TOKENTAIL_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("TOKENTAIL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TZ", "UTC")
    return Home(tmp_path, capsys)


def test_budgets_are_shown_in_a_table() -> None:
    """Each with its measure, its period, what is used, its threshold, and what share that is."""
    found = measured([Budget("a day", "cost", "20"), Budget("a block", "tokens", "2000", "block")], used(1, 1), used(2, 2))
    assert showing.budgets_text(found, width=110, style=Style(False)) == (ROOT / "tests" / "data" / "budgets.txt").read_text(
        encoding="utf-8"
    )


def test_a_table_fits_a_narrow_terminal() -> None:
    """Names are cut, and the less important columns left out."""
    found = measured([Budget("x" * 80, "cache_hit_rate", "99.9", "block")], used(1, 1))
    assert all(len(row) <= 40 for row in showing.budgets_text(found, width=40, style=Style(False)).splitlines())


def test_without_budgets_it_says_how_to_set_one(home: Home) -> None:
    """And a script that checks them goes on."""
    for words in ([], ["--check"]):
        code, out, err = home.run(*words)
        assert (code, err) == (0, "")
        assert out.startswith("There are no budgets.")
    assert json.loads(home.run("--json")[1]) == {"schema": "tokentail/budget/1", "budgets": []}


def test_looking_tells_nobody(home: Home) -> None:
    """Only who looks."""
    home.budget(threshold=1000)
    code, out, err = home.run()
    assert (code, err) == (0, "")
    assert "CROSSED" in out
    assert not home.said.exists()


def test_a_check_has_an_exit_code_for_scripts(home: Home) -> None:
    """0 where all is well, 3 where something is crossed, for as long as it is."""
    home.budget(threshold=1001)
    assert home.run("--check")[0] == 0
    home.budget(threshold=1000)
    code, _, err = home.run("--check")
    assert (code, err) == (3, "tokentail: budget hour is crossed: 1,000 of 1,000 tokens in the last hour\n")
    code, _, err = home.run("--check")
    assert (code, err) == (3, "")
    assert home.said.read_text() == "budget hour: 1,000 of 1,000 tokens in the last hour\n"


def test_a_check_that_cannot_tell_says_so(home: Home) -> None:
    """On stderr; that the budget is crossed is still what a script hears."""
    home.budget(threshold=1000, more='command = ["/no/such/program"]\n')
    code, _, err = home.run("--check")
    assert code == 3
    assert "budget hour cannot be told by command: cannot run /no/such/program: No such file or directory" in err


def test_what_was_told_is_in_the_json(home: Home) -> None:
    """When it was crossed, and who knows."""
    home.budget(threshold=1000)
    before = home.json()
    assert (before["crossed"], before["crossed_at"], before["told_by"], before["tell_by"]) == (True, None, [], ["command"])
    after = home.json("--check")
    assert after["told_by"] == ["command"]
    assert after["crossed_at"] is not None
    assert (after["value"], after["threshold"], after["share"], after["unit"]) == (1000, 1000, 1, "tokens")


def test_a_name_that_means_nothing_is_told(home: Home) -> None:
    """As in reports."""
    home.budget(threshold=1000, more='projects = ["ap"]\n')
    code, _, err = home.run()
    assert code == 0
    assert err.startswith("tokentail: no project is called 'ap' (did you mean ")


def test_a_test_tells_whether_or_not_it_is_crossed(home: Home) -> None:
    """In all ways of that budget, and nothing is remembered of it."""
    with hook() as web:
        home.budget(threshold=5000, more=f'webhook = "{web.address}"\ncommand = ["false"]\n')
        code, out, err = home.run("--test", "hour")
        assert (code, out, err) == (1, "webhook: told\ncommand: false ended with exit code 1\n", "")
        assert web.heard[0].json["test"] is True
        assert web.heard[0].json["message"] == "Test of budget hour: 1,000 of 5,000 tokens in the last hour"
    assert list((home.folder / "home").glob("*.budgets")) == []
    assert home.run("--test", "huor")[0] == 2


def test_a_limit_is_checked_by_what_the_status_line_heard(home: Home) -> None:
    """Until it did, a check says why the budget tells nothing; then it is crossed, and all who are told hear who says so."""
    told = f"command = ['sh', '-c', 'cat > {home.said}']\n"
    (home.folder / "config.toml").write_text(f'[budgets.plan]\nmeasure = "limit"\nthreshold = 80\n{told}')
    code, out, err = home.run("--check")
    assert (code, err) == (
        0,
        "tokentail: budget plan: nobody has said how far the limit of 5 hours is used (`tokentail statusline --install` keeps it)\n",
    )
    assert out.splitlines()[1].endswith("unknown")
    resets_s = int(datetime.now(UTC).timestamp()) // 3600 * 3600 + 7200
    limits = {"five_hour": {"used_percentage": 81.5, "resets_at": resets_s}}
    said = {"session_id": "s1", "cost": {"total_cost_usd": 0.5}, "rate_limits": limits}
    subprocess.run(
        [sys.executable, "-m", "tokentail", "statusline", "--source", str(home.logs)], input=json.dumps(said).encode(), check=True
    )
    code, out, err = home.run("--check")
    start = datetime.fromtimestamp(resets_s - 5 * 3600, UTC)
    message = f"81.5 of 80.0 % of the limit in the 5 hours from {start:%Y-%m-%d %H:%M} (official)"
    assert (code, err) == (3, f"tokentail: budget plan is crossed: {message}\n")
    assert out.splitlines()[1].endswith("CROSSED (official)")
    heard = json.loads(home.said.read_text())
    assert (heard["message"], heard["standing"], heard["age_seconds"]) == (f"budget plan: {message}", "official", None)


def test_an_address_is_shown_nowhere(home: Home) -> None:
    """Not by `config show`, not by a message."""
    with hook() as web:
        web.answers = [403]
        home.budget(threshold=1000, more=f'webhook = "{web.address}"\n')
        shown = [home.run("--check"), home.run("--json"), home.run("--test", "hour")]
    assert "s3cret" not in "".join(out + err for _, out, err in shown)


def test_watching_needs_a_budget(home: Home) -> None:
    """There is nothing to wait for otherwise."""
    assert home.run("--watch") == (2, "", "tokentail: there is no budget to watch (docs/budgets.md shows how to set one)\n")


def test_a_process_that_watches_tells_as_soon_as_it_happens(home: Home) -> None:
    """A reply is written, and the budget that it crosses is told, once; then SIGTERM ends it well."""
    home.budget(threshold=2000)
    home.tells_of_a_crossing("budget", "--watch")
    assert home.run("--check")[0] == 3
    assert len(home.said.read_text().splitlines()) == 1


def test_the_document_names_every_field(home: Home) -> None:
    """docs/budgets.md is the contract of both JSONs."""
    text = (ROOT / "docs" / "budgets.md").read_text(encoding="utf-8")
    with hook() as web:
        home.budget(threshold=1000, more=f'webhook = "{web.address}"\n')
        names = set(home.json("--check")) | set(web.heard[0].json)
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []
