"""The only place that adds a store's records up by session, so that two stores can be held against each other."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import NamedTuple


class SessionCounts(NamedTuple):
    """What a store's records of a session add up to."""

    records: int = 0
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    web_searches: int = 0
    finals: int = 0  # records whose output count is final


# Groups of several records stand in `records`, with replies beside them that are no records of their own.
_SUMS = """count(*), sum(input), sum(output), sum(cache_read), sum(cache_write_5m), sum(cache_write_1h), sum(web_searches), sum(final)"""
_BY_SESSION = f"""
WITH whose AS MATERIALIZED (
    SELECT owners.id, session FROM owners JOIN names AS users ON users.id = user JOIN names AS hosts ON hosts.id = host
    WHERE users.name = ?1 AND hosts.name = ?2
), alone AS (
    SELECT session, input, output, cache_read, cache_write_5m, cache_write_1h, web_searches, final FROM whose
    CROSS JOIN replies ON replies.owner = whose.id
    WHERE NOT EXISTS (SELECT 1 FROM records WHERE group_text = group_of_key(key))
    UNION ALL
    SELECT session, input, output, cache_read, cache_write_5m, cache_write_1h, web_searches, final FROM records
    JOIN whose ON records.owner = whose.id
)
SELECT name, {_SUMS} FROM alone JOIN names ON names.id = session GROUP BY session"""


def by_session(db: sqlite3.Connection, user: str, host: str) -> Mapping[str, SessionCounts]:
    """The sums of each session of a user's machine; "" and "" are this one's."""
    from tokentail import merge

    db.create_function("group_of_key", 1, merge.group_of_key, deterministic=True)
    return {session: SessionCounts(*sums) for session, *sums in db.execute(_BY_SESSION, (user, host))}
