"""The only place that knows Claude Code's logs: where they are, what a path says (R7) and what an entry means (R2, R5, R6)."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

from tokentail import merge
from tokentail.digest import hex_digest
from tokentail.formats.parsed import Entry, LineParser, Look, Parsed
from tokentail.model import (
    INVALID_COUNT,
    MAX_COUNT,
    SPLIT_MISMATCH,
    SYNTHETIC_MODEL,
    TTL_ASSUMED,
    USAGE_MARK,
    LogFile,
    Owner,
    Record,
    Tokens,
    is_word,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  # for times without a zone, which are UTC
_MILLISECOND = timedelta(milliseconds=1)
_SURROGATES = re.compile("[\ud800-\udfff]")
_MESSAGE_KINDS = ("message", "fallback_message")  # R6: iterations that the top level bills already
QUICK_FROM_BYTES = 256_000  # from here on the quick parser saves more than its import takes
_NO_COUNT = -1  # what an integer too long for Python's own parser is read as


class Claude:
    """Claude Code, and the sessions that Claude Desktop keeps in the same format."""

    mark = USAGE_MARK

    def default_folders(self, environment: Mapping[str, str], home: Path) -> list[Path]:
        """
        All places that are read without `--source`.

        Source: code.claude.com/docs "claude-directory" (CLAUDE_CONFIG_DIR; several with commas, and a path that ends in
        `projects`, as ccusage takes them); `~/.config/claude` was used by some 1.x versions.
        """
        folders = []
        for part in environment.get("CLAUDE_CONFIG_DIR", "").split(","):
            if part.strip():
                folder = Path(part.strip()).expanduser()
                folders.append(folder if folder.name == "projects" else folder / "projects")
        configs = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
        folders += [home / ".claude" / "projects", configs / "claude" / "projects"]
        folders += _desktop_folders(home / "Library" / "Application Support" / "Claude", configs / "Claude")
        return folders

    def place(self, file: LogFile) -> tuple[object, ...]:
        """All that R7 takes from the path, but for the name that stands in for a missing session: no real line lacks one."""
        place = place_of(file)
        return place.project, place.session, place.subagent, place.agent

    def session(self, file: LogFile) -> str:
        """The session that a log is one of, by its path; "" where only its lines say."""
        place = place_of(file)
        return place.session or ("" if place.subagent else place.fallback_session)

    def look_at(self, line: bytes, file: LogFile) -> list[Look]:
        """What `parse_line` gives, and how much content stands beside the usage."""
        from tokentail.formats.claude_content import look_at  # counting does without

        return look_at(line, file)

    def line_parser(self, expected_bytes: int) -> LineParser:
        """Both parsers give the same; the quick one takes 30 ms to import."""
        if expected_bytes < QUICK_FROM_BYTES:
            return parse_line
        from tokentail.formats.claude_lines import ClaudeLines

        return ClaudeLines().parse_line


class Place(NamedTuple):
    """What the path of a log says about its lines."""

    project: str
    session: str  # "" where the line's own sessionId decides
    fallback_session: str
    subagent: bool
    agent: str


class Reading(NamedTuple):
    """What R5 and R6 make of one usage object."""

    tokens: Tokens
    thinking: int
    web_searches: int
    flags: int
    form: str


def place_of(file: LogFile) -> Place:
    """
    Project, session and agent by the path: `<project>/<session>.jsonl`, `<project>/agent-<id>.jsonl` or
    `<project>/<session>/subagents/**/agent-<id>.jsonl`, under a folder `projects` or loose.
    """
    return _place_of(file.root, file.relative)


@lru_cache(maxsize=4096)
def _place_of(root: str, relative: str) -> Place:
    folders = [part for part in relative.split("/")[:-1] if part]
    above = [part for part in root.split(os.sep) if part]
    # Of the folders above the searched one, only its own name can mean something: /home/x/projects/ is just a folder.
    if above and above[-1] in _TELLING:
        folders.insert(0, above.pop())
    stem = relative.rpartition("/")[2].partition(".jsonl")[0]
    project, inside = _project(above, folders)
    nested = "subagents" in inside
    subagent = nested or stem.startswith("agent-")
    agent = stem.removeprefix("agent-") if subagent else ""
    way = [*above, *folders]
    before = len(way) - len(inside) + inside.index("subagents") - 1 if nested else -1
    session = way[before] if before >= 0 else ""
    return Place(clean(project), clean(session), clean(stem), subagent, clean(agent))


_TELLING = ("projects", "subagents")


def _project(above: list[str], folders: list[str]) -> tuple[str, list[str]]:
    """The project's slug, and the folders between it and the file."""
    marks = [index for index, part in enumerate(folders[:-1]) if part == "projects"]
    if marks:
        return folders[marks[-1] + 1], folders[marks[-1] + 2 :]
    full = [*above, *folders]
    if "subagents" in folders:
        index = len(above) + folders.index("subagents")
        return full[index - 2 if index >= 2 else -1], full[index:]
    return (full[-1] if full else ""), []


