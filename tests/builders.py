"""Makes what the tests of the counting and keeping side feed in: usage objects, records, chunks, log lines and stores."""

from __future__ import annotations

import json
import sqlite3
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

import tokentail
from tokentail import merge, prices, queries
from tokentail.coordinator import UpdateCoordinator
from tokentail.formats.claude import read_usage
from tokentail.model import START, Change, Chunk, Cursor, Life, LogFile, Owner, Record, Reject, Reply
from tokentail.periods import DAY_MS, QUARTER_MS
from tokentail.sources import LocalFolders
from tokentail.store import Store

Usage = dict[str, Any]

SCHEMA = (Path(tokentail.__file__).parent / "schema.sql").read_text(encoding="utf-8")
AT_MS = 1_790_000_000_000
OWNER = Owner(False, False, "s1", "-home-dev-app", "")
MODEL = "claude-opus-5"
THRESHOLDS = (10, 1000)  # far below real ones, so that small counts reach every price tier


# Usage objects


def usage(output: int = 10, **changes: object) -> Usage:
    """An ordinary usage object with that output count."""
    counts: Usage = {
        "input_tokens": 4,
        "output_tokens": output,
        "cache_read_input_tokens": 2000,
        "cache_creation_input_tokens": 300,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 300},
        "service_tier": "standard",
    }
    return {**counts, **changes}


def canonical_json(value: object) -> str:
    """The canonical JSON of R4."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


# Values that meet at every step of R4: equal outputs, equal stops, as many keys, and texts that differ in one place only.
USAGES: st.SearchStrategy[Usage] = st.builds(
    lambda counts, more, mirrored: {**counts, **more, **({"iterations": [{"type": "message", **counts}]} if mirrored else {})},
    st.fixed_dictionaries(
        {
            "input_tokens": st.sampled_from([0, 4, 11]),
            "output_tokens": st.sampled_from([0, 7]),
            "cache_read_input_tokens": st.sampled_from([0, 1001]),
            "cache_creation_input_tokens": st.sampled_from([0, 6]),
        },
        optional={
            "cache_creation": st.sampled_from(
                [
                    {"ephemeral_5m_input_tokens": 6, "ephemeral_1h_input_tokens": 0},
                    {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 6},
                    {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
                ]
            )
        },
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "service_tier": st.sampled_from(["standard", "batch", None]),
            "speed": st.sampled_from(["standard", "fast"]),
            "inference_geo": st.sampled_from(["us", ""]),
            "server_tool_use": st.fixed_dictionaries({"web_search_requests": st.integers(0, 2)}),
            "output_tokens_details": st.fixed_dictionaries({"thinking_tokens": st.integers(0, 1)}),
            "iterations": st.lists(
                st.fixed_dictionaries(
                    {"type": st.sampled_from(["compaction", "message"]), "input_tokens": st.sampled_from([0, 3, 50])},
                    optional={"model": st.sampled_from(["claude-haiku-4-5", MODEL])},
                ),
                max_size=2,
            ),
        },
    ),
    st.booleans(),
)


# Records


def record(
    group: str = "msg_1",
    *,
    request_id: str = "req_1",
    sidechain: bool = False,
    at_ms: int = AT_MS,
    model: str = MODEL,
    version: str = "2.1.220",
    usage: Usage | None = None,
    stopped: bool = True,
    owner: Owner = OWNER,
) -> Record:
    """The record of one log line with that usage."""
    reading = read_usage(_USAGE if usage is None else usage)
    return Record(
        group,
        request_id,
        sidechain,
        at_ms,
        model,
        version,
        reading.tokens,
        reading.thinking,
        reading.form,
        reading.flags,
        stopped,
        stopped,
        reading.web_searches,
        owner,
    )


_USAGE = usage()

OWNERS: st.SearchStrategy[Owner] = st.builds(
    Owner,
    *(st.booleans(), st.booleans(), st.sampled_from(["s1", "s2"]), st.sampled_from(["-a", "-b"]), st.sampled_from(["", "a1"])),
    *(st.sampled_from(["", "anna"]), st.sampled_from(["", "ci-1", "ci-2"])),
)
TIMES = st.sampled_from([0, AT_MS, AT_MS + 1, AT_MS - AT_MS % QUARTER_MS, AT_MS + QUARTER_MS])


def records(groups: Sequence[str] = ("msg_1", "msg_2", "id:x/y%2F")) -> st.SearchStrategy[Record]:
    """Records that clash in every way that R3, R4 and R7 tell apart."""
    return st.builds(
        record,
        st.sampled_from(groups),
        request_id=st.sampled_from(["", "req_1", "req_2", "req/3"]),
        sidechain=st.booleans(),
        at_ms=TIMES,
        model=st.sampled_from([MODEL, "claude-haiku-4-5"]),
        version=st.sampled_from(["2.1.220", "2.1.9"]),
        usage=USAGES,
        stopped=st.booleans(),
        owner=OWNERS,
    )


def replies_of(records: Iterable[Record]) -> dict[str, Reply]:
    """What all those records resolve to, by the rules and without a store."""
    groups: defaultdict[str, list[Record]] = defaultdict(list)
    for each in records:
        groups[each.group].append(each)
    return {key: merge.reply(key, message) for group in groups.values() for key, message in merge.resolve(group).items()}


# Chunks


def log_file(path: str = "/logs/-home-dev-app/s1.jsonl", *, inode: int = 1) -> LogFile:
    return LogFile(path, "/logs", path.removeprefix("/logs/"), 1, inode, 0, 0, 0)


def chunk(
    *records: Record,
    change: Change | None = None,
    restarted: bool = True,
    start_bytes: int = 0,
    line_bytes: int = 100,
    tail_lines: int = 0,
    rejects: Sequence[Reject] = (),
    folder: tuple[int, str] | None = None,
) -> Chunk:
    """A chunk of one line a record, all equally long; the last `tail_lines` of them have no newline yet."""
    joined: dict[tuple[str, str, bool], Record] = {}
    for each in records:
        key = each[:3]
        joined[key] = merge.join(joined[key], each) if key in joined else each
    places = {key: index for index, key in enumerate(joined)}
    whole = len(records) - tail_lines
    offsets = [min(index, whole) * line_bytes for index in range(len(records))]
    cursor = Cursor(start_bytes + whole * line_bytes) if whole + start_bytes else START
    made = Chunk(change or Change(log_file(), None, None), restarted, start_bytes, cursor)
    made.records = list(joined.values())
    made.seen_records = array("I", [places[each[:3]] for each in records])
    made.seen_offsets = array("I", offsets)
    made.tail_lines = tail_lines
    made.rejects = list(rejects)
    made.folder = folder
    return made


def after(chunk_before: Chunk, life: Life, *records: Record) -> Chunk:
    """The chunk that the file of another one gained in a later pass."""
    change = Change(chunk_before.change.file, life, None)
    return chunk(*records, change=change, restarted=False, start_bytes=life.cursor.offset_bytes)


# Log lines and folders


def line(id: object = "msg_1", *, output: int = 10, stop_reason: str | None = "end_turn", **outer: object) -> bytes:
    """A log line of a reply, with its newline; a None leaves the field out, `usage` replaces the ordinary one."""
    fields: dict[str, object] = {
        "type": "assistant",
        "timestamp": "2026-10-01T10:00:00.000Z",
        "sessionId": "s1",
        "requestId": f"req_{id}",
        "uuid": f"u_{id}",
        "version": "2.1.220",
        "cwd": "/home/dev/app",
    }
    message = {"id": id, "model": outer.pop("model", MODEL), "stop_reason": stop_reason, "usage": outer.pop("usage", usage(output))}
    fields |= {"message": message, **outer}
    return json.dumps({name: value for name, value in fields.items() if value is not None}).encode() + b"\n"


def write_logs(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write logs by their names under `folder`, which it gives back."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def many_lines(count: int, *, first: int = 0, hours: int = 7) -> bytes:
    """So many replies, one every `hours` hours of 2026, with different counts."""
    made = []
    for number in range(first, first + count):
        day, hour = divmod(number * hours, 24)
        at = f"2026-{1 + day // 28 % 12:02}-{1 + day % 28:02}T{hour:02}:30:00.000Z"
        made.append(line(f"msg_{number}", output=number + 1, timestamp=at))
    return b"".join(made)


# Stores


LATER_MS = 1_893_456_000_000  # 2030: all that the tests' records speak of is over, and in the summaries


def memory_store(thresholds: Sequence[int] = THRESHOLDS, now_ms: int = LATER_MS) -> Store:
    """An empty store in memory."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(SCHEMA)
    return Store(connection, Path("in-memory.db"), thresholds=thresholds, clock=lambda: now_ms / 1000)


