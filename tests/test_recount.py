"""Tests of `tokentail.recount`."""

from __future__ import annotations

import copy
import json
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokentail import periods
from tokentail.model import (
    INVALID_COUNT,
    MAX_COUNT,
    MAX_LINE_BYTES,
    SPLIT_MISMATCH,
    TTL_ASSUMED,
    Extra,
    Listing,
    LogFile,
    Owner,
    Problem,
    Reply,
    Tokens,
)
from tokentail.recount import MAX_REJECTS, Place, Recount, recount

ROOT = "/home/dev/.claude/projects"
MAIN = "-home-dev-app/s1.jsonl"
AGENT = "-home-dev-app/s1/subagents/agent-a1.jsonl"
MORE_DATA = Path(__file__).resolve().parents[2] / "shared"


class Memory:
    """A source of files that are byte strings by their relative names."""

    def __init__(self, files: dict[str, bytes], *, root: str = ROOT) -> None:
        self.files = files
        self.root = root
        self.problems: list[Problem] = []
        self.broken: dict[str, OSError] = {}

    @property
    def names(self) -> Sequence[str]:
        return [self.root]

    def list_files(self) -> Listing:
        # The sizes are wrong on purpose: a listing is older than the read.
        files = [LogFile(f"{self.root}/{name}", self.root, name, 1, inode, 0, 0, 0) for inode, name in enumerate(self.files)]
        return Listing(files, self.problems)

    def read(self, file: LogFile, start_bytes: int, length_bytes: int) -> bytes:
        if file.relative in self.broken:
            raise self.broken[file.relative]
        return self.files[file.relative][start_bytes : start_bytes + length_bytes]


class Disk(Memory):
    """A source of the logs under a real folder."""

    def __init__(self, folder: Path) -> None:
        paths = [path for path in folder.rglob("*.jsonl") if path.is_file()]
        super().__init__({path.relative_to(folder).as_posix(): b"" for path in sorted(paths)}, root=str(folder))

    def read(self, file: LogFile, start_bytes: int, length_bytes: int) -> bytes:
        with open(file.path, "rb") as log:
            log.seek(start_bytes)
            return log.read(length_bytes)


USAGE = {
    "input_tokens": 4,
    "output_tokens": 310,
    "cache_read_input_tokens": 2000,
    "cache_creation_input_tokens": 300,
    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 300},
    "service_tier": "standard",
}


def entry(
    *, id: object = "msg_1", model: object = "claude-opus-5", stop_reason: object = "end_turn", usage: object = None, **outer: object
) -> dict[str, object]:
    """An assistant line; an object as `usage` is laid over an ordinary one, and a None beside the message leaves its field out."""
    counts = {**USAGE, **usage} if isinstance(usage, dict) else usage or USAGE
    fields: dict[str, object] = {
        "type": "assistant",
        "timestamp": "2026-10-01T10:00:00.000Z",
        "sessionId": "s1",
        "requestId": "req_1",
        "uuid": "u1",
        "version": "2.1.220",
        "cwd": "/home/dev/app",
        "message": {"id": id, "model": model, "stop_reason": stop_reason, "usage": counts},
        **outer,
    }
    return {name: value for name, value in fields.items() if value is not None}


def line(**changes: object) -> bytes:
    return json.dumps(entry(**changes)).encode() + b"\n"


def out(tokens: int, **more: object) -> dict[str, object]:
    """Usage with that output count."""
    return {"output_tokens": tokens, **more}


def count(*lines: bytes, name: str = MAIN) -> Recount:
    return recount(Memory({name: b"".join(lines)}))


def only(*lines: bytes, name: str = MAIN) -> Reply:
    """The one reply that the lines make."""
    found = count(*lines, name=name)
    assert found.malformed_lines == 0
    (reply,) = found.replies
    return reply


# One id, many lines


def test_copies_are_one_reply_with_the_greatest_output() -> None:
    """Of all lines that share an id the one with the most output is counted, once (R4)."""
    reply = only(line(usage=out(2)), line(usage=out(2)), line(usage=out(310)))
    assert reply.tokens == Tokens(input=4, output=310, cache_read=2000, cache_write_5m=0, cache_write_1h=300)


def test_order_of_copies_does_not_matter() -> None:
    """Read backwards, the same lines make the same reply."""
    lines = [line(usage=out(n), timestamp=f"2026-10-01T10:00:0{n}Z", stop_reason=None if n < 3 else "end_turn") for n in (1, 2, 3)]
    assert only(*reversed(lines)) == only(*lines)


def test_copies_in_two_files_are_one_reply() -> None:
    """An id is counted once over all files."""
    found = recount(Memory({MAIN: line(usage=out(310)), "-home-dev-app/s2.jsonl": line(usage=out(2), sessionId="s2")}))
    assert [(reply.tokens.output, reply.owner.session) for reply in found.replies] == [(310, "s1")]


def test_copies_need_not_be_neighbours() -> None:
    """Other lines between the copies change nothing."""
    between = b'{"type":"user","toolUseResult":{"usage":{"output_tokens":9}}}\n{"type":"progress"}\n'
    assert only(line(usage=out(2)), between, line(usage=out(310))).tokens.output == 310


def test_fork_chain_is_one_reply() -> None:
    """A reply copied through four sessions is one reply; the smallest session owns it."""
    found = recount(Memory({f"-p/{session}.jsonl": line(sessionId=session) for session in ("s4", "s2", "s1", "s3")}))
    assert [reply.owner.session for reply in found.replies] == ["s1"]
    assert len(found.sightings["msg_1"]) == 4


