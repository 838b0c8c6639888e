"""Claude Code's lines, decoded quickly: typed structs for the regular ones, `claude`'s general reading for the rest."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from tokentail.formats.claude import Place, Reading, decode_all, group_of, owner_of, parse_timestamp, place_of, read_usage
from tokentail.formats.claude import parse_line as parse_any
from tokentail.formats.parsed import Entry, Parsed
from tokentail.model import MAX_COUNT, SYNTHETIC_MODEL, TTL_ASSUMED, LogFile, Owner, Record, Tokens

_DIGITS = b"0123456789"
_new = tuple.__new__  # makes a named tuple without a call into Python: a tenth of the time of a line
_NOTHING: Parsed = Parsed([], "")
_NO_USAGE = msgspec.Raw()


class ClaudeLines:
    """Parses the lines of any number of files, those of one file one after another."""

    def __init__(self) -> None:
        self._forms: dict[_Shape, str] = {}
        self._last = _Line()
        self._last_file: LogFile | None = None
        self._place = place_of(LogFile("", "", "", 0, 0, 0, 0, 0))
        self._owner = _owner(self._last, self._place)
        self._last_parsed = _NOTHING

    def parse_line(self, line: bytes, file: LogFile) -> Parsed:
        """
        Take the usage out of one line of a session log.

        Args:
            line: complete, without its line end and byte order mark.

        Returns:
            No entries for the lines that carry no usage of their own: prompts, tool results, progress.

        Source: session logs of versions 1.0.24 to 2.1.229. There is no published schema.
        """
        try:
            entry = _decode_line(line)
            message = entry.message
            if entry.type != "assistant" or message is None:
                return _NOTHING
            # Half of all lines repeat the line before them but for a later timestamp and another content block:
            # what they hold adds nothing to what that line gave.
            if file is self._last_file:
                if _repeats(entry, self._last):
                    return self._last_parsed
            else:
                self._last_file, self._place, self._last = file, place_of(file), _Line()
            raw = bytes(message.usage)
            if raw[:1] != b"{":
                return _NOTHING
            usage = _decode_usage(raw)
        except msgspec.ValidationError:
            # A usage object of another shape, or a line whose fields are not of the usual types.
            return self._parse_irregular(line, file)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return parse_any(line, file)
        reading = self._read(usage, raw)
        if reading is None:
            return self._parse_irregular(line, file)
        last = self._last
        if (
            entry.sessionId != last.sessionId
            or entry.agentId != last.agentId
            or entry.sessionKind != last.sessionKind
            or entry.forkedFrom != last.forkedFrom
            or last.timestamp is None
        ):
            self._owner = _owner(entry, self._place)
        parsed = _parsed(entry, message, reading, line, self._owner)
        if parsed is not _NOTHING:  # what follows a line that does not count must not pass for its repetition
            self._last, self._last_parsed = entry, parsed
        return parsed

    def _parse_irregular(self, line: bytes, file: LogFile) -> Parsed:
        """The line's own fields by the quick decoder where they are of the usual types, its usage by the general reader."""
        try:
            entry = _decode_line(line)
        except msgspec.ValidationError:
            return parse_any(line, file)
        message = entry.message
        reading = None if message is None else _read_general(bytes(message.usage))
        if reading is None or message is None:
            return _NOTHING
        return _parsed(entry, message, reading, line, _owner(entry, place_of(file)))

    def _read(self, usage: _Usage, raw: bytes) -> Reading | None:
        """R5 and R6 for a usage object of the regular shape; None when its numbers do not fit together in the regular way."""
        split = usage.cache_creation
        total = usage.cache_creation_input_tokens
        write_5m, write_1h = (0, 0) if split is _UNSET else (split.ephemeral_5m_input_tokens, split.ephemeral_1h_input_tokens)
        flags = 0
        if write_5m + write_1h != total:
            if write_5m or write_1h:
                return None
            write_5m, flags = total, TTL_ASSUMED
        if usage.iterations and not _mirrors(usage.iterations, usage):
            return None
        tools, details = usage.server_tool_use or None, usage.output_tokens_details or None
        searches, fetches = (tools.web_search_requests, tools.web_fetch_requests) if tools else (0, 0)
        # Apart from digits, two regular objects with the same bytes have the same form, but for the counts and names it spells out.
        shape = (raw.translate(None, _DIGITS), searches, fetches, flags, usage.service_tier, usage.inference_geo, usage.speed)
        form = self._forms.get(shape) or self._new_form(shape, raw)
        tokens = _new(Tokens, (usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens, write_5m, write_1h))
        return _new(Reading, (tokens, details.thinking_tokens if details else 0, searches, flags, form))

    def _new_form(self, shape: _Shape, raw: bytes) -> str:
        if len(self._forms) > 10_000:
            self._forms.clear()
        general = _read_general(raw)
        assert general is not None
        self._forms[shape] = general.form
        return general.form


class _Message(msgspec.Struct, gc=False):
    id: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    usage: msgspec.Raw = _NO_USAGE


