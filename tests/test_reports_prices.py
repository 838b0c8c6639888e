"""Tests of `tokentail.reports.price_table`, `price_json` and `unpriced`: whole outputs against those in `tests/data/prices`."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import AT_MS, OWNERS, chunk, memory_store, record, replies_of, usage
from tokentail.model import Record
from tokentail.prices import PriceList, load, reading
from tokentail.prices.changes import changes_between
from tokentail.reports import text
from tokentail.reports.price_json import price_json
from tokentail.reports.price_list import shown
from tokentail.reports.price_table import changes_text, price_table
from tokentail.reports.unpriced import Assumed, Open, Unpriced, Used, left_open, used_by_model
from tokentail.totals import cells_of

DATA = Path(__file__).with_name("data") / "prices"
LIST = load(DATA / "list.json")
PLAIN = text.Style(False)
HOSTILE = "\x1b]0;x\x07\x9b31m\r\n\t\u202e\u2028\ud800" + "日" * 300
MINE = ("mill-own-1", "4.5", "22.5", "0.45", "5.625", "9")
LEFT = Open(
    (Unpriced("claude-zeta-10", Used(1_234, 56_789_012)), Unpriced(HOSTILE, Used(1, 7))),
    (
        Assumed("claude-opus-5", (("speed", "warp"), ("geo", "mars\x1b[0m")), Used(0, 41)),
        Assumed("claude-opus-5", (("speed", "fast"),), Used(2, 40)),
    ),
)
OURS = shown(LIST.with_own([MINE]).with_problem("cannot use the imported price list \x1b[31m/home/dev"), LEFT)


def stored(name: str) -> str:
    return (DATA / name).read_text(encoding="utf-8")


def widest(table: str) -> int:
    return max(map(text.text_width, table.splitlines()))


# Whole outputs


@pytest.mark.parametrize("width", [60, 80, 160])
def test_table(width: int) -> None:
    """The table and all that stands below it fit the terminal; the least important columns go first."""
    table = price_table(OURS, width=width, style=PLAIN)
    assert table == stored(f"list-{width}.txt")
    assert widest(table) <= width


def test_table_in_colour() -> None:
    """Styles change no column's place: without them it is the very same table."""
    table = price_table(OURS, width=160, style=text.Style(True))
    assert "\x1b[" in table
    assert re.sub(r"\x1b\[[0-9;]*m", "", table) == stored("list-160.txt")


def test_json() -> None:
    """Names, order and types of the document are a contract; what a model is called comes back as it is."""
    assert price_json(OURS) + "\n" == stored("in-use.json")
    assert json.loads(price_json(OURS))["store"]["unpriced"][1]["model"] == HOSTILE


@pytest.mark.parametrize(("width", "style"), [(80, PLAIN), (80, text.Style(True))])
def test_changes(width: int, style: text.Style) -> None:
    """An import says line by line what it changes, and how much was used of what has no price any more."""
    raw = json.loads((DATA / "list.json").read_bytes())
    raw["models"]["mill-new-1"] = raw["models"].pop("claude-zeta-9")
    raw["models"]["claude-opus-5"]["prices"][0]["long_context"].pop()
    raw["models"]["claude-opus-5"]["us_factor"] = False
    raw["batch"]["factor"] = 1
    changes = changes_between(LIST, PriceList(reading.read(json.dumps(raw).encode())))
    said = changes_text(changes, {"claude-zeta-9": Used(1, 1_234)}, width=width, style=style)
    assert re.sub(r"\x1b\[[0-9;]*m", "", said) == stored("changes-80.txt")
    assert widest(re.sub(r"\x1b\[[0-9;]*m", "", said)) <= width


def test_no_changes() -> None:
    """An import that changes nothing says so."""
    assert changes_text(changes_between(LIST, LIST), {}, width=80, style=PLAIN) == "No price changes.\n"


# Parts of it