def test_marked_copy_never_owns() -> None:
    """A line with `forkedFrom`, or of a background session, owns a reply only where no other line does (R7)."""
    for mark in ({"forkedFrom": {"sessionId": "s9"}}, {"sessionKind": "bg"}):
        assert only(line(sessionId="s1", **mark), line(sessionId="s9")).owner == Owner(False, False, "s9", "-home-dev-app", "")
        assert only(line(sessionId="s1", **mark)).owner == Owner(True, False, "s1", "-home-dev-app", "")


def test_null_fork_mark_is_no_mark() -> None:
    """`forkedFrom: null` says nothing."""
    assert only(json.dumps({**entry(), "forkedFrom": None}).encode() + b"\n").owner.copied is False


def test_replay_in_a_side_question_is_dropped() -> None:
    """A sidechain line under a request that no main line has repeats an old answer and is not counted (R3)."""
    replay = line(isSidechain=True, requestId="req_2", usage=out(999, cache_read_input_tokens=50_000))
    reply = only(replay, line(usage=out(310, cache_read_input_tokens=20)))
    assert (reply.tokens.output, reply.tokens.cache_read) == (310, 20)


def test_dropped_replay_gives_nothing_else() -> None:
    """Time, final, web searches and owner are taken over the counted lines only (R7)."""
    replay = line(
        isSidechain=True,
        requestId="req_2",
        timestamp="2026-01-01T00:00:00Z",
        sessionId="s0",
        usage=out(1, server_tool_use={"web_search_requests": 7}),
    )
    main = line(stop_reason=None)
    assert only(replay, main) == only(main)


def test_sidechain_line_without_request_is_a_replay() -> None:
    """No request is not one of the main lines' requests, even where those have none."""
    assert only(line(isSidechain=True, requestId=None, usage=out(999)), line(requestId=None)).tokens.output == 310


def test_sidechain_line_of_the_same_request_competes() -> None:
    """A sidechain line under a main line's request is a copy like any other."""
    assert only(line(isSidechain=True, usage=out(999)), line()).tokens.output == 999


def test_sidechain_lines_alone_are_one_reply() -> None:
    """Where an id stands on sidechain lines only, they are one message whatever their requests."""
    reply = only(line(isSidechain=True, requestId="r1", usage=out(5)), line(isSidechain=True, requestId="r2", usage=out(6)))
    assert (reply.key, reply.tokens.output) == ("msg_1", 6)


def test_only_true_is_a_sidechain() -> None:
    """A sidechain mark that is no boolean is none."""
    found = count(line(isSidechain=1, requestId="r2"), line(isSidechain="true", requestId="r3"))
    assert [reply.key for reply in found.replies] == ["msg_1/r2", "msg_1/r3"]


@pytest.mark.parametrize("second", [None, "", 7])
def test_missing_request_joins_the_other(second: object) -> None:
    """Lines without a request id, or with an empty one, belong to the id's only message."""
    assert only(line(usage=out(2)), line(requestId=second)).key == "msg_1"


def test_no_request_at_all_is_one_reply() -> None:
    """The id alone is the key."""
    assert only(line(requestId=None, usage=out(2)), line(requestId=None)).tokens.output == 310


def test_gateway_that_reuses_an_id() -> None:
    """Main lines with different requests are different messages; those without one join the smallest."""
    found = count(line(requestId="r2", usage=out(20)), line(requestId="r1", usage=out(10)), line(requestId=None, usage=out(11)))
    assert [(reply.key, reply.id, reply.tokens.output) for reply in found.replies] == [("msg_1/r1", "msg_1", 11), ("msg_1/r2", "msg_1", 20)]


def test_sidechain_lines_of_a_reused_id_join_their_request() -> None:
    """With several requests a sidechain line belongs to its own request, or to none and is dropped."""
    side = [line(isSidechain=True, requestId=request, usage=out(999)) for request in ("r2", "r9")]
    found = count(line(requestId="r1"), line(requestId="r2"), *side)
    assert [(reply.key, reply.tokens.output) for reply in found.replies] == [("msg_1/r1", 310), ("msg_1/r2", 999)]


# Keys


@pytest.mark.parametrize("id", [None, "", 5])
def test_without_id_the_uuid_is_the_key(id: object) -> None:
    """Two lines without a message id are two replies if their uuids differ, one if they do not."""
    found = count(line(id=id, uuid="a"), line(id=id, uuid="b"), line(id=id, uuid="b"))
    assert [(reply.key, reply.id) for reply in found.replies] == [("uuid:a", ""), ("uuid:b", "")]


def test_without_id_and_uuid_the_bytes_are_the_key() -> None:
    """Such a line is known by a hash of itself, wherever it stands and however it ends."""
    own = line(id=None, uuid=None).rstrip(b"\n")
    key = f"line:{blake2b(own, digest_size=16).hexdigest()}"
    assert only(b"\xef\xbb\xbf" + own + b"\r\n", own + b"\n", own).key == key
    assert only(own + b"\r\r\n").key != key


def test_object_on_a_shared_line_is_known_by_its_own_text() -> None:
    """Of several objects on a line each is hashed by itself."""
    one, two = (json.dumps(entry(id=None, uuid=None, cwd=cwd), ensure_ascii=False).encode() for cwd in ("/ä", "/b"))
    keys = {f"line:{blake2b(own, digest_size=16).hexdigest()}" for own in (one, two)}
    assert {reply.key for reply in count(one + b" " + two + b"\n").replies} == keys
    assert {reply.key for reply in count(one + b"oops\n", two + b" {\n").replies} == keys


def test_kinds_of_keys_never_meet() -> None:
    """An id that looks like a made-up key is another reply than the line with that made-up key."""
    ids = ["uuid:a", "id:uuid:a", "line:0", "id:a", "uuid"]
    found = count(line(id=None, uuid="a"), *(line(id=name) for name in ids))
    assert {reply.key: reply.id for reply in found.replies} == {
        "uuid:a": "",
        "id:uuid:a": "uuid:a",
        "id:id:uuid:a": "id:uuid:a",
        "id:line:0": "line:0",
        "id:id:a": "id:a",
        "uuid": "uuid",
    }


