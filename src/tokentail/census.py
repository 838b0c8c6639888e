"""The only place that answers how much the store itself holds: files and replies in all, and the looks at the logs."""

from __future__ import annotations

import json
import sqlite3
from typing import NamedTuple

from tokentail import outbox
from tokentail.model import Metrics, Recent, Share
from tokentail.outbox import Waiting
from tokentail.summaries import BY_DAY

_NOBODY = "(SELECT id FROM names WHERE name = '')"
_IS_OTHER = f"(user NOT IN {_NOBODY} OR host NOT IN {_NOBODY})"
_COUNTED = f"""
WITH owned AS MATERIALIZED (
    SELECT owner, sum(replies) AS replies, min(first_ms) AS first_ms, max(last_ms) AS last_ms FROM {BY_DAY} GROUP BY owner
)
SELECT ifnull(sum(replies), 0), min(first_ms), max(last_ms), count(DISTINCT session), count(DISTINCT project),
    (SELECT count(*) FROM forgotten),
    ifnull(sum(replies) FILTER (WHERE {_IS_OTHER}), 0), count(DISTINCT host) FILTER (WHERE {_IS_OTHER})
FROM owned JOIN owners ON owners.id = owner"""


class Files(NamedTuple):
    """The lives of log files."""

    live: int
    missing: int  # the file is gone; what it held stays counted
    rewritten: int  # ended by a rewrite, likewise
    read_bytes: int  # of those that are live
    malformed_lines: int


class Counted(NamedTuple):
    """What all reports together are about."""

    replies: int
    first_ms: int | None
    last_ms: int | None
    sessions: int
    projects: int
    forgotten: int  # groups of records that a person had purged
    of_others: int = 0  # replies of other machines
    hosts: int = 0  # how many machines those are


class Look(NamedTuple):
    """A look at the logs."""

    at_ms: int
    process: int
    metrics: Metrics


class Following(NamedTuple):
    """What a process that follows has noted of itself."""

    at_ms: int
    mode: str  # "events", or "polling"
    pending: int  # files that were still to be read
    recent: Recent | None


class Census(NamedTuple):
    schema_version: int
    rules_version: int | None
    files: Files
    counted: Counted
    found: tuple[Look, ...]  # the latest looks that found something, newest first
    latest: Look | None
    following: Following | None = None
    destinations: tuple[tuple[str, Waiting], ...] = ()  # where records are sent to, and what waits for each


def take_census(db: sqlite3.Connection, *, looks: int, leader: int | None = None) -> Census:
    """All of it, with so many looks, and what the process that leads has noted."""
    (schema_version,) = db.execute("PRAGMA user_version").fetchone()
    (rules_version,) = db.execute("SELECT CAST((SELECT value FROM meta WHERE name = 'rules_version') AS INTEGER)").fetchone()
    counted = Counted(*db.execute(_COUNTED).fetchone())
    return Census(
        *(schema_version, rules_version, _files(db), counted),
        _looks(db, "WHERE NOT idle", looks),
        next(iter(_looks(db, "", 1)), None),
        None if leader is None else _following(db, leader),
        tuple(outbox.urls(db)),
    )


def _files(db: sqlite3.Connection) -> Files:
    query = "SELECT state, count(*), sum(offset_bytes), sum(malformed_lines) FROM files GROUP BY state"
    rows = {state: sums for state, *sums in db.execute(query)}
    live, missing, rewritten = (rows.get(state, (0, 0, 0)) for state in ("live", "missing", "rewritten"))
    return Files(live[0], missing[0], rewritten[0], live[1], live[2] + missing[2])


def _looks(db: sqlite3.Connection, where: str, limit: int) -> tuple[Look, ...]:
    rows = db.execute(f"SELECT at_ms, process, metrics FROM passes {where} ORDER BY id DESC LIMIT ?", (limit,))
    return tuple(Look(at_ms, process, _metrics(json.loads(metrics))) for at_ms, process, metrics in rows)


def _metrics(kept: dict[str, int | float]) -> Metrics:
    """Metrics as another version may have written them."""
    return Metrics(**{name: kept[name] for name in Metrics._fields if name in kept})  # type: ignore[arg-type]  # numbers, all of them


def _following(db: sqlite3.Connection, process: int) -> Following | None:
    query = "SELECT at_ms, metrics FROM passes WHERE process = ? ORDER BY id DESC LIMIT 1"
    for at_ms, metrics in db.execute(query, (process,)):
        noted = json.loads(metrics)
        if "mode" in noted:
            return Following(at_ms, noted["mode"], noted["pending"], _recent(noted["recent"]))
    return None


def _recent(noted: tuple[int, list[list[float]], list[float] | None] | None) -> Recent | None:
    if noted is None:
        return None
    looks, shares, late_ms = noted
    checked, read, entries, hits, took = (Share(*each) for each in shares)
    return Recent(looks, checked, read, entries, hits, took, None if late_ms is None else Share(*late_ms))
