"""Rates, names and the price file; `genai-prices` is the second opinion."""

from __future__ import annotations

import importlib.util
import json
import random
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import genai_prices
import pytest
from genai_prices.data import providers
from hypothesis import given, settings
from hypothesis import strategies as st

from tokentail.errors import TokentailError
from tokentail.model import Tokens
from tokentail.prices import PICO_PER_USD, SHIPPED, PriceList, Rate, load, normalise
from tokentail.prices.rows import Source, decimal, usd_per_million

ROOT = Path(__file__).resolve().parents[1]
CLASSES = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h")
RAW: dict[str, Any] = json.loads(SHIPPED.read_text(encoding="utf-8"), parse_float=Decimal)
MODELS: list[str] = sorted(RAW["models"])
DAYS = ("2024-01-01", "2026-03-12", "2026-03-13", "2026-07-23", "2026-07-24", "2026-10-13", "2026-10-14", "2026-11-29", "2026-11-30")

# docs/counting.md, "Prices": USD per million tokens as input, output, 5 minute write, 1 hour write, cache read; fast multiplier or "".
TABLE = """
    claude-opus-5-5     4     20    5      8    0.20   2
    claude-opus-5       5     25    6.25   10   0.50   2
    claude-opus-4-8     5     25    6.25   10   0.50   2
    claude-opus-4-7     5     25    6.25   10   0.50   6
    claude-opus-4-6     5     25    6.25   10   0.50   6
    claude-opus-4-5     5     25    6.25   10   0.50   -
    claude-opus-4-1     15    75    18.75  30   1.50   -
    claude-opus-4-0     15    75    18.75  30   1.50   -
    claude-fable-5-2    8     40    10     16   0.20   2
    claude-mythos-5-2   8     40    10     16   0.20   2
    claude-fable-5-1    10    50    12.5   20   0.25   -
    claude-mythos-5-1   10    50    12.5   20   0.25   -
    claude-fable-5      10    50    12.5   20   1.00   -
    claude-mythos-5     10    50    12.5   20   1.00   -
    claude-sonnet-5-5   2     10    2.5    4    0.10   -
    claude-sonnet-5     2     10    2.5    4    0.20   -
    claude-sonnet-4-6   3     15    3.75   6    0.30   -
    claude-sonnet-4-5   3     15    3.75   6    0.30   -
    claude-sonnet-4-0   3     15    3.75   6    0.30   -
    claude-3-7-sonnet   3     15    3.75   6    0.30   -
    claude-3-5-sonnet   3     15    3.75   6    0.30   -
    claude-haiku-5-5    0.10  0.50  0.125  0.20 0.01   -
    claude-haiku-4-5    1     5     1.25   2    0.10   -
    claude-3-5-haiku    0.8   4     1      1.6  0.08   -
    claude-3-haiku      0.25  1.25  0.30   0.5  0.03   -
    claude-3-opus       15    75    18.75  30   1.5    -
"""
ROWS = [line.split() for line in TABLE.strip().splitlines()]

LONG_CONTEXT = [  # model, day, threshold, rates beyond it in the order of TABLE
    ("claude-opus-4-6", "2026-03-12", 200_000, "10 37.5 12.5 20 1"),
    ("claude-opus-4-6", "2026-03-13", 200_000, "5 25 6.25 10 0.5"),
    ("claude-sonnet-4-6", "2026-03-12", 200_000, "6 22.5 7.5 12 0.6"),
    ("claude-sonnet-4-6", "2026-03-13", 200_000, "3 15 3.75 6 0.3"),
    ("claude-sonnet-4-5", "2025-10-01", 200_000, "6 22.5 7.5 12 0.6"),
    ("claude-sonnet-4-5", "2026-11-30", 200_000, "6 22.5 7.5 12 0.6"),
    ("claude-haiku-5-5", "2026-11-01", 100_000, "0.5 2.5 0.625 1 0.05"),
]

# Models from Opus 4.6 on, where US-only inference costs 1.1 times as much.
US = {
    *("claude-opus-4-6", "claude-opus-4-7", "claude-opus-4-8", "claude-opus-5", "claude-opus-5-5", "claude-haiku-5-5"),
    *("claude-sonnet-4-6", "claude-sonnet-5", "claude-sonnet-5-5", "claude-fable-5", "claude-fable-5-1", "claude-fable-5-2"),
    *("claude-mythos-5", "claude-mythos-5-1", "claude-mythos-5-2"),
}


def ms(day: str, *, hours: float = 12) -> int:
    return round((datetime.fromisoformat(day).replace(tzinfo=UTC) + timedelta(hours=hours)).timestamp() * 1000)