def coordinator(logs: Path, store: Path, *, wait_s: float = 5.0) -> UpdateCoordinator:
    """A coordinator of one folder, with the shipped prices."""
    return UpdateCoordinator(LocalFolders([logs]), store, prices=prices.load(), wait_s=wait_s)


def replies_in(db: sqlite3.Connection) -> dict[str, Reply]:
    return {reply.key: reply for reply in queries.replies_since(db, 0)}


STATES = st.sampled_from(["live", "missing", "rewritten"])  # of file lives

# Stores whose replies stand where summaries can go wrong

SPRING, AUTUMN = 1_774_746_000_000, 1_792_890_000_000  # clocks change in Europe on 2026-03-29 and 2026-10-25, both at 01:00 UTC
TIMES = st.one_of(
    st.sampled_from([0, 1, QUARTER_MS, DAY_MS - 1, SPRING, SPRING - 1, AUTUMN, AUTUMN - 1, AUTUMN + 4 * QUARTER_MS]),
    st.integers(SPRING - 3 * DAY_MS, SPRING + 3 * DAY_MS),
    st.integers(AUTUMN - 3 * DAY_MS, AUTUMN + 3 * DAY_MS),
)
SPREAD: st.SearchStrategy[list[Record]] = st.lists(
    st.builds(
        lambda number, at_ms, said, stopped, owner, model: record(
            f"msg_{number}", at_ms=at_ms, usage=said, stopped=stopped, owner=owner, model=model
        ),
        *(st.integers(0, 20), TIMES, USAGES, st.booleans(), OWNERS, st.sampled_from([MODEL, "claude-haiku-4-5", "claude-zeta-9"])),
    ),
    max_size=8,
)


