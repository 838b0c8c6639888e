"""Tests of `tokentail.merge`: joining is a join, the winner is R4's, groups resolve by R3, and forms lose nothing."""

from __future__ import annotations

import itertools
import json
from functools import reduce
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import AT_MS, USAGES, canonical_json, record, records, replies_of, usage
from tokentail import merge
from tokentail.formats.claude import read_usage
from tokentail.formats.claude_lines import ClaudeLines
from tokentail.model import Extra, LogFile, Owner, Record, Tokens

relaxed = settings(deadline=None, max_examples=150)
ONE_KEY = records(["msg_1"]).map(lambda each: each._replace(request_id="req_1", sidechain=False))


# Joining (R10)


@relaxed
@given(ONE_KEY, ONE_KEY, ONE_KEY)
def test_join_does_not_depend_on_order(one: Record, two: Record, three: Record) -> None:
    """Joining is associative, commutative and idempotent, whatever ties there are."""
    together = merge.join(one, merge.join(two, three))
    assert merge.join(merge.join(one, two), three) == together
    assert {reduce(merge.join, order) for order in itertools.permutations((one, two, three))} == {together}
    assert merge.join(together, one) == together
    assert merge.join(one, one) == one


@relaxed
@given(st.lists(ONE_KEY, min_size=2, max_size=5), st.data())
def test_join_is_the_rules_winner(lines: list[Record], data: st.DataObject) -> None:
    """The winner is the greatest by output, stop, keys, then the least by canonical JSON, model and version (R4)."""
    usages = data.draw(st.lists(USAGES, min_size=len(lines), max_size=len(lines)))
    lines = [
        record(at_ms=line.at_ms, model=line.model, version=line.version, usage=each, stopped=line.stopped, owner=line.owner)
        for line, each in zip(lines, usages, strict=True)
    ]

    def rank(number: int) -> tuple[object, ...]:
        line, said = lines[number], usages[number]
        return -said["output_tokens"], not line.stopped, -len(said), canonical_json(said), line.model, line.version

    winner = lines[min(range(len(lines)), key=rank)]
    joined = reduce(merge.join, lines)
    assert joined == winner._replace(
        at_ms=min(line.at_ms for line in lines),
        final=any(line.stopped for line in lines),
        web_searches=max(line.web_searches for line in lines),
        owner=min(line.owner for line in lines),
    )


def test_the_winner_is_taken_whole() -> None:
    """No field of the winner's usage comes from another line."""
    joined = merge.join(record(usage=usage(9, input_tokens=900)), record(usage=usage(10, input_tokens=1)))
    assert joined.tokens == Tokens(1, 10, 2000, 0, 300)


def test_more_output_beats_a_stop_reason() -> None:
    """`output_tokens` decides first; that some line stopped is remembered all the same."""
    joined = merge.join(record(usage=usage(11), stopped=False), record(usage=usage(10), stopped=True))
    assert (joined.tokens.output, joined.stopped, joined.final) == (11, False, True)


def test_keys_are_those_of_the_log() -> None:
    """What a form carries besides (extra iterations) is no key of the usage object."""
    spent = [{"type": "compaction", "input_tokens": 5}]
    assert merge.form_of(record(usage=usage(iterations=spent)).form).keys == len(usage()) + 1


# Groups (R3)


