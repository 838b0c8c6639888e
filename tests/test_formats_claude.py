"""Tests of `tokentail.formats`: Claude Code's folders, paths and lines."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from logs import AT, USAGE, coordinator, entry, joined, line, log_file
from tokentail.formats import FORMATS, Entry, Parsed
from tokentail.formats.claude import (
    Claude,
    decode_all,
    group_of,
    is_whole,
    owner_of,
    parse_line,
    parse_timestamp,
    place_of,
    read_usage,
    text,
)
from tokentail.formats.claude_lines import ClaudeLines
from tokentail.model import INVALID_COUNT, MAX_COUNT, SPLIT_MISMATCH, SYNTHETIC_MODEL, TTL_ASSUMED, Extra, LogFile, Owner, Record, Tokens
from tokentail.recount import recount
from tokentail.sources import LocalFolders

FILE = log_file()


def general(data: bytes, file: LogFile) -> Parsed:
    """The rules R1 to R6, by the general functions alone."""
    objects, malformed = decode_all(data)
    entries: list[Entry] = []
    for value, own_bytes in objects:
        record = record_of(value, data if len(objects) == 1 and not malformed and is_whole(data, own_bytes) else own_bytes, file)
        if record is not None:
            entries.append(Entry(record, text(value.get("cwd"))))
    return Parsed(entries, malformed)


def record_of(value: dict[str, Any], own_bytes: bytes, file: LogFile) -> Record | None:
    message = value.get("message")
    if value.get("type") != "assistant" or not isinstance(message, dict) or not isinstance(message.get("usage"), dict):
        return None
    stamp, model = value.get("timestamp"), text(message.get("model"))
    at_ms = parse_timestamp(stamp) if isinstance(stamp, str) else None
    if at_ms is None or model in ("", SYNTHETIC_MODEL):
        return None
    reading = read_usage(message["usage"])
    stopped = message.get("stop_reason") is not None
    copied = value.get("sessionKind") == "bg" or value.get("forkedFrom") is not None
    return Record(
        group=group_of(text(message.get("id")), text(value.get("uuid")), own_bytes),
        request_id=text(value.get("requestId")),
        sidechain=value.get("isSidechain") is True,
        at_ms=at_ms,
        model=model,
        version=text(value.get("version")),
        tokens=reading.tokens,
        thinking=reading.thinking,
        form=reading.form,
        flags=reading.flags,
        stopped=stopped,
        final=stopped,
        web_searches=reading.web_searches,
        owner=owner_of(place_of(file), copied, text(value.get("sessionId")), text(value.get("agentId"))),
    )


def parse(data: bytes, file: LogFile = FILE) -> Parsed:
    return ClaudeLines().parse_line(data.rstrip(b"\n"), file)


def only(data: bytes, file: LogFile = FILE) -> Record:
    (found,) = parse(data, file).entries
    return found.record


# Made by a seeded generator and not by Hypothesis strategies, which are a hundred times slower: odd lines are rare, so it takes many.

WORDS = ["standard", "fast", "us", "us1", "us2", "eu-west-1", "eu-west-2", "", "a b", "x" * 60, "\u0661", "\x7fextras", "\ud800"]
ODD = [
    *(None, True, False, 0, -1, 3, MAX_COUNT + 1, 2**70, -(2**70), 10**45),
    *(1.0, 1e2, -0.0, 2.5, float("nan"), float("inf"), "7", "", "word", [], {}, [1], {"a": 1}),
]
STAMPS = [
    *(AT, AT, AT, "2026-10-01T10:00:00.001Z", "2026-10-01T09:00:00.000Z", "2026-02-30T12:00:00.000Z", "2026-03-01T12:00:00.000Z"),
    *("2026-W01-1T12:00:00.000Z", "2026-10-01 12:00:00.000Z", "2026-10-01T10:00:00,002Z", "2026-10-01T10:00:00+02:00", "2026-10-01"),
    *("1969-01-01T00:00:00Z", "", "yesterday", "20261001T120000.0000000Z", "9999-12-31T23:59:59-12:00"),
]


STYLES: list[dict[str, Any]] = [{}, {"separators": (",", ":")}, {"separators": (" , ", " : ")}, {"sort_keys": True}]


class Maker:
    """Makes lines: each field is as usual most of the time, so that a line with one oddity is common."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.style: dict[str, Any] = self.rng.choice(STYLES)

    def pick(self, *usual: object, odds: int = 25) -> Any:
        return self.rng.choice(ODD) if self.rng.randrange(odds) == 0 else self.rng.choice(usual)

    def some(self, **values: object) -> dict[str, Any]:
        return {name: value for name, value in values.items() if self.rng.randrange(2)}

    def count(self) -> Any:
        return self.pick(0, 1, 3, 7, 12, 340, MAX_COUNT, MAX_COUNT - 1)

    def split(self) -> Any:
        first, second = (0, 0) if self.rng.randrange(4) == 0 else (self.count(), self.pick(0, 5))
        return self.pick({"ephemeral_5m_input_tokens": first, "ephemeral_1h_input_tokens": second}, odds=15)

    def counts(self) -> dict[str, Any]:
        split = self.split()
        regular = isinstance(split, dict) and all(type(value) is int for value in split.values())
        counts = {"input_tokens": self.count(), "output_tokens": self.count(), "cache_read_input_tokens": self.count()}
        counts["cache_creation_input_tokens"] = sum(split.values()) if regular and self.rng.randrange(5) else self.count()
        return counts | self.some(cache_creation=split)

    def usage(self) -> Any:
        usage = self.counts() | self.some(
            service_tier=self.pick(*WORDS),
            inference_geo=self.pick(*WORDS),
            speed=self.pick(*WORDS),
            server_tool_use=self.pick(self.some(web_search_requests=self.count(), web_fetch_requests=self.count())),
            output_tokens_details=self.pick(self.some(thinking_tokens=self.count())),
        )
        match self.rng.randrange(8):
            case 0:
                usage["iterations"] = [
                    {"type": "message"} | {name: usage[name] for name in USAGE if name in usage and name != "service_tier"}
                ]
            case 1:
                kinds = ("message", "fallback_message", "compaction", "advisor_message")
                usage["iterations"] = [{"type": self.pick(*kinds)} | self.counts() | self.some(model=self.pick(*WORDS)) for _ in range(2)]
            case 2 if self.rng.randrange(3) == 0:
                usage[self.rng.choice(WORDS)] = self.rng.choice(ODD)
            case 3 if self.rng.randrange(3) == 0:
                del usage[self.rng.choice(sorted(usage))]
        return self.pick(usage, odds=60)

    def entry(self) -> dict[str, Any]:
        message = {
            "id": self.pick("msg_1", "msg_1", "msg_2", "", "uuid:x", "a/b%"),
            "model": self.pick("claude-opus-5", "claude-opus-5", "claude-haiku-5-5", "<synthetic>"),
            "stop_reason": self.pick(None, "end_turn", "tool_use"),
            "usage": self.usage(),
        }
        fixed = {"type": self.pick("assistant", odds=60), "timestamp": self.pick(*STAMPS), "message": self.pick(message, odds=60)}
        return fixed | self.some(
            sessionId=self.pick("s1", "s1", "s2"),
            requestId=self.pick("r1", "r1", "r2"),
            uuid=self.pick("u1", ""),
            isSidechain=self.pick(False, True),
            agentId=self.pick("a1", ""),
            version=self.pick("2.1.229"),
            cwd=self.pick("/home/dev", *WORDS),
            sessionKind=self.pick("bg", "other", None),
            forkedFrom=self.pick(None, {"sessionId": "s0"}),
            content=self.pick(*WORDS),
        )

    def changed(self, entry: dict[str, Any]) -> dict[str, Any]:
        """The same but for one field, or for none."""
        other = self.entry()
        name = self.rng.choice(
            ["timestamp", "timestamp", "timestamp", "message.usage", "message.id", "message.model", "message.stop_reason", "", *other]
        )
        second = name.partition(".")[2]
        if second:
            both = isinstance(entry["message"], dict) and isinstance(other["message"], dict) and second in other["message"]
            return entry | {"message": entry["message"] | {second: other["message"][second]}} if both else entry
        return entry | {name: other[name]} if name else entry

    def text(self, value: object) -> str:
        return json.dumps(value, ensure_ascii=self.rng.randrange(2) == 0, **self.style)

    def spoiled(self, source: str) -> bytes:
        """The line as an odd writer could have left it."""
        rng = self.rng
        match rng.randrange(20):
            case 0:
                source += rng.choice(["", " ", "\t"]) + self.text(self.entry())
            case 1:
                source = source[: rng.randrange(len(source) + 1)]
            case 2:
                source = source.replace('"usage":', '"usage":{"input_tokens":1},"usage":', 1)
            case 3:
                source = source.replace('"output_tokens":', '"output_tokens":9,"output_tokens":', 1)
            case 4:
                source = source.replace("standard", "\\u0073tandard").replace("us", "u\\ud800s").replace("fast", "f\\u0061st")
            case 5:
                source = f" {source}\t "
            case 6:
                source = f"[{source}]"
        data = source.encode("utf-8", "surrogatepass")
        if rng.randrange(12) == 0:
            place = rng.randrange(len(data) + 1)
            data = data[:place] + rng.randbytes(rng.randrange(1, 4)) + data[place + rng.randrange(3) :]
        return data.replace(b"\n", b" ")


