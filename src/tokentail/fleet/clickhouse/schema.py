"""The only place that says what tables a ClickHouse holds, of one server or of a cluster, and how records become replies there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tokentail.interned import OWNER_COLUMNS
from tokentail.periods import QUARTER_MS

VERSION = 1
# What a line says, whole: lines that say the same are one row after a merge, and others stay beside each other.
SAID = (
    *("output", "stopped", "form", "model", "version", "input", "cache_read", "cache_write_5m", "cache_write_1h"),
    *("thinking", "flags"),
)
KEY = ("group_text", "request_id", "sidechain")
OWNER = "Tuple(copied UInt8, subagent UInt8, session String, project String, agent String, user String, host String)"

_FILLED = r"replaceRegexpAll(form, '[\\x01-\\x07]', '0')"
_EXTRAS = r"'\x7Fextras'"
_WORD = r"""(JSONExtractString({filled}, '{name}') AS {name}_said, if(
        JSONType({filled}, '{name}') = 'String' AND lengthUTF8({name}_said) <= 40 AND NOT match({name}_said, '[\\x00-\\x20\\x7F]')
        AND NOT (startsWith({name}_said, '#') AND lengthUTF8({name}_said) = 33), {name}_said, '')).2"""


def _word(name: str) -> str:
    return _WORD.format(filled=_FILLED, name=name)


# `key` of a reply: its group, and its request where the group serves several; "/" parts them.
_ESCAPED = "replaceAll(replaceAll({text}, '%', '%25'), '/', '%2F')"
CANONICAL = r"""replaceAll(replaceAll(replaceAll(replaceAll(replaceAll(replaceAll(replaceAll(form,
    '\x01', toString(input)), '\x02', toString(output)), '\x03', toString(cache_read)), '\x04', toString(cache_write_5m)),
    '\x05', toString(cache_write_1h)), '\x06', toString(cache_write_5m + cache_write_1h)), '\x07', toString(thinking))"""
_COLUMNS = f"""
    hash UInt64 MATERIALIZED cityHash64(group_text),
    group_text String CODEC(ZSTD(1)),
    request_id String CODEC(ZSTD(1)),
    sidechain UInt8,
    output UInt64,
    stopped UInt8,
    form LowCardinality(String),
    model LowCardinality(String),
    version LowCardinality(String),
    input UInt64,
    cache_read UInt64,
    cache_write_5m UInt64,
    cache_write_1h UInt64,
    thinking UInt64,
    flags UInt8,
    at_ms SimpleAggregateFunction(min, Int64) CODEC(Delta, ZSTD(1)),
    final SimpleAggregateFunction(max, UInt8),
    web_searches SimpleAggregateFunction(max, UInt64),
    owner SimpleAggregateFunction(min, {OWNER}) CODEC(ZSTD(1)),
    inserted_ms SimpleAggregateFunction(max, Int64) DEFAULT toUnixTimestamp64Milli(now64(3)) CODEC(Delta, ZSTD(1)),
    keys UInt16 MATERIALIZED JSONLength({_FILLED}) - JSONHas({_FILLED}, {_EXTRAS}),
    speed LowCardinality(String) MATERIALIZED {_word("speed")},
    geo LowCardinality(String) MATERIALIZED {_word("inference_geo")},
    service_tier LowCardinality(String) MATERIALIZED {_word("service_tier")},
    extras Array(Tuple(model String, tokens Array(UInt64))) MATERIALIZED
        JSONExtract({_FILLED}, {_EXTRAS}, 'Array(Tuple(model String, tokens Array(UInt64)))')"""

# What of a message the views see, from the row that wins.
_WINNER = ("output", "form", "model", "version", "input", "cache_read", "cache_write_5m", "cache_write_1h", "flags")
_MEANT = ("speed", "geo", "service_tier", "extras")
_JOINED = "min(at_ms) AS at, max(final) AS is_final, max(web_searches) AS searches, min(owner) AS whose"
RANK = "(-toInt64(output), 1 - stopped, -toInt32(keys), canonical, model, version)"

# One record in several states, no two of which are alike in the first two steps of R4: those two decide.
_FIRST_RANK = "(r.output * 2 + r.stopped)"
_GROWN = f"""min(group_text) = max(group_text) AND min(request_id) = max(request_id) AND min(sidechain) = max(sidechain)
        AND length(groupUniqArray({_FIRST_RANK})) = count()"""


class Layout(NamedTuple):
    """Where the tables stand."""

    database: str = "tokentail"
    cluster: str = ""  # "" is one server
    retention_days: int = 0  # 0: for ever
    rollup_every_s: int = 60

    @property
    def on_cluster(self) -> str:
        return f" ON CLUSTER '{self.cluster}'" if self.cluster else ""

    def table(self, name: str) -> str:
        """A table's whole name."""
        return f"{quoted(self.database)}.{name}"