def store_of(*lines: Record, now_ms: int | None = None) -> Store:
    """
    A store with those records, tiered as the shipped prices want it.

    Without `now_ms` its summaries end in the middle of them.
    """
    middle = sorted(line.at_ms for line in lines)[len(lines) // 2] if lines else LATER_MS
    store = memory_store(prices.load().thresholds, middle if now_ms is None else now_ms)
    store.apply([chunk(*lines)])
    return store


def store_of_lives(*lives: tuple[str, Sequence[Record]]) -> Store:
    """A store of records that were seen in file lives, each live, missing or rewritten."""
    store = memory_store(prices.load().thresholds)
    for number, (state, lines) in enumerate(lives):
        if lines:
            file = log_file(f"/logs/-home-dev-app/s{number}.jsonl", inode=number + 1)
            (life,) = store.apply([chunk(*lines, change=Change(file, None, None))]).lives
            store.restate([life._replace(state=state)])
    return store


Summary = dict[tuple[object, ...], list[int]]


def summary_of(replies: Iterable[Reply], thresholds: Sequence[int]) -> Summary:
    """
    What the store's summary must hold: replies added up one by one, by (quarter, owner, model, price tier).

    A row is its eight counters, and the moments of its first and its last reply.
    """
    sums: dict[tuple[object, ...], list[int]] = {}
    for reply in replies:
        own = (reply.model, reply.tokens, (1, int(not reply.final), reply.web_searches))
        for model, tokens, counts in (own, *((extra.model, extra.tokens, (0, 0, 0)) for extra in reply.extras)):
            tier = (bisect_left(thresholds, tokens.prompt), reply.speed, reply.geo, reply.service_tier)
            row = [*tokens, *counts, reply.at_ms, reply.at_ms]
            key = (reply.at_ms // QUARTER_MS, *reply.owner, model, *tier)
            sums[key] = _plus(sums[key], row) if key in sums else row
    return sums


def hours_of(replies: Iterable[Reply], thresholds: Sequence[int]) -> Summary:
    """What the summary by hour must hold: by (hour, model, price tier)."""
    return _regrouped(summary_of(replies, thresholds), lambda quarter, key: (quarter // 4, *key[8:]))


def days_of(replies: Iterable[Reply], thresholds: Sequence[int]) -> Summary:
    """What the summary by UTC day must hold: by (day, owner, model, price tier)."""
    return _regrouped(summary_of(replies, thresholds), lambda quarter, key: (quarter // 96, *key[1:]))


def _regrouped(summary: Summary, key_of: Callable[[int, tuple[object, ...]], tuple[object, ...]]) -> Summary:
    sums: Summary = {}
    for key, row in summary.items():
        assert isinstance(key[0], int)
        wider = key_of(key[0], key)
        sums[wider] = _plus(sums[wider], row) if wider in sums else row
    return sums


def _plus(one: list[int], other: list[int]) -> list[int]:
    return [*(a + b for a, b in zip(one[:8], other[:8], strict=True)), min(one[8], other[8]), max(one[9], other[9])]


_OWNER = "copied, subagent, sessions.name, projects.name, agents.name, users.name, hosts.name"
_TIER = "prompt_class, speed, geo, service_tier"
_ROW = "input, output, cache_read, cache_write_5m, cache_write_1h, replies, not_final, web_searches, first_ms, last_ms"
_OWNERS = """JOIN owners ON owners.id = owner JOIN names AS sessions ON sessions.id = session
    JOIN names AS projects ON projects.id = project JOIN names AS agents ON agents.id = agent
    JOIN names AS users ON users.id = user JOIN names AS hosts ON hosts.id = host"""
_MODELS = "JOIN names AS models ON models.id = model JOIN tiers ON tiers.id = tier"


def hours_in(db: sqlite3.Connection) -> Summary:
    rows = db.execute(f"SELECT hour, models.name, {_TIER}, {_ROW} FROM hours {_MODELS}")
    return {row[:6]: list(row[6:]) for row in rows}


def days_in(db: sqlite3.Connection) -> Summary:
    return _by_owner(db, "day", "days")


def summary_in(db: sqlite3.Connection) -> Summary:
    return _by_owner(db, "quarter", "quarters")


def settled_of(sums: Summary, quarters: int, unit: int) -> Summary:
    """Of such sums those that a store has whose summaries end at a quarter of an hour; a unit is so many quarters."""
    return {key: row for key, row in sums.items() if isinstance(key[0], int) and key[0] < quarters // unit}


def _by_owner(db: sqlite3.Connection, unit: str, table: str) -> Summary:
    rows = db.execute(f"SELECT {unit}, {_OWNER}, models.name, {_TIER}, {_ROW} FROM {table} {_OWNERS} {_MODELS}")
    return {(row[0], bool(row[1]), bool(row[2]), *row[3:13]): list(row[13:]) for row in rows}