def rate(model: str, day: str = "2026-06-01", *, prompt: int = 1000, speed: str = "", geo: str = "", service_tier: str = "") -> Rate:
    prices = load()
    found = prices.rate(model, ms(day), prompt_class=prices.prompt_class(prompt), speed=speed, geo=geo, service_tier=service_tier)
    assert found is not None, f"{model} has no price"
    return found


def pico(usd_per_million: str | Decimal) -> int:
    exact = Fraction(usd_per_million) * PICO_PER_USD / 10**6
    assert exact.denominator == 1
    return exact.numerator


def in_order_of_table(found: Rate) -> list[int]:
    return [found.input, found.output, found.cache_write_5m, found.cache_write_1h, found.cache_read]


def rates_by_formula(model: str, day: str, prompt: int, *, speed: str, geo: str, service_tier: str) -> dict[str, Decimal]:
    """USD per million tokens by the formula of docs/counting.md, straight from the file, without the code under test."""
    entry = RAW["models"][model]
    started = [price for price in entry["prices"] if price.get("from", "0001-01-01") <= day]
    price = started[-1] if started else entry["prices"][0]
    rates = price["rates"]
    for tier in price.get("long_context", []):
        rates = tier["rates"] if prompt > tier["above"] else rates
    times = Decimal(1)
    for fast in entry.get("fast", []):
        if speed == "fast" and fast.get("from", "0001-01-01") <= day < fast.get("until", "9999-12-31"):
            times *= fast["multiplier"]
    times *= Decimal("1.1") if geo == "us" and model in US else 1
    times *= Decimal("0.5") if service_tier == "batch" else 1
    return {name: rates[name] * times for name in CLASSES}


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_a_row_of_the_table(row: list[str]) -> None:
    """Each model costs what the table of docs/counting.md says."""
    model, *usd, _ = row
    assert in_order_of_table(rate(model)) == [pico(each) for each in usd]
    assert not rate(model).assumed


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_fast_mode_of_the_table(row: list[str]) -> None:
    """Fast mode multiplies every class of tokens; a model without a fast price costs the standard one, flagged as a lower bound."""
    model, *usd, fast = row
    times = 1 if fast == "-" else int(fast)
    assert in_order_of_table(rate(model, speed="fast")) == [pico(each) * times for each in usd]
    assert rate(model, speed="fast").assumed == (fast == "-")


@pytest.mark.parametrize(("model", "day", "threshold", "usd"), LONG_CONTEXT)
def test_long_context_is_a_cliff(model: str, day: str, threshold: int, usd: str) -> None:
    """A prompt of exactly the threshold costs the base price; one token more, and all tokens cost the other price."""
    base = next(row for row in ROWS if row[0] == model)[1:6]
    assert in_order_of_table(rate(model, day, prompt=threshold)) == [pico(each) for each in base]
    assert in_order_of_table(rate(model, day, prompt=threshold + 1)) == [pico(each) for each in usd.split()]


def test_every_long_context_price_is_in_the_tests() -> None:
    """No model has a long-context price that the cases above leave out."""
    listed = {(row.model, row.above_tokens) for row in load().models() if row.above_tokens}
    assert listed == {(model, threshold) for model, _, threshold, _ in LONG_CONTEXT}


def test_prompt_classes() -> None:
    """The class counts the thresholds that a prompt exceeds."""
    prices = load()
    assert prices.thresholds == (100_000, 200_000)
    assert [prices.prompt_class(n) for n in (0, 100_000, 100_001, 200_000, 200_001, 10**9)] == [0, 0, 1, 1, 2, 2]


def test_a_threshold_of_another_model_changes_nothing() -> None:
    """A prompt of 150 000 tokens is long for Haiku 5.5 and not for Sonnet 4.5; one of 250 000 is long for both."""
    assert rate("claude-sonnet-4-5", prompt=150_000) == rate("claude-sonnet-4-5", prompt=1)
    assert rate("claude-haiku-5-5", prompt=150_000) == rate("claude-haiku-5-5", prompt=250_000) != rate("claude-haiku-5-5", prompt=1)


def test_writes_without_a_split_cost_the_5_minute_price() -> None:
    """Edge cases 19 and 20: 300 tokens taken as written for 5 minutes cost 1.25 times the input price."""
    assert rate("claude-opus-4-8").cost(Tokens(cache_write_5m=300)) == 300 * pico("6.25")


def test_writes_for_an_hour_cost_twice_the_input() -> None:
    """Edge case 21."""
    assert rate("claude-opus-4-8").cost(Tokens(cache_write_1h=300)) == 300 * 2 * pico("5")


