"""Tests of `tokentail.totals`: cells and replies become the counts of a report, priced by date, and say what they do not know."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import AT_MS, MODEL, record, records, replies_of, usage
from tokentail import periods, prices
from tokentail.model import Counts, Record, Reply, Tokens
from tokentail.totals import Adder, add_replies, cells_of, counts_of

PRICES = prices.load()
UNKNOWN = "claude-zeta-9"


def added(replies: Iterable[Reply]) -> Adder[str]:
    adder = Adder[str](PRICES)
    add_replies(adder, replies, lambda reply: reply.model, PRICES)
    return adder


def reply(**more: object) -> Reply:
    (made,) = replies_of([record(**more)]).values()  # type: ignore[arg-type]  # whatever `record` takes
    return made


def test_a_reply_counts_one_and_each_token_once() -> None:
    """The total is the sum of the five counters."""
    counts = counts_of(reply(), PRICES)
    five = (counts.input_tokens, counts.output_tokens, counts.cache_read_tokens, counts.cache_write_5m_tokens, counts.cache_write_1h_tokens)
    assert five == (4, 10, 2000, 0, 300)
    assert (counts.total_tokens, counts.replies, counts.not_final_replies) == (2314, 1, 0)


def test_a_reply_costs_what_its_rate_says() -> None:
    """Cost is tokens times the rate of the day, plus the searches."""
    said = usage(server_tool_use={"web_search_requests": 3})
    rate = PRICES.rate(MODEL, AT_MS)
    assert rate is not None
    counts = counts_of(reply(usage=said), PRICES)
    assert counts.cost_usd == rate.cost(Tokens(4, 10, 2000, 0, 300), 3) / prices.PICO_PER_USD
    assert (counts.web_searches, counts.cost_is_lower_bound) == (3, False)


@pytest.mark.parametrize(
    ("models", "cost_pico"), [((), 0), ((UNKNOWN,), None), ((MODEL, UNKNOWN), 4_270_000_000), ((MODEL, MODEL), 8_540_000_000)]
)
def test_the_exact_cost(models: tuple[str, ...], cost_pico: int | None) -> None:
    """Of all rows, in pico-dollars; None where nothing has a price, and nothing costs nothing."""
    replies = [reply(group=f"msg_{number}", model=model) for number, model in enumerate(models)]
    assert added(replies).cost_pico() == cost_pico
    assert added(replies).totals().cost_usd == (None if cost_pico is None else cost_pico / prices.PICO_PER_USD)


def test_an_extra_adds_tokens_but_no_reply() -> None:
    """An extra iteration is priced at its own model and prompt; its searches and its being final are the reply's (R6)."""
    spent = [{"type": "compaction", "model": "claude-haiku-4-5", "input_tokens": 1000, "output_tokens": 5}]
    made = reply(usage=usage(iterations=spent, server_tool_use={"web_search_requests": 2}), stopped=False)
    own, extra = cells_of(made, PRICES)
    assert (extra.model, extra.tokens, extra.replies, extra.not_final, extra.web_searches) == ("claude-haiku-4-5", Tokens(1000, 5), 0, 0, 0)
    assert (own.model, own.replies, own.not_final, own.web_searches) == (MODEL, 1, 1, 2)
    counts = counts_of(made, PRICES)
    rates = PRICES.rate(MODEL, AT_MS), PRICES.rate("claude-haiku-4-5", AT_MS)
    assert rates[0] is not None
    assert rates[1] is not None
    assert counts.cost_usd == (rates[0].cost(made.tokens, 2) + rates[1].cost(Tokens(1000, 5))) / prices.PICO_PER_USD
    assert (counts.replies, counts.total_tokens) == (1, 2314 + 1005)


def test_nothing_costs_nothing() -> None:
    """An empty total is 0 dollars, and that is exact."""
    adder = added([])
    assert (adder.rows(), adder.totals(), adder.unpriced_models()) == ((), Counts(), ())
    assert adder.totals().cost_usd == 0.0