def test_slash_in_an_id_does_not_look_like_a_request() -> None:
    """A key is split at its only slash; the id itself stays as logged."""
    found = count(line(id="a", requestId="b/c%"), line(id="a", requestId="d"), line(id="a/d"))
    assert {(reply.key, reply.id) for reply in found.replies} == {("a/b%2Fc%25", "a"), ("a/d", "a"), ("a%2Fd", "a/d")}


# The winner


@pytest.mark.parametrize(
    ("winner", "loser"),
    [
        ({"usage": out(3), "stop_reason": None}, {"usage": out(2)}),
        ({"usage": out(2, input_tokens=9)}, {"usage": out(2, input_tokens=1), "stop_reason": None}),
        ({"usage": out(2, input_tokens=9, speed=None)}, {"usage": out(2, input_tokens=1)}),
        ({"usage": out(2, input_tokens=10)}, {"usage": out(2, input_tokens=9)}),
        ({"usage": out(2), "model": "a", "version": "2"}, {"usage": out(2), "model": "b", "version": "1"}),
        ({"usage": out(2), "version": "1"}, {"usage": out(2), "version": "2"}),
    ],
    ids=["output", "stop reason", "keys", "canonical text", "model", "version"],
)
def test_winner(winner: dict[str, object], loser: dict[str, object]) -> None:
    """The rank is output, stop reason, number of keys, then the smallest canonical usage, then the smallest model and version (R4)."""
    alone = only(line(**winner))
    for both in ((winner, loser), (loser, winner)):
        reply = only(*(line(**each) for each in both))
        assert (reply.tokens, reply.model, reply.version) == (alone.tokens, alone.model, alone.version)


def test_usage_is_never_mixed() -> None:
    """The winner's usage is taken whole, also where another line has greater counts."""
    reply = only(line(usage=out(310, input_tokens=1)), line(usage=out(2, input_tokens=500, speed="fast")))
    assert (reply.tokens.input, reply.tokens.output, reply.speed) == (1, 310, "")


def test_invalid_output_ranks_as_nothing() -> None:
    """An output count that is no count cannot win."""
    assert only(line(usage=out(5)), line(usage={"output_tokens": "999"})).tokens.output == 5


def test_placeholder_is_a_lower_bound() -> None:
    """Without a stop reason on any line the output is not final."""
    assert only(line(stop_reason=None, usage=out(8)), line(stop_reason=None, usage=out(8))).final is False


def test_any_stop_reason_makes_it_final() -> None:
    """The stop reason may stand on another line than the winner."""
    assert only(line(stop_reason=None, usage=out(9)), line(usage=out(8))).final is True


def test_time_is_the_first_of_the_copies() -> None:
    """Copies on both sides of midnight count on the day of the first, whatever order they stand in."""
    reply = only(line(timestamp="2026-10-02T00:00:01Z"), line(timestamp="2026-10-01T23:59:59Z", usage=out(1)))
    assert periods.day_of(reply.at_ms, UTC).isoformat() == "2026-10-01"


def test_web_searches_are_the_most_of_any_copy() -> None:
    """The count of searches may stand on an early line only (R8)."""
    reply = only(line(usage=out(1, server_tool_use={"web_search_requests": 4})), line())
    assert (reply.web_searches, reply.tokens.output) == (4, 310)


def test_replies_come_in_order_of_time_and_key() -> None:
    """Older first, equal times by key."""
    found = count(line(id="b"), line(id="a"), line(id="c", timestamp="2026-09-01T00:00:00Z"))
    assert [reply.key for reply in found.replies] == ["c", "a", "b"]


# Which lines count


@pytest.mark.parametrize(
    "other",
    [
        entry(type="user"),
        entry(message={"id": "m", "model": "claude-opus-5", "usage": None}),
        entry(message="error"),
        entry(usage=[1]),
        entry(model="<synthetic>", usage=out(0), isApiErrorMessage=True),
        entry(model=""),
        entry(model=None),
        entry(timestamp=None),
        entry(timestamp="soon"),
        entry(timestamp=1_790_000_000),
        entry(timestamp="1969-12-31T23:59:59Z"),
        {"type": "progress", "data": {"type": "agent_progress", "message": entry()}},
        {"type": "user", "toolUseResult": {"usage": USAGE, "totalTokens": 33_854}},
        {"type": "summary", "summary": 'a word in quotes: "usage"', "usage": 1},
    ],
    ids=lambda other: other.get("type", "") + " " + str(other.get("timestamp")),
)
def test_lines_that_do_not_count(other: dict[str, object]) -> None:
    """Everything but an assistant message with a usage, a real model and a time is passed over and is not malformed (R2)."""
    found = count(json.dumps(other).encode() + b"\n")
    assert (found.replies, found.malformed_lines, found.project_names) == ([], 0, {})


@pytest.mark.parametrize("extra", [{"isApiErrorMessage": False}, {"isApiErrorMessage": True}, {"isMeta": True}])
def test_marks_that_do_not_exclude(extra: dict[str, object]) -> None:
    """A real model's tokens count, whatever else the line says."""
    assert only(line(**extra)).tokens.output == 310


def test_bare_line_counts() -> None:
    """Version, request, folder and session are not needed; without a session the file's name is one."""
    reply = only(line(version=None, requestId=None, cwd=None, sessionId=None), name="-home-dev-app/s7.jsonl.1")
    assert (reply.version, reply.owner.session) == ("", "s7")