@pytest.mark.parametrize(
    ("model", "day", "times", "assumed"),
    [
        ("claude-opus-4-7", "2026-07-23", 6, False),
        ("claude-opus-4-7", "2026-07-24", 1, True),
        ("claude-opus-4-8", "2026-11-29", 2, False),
        ("claude-opus-4-8", "2026-11-30", 1, True),
        ("claude-opus-4-6", "2026-02-10", 6, False),
        ("claude-opus-5", "2026-12-24", 2, False),
    ],
)
def test_fast_mode_ends(model: str, day: str, times: int, assumed: bool) -> None:
    """From the day on which fast mode was removed, a line that says fast has no known fast price."""
    assert in_order_of_table(rate(model, day, speed="fast")) == [times * each for each in in_order_of_table(rate(model, day))]
    assert rate(model, day, speed="fast").assumed == assumed


def test_fast_mode_multiplies_the_long_context_price() -> None:
    """Multiplier and tier stack: Opus 4.6, fast, beyond 200 000 tokens: 6 x 10 USD."""
    assert rate("claude-opus-4-6", "2026-03-01", prompt=250_000, speed="fast").input == pico("60")


def test_a_day_begins_at_midnight_utc() -> None:
    """The price is that of the UTC date of the request, to the millisecond."""
    prices, midnight = load(), ms("2026-03-13", hours=0)
    before = prices.rate("claude-opus-4-6", midnight - 1, prompt_class=2)
    after = prices.rate("claude-opus-4-6", midnight, prompt_class=2)
    assert before is not None
    assert after is not None
    assert (before.input, after.input) == (pico("10"), pico("5"))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("at_ms", [-(10**14), 0, ms("2026-06-01"), 10**14])
def test_no_hole_in_time(model: str, at_ms: int) -> None:
    """A model has a price at every moment: before its first day the earliest one."""
    assert load().rate(model, at_ms) is not None


@pytest.mark.parametrize("model", MODELS)
def test_us_only_inference(model: str) -> None:
    """US-only inference costs 1.1 times as much from Opus 4.6 on; older models do not know it."""
    plain, us = rate(model), rate(model, geo="us")
    assert [each * 10 for each in us[:5]] == [each * (11 if model in US else 10) for each in plain[:5]]
    assert not us.assumed


def test_batches_cost_half() -> None:
    """Batch halves every class of tokens, at any date and on top of the other factors."""
    assert [2 * each for each in rate("claude-opus-4-8", "2026-06-01", service_tier="batch")[:5]] == list(rate("claude-opus-4-8")[:5])
    assert rate("claude-opus-4-8", speed="fast", geo="us", service_tier="batch").input == pico("5.5")


