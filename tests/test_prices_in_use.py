"""Which prices are in use: the list that ships, an imported one, a person's own; and what another list changes."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentail.errors import TokentailError, UsageError
from tokentail.model import Tokens
from tokentail.prices import PICO_PER_USD, SHIPPED, PriceList, Rate, imported_path, in_use, load
from tokentail.prices.changes import changes_between
from tokentail.prices.importing import MAX_BYTES, import_list, reset
from tokentail.prices.own import SOURCE, OwnRates

ROOT = Path(__file__).resolve().parents[1]
AT_MS = round(datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp() * 1000)
SHIPPED_DAY = date.fromisoformat(json.loads(SHIPPED.read_bytes())["as_of"])
TODAY = SHIPPED_DAY + timedelta(days=31)
MINE: OwnRates = ("claude-opus-5", "4.5", "20", "0.45", "5.625", "9")


def document(change: Callable[[dict[str, Any]], object] = lambda _: None, *, days_later: int = 8) -> bytes:
    """The shipped list as it might be some days later, with a change."""
    raw = json.loads(SHIPPED.read_bytes())
    raw["as_of"] = (SHIPPED_DAY + timedelta(days=days_later)).isoformat()
    change(raw)
    return json.dumps(raw).encode()


def cheaper(raw: dict[str, Any]) -> None:
    raw["models"]["claude-sonnet-5-5"]["prices"][0]["rates"]["input"] = 1.75


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def rate_of(prices: PriceList, model: str, **said: Any) -> Rate:
    found = prices.rate(model, AT_MS, **said)
    assert found is not None
    return found


def input_usd(prices: PriceList, model: str = "claude-sonnet-5-5") -> Fraction:
    return Fraction(rate_of(prices, model).input * 10**6, PICO_PER_USD)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


# Which list is in use


def test_the_shipped_list_without_an_import(tmp_path: Path) -> None:
    """Where nothing was imported everybody shares the list that ships, whether the folder exists or not."""
    assert in_use(tmp_path) is in_use(tmp_path / "none") is load()
    assert (load().is_imported, load().problems, load().own_models) == (False, (), ())
    assert load().as_of == SHIPPED_DAY


def test_a_newer_list_is_in_use_once_it_is_imported(tmp_path: Path) -> None:
    """An import gives the list that every later look finds: the file as it is, for its owner alone."""
    home = tmp_path / "new" / "home"
    file = write(tmp_path / "list.json", document(cheaper))
    imported = import_list(file, home, today=TODAY)
    found = in_use(home)
    assert input_usd(imported) == input_usd(found) == Fraction("1.75")
    assert (found.is_imported, found.as_of, found.problems) == (True, SHIPPED_DAY + timedelta(days=8), ())
    assert imported_path(home).read_bytes() == file.read_bytes()
    assert files(home) == ["prices.json"]
    assert stat.S_IMODE(imported_path(home).stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_a_list_of_the_same_day_is_in_use(tmp_path: Path) -> None:
    """Who imports a list of the day of the shipped one means it."""
    import_list(write(tmp_path / "list.json", document(cheaper, days_later=0)), tmp_path, today=TODAY)
    assert input_usd(in_use(tmp_path)) == Fraction("1.75")


def test_the_shipped_list_takes_over_when_it_is_newer(tmp_path: Path) -> None:
    """After an update of tokentail a list that was imported long ago is in nobody's way, and no error."""
    write(imported_path(tmp_path), document(cheaper, days_later=-1))
    assert in_use(tmp_path) is load()


def test_an_import_takes_the_place_of_another(tmp_path: Path) -> None:
    """The last import holds, whichever of the two is newer."""
    import_list(write(tmp_path / "new.json", document(days_later=20)), tmp_path, today=TODAY)
    import_list(write(tmp_path / "old.json", document(cheaper, days_later=9)), tmp_path, today=TODAY)
    assert (in_use(tmp_path).as_of, input_usd(in_use(tmp_path))) == (SHIPPED_DAY + timedelta(days=9), Fraction("1.75"))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "Expecting value: line 1 column 1"),
        (document()[:5000], "line 1 column"),
        (b"\0" * 5000, "cannot use the imported price list"),
        (document(lambda raw: raw.pop("as_of")), "as_of is missing"),
        (document(lambda raw: raw["us"].update(factor="much")), "us.factor: 'much' is not a number"),
    ],
)
def test_a_damaged_import_is_said_and_left_out(tmp_path: Path, data: bytes, says: str) -> None:
    """Reports go on with the list that ships, and one sentence says which file is wrong, where, and what to do."""
    path = write(imported_path(tmp_path), data)
    found = in_use(tmp_path)
    (problem,) = found.problems
    assert str(path) in problem
    assert says in problem
    assert "`tokentail prices --reset`" in problem
    assert list(found.models()) == list(load().models())
    assert not found.is_imported
    assert load().problems == ()