class _Line(msgspec.Struct, gc=False):
    type: str | None = None
    timestamp: str | None = None
    message: _Message | None = None
    requestId: str | None = None  # the log's own names
    sessionId: str | None = None
    isSidechain: bool | None = None
    agentId: str | None = None
    version: str | None = None
    cwd: str | None = None
    uuid: str | None = None
    sessionKind: str | None = None
    forkedFrom: Any = None


_UNSET = msgspec.UNSET
_Unset = msgspec.UnsetType
_Name = str | _Unset | None
_Shape = tuple[bytes, int, int, int, _Name, _Name, _Name]
_Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]


class _Split(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    ephemeral_5m_input_tokens: _Count
    ephemeral_1h_input_tokens: _Count


class _Tools(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    web_search_requests: _Count = 0
    web_fetch_requests: _Count = 0


class _Details(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    thinking_tokens: _Count = 0


class _Iteration(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    type: str
    input_tokens: _Count
    output_tokens: _Count
    cache_read_input_tokens: _Count
    cache_creation_input_tokens: _Count
    cache_creation: _Split | _Unset = _UNSET


class _Usage(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A regular usage object; any other shape is refused here and read by `claude.read_usage`."""

    input_tokens: _Count
    output_tokens: _Count
    cache_creation_input_tokens: _Count
    cache_read_input_tokens: _Count
    cache_creation: _Split | _Unset = _UNSET
    server_tool_use: _Tools | _Unset | None = _UNSET
    output_tokens_details: _Details | _Unset | None = _UNSET
    iterations: list[_Iteration] | _Unset | None = _UNSET
    service_tier: str | _Unset | None = _UNSET
    inference_geo: str | _Unset | None = _UNSET
    speed: str | _Unset | None = _UNSET


_decode_line = msgspec.json.Decoder(_Line).decode
_decode_usage = msgspec.json.Decoder(_Usage).decode


def _repeats(entry: _Line, last: _Line) -> bool:
    """Would the record of `entry` vanish in the join with that of `last`?"""
    message, before = entry.message, last.message
    return (
        message is not None
        and before is not None
        and message.id is not None
        and message.id == before.id != ""
        and message.usage == before.usage
        and entry.timestamp is not None
        and last.timestamp is not None
        and len(entry.timestamp) == len(last.timestamp) == _PLAIN_LENGTH
        and entry.timestamp[4:20:3] == last.timestamp[4:20:3] == _PLAIN_SIGNS
        and entry.timestamp[-1] == last.timestamp[-1] == "Z"
        and entry.timestamp >= last.timestamp
        and message.stop_reason == before.stop_reason
        and entry.requestId == last.requestId
        and entry.sessionId == last.sessionId
        and entry.version == last.version
        and entry.cwd == last.cwd
        and message.model == before.model
        and entry.isSidechain == last.isSidechain
        and entry.agentId == last.agentId
        and entry.sessionKind == last.sessionKind
        and entry.forkedFrom == last.forkedFrom
    )


_PLAIN_TIMESTAMP = "2026-10-01T12:00:00.000Z"  # of this length, with these signs in their places, texts sort as moments do
_PLAIN_LENGTH, _PLAIN_SIGNS = len(_PLAIN_TIMESTAMP), _PLAIN_TIMESTAMP[4:20:3]


def _mirrors(iterations: list[_Iteration], usage: _Usage) -> bool:
    if len(iterations) != 1:
        return False
    only = iterations[0]
    return (
        only.type == "message"
        and only.input_tokens == usage.input_tokens
        and only.output_tokens == usage.output_tokens
        and only.cache_read_input_tokens == usage.cache_read_input_tokens
        and only.cache_creation_input_tokens == usage.cache_creation_input_tokens
        and only.cache_creation == usage.cache_creation
    )


def _read_general(raw: bytes) -> Reading | None:
    objects, _ = decode_all(raw)
    return read_usage(objects[0][0]) if objects else None


def _parsed(entry: _Line, message: _Message, reading: Reading, own_bytes: bytes, owner: Owner) -> Parsed:
    model, given = message.model, message.id
    if not model or model == SYNTHETIC_MODEL or entry.timestamp is None:
        return _NOTHING
    at_ms = parse_timestamp(entry.timestamp)
    if at_ms is None:
        return _NOTHING
    tokens, thinking, searches, flags, form = reading
    stopped = message.stop_reason is not None
    group = given if given and given[:4] == "msg_" else group_of(given, entry.uuid, own_bytes)
    values = (group, entry.requestId or "", entry.isSidechain or False, at_ms, model, entry.version or "")
    record = _new(Record, (*values, tokens, thinking, form, flags, stopped, stopped, searches, owner))
    return _new(Parsed, ([_new(Entry, (record, entry.cwd or ""))], ""))


def _owner(entry: _Line, place: Place) -> Owner:
    return owner_of(place, entry.sessionKind == "bg" or entry.forkedFrom is not None, entry.sessionId or "", entry.agentId or "")