def test_usage_inside_a_tool_input_is_ignored() -> None:
    """Only `message.usage` counts, not a key of that name in the content."""
    inner = entry()
    inner["message"] = {**inner["message"], "content": [{"type": "tool_use", "input": {"usage": {"output_tokens": 9999}}}]}  # type: ignore[dict-item]
    assert only(json.dumps(inner).encode() + b"\n").tokens.output == 310


def test_agent_progress_beside_the_agents_own_file() -> None:
    """The nested copy in the parent's log is not counted; the agent's file is."""
    nested = json.dumps({"type": "progress", "data": {"type": "agent_progress", "message": entry(usage=out(999))}}).encode()
    found = recount(Memory({MAIN: nested + b"\n", AGENT: line(usage=out(7))}))
    assert [reply.tokens.output for reply in found.replies] == [7]


@pytest.mark.parametrize("data", [b"", b"\n\n", b'{"type":"summary"}\n{"type":"mode"}\n', b"\0\0\0\n", b"not json\n"])
def test_files_without_replies(data: bytes) -> None:
    """An empty file, or one of other lines only, has no replies and is no error; lines that cannot hold usage are not parsed."""
    found = count(data)
    assert (found.replies, found.malformed_lines, found.problems, found.files) == ([], 0, [], 1)


@pytest.mark.parametrize(
    "dump",
    [
        {"separators": (", ", " : ")},
        {"sort_keys": True},
        {"ensure_ascii": False},
    ],
)
def test_spelling_of_json_does_not_matter(dump: dict[str, Any]) -> None:
    """Sorted keys and spaces give the same reply."""
    assert only(json.dumps(entry(), **dump).encode() + b"\n") == only(line())


# Time


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-10-01T10:00:00.123Z", "2026-10-01T10:00:00.123+00:00"),
        ("2026-10-01T10:00:00.123999Z", "2026-10-01T10:00:00.123+00:00"),
        ("2026-10-01T12:00:00+02:00", "2026-10-01T10:00:00+00:00"),
        ("2026-10-01T10:00:00", "2026-10-01T10:00:00+00:00"),
        ("2026-10-01", "2026-10-01T00:00:00+00:00"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00+00:00"),
        ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999+00:00"),
    ],
)
def test_moment(text: str, moment: str) -> None:
    """A time is cut to the millisecond; one without zone is UTC."""
    assert periods.at(only(line(timestamp=text)).at_ms) == datetime.fromisoformat(moment)


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59-01:00", "1970-01-01T00:00:00+01:00", "0001-01-01T00:00:00+23:59", "\ud800", ""])
def test_times_beyond_the_calendar_do_not_parse(text: str) -> None:
    """A moment before 1970 or after 9999 is no time, and nothing crashes on it."""
    assert count(line(timestamp=text)).replies == []


# Values


def usage_of(usage: dict[str, object]) -> Reply:
    """The reply of a line with exactly that usage."""
    return only(line(message={"id": "m", "model": "claude-opus-5", "usage": usage}))


@pytest.mark.parametrize("value", [-1, 1.0, 1.5, True, False, "12", [1], {}, MAX_COUNT + 1, 10**30])
@pytest.mark.parametrize("name", ["input_tokens", "output_tokens", "cache_read_input_tokens"])
def test_invalid_count_spoils_its_field_only(name: str, value: object) -> None:
    """What is no integer from 0 to 2^53 counts 0 with a flag; the other fields stand."""
    reply = only(line(usage={name: value}))
    assert reply.flags == INVALID_COUNT
    fields = {"input_tokens": "input", "output_tokens": "output", "cache_read_input_tokens": "cache_read"}
    assert reply.tokens == only(line()).tokens._replace(**{fields[name]: 0})


def test_greatest_count() -> None:
    """2^53 still is a count."""
    assert usage_of({"output_tokens": MAX_COUNT}).tokens == Tokens(output=MAX_COUNT)


def test_integer_of_thousands_of_digits() -> None:
    """An integer too long to be converted is an invalid count, not a broken line."""
    reply = only(line(usage=out(5)).replace(b'"output_tokens": 5', b'"output_tokens": ' + b"9" * 5000))
    assert (reply.tokens.output, reply.tokens.input, reply.flags) == (0, 4, INVALID_COUNT)


@pytest.mark.parametrize("usage", [{}, {"input_tokens": None, "output_tokens": None, "cache_creation": None, "server_tool_use": None}])
def test_missing_counts_are_nothing_unusual(usage: dict[str, object]) -> None:
    """Missing and null are 0 without a flag."""
    reply = usage_of(usage)
    assert (reply.tokens, reply.web_searches, reply.flags) == (Tokens(), 0, 0)


