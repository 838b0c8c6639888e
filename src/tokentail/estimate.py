"""
The only place that estimates output counts, from the length of what was said: for replies whose log holds no final count.

The numbers were fitted by least squares on 8 394 replies with a final count; docs/counting.md says how far they are off.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Sequence, Set
from typing import NamedTuple

from tokentail import originals, queries, sighted
from tokentail.formats import Look
from tokentail.model import Reply, Source
from tokentail.originals import Original
from tokentail.prices import normalise

LABEL = "an estimate from the length of what was said, not a count"
# What is known of its error: docs/counting.md, "The estimate".
ERROR = "over many replies about 10 % off, for one reply 15 to 30 %"
_NEWER_FROM = (4, 7)
_CLAUDE = re.compile(r"claude-(?:[a-z]+-([0-9]+)(?:-([0-9]+))?|([0-9]+)(?:-([0-9]+))?-[a-z]+)")


class _Fit(NamedTuple):
    """Tokens for each character, and for a reply."""

    text: float
    tool_input: float
    signature: float
    reply: float


_OLDER = _Fit(0.242, 0.288, 0.214, 46)
_NEWER = _Fit(0.315, 0.418, 0.282, 22)


def outputs(db: sqlite3.Connection, replies: Sequence[Reply], source: Source) -> dict[str, int]:
    """
    The estimates for those of the replies that have no final count, by their keys; none where no line can be read any more.

    Every line of theirs is read from its log.
    """
    asked = {reply.key: reply for reply in replies if not reply.final}
    records = {key: each.records for key, each in sighted.behind(db, asked).items() if key in asked}
    lines = sighted.sightings(db, {record.number for each in records.values() for record in each})
    found: dict[str, int] = {}
    for key, each in records.items():
        read = [originals.read(source, seen, record) for record in each for seen in lines[record.number]]
        output = output_of(asked[key].model, asked[key].tokens.output, [one.look for one in read if isinstance(one, Original)])
        if output is not None:
            found[key] = output
    return found


def between(
    db: sqlite3.Connection, source: Source, start_ms: int, end_ms: int, *, projects: Set[str] | None, models: Set[str] | None
) -> list[tuple[Reply, int]]:
    """The replies of a stretch of time that can be estimated, each with its estimate; see `queries.replies_between`."""
    replies = list(queries.replies_between(db, start_ms, end_ms, projects=projects, models=models, not_final=True))
    found = outputs(db, replies, source)
    return [(reply, found[reply.key]) for reply in replies if reply.key in found]


def with_output(reply: Reply, output_tokens: int) -> Reply:
    """The reply as if that were its output; it stays not final."""
    return reply._replace(tokens=reply.tokens._replace(output=output_tokens))


def output_of(model: str, logged: int, looks: Iterable[Look]) -> int | None:
    """
    About how many tokens the output of a reply had, never fewer than were logged; each line is taken once, however often it was copied.

    None without a line, and for models of another make.
    """
    fit = _fit(model)
    lines = {look.uuid or f"at {number}": look for number, look in enumerate(looks)}.values()
    if fit is None or not lines:
        return None
    text, tool_input, signature = (sum(each) for each in zip(*(look[2:] for look in lines), strict=True))
    return max(logged, round(fit.text * text + fit.tool_input * tool_input + fit.signature * signature + fit.reply))


def _fit(model: str) -> _Fit | None:
    """By the model's tokenizer: one up to version 4.6, another one from 4.7 on."""
    match = _CLAUDE.fullmatch(normalise(model))
    if match is None:
        return None
    major, minor = (int(part or 0) for part in (match[1] or match[3], match[2] or match[4]))
    return _NEWER if (major, minor) >= _NEWER_FROM else _OLDER