def test_web_searches_are_not_multiplied() -> None:
    """10 USD per 1 000 searches, whatever else is special about the request."""
    assert {row.rate.web_search for row in load().models()} == {PICO_PER_USD // 100}
    special = rate("claude-opus-4-8", speed="fast", geo="us", service_tier="batch")
    assert special.cost(Tokens(), web_searches=3) == 3 * PICO_PER_USD // 100


@pytest.mark.parametrize("geo", ["", "global", "not_available"])
@pytest.mark.parametrize("speed", ["", "standard"])
@pytest.mark.parametrize("service_tier", ["", "standard"])
def test_plain_words_are_the_plain_price(geo: str, speed: str, service_tier: str) -> None:
    """What a log says of an ordinary request leaves nothing to assume."""
    assert rate("claude-opus-5", geo=geo, speed=speed, service_tier=service_tier) == rate("claude-opus-5")


@pytest.mark.parametrize(
    ("geo", "speed", "service_tier"),
    [("mars", "", ""), ("", "warp", ""), ("", "", "priority"), ("mars", "fast", ""), ("", "fast", "priority")],
)
def test_a_word_without_a_known_price_is_flagged(geo: str, speed: str, service_tier: str) -> None:
    """Unknown is not free: the standard price is taken and called a lower bound, also beside a fast price that is known."""
    found = rate("claude-opus-5", geo=geo, speed=speed, service_tier=service_tier)
    known = rate("claude-opus-5", speed="fast" if speed == "fast" else "")
    assert found == known._replace(assumed=True)


UNKNOWN = [
    *("claude-zeta-9", "claude-opus-5-7", "claude-opus-6", "claude-opus-50", "claude-opus-5-5-1", "claude-opus-4-8-fast", "claude-opus"),
    *("opus", "claude-2", "claude-instant-1.2", "gpt-5", "", "<synthetic>", "claude-opus-5[2m]", "xclaude-opus-5"),
    "claude-opus-5" + "-20250101" * 10_000,
]


@pytest.mark.parametrize("model", UNKNOWN, ids=lambda model: model[:30])
def test_an_unknown_model_has_no_price(model: str) -> None:
    """A price is never guessed from a name that merely begins like a known one."""
    assert load().rate(model, ms("2026-06-01")) is None


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("claude-opus-5[1m]", "claude-opus-5"),
        ("us.anthropic.claude-opus-4-6-v1:0", "claude-opus-4-6"),
        ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5-20250929[1m]", "claude-sonnet-4-5"),
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("anthropic.claude-opus-4-6-v1", "claude-opus-4-6"),
        ("apac.anthropic.claude-sonnet-4-20250514-v1:0", "claude-sonnet-4-0"),
        ("us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/global.anthropic.claude-opus-4-8", "claude-opus-4-8"),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0:200k", "claude-3-5-sonnet"),
        ("anthropic/claude-opus-4.6", "claude-opus-4-6"),
        ("openrouter/anthropic/claude-3.7-sonnet", "claude-3-7-sonnet"),
        ("publishers/anthropic/models/claude-opus-5@default", "claude-opus-5"),
        ("claude-opus-4", "claude-opus-4-0"),
        ("claude-opus-4-20250514", "claude-opus-4-0"),
        ("claude-opus-4-0", "claude-opus-4-0"),
        ("claude-4-opus-20250514", "claude-opus-4-0"),
        ("claude-sonnet-4@20250514", "claude-sonnet-4-0"),
        ("claude-opus-4-1-20250805", "claude-opus-4-1"),
        ("claude-4.5-haiku", "claude-haiku-4-5"),
        ("claude-sonnet-3.7", "claude-3-7-sonnet"),
        ("claude-3-7-sonnet-latest", "claude-3-7-sonnet"),
        ("claude-3-opus-20240229", "claude-3-opus"),
        ("claude-3-haiku", "claude-3-haiku"),
        ("claude-opus-5", "claude-opus-5"),
        ("claude-opus-5.0", "claude-opus-5"),
        ("claude-opus-5-2026-07-24", "claude-opus-5"),
        ("claude-opus-5-5-20260922", "claude-opus-5-5"),
        ("claude-5.5-opus", "claude-opus-5-5"),
        ("Claude-Fable-5-2", "claude-fable-5-2"),
    ],
)
def test_names(written: str, name: str) -> None:
    """Region, vendor, snapshot, revision and context window do not change the price; each way to write a model finds it."""
    assert normalise(written) == name
    assert load().rate(written, ms("2026-06-01")) == rate(name)


def test_five_is_not_five_point_five() -> None:
    """The whole name decides: Opus 5 and Opus 5.5 have their own prices."""
    assert rate("claude-opus-5").input != rate("claude-opus-5-5").input


@pytest.mark.parametrize("name", ["claude-zeta-9", "claude-opus-5-7", "gpt-5", "", "a/b", "<synthetic>"])
def test_a_strange_name_stays_recognisable(name: str) -> None:
    """A name outside the list keeps all but its path."""
    assert normalise(name) == name.rpartition("/")[2]


PARTS = [
    "claude",
    "-opus",
    "-5",
    "-4",
    ".",
    "5",
    "[1m]",
    "@20250101",
    "-20250101",
    "-v1",
    ":0",
    "us.",
    "anthropic.",
    "anthropic/",
    "-latest",
]


@given(st.lists(st.sampled_from(PARTS), max_size=9).map("".join) | st.text(max_size=30))
def test_a_normal_name_is_normal(written: str) -> None:
    """Normalising twice is normalising once."""
    assert normalise(normalise(written)) == normalise(written)


COUNTS = st.integers(0, 300_000) | st.integers(0, 2**53)