@pytest.mark.parametrize(
    ("left", "says"),
    [
        (Open(), "All that you have used has a price."),
        (Open(unpriced=(Unpriced("m", Used(1, 2)),)), "  m  1 reply, 2 tokens"),
        (Open(assumed=(Assumed("m", (("service_tier", "x"),), Used(2, 3)),)), "  m  service tier x  2 replies, 3 tokens"),
        (None, "letter."),
    ],
)
def test_what_is_left_open(left: Open | None, says: str) -> None:
    """The last line says what has no price; where nothing is counted there is nothing to say."""
    assert price_table(shown(LIST, left), width=80, style=PLAIN).splitlines()[-1].endswith(says)


def test_a_filter() -> None:
    """Only what was asked for, with the sources of that; nothing is claimed about the rest."""
    only = shown(LIST, Open(), lambda model: model == "claude-zeta-9")
    table = price_table(only, width=80, style=PLAIN)
    assert [line.split()[0] for line in table.split("\n\n")[0].splitlines()] == ["Model", "claude-zeta-9"]
    assert "mill-prices" not in table
    assert "All that you have used" not in table
    assert price_table(shown(LIST, None, lambda _: False), width=80, style=PLAIN).startswith("The list has no model of that name.\n")


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=400), st.sampled_from([40, 80, 160]))
def test_hostile_names_in_a_table(name: str, width: int) -> None:
    """Whatever a list or a log calls a model, the table has its lines, fits, and holds nothing that a terminal acts on."""
    raw = json.loads((DATA / "list.json").read_bytes())
    raw["models"] = {HOSTILE: raw["models"]["claude-zeta-9"]}
    raw["sources"] = {"letter": {"title": name}, "page": {"title": HOSTILE, "page": name}}
    prices = PriceList(reading.read(json.dumps(raw).encode()))
    left = Open((Unpriced(name, Used(1, 2)),), (Assumed(name, (("speed", HOSTILE),), Used(1, 2)),))
    table = price_table(shown(prices, left), width=width, style=PLAIN)
    table.encode()
    assert not set(table) & set("\x1b\x07\x9b\r\t\u202e\u2028\ud800")
    assert len(table.split("\n\n")[0].splitlines()) == 2
    assert widest(table.split("\n\n")[0]) <= max(width, 24 + 2 + 6)


@given(st.text(max_size=60), st.integers(1, 50))
def test_cut(name: str, width: int) -> None:
    """A name is safe, no wider than it may be, and whole where it fits."""
    shown = text.cut(name, width)
    assert text.text_width(shown) <= width
    assert shown == text.safe(name) or shown.endswith("…")


def test_json_numbers_are_exact() -> None:
    """Every price in the JSON has the digits of the list, as a decimal reads them."""
    document = json.loads(price_json(shown(load(), None)), parse_float=Decimal)
    for found, row in zip(document["prices"], load().models(), strict=True):
        usd = [Decimal(found[f"{name}_usd_per_million"]) for name in row.rate._fields[:5]]
        assert usd == [Decimal(pico).scaleb(-6) for pico in row.rate[:5]]


@given(st.integers(0, 10**15 - 1))
def test_json_numbers_are_exact_up_to_the_limit(pico: int) -> None:
    """The most digits that a list may have come back whole."""
    row = next(LIST.models())
    view = OURS._replace(rows=(row._replace(rate=row.rate._replace(input=pico)),))
    assert Decimal(json.loads(price_json(view), parse_float=Decimal)["prices"][0]["input_usd_per_million"]) == Decimal(pico).scaleb(-6)


# What a store leaves open