seeds = st.integers(0, 2**64)


# Lines


def check_quick_reading(seed: int) -> None:
    maker, parser = Maker(seed), ClaudeLines()
    current = maker.entry()
    for number in range(30):
        current = maker.changed(current) if maker.rng.randrange(3) else maker.entry()
        data = maker.spoiled(maker.text(current))
        # Each from a file of its own, so that no line passes for the repetition of the one before.
        file = log_file(inode=number)
        assert parser.parse_line(data, file) == parse_line(data, file) == general(data, file)


def check_repetitions(seed: int) -> None:
    maker, parser = Maker(seed), ClaudeLines()
    current = maker.entry()
    some = [maker.text(current := maker.changed(current)).encode("utf-8", "surrogatepass") for _ in range(6)]
    at_once = [found.record for data in some for found in parser.parse_line(data, FILE).entries]
    one_by_one = [found.record for data in some for found in ClaudeLines().parse_line(data, FILE).entries]
    assert joined(at_once) == joined(one_by_one)


@settings(deadline=None, max_examples=150)
@given(seeds)
def test_quick_reading_is_the_general_one(seed: int) -> None:
    """The typed path is only faster: for any bytes it gives what the general functions give, whatever was read before."""
    check_quick_reading(seed)


@settings(deadline=None, max_examples=800)
@given(seeds)
def test_a_repetition_adds_nothing(seed: int) -> None:
    """Taking a line for the repetition of the one before never changes what the lines join to."""
    check_repetitions(seed)