@relaxed
@given(st.lists(records(["msg_1"]), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_resolve_does_not_depend_on_order(group: list[Record], random: Any) -> None:
    """A group resolves to the same messages in any order, with lines given twice, and joined beforehand or not."""
    resolved = merge.resolve(group)
    shuffled = [*group, random.choice(group)]
    random.shuffle(shuffled)
    assert merge.resolve(shuffled) == resolved
    joined: dict[tuple[str, str, bool], Record] = {}
    for each in shuffled:
        joined[each[:3]] = merge.join(joined.get(each[:3], each), each)
    assert merge.resolve(joined.values()) == resolved


KINDS = [(request, sidechain) for request in ("", "req_1", "req_2") for sidechain in (False, True)]


@pytest.mark.parametrize("size", range(1, len(KINDS) + 1))
def test_resolve_by_the_rule(size: int) -> None:
    """
    R3 over all combinations of request ids and sidechains.

    Q are the request ids of the main lines. At most one: one message of all main lines and the sidechain lines of that request.
    More: a message each, lines without a request id belong to the smallest. Sidechain lines of other requests count only
    where there is nothing else.
    """
    for kinds in itertools.combinations(KINDS, size):
        outputs = {kind: 1 << number for number, kind in enumerate(kinds)}
        group = [record(request_id=kind[0], sidechain=kind[1], usage=usage(outputs[kind])) for kind in kinds]
        asked = sorted({request for request, sidechain in kinds if request and not sidechain})
        if all(sidechain for _, sidechain in kinds):
            expected = {"msg_1": list(kinds)}
        elif len(asked) <= 1:
            expected = {"msg_1": [kind for kind in kinds if not kind[1] or kind[0] in asked]}
        else:
            expected = {
                f"msg_1/{request}": [kind for kind in kinds if kind[0] == request or (kind == ("", False) and request == asked[0])]
                for request in asked
            }
        resolved = merge.resolve(group)
        assert {key: message.tokens.output for key, message in resolved.items()} == {
            key: max(outputs[kind] for kind in members) for key, members in expected.items()
        }


def test_a_message_takes_attributes_from_its_own_lines_only() -> None:
    """A dropped replay gives neither time nor owner nor stop to the message (R7)."""
    main = record(at_ms=AT_MS, stopped=False, owner=Owner(False, False, "s2", "-b", ""))
    replay = record(request_id="req_9", sidechain=True, at_ms=AT_MS - 5, usage=usage(999), owner=Owner(False, False, "s1", "-a", ""))
    (reply,) = replies_of([main, replay]).values()
    assert (reply.at_ms, reply.final, reply.owner.session, reply.tokens.output) == (AT_MS, False, "s2", 10)


@pytest.mark.parametrize("group", ["msg_1", "uuid:u1", "line:00ff", "id:uuid:u1", "a/b", "a%2Fb", "%25", "%", "/", "100%/x%252F"])
def test_a_key_leads_back_to_its_group(group: str) -> None:
    """Escaping loses nothing, with and without a request id behind the slash."""
    messages = merge.resolve([record(group, request_id=request) for request in ("r/1", "r%2")])
    assert len(messages) == 2
    assert {merge.group_of_key(key) for key in (*messages, *merge.resolve([record(group)]))} == {group}


@given(st.text(min_size=1), st.text(min_size=1))
def test_different_groups_have_different_keys(one: str, other: str) -> None:
    """No two groups, and no group and a part of another, share a reply key."""
    if one != other:
        assert merge.escape(one) != merge.escape(other)
    assert merge.group_of_key(merge.escape(one)) == one
    assert merge.group_of_key(f"{merge.escape(one)}/{merge.escape(other)}") == one


@pytest.mark.parametrize("logged", ["msg_1", "uuid:u1", "line:ab", "id:msg_1", "id:uuid:x"])
def test_an_id_is_shown_as_it_was_logged(logged: str) -> None:
    """An id that looks like one of our own kinds is told apart from them, and comes back unchanged."""
    group = merge.group_text(logged)
    assert not group.startswith(("uuid:", "line:"))
    assert merge.message_id(group) == logged


def test_a_group_without_id_has_none() -> None:
    """The uuid or hash that stands in for an id is not shown as one."""
    assert (merge.message_id("uuid:u1"), merge.message_id("line:00")) == ("", "")


# Replies


def test_an_extra_without_a_model_is_the_replys_own() -> None:
    """Extra iterations have their own model, or else that of the reply (R6)."""
    entries = [
        {"type": "compaction", "model": "claude-haiku-4-5", "input_tokens": 7},
        {"type": "advisor_message", "output_tokens": 3},
        {"type": "compaction", "input_tokens": 0},
        {"type": "fallback_message", "output_tokens": 50},
    ]
    (reply,) = replies_of([record(usage=usage(iterations=entries))]).values()
    assert reply.extras == (Extra("claude-haiku-4-5", Tokens(input=7)), Extra("claude-opus-5", Tokens(output=3)))


def test_the_name_of_an_extras_model_is_kept_however_long() -> None:
    """A model's name is no prose: a gateway's long one is shown as it stands."""
    name = "arn:aws:bedrock:us-east-1:000000000000:inference-profile/us.anthropic.claude-haiku-4-5"
    (reply,) = replies_of([record(usage=usage(iterations=[{"type": "compaction", "model": name, "input_tokens": 7}]))]).values()
    assert [extra.model for extra in reply.extras] == [name]


# Forms: the canonical JSON of R4, and nothing that people wrote

COUNTS: st.SearchStrategy[object] = st.one_of(
    st.integers(0, 3), st.integers(2**53 - 1, 2**53 + 1), st.sampled_from([None, True, False, -1, 1.0, 0.0, "7", []])
)
SHORT = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs"]), max_size=8)
ANY_TEXT = st.one_of(SHORT, st.text(max_size=60), st.sampled_from(["\x7fextras", "\ud800", "two words", "x" * 41, "\x01", "é" * 40]))
ANY_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), ANY_TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(ANY_TEXT, inner, max_size=3)),
    max_leaves=6,
)
SPLITS = st.one_of(
    st.fixed_dictionaries({}, optional={"ephemeral_5m_input_tokens": COUNTS, "ephemeral_1h_input_tokens": COUNTS, "other": COUNTS}),
    COUNTS,
)
COUNTERS = {"input_tokens": COUNTS, "output_tokens": COUNTS, "cache_read_input_tokens": COUNTS, "cache_creation_input_tokens": COUNTS}
ENTRIES = st.fixed_dictionaries(
    {}, optional={"type": st.sampled_from(["message", "compaction", None]), "cache_creation": SPLITS, **COUNTERS}
)
ODD_USAGES: st.SearchStrategy[dict[str, Any]] = st.builds(
    lambda odd, known, mirrored: {**odd, **known, **({"iterations": [{**known, "type": "message", **mirrored}]} if mirrored else {})},
    st.dictionaries(ANY_TEXT, ANY_JSON, max_size=3),
    st.fixed_dictionaries(
        {},
        optional={
            **COUNTERS,
            "cache_creation": SPLITS,
            "speed": st.one_of(ANY_TEXT, COUNTS),
            "output_tokens_details": st.one_of(st.fixed_dictionaries({"thinking_tokens": COUNTS}, optional={"x": COUNTS}), COUNTS),
            "server_tool_use": st.one_of(st.fixed_dictionaries({}, optional={"web_search_requests": COUNTS}), COUNTS),
            "iterations": st.one_of(st.lists(st.one_of(ENTRIES, ANY_JSON), max_size=2), COUNTS),
        },
    ),
    st.one_of(st.just({}), ENTRIES),
)