def test_an_import_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    """A folder in the place of the list is no reason to stop."""
    imported_path(tmp_path).mkdir()
    assert "Is a directory" in in_use(tmp_path).problems[0]


def test_an_import_that_was_killed_leaves_the_one_before(tmp_path: Path) -> None:
    """What was written and not renamed yet is nobody's list; the next import and a reset are not in its way, and a reset clears it."""
    import_list(write(tmp_path / "list.json", document(cheaper)), tmp_path / "home", today=TODAY)
    write(tmp_path / "home" / "prices.json.x1y2.new", document()[:3000])
    assert input_usd(in_use(tmp_path / "home")) == Fraction("1.75")
    import_list(write(tmp_path / "list.json", document()), tmp_path / "home", today=TODAY)
    assert input_usd(in_use(tmp_path / "home")) == 2
    assert reset(tmp_path / "home")
    assert files(tmp_path / "home") == []


KILLED = """
import os, signal, sys
from datetime import date, timedelta
from pathlib import Path
from tokentail.prices.importing import import_list
os.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
import_list(Path(sys.argv[1]), Path(sys.argv[2]), today=date.max - timedelta(days=1))
"""


def test_a_kill_before_the_rename(tmp_path: Path) -> None:
    """Whoever imports and is killed at the last moment has changed nothing."""
    home = tmp_path / "home"
    import_list(write(tmp_path / "list.json", document(cheaper)), home, today=TODAY)
    file = write(tmp_path / "next.json", document())
    ran = subprocess.run([sys.executable, "-c", KILLED, file, home], env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, check=False)
    assert ran.returncode == -9
    assert len(files(home)) == 2
    assert input_usd(in_use(home)) == Fraction("1.75")


# What is refused


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "Expecting value: line 1 column 1"),
        (document()[:5000], "line 1 column"),
        (b"[]", "the file: not a JSON object"),
        (b'{"claude-opus-5": {"input_cost_per_token": 5e-06, "litellm_provider": "anthropic"}}', "it names no schema"),
        (b'[{"id": "anthropic", "models": []}]', "the file: not a JSON object"),
        (document(lambda raw: raw.update(schema="tokentail/prices/2")), "this tokentail reads 'tokentail/prices/1'"),
        (document(lambda raw: raw["models"]["claude-opus-5"].update(prices=[])), "models.claude-opus-5.prices: the last price"),
        (document(lambda raw: raw.pop("as_of")), "as_of is missing"),
        (
            document(days_later=-1),
            f"as_of: it is of {SHIPPED_DAY - timedelta(days=1)}, and the list that ships with tokentail is newer, of {SHIPPED_DAY}",
        ),
        (document(days_later=33), f"as_of: {TODAY + timedelta(days=2)} has not come yet"),
        (b" " * (MAX_BYTES + 1), "it is larger than 10 MB"),
    ],
)
def test_a_file_that_is_no_newer_list_is_refused(tmp_path: Path, data: bytes, says: str) -> None:
    """The message names the file, the place in it and what can be imported; the list in use is the one before."""
    home = tmp_path / "home"
    import_list(write(tmp_path / "list.json", document(cheaper)), home, today=TODAY)
    file = write(tmp_path / "bad.json", data)
    with pytest.raises(TokentailError) as caught:
        import_list(file, home, today=TODAY)
    assert caught.value.exit_code == 1
    assert str(file) in str(caught.value)
    assert says in str(caught.value)
    assert input_usd(in_use(home)) == Fraction("1.75")
    assert files(home) == ["prices.json"]


def test_tomorrow_has_come_somewhere(tmp_path: Path) -> None:
    """A list of the next day is one from the other side of the date line."""
    file = write(tmp_path / "list.json", document(days_later=32))
    assert import_list(file, tmp_path, today=TODAY).as_of == TODAY + timedelta(days=1)


