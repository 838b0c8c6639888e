"""The only place that says what a row of an export is; its columns are a contract (docs/export.md)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple, TypeVar, get_type_hints

from tokentail import queries
from tokentail.periods import LAST_MS
from tokentail.prices import PICO_PER_USD, PriceList
from tokentail.reports.scope import Scope
from tokentail.totals import cells_of

Row = TypeVar("Row")
EXPORT_SCHEMA = "tokentail/export/1"


class ExportRow(NamedTuple):
    """A reply's own usage, or usage that was billed besides it (R6): the sums of all rows are those of the reports."""

    key: str
    part: int  # 0 for the reply itself; 1, 2, ... for what was billed besides it
    id: str
    at: int  # milliseconds since 1970, UTC
    session: str
    project: str
    project_name: str
    folder: str
    agent: str
    model: str
    version: str
    input_tokens: int
    output_tokens: int
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    cache_read_tokens: int
    total_tokens: int
    replies: int
    not_final_replies: int
    web_searches: int
    cost_usd: float | None
    cost_is_lower_bound: bool
    cost_picodollars: int | None
    final: bool
    speed: str
    geo: str
    service_tier: str
    host: str  # whose machine the reply is of; "" is this one
    user: str


def export_rows(db: sqlite3.Connection, scope: Scope, prices: PriceList) -> Iterator[ExportRow]:
    """The rows of what is chosen, by time, then key, then part; read as they are asked for."""
    new = tuple.__new__  # there may be millions, and this makes a named tuple without a call into Python
    for window in scope.whole():
        for reply in queries.replies_between(
            db, window.start_ms, window.end_ms, projects=scope.slugs, users=scope.users, hosts=scope.hosts
        ):
            key, message, at_ms, _, version, _, _, _, _, _, speed, geo, service_tier, (_, _, session, project, agent, user, host) = reply
            where = (session, project, scope.projects.name(project), scope.projects.folders.get(project, ""), agent)
            for part, cell in enumerate(cells_of(reply, prices)):
                _, model, _, prompt_class, _, _, _, (i, o, r, w5, w1), replies, not_final, searches = cell
                if scope.models is not None and model not in scope.models:
                    continue
                rate = prices.rate(model, at_ms, prompt_class=prompt_class, speed=speed, geo=geo, service_tier=service_tier)
                cost = None if rate is None else rate.cost(cell.tokens, searches)
                is_lower = rate is None or rate.assumed or not_final > 0
                price = (None if cost is None else cost / PICO_PER_USD, is_lower, cost)
                counts = (i, o, w5, w1, r, i + o + r + w5 + w1, replies, not_final, searches)
                said = (not not_final, speed, geo, service_tier, host, user)
                yield new(ExportRow, (key, part, message, min(at_ms, LAST_MS), *where, model, version, *counts, *price, *said))


def batches(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """Rows, so many at a time: what is in memory at once."""
    iterator = iter(rows)
    while batch := list(islice(iterator, size)):
        yield batch


def columns_of(kind: object) -> list[int]:
    """Where the values of that type stand in a row."""
    return [number for number, each in enumerate(get_type_hints(ExportRow).values()) if each == kind]