def strings_in(value: object) -> list[str]:
    match value:
        case str():
            return [value]
        case dict():
            return [text for pair in value.items() for part in pair for text in strings_in(part)]
        case list():
            return [text for part in value for text in strings_in(part)]
    return []


def is_kept(text: str) -> bool:
    """Words like "standard" are kept; what is long, has a space, a control character or half a surrogate pair is stored as a hash."""
    return len(text) <= 40 and not any(char <= " " or char == "\x7f" or "\ud800" <= char <= "\udfff" for char in text)


@settings(relaxed, max_examples=400)
@given(ODD_USAGES)
def test_canonical_json_comes_back_exactly(said: dict[str, Any]) -> None:
    """A form and its record give the canonical JSON of the logged usage, however odd, unless a string in it was hashed (R4)."""
    form = read_usage(said).form
    form.encode()
    assert merge.form_of(form).keys == len(said)
    if all(map(is_kept, strings_in(said))):
        assert without_extras(merge.canonical(record(usage=said))) == canonical_json(said)


def without_extras(canonical: str) -> str:
    """The canonical JSON without the part that carries the extra iterations."""
    if merge.EXTRAS not in canonical:
        return canonical
    said = json.loads(canonical)
    del said[merge.EXTRAS]
    return canonical_json(said)


