"""Tests of `tokentail.usage`: whatever is asked of the summaries, the answer is what the replies add up to one by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from builders import (
    AUTUMN,
    MODEL,
    SPREAD,
    SPRING,
    STATES,
    THRESHOLDS,
    TIMES,
    chunk,
    memory_store,
    record,
    replies_of,
    store_of,
    store_of_lives,
)
from builders import usage as usage_object
from logs import PRICES
from tokentail import usage
from tokentail.model import Owner, Record, Tokens, Usage, Window
from tokentail.periods import DAY_MS, HOUR_MS, QUARTER_MS
from tokentail.totals import cells_of
from tokentail.usage import Question

ALL = [Window("", 0, 1 << 60)]
CUTS = st.lists(
    st.builds(
        lambda base, unit, number, off: max(base + unit * number + off, 0),
        st.sampled_from([0, SPRING, AUTUMN]),
        st.sampled_from([1, QUARTER_MS, HOUR_MS, DAY_MS]),
        st.integers(-5, 5),
        st.sampled_from([0, 0, 1, -1, 12_345]),
    ),
    min_size=2,
    max_size=6,
    unique=True,
).map(sorted)
NAMES = st.one_of(st.none(), st.frozensets(st.sampled_from(["-a", "-b", "-home-dev-app", "-nobody"]), max_size=2))
MODELS = st.one_of(st.none(), st.frozensets(st.sampled_from([MODEL, "claude-haiku-4-5", "claude-none"]), max_size=2))
LIVES = st.lists(st.tuples(STATES, SPREAD), max_size=3)
Sums = dict[tuple[object, ...], list[int]]


def added(parts: Iterable[Usage], question: Question) -> Sums:
    """Usage by window, owner, part, model and price."""
    sums: Sums = {}
    for window, owner, cell, first_ms, last_ms, part in parts:
        whose: object = {"": None, "project": owner.project, "owner": owner}[question.by]
        _, _, _, prompt_class, speed, geo, tier, *_ = cell
        rate = PRICES.rate(cell.model, cell.at_ms, prompt_class=prompt_class, speed=speed, geo=geo, service_tier=tier)
        key = (window, whose, part, cell.model, rate)
        row = [*cell.tokens, cell.replies, cell.not_final, cell.web_searches]
        known = sums.get(key)
        if known is None:
            sums[key] = [*row, first_ms, last_ms]
        else:
            sums[key] = [*map(sum, zip(known[:8], row, strict=True)), min(known[8], first_ms), max(known[9], last_ms)]
    return sums


def one_by_one(lines: Sequence[Record], question: Question, parts: Mapping[str, int] | None = None) -> Iterable[Usage]:
    """The same by looking at every reply; `parts` says in which part it belongs."""
    for reply in replies_of(lines).values():
        for number, window in enumerate(question.windows):
            if not window.start_ms <= reply.at_ms < window.end_ms:
                continue
            if question.part == "not_final" and reply.final:
                continue
            if question.projects is not None and reply.owner.project not in question.projects:
                continue
            if question.sessions is not None and reply.owner.session not in question.sessions:
                continue
            if question.subagents is not None and reply.owner.subagent is not question.subagents:
                continue
            for cell in cells_of(reply, PRICES):
                if question.models is None or cell.model in question.models:
                    yield Usage(number, reply.owner, cell, reply.at_ms, reply.at_ms, parts[reply.key] if parts else 0)


@settings(deadline=None, max_examples=300)
@given(SPREAD, TIMES, CUTS, st.sampled_from(["", "project", "owner"]), NAMES, MODELS, st.sampled_from([None, None, True, False]))
def test_any_question_is_answered_as_by_looking_at_every_reply(
    lines: list[Record],
    now_ms: int,
    cuts: list[int],
    by: str,
    projects: frozenset[str] | None,
    models: frozenset[str] | None,
    subagents: bool | None,
) -> None:
    """Windows of any length, cut anywhere, whole days or single milliseconds, wherever the summaries end; each sum has one price."""
    windows = [Window(str(start), start, end) for start, end in pairwise(cuts)][::2]
    question = Question(windows, by, projects, models, subagents=subagents)
    db = store_of(*lines, now_ms=now_ms).connection
    assert added(usage.usage(db, question, PRICES), question) == added(one_by_one(lines, question), question)


@settings(deadline=None, max_examples=100)
@given(SPREAD, CUTS, st.sampled_from(["", "project", "owner"]), st.sampled_from(["s1", "s2", "s3"]))
def test_a_session_is_answered_as_by_looking_at_every_reply(lines: list[Record], cuts: list[int], by: str, session: str) -> None:
    """Its own replies and those of its subagents, in the time from its first one to its last one, or in any other."""
    db = store_of(*lines).connection
    question = Question([Window(str(start), start, end) for start, end in pairwise(cuts)][::2], by, sessions={session})
    assert added(usage.usage(db, question, PRICES), question) == added(one_by_one(lines, question), question)
    times = [reply.at_ms for reply in replies_of(lines).values() if reply.owner.session == session]
    assert usage.span_of_session(db, session) == (Window(session, min(times), max(times) + 1) if times else None)


@settings(deadline=None, max_examples=200)
@given(LIVES, CUTS, st.sampled_from(["", "project", "owner"]), NAMES, MODELS, st.sampled_from(["provenance", "not_final"]))
def test_parts_are_those_of_every_reply(
    lives: list[tuple[str, list[Record]]],
    cuts: list[int],
    by: str,
    projects: frozenset[str] | None,
    models: frozenset[str] | None,
    part: str,
) -> None:
    """Apart by where replies stand, or only those that are not final: the same as by looking at each of them."""
    question = Question([Window(str(start), start, end) for start, end in pairwise(cuts)][::2], by, projects, models, part)
    lines = [each for _, some in lives for each in some]
    order = ["live", "missing", "rewritten"]
    best = {each.group: min(order.index(state) for state, some in lives for other in some if other.group == each.group) for each in lines}
    expected = one_by_one(lines, question, best if part == "provenance" else None)
    assert added(usage.usage(store_of_lives(*lives).connection, question, PRICES), question) == added(expected, question)


@settings(deadline=None, max_examples=60)
@given(SPREAD)
def test_days_and_models_with_usage(lines: list[Record]) -> None:
    """What a report has to look at is what there is."""
    db = store_of(*lines).connection
    replies = replies_of(lines).values()
    assert usage.days_with_usage(db) == sorted({reply.at_ms // DAY_MS for reply in replies})
    assert usage.models(db) == {cell.model for reply in replies for cell in cells_of(reply, PRICES)}


@settings(deadline=None, max_examples=60)
@given(SPREAD)
def test_all_by_utc_day(lines: list[Record]) -> None:
    """Every UTC day has what its replies have, apart by model and by all that the logs say of the price."""
    sums: Sums = {}
    for reply in replies_of(lines).values():
        for cell in cells_of(reply, PRICES):
            key = (reply.at_ms // DAY_MS * DAY_MS, cell.model, *cell[3:7])
            row = [*cell.tokens, cell.replies, cell.not_final, cell.web_searches]
            sums[key] = [*map(sum, zip(sums.get(key, [0] * 8), row, strict=True))]
    found = list(usage.by_utc_day(store_of(*lines).connection))
    assert {(cell.at_ms, cell.model, *cell[3:7]): [*cell.tokens, cell.replies, cell.not_final, cell.web_searches] for cell in found} == sums
    assert len(found) == len(sums)


def test_where_windows_start() -> None:
    """A reply at the end of a window opens the next one; starts are rounded down."""
    db = store_of(*(record(f"msg_{at_ms}", at_ms=at_ms) for at_ms in (7, 15, 16, 29, 99))).connection
    assert usage.window_starts(db, 10, 1) == [7, 29, 99]
    assert usage.window_starts(db, 10, 5) == [5, 15, 25, 95]


def test_an_empty_store_has_no_usage() -> None:
    """Nothing was used, on no day, by no model."""
    db = memory_store().connection
    assert list(usage.usage(db, Question(ALL), PRICES)) == []
    assert (usage.days_with_usage(db), usage.models(db), usage.window_starts(db, 10, 1)) == ([], set(), [])


def test_extras_count_no_reply_at_their_own_model() -> None:
    """An extra iteration stands under its model with its tokens and 0 replies (R6)."""
    spent = [{"type": "compaction", "model": "claude-haiku-4-5", "input_tokens": 50}]
    db = store_of(record(usage=usage_object(iterations=spent))).connection
    cells = {used.cell.model: (used.cell.tokens.total, used.cell.replies) for used in usage.usage(db, Question(ALL), PRICES)}
    assert cells == {MODEL: (2314, 1), "claude-haiku-4-5": (50, 0)}


def test_tokens_are_told_apart() -> None:
    """No counter is taken for another on the way through the summaries."""
    split = {"ephemeral_5m_input_tokens": 16, "ephemeral_1h_input_tokens": 32}
    said = {"input_tokens": 1, "output_tokens": 2, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 48, "cache_creation": split}
    db = store_of(record(usage=said)).connection
    (found,) = usage.usage(db, Question(ALL), PRICES)
    assert found.cell.tokens == Tokens(input=1, output=2, cache_read=4, cache_write_5m=16, cache_write_1h=32)


def test_a_view_needs_only_the_numbers_of_the_store() -> None:
    """The thresholds that a store was written with stand in its tiers."""
    store = memory_store(THRESHOLDS)
    store.apply([chunk(record())])
    assert {used.cell.prompt_class for used in usage.usage(store.connection, Question(ALL), PRICES)} == {2}


def test_owners_are_told_apart() -> None:
    """By owner a copy's session, its project and its subagent are named; by project only that."""
    agent = Owner(False, True, "s1", "-a", "a1")
    db = store_of(record(owner=agent), record("msg_2", owner=Owner(False, False, "s1", "-a", ""))).connection
    by_owner = {used.owner for used in usage.usage(db, Question(ALL, "owner"), PRICES)}
    assert by_owner == {agent, Owner(False, False, "s1", "-a", "")}
    (by_project,) = usage.usage(db, Question(ALL, "project"), PRICES)
    assert (by_project.owner.project, by_project.owner.session, by_project.cell.replies) == ("-a", "", 2)
