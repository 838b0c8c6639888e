"""The only place that knows the wire: records as OTLP logs, and back, whatever a stranger sends."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any, NamedTuple

import msgspec

from tokentail import merge
from tokentail.model import RULES_VERSION, Owner, Record, Tokens, is_word

LOGS, RECONCILE = "/v1/logs", "/v1/reconcile"  # the first one is OTLP's own
NEWS = "tokentail-news"  # the header that says how many records told the central store something
SERVICE, SCOPE, SCOPE_VERSION = "tokentail", "tokentail.record", "1"
MOST_RECORDS = 20_000  # in a body
LONGEST = 1_000  # characters of a name
LONGEST_FOLDER = 4_096
LONGEST_FORM = 50_000
MOST_COUNT = 2**32  # far above what a reply can use; sums of two billion of them still fit into 63 bits, those of 2^53 overflow at 1 024
MOST_MS = 253_402_387_199_999  # the last moment of 9999 in the zone that is furthest behind: logs say no later one, and none before 1970
PER_MS = 1_000_000  # nanoseconds
MOST_LEVELS = 24  # of objects and lists in a usage object
_BEYOND = 1 << 64
_SIGNED = 1 << 63  # some collectors keep times as signed numbers: later ones, after the year 2262, travel as an attribute
_LEVEL = 8  # of gzip: 6 takes half the time and 3 bytes a record more, 9 twice the time and saves nothing

# In the order of the wire: what is alike from record to record comes first, so that it is one match for gzip.
_TEXTS = ("model", "app.version", "usage.form", "session.id", "project", "project.folder", "agent.id", "request_id", "message.group")
_TRUTHS = ("final", "stopped", "copied", "subagent", "sidechain")
_COUNTS = (
    *("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens"),
    *("thinking_tokens", "web_searches", "flags"),
)
FIELDS = frozenset((*_TEXTS, *_TRUTHS, *_COUNTS, "at_ms"))  # all that travels of a record, beside its time, user and host
_REQUIRED = ("model", "usage.form", "session.id", "message.group")


class Malformed(Exception):  # noqa: N818  # it is told to a program as a 400, not raised to a person
    """A body that is no sound batch; nothing of it is taken. The message quotes nothing of it."""


class Batch(NamedTuple):
    """What a body holds."""

    records: list[Record]
    folders: list[tuple[str, int, str]]  # slug, moment and folder
    foreign: int  # log records of other services


def encode(records: Sequence[Record], folders: Mapping[str, str], *, user: str, host: str, version: str) -> bytes:
    """
    Records as a body in JSON, in an order in which neighbours are alike: by their key a fifth more bytes would travel.

    Args:
        folders: the real folder of projects, by slug.
        user, host: of records that have none of their own.
        version: of the program that sends.
    """

    def whose(record: Record) -> tuple[str, str]:
        return record.owner.user or user, record.owner.host or host

    resources = []
    for (of_user, of_host), some in groupby(sorted(records, key=lambda record: (whose(record), record.owner, record.at_ms)), whose):
        about = [_text("service.name", SERVICE), _text("service.version", version), _count("tokentail.rules", RULES_VERSION)]
        about += [_text("user.name", of_user), _text("host.name", of_host)]
        scope = {"name": SCOPE, "version": SCOPE_VERSION}
        logs = [_log_record(record, folders.get(record.owner.project, "")) for record in some]
        resources.append({"resource": {"attributes": about}, "scopeLogs": [{"scope": scope, "logRecords": logs}]})
    return msgspec.json.encode({"resourceLogs": resources})


def compressed(body: bytes) -> bytes:
    """The same body as it travels; the same bytes each time."""
    return gzip.compress(body, _LEVEL, mtime=0)


def decode_json(body: bytes) -> Batch:
    """
    What a body in JSON holds.

    Raises:
        Malformed: it is no OTLP, or a record in it is none.
    """
    try:
        request = _DECODER.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Malformed("the body is no OTLP/JSON of logs") from error
    taken = _Taken()
    for resource in request.resource_logs or ():
        about = _said(resource.resource.attributes if resource.resource else None)
        for scope in resource.scope_logs or ():
            logs = scope.log_records or ()
            if not _is_ours(about, scope.scope.name if scope.scope else "", scope.scope.version if scope.scope else ""):
                taken.foreign += len(logs)
                continue
            whose = _whose(about)
            for log in logs:
                taken.add(_said(log.attributes), _number(log.time_unix_nano), whose)
    return taken.batch()


def decode_protobuf(body: bytes) -> Batch:
    """
    What a body in protobuf holds.

    Raises:
        Malformed: it is no OTLP, or a record in it is none.
        ImportError: the library for it is not installed.
    """
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    try:
        request = ExportLogsServiceRequest.FromString(body)
    except (DecodeError, RecursionError, ValueError) as error:
        raise Malformed("the body is no OTLP/protobuf of logs") from error
    taken = _Taken()
    for resource in request.resource_logs:
        about = _said_in(resource.resource.attributes)
        for scope in resource.scope_logs:
            if not _is_ours(about, scope.scope.name, scope.scope.version):
                taken.foreign += len(scope.log_records)
                continue
            whose = _whose(about)
            for log in scope.log_records:
                taken.add(_said_in(log.attributes), log.time_unix_nano, whose)
    return taken.batch()


def check(record: Record) -> Record:
    """
    The record, if it is one that a log may have given: whatever comes from elsewhere goes through here.

    Raises:
        Malformed: it is none.
    """
    owner = record.owner
    for name in (record.group, record.request_id, record.model, record.version, *owner[2:]):
        if type(name) is not str or len(name) > LONGEST:
            raise Malformed("a name is too long, or none")
    if "\0" in owner.user or "\0" in owner.host:
        raise Malformed("the name of a user or a host is none")
    numbers = (*record.tokens, record.thinking, record.web_searches, record.flags)
    if not all(map(_is_count, numbers)) or record.flags > 0xFF:
        raise Malformed("a count is none")
    if not all(type(each) is bool for each in (record.sidechain, record.stopped, record.final, owner.copied, owner.subagent)):
        raise Malformed("something that is true or false is neither")
    if type(record.at_ms) is not int or not 0 <= record.at_ms <= MOST_MS:
        raise Malformed("a time is none")
    if not record.group or not is_form(record.form):
        raise Malformed("what usage said besides its counters is none of it" if record.group else "a record has no group")
    return record


def is_sound(record: Record) -> bool:
    """Would another tokentail take it?"""
    try:
        check(record)
    except Malformed:
        return False
    return True


@lru_cache(maxsize=2048)
def is_form(text: str) -> bool:
    """
    Is it the canonical JSON of a usage object with blanks: words, hashes and numbers, and no prose?

    Canonical to the letter: what a reader of JSON passes over, like the first of two values of one key, could hold anything.
    """
    if type(text) is not str or len(text) > LONGEST_FORM:
        return False
    try:
        usage = json.loads(text.translate(_BLANKS))
        said = json.dumps(usage, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    except (ValueError, RecursionError):
        return False
    for blank, mark in _BLANKS.items():
        said = said.replace(mark, chr(blank))
    if type(usage) is not dict or said != text:
        return False
    extras = usage.pop(merge.EXTRAS, [])
    return type(extras) is list and all(map(_is_extra, extras)) and _is_plain(usage, MOST_LEVELS)


def _is_extra(said: Any) -> bool:
    if type(said) is not list or len(said) != 2:
        return False
    model, counts = said
    is_model = type(model) is str and len(model) <= LONGEST
    return is_model and type(counts) is list and len(counts) == len(Tokens._fields) and all(map(_is_count, counts))


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MOST_COUNT


def _is_plain(value: Any, levels: int) -> bool:
    """Without a sentence anywhere, and without end nowhere."""
    if type(value) is str:
        return is_word(value) or value in _MARKS
    if type(value) is dict:
        return levels > 0 and all(is_word(key) and _is_plain(item, levels - 1) for key, item in value.items())
    if type(value) is list:
        return levels > 0 and all(_is_plain(item, levels - 1) for item in value)
    return True


# What stands for a blank while a form is read: a text that is no word, in the place of a number.
_MARKS = [f"\x7f{blank}" for blank in range(1, 8)]
_BLANKS = {blank: f'"{mark}"' for blank, mark in enumerate(_MARKS, start=1)}


def _text(key: str, value: str) -> dict[str, object]:
    return {"key": key, "value": {"stringValue": value}}


def _count(key: str, value: int) -> dict[str, object]:
    return {"key": key, "value": {"intValue": str(value)}}


def _truth(key: str) -> dict[str, object]:
    return {"key": key, "value": {"boolValue": True}}


def _log_record(record: Record, folder: str) -> dict[str, object]:
    owner, tokens = record.owner, record.tokens
    has_time = 0 <= record.at_ms * PER_MS < _SIGNED
    attributes = [
        *(_text(*each) for each in (("model", record.model), ("app.version", record.version), ("usage.form", record.form)) if each[1]),
        *(_truth(key) for key, value in (("final", record.final), ("stopped", record.stopped)) if value),
        *(_count(key, value) for key, value in (("flags", record.flags),) if value),
        *(
            _text(*each)
            for each in (("session.id", owner.session), ("project", owner.project), ("project.folder", folder), ("agent.id", owner.agent))
            if each[1]
        ),
        *(_truth(key) for key, value in (("copied", owner.copied), ("subagent", owner.subagent), ("sidechain", record.sidechain)) if value),
        *([] if has_time else [_count("at_ms", record.at_ms)]),
        *(_count(key, value) for key, value in zip(_COUNTS, (*tokens, record.thinking, record.web_searches), strict=False) if value),
        *([_text("request_id", record.request_id)] if record.request_id else []),
        _text("message.group", record.group),
    ]
    return {"timeUnixNano": str(record.at_ms * PER_MS if has_time else 0), "attributes": attributes}


# What of OTLP/JSON is read; the rest is ignored, as OTLP asks.
class _Value(msgspec.Struct, rename="camel"):
    string_value: str | None = None
    int_value: int | str | None = None
    bool_value: bool | None = None


class _Attribute(msgspec.Struct, rename="camel"):
    key: str = ""
    value: _Value | None = None


class _Log(msgspec.Struct, rename="camel"):
    time_unix_nano: int | str | None = None
    attributes: list[_Attribute] | None = None


class _Scope(msgspec.Struct, rename="camel"):
    name: str = ""
    version: str = ""


class _ScopeLogs(msgspec.Struct, rename="camel"):
    scope: _Scope | None = None
    log_records: list[_Log] | None = None


class _Resource(msgspec.Struct, rename="camel"):
    attributes: list[_Attribute] | None = None


class _ResourceLogs(msgspec.Struct, rename="camel"):
    resource: _Resource | None = None
    scope_logs: list[_ScopeLogs] | None = None


class _Request(msgspec.Struct, rename="camel"):
    resource_logs: list[_ResourceLogs] | None = None


_DECODER = msgspec.json.Decoder(_Request)
_Said = dict[str, str | int | bool | None]


def _said(attributes: Iterable[_Attribute] | None) -> _Said:
    found: _Said = {}
    count = 0
    for attribute in attributes or ():
        count += 1
        value = attribute.value
        if value is None:
            found[attribute.key] = None
        elif value.string_value is not None:
            found[attribute.key] = value.string_value
        elif value.int_value is not None:
            found[attribute.key] = _number(value.int_value)
        else:
            found[attribute.key] = value.bool_value
    if count != len(found):
        raise Malformed("an attribute is there twice")
    return found


def _said_in(attributes: Any) -> _Said:
    """The same of protobuf."""
    found: _Said = {}
    for attribute in attributes:
        value = attribute.value
        kind = value.WhichOneof("value")
        found[attribute.key] = getattr(value, kind) if kind in ("string_value", "int_value", "bool_value") else None
    if len(attributes) != len(found):
        raise Malformed("an attribute is there twice")
    return found


def _number(said: int | str | None) -> int:
    """A 64-bit number, which JSON has as a text."""
    if type(said) is str:
        digits = said.removeprefix("-")
        if not (digits.isascii() and digits.isdecimal()) or len(digits) > 20:
            raise Malformed("a number is none")
        return int(said)
    if said is None:
        return 0
    assert type(said) is int
    return said


def _is_ours(about: _Said, scope: str, version: str) -> bool:
    """
    Are these records of tokentail?

    Raises:
        Malformed: they are, of a version that is not ours.
    """
    if about.get("service.name") != SERVICE or scope != SCOPE:
        return False
    if version != SCOPE_VERSION or about.get("tokentail.rules") != RULES_VERSION:
        raise Malformed("the records are of another version of tokentail, or counted by other rules (update the older side)")
    return True


def _whose(about: _Said) -> tuple[str, str]:
    user, host = about.get("user.name", ""), about.get("host.name", "")
    if type(user) is not str or type(host) is not str:
        raise Malformed("user.name or host.name is no text")
    return user, host


class _Taken:
    """Gathers a batch."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.folders: dict[tuple[str, str], int] = {}
        self.foreign = 0

    def add(self, said: _Said, time_ns: int, whose: tuple[str, str]) -> None:
        if len(self.records) >= MOST_RECORDS:
            raise Malformed(f"a body holds more than {MOST_RECORDS} records")
        text, truth, count = _reader(said, str, ""), _reader(said, bool, False), _reader(said, int, 0)
        if not all(text(name) for name in _REQUIRED):
            raise Malformed("a record lacks one of " + ", ".join(_REQUIRED))
        at_ms = count("at_ms") if "at_ms" in said else _at_ms(time_ns)
        owner = Owner(truth("copied"), truth("subagent"), text("session.id"), text("project"), text("agent.id"), *whose)
        tokens = Tokens(*map(count, _COUNTS[:5]))
        record = Record(
            *(text("message.group"), text("request_id"), truth("sidechain"), at_ms, text("model"), text("app.version"), tokens),
            *(count("thinking_tokens"), text("usage.form"), count("flags"), truth("stopped"), truth("final"), count("web_searches"), owner),
        )
        self.records.append(check(record))
        if folder := text("project.folder"):
            if len(folder) > LONGEST_FOLDER:
                raise Malformed("a folder's name is too long")
            place = owner.project, folder
            self.folders[place] = min(at_ms, self.folders.get(place, at_ms))

    def batch(self) -> Batch:
        return Batch(self.records, [(slug, at_ms, folder) for (slug, folder), at_ms in self.folders.items()], self.foreign)


def _reader(said: _Said, kind: type[Any], usual: Any) -> Callable[[str], Any]:
    def read(name: str) -> Any:
        value = said.get(name, usual)
        if type(value) is not kind:
            raise Malformed(f"{name} is of another kind")
        return value

    return read


def _at_ms(time_ns: int) -> int:
    if time_ns % PER_MS or not 0 <= time_ns < _BEYOND:
        raise Malformed("a time is none")
    return time_ns // PER_MS
