"""The metrics for Prometheus, with the names of Claude Code's own telemetry under our prefix, and few labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from tokentail import __version__
from tokentail.fleet.intake import Counted
from tokentail.limits import Limit
from tokentail.model import Counts, Live, Metrics, Row

MOST_MODELS = 30  # with labels of their own; the cheapest ones are `other` together
_KINDS = (("input", ("input_tokens",)), ("output", ("output_tokens",)), ("cacheRead", ("cache_read_tokens",)))
_WRITES = ("cache_write_5m_tokens", "cache_write_1h_tokens")


class Taken(NamedTuple):
    """What a hub took in since it started."""

    requests: Mapping[int, int]  # by the status of their answers
    counted: Counted
    waiting: int
    foreign: int


class Seen(NamedTuple):
    """What is told."""

    models: Sequence[Row]  # all that was ever counted, costliest first
    totals: Counts
    limits: Sequence[Limit]
    since_start: Metrics
    looks: int
    live: Live | None
    listening: int
    dropped: int
    degraded: int
    taken: Taken | None = None  # of a hub


def text(seen: Seen) -> str:
    """In the text format, version 0.0.4."""
    return "".join(f"{line}\n" for line in _lines(seen))


def _lines(seen: Seen) -> Iterator[str]:
    shown, others = seen.models[:MOST_MODELS], seen.models[MOST_MODELS:]
    rows = [*((row.key, row.counts) for row in shown), *([("other", _sum(others))] if others else [])]
    name = "tokentail_claude_code_token_usage_tokens_total"
    yield from _head(name, "counter", "Tokens, all that were ever counted.")
    for model, counts in rows:
        for kind, fields in (*_KINDS, ("cacheCreation", _WRITES)):
            yield f"{name}{_labels(type=kind, model=model)} {sum(getattr(counts, field) for field in fields)}"
    yield from _head("tokentail_claude_code_cost_usage_USD_total", "counter", "Dollars at list price; what has no price is left out.")
    for model, counts in rows:
        if counts.cost_usd is not None:
            yield f"tokentail_claude_code_cost_usage_USD_total{_labels(model=model)} {counts.cost_usd!r}"
    yield from _one("tokentail_replies_total", "counter", "Replies.", seen.totals.replies)
    yield from _one("tokentail_replies_not_final", "gauge", "Replies whose output count is a lower bound.", seen.totals.not_final_replies)
    yield from _head("tokentail_limit_used_ratio", "gauge", "How far Claude Code's limits are used; 1 is all.")
    for limit in seen.limits:
        if limit.percent is not None:
            yield f"tokentail_limit_used_ratio{_labels(limit=limit.kind, standing=limit.standing)} {limit.percent / 100!r}"
    for name, says in (
        ("files_checked", "Files whose state was compared."),
        ("files_read", "Files that were read."),
        ("bytes_read", "Bytes that were read."),
        ("entries_parsed", "Lines with usage."),
        ("malformed_lines", "Lines that could have carried usage and could not be read."),
    ):
        yield from _one(f"tokentail_{name}_total", "counter", f"{says} Since the server started.", getattr(seen.since_start, name))
    yield from _one("tokentail_looks_total", "counter", "Looks at the logs since the server started.", seen.looks)
    yield from _one("tokentail_look_seconds_total", "counter", "What they took.", seen.since_start.took_s)
    yield from _recent(seen.live)
    yield from _one("tokentail_degraded", "gauge", "Guarantees that are lost at the moment.", seen.degraded)
    yield from _one("tokentail_stream_listeners", "gauge", "Streams that are open.", seen.listening)
    yield from _one("tokentail_stream_dropped_total", "counter", "Streams that were ended for being too slow.", seen.dropped)
    yield from _intake(seen.taken) if seen.taken is not None else ()
    yield from _head("tokentail_build_info", "gauge", "The version.")
    yield f"tokentail_build_info{_labels(version=__version__)} 1"


def _recent(live: Live | None) -> Iterator[str]:
    recent = live.recent if live is not None else None
    for name, says, share in (
        ("look_duration_seconds", "What the latest looks that found something took.", recent.took_ms if recent else None),
        ("line_delay_seconds", "From a line's being written to its commit, of the latest lines.", recent.late_ms if recent else None),
    ):
        yield from _head(f"tokentail_{name}", "gauge", says)
        if share is not None:
            yield f"tokentail_{name}{_labels(quantile='0.5')} {share.p50 / 1000!r}"
            yield f"tokentail_{name}{_labels(quantile='0.99')} {share.p99 / 1000!r}"


def _intake(taken: Taken) -> Iterator[str]:
    yield from _head("tokentail_hub_requests_total", "counter", "Requests with an agent's token, by the status of their answers.")
    for status, count in sorted(taken.requests.items()):
        yield f"tokentail_hub_requests_total{_labels(status=str(status))} {count}"
    for name, says in (
        ("batches", "Batches that were kept."),
        ("records", "Records that were kept."),
        ("news", "Records that said something new."),
        ("commits", "Commits of them."),
        ("failed", "Batches that could not be kept."),
    ):
        yield from _one(f"tokentail_hub_{name}_total", "counter", says, getattr(taken.counted, name))
    yield from _one("tokentail_hub_commit_seconds_total", "counter", "What the commits took.", taken.counted.commits_s)
    yield from _one("tokentail_hub_foreign_records_total", "counter", "Log records of other services, which are not kept.", taken.foreign)
    yield from _one("tokentail_hub_waiting_records", "gauge", "Records that wait to be written.", taken.waiting)


def _head(name: str, kind: str, says: str) -> tuple[str, str]:
    return f"# HELP {name} {says}", f"# TYPE {name} {kind}"


def _one(name: str, kind: str, says: str, value: float) -> tuple[str, ...]:
    return (*_head(name, kind, says), f"{name} {value!r}")


def _labels(**labels: str) -> str:
    return "{" + ",".join(f'{name}="{_quoted(value)}"' for name, value in labels.items()) + "}"


def _quoted(value: str) -> str:
    """A name from a log, such that it stays one value on one line."""
    said = value.encode("utf-8", "replace").decode()
    return "".join(char if char.isprintable() else "\ufffd" for char in said).replace("\\", "\\\\").replace('"', '\\"')


def _sum(rows: Sequence[Row]) -> Counts:
    costs = [row.counts.cost_usd for row in rows if row.counts.cost_usd is not None]
    sums = {name: sum(getattr(row.counts, name) for row in rows) for name in Counts._fields if name.endswith("tokens")}
    return Counts(**sums, cost_usd=sum(costs) if costs else None)
