"""Tests of `tokentail prices` as people and programs call it, and of what it means to the reports."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from logs import line
from tokentail.cli import main
from tokentail.prices import SHIPPED, imported_path, load

ROOT = Path(__file__).resolve().parents[1]
DAY = json.loads(SHIPPED.read_bytes())["as_of"]


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Home:
    """A home of its own, with logs in the usual place."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.path = path
        self.store = path / "store"
        self._capsys = capsys

    def run(self, *words: str) -> Ran:
        code = main(words)
        return Ran(code, *self._capsys.readouterr())

    def log(self, *lines: bytes) -> None:
        """Write a log of those lines, and count it."""
        path = self.path / ".claude" / "projects" / "-home-dev-app" / "s1.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(lines))
        assert self.run("daily").code == 0

    def cost(self) -> Any:
        """The total of the daily report, the same with a store and without."""
        with_store, without = (self.run("daily", "--json", *words).json["totals"] for words in ((), ("--no-store",)))
        assert with_store == without
        return with_store["cost_usd"]

    def list_file(self, change: Callable[[dict[str, Any]], object]) -> str:
        """The shipped list with a change, as a file to import."""
        raw = json.loads(SHIPPED.read_bytes())
        change(raw)
        path = self.path / "list.json"
        path.write_text(json.dumps(raw), encoding="utf-8")
        return str(path)