@settings(deadline=None)
@given(
    model=st.sampled_from(MODELS),
    day=st.sampled_from(DAYS) | st.dates(date(2024, 1, 1), date(2027, 12, 31)).map(date.isoformat),
    tokens=st.builds(Tokens, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
    | st.builds(Tokens, st.sampled_from([100_000, 100_001, 200_000, 200_001])),
    searches=st.integers(0, 1000),
    speed=st.sampled_from(["", "standard", "fast"]),
    geo=st.sampled_from(["", "us", "global", "not_available"]),
    service_tier=st.sampled_from(["", "standard", "batch"]),
)
def test_cost_is_the_formula(model: str, day: str, tokens: Tokens, searches: int, speed: str, geo: str, service_tier: str) -> None:
    """The integer cost is the formula of docs/counting.md to the last pico-dollar, whatever is counted."""
    prompt = tokens.input + tokens.cache_read + tokens.cache_write_5m + tokens.cache_write_1h
    usd_per_million = rates_by_formula(model, day, prompt, speed=speed, geo=geo, service_tier=service_tier)
    found = rate(model, day, prompt=tokens.prompt, speed=speed, geo=geo, service_tier=service_tier)
    with localcontext(prec=80):
        usd = sum(getattr(tokens, name) * usd_per_million[name] for name in CLASSES) / 10**6 + searches * Decimal("0.01")
        assert found.cost(tokens, searches) == usd * PICO_PER_USD


@pytest.mark.parametrize("model", MODELS)
def test_every_rate_is_a_whole_number(model: str) -> None:
    """No combination of dates, tiers and factors gives a fraction of a pico-dollar, so nothing is ever rounded."""
    for day, prompt, speed, geo, service_tier in product(DAYS, (1, 100_001, 200_001), ("", "fast"), ("", "us"), ("", "batch")):
        found = rate(model, day, prompt=prompt, speed=speed, geo=geo, service_tier=service_tier)
        exact = rates_by_formula(model, day, prompt, speed=speed, geo=geo, service_tier=service_tier)
        assert list(found[:5]) == [pico(exact[name]) for name in CLASSES]
        assert {type(each) for each in found[:6]} == {int}


def test_sums_do_not_depend_on_their_order() -> None:
    """Costs added one by one, in any order, are the cost of the added tokens."""
    found, chance = rate("claude-3-haiku", service_tier="batch"), random.Random(1)
    many = [Tokens(*(chance.randrange(10**6) for _ in CLASSES)) for _ in range(200)]
    costs = [found.cost(tokens) for tokens in many]
    added = Tokens(*(sum(each) for each in zip(*many, strict=True)))
    assert sum(costs) == sum(sorted(costs)) == found.cost(added)


# What genai-prices 0.2.3 and the list say differently, on purpose. Each is proven to be a difference still: one that is none any
# more fails the test.
FAST_ONLY_HERE = {"claude-opus-4-6": "9999-12-31", "claude-opus-4-7": "2026-07-24"}  # until
FAST_ENDS_HERE = {"claude-opus-4-8": "2026-11-30"}  # it still has the fast price after the day of its removal
BATCH_FROM = "2026-10-14"  # its batch prices start when they were written down; the discount is older
BATCH_WITHOUT_START = {"claude-fable-5-2", "claude-mythos-5-2"}
BATCH_ONLY_HERE = {"claude-3-haiku", "claude-3-sonnet", "claude-3-opus", "claude-3-5-haiku", "claude-3-5-sonnet", "claude-3-7-sonnet"} | {
    *("claude-opus-4-0", "claude-opus-4-1", "claude-sonnet-4-0"),  # retired, or nearly so
}
SEARCH_ONLY_HERE = {"claude-3-haiku", "claude-3-sonnet", "claude-3-opus"}
ONLY_HERE = {"claude-mythos-5", "claude-mythos-5-1"}
ONLY_THERE = {"claude-2", "claude-v1"}  # no cache prices; older than Claude Code


def differs(model: str, day: str, speed: str, service_tier: str) -> bool:
    if speed == "fast":
        return day < FAST_ONLY_HERE.get(model, "") or day >= FAST_ENDS_HERE.get(model, "9999-12-31")
    if service_tier == "batch":
        return model in BATCH_ONLY_HERE or (model not in BATCH_WITHOUT_START and day < BATCH_FROM)
    return False


def second_opinion(model: str, day: str, tokens: Tokens, searches: int, context: dict[str, str]) -> Decimal:
    usage = genai_prices.Usage(
        input_tokens=tokens.prompt,
        output_tokens=tokens.output,
        cache_read_tokens=tokens.cache_read,
        cache_write_tokens=tokens.cache_write_5m + tokens.cache_write_1h,
        cache_write_1h_tokens=tokens.cache_write_1h,
        web_searches=searches,
    )
    at = datetime.fromisoformat(day).replace(hour=12, tzinfo=UTC)
    found = genai_prices.calc_price(usage, model, provider_id="anthropic", genai_request_timestamp=at, price_context=context)
    return found.total_price


def theirs() -> set[str]:
    return {model.id for provider in providers if provider.id == "anthropic" for model in provider.models}


def test_the_same_models_as_genai_prices() -> None:
    """Every Claude model that genai-prices knows is in the list, but those older than Claude Code."""
    assert {normalise(name) for name in theirs() - ONLY_THERE} == set(MODELS) - ONLY_HERE


@pytest.mark.parametrize("written", sorted(theirs() - ONLY_THERE))
@pytest.mark.parametrize(("speed", "service_tier"), [("", ""), ("fast", ""), ("", "batch")], ids=["plain", "fast", "batch"])
def test_the_same_prices_as_genai_prices(written: str, speed: str, service_tier: str) -> None:
    """At every date, tier and speed the list agrees with genai-prices, except for the differences named above."""
    model = normalise(written)
    context = ({"speed": "fast"} if speed else {}) | ({"processing": "batch"} if service_tier else {})
    for day, prompt in product(DAYS, (1_000, 100_000, 100_001, 200_000, 200_001, 900_000)):
        tokens = Tokens(input=prompt - 600, output=70, cache_read=300, cache_write_5m=200, cache_write_1h=100)
        ours = rate(model, day, prompt=prompt, speed=speed, service_tier=service_tier).cost(tokens)
        agree = ours == second_opinion(written, day, tokens, 0, context) * PICO_PER_USD
        assert agree != differs(model, day, speed, service_tier), f"{model} on {day}, prompt {prompt}"


@pytest.mark.parametrize("written", sorted(theirs() - ONLY_THERE))
def test_the_same_price_of_a_search_as_genai_prices(written: str) -> None:
    """A web search costs what genai-prices says, where it says so."""
    usd = second_opinion(written, "2026-06-01", Tokens(), 7, {})
    assert usd * PICO_PER_USD == (0 if normalise(written) in SEARCH_ONLY_HERE else rate(written).cost(Tokens(), 7))


def test_rows_for_people() -> None:
    """The list shows each model's prices with their dates and sources, standard before fast."""
    rows = [row for row in load().models() if row.model == "claude-opus-4-7"]
    assert [(row.from_day, row.until_day, row.speed, row.rate.input) for row in rows] == [
        (None, None, "", pico("5")),
        (None, date(2026, 7, 24), "fast", pico("30")),
    ]
    assert rows[0].sources == (Source(*load().made_from.split(" ")),)
    assert any("Fast mode" in source.title and source.page and source.read for source in rows[1].sources)


def test_rows_cut_fast_mode_where_the_price_changes() -> None:
    """A fast price that spans two standard prices has a row for each, and each tier its own."""
    rows = [row for row in load().models() if row.model == "claude-opus-4-6" and row.speed == "fast"]
    change = date(2026, 3, 13)
    assert [(row.from_day, row.until_day, row.above_tokens, row.rate.output) for row in rows] == [
        (None, change, 0, pico("150")),
        (None, change, 200_000, pico("225")),
        (change, None, 0, pico("150")),
    ]


def test_terms_for_people() -> None:
    """What holds for all models is shown exactly, with its sources."""
    assert [(term.name, term.number) for term in load().terms()] == [("web_search", "10"), ("batch", "0.5"), ("us", "1.1")]
    assert all(source.page for term in load().terms() for source in term.sources)


@given(st.integers(0, 10**15 - 1))
def test_rates_for_people(pico: int) -> None:
    """A rate is shown to its last decimal, as text and as the number that a program reads out of it."""
    shown = usd_per_million(pico)
    assert Fraction(shown) == Fraction(pico, 10**6)
    assert shown == shown.rstrip("0").rstrip(".") or "." not in shown
    assert Fraction(json.dumps(float(shown))) == Fraction(pico, 10**6)


@given(st.integers(0, 10**15 - 1), st.integers(0, 9))
def test_factors_for_people(digits: int, decimals: int) -> None:
    """A factor is shown as it was written, but for zeros at its end."""
    assert Fraction(decimal(digits, 10**decimals)) == Fraction(digits, 10**decimals)


def test_the_list_says_of_when_it_is(tmp_path: Path) -> None:
    """A list is known by the day on which its prices were looked up; one without a day is a list all the same."""
    assert load().as_of == date.fromisoformat(RAW["as_of"])
    assert load(changed(tmp_path, lambda raw: raw.pop("as_of"))).as_of is None


def test_every_row_has_a_source() -> None:
    """Each part of each price says where it comes from; all models have a row."""
    rows = list(load().models())
    assert {row.model for row in rows} == set(MODELS)
    assert [row for row in rows if not row.sources] == []
    assert {row.model for row in rows if row.us_costs_more} == US


def test_the_shipped_list_is_read_once() -> None:
    """Everybody shares one list, and one memory of its answers."""
    assert load() is load()


def test_a_list_of_ones_own(tmp_path: Path) -> None:
    """Any file of the schema will do; a price may be a number or a text, and its thresholds are its own."""
    path = changed(tmp_path, lambda raw: raw["models"].update({"claude-zeta-9": {"us_factor": False, "prices": [PRICE]}}))
    found = load(path).rate("claude-zeta-9", 0, prompt_class=3)
    assert load(path).thresholds == (100_000, 200_000, 400_000)
    assert found is not None
    assert found[:5] == (1_500_000, 20, 3_000_000, 4_000_000, 5_000_000)


def test_a_class_that_the_list_does_not_have() -> None:
    """A prompt class of another list is no reason to make up a price."""
    with pytest.raises(IndexError):
        load().rate("claude-opus-5", 0, prompt_class=3)


RATES = {"input": 1, "output": 1, "cache_read": 1, "cache_write_5m": 1, "cache_write_1h": 1}
PRICE = {
    "rates": RATES,
    "long_context": [
        {"above": 400_000, "rates": {"input": "1.5", "output": "0.00002", "cache_read": 3, "cache_write_5m": 4.0, "cache_write_1h": 5}}
    ],
    "sources": ["pricing"],
}


def changed(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A price file like the shipped one, but for one change."""
    raw = json.loads(SHIPPED.read_text(encoding="utf-8"))
    change(raw)
    path = folder / "prices.json"
    path.write_text(json.dumps(raw), encoding="utf-8")
    return path


def opus(raw: dict[str, Any], number: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = raw["models"]["claude-opus-4-6"]["prices"][number]
    return found


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda raw: raw.update(schema="tokentail/prices/2"), "its schema is 'tokentail/prices/2'"),
        (lambda raw: raw.pop("us"), "the file: 'us' is missing"),
        (lambda raw: raw.update(extra=1), "the file: 'extra' is no field"),
        (lambda raw: raw.update(models=[]), "models: not a JSON object"),
        (lambda raw: raw.update(made_from=3), "made_from: 3 is not a text"),
        (lambda raw: raw["batch"].update(factor="half"), "batch.factor: 'half' is not a number like 6.25"),
        (lambda raw: raw.update(as_of="yesterday"), "as_of: 'yesterday' is not a day"),
        (lambda raw: raw.update(as_of=20261123), "as_of: 20261123 is not a day"),
        (lambda raw: opus(raw)["rates"].update(input="x" * 100_000), "x… is not a number"),
        (lambda raw: opus(raw)["rates"].update(input=1_000_000), "rates.input: 1000000 is not a number"),
        (
            lambda raw: (raw["us"].update(factor=900_000), opus(raw)["rates"].update(input=2_000)),
            "with all factors a million tokens cost USD 1,000,000,000 or more",
        ),
        (lambda raw: opus(raw)["long_context"][0].update(above=10**9), "above: 1000000000 is not a number of tokens above 0"),
        (lambda raw: raw["us"].update(factor=1.12345678), "with all factors a token's price is not a whole number"),
        (lambda raw: raw["us"].update(sources=["hearsay"]), "us.sources: 'hearsay' is not among the sources"),
        (lambda raw: raw["models"].update({"claude-opus-4.9": {}}), "the list's name for this model is 'claude-opus-4-9'"),
        (lambda raw: raw["models"]["claude-opus-5"].update(us_factor=1), "claude-opus-5.us_factor: 1 is neither true nor false"),
        (lambda raw: raw["models"]["claude-opus-5"].update(prices=[]), "claude-opus-5.prices: the last price must have no end"),
        (lambda raw: raw["models"]["claude-opus-5"].update(prices={}), "claude-opus-5.prices: not a JSON array"),
        (lambda raw: opus(raw)["rates"].update(input=-1), "claude-opus-4-6.prices[0].rates.input: -1 is not a number"),
        (lambda raw: opus(raw)["rates"].update(input=True), "rates.input: True is not a number"),
        (lambda raw: opus(raw)["rates"].update(input=None), "rates.input: None is not a number"),
        (lambda raw: opus(raw)["rates"].update(input=float("nan")), "rates.input: 'NaN' is not a number"),
        (lambda raw: opus(raw)["rates"].update(input=1e-7), "rates.input: '1e-07' is not a number"),
        (lambda raw: opus(raw)["rates"].update(input="0.0000005"), "rates.input: the price is not a whole number"),
        (lambda raw: opus(raw)["rates"].pop("output"), "rates: 'output' is missing"),
        (lambda raw: opus(raw).update(untill="2026-03-13"), "'untill' is no field"),
        (lambda raw: opus(raw).update(until="13.3.2026"), "prices[0].until: '13.3.2026' is not a day"),
        (lambda raw: opus(raw).update(until="2026-03-12"), "a price must start on the day on which the one before it ends"),
        (lambda raw: opus(raw, 1).update(until="2026-03-13"), "prices[1]: it ends before it starts"),
        (lambda raw: opus(raw, 1).update(until="2026-03-14"), "claude-opus-4-6.prices: the last price must have no end"),
        (lambda raw: opus(raw)["long_context"][0].update(above=0), "long_context[0].above: 0 is not a number of tokens above 0"),
        (lambda raw: opus(raw)["long_context"].append(opus(raw)["long_context"][0]), "long_context[1].above: 200000 is not"),
        (
            lambda raw: raw["models"]["claude-opus-5"]["fast"].append(raw["models"]["claude-opus-5"]["fast"][0]),
            "two multipliers for one day",
        ),
    ],
)
def test_a_bad_file_is_refused(tmp_path: Path, change: Callable[[dict[str, Any]], object], says: str) -> None:
    """A wrong price list ends in a message that names the file, the place in it and what is wrong there."""
    path = changed(tmp_path, change)
    with pytest.raises(TokentailError) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "Expecting value"),
        (b"[]", "the file: not a JSON object"),
        (b'{"schema"', "cannot use the price list"),
        (b"\xff\xfe\xfd", "cannot use the price list"),
        (b"[" * 100_000, "cannot use the price list"),
        (b'{"schema": 1, "schema": 2}', "'schema' stands twice in one object"),
    ],
)
def test_what_is_no_price_list_at_all_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    """Whatever a file holds, the answer is a message."""
    path = tmp_path / "prices.json"
    path.write_bytes(content)
    with pytest.raises(TokentailError, match="price list") as caught:
        load(path)
    assert says in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A file that cannot be read is an error that says so; it is not remembered."""
    path = tmp_path / "none.json"
    with pytest.raises(TokentailError, match=r"cannot read the price list .*none\.json"):
        load(path)
    path.write_bytes(SHIPPED.read_bytes())
    assert isinstance(load(path), PriceList)


def test_importing_prices_is_cheap() -> None:
    """The status line pays for no price library, no time zones and no resource loader."""
    code = f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r}); before = set(sys.modules); import tokentail.prices as p; p.load()"
    heavy = "genai_prices pydantic zoneinfo importlib.resources decimal fractions dataclasses msgspec"
    code += f"\nprint(sorted(set({heavy.split()!r}) & (set(sys.modules) - before)))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"