@pytest.mark.parametrize("name", ["none.json", ""])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    """No such file, or a folder: said with its name."""
    with pytest.raises(TokentailError, match="cannot read the price list") as caught:
        import_list(tmp_path / name, tmp_path / "home", today=TODAY)
    assert str(tmp_path / name) in str(caught.value)
    assert files(tmp_path / "home") == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A file where the folder should be: nothing is kept, and the message says what to do."""
    file = write(tmp_path / "list.json", document())
    with pytest.raises(TokentailError, match=r"cannot keep the price list as .*prices\.json.*TOKENTAIL_HOME"):
        import_list(file, write(tmp_path / "home", b""), today=TODAY)


def test_a_list_that_cannot_be_put_in_its_place_leaves_nothing(tmp_path: Path) -> None:
    """Where the rename fails, what was written beside is gone again."""
    (imported_path(tmp_path / "home") / "in the way").mkdir(parents=True)
    with pytest.raises(TokentailError, match="cannot keep the price list"):
        import_list(write(tmp_path / "list.json", document()), tmp_path / "home", today=TODAY)
    assert files(tmp_path / "home") == ["prices.json"]


def test_a_reset_without_an_import(tmp_path: Path) -> None:
    """There is nothing to take away, and that is no error."""
    assert not reset(tmp_path)
    assert not reset(tmp_path / "none")


def test_a_reset_that_fails_is_said(tmp_path: Path) -> None:
    """A folder in the place of the list is not deleted."""
    imported_path(tmp_path).mkdir()
    with pytest.raises(TokentailError, match=r"cannot delete .*prices\.json"):
        reset(tmp_path)


# A person's own prices


def test_own_prices_win(tmp_path: Path) -> None:
    """They replace all prices of the model: at any date, for long prompts and in every region, over an imported list, too."""
    import_list(write(tmp_path / "list.json", document(cheaper)), tmp_path, today=TODAY)
    found = in_use(tmp_path, [MINE, ("claude-sonnet-4-5", "1", "2", "3", "4", "5")])
    assert found.own_models == ("claude-opus-5", "claude-sonnet-4-5")
    assert (found.is_imported, found.as_of, found.problems) == (True, SHIPPED_DAY + timedelta(days=8), ())
    plain = rate_of(found, "claude-opus-5")
    assert [Fraction(pico, 10**6) for pico in plain[:5]] == [Fraction(text) for text in MINE[1:]]
    for said in ({"geo": "us"}, {"service_tier": "batch"}, {"prompt_class": 2}):
        assert rate_of(found, "claude-opus-5", **said) == plain
    assert {found.rate("claude-sonnet-4-5", at_ms, prompt_class=2) for at_ms in (-(10**14), 0, AT_MS, 10**14)} == {
        rate_of(found, "claude-sonnet-4-5")
    }
    assert input_usd(found) == Fraction("1.75")


def test_own_prices_know_no_fast_mode() -> None:
    """What fast mode costs is not said in the config: the price is taken, and called a lower bound."""
    found = load().with_own([MINE])
    assert rate_of(found, "claude-opus-5", speed="fast") == rate_of(found, "claude-opus-5")._replace(assumed=True)


@pytest.mark.parametrize("written", ["claude-zeta-9", "Claude-Zeta-9", "us.anthropic.claude-zeta-9-v1:0", "gateway/claude-zeta-9@20260101"])
def test_own_prices_of_a_model_that_is_not_listed(written: str) -> None:
    """A config may name a model in any way that logs name it, and give a price to one that has none."""
    found = load().with_own([(written, *MINE[1:])])
    assert found.own_models == ("claude-zeta-9",)
    assert rate_of(found, "claude-zeta-9-20260505").output == 20 * 10**6
    assert load().rate("claude-zeta-9", AT_MS) is None


def test_own_prices_say_where_they_are_from() -> None:
    """A row of the list that is not from the list says so."""
    rows = [row for row in load().with_own([MINE]).models() if row.model == "claude-opus-5"]
    assert [(row.from_day, row.until_day, row.above_tokens, row.speed, row.us_costs_more) for row in rows] == [(None, None, 0, "", False)]
    assert [source.title for source in rows[0].sources] == [SOURCE] == ["your config"]


@pytest.mark.parametrize("models", [["claude-haiku-5-5"], ["claude-opus-4-6", "claude-sonnet-4-5", "claude-sonnet-4-6"], ["claude-zeta-9"]])
def test_own_prices_leave_the_thresholds(models: list[str]) -> None:
    """Reports with and without a config share one store, even where no model with a threshold keeps its price."""
    found = load().with_own([(model, *MINE[1:]) for model in models])
    assert found.thresholds == load().thresholds == (100_000, 200_000)
    assert rate_of(found, models[0], prompt_class=1) == rate_of(found, models[0])


@pytest.mark.parametrize(
    ("own", "says"),
    [
        ([("m", "1", "2", "x", "4", "5")], "cache_read: 'x' is not a number"),
        ([("m", "-1", "2", "3", "4", "5")], "input: '-1' is not a number"),
        ([("m", "1", "0.0000001", "3", "4", "5")], "output: the price is not a whole number of 1e-12 USD"),
        ([MINE, ("claude-opus-5[1m]", *MINE[1:])], "there are two prices for claude-opus-5"),
    ],
)
def test_own_prices_that_cannot_be_used_are_refused(own: list[OwnRates], says: str) -> None:
    """Nothing is rounded or guessed: the message names the table of the config and what is wrong there."""
    with pytest.raises(UsageError) as caught:
        in_use(ROOT / "none", own)
    assert f'prices.models."{own[-1][0]}" of your config' in str(caught.value)
    assert says in str(caught.value)


DECIMALS = st.from_regex(r"[0-9]{1,6}(\.[0-9]{1,6})?", fullmatch=True)


@given(st.lists(DECIMALS, min_size=5, max_size=5), st.lists(st.integers(0, 2**53), min_size=5, max_size=5))
def test_own_prices_are_exact(texts: list[str], counts: list[int]) -> None:
    """Whatever a person writes with up to six decimals is what the tokens cost, to the last pico-dollar."""
    first, second, third, fourth, fifth = texts
    found = rate_of(load().with_own([("claude-zeta-9", first, second, third, fourth, fifth)]), "claude-zeta-9")
    exact = sum(Fraction(text) / 10**6 * count for text, count in zip(texts, counts, strict=True))
    assert Fraction(found.cost(Tokens(*counts)), PICO_PER_USD) == exact


# What another list changes


def test_no_changes() -> None:
    """A list changes nothing about itself, and neither do other sources, another day and another order."""
    same = document(lambda raw: raw.update(models=dict(reversed(raw["models"].items())), made_from="hearsay"))
    assert changes_between(load(), listed(same)) == changes_between(load(), load()) == ((), (), (), (), False)


def test_changes() -> None:
    """New models, models without a price, other rates and dates, other factors, other thresholds: all of it is found."""

    def change(raw: dict[str, Any]) -> None:
        cheaper(raw)
        raw["models"]["claude-opus-6"] = raw["models"].pop("claude-haiku-5-5")
        del raw["models"]["claude-opus-6"]["prices"][0]["long_context"]
        raw["models"]["claude-opus-4-7"]["fast"][0]["until"] = "2026-07-25"
        raw["models"]["claude-3-opus"]["us_factor"] = True
        raw["us"]["factor"] = 1.2
        raw["web_search"]["usd_per_1000"] = 11

    found = changes_between(load(), listed(document(change)))
    assert (found.new, found.gone, found.thresholds) == (("claude-opus-6",), ("claude-haiku-5-5",), True)
    assert [each.model for each in found.changed] == ["claude-3-opus", "claude-opus-4-7", "claude-sonnet-5-5"]
    assert [(len(each.gone), len(each.new)) for each in found.changed] == [(1, 1)] * 3
    assert [(before.name, before.number, after.number) for before, after in found.terms] == [
        ("web_search", "10", "11"),
        ("us", "1.1", "1.2"),
    ]


def listed(data: bytes) -> PriceList:
    from tokentail.prices import reading

    return PriceList(reading.read(data))


def test_asking_for_the_prices_in_use_is_cheap(tmp_path: Path) -> None:
    """Every report asks; nobody pays for imports that only an import needs."""
    write(imported_path(tmp_path), document(cheaper))
    code = f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r}); from pathlib import Path; import tokentail.prices as p"
    code += f"\nassert p.in_use(Path({str(tmp_path)!r}), [{MINE!r}]).is_imported"
    heavy = "tempfile zoneinfo decimal fractions dataclasses msgspec sqlite3 textwrap tokentail.prices.rows tokentail.prices.importing"
    code += f"\nprint(sorted(set({heavy.split()!r}) & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"