@pytest.mark.parametrize(
    ("split", "tokens", "flags"),
    [
        (None, Tokens(cache_write_5m=300), TTL_ASSUMED),
        ({}, Tokens(cache_write_5m=300), TTL_ASSUMED),
        ("300", Tokens(cache_write_5m=300), TTL_ASSUMED),
        ({"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0}, Tokens(cache_write_5m=300), TTL_ASSUMED),
        ({"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 300}, Tokens(cache_write_1h=300), 0),
        ({"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200}, Tokens(cache_write_5m=100, cache_write_1h=200), 0),
        ({"ephemeral_5m_input_tokens": 100}, Tokens(cache_write_5m=100), SPLIT_MISMATCH),
        ({"ephemeral_5m_input_tokens": -1}, Tokens(cache_write_5m=300), INVALID_COUNT | TTL_ASSUMED),
    ],
)
def test_cache_writes(split: object, tokens: Tokens, flags: int) -> None:
    """The split of cache writes stands; without one they are 5 minute writes, and what is odd is flagged (R5)."""
    reply = usage_of({"cache_creation_input_tokens": 300, "cache_creation": split})
    assert (reply.tokens, reply.flags) == (tokens, flags)


def test_what_the_price_depends_on() -> None:
    """Speed, place and tier are the winner's strings; anything else is an empty one."""
    reply = usage_of({"speed": "fast", "inference_geo": "us", "service_tier": 5})
    assert (reply.speed, reply.geo, reply.service_tier) == ("fast", "us", "")


@pytest.mark.parametrize(("searches", "flags"), [("4", INVALID_COUNT), (True, INVALID_COUNT), (None, 0)])
def test_searches_that_are_no_count(searches: object, flags: int) -> None:
    """Searches are a count like the others."""
    reply = usage_of({"server_tool_use": {"web_search_requests": searches}})
    assert (reply.web_searches, reply.flags) == (0, flags)


def test_declined_message_is_not_billed() -> None:
    """With a fallback the top level is the bill; the iterations repeat it and the declined one is free (R6)."""
    iterations = [
        {"type": "message", "model": "claude-fable-5", **USAGE},
        {"type": "fallback_message", "model": "claude-opus-4-8", **USAGE},
    ]
    reply = only(line(model="claude-opus-4-8", usage={"iterations": iterations}))
    assert (reply.model, reply.tokens.output, reply.extras) == ("claude-opus-4-8", 310, ())


def test_compaction_is_billed_besides() -> None:
    """An iteration of another type is extra usage at its own model, or at the message's where it names none."""
    iterations = [
        {"type": "compaction", "input_tokens": 180_000, "output_tokens": 3_500},
        {"type": "advisor_message", "model": "claude-fable-5", "output_tokens": 7, "cache_creation_input_tokens": 5},
        {"type": "message", "input_tokens": 23_000, "output_tokens": 1_000},
        {"type": "compaction", "input_tokens": 0},
        "no object",
    ]
    reply = usage_of({"input_tokens": 23_000, "output_tokens": 1_000, "iterations": iterations})
    assert reply.tokens == Tokens(input=23_000, output=1_000)
    assert reply.extras == (
        Extra("claude-opus-5", Tokens(input=180_000, output=3_500)),
        Extra("claude-fable-5", Tokens(output=7, cache_write_5m=5)),
    )
    assert reply.flags == TTL_ASSUMED


@pytest.mark.parametrize("iterations", [None, [], {}, "x", [None, 5]])
def test_iterations_that_say_nothing(iterations: object) -> None:
    """Without objects in a list there is nothing extra."""
    assert usage_of({"iterations": iterations}).extras == ()


# Lines


SUMMARY = b'{"type":"summary","summary":"x"}'


@pytest.mark.parametrize("gap", [b"", b" ", b"\t\r "])
def test_objects_that_share_a_line(gap: bytes) -> None:
    """A file restored without its last newline goes on in the same line: each object counts."""
    first, second = (json.dumps(entry(id=name)).encode() for name in ("a", "b"))
    found = count(first + gap + SUMMARY + gap + second + gap + b"\n")
    assert ([reply.key for reply in found.replies], found.malformed_lines) == (["a", "b"], 0)


def test_rest_of_a_shared_line_may_be_broken() -> None:
    """What was decoded before the error counts; the line is malformed once."""
    found = count(line(id="a").rstrip() + SUMMARY + b'{"usage":oops}{"usage":\n', line(id="b"))
    assert ([reply.key for reply in found.replies], found.malformed_lines) == (["a", "b"], 1)


@pytest.mark.parametrize(
    "broken",
    [
        line()[:-9],
        b'{"usage":{"output_tokens":NaN}}',
        b'{"usage":{"output_tokens":-Infinity}}',
        b'{"usage":' * 100_000,
        b'{"usage":"tab\tinside"}',
        b"\0\0" + line().rstrip(),
        b"\xef\xbb\xbf" + line().rstrip(),
    ],
    ids=["cut", "NaN", "Infinity", "deep", "control character", "zeros", "BOM inside the file"],
)
def test_malformed_lines_are_counted_and_named(broken: bytes) -> None:
    """A line with "usage" that is no JSON is counted and named with its place; the lines around it stand."""
    first, last = line(id="a"), line(id="b")
    found = count(first, broken + b"\n", last)
    assert [reply.key for reply in found.replies] == ["a", "b"]
    assert found.malformed_lines == 1
    (reject,) = found.rejects
    assert (reject.path, reject.offset_bytes) == (f"{ROOT}/{MAIN}", len(first))
    assert reject.reason


def test_nesting_at_the_edge_of_what_can_be_read() -> None:
    """At every depth of nesting a line is either counted or malformed; none of them ends the count."""

    def counts(depth: int) -> bool:
        found = count(line(usage={"x": 0}).replace(b'"x": 0', b'"x": ' + b"[" * depth + b"]" * depth))
        assert len(found.replies) + found.malformed_lines == 1
        return bool(found.replies)

    shallow, deep = 1, 2**18
    while deep - shallow > 1:
        middle = (shallow + deep) // 2
        shallow, deep = (middle, deep) if counts(middle) else (shallow, middle)
    assert counts(shallow)
    assert not counts(deep)


def test_only_so_many_malformed_lines_are_named() -> None:
    """All malformed lines are counted, but a list of them stays readable."""
    found = count(b'{"usage"\n' * (MAX_REJECTS + 5))
    assert (found.malformed_lines, len(found.rejects)) == (MAX_REJECTS + 5, MAX_REJECTS)


def test_values_that_are_no_objects() -> None:
    """Valid JSON that is no object is passed over."""
    found = count(b'["usage"]\n', b'"usage"\n', b'7 "usage" null\n')
    assert (found.replies, found.malformed_lines) == ([], 0)


def test_line_ends_and_mark_at_the_start() -> None:
    """A carriage return before the newline and a byte order mark at the start of the file are no part of a line."""
    found = count(b"\xef\xbb\xbf" + line(id="a").replace(b"\n", b"\r\n") + b"\r\n" + line(id="b").replace(b"\n", b"\r\n"))
    assert ([reply.key for reply in found.replies], found.malformed_lines) == (["a", "b"], 0)


def test_bytes_that_are_not_utf8() -> None:
    """They are replaced and spoil nothing but their own text."""
    reply = only(line(model="claude-X").replace(b"claude-X", b"claude-\xff"))
    assert (reply.model, reply.tokens.output) == ("claude-\ufffd", 310)


def test_half_of_a_surrogate_pair() -> None:
    """Strings that cannot be written as UTF-8 are mended in every name and key."""
    bad = {name: f"{name}\ud800" for name in ("id", "model", "version", "sessionId", "agentId", "cwd")}
    found = count(line(**bad, requestId="a\udc00"), line(**bad, requestId="b\udfff"), name="-p\udcff/x.jsonl")
    str((found.replies, found.project_names, found.sightings.keys())).encode()
    assert [reply.key for reply in found.replies] == ["id\ufffd/a\ufffd", "id\ufffd/b\ufffd"]
    assert found.project_names == {"-p\ufffd": "cwd\ufffd"}


def test_last_line_without_newline_counts_when_whole() -> None:
    """A whole object needs no newline."""
    assert [reply.key for reply in count(line(id="a"), line(id="b").rstrip()).replies] == ["a", "b"]


@pytest.mark.parametrize("tail", [line(id="b")[:-2], line(id="b").rstrip() + line(id="c")[:-2], b'{"usage"'])
def test_last_line_in_the_making_is_pending(tail: bytes) -> None:
    """Half a last line is neither counted nor malformed, nor is anything before its unfinished end."""
    found = count(line(id="a"), tail)
    assert ([reply.key for reply in found.replies], found.malformed_lines) == (["a"], 0)


def test_two_megabyte_line() -> None:
    """A line may be long."""
    assert only(line(image="x" * 2**21), line(usage=out(1))).tokens.output == 310


def test_line_beyond_the_limit() -> None:
    """A line longer than the limit is skipped and counted as malformed, and the place of the next one is right."""
    long = b" " * MAX_LINE_BYTES + line()
    source = Memory({MAIN: long + line(id="next") + long.rstrip()})
    found = recount(source, piece_bytes=MAX_LINE_BYTES + 100)
    assert [reply.key for reply in found.replies] == ["next"]
    assert [reject.offset_bytes for reject in found.rejects] == [0]
    assert found.sightings["next"] == [Place(f"{ROOT}/{MAIN}", len(long))]


@pytest.mark.parametrize("piece_bytes", [1, 2, 7, 700, 10**6])
def test_pieces_do_not_matter(piece_bytes: int) -> None:
    """However a file is read, it has the same lines in the same places."""
    data = b"\xef\xbb\xbf" + line(id="ä") + b"\r\n\n" + b'{"usage"\r\n' + line(id="b").rstrip() + SUMMARY + b"\n" + line(id="c")[:-2]
    source = Memory({MAIN: data, AGENT: b"", "-p/y.jsonl": data})
    found = recount(source, piece_bytes=piece_bytes)
    assert found == recount(source)
    assert found.bytes_read == 2 * len(data)


# Places


def owner(root: str, relative: str, **changes: object) -> Owner:
    (reply,) = recount(Memory({relative: line(**changes)}, root=root)).replies
    return reply.owner


@pytest.mark.parametrize(
    ("root", "relative", "expected"),
    [
        (ROOT, "-p/s1.jsonl", Owner(False, False, "line", "-p", "")),
        (ROOT, "-p/agent-1234.jsonl", Owner(False, True, "line", "-p", "1234")),
        (ROOT, "-p/s1/subagents/agent-a.jsonl", Owner(False, True, "s1", "-p", "a")),
        (ROOT, "-p/s1/subagents/workflows/wf_1/agent-a.jsonl", Owner(False, True, "s1", "-p", "a")),
        (ROOT, "-p/s1/subagents/a1/subagents/agent-a.jsonl", Owner(False, True, "s1", "-p", "a")),
        (ROOT, "-p/s1/subagents/other.jsonl", Owner(False, True, "s1", "-p", "other")),
        (ROOT, "subagents/s1.jsonl", Owner(False, False, "line", "subagents", "")),
        ("/logs", "projects/-p/s1.jsonl", Owner(False, False, "line", "-p", "")),
        ("/logs", "old/projects/-a/new/projects/-b/s1.jsonl", Owner(False, False, "line", "-b", "")),
        ("/logs", "projects/-a/projects/s1.jsonl", Owner(False, False, "line", "-a", "")),
        ("/logs/projects/", "-p/s1.jsonl", Owner(False, False, "line", "-p", "")),
        ("/home/projects/logs", "-p/s1.jsonl", Owner(False, False, "line", "-p", "")),
        ("/home/projects/logs", "s1.jsonl", Owner(False, False, "line", "logs", "")),
        ("/projects", "s1.jsonl", Owner(False, False, "line", "projects", "")),
        ("/logs", "-p/s1/subagents/agent-a.jsonl", Owner(False, True, "s1", "-p", "a")),
        ("/logs/-p/s1", "subagents/agent-a.jsonl", Owner(False, True, "s1", "-p", "a")),
        ("/logs/-p/s1/subagents", "agent-a.jsonl", Owner(False, True, "s1", "-p", "a")),
        ("/subagents", "agent-a.jsonl", Owner(False, True, "line", "subagents", "a")),
        ("/", "s1.jsonl", Owner(False, False, "line", "", "")),
        ("s3://acme/logs/projects", "-p/s1.jsonl", Owner(False, False, "line", "-p", "")),
    ],
)
def test_place_of_a_file(root: str, relative: str, expected: Owner) -> None:
    """Project, session and agent follow from the folders below `projects`, or from what there is (R7)."""
    assert owner(root, relative, sessionId="line") == expected


def test_session_without_a_word_from_the_line() -> None:
    """The file's name is the session where the line names none."""
    assert owner(ROOT, "-p/s5.jsonl", sessionId="").session == "s5"
    assert owner(ROOT, "-p/agent-7.jsonl", sessionId=None).session == "agent-7"


def test_agent_of_the_line_goes_first() -> None:
    """The line's agent id stands over the file's name, also in a main file."""
    assert owner(ROOT, "-p/s1/subagents/agent-a.jsonl", agentId="b").agent == "b"
    assert owner(ROOT, "-p/s1.jsonl", agentId="b") == Owner(False, False, "s1", "-p", "b")


def test_main_file_owns_before_a_subagents_file() -> None:
    """A copy in a main file owns the reply, however small the other session's name is."""
    found = recount(Memory({"-p/a/subagents/agent-a.jsonl": line(sessionId="z"), "-p/z.jsonl": line(sessionId="z")}))
    assert [reply.owner for reply in found.replies] == [Owner(False, False, "z", "-p", "")]


def test_smallest_project_decides_last() -> None:
    """Copies of one session in two projects belong to the smaller slug."""
    found = recount(Memory({"-b/s1.jsonl": line(), "-a/s1.jsonl": line()}))
    assert [reply.owner.project for reply in found.replies] == ["-a"]


def test_names_of_projects() -> None:
    """A project is called by its earliest folder, by moment and not by text, and by the smallest of equally early ones."""
    found = count(
        line(cwd="/late", timestamp="2026-10-01T10:00:00Z"),
        line(cwd="/b", timestamp="2026-10-01T11:00:00+02:00"),
        line(cwd="/a", timestamp="2026-10-01T09:00:00Z"),
        line(cwd="", timestamp="2026-01-01T00:00:00Z"),
        line(cwd="/none", timestamp="2026-01-01T00:00:00Z", model="<synthetic>"),
    )
    assert found.project_names == {"-home-dev-app": "/a"}


def test_sightings_name_every_line_of_the_group() -> None:
    """Each reply of an id leads to all its lines, the dropped ones too."""
    lines = [line(requestId="r1"), line(id="other"), line(requestId="r2"), line(isSidechain=True, requestId="r9")]
    found = count(*lines)
    places = [Place(f"{ROOT}/{MAIN}", sum(map(len, lines[:at]))) for at in (0, 2, 3)]
    assert found.sightings["msg_1/r1"] == found.sightings["msg_1/r2"] == places
    assert found.sightings.keys() == {"msg_1/r1", "msg_1/r2", "other"}


def test_unreadable_files_are_problems() -> None:
    """A file that cannot be read is named and the others count; so are the problems of the listing."""
    source = Memory({MAIN: line(), "-p/x.jsonl": line(id="x")})
    source.problems = [Problem("/folder", "denied")]
    source.broken = {MAIN: PermissionError(13, "Permission denied")}
    found = recount(source)
    assert [reply.key for reply in found.replies] == ["x"]
    assert found.problems == [Problem("/folder", "denied"), Problem(f"{ROOT}/{MAIN}", "Permission denied")]
    assert (found.files, found.bytes_read, source.problems) == (1, len(line(id="x")), [Problem("/folder", "denied")])


def test_files_that_have_gone_are_no_problems() -> None:
    """Between the listing and the read a log may be deleted, or its folder."""
    source = Memory({MAIN: line(), "-p/x.jsonl": line(id="x"), "-q/x.jsonl": line(id="y")})
    source.broken = {MAIN: FileNotFoundError(2, "No such file or directory"), "-q/x.jsonl": NotADirectoryError(20, "Not a directory")}
    found = recount(source)
    assert ([reply.key for reply in found.replies], found.problems) == (["x"], [])


# Any order


USAGES = st.fixed_dictionaries(
    {"output_tokens": st.sampled_from([0, 1, 2, None, "x"])},
    optional={
        "input_tokens": st.sampled_from([1, 2]),
        "cache_creation_input_tokens": st.sampled_from([0, 7]),
        "speed": st.sampled_from(["fast", None]),
        "server_tool_use": st.sampled_from([{"web_search_requests": 1}, {"web_search_requests": 3}, None]),
        "iterations": st.sampled_from([[{"type": "compaction", "input_tokens": 9}], []]),
    },
)
ENTRIES = st.fixed_dictionaries(
    {
        "type": st.just("assistant"),
        "timestamp": st.sampled_from(["2026-10-01T10:00:00Z", "2026-10-01T10:00:00.5Z", "2026-10-01T11:59:00+02:00"]),
        "message": st.fixed_dictionaries(
            {"model": st.sampled_from(["claude-opus-5", "claude-sonnet-5"]), "usage": USAGES},
            optional={"id": st.sampled_from(["m1", "m2", "uuid:u1"]), "stop_reason": st.sampled_from([None, "end_turn"])},
        ),
    },
    optional={
        "requestId": st.sampled_from(["r1", "r2"]),
        "isSidechain": st.booleans(),
        "uuid": st.sampled_from(["u1", "u2"]),
        "sessionId": st.sampled_from(["s1", "s2"]),
        "forkedFrom": st.just({"sessionId": "s0"}),
        "version": st.sampled_from(["2.1.1", "2.1.2"]),
        "cwd": st.sampled_from(["/a", "/b"]),
    },
)
FILES = st.dictionaries(st.sampled_from([MAIN, AGENT, "-p/s2.jsonl", "-p/agent-2.jsonl"]), st.lists(ENTRIES, max_size=6))


@settings(deadline=None)
@given(files=FILES, seed=st.integers(0, 2**32), data=st.data())
def test_any_order_gives_the_same_replies(files: dict[str, list[dict[str, object]]], seed: int, data: st.DataObject) -> None:
    """Lines and files in another order, keys in another order, and lines said twice give the same replies and names."""
    once = {name: "".join(json.dumps(each) + "\n" for each in entries).encode() for name, entries in files.items()}
    chance = random.Random(seed)
    again = {}
    for name in chance.sample(sorted(files), len(files)):
        # A line that is known by nothing but its bytes must keep them.
        entries = [each if "uuid" not in each and "id" not in each["message"] else turned(each, chance) for each in files[name]]  # type: ignore[operator]
        entries += data.draw(st.lists(st.sampled_from(files[name]), max_size=2)) if files[name] else []
        chance.shuffle(entries)
        again[name] = "".join(json.dumps(each) + "\n" for each in entries).encode()

    first, second = recount(Memory(once)), recount(Memory(again))

    assert second.replies == first.replies
    assert second.project_names == first.project_names
    assert {reply.key for reply in first.replies} == first.sightings.keys()


def turned(value: dict[str, object], chance: random.Random) -> dict[str, object]:
    """The same object with its keys in another order."""
    names = chance.sample(sorted(value), len(value))
    return {name: turned(inner, chance) if isinstance(inner := copy.copy(value[name]), dict) else inner for name in names}


# More data, where somebody has it beside the checkout


def sums(replies: list[Reply]) -> dict[str, int]:
    tokens = [reply.tokens for reply in replies]
    return {
        "messages": len(replies),
        "final": sum(reply.final for reply in replies),
        "fast": sum(reply.speed == "fast" for reply in replies),
        "input": sum(each.input for each in tokens),
        "output": sum(each.output for each in tokens),
        "cache_read": sum(each.cache_read for each in tokens),
        "cache_write_5m": sum(each.cache_write_5m for each in tokens),
        "cache_write_1h": sum(each.cache_write_1h for each in tokens),
    }


def grouped(replies: list[Reply], names: Iterator[str]) -> dict[str, list[Reply]]:
    groups: dict[str, list[Reply]] = {}
    for reply, name in zip(replies, names, strict=True):
        groups.setdefault(name, []).append(reply)
    return groups


@pytest.mark.skipif(not (MORE_DATA / "real-logs").is_dir(), reason="no logs beside the checkout")
def test_real_logs() -> None:
    """Totals, days and models of real logs are what another script counted."""
    truth = json.loads((MORE_DATA / "real-logs/truth.json").read_bytes())
    found = recount(Disk(MORE_DATA / "real-logs/projects"))
    days = grouped(found.replies, (periods.day_of(reply.at_ms, UTC).isoformat() for reply in found.replies))
    models = grouped(found.replies, (reply.model for reply in found.replies))
    assert sums(found.replies) == truth["total"]
    assert {day: sums(replies) for day, replies in days.items()} == truth["day"]
    assert {model: sums(replies) for model, replies in models.items()} == truth["model"]
    assert (found.files, found.malformed_lines, found.problems) == (truth["files"], 0, [])


@pytest.mark.skipif(not (MORE_DATA / "corpus/make_corpus.py").is_file(), reason="no generator beside the checkout")
def test_generated_logs(tmp_path: Path) -> None:
    """Made-up logs with every fault the generator knows add up to what it says it wrote."""
    folder = tmp_path / "corpus"
    faults = ["--bytes=3M", "--files=30", "--dup-rate=0.3", "--asides=0.3", "--no-request-id-rate=0.02", "--dirty", "--spaced-rate=0.1"]
    generator = [sys.executable, str(MORE_DATA / "corpus/make_corpus.py"), f"--out={folder}", "--no-verify", *faults]
    subprocess.run(generator, check=True, capture_output=True)
    truth = json.loads((folder / "truth.json").read_bytes())
    replies = recount(Disk(folder / "projects")).replies
    models = grouped(replies, (reply.model for reply in replies))
    for name, mine in [(None, replies), *models.items()]:
        theirs = Counter(truth["totals"] if name is None else truth["by_model"][name])
        ours = sums(mine)
        assert (ours["messages"], ours["input"], ours["output"]) == (theirs["messages"], theirs["input_tokens"], theirs["output_tokens"])
        assert ours["cache_read"] == theirs["cache_read_input_tokens"]
        assert ours["cache_write_5m"] + ours["cache_write_1h"] == theirs["cache_creation_input_tokens"]
        assert sum(reply.web_searches for reply in mine) == theirs["web_search"]
    assert models.keys() == truth["by_model"].keys()


# What was forgotten


def test_without_some_requests() -> None:
    """All is resolved anew as if their lines were not there; what is left of a shared id may have another key."""
    both = [
        line(id="msg_1", requestId="r1", usage=out(3)),
        line(id="msg_1", requestId="r2", usage=out(4)),
        line(id="msg_2", requestId="r1", usage=out(5)),
    ]
    counted = count(*both)
    assert counted.requests == {("msg_1", "r1"), ("msg_1", "r2"), ("msg_2", "r1")}
    rest = counted.without({("msg_1", "r1"), ("msg_2", "r1")})
    assert [(reply.key, reply.tokens.output) for reply in rest.replies] == [("msg_1", 4)]
    assert {key: len(places) for key, places in rest.sightings.items()} == {"msg_1": 1}
    assert (rest.files, rest.bytes_read, rest.malformed_lines) == (counted.files, counted.bytes_read, counted.malformed_lines)
    assert counted.without(set()) == counted