@pytest.mark.slow
@settings(deadline=None, max_examples=3000)
@given(seeds)
def test_quick_reading_and_repetitions_at_length(seed: int) -> None:
    """The same two rules, for a hundred thousand lines."""
    check_quick_reading(seed)
    check_repetitions(seed)


def test_line_after_one_with_an_impossible_time() -> None:
    """A line that does not count, for its time does not exist, hides no line that repeats it with a time that does."""
    parser = ClaudeLines()
    assert parser.parse_line(line(at="2026-02-30T12:00:00.000Z"), FILE).entries == []
    assert len(parser.parse_line(line(at="2026-03-01T12:00:00.000Z"), FILE).entries) == 1


def test_times_in_unlike_spellings_are_not_compared_as_texts() -> None:
    """Of a time as a week and one as a date the earlier moment counts, not the smaller text."""
    parser = ClaudeLines()
    some = [line(at="2026-10-01T12:00:00.000Z"), line(at="2026-W01-1T12:00:00.000Z")]
    (record,) = joined(found.record for data in some for found in parser.parse_line(data, FILE).entries).values()
    assert record.at_ms == parse_timestamp("2025-12-29T12:00:00Z")


def test_names_that_differ_in_a_digit() -> None:
    """What a usage object says in words is kept apart, even where only a digit differs."""
    parser = ClaudeLines()
    forms = [parser.parse_line(line(f"m{geo}", usage={"inference_geo": geo}), FILE).entries[0].record.form for geo in ("eu-1", "eu-2")]
    assert '"eu-1"' in forms[0]
    assert '"eu-2"' in forms[1]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(line(type="user"), id="a prompt"),
        pytest.param(line(type=None), id="no type"),
        pytest.param(line(model="<synthetic>"), id="made locally"),
        pytest.param(line(model=""), id="no model"),
        pytest.param(line(model=None), id="null model"),
        pytest.param(line(at="soon"), id="no time"),
        pytest.param(line(at=None), id="time missing"),
        pytest.param(line(usage=[1]), id="usage is a list"),
        pytest.param(b'{"type":"assistant","message":"usage"}', id="message is text"),
        pytest.param(b'{"type":"progress","data":{"message":' + line() + b"}}", id="a copy inside progress"),
        pytest.param(b'{"type":"user","toolUseResult":{"usage":{"input_tokens":5}}}', id="a tool's result"),
        pytest.param(b"[1]", id="no object"),
        pytest.param(b'"usage"', id="a string"),
    ],
)
def test_line_that_does_not_count(data: bytes) -> None:
    """R2: what is no answer of a model with usage and a time is passed over, and is not malformed."""
    assert parse(data) == Parsed([], "")