def quoted(name: str) -> str:
    """A name in SQL, whatever is in it."""
    escaped = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{escaped}`"


def statements(layout: Layout) -> Iterator[str]:
    """All that makes an empty server, or cluster, one that takes records; done again it changes nothing."""
    if layout.database != "default":
        yield f"CREATE DATABASE IF NOT EXISTS {quoted(layout.database)}{layout.on_cluster}"
    ttl = f" TTL toDateTime(intDiv(at_ms, 1000)) + INTERVAL {layout.retention_days} DAY" if layout.retention_days else ""
    yield from _table(
        layout, "records", _COLUMNS, "Aggregating", "hash", f"{', '.join(('hash', *KEY, *SAID))}", "cityHash64(group_text)", ttl
    )
    folder = "project String, least SimpleAggregateFunction(min, Tuple(at_ms Int64, folder String))"
    yield from _table(layout, "folders", folder, "Aggregating", "project", "project", "cityHash64(project)")
    yield from _table(layout, "meta", "name String, value String, at_ms Int64", "Replacing", "name", "name", "cityHash64(name)")
    yield f"CREATE VIEW IF NOT EXISTS {layout.table('replies')}{layout.on_cluster} AS {replies(layout)}"
    yield from _rollup(layout)


def _table(layout: Layout, name: str, columns: str, kind: str, primary: str, order: str, shard: str, more: str = "") -> Iterator[str]:
    """A table; of a cluster the part on each server, which is replicated, and what spans all of them."""
    version = "(at_ms)" if kind == "Replacing" else ""
    body = f"PRIMARY KEY ({primary}) ORDER BY ({order}){more}"
    if not layout.cluster:
        yield f"CREATE TABLE IF NOT EXISTS {layout.table(name)} ({columns}) ENGINE = {kind}MergeTree{version} {body}"
        return
    path = f"'/clickhouse/tables/{{shard}}/{{database}}/{name}_here', '{{replica}}'"
    replicated = f"Replicated{kind}MergeTree({path}{', at_ms' if version else ''})"
    yield f"CREATE TABLE IF NOT EXISTS {layout.table(f'{name}_here')}{layout.on_cluster} ({columns}) ENGINE = {replicated} {body}"
    spans = f"Distributed('{layout.cluster}', {quoted(layout.database)}, {name}_here, {shard})"
    yield f"CREATE TABLE IF NOT EXISTS {layout.table(name)}{layout.on_cluster} AS {layout.table(f'{name}_here')} ENGINE = {spans}"


def replies(layout: Layout, where: str = "1", alone: str = "") -> str:
    """
    The query of all replies (R3, R4, R7, R8), of those groups that the condition on `hash` or `group_text` leaves.

    `alone` is a condition that means the same for a group of one row, where such a one is cheaper.

    Three ways, by how much is to be looked at: a group of one row, as nearly all are, is its reply; of one that grew the row with
    the greatest output is; of the others all rows are looked at together. Hashes part them, so that no text need be grouped by: two
    groups that share one go the last way, which is right for all.
    """
    rows = layout.table("records")
    names = (*_WINNER, *_MEANT)
    group = _ESCAPED.format(text="group_text")
    joined = "key, group_text, at, is_final, searches, whose"
    several = f"SELECT hash FROM {rows} WHERE {where} GROUP BY hash HAVING count() > 1"
    grown, tangled = (
        f"SELECT hash FROM {rows} AS r WHERE hash IN ({several}) GROUP BY hash HAVING {condition}"
        for condition in (_GROWN, f"NOT ({_GROWN})")
    )
    best = ", ".join(f"argMax(r.{name}, {_FIRST_RANK}) AS {name}" for name in names)
    return f"""
SELECT {joined}, {", ".join(names)} FROM (
    SELECT {group} AS key, group_text, at_ms AS at, final AS is_final, web_searches AS searches, owner AS whose, {", ".join(names)}
    FROM {rows} WHERE {alone or where} AND hash NOT IN ({several})
    UNION ALL
    SELECT replaceAll(replaceAll(grown_group, '%', '%25'), '/', '%2F') AS key, grown_group AS group_text, at, is_final, searches, whose,
        {", ".join(names)}
    FROM (SELECT any(r.group_text) AS grown_group, {_JOINED}, {best} FROM {rows} AS r WHERE hash IN ({grown}) GROUP BY hash)
    UNION ALL
    {_resolved(rows, f"hash IN ({tangled})")}
)"""


def _resolved(rows: str, where: str) -> str:
    """The query of the replies of groups whose rows are all looked at together."""
    names = ", ".join((*_WINNER, *_MEANT))
    won = ", ".join(f"won.{number} AS {name}" for number, name in enumerate((*_WINNER, *_MEANT), 1))
    group, request = _ESCAPED.format(text="group_text"), _ESCAPED.format(text="request")
    columns = ("request_id", "sidechain", "stopped", "keys", "thinking", "at_ms", "final", "web_searches", "owner", *_WINNER, *_MEANT)
    lines = ", ".join(f"line.{number} AS {name}" for number, name in enumerate(columns, 1))
    return f"""
    SELECT key, group_text, at, is_final, searches, whose, {won} FROM (
        SELECT if(serves_several, concat({group}, '/', {request}), {group}) AS key, group_text,
            {_JOINED}, argMin(({names}), {RANK}) AS won
        FROM (
            SELECT group_text, *, {CANONICAL} AS canonical, length(requests) > 1 AS serves_several,
                multiIf(
                    own = 0, '',
                    length(requests) <= 1, if(sidechain = 0 OR has(requests, request_id), '', '\\0'),
                    has(requests, request_id), request_id,
                    sidechain = 0, requests[1],
                    '\\0') AS request
            FROM (
                SELECT group_text, own, requests, {lines} FROM (
                    SELECT group_text, countIf(sidechain = 0) AS own, groupArray(({", ".join(columns)})) AS all_lines,
                        arraySort(groupUniqArrayIf(request_id, sidechain = 0 AND request_id != '')) AS requests
                    FROM {rows} WHERE {where} GROUP BY group_text
                ) ARRAY JOIN all_lines AS line
            )
        )
        WHERE request != '\\0'
        GROUP BY group_text, request, serves_several
    )"""


def usage_of(replies_query: str) -> str:
    """Replies as what they use: their own, and what is billed besides at its own model (R6)."""
    owner = ", ".join(f"whose.{name} AS {name}" for name in OWNER_COLUMNS)
    said = "key, at, is_final, speed, geo, service_tier"
    return f"""
SELECT {said}, {owner}, part.1 AS model, part.2 AS input, part.3 AS output, part.4 AS cache_read, part.5 AS cache_write_5m,
    part.6 AS cache_write_1h, part.7 AS replies, part.7 * (1 - is_final) AS not_final, part.8 AS searches
FROM (
    SELECT {said}, whose, arrayJoin(arrayConcat(
        [(toString(model), input, output, cache_read, cache_write_5m, cache_write_1h, 1, searches)],
        arrayMap(
            e -> (if(e.model = '', toString(model), e.model), e.tokens[1], e.tokens[2], e.tokens[3], e.tokens[4], e.tokens[5], 0, 0),
            extras)
    )) AS part FROM ({replies_query})
)"""


SUMS = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "replies", "not_final", "searches")
BY = (*OWNER_COLUMNS, "model", "speed", "geo", "service_tier")


def _rollup(layout: Layout) -> Iterator[str]:
    """Sums by quarter of an hour, computed whole again and again: nothing that is sent twice can be in them twice."""
    columns = (
        "quarter Int64, copied UInt8, subagent UInt8, session String, project LowCardinality(String), agent String, "
        "user LowCardinality(String), host LowCardinality(String), model LowCardinality(String), speed LowCardinality(String), "
        "geo LowCardinality(String), service_tier LowCardinality(String), prompt_class UInt8, "
        + ", ".join(f"{name} UInt64" for name in SUMS)
        + ", first_ms Int64, last_ms Int64, as_of_ms Int64"
    )
    order = "ENGINE = MergeTree ORDER BY (quarter, project, model)"  # each server of a cluster has all sums
    yield f"CREATE TABLE IF NOT EXISTS {layout.table('sums')}{layout.on_cluster} ({columns}) {order}"
    order = f"ENGINE = {_small(layout, 'thresholds')} ORDER BY prompt"
    yield f"CREATE TABLE IF NOT EXISTS {layout.table('thresholds')}{layout.on_cluster} (prompt UInt64) {order}"
    yield (
        f"CREATE MATERIALIZED VIEW IF NOT EXISTS {layout.table('sums_refreshed')}{layout.on_cluster} "
        f"REFRESH EVERY {layout.rollup_every_s} SECOND TO {layout.table('sums')} AS {rollup(layout)}"
    )


def _small(layout: Layout, name: str) -> str:
    if layout.cluster:
        return f"ReplicatedReplacingMergeTree('/clickhouse/tables/all/{{database}}/{name}', '{{shard}}-{{replica}}')"
    return "ReplacingMergeTree"


def rollup(layout: Layout) -> str:
    """The query that fills `sums`."""
    by = ", ".join(BY)
    sums = ", ".join(f"sum({name}) AS {name}" for name in SUMS)
    thresholds = f"(SELECT arraySort(groupUniqArray(prompt)) FROM {layout.table('thresholds')})"
    return f"""
SELECT quarter, {by}, prompt_class, {sums}, min(at) AS first_ms, max(at) AS last_ms, toUnixTimestamp64Milli(now64(3)) AS as_of_ms
FROM (
    SELECT *, toInt64(floor(at / {QUARTER_MS})) AS quarter,
        toUInt8(arrayCount(t -> t < input + cache_read + cache_write_5m + cache_write_1h, {thresholds})) AS prompt_class
    FROM ({usage_of(f"SELECT * FROM {layout.table('replies')}")})
) GROUP BY quarter, {by}, prompt_class
SETTINGS prefer_column_name_to_alias = 1"""
