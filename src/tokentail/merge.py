"""
The only place that knows how records join (R10), which one wins (R4) and what a group of them resolves to (R3, R7, R8).

Everything here is a maximum, a minimum, an OR or a choice by a total order, so joining is associative, commutative and
idempotent: lines may be read twice, in any order, from any copy, and the result is the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import lru_cache, reduce
from typing import NamedTuple, Protocol, TypeVar

from tokentail.model import Extra, Record, Reply, Tokens, word

# A form is the canonical JSON of a usage object with the counters that a record holds anyway replaced by these
# control characters, which JSON text never contains. So a few forms serve millions of records, and the canonical JSON
# that R4 compares can be had back exactly.
INPUT, OUTPUT, CACHE_READ, WRITE_5M, WRITE_1H, WRITE_TOTAL, THINKING = map(chr, range(1, 8))
_ZEROS = dict.fromkeys(range(1, 8), "0")


RecordKey = tuple[str, str, bool]  # group, request id, sidechain: what R10 keeps one record of


class Form(NamedTuple):
    """What a usage object says besides its counters."""

    keys: int
    speed: str
    geo: str
    service_tier: str
    extras: tuple[Extra, ...]  # with model "" where the iteration names none


class HasKey(Protocol):
    """What R10 keeps one record of."""

    @property
    def group(self) -> str: ...
    @property
    def request_id(self) -> str: ...
    @property
    def sidechain(self) -> bool: ...


Keyed = TypeVar("Keyed", bound=HasKey)


def join(one: Record, other: Record) -> Record:
    """The record of both records' lines; they must share group, request id and sidechain flag."""
    if one == other:
        return one
    best = one if _beats(one, other) else other
    return best._replace(
        at_ms=min(one.at_ms, other.at_ms),
        final=one.final or other.final,
        web_searches=max(one.web_searches, other.web_searches),
        owner=min(one.owner, other.owner),
    )


def resolve(records: Iterable[Record]) -> dict[str, Record]:
    """The messages that one group of records amounts to (R3), by reply key: each one the join of its records."""
    return {key: _message(part) for key, part in messages(records).items()}


def messages(records: Iterable[Keyed]) -> dict[str, list[Keyed]]:
    """
    Which records of one group make which message (R3), by reply key; what the records are kept by is enough to tell.

    One request id or none: one message. Several: a message each, and records without a request id join the smallest one.
    Sidechain records under another request id are replays, in no message when the group has any other record.
    """
    records = list(records)
    prefix = escape(records[0].group)
    own = [record for record in records if not record.sidechain]
    requests = sorted({record.request_id for record in own if record.request_id})
    if not own:
        return {prefix: records}
    if len(requests) <= 1:
        return {prefix: [record for record in records if not record.sidechain or record.request_id in requests]}
    parts: dict[str, list[Keyed]] = {request: [] for request in requests}
    for record in records:
        if record.request_id in parts:
            parts[record.request_id].append(record)
        elif not record.sidechain:
            parts[requests[0]].append(record)
    return {f"{prefix}/{escape(request)}": part for request, part in parts.items()}


def reply(key: str, message: Record) -> Reply:
    """A message as the views see it."""
    form = form_of(message.form)
    return Reply(
        key=key,
        id=message_id(message.group),
        at_ms=message.at_ms,
        model=message.model,
        version=message.version,
        tokens=message.tokens,
        extras=tuple(extra if extra.model else extra._replace(model=message.model) for extra in form.extras),
        web_searches=message.web_searches,
        final=message.final,
        flags=message.flags,
        speed=form.speed,
        geo=form.geo,
        service_tier=form.service_tier,
        owner=message.owner,
    )


def canonical(record: Record) -> str:
    """The canonical JSON of the winner's usage: sorted keys, no spaces (R4)."""
    tokens = record.tokens
    return record.form.translate(
        {
            1: str(tokens.input),
            2: str(tokens.output),
            3: str(tokens.cache_read),
            4: str(tokens.cache_write_5m),
            5: str(tokens.cache_write_1h),
            6: str(tokens.cache_write_5m + tokens.cache_write_1h),
            7: str(record.thinking),
        }
    )


@lru_cache(maxsize=4096)
def form_of(text: str) -> Form:
    """What a form says; `formats` made it, so it is JSON once its blanks are filled."""
    usage = json.loads(text.translate(_ZEROS))
    extras = tuple(Extra(model, Tokens(*counts)) for model, counts in usage.pop(EXTRAS, ()))
    return Form(len(usage), word(usage.get("speed")), word(usage.get("inference_geo")), word(usage.get("service_tier")), extras)


# A key that no usage object has: a form carries the extra iterations (R6) under it, already read by R5.
EXTRAS = "\x7fextras"


def message_id(group: str) -> str:
    """The message id as it was logged, "" for a group that has none."""
    if group.startswith(("uuid:", "line:")):
        return ""
    return group.removeprefix("id:")


def group_text(logged_id: str) -> str:
    """K of R3 for a message id, such that no id can be taken for a uuid or a line's hash."""
    return f"id:{logged_id}" if logged_id.startswith(("uuid:", "line:", "id:")) else logged_id


def escape(part: str) -> str:
    """A part of a reply's key: free of the "/" that joins the parts."""
    return part.replace("%", "%25").replace("/", "%2F") if "/" in part or "%" in part else part


def group_of_key(key: str) -> str:
    """The group that a reply's key belongs to."""
    return _unescape(key.partition("/")[0])


def request_of_key(key: str) -> str:
    """The request id in a reply's key, "" where its group is one message."""
    return _unescape(key.partition("/")[2])


def _unescape(part: str) -> str:
    return part.replace("%2F", "/").replace("%25", "%")


def _beats(one: Record, other: Record) -> bool:
    """R4: is `one` the winner of the two?"""
    if one.tokens.output != other.tokens.output:
        return one.tokens.output > other.tokens.output
    if one.stopped != other.stopped:
        return one.stopped
    if one.form != other.form or one.tokens != other.tokens or one.thinking != other.thinking:
        keys, other_keys = form_of(one.form).keys, form_of(other.form).keys
        if keys != other_keys:
            return keys > other_keys
        text, other_text = canonical(one), canonical(other)
        if text != other_text:
            return text < other_text
    return (one.model, one.version) <= (other.model, other.version)


def _message(records: list[Record]) -> Record:
    """R4, R7 and R8 over the records of one message."""
    if len(records) == 1:
        return records[0]
    first = min(records, key=lambda record: (record.request_id, record.sidechain))  # not the first: the order must not matter
    return reduce(join, (record._replace(request_id=first.request_id, sidechain=first.sidechain) for record in records))