def test_ordinary_line() -> None:
    """A line gives its record, and the folder that was worked in."""
    assert parse(line()).entries == [
        Entry(
            Record(
                group="msg_1",
                request_id="req_msg_1",
                sidechain=False,
                at_ms=1_790_848_800_000,
                model="claude-opus-5",
                version="2.1.229",
                tokens=Tokens(4, 310, 2000, 0, 300),
                thinking=0,
                form=only(line()).form,
                flags=0,
                stopped=True,
                final=True,
                web_searches=0,
                owner=Owner(False, False, "s1", "-home-dev-app", ""),
            ),
            "/home/dev/app",
        )
    ]


@pytest.mark.parametrize(
    ("usage", "tokens", "flags"),
    [
        ({"cache_creation": None}, Tokens(4, 310, 2000, 300, 0), TTL_ASSUMED),
        ({"cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0}}, Tokens(4, 310, 2000, 300, 0), TTL_ASSUMED),
        ({"cache_creation": {"ephemeral_5m_input_tokens": 7, "ephemeral_1h_input_tokens": 1}}, Tokens(4, 310, 2000, 7, 1), SPLIT_MISMATCH),
        ({"input_tokens": None}, Tokens(0, 310, 2000, 0, 300), 0),
        ({"input_tokens": -1}, Tokens(0, 310, 2000, 0, 300), INVALID_COUNT),
        ({"input_tokens": "9"}, Tokens(0, 310, 2000, 0, 300), INVALID_COUNT),
        ({"input_tokens": True}, Tokens(0, 310, 2000, 0, 300), INVALID_COUNT),
        ({"input_tokens": 1.0}, Tokens(0, 310, 2000, 0, 300), INVALID_COUNT),
        ({"input_tokens": MAX_COUNT}, Tokens(MAX_COUNT, 310, 2000, 0, 300), 0),
        ({"input_tokens": MAX_COUNT + 1}, Tokens(0, 310, 2000, 0, 300), INVALID_COUNT),
        ({"input_tokens": 10**5000}, Tokens(0, 310, 2000, 0, 300), INVALID_COUNT),
    ],
)
def test_counts(usage: dict[str, object], tokens: Tokens, flags: int) -> None:
    """R5: what is missing is 0, what is no count is 0 and flagged, cache writes without a split are of five minutes."""
    sys.set_int_max_str_digits(0)
    try:
        data = line(usage=usage)
    finally:
        sys.set_int_max_str_digits(4300)
    record = only(data)
    assert (record.tokens, record.flags) == (tokens, flags)


def test_bytes_that_are_no_text_spoil_only_their_place() -> None:
    """R1: bytes that are not UTF-8 are replaced, and the line counts."""
    assert only(line().replace(b"/home/dev/app", b"/home/\xff\xfe/app")).tokens.output == 310


def test_two_objects_on_a_line() -> None:
    """R1: objects one after another are taken each as a line."""
    found = parse(line("msg_1").strip() + line("msg_2").strip() + b'{"type":"summary"}')
    assert [found_entry.record.group for found_entry in found.entries] == ["msg_1", "msg_2"]
    assert found.malformed == ""


def test_objects_before_an_error_count() -> None:
    """R1: the rest of the line is malformed, and the reason quotes nothing of it."""
    found = parse(line("msg_1").strip() + b'{"secret words"')
    assert [found_entry.record.group for found_entry in found.entries] == ["msg_1"]
    assert found.malformed.startswith("not JSON")
    assert "secret" not in found.malformed


def test_extra_iterations() -> None:
    """R6: what is billed besides the message is kept with it, at its own model."""
    spent = {"type": "compaction", "model": "claude-haiku-5-5", "input_tokens": 180_000, "output_tokens": 3_500}
    from tokentail import merge

    record = only(line(usage={"iterations": [spent, {"type": "message", "input_tokens": 9}]}))
    assert merge.form_of(record.form).extras == (Extra("claude-haiku-5-5", Tokens(180_000, 3_500)),)


# Places

PLACES = [
    # relative, root, project, session, subagent, agent
    ("-home-app/s1.jsonl", "/h/.claude/projects", "-home-app", "line", False, ""),
    ("-home-app/agent-1a2b.jsonl", "/h/.claude/projects", "-home-app", "line", True, "1a2b"),
    ("-home-app/s9/subagents/agent-a1.jsonl", "/h/.claude/projects", "-home-app", "s9", True, "a1"),
    ("-home-app/s9/subagents/workflows/wf_1/agent-a1.jsonl", "/h/.claude/projects", "-home-app", "s9", True, "a1"),
    ("projects/-home-app/s1.jsonl", "/h/.claude", "-home-app", "line", False, ""),
    ("projects/-home-app/s9/subagents/agent-a1.jsonl", "/h/.claude", "-home-app", "s9", True, "a1"),
    ("one/.claude/projects/-home-app/s1.jsonl", "/backup", "-home-app", "line", False, ""),
    ("projects/projects/s1.jsonl", "/h/.claude", "projects", "line", False, ""),
    ("s1.jsonl", "/h/.claude/projects/-home-app", "-home-app", "line", False, ""),
    ("s9/subagents/agent-a1.jsonl", "/h/.claude/projects/-home-app", "-home-app", "s9", True, "a1"),
    ("agent-a1.jsonl", "/h/.claude/projects/-home-app/s9/subagents", "-home-app", "s9", True, "a1"),
    ("s1.jsonl", "/loose/logs", "logs", "line", False, ""),
    ("deep/er/s1.jsonl", "/loose/logs", "er", "line", False, ""),
    ("app/s1.jsonl", "/home/x/projects", "app", "line", False, ""),
    ("s1.jsonl", "/home/x/projects", "projects", "line", False, ""),
    ("s1.jsonl", "/", "", "line", False, ""),
    ("-home-app/s1.jsonl.2", "/h/.claude/projects", "-home-app", "line", False, ""),
    ("-a b\n\x1b[31m/s1.jsonl", "/h/.claude/projects", "-a b\n\x1b[31m", "line", False, ""),
    ("-\udcff/s1.jsonl", "/h/.claude/projects", "-\ufffd", "line", False, ""),
    ("=cmd()/agent-\udcff.jsonl", "/h/.claude/projects", "=cmd()", "line", True, "\ufffd"),
    ("../s1.jsonl", "/h/.claude/projects", "..", "line", False, ""),
    (".jsonl", "/h/.claude/projects", "projects", "line", False, ""),
]


@pytest.mark.parametrize(("relative", "root", "project", "session", "subagent", "agent"), PLACES)
def test_place(relative: str, root: str, project: str, session: str, subagent: bool, agent: str) -> None:
    """R7: project, session and agent by the path, however the folder was given and whatever its names hold."""
    record = only(line(sessionId="line"), log_file(relative, root=root))
    assert record.owner == Owner(False, subagent, session, project, agent)


def test_session_by_the_file_name() -> None:
    """A line that names no session belongs to the one that its file is named for."""
    assert only(line(sessionId=None), log_file("-home-app/s7.jsonl")).owner.session == "s7"


def test_agent_of_the_line() -> None:
    """What the line says of its agent goes before the name of the file."""
    assert only(line(agentId="a9"), log_file("-home-app/s7/subagents/agent-a1.jsonl")).owner.agent == "a9"


@pytest.mark.parametrize("mark", [{"sessionKind": "bg"}, {"forkedFrom": {"sessionId": "s0"}}])
def test_copies_are_marked(mark: dict[str, object]) -> None:
    """R7: copies that say what they are own nothing while an original is there."""
    assert only(line(**mark)).owner.copied


@settings(deadline=None, max_examples=200)
@given(st.lists(st.text(st.characters(exclude_characters="/\0"), min_size=1, max_size=8), min_size=1, max_size=6))
def test_any_path_has_a_place(parts: list[str]) -> None:
    """No name of a folder can do harm, and what may be stored is free of lone surrogates."""
    place = place_of(log_file("/".join(parts) + ".jsonl", root="/r"))
    for name in (place.project, place.session, place.fallback_session, place.agent):
        name.encode()


# Folders


def folders(environment: dict[str, str], home: Path) -> list[str]:
    return [str(folder) for folder in Claude().default_folders(environment, home)]


def test_usual_folders() -> None:
    """Without a word in the environment: the two places under the home folder."""
    assert folders({}, Path("/h")) == ["/h/.claude/projects", "/h/.config/claude/projects"]


def test_config_dir() -> None:
    """CLAUDE_CONFIG_DIR names folders with commas between them; one that ends in `projects` is taken as it is."""
    found = folders({"CLAUDE_CONFIG_DIR": "/a, /b/projects,, /c/"}, Path("/h"))
    assert found[:3] == ["/a/projects", "/b/projects", "/c/projects"]
    assert found[3:] == ["/h/.claude/projects", "/h/.config/claude/projects"]


def test_config_dir_in_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` means the home folder there too."""
    monkeypatch.setenv("HOME", "/h")
    assert folders({"CLAUDE_CONFIG_DIR": "~/work"}, Path("/h"))[0] == "/h/work/projects"


def test_xdg_config_home() -> None:
    """XDG_CONFIG_HOME moves the second place."""
    assert folders({"XDG_CONFIG_HOME": "/x"}, Path("/h")) == ["/h/.claude/projects", "/x/claude/projects"]


@pytest.mark.parametrize("base", [".config/Claude", "Library/Application Support/Claude"])
def test_desktop_folders(base: str, tmp_path: Path) -> None:
    """Each local session of Claude Desktop has a projects folder of its own."""
    folder = tmp_path / base / "local-agent-mode-sessions" / "org" / "ws" / "local_1" / ".claude" / "projects"
    folder.mkdir(parents=True)
    assert folders({}, tmp_path)[-1] == str(folder)


# Privacy

SECRET = "xyzzy plugh"


def secretive_lines() -> list[bytes]:
    """Lines with marked words in every place where a conversation could stand."""
    block = [{"type": "text", "text": SECRET}, {"type": "tool_use", "input": {"usage": {"input_tokens": 5, "note": SECRET}}}]
    usage = {
        "service_tier": f"{SECRET} {'words ' * 10}",
        f"{SECRET} as a key, long enough to be prose": 1,
        "note": {"deep": f"{SECRET} {'x' * 60}"},
    }
    outer = {"toolUseResult": {"stdout": SECRET, "usage": {"input_tokens": 3}}, "summary": SECRET, "customTitle": SECRET, "slug": SECRET}
    return [
        line("m1", content=block, gitBranch=SECRET, **outer),
        line("m2", content=SECRET, usage=usage),
        line("m3", usage={"input_tokens": SECRET, "output_tokens": [SECRET]}, isSidechain=SECRET, forkedFrom={"messageUuid": SECRET}),
        line("m4", usage={"iterations": [{"type": "compaction", "input_tokens": 4, "text": f"{SECRET} {SECRET} {SECRET} {SECRET}"}]}),
        line("", uuid=None, content=block),
        line("m5", stop_reason=SECRET, error=SECRET),
        line("m6").strip() + b'{"usage": "' + SECRET.encode() + b'" oops}\n',
        b'{"type":"user","message":{"role":"user","content":"' + SECRET.encode() + b' says \\"usage\\""},"usage":1}\n',
        b'{"type":"summary","summary":"' + SECRET.encode() + b'","usage":{}}\n',
        b'"usage" ' + SECRET.encode() + b"\n",
        b'{"type":"assistant","message":{"content":"' + SECRET.encode() + b'","usage":{"x": nope}}}\n',
    ]


@pytest.mark.parametrize("data", secretive_lines())
def test_content_never_enters_a_record(data: bytes) -> None:
    """Of a line only counts, ids, times and names are kept, and why it is malformed is said without quoting it."""
    assert SECRET not in repr(parse(data))


def test_content_never_enters_the_store(tmp_path: Path) -> None:
    """No byte of a conversation reaches the files of the store, whether its line counts, is malformed or is half written."""
    folder = tmp_path / "logs" / "-app"
    folder.mkdir(parents=True)
    log = folder / "s1.jsonl"
    log.write_bytes(b"".join(secretive_lines()) + b'{"type":"assistant","usage":"' + SECRET.encode())
    live = coordinator(tmp_path)
    metrics = live.check_for_updates().metrics
    assert (metrics.replies_new, metrics.malformed_lines) == (7, 3)
    written = b"".join(path.read_bytes() for path in sorted(tmp_path.glob("store.db*")))
    live.close()
    assert b"claude-opus-5" in written
    assert SECRET.encode() not in written
    assert SECRET.encode() not in (tmp_path / "store.db").read_bytes()


def test_recount_says_nothing_of_the_content_either(tmp_path: Path) -> None:
    """The independent re-read names a malformed line by its place and what is wrong with it."""
    folder = tmp_path / "-app"
    folder.mkdir()
    (folder / "s1.jsonl").write_bytes(b"".join(secretive_lines()))
    assert SECRET not in repr([rejected.reason for rejected in recount(LocalFolders([tmp_path])).rejects])


def test_the_decoder_is_loaded_when_the_first_line_is_read() -> None:
    """A pass that finds nothing new does without the decoder's library."""
    loaded = "print('msgspec' in sys.modules)"
    code = f"import sys; from tokentail.formats import FORMATS; {loaded}; FORMATS[0].line_parser(1 << 40); {loaded}"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "src")}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    assert done.stdout.split() == ["False", "True"]


def test_the_mark_is_in_every_line_that_counts() -> None:
    """Lines without the mark are not parsed at all, so no line that counts may lack it."""
    assert FORMATS[0].mark in json.dumps(entry(), separators=(", ", " : ")).encode()