def test_a_model_without_a_price_costs_unknown() -> None:
    """Unknown is not zero: a row without any price has no cost, and its model is named."""
    adder = added([reply(model=UNKNOWN)])
    assert (adder.totals().cost_usd, adder.totals().cost_is_lower_bound) == (None, True)
    assert adder.unpriced_models() == (UNKNOWN,)


def test_a_sum_with_an_unpriced_part_is_a_lower_bound() -> None:
    """What has a price is added up, and the sum says that there is more."""
    adder = added([reply(model=UNKNOWN), reply(group="msg_2")])
    priced = counts_of(reply(), PRICES)
    assert [(row.key, row.counts.cost_usd, row.counts.cost_is_lower_bound) for row in adder.rows()] == [
        (MODEL, priced.cost_usd, False),
        (UNKNOWN, None, True),
    ]
    assert (adder.totals().cost_usd, adder.totals().cost_is_lower_bound) == (priced.cost_usd, True)


def test_an_unpriced_extra_makes_its_reply_a_lower_bound() -> None:
    """A part of a reply without a price is a part of its total."""
    made = reply(usage=usage(iterations=[{"type": "compaction", "model": UNKNOWN, "input_tokens": 1}]))
    counts = counts_of(made, PRICES)
    assert (counts.cost_usd, counts.cost_is_lower_bound) == (counts_of(reply(), PRICES).cost_usd, True)
    assert added([made]).unpriced_models() == (UNKNOWN,)


def test_a_reply_that_is_not_final_is_a_lower_bound() -> None:
    """An output count without a stop reason is at least that much, and so is its cost."""
    counts = counts_of(reply(stopped=False), PRICES)
    assert (counts.not_final_replies, counts.cost_is_lower_bound) == (1, True)


@pytest.mark.parametrize("said", [{"speed": "warp"}, {"inference_geo": "moon"}, {"service_tier": "gold"}])
def test_an_assumed_rate_is_a_lower_bound(said: dict[str, str]) -> None:
    """Where a part of the price is not known the standard one is taken, and said to be a lower bound."""
    counts = counts_of(reply(usage={**usage(), **said}), PRICES)
    assert (counts.cost_usd, counts.cost_is_lower_bound) == (counts_of(reply(), PRICES).cost_usd, True)


def test_a_free_reply_of_an_unknown_model_is_unknown_too() -> None:
    """That nothing was used does not give a model a price."""
    nothing = {"input_tokens": 0, "output_tokens": 0}
    assert counts_of(reply(model=UNKNOWN, usage=nothing), PRICES).cost_usd is None


def test_rows_are_in_the_order_of_their_keys() -> None:
    """Days, months and names sort as text."""
    adder = Adder[str](PRICES)
    for key in ("2026-10-02", "2026-09-30", "2026-10-01"):
        add_replies(adder, [reply()], lambda _, key=key: key, PRICES)  # type: ignore[misc]  # a default argument's type
    assert [row.key for row in adder.rows()] == ["2026-09-30", "2026-10-01", "2026-10-02"]


@settings(deadline=None, max_examples=60)
@given(st.lists(records(), max_size=6), st.randoms(use_true_random=False))
def test_sums_do_not_depend_on_order(lines: list[Record], random: object) -> None:
    """Rows add up to the total, in any order, to the last digit of the cost."""
    replies = list(replies_of(lines).values())
    adder = added(replies)
    shuffled = list(replies)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # a random.Random, which the strategy does not say
    again = added(shuffled)
    assert (again.rows(), again.totals(), again.unpriced_models()) == (adder.rows(), adder.totals(), adder.unpriced_models())
    totals, rows = adder.totals(), adder.rows()
    names = ("input_tokens", "output_tokens", "cache_read_tokens", "total_tokens", "replies", "not_final_replies", "web_searches")
    assert {name: getattr(totals, name) for name in names} == {name: sum(getattr(row.counts, name) for row in rows) for name in names}
    assert totals.replies == len(replies)


def test_the_rate_is_that_of_the_utc_day() -> None:
    """Prices are dated by UTC days: one moment has one price, in whatever zone it is shown."""
    early, late = (counts_of(reply(at_ms=AT_MS // periods.DAY_MS * periods.DAY_MS + at), PRICES).cost_usd for at in (0, periods.DAY_MS - 1))
    assert early == late
