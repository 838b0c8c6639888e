"""How things stand as JSON; the field names are a contract (docs/json.md)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from zoneinfo import ZoneInfo

from tokentail import periods
from tokentail.census import Census, Look
from tokentail.model import LogsRead, Recent, Share
from tokentail.periods import utc_text
from tokentail.status.now import Status
from tokentail.time_index import Index

STATUS_SCHEMA = "tokentail/status/1"


def status_json(status: Status, zone: ZoneInfo) -> str:
    """One JSON object, indented."""
    held = status.census
    document = {
        "schema": STATUS_SCHEMA,
        "at": utc_text(status.at_ms, digits="milliseconds"),
        "timezone": zone.key,
        "folders": [folder._asdict() for folder in status.folders],
        "logs": {"files": status.files, "size_bytes": status.size_bytes},
        "tracked": None if held is None else held.files._asdict(),
        "counted": None if held is None else _counted(held, zone),
        "store": _store(status),
        "following": _following(status),
        "time_index": None if status.time_index is None else _index(status.time_index),
        "destinations": [{"url": url, **waiting._asdict()} for url, waiting in held.destinations] if held else [],
        "copies": [copy._asdict() for copy in status.copies],
        "prices": {**status.prices._asdict(), "as_of": status.prices.as_of.isoformat() if status.prices.as_of else None},
        "looks": [_look(look) for look in held.found] if held else [],
        "last_look": _look(status.last_look) if status.last_look else None,
        "problems": [problem._asdict() for problem in status.problems],
        "degraded": list(status.degraded),
    }
    return json.dumps(document, indent=2)


def _counted(held: Census, zone: ZoneInfo) -> dict[str, object]:
    replies, first_ms, last_ms, sessions, projects, forgotten, of_others, hosts = held.counted
    first, last = (None if at_ms is None else periods.day_of(at_ms, zone).isoformat() for at_ms in (first_ms, last_ms))
    return {
        "replies": replies,
        "sessions": sessions,
        "projects": projects,
        "first_day": first,
        "last_day": last,
        "forgotten_groups": forgotten,
        "replies_of_other_hosts": of_others,
        "other_hosts": hosts,
    }


def _store(status: Status) -> dict[str, object]:
    file, held = status.store, status.census
    replies = held.counted.replies if held else 0
    return {
        "path": file.path,
        "exists": file.exists,
        "size_bytes": file.size_bytes,
        "log_bytes": file.log_bytes,
        "bytes_a_reply": round((file.size_bytes + file.log_bytes) / replies, 1) if replies else None,
        "schema_version": held.schema_version if held else None,
        "rules_version": held.rules_version if held else None,
        "writer": file.writer,
    }


def _index(index: Index) -> dict[str, object]:
    return {
        "files": index.files,
        "stretches": index.stretches,
        "size_bytes": index.size_bytes,
        "last_read_at": None if index.read_at_ms is None else utc_text(index.read_at_ms, digits="milliseconds"),
        **(index.last_read._asdict() if index.last_read else dict.fromkeys(LogsRead._fields)),
    }


def _following(status: Status) -> dict[str, object] | None:
    if status.leader is None:
        return None
    noted = status.census.following if status.census else None
    recent = noted.recent if noted else None
    shares = dict.fromkeys(Recent._fields[1:]) if recent is None else {name: _share(share) for name, share in _shares(recent)}
    return {
        "process": status.leader.process,
        "silent_ms": round(status.leader.silent_s * 1000),
        "noted_at": utc_text(noted.at_ms, digits="milliseconds") if noted else None,
        "mode": noted.mode if noted else None,
        "pending_files": noted.pending if noted else None,
        "looks": recent.looks if recent else 0,
        **shares,
    }


def _shares(recent: Recent) -> Iterator[tuple[str, Share | None]]:
    return zip(Recent._fields[1:], recent[1:], strict=True)


def _share(share: Share | None) -> dict[str, float] | None:
    return None if share is None else share._asdict()


def _look(look: Look) -> dict[str, object]:
    metrics = look.metrics
    return {
        "at": utc_text(look.at_ms, digits="milliseconds"),
        "process": look.process,
        "files_checked": metrics.files_checked,
        "files_read": metrics.files_read,
        "cache_hit_rate": round(metrics.cache_hit_rate, 6),
        "bytes_read": metrics.bytes_read,
        "entries_parsed": metrics.entries_parsed,
        "replies_new": metrics.replies_new,
        "replies_grown": metrics.replies_grown,
        "replies_corrected": metrics.replies_corrected,
        "replies_gone": metrics.replies_gone,
        "malformed_lines": metrics.malformed_lines,
        "took_ms": round(metrics.took_s * 1000, 1),
    }
