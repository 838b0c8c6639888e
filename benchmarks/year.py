"""A year of a heavy user as the parser would hand it over: chunks of records, without any log behind them."""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterator
from datetime import UTC, date
from heapq import merge
from typing import NamedTuple

from tokentail.model import Change, Chunk, Cursor, LogFile, Owner, Record, Tokens
from tokentail.periods import DAY_MS, day_start_ms

DAYS = 365
LAST_DAY = date(2026, 11, 20)
BEGIN_MS = day_start_ms(LAST_DAY, UTC) - (DAYS - 1) * DAY_MS
SESSION_REPLIES = 400  # a session's, on average
LOOK_REPLIES = 20  # that a session gains between two looks at its log
_LINE_BYTES = 2_500
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz123456789"
_PROJECTS = tuple(f"-home-dev-src-project-{number:02}" for number in range(12))
_MODELS = ("claude-opus-4-8", "claude-sonnet-5", "claude-haiku-4-5")
_FORM = (
    '{"cache_creation":{"ephemeral_1h_input_tokens":\x05,"ephemeral_5m_input_tokens":\x04},"cache_creation_input_tokens":\x06,'
    '"cache_read_input_tokens":\x03,"input_tokens":\x01,"output_tokens":\x02,"service_tier":"standard"}'
)
_PROOF = bytes(16)


class Look(NamedTuple):
    """What one look at a session's log found."""

    at_ms: int
    session: int
    chunk: Chunk


def chunks(replies: int, *, seed: int = 1) -> Iterator[Chunk]:
    """About that many replies, spread over a year: several sessions at a time, at work by day, in the order of the looks."""
    count = max(replies // SESSION_REPLIES, 1)
    spacing_ms = DAYS * DAY_MS / count
    waiting: list[Iterator[Look]] = []
    starts = [BEGIN_MS + int(number * spacing_ms) for number in range(count)]
    for number, start_ms in enumerate(starts):
        waiting.append(_session(number, start_ms, random.Random(f"{seed}/{number}"), replies // count))
        if len(waiting) == 200 or number == count - 1:
            yield from (look.chunk for look in merge(*waiting, key=lambda look: (look.at_ms, look.session)))
            waiting.clear()


def record(rng: random.Random, at_ms: int, owner: Owner, model: str) -> Record:
    """A reply of one record, with counters as they usually are."""
    context = rng.randrange(15_000, 180_000)
    tokens = Tokens(rng.randrange(1, 60), int(rng.lognormvariate(5.3, 1.2)), context, 0, rng.randrange(200, 9_000))
    group, request = _token(rng, "msg_01", 22), _token(rng, "req_011C", 20)
    return Record(group, request, owner.subagent, at_ms, model, "2.1.229", tokens, tokens.output // 4, _FORM, 0, True, True, 0, owner)


def _session(number: int, start_ms: int, rng: random.Random, replies: int) -> Iterator[Look]:
    """The looks at a session's log; every third one is a subagent's."""
    agent = f"a{rng.getrandbits(64):016x}" if number % 3 == 0 else ""
    name = f"{rng.getrandbits(32):08x}-0000-4000-8000-{number:012x}"
    project = _PROJECTS[int(len(_PROJECTS) * rng.random() ** 2)]
    owner = Owner(False, bool(agent), name, project, agent)
    model = rng.choices(_MODELS, (6, 3, 3 if agent else 1))[0]
    file = LogFile(f"/logs/projects/{project}/{name}.jsonl", "/logs/projects", f"{project}/{name}.jsonl", 1, number + 1, 0, 0, 0)
    change = Change(file, None, None)
    at_ms = _by_day(start_ms)
    offset = 0
    left = max(int(rng.expovariate(1 / replies)), 1)
    while left > 0:
        records = []
        for _ in range(min(left, LOOK_REPLIES)):
            at_ms = _by_day(at_ms + int(rng.expovariate(1 / 25_000)))
            records.append(record(rng, at_ms, owner, model))
        left -= LOOK_REPLIES
        chunk = _chunk(change, offset, records, rng)
        offset = chunk.cursor.offset_bytes
        yield Look(at_ms, number, chunk)


def _chunk(change: Change, start_bytes: int, records: list[Record], rng: random.Random) -> Chunk:
    """Each record on one to four lines, as the parts of an answer are logged."""
    seen = array("I", [index for index in range(len(records)) for _ in range(rng.choices((1, 2, 3, 4), (4, 3, 2, 2))[0])])
    offsets = array("I", range(0, len(seen) * _LINE_BYTES, _LINE_BYTES))
    cursor = Cursor(start_bytes + len(seen) * _LINE_BYTES, 1024, _PROOF, 1024, _PROOF)
    chunk = Chunk(change, start_bytes == 0, start_bytes, cursor, records, seen, offsets)
    chunk.folder = records[0].at_ms, records[0].owner.project.replace("-", "/")
    return chunk


def _by_day(at_ms: int) -> int:
    """The same moment, or the next morning: nobody works from midnight to eight."""
    since_midnight = at_ms % DAY_MS
    return at_ms if since_midnight >= DAY_MS // 3 else at_ms - since_midnight + DAY_MS // 3 + since_midnight // 8


def _token(rng: random.Random, prefix: str, length: int) -> str:
    return prefix + "".join(rng.choices(LETTERS, k=length))