def parse_line(line: bytes, file: LogFile) -> Parsed:
    """
    Take the usage out of one line of a session log, however odd it is (R1, R2).

    Args:
        line: complete, without its line end and byte order mark.

    Returns:
        No entries for the lines that carry no usage of their own: prompts, tool results, progress.

    Source: session logs of versions 1.0.24 to 2.1.229. There is no published schema.
    """
    objects, malformed = decode_all(line)
    place = place_of(file)
    alone = len(objects) == 1 and not malformed and is_whole(line, objects[0][1])
    entries = [entry_of(value, line if alone else own_bytes, place) for value, own_bytes in objects]
    return Parsed([entry for entry in entries if entry is not None], malformed)


def entry_of(value: dict[str, Any], own_bytes: bytes, place: Place) -> Entry | None:
    """The entry of one object of a line; None when it is none that counts (R2)."""
    message = value.get("message")
    if value.get("type") != "assistant" or not isinstance(message, dict) or not isinstance(message.get("usage"), dict):
        return None
    model, at_ms = text(message.get("model")), parse_timestamp(text(value.get("timestamp")))
    if model in ("", SYNTHETIC_MODEL) or at_ms is None:
        return None
    reading, stopped = read_usage(message["usage"]), message.get("stop_reason") is not None
    copied = value.get("sessionKind") == "bg" or value.get("forkedFrom") is not None
    record = Record(
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
        owner=owner_of(place, copied, text(value.get("sessionId")), text(value.get("agentId"))),
    )
    return Entry(record, text(value.get("cwd")))


def read_usage(usage: dict[str, Any]) -> Reading:
    """R5 and R6 for any usage object, however odd; the typed reader of `claude_lines` does the regular ones faster."""
    counts = _Counts()
    tokens = counts.tokens(usage)
    details, tools = usage.get("output_tokens_details"), usage.get("server_tool_use")
    thinking = counts.take(details.get("thinking_tokens")) if isinstance(details, dict) else 0
    searches = counts.take(tools.get("web_search_requests")) if isinstance(tools, dict) else 0
    iterations = usage.get("iterations")
    extras = [
        (text(entry.get("model")), list(own))
        for entry in (iterations if isinstance(iterations, list) else [])
        if isinstance(entry, dict) and entry.get("type") not in _MESSAGE_KINDS and any(own := _Counts().tokens(entry))
    ]
    form = _form(usage, tokens, thinking, counts.flags, extras)
    return Reading(tokens, thinking, searches, counts.flags, form)


