"""
The only place that counts without a store: every log is read in full, with the standard `json` and plain dictionaries.

It is what `verify` holds the store against, so it shares no code with the formats and the store, and is plain where they are fast.
`--no-store` counts by it, too, and may leave out parts of logs that an index says cannot matter (`skim`). Rn is a rule of docs/counting.md.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import NamedTuple

from tokentail.model import (
    INVALID_COUNT,
    MAX_COUNT,
    MAX_LINE_BYTES,
    SPLIT_MISMATCH,
    SYNTHETIC_MODEL,
    TTL_ASSUMED,
    USAGE_MARK,
    Extra,
    LogFile,
    Owner,
    Problem,
    Reply,
    Source,
    Tokens,
    word,
)

PIECE_BYTES = 8 * 2**20
MAX_REJECTS = 1000  # named; beyond that malformed lines are only counted

Json = dict[str, object]


class Place(NamedTuple):
    """Where a line stands."""

    path: str
    offset_bytes: int


class Reject(NamedTuple):
    """A line that could have carried usage, and why it could not be parsed."""

    path: str
    offset_bytes: int
    reason: str


class Seen(NamedTuple):
    """A line that counts, as far as who wants to find it again has to know."""

    offset_bytes: int
    alone: Reply  # what it would be if no other line shared its id; its key is K of R3
    folder: str  # its `cwd`


class Part(NamedTuple):
    """Whole lines of a log, and what must stand before them if it is still the log that was meant."""

    start_bytes: int = 0
    end_bytes: int | None = None  # just after a newline; None for the end of the file
    lead_bytes: int = 0  # before the start
    lead_hash: bytes = b""  # theirs, see `proof`


WHOLE = Part()


class TornError(Exception):
    """A log is not what it was when a part of it was chosen."""


class Recount(NamedTuple):
    """All that the logs say, counted from nothing."""

    replies: list[Reply]  # by time, then by key
    project_names: dict[str, str]  # slug -> the earliest `cwd` under it
    malformed_lines: int
    rejects: list[Reject]  # the malformed lines by name, the first `MAX_REJECTS`
    problems: list[Problem]
    files: int  # that were read to their end
    bytes_read: int
    sightings: dict[str, list[Place]]  # key of a reply -> every line of its group, dropped replays too
    groups: dict[str, list[_Record]]  # K of R3 -> what it was resolved from

    @property
    def requests(self) -> set[tuple[str, str]]:
        """Every K of R3 with every request id that it has lines of, "" for none."""
        return {(group, record.request) for group, records in self.groups.items() for record in records}

    def without(self, requests: Collection[tuple[str, str]]) -> Recount:
        """The same as if the logs had no line of these."""
        kept = {group: [record for record in records if (group, record.request) not in requests] for group, records in self.groups.items()}
        replies, sightings = _resolve_all({group: records for group, records in kept.items() if records})
        return self._replace(replies=replies, sightings=sightings, groups=kept)


Range = tuple[LogFile, int, int]  # a log, and from where to where in it
Announce = Callable[[Sequence[Range]], None]


def recount(source: Source, *, announce: Announce | None = None, piece_bytes: int = PIECE_BYTES) -> Recount:
    """
    Read every log of the source from its first byte and resolve all replies; a file that cannot be read is a problem, not an error.

    Args:
        announce: hears what will be read before it is: a source that is far away can ask for several logs at once.
    """
    listing = source.list_files()
    if announce is not None:
        announce([(file, 0, file.size_bytes) for file in listing.files])
    tally = Tally(listing.problems)
    for file in listing.files:
        tally.read(source, file, piece_bytes=piece_bytes)
    return tally.recount()


def proof(data: bytes) -> bytes:
    """What tells some bytes from others."""
    return blake2b(data, digest_size=16).digest()


def project_of(file: LogFile) -> str:
    """The slug of the project that a log's lines are of."""
    return _home(file).project


class _Record(NamedTuple):
    """A log line that carries usage."""

    place: Place
    request: str  # "" for none
    sidechain: bool
    usage_keys: int
    usage_text: str  # canonical JSON
    alone: Reply  # what it would be if no other line shared its id


class _Home(NamedTuple):
    """What the place of a file says about its lines (R7)."""

    project: str
    session: str  # the folder above `subagents`; "" where the lines know it
    stem: str
    subagent: bool