@pytest.fixture(name="home")
def fixture_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Home:
    for name in ("CLAUDE_CONFIG_DIR", "XDG_CONFIG_HOME", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TOKENTAIL_HOME", str(tmp_path / "store"))
    monkeypatch.setenv("TOKENTAIL_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("COLUMNS", "80")
    return Home(tmp_path, capsys)


def dearer(raw: dict[str, Any]) -> None:
    """Opus 5 costs ten times as much."""
    rates = raw["models"]["claude-opus-5"]["prices"][0]["rates"]
    rates.update({name: rate * 10 for name, rate in rates.items()})


def without_opus(raw: dict[str, Any]) -> None:
    del raw["models"]["claude-opus-5"]


# Looking at the list


def test_before_anything_is_counted(home: Home) -> None:
    """The list is shown without a store, and none is made for it."""
    ran = home.run("prices")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("Model ")
    assert f"The list is the one that ships with tokentail, of {DAY}" in ran.out
    assert home.run("prices", "--json").json["store"] is None
    assert not home.store.exists()


def test_models_of_ones_own_without_a_price(home: Home) -> None:
    """What the store has counted and the list has no price for is named, with how much of it there is."""
    home.log(line("m1"), line("m2", model="claude-zeta-9"), line("m3", usage={"speed": "warp"}))
    ran = home.run("prices")
    assert (ran.code, ran.err) == (0, "")
    assert "\n  claude-zeta-9  1 reply, 2,614 tokens\n" in ran.out
    assert ran.out.endswith("\n  claude-opus-5  speed warp  1 reply, 2,614 tokens\n")
    assert home.run("prices", "--json").json["store"] == {
        "unpriced": [{"model": "claude-zeta-9", "replies": 1, "total_tokens": 2614}],
        "assumed": [
            {"model": "claude-opus-5", "speed": "warp", "geo": None, "service_tier": None, "replies": 1, "total_tokens": 2614},
        ],
    }


def test_the_store_of_other_folders(home: Home) -> None:
    """With --source the models are those of its store."""
    home.log(line("m1", model="claude-zeta-9"))
    other = home.path / "other"
    other.mkdir()
    (other / "s1.jsonl").write_bytes(line("m2", model="claude-zeta-10"))
    home.run("daily", "--source", str(other))
    assert "claude-zeta-10  1 reply" in home.run("prices", "--source", str(other)).out
    assert "claude-zeta-9" not in home.run("prices", "--source", str(other)).out


@pytest.mark.parametrize(
    ("asked", "models"),
    [
        ("claude-opus-5", {"claude-opus-5"}),
        ("claude-opus-5[1m]", {"claude-opus-5"}),
        ("anthropic/Claude-Opus-4.6", {"claude-opus-4-6"}),
        ("*opus-5*", {"claude-opus-5", "claude-opus-5-5"}),
        ("claude-?-opus", {"claude-3-opus"}),
        ("opus", set()),
    ],
)
def test_a_filter(home: Home, asked: str, models: set[str]) -> None:
    """A model is found by every way to write it, several by a pattern as in a shell, for the list and the store alike."""
    home.log(line("m1", model="claude-zeta-9[1m]"), line("m2", model="claude-zeta-8"))
    found = home.run("prices", "--json", "--model", asked).json
    assert {row["model"] for row in found["prices"]} == models
    assert found["store"]["unpriced"] == []
    unpriced = home.run("prices", "--json", "--model", "claude-zeta-9").json["store"]["unpriced"]
    assert [each["model"] for each in unpriced] == ["claude-zeta-9[1m]"]


def test_a_store_that_cannot_be_read(home: Home) -> None:
    """The list is shown all the same; that the store was not asked is said and is the exit code."""
    home.store.mkdir()
    (home.store / "store.db").write_bytes(b"no database" * 1000)
    ran = home.run("prices", "--json")
    assert (ran.code, ran.json["store"]) == (1, None)
    assert "cannot read the store" in ran.err


def test_a_store_that_is_damaged_inside(home: Home) -> None:
    """What is met while reading is said, too, with what repairs it."""
    home.log(line("m1"))
    store = home.store / "store.db"
    with contextlib.closing(sqlite3.connect(store)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        page = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'days'").fetchone()[0]
    data = bytearray(store.read_bytes())
    data[4096 * (page - 1) : 4096 * page] = b"\xff" * 4096
    store.write_bytes(data)
    ran = home.run("prices")
    assert (ran.code, ran.out.startswith("Model ")) == (1, True)
    assert "(run `tokentail daily` first, which puts it in order)" in ran.err


# Importing


def test_an_import_is_used_by_reports(home: Home) -> None:
    """From the next command on reports cost by the imported list, with the store and without; a reset takes that back."""
    home.log(line("m1"))
    before = home.cost()
    ran = home.run("prices", "--import", home.list_file(dearer))
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"The list of {DAY} is in use from now on, in place of the one of {DAY} that ships with tokentail.\n")
    assert "Changed: claude-opus-5\n  - from 2026-07-24: input 5, output 25," in ran.out
    assert home.cost() == pytest.approx(10 * before)
    assert home.run("prices", "--json").json["list"] == "imported"
    assert home.run("prices", "--reset") == (0, f"The imported list is gone. In use is the one that ships with tokentail, of {DAY}.\n", "")
    assert home.cost() == before
    assert home.run("prices", "--reset").out.startswith("No list was imported.")


def test_a_second_import_is_compared_with_the_first(home: Home) -> None:
    """What is said to change is what is in use."""
    home.run("prices", "--import", home.list_file(dearer))
    ran = home.run("prices", "--import", home.list_file(lambda _: None))
    assert ran.out.startswith(f"The list of {DAY} is in use from now on, in place of the imported one of {DAY}.\n")
    assert "  - from 2026-07-24: input 50," in ran.out
    assert home.run("prices", "--import", home.list_file(lambda _: None)).out.endswith("\nNo price changes.\n")


def test_an_import_may_take_a_price_away(home: Home) -> None:
    """That is allowed, and said with how much of the model was used, however its name was written."""
    home.log(line("m1"), line("m2", model="claude-opus-5[1m]"))
    ran = home.run("prices", "--import", home.list_file(without_opus))
    assert ran.code == 0
    assert "Without a price from now on: claude-opus-5, and your store has 2 replies, 5,228\ntokens of it." in ran.out
    assert home.cost() is None


def test_other_thresholds_keep_the_store(home: Home) -> None:
    """A list with other long-context limits adds the store's sums up anew; nothing is lost and no price is off."""

    def lower(raw: dict[str, Any]) -> None:
        price = raw["models"]["claude-opus-5"]["prices"][0]
        price["long_context"] = [{"above": 2_000, "rates": {name: rate * 3 for name, rate in price["rates"].items()}}]

    home.log(line("m1"), line("m2", usage={"cache_read_input_tokens": 0, "input_tokens": 1}), line("m3", usage={"input_tokens": 300_000}))
    before = home.cost()
    assert "Long prompts begin at other lengths now" in home.run("prices", "--import", home.list_file(lower)).out
    assert home.cost() > before
    home.run("prices", "--reset")
    assert home.cost() == before


def test_a_bad_file_is_refused(home: Home) -> None:
    """The message names what is wrong and nothing is changed; the exit code says so."""
    ran = home.run("prices", "--import", home.list_file(lambda raw: raw["us"].update(factor=-1)))
    assert (ran.code, ran.out) == (1, "")
    assert "us.factor: -1 is not a number like 6.25" in ran.err
    assert not home.store.exists()


def test_a_damaged_import_breaks_no_report(home: Home) -> None:
    """Reports go on with the shipped list and say so; `tokentail prices` shows it, in its JSON as well."""
    home.log(line("m1"))
    before = home.cost()
    imported_path(home.store).write_bytes(b"{")
    ran = home.run("daily", "--json")
    assert (ran.code, ran.json["totals"]["cost_usd"]) == (0, before)
    assert ran.err.startswith("tokentail: cannot use the imported price list ")
    shown = home.run("prices")
    assert (shown.code, shown.err) == (0, "")
    assert "\n!  cannot use the imported price list" in shown.out
    (degraded,) = home.run("prices", "--json").json["degraded"]
    assert "the one that ships with tokentail is used" in degraded


def test_an_import_that_has_become_old_is_said_where_prices_are_shown(home: Home) -> None:
    """Reports are silent about it: the list that ships is newer, as after an update of tokentail."""
    home.log(line("m1"))
    older = load().as_of
    assert older is not None
    raw = json.loads(SHIPPED.read_bytes())
    raw["as_of"] = (older - timedelta(days=1)).isoformat()
    imported_path(home.store).write_text(json.dumps(raw), encoding="utf-8")
    assert home.run("daily").err == ""
    assert "!  the imported list is not used" in home.run("prices").out


# Prices of one's own


def test_own_prices_are_used_by_reports(home: Home) -> None:
    """A price in the settings holds for reports, with the store and without, over the list; `tokentail prices` shows whose it is."""
    home.log(line("m1", usage={"speed": "fast"}), line("m2", model="claude-zeta-9"))
    (home.path / "config.toml").write_text('[prices.models."claude-zeta-9"]\ninput = 0.4\noutput = 1000.25\n', encoding="utf-8")
    only = json.loads(home.run("models", "--json", "--model", "claude-zeta-9").out)["totals"]
    assert (only["cost_usd"], only["cost_is_lower_bound"]) == (
        pytest.approx((4 * 0.4 + 310 * 1000.25 + 2000 * 0.04 + 300 * 0.8) / 10**6),
        False,
    )
    (home.path / "config.toml").write_text('[prices.models."claude-opus-5[1m]"]\ninput = 1\noutput = 1\n', encoding="utf-8")
    assert home.cost() == pytest.approx((4 + 310 + 2000 * 0.1 + 300 * 2) / 10**6)
    assert "From your config are the prices of: claude-opus-5." in home.run("prices").out
    found = home.run("prices", "--json", "--model", "claude-opus-5").json
    assert (found["own_models"], found["list"]) == (["claude-opus-5"], "shipped")
    assert [found["sources"][number - 1]["title"] for number in found["prices"][0]["sources"]] == ["your config"]


def test_own_prices_do_not_hide_what_an_import_changes(home: Home) -> None:
    """An import is compared with the list, not with what the settings lay over it."""
    (home.path / "config.toml").write_text('[prices.models."claude-opus-5"]\ninput = 1\noutput = 1\n', encoding="utf-8")
    assert "Changed: claude-opus-5\n" in home.run("prices", "--import", home.list_file(dearer)).out
    (row,) = home.run("prices", "--json", "--model", "claude-opus-5").json["prices"]
    assert row["input_usd_per_million"] == 1


@pytest.mark.parametrize("words", [["--import", "x", "--reset"], ["--json", "--reset"], ["--json", "--import", "x"]])
def test_words_that_exclude_each_other(home: Home, words: list[str]) -> None:
    """One thing at a time."""
    assert home.run("prices", *words).code == 2


def test_nothing_slow_is_loaded(home: Home) -> None:
    """The table does without what reading logs and the screen need, and so does the report that asks for the prices in use."""
    home.log(line("m1"))
    code = "import sys; from tokentail.cli import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    slow = {"textual", "msgspec", "stringzilla", "rich", "asyncio", "dataclasses"}
    rows = {"tokentail.prices.rows", "tokentail.prices.importing", "tokentail.prices.own", "tempfile", "textwrap"}
    for words, without in ((["prices"], slow), (["daily"], slow | rows)):
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        ran = subprocess.run([sys.executable, "-c", code, *words], env=environment, capture_output=True, text=True, check=True)
        assert set(ran.stderr.split()) & without == set(), words