class _Counts:
    """Reads counts by R1 and R5, and remembers in `flags` what was unusual."""

    def __init__(self) -> None:
        self.flags = 0

    def take(self, value: object) -> int:
        """A count; what is missing or null is 0, what is no count is 0 and flagged."""
        if is_count(value):
            return value
        if value is not None:
            self.flags |= INVALID_COUNT
        return 0

    def tokens(self, usage: dict[str, Any]) -> Tokens:
        split = usage.get("cache_creation")
        write_5m = self.take(split.get("ephemeral_5m_input_tokens")) if isinstance(split, dict) else 0
        write_1h = self.take(split.get("ephemeral_1h_input_tokens")) if isinstance(split, dict) else 0
        total = self.take(usage.get("cache_creation_input_tokens"))
        if write_5m + write_1h == 0 < total:
            write_5m = total
            self.flags |= TTL_ASSUMED
        elif 0 < write_5m + write_1h != total:
            self.flags |= SPLIT_MISMATCH
        return Tokens(
            self.take(usage.get("input_tokens")),
            self.take(usage.get("output_tokens")),
            self.take(usage.get("cache_read_input_tokens")),
            write_5m,
            write_1h,
        )


def is_count(value: object) -> TypeGuard[int]:
    """R1: a whole number from 0 to 2^53, and no boolean."""
    return type(value) is int and 0 <= value <= MAX_COUNT


def _form(usage: dict[str, Any], tokens: Tokens, thinking: int, flags: int, extras: list[tuple[str, list[int]]]) -> str:
    """The usage's canonical JSON, blanked wherever a record can fill the number in again (merge.canonical)."""
    blanks = _Blanks()
    form = blanks.counters(usage, tokens, split_assumed=bool(flags & TTL_ASSUMED))
    details = usage.get("output_tokens_details")
    if isinstance(details, dict) and is_count(details.get("thinking_tokens")):
        form["output_tokens_details"] = {**details, "thinking_tokens": blanks.mark(merge.THINKING)}
    iterations = usage.get("iterations")
    if isinstance(iterations, list) and len(iterations) == 1 and _mirrors(iterations[0], usage):
        form["iterations"] = [blanks.counters(iterations[0], tokens, split_assumed=bool(flags & TTL_ASSUMED))]
    form = {_without_prose(key): _without_prose(value) for key, value in form.items()}
    if extras:
        form[merge.EXTRAS] = extras
    return blanks.fill(_canonical_json(form))


def _mirrors(iteration: object, usage: dict[str, Any]) -> bool:
    """Does a lone iteration say what the top level says?"""
    names = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation")
    return (
        isinstance(iteration, dict)
        and iteration.get("type") == "message"
        and all(iteration.get(name) == usage.get(name) and type(iteration.get(name)) is type(usage.get(name)) for name in names)
    )


class _Blanks:
    """Stand-ins for blanks while the form is still an object; the control characters themselves would be escaped."""

    def __init__(self) -> None:
        self._nonce = os.urandom(8).hex()

    def mark(self, blank: str) -> str:
        return f"{self._nonce}{ord(blank)}"

    def fill(self, dumped: str) -> str:
        # Not by a pattern: to compile one for each line takes longer than all the rest.
        for blank in range(1, 8):
            dumped = dumped.replace(f'"{self._nonce}{blank}"', chr(blank))
        return dumped

    def counters(self, usage: dict[str, Any], tokens: Tokens, *, split_assumed: bool) -> dict[str, Any]:
        form = dict(usage)
        own = (
            ("input_tokens", merge.INPUT, tokens.input),
            ("output_tokens", merge.OUTPUT, tokens.output),
            ("cache_read_input_tokens", merge.CACHE_READ, tokens.cache_read),
        )
        for name, blank, count in own:
            if is_count(usage.get(name)) and usage[name] == count:
                form[name] = self.mark(blank)
        total = usage.get("cache_creation_input_tokens")
        if is_count(total) and total == tokens.cache_write_5m + tokens.cache_write_1h:
            form["cache_creation_input_tokens"] = self.mark(merge.WRITE_TOTAL)
        split = usage.get("cache_creation")
        if isinstance(split, dict) and not split_assumed:
            form["cache_creation"] = dict(split)
            writes = (
                ("ephemeral_5m_input_tokens", merge.WRITE_5M, tokens.cache_write_5m),
                ("ephemeral_1h_input_tokens", merge.WRITE_1H, tokens.cache_write_1h),
            )
            for name, blank, count in writes:
                if is_count(split.get(name)) and split[name] == count:
                    form["cache_creation"][name] = self.mark(blank)
        return form