class Tally:
    """What has been read so far."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        self.groups: defaultdict[str, list[_Record]] = defaultdict(list)  # by K of R3
        self.names: dict[str, tuple[int, str]] = {}  # slug -> least (time, cwd)
        self.malformed_lines = 0
        self.notes: list[Seen | Reject] | None = None  # where somebody wants them: of what was read, in the order of the file
        self._owners: dict[Owner, Owner] = {}  # one object each: most lines share theirs
        self._rejects: list[Reject] = []
        self._files = 0
        self._bytes_read = 0

    def read(self, source: Source, file: LogFile, part: Part = WHOLE, *, piece_bytes: int = PIECE_BYTES) -> int | None:
        """
        Add what a part of a log says. Gives where its last complete line ends; None where it could not be read, which is a problem.

        Raises:
            TornError: the log is another one than that which the part was chosen of; some of its lines may have been added.
        """
        try:
            return self._read(source, file, part, piece_bytes)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):  # it has gone meanwhile
                self.problems.append(Problem(file.path, error.strerror or str(error)))
            return None

    def recount(self, only: Collection[str] | None = None) -> Recount:
        """What all of it comes to, or the groups of `only`."""
        groups = self.groups if only is None else {group: self.groups[group] for group in only}
        replies, sightings = _resolve_all(groups)
        names = {slug: cwd for slug, (_, cwd) in self.names.items()}
        return Recount(
            *(replies, names, self.malformed_lines, self._rejects, self.problems),
            *(self._files, self._bytes_read, sightings, dict(groups)),
        )

    def _read(self, source: Source, file: LogFile, part: Part, piece_bytes: int) -> int:
        home = _home(file)
        end = part.start_bytes
        for line in _lines(_pieces(source, file, part, piece_bytes), part.start_bytes):
            self._bytes_read += line.length_bytes + line.ended
            if line.ended:
                end = line.offset_bytes + line.length_bytes + 1
            if line.length_bytes <= MAX_LINE_BYTES:
                if USAGE_MARK in line.data:
                    self._add_line(home, Place(file.path, line.offset_bytes), line)
            elif line.ended:
                self._reject(Place(file.path, line.offset_bytes), f"longer than {MAX_LINE_BYTES} bytes")
        self._files += 1
        return end

    def _add_line(self, home: _Home, place: Place, line: _Line) -> None:
        data = line.data.removesuffix(b"\r")
        if place.offset_bytes == 0:
            data = data.removeprefix(b"\xef\xbb\xbf")
        text = data.decode("utf-8", errors="replace")
        parts, wrong = _decode_all(text)
        if wrong and not line.ended:
            return  # pending: the rest has not been written yet
        alone = len(parts) == 1 and not wrong
        for value, start, end in parts:
            try:
                self._add_value(home, place, value, data if alone else text[start:end].encode())
            except RecursionError as error:  # in some versions of Python what can just be decoded is too deep to be encoded
                wrong = str(error)
        if wrong:
            self._reject(place, wrong)

    def _add_value(self, home: _Home, place: Place, value: object, own_bytes: bytes) -> None:
        selected = _select(value)
        if selected is None:
            return
        line, message, usage, at_ms = selected
        owner = _owner(line, home)
        owner = self._owners.setdefault(owner, owner)
        group = _group(line, message, own_bytes)
        record = _Record(
            place=place,
            request=_text(line.get("requestId")),
            sidechain=line.get("isSidechain") is True,
            usage_keys=len(usage),
            usage_text=sys.intern(_CANONICAL.encode(usage)),  # copies share one string
            alone=_read(group, line, message, usage, at_ms, owner),
        )
        self.groups[group].append(record)
        cwd = _text(line.get("cwd"))
        if cwd:
            self.names[home.project] = min(self.names.get(home.project, (at_ms, cwd)), (at_ms, cwd))
        if self.notes is not None:
            self.notes.append(Seen(place.offset_bytes, record.alone, cwd))

    def _reject(self, place: Place, reason: str) -> None:
        reject = Reject(place.path, place.offset_bytes, reason)
        self.malformed_lines += 1
        if len(self._rejects) < MAX_REJECTS:
            self._rejects.append(reject)
        if self.notes is not None:
            self.notes.append(reject)


# Lines and JSON (R1)


class _Line(NamedTuple):
    offset_bytes: int
    length_bytes: int
    data: bytes  # not all of it where the length is beyond `MAX_LINE_BYTES`
    ended: bool  # by a newline


def _pieces(source: Source, file: LogFile, part: Part, piece_bytes: int) -> Iterator[bytes]:
    """
    A part of a file, one piece after the other.

    Raises:
        TornError: what stands before it is not what it was, or it does not end with a line.
    """
    at, lead = part.start_bytes, part.lead_bytes
    while True:
        # Until a read comes back short, not up to the listed size: the file may have grown or shrunk since then.
        wanted = piece_bytes if part.end_bytes is None else min(piece_bytes, part.end_bytes - at)
        piece = source.read(file, at - lead, lead + wanted)
        if lead:
            if proof(piece[:lead]) != part.lead_hash:
                raise TornError(file.path)
            piece, lead = piece[lead:], 0
        at += len(piece)
        is_last = len(piece) < wanted or at == part.end_bytes
        if is_last and part.end_bytes is not None and (at < part.end_bytes or not piece.endswith(b"\n")):
            raise TornError(file.path)
        yield piece
        if is_last:
            return


def _lines(pieces: Iterator[bytes], start: int) -> Iterator[_Line]:
    """Every line, also a last one without newline, however the pieces cut them; `start` is where the first one stands."""
    end, dropped = start, 0
    rest = b""
    for piece in pieces:
        end += len(piece)
        *complete, rest = (rest + piece).split(b"\n")
        for data in complete:
            length = dropped + len(data)
            yield _Line(start, length, data, ended=True)
            start += length + 1
            dropped = 0
        if dropped + len(rest) > MAX_LINE_BYTES:  # nobody will look into it: keep its length only
            dropped += len(rest)
            rest = b""
    if start < end:
        yield _Line(start, end - start, rest, ended=False)


def _decode_all(text: str) -> tuple[list[tuple[object, int, int]], str]:
    """The JSON values that stand one after another, each with its start and end, and what is wrong with the rest ("" for nothing)."""
    parts: list[tuple[object, int, int]] = []
    start = _skip_space(text, 0)
    while start < len(text):
        try:
            value, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError) as error:
            return parts, str(error)
        parts.append((value, start, end))
        start = _skip_space(text, end)
    return parts, ""


def _skip_space(text: str, start: int) -> int:
    while start < len(text) and text[start] in " \t\r\n":
        start += 1
    return start


def _integer(digits: str) -> int | float:
    # Python may refuse to convert more than 640 digits, depending on a setting; that is no count in any case.
    return int(digits) if len(digits) <= 640 else math.inf


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_int=_integer, parse_constant=_no_constant)
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)
_SURROGATE = re.compile("[\ud800-\udfff]")


def _text(value: object) -> str:
    """The string, fit for output: halves of surrogate pairs replaced. "" for everything that is no string."""
    if not isinstance(value, str):
        return ""
    return value if value.isascii() else _SURROGATE.sub("\ufffd", value)


# From a line to a reply of its own (R2, R3, R5 to R8)


def _select(value: object) -> tuple[Json, Json, Json, int] | None:
    """The line, its message, its usage and its time, if it is a line that counts (R2)."""
    if not isinstance(value, dict) or value.get("type") != "assistant":
        return None
    message = value.get("message")
    if not isinstance(message, dict):
        return None
    usage, model, at_ms = message.get("usage"), message.get("model"), _moment_ms(value.get("timestamp"))
    if not isinstance(usage, dict) or not isinstance(model, str) or model in ("", SYNTHETIC_MODEL) or at_ms is None:
        return None
    return value, message, usage, at_ms


_FIRST_MOMENT = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS = (datetime.max.replace(tzinfo=UTC) - _FIRST_MOMENT) // timedelta(milliseconds=1)


def _moment_ms(value: object) -> int | None:
    """Whole milliseconds since 1970, UTC; a time without zone is UTC. None for what is no time from 1970 to 9999."""
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    at_ms = (moment - _FIRST_MOMENT) // timedelta(milliseconds=1)
    return at_ms if 0 <= at_ms <= _LAST_MS else None


def _group(line: Json, message: Json, own_bytes: bytes) -> str:
    """K of R3 as text; a message id that looks like one of the made-up kinds is marked, so that the kinds never meet."""
    if name := _text(message.get("id")):
        return f"id:{name}" if name.startswith(("id:", "uuid:", "line:")) else name
    if uuid := _text(line.get("uuid")):
        return f"uuid:{uuid}"
    return f"line:{blake2b(own_bytes, digest_size=16).hexdigest()}"


def _read(group: str, line: Json, message: Json, usage: Json, at_ms: int, owner: Owner) -> Reply:
    model = _text(message.get("model"))
    tokens, flags = _tokens(usage)
    extras: list[Extra] = []
    iterations = usage.get("iterations")
    for entry in iterations if isinstance(iterations, list) else ():
        # The top level already is the billed message (R6).
        if isinstance(entry, dict) and entry.get("type") not in ("message", "fallback_message"):
            spent, entry_flags = _tokens(entry)
            if spent.total:
                extras.append(Extra(_text(entry.get("model")) or model, spent))
                flags |= entry_flags
    tools = usage.get("server_tool_use")
    web_searches, search_flags = _count(tools, "web_search_requests") if isinstance(tools, dict) else (0, 0)
    return Reply(
        key=group,
        id=_text(message.get("id")),
        at_ms=at_ms,
        model=model,
        version=_text(line.get("version")),
        tokens=tokens,
        extras=tuple(extras),
        web_searches=web_searches,
        final=message.get("stop_reason") is not None,
        flags=flags | search_flags,
        speed=word(usage.get("speed")),
        geo=word(usage.get("inference_geo")),
        service_tier=word(usage.get("service_tier")),
        owner=owner,
    )


def _tokens(usage: Json) -> tuple[Tokens, int]:
    """The five counters and what was unusual about them (R5)."""
    split = usage.get("cache_creation")
    split = split if isinstance(split, dict) else {}
    fresh, bad_fresh = _count(usage, "input_tokens")
    output, bad_output = _count(usage, "output_tokens")
    cache_read, bad_read = _count(usage, "cache_read_input_tokens")
    written, bad_written = _count(usage, "cache_creation_input_tokens")
    written_5m, bad_5m = _count(split, "ephemeral_5m_input_tokens")
    written_1h, bad_1h = _count(split, "ephemeral_1h_input_tokens")
    flags = bad_fresh | bad_output | bad_read | bad_written | bad_5m | bad_1h
    if written_5m + written_1h == 0 < written:
        written_5m = written
        flags |= TTL_ASSUMED
    elif written_5m + written_1h != written:
        flags |= SPLIT_MISMATCH
    return Tokens(fresh, output, cache_read, written_5m, written_1h), flags


def _count(counts: Json, name: str) -> tuple[int, int]:
    """The count and its flag; missing and null are an ordinary 0."""
    value = counts.get(name)
    if value is None:
        return 0, 0
    # Not `isinstance`, which takes a bool for an int.
    if type(value) is int and 0 <= value <= MAX_COUNT:
        return value, 0
    return 0, INVALID_COUNT


def _owner(line: Json, home: _Home) -> Owner:
    return Owner(
        copied=line.get("sessionKind") == "bg" or line.get("forkedFrom") is not None,
        subagent=home.subagent,
        session=home.session or _text(line.get("sessionId")) or home.stem,
        project=home.project,
        agent=_text(line.get("agentId")) or (home.stem.removeprefix("agent-") if home.subagent else ""),
    )


def _home(file: LogFile) -> _Home:
    root = [part for part in file.root.replace(os.sep, "/").split("/") if part]
    *inside, name = file.relative.split("/")
    folders = root + inside
    # The root's own name may be `projects` or `subagents`; what lies above the root says nothing.
    first = max(len(root) - 1, 0)
    slugs = [at + 1 for at in range(first, len(folders) - 1) if folders[at] == "projects"]
    nested = [at for at in range(slugs[-1] + 1 if slugs else first, len(folders)) if folders[at] == "subagents"]
    if not slugs:
        slugs = [nested[0] - 2] if nested and nested[0] >= 2 else [len(folders) - 1]
    return _Home(
        project=_text(folders[slugs[-1]]) if folders else "",
        session=_text(folders[nested[0] - 1]) if nested and nested[0] >= 1 else "",
        stem=_text(name.partition(".jsonl")[0]),
        subagent=bool(nested) or name.startswith("agent-"),
    )


# From records to replies (R3, R4, R7, R8)


def _resolve_all(groups: Mapping[str, list[_Record]]) -> tuple[list[Reply], dict[str, list[Place]]]:
    """All replies by time and key, and the lines of each one's group."""
    replies: list[Reply] = []
    sightings: dict[str, list[Place]] = {}
    for group, records in groups.items():
        places = sorted({record.place for record in records})
        for key, kept in _messages(group, records):
            replies.append(_resolve(key, kept))
            sightings[key] = places
    replies.sort(key=lambda reply: (reply.at_ms, reply.key))
    return replies, sightings


def _messages(group: str, records: list[_Record]) -> Iterator[tuple[str, list[_Record]]]:
    """The messages that share an id, each with its key: one, or one for each request where a gateway uses an id again (R3)."""
    key = _escape(group)
    requests = sorted({record.request for record in records if record.request and not record.sidechain})
    if all(record.sidechain for record in records):
        yield key, records
        return
    kept = [record for record in records if not record.sidechain or record.request in requests]
    if len(requests) <= 1:
        yield key, kept
        return
    for request in requests:
        yield f"{key}/{_escape(request)}", [record for record in kept if (record.request or requests[0]) == request]


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("/", "%2F")


def _resolve(key: str, records: list[_Record]) -> Reply:
    lines = [record.alone for record in records]
    return min(records, key=_rank).alone._replace(
        key=key,
        at_ms=min(line.at_ms for line in lines),
        web_searches=max(line.web_searches for line in lines),
        final=any(line.final for line in lines),
        owner=min(line.owner for line in lines),
    )


def _rank(record: _Record) -> tuple[int, bool, int, str, str, str]:
    """The least wins (R4)."""
    line = record.alone
    return -line.tokens.output, not line.final, -record.usage_keys, record.usage_text, line.model, line.version