@given(ODD_USAGES)
def test_a_form_holds_no_prose(said: dict[str, Any]) -> None:
    """No string of a usage object that could be a sentence enters the store, neither as a key nor as a value."""
    kept = strings_in(json.loads(read_usage(said).form.translate(dict.fromkeys(range(1, 8), "0"))))
    models = {name for entry in iterations_of(said) for name in strings_in(entry.get("model"))}
    assert [text for text in kept if not is_kept(text) and text not in models and text != merge.EXTRAS] == []


def iterations_of(said: dict[str, Any]) -> list[dict[str, Any]]:
    entries = said.get("iterations")
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def test_a_usage_key_cannot_pose_as_extra_iterations() -> None:
    """Only the rules make extras: a log that uses our own key for them adds nothing and breaks nothing."""
    for hostile in ([["claude-opus-5", [1, 2, 3, 4, 5]]], 5, None):
        (reply,) = replies_of([record(usage={**usage(), merge.EXTRAS: hostile})]).values()
        assert reply.extras == ()


def test_deep_nesting_is_read_or_refused() -> None:
    """A usage object that is nested deeply has a form that can be stored and read again."""
    nested: object = 0
    for _ in range(300):
        nested = [nested]
    form = read_usage(usage(deep=nested)).form
    assert merge.form_of(form).keys == len(usage()) + 1


TIERS = st.sampled_from(["standard", "tier1", "tier2", "us-east-1", "us-east-2", None])
REGULAR: st.SearchStrategy[list[dict[str, Any]]] = st.lists(
    st.builds(
        lambda said, more: {**said, **more},
        USAGES,
        st.fixed_dictionaries({}, optional={"service_tier": TIERS, "speed": TIERS, "inference_geo": TIERS}),
    ),
    min_size=1,
    max_size=5,
)
FILE = LogFile("/logs/-a/s1.jsonl", "/logs", "-a/s1.jsonl", 1, 1, 0, 0, 0)


@relaxed
@given(REGULAR)
def test_the_quick_reader_gives_the_same_forms(usages: list[dict[str, Any]]) -> None:
    """What the typed reader makes of regular usage objects, one after another, is what the general reader makes of each."""
    reader = ClaudeLines()
    for number, said in enumerate(usages):
        message = {"id": f"msg_{number}", "model": "m", "usage": said}
        entry = {"type": "assistant", "timestamp": "2026-10-01T10:00:00.000Z", "message": message}
        (made,) = reader.parse_line(json.dumps(entry).encode(), FILE).entries
        reading, found = read_usage(said), made.record
        assert (found.tokens, found.thinking, found.web_searches, found.flags, found.form) == reading


@given(st.lists(records(["msg_1"]), min_size=1, max_size=6))
def test_every_record_is_in_one_message_or_a_replay(lines: list[Record]) -> None:
    """The messages share out the records of a group; those in none are sidechain ones of another request (R3)."""
    messages = merge.messages(lines)
    shared_out = [each for part in messages.values() for each in part]
    assert all(messages.values())
    left = [each for each in lines if each not in shared_out]
    own = {each.request_id for each in lines if not each.sidechain}
    assert all(each.sidechain and (each.request_id not in own or not each.request_id) for each in left)
    assert len(shared_out) + len(left) == len(lines)
    assert merge.resolve(lines).keys() == messages.keys()