def _without_prose(value: Any, levels: int = 20) -> Any:
    """
    The same JSON with every string that is no plain word replaced by its hash, in keys as in values, and all that lies
    deeper than `levels` too.

    A usage object says "standard" or "us", never a sentence; should one ever hold text, it must not enter the store.
    """
    if isinstance(value, str):
        return value if is_word(value) else "#" + hex_digest(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, dict | list | tuple) and not levels:
        return "#" + hex_digest(_canonical_json(value).encode("utf-8", "surrogatepass"))
    if isinstance(value, dict):
        return {_without_prose(key): _without_prose(item, levels - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_prose(item, levels - 1) for item in value]
    return value


def _canonical_json(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def decode_all(line: bytes) -> tuple[list[tuple[dict[str, Any], bytes]], str]:
    """
    Every JSON object of a line with its own bytes, and why the rest of the line is malformed ("" when all is sound).

    For the lines that the quick decoder refuses: several objects, bytes that are no UTF-8, lone surrogates (R1).
    """
    source = line.decode("utf-8", "replace")
    decoder = json.JSONDecoder(parse_int=_integer, parse_constant=_refuse_constant)
    objects: list[tuple[dict[str, Any], bytes]] = []
    position = _skip_space(source, 0)
    while position < len(source):
        try:
            value, end = decoder.raw_decode(source, position)
        except (ValueError, RecursionError) as error:
            return objects, reason_of(error)
        if isinstance(value, dict):
            objects.append((value, source[position:end].encode("utf-8", "replace")))
        position = _skip_space(source, end)
    return objects, ""


def is_whole(line: bytes, own_bytes: bytes) -> bool:
    """Is an object all that its line holds?"""
    return line.decode("utf-8", "replace").strip(" \t\r\n").encode("utf-8", "replace") == own_bytes


def reason_of(error: Exception) -> str:
    """Why a line could not be decoded, without a word of the line itself."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error.msg.split(':')[0].lower()} at character {error.pos}"
    return "not JSON"


def parse_timestamp(value: str) -> int | None:
    """Milliseconds since 1970, UTC; a time without a zone is UTC; None when it does not parse."""
    try:
        moment = datetime.fromisoformat(value)
        at_ms = (moment - (_EPOCH if moment.tzinfo else _NAIVE_EPOCH)) // _MILLISECOND
    except (ValueError, OverflowError):
        return None
    return at_ms if at_ms >= 0 else None


def group_of(message_id: object, uuid: object, own_bytes: bytes) -> str:
    """K of R3."""
    if isinstance(message_id, str) and message_id:
        return merge.group_text(message_id)
    if isinstance(uuid, str) and uuid:
        return f"uuid:{uuid}"
    return f"line:{hex_digest(own_bytes)}"


@lru_cache(maxsize=4096)
def owner_of(place: Place, copied: bool, session: str, agent: str) -> Owner:
    """R7: whose copy a line is."""
    return Owner(copied, place.subagent, place.session or session or place.fallback_session, place.project, agent or place.agent)


def text(value: object) -> str:
    """A name as it may be stored: "" for what is no string, lone surrogates replaced."""
    return clean(value) if isinstance(value, str) else ""


def clean(name: str) -> str:
    return _SURROGATES.sub("\ufffd", name)


def _desktop_folders(*bases: Path) -> list[Path]:
    """Claude Desktop's local sessions: `<base>/local-agent-mode-sessions/<org>/<workspace>/local_<uuid>/.claude/projects`."""
    pattern = "local-agent-mode-sessions/*/*/local_*/.claude/projects"
    return [folder for base in bases if base.is_dir() for folder in sorted(base.glob(pattern))]


def _integer(digits: str) -> int:
    # Python refuses to parse integers of more than 4300 digits; none above 2^53 is a count anyway.
    return int(digits) if len(digits) < 40 else _NO_COUNT


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _skip_space(source: str, position: int) -> int:
    while position < len(source) and source[position] in " \t\r\n":
        position += 1
    return position