@pytest.fixture(scope="module")
def make_prices() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_prices", ROOT / "scripts" / "make_prices.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_shipped_file_is_what_the_script_makes(make_prices: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody edits prices.json by hand, and a new genai-prices is noticed."""
    assert make_prices.main(["--check"]) == 0, capsys.readouterr().out
    assert capsys.readouterr().out == ""


def test_the_check_shows_what_differs(make_prices: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is not what the script makes fails the check, which changes nothing and prints the difference."""
    path = tmp_path / "prices.json"
    text = SHIPPED.read_text(encoding="utf-8").replace('"multiplier": 6, "until": "2026-07-24"', '"multiplier": 7, "until": "2026-07-24"')
    path.write_text(text, encoding="utf-8")
    assert make_prices.main(["--check", "--file", str(path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line[0] for line in lines if "multiplier" in line and line[0] in "+-"] == ["-", "+"]
    assert path.read_text(encoding="utf-8") == text


def test_the_script_writes_the_file(make_prices: ModuleType, tmp_path: Path) -> None:
    """Without --check the file is made anew."""
    path = tmp_path / "prices.json"
    assert make_prices.main(["--check", "--file", str(path)]) == 1
    assert make_prices.main(["--file", str(path)]) == 0
    assert path.read_bytes() == SHIPPED.read_bytes()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda extra: extra["priced_like"].update({"claude-opus-5": "claude-opus-4-8"}), "genai-prices has claude-opus-5 now"),
        (lambda extra: extra["fast"]["claude-opus-4-8"].update(multiplier=3), "claude-opus-4-8: genai-prices and the extra parts"),
        (lambda extra: extra["us"]["models"].append("claude-opus-9"), "us.models names models without a price: ['claude-opus-9']"),
        (lambda extra: extra["batch"].update(factor=Decimal("0.4")), "its batch price is not 0.4 times its price"),
    ],
)
def test_the_script_notices_a_contradiction(make_prices: ModuleType, change: Callable[[dict[str, Any]], object], says: str) -> None:
    """Where genai-prices and the extra parts do not fit together, a person decides."""
    extra = json.loads((ROOT / "scripts" / "prices_extra.json").read_text(encoding="utf-8"), parse_float=Decimal)
    change(extra)
    with pytest.raises(ValueError, match=re.escape(says)):
        make_prices.build(extra)
