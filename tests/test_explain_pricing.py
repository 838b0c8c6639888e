"""Tests of `tokentail.explain.pricing`: the line of the price list that is named is the one that was used."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from builders import OWNER
from tokentail import prices
from tokentail.explain.pricing import Pricing
from tokentail.model import Extra, Reply, Tokens
from tokentail.prices import PriceList
from tokentail.totals import counts_of

SHIPPED = prices.load()
PRICING = Pricing(SHIPPED)
MODELS = sorted({row.model for row in SHIPPED.models()})
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The days around those on which a price changes, and long before and after all of them.
DAYS = sorted({change // 86_400_000 + near for change in SHIPPED.changes_ms for near in (-1, 0, 1)} | {0, 15_000, 25_000})
PROMPTS = sorted({0, *(threshold + near for threshold in SHIPPED.thresholds for near in (0, 1)), 3_000_000})


def reply(model: str = "claude-opus-5", *, day: int = 20_700, prompt: int = 1000, speed: str = "", geo: str = "", tier: str = "") -> Reply:
    tokens = Tokens(prompt, 70, 0, 0, 0)
    return Reply("k", "k", day * 86_400_000, model, "2.1", tokens, (), 0, True, 0, speed, geo, tier, OWNER)


@given(
    *(st.sampled_from(MODELS), st.sampled_from(DAYS), st.sampled_from(PROMPTS), st.sampled_from(["", "fast"])),
    *(st.sampled_from(["", "us"]), st.sampled_from(["", "batch"])),
)
def test_the_named_line_has_the_rate_that_was_used(model: str, day: int, prompt: int, speed: str, geo: str, tier: str) -> None:
    """By day, length of the prompt and speed there is one line of the list; its rate times the factors that are named is the rate."""
    (priced,) = PRICING.of(reply(model, day=day, prompt=prompt, speed=speed, geo=geo, tier=tier))
    row = SHIPPED.row(model, day * 86_400_000, prompt_class=SHIPPED.prompt_class(prompt), speed=speed)
    assert row is not None
    assert (priced.from_day, priced.until_day, priced.above_tokens) == (row.from_day, row.until_day, row.above_tokens)
    assert ("fast mode" in priced.factors) == (row.speed == "fast")
    factor = (11 if any("US" in each for each in priced.factors) else 10) * (1 if any("batch" in each for each in priced.factors) else 2)
    assert priced.terms[1].rate_pico * 20 == row.rate.output * factor


@given(st.sampled_from(MODELS), st.sampled_from(DAYS), st.sampled_from(PROMPTS))
def test_the_named_line_holds_on_that_day_and_for_that_prompt(model: str, day: int, prompt: int) -> None:
    """A request from before the model's first price is the one exception."""
    (priced,) = PRICING.of(reply(model, day=day, prompt=prompt))
    on = date(1970, 1, 1) + timedelta(days=day)
    first = min(row.from_day or date.min for row in SHIPPED.models() if row.model == model)
    assert (priced.from_day or date.min) <= max(on, first)
    assert priced.until_day is None or on < priced.until_day
    assert priced.above_tokens == 0 or prompt > priced.above_tokens


@given(st.sampled_from(MODELS), st.sampled_from(DAYS), st.integers(0, 10**6), st.integers(0, 9))
def test_the_terms_add_up_to_the_cost(model: str, day: int, prompt: int, searches: int) -> None:
    """To that of the reports, with what is billed beside the reply."""
    made = reply(model, day=day, prompt=prompt)._replace(web_searches=searches, extras=(Extra("claude-haiku-4-5", Tokens(5, 6, 7, 8, 9)),))
    priced = PRICING.of(made)
    assert [each.is_extra for each in priced] == [False, True]
    assert sum(each.cost_pico or 0 for each in priced) / prices.PICO_PER_USD == counts_of(made, SHIPPED).cost_usd


def test_a_model_without_a_price_has_no_terms() -> None:
    """Unknown is not zero."""
    (priced,) = PRICING.of(reply("claude-zeta-9"))
    assert (priced.terms, priced.cost_pico, priced.listed_as) == ((), None, "claude-zeta-9")


def test_a_name_is_shown_as_the_list_has_it() -> None:
    """Whichever way it was logged."""
    (priced,) = PRICING.of(reply("us.anthropic.claude-opus-4-6-v1:0"))
    assert (priced.model, priced.listed_as) == ("us.anthropic.claude-opus-4-6-v1:0", "claude-opus-4-6")


def test_a_speed_without_a_price_is_an_assumption() -> None:
    """The standard price was taken, and it says so."""
    (priced,) = PRICING.of(reply("claude-haiku-4-5", speed="fast"))
    assert (priced.is_assumed, priced.factors, priced.speed) == (True, (), "fast")


def test_a_price_of_ones_own_has_no_factor() -> None:
    """It is what it is, in a batch, too."""
    own: PriceList = SHIPPED.with_own([("claude-opus-5", "1", "2", "0.1", "1.25", "2")])
    (priced,) = Pricing(own).of(reply(tier="batch", geo="us"))
    assert (priced.is_own, priced.factors, priced.terms[1].rate_pico) == (True, (), 2_000_000)