SAID = st.fixed_dictionaries(
    {},
    optional={
        "speed": st.sampled_from(["standard", "fast", "warp"]),
        "inference_geo": st.sampled_from(["us", "", "mars"]),
        "service_tier": st.sampled_from(["standard", "batch", "priority", None]),
        "iterations": st.just([{"type": "compaction", "input_tokens": 7, "model": "claude-extra-1"}]),
    },
)
RECORDS: st.SearchStrategy[list[Record]] = st.lists(
    st.builds(
        lambda number, said, model, at_ms, owner: record(f"msg_{number}", usage=usage(**said), model=model, at_ms=at_ms, owner=owner),
        st.integers(0, 30),
        SAID,
        st.sampled_from(["claude-opus-5", "claude-opus-4-7[1m]", "claude-sonnet-5", "claude-zeta-9", "claude-zeta-9[1m]"]),
        st.sampled_from([0, AT_MS, 1_784_800_000_000]),
        OWNERS,
    ),
    max_size=8,
)


@settings(deadline=None, max_examples=80)
@given(RECORDS)
def test_what_a_store_leaves_open(lines: list[Record]) -> None:
    """Every token of a reply without a price, or with an assumed one, is in the list, once, with the words that have no price."""
    prices = load()
    store = memory_store(prices.thresholds)
    store.apply([chunk(*lines)])
    found = left_open(store.connection, prices)
    unpriced: dict[str, Used] = {}
    assumed: dict[str, Used] = {}
    for reply in replies_of(lines).values():
        for cell in cells_of(reply, prices):
            said: dict[str, Any] = {"speed": cell.speed, "geo": cell.geo, "service_tier": cell.service_tier}
            rate = prices.rate(cell.model, cell.at_ms, prompt_class=cell.prompt_class, **said)
            if rate is None:
                unpriced[cell.model] = unpriced.get(cell.model, Used()).plus(cell)
            elif rate.assumed:
                assumed[cell.model] = assumed.get(cell.model, Used()).plus(cell)
    assert {each.model: each.used for each in found.unpriced} == unpriced
    by_model: dict[str, Used] = {}
    for each in found.assumed:
        known = by_model.get(each.model, Used())
        by_model[each.model] = Used(known.replies + each.used.replies, known.total_tokens + each.used.total_tokens)
        assert each.words
        assert all(word in {"fast", "warp", "mars", "priority"} for _, word in each.words)
    assert by_model == assumed
    tokens = [each.used.total_tokens for each in found.unpriced]
    assert tokens == sorted(tokens, reverse=True)


def test_the_words_without_a_price_are_named() -> None:
    """Of what a log says only what has no price is named, each word under what it is about."""
    store = memory_store(load().thresholds)
    store.apply([chunk(record(usage=usage(speed="fast", inference_geo="mars", service_tier="batch")))])
    assert left_open(store.connection, load()).assumed == (Assumed("claude-opus-5", (("geo", "mars"),), Used(1, 2314)),)


def test_only_the_models_that_are_wanted() -> None:
    """A filter holds for what is left open, too."""
    store = memory_store(load().thresholds)
    store.apply([chunk(record(model="claude-zeta-9"), record("msg_2", model="claude-zeta-10"))])
    assert [each.model for each in left_open(store.connection, load(), lambda model: model.endswith("10")).unpriced] == ["claude-zeta-10"]


def test_how_much_a_model_was_used() -> None:
    """All ways to write a model are one, where a name is made of them."""
    store = memory_store(load().thresholds)
    store.apply([chunk(record(model="claude-opus-5[1m]"), record("msg_2"), record("msg_3", model="claude-zeta-9"))])
    assert used_by_model(store.connection, lambda model: model.removesuffix("[1m]")) == {
        "claude-opus-5": Used(2, 4628),
        "claude-zeta-9": Used(1, 2314),
    }


def test_the_view_counts_its_sources_from_one() -> None:
    """Each line's numbers name sources of the view, and every source is named by a line or a term."""
    parts = [*(row.sources for row in OURS.rows), *(term.sources for term in OURS.terms)]
    assert {number for part in parts for number in OURS.numbers(part)} == set(range(1, len(OURS.sources) + 1))
    assert "Nobody asked" not in [source.title for source in OURS.sources]
