"""The only place that adds replies up into the summaries, inside a transaction that the store holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from tokentail.periods import DAY_MS, HOUR_MS, QUARTER_MS

COUNTERS = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "replies", "not_final", "web_searches")
_COLUMNS = f"model, tier, {', '.join(COUNTERS)}, first_ms, last_ms"
_SUMS = f"model, tier, {', '.join(f'sum({name})' for name in COUNTERS)}, min(first_ms), max(last_ms)"
_FROM_REPLIES = """
SELECT {quarter} AS quarter, {owner} AS owner, model, tier,
    input, output, cache_read, cache_write_5m, cache_write_1h, 1 AS replies, 1 - final AS not_final, web_searches,
    at_ms AS first_ms, at_ms AS last_ms
FROM {replies}
UNION ALL
SELECT {quarter}, {owner}, extras.model, extras.tier,
    extras.input, extras.output, extras.cache_read, extras.cache_write_5m, extras.cache_write_1h, 0, 0, 0, at_ms, at_ms
FROM {extras} ON extras.reply = replies.id"""
# CROSS JOIN keeps the order of the loops: for each of the few places that changed, what stands there.
_TOUCHED = """
WITH touched(place, owner) AS MATERIALIZED (
    SELECT DISTINCT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?)
)"""
_REPLIES_THERE = f"""touched CROSS JOIN replies
    ON replies.owner = touched.owner AND at_ms >= place * {QUARTER_MS} AND at_ms < (place + 1) * {QUARTER_MS}"""
_TOUCHED_REPLIES = _FROM_REPLIES.format(
    quarter="place", owner="touched.owner", replies=_REPLIES_THERE, extras=f"{_REPLIES_THERE} CROSS JOIN extras"
)
_ALL_REPLIES = _FROM_REPLIES.format(quarter=f"at_ms / {QUARTER_MS}", owner="replies.owner", replies="replies", extras="extras JOIN replies")

_QUARTERS = f"""
INSERT INTO quarters (quarter, owner, {_COLUMNS})
{{touched}} SELECT quarter, owner, {_SUMS} FROM ({{replies}}) GROUP BY quarter, owner, model, tier"""
_HOURS = f"""
INSERT INTO hours (hour, {_COLUMNS})
{{touched}} SELECT {{hour}} AS hour, {_SUMS} FROM {{quarters}} GROUP BY hour, model, tier"""
_DAYS = f"""
INSERT INTO days (day, owner, {_COLUMNS})
{{touched}} SELECT {{day}} AS day, quarters.owner, {_SUMS} FROM {{quarters}} GROUP BY day, quarters.owner, model, tier"""
_HOUR, _DAY = HOUR_MS // QUARTER_MS, DAY_MS // QUARTER_MS  # in quarters


def summarize(connection: sqlite3.Connection, touched: Sequence[tuple[int, int]]) -> None:
    """Compute the sums of each (quarter, owner) anew, and those of the hours and days that these are part of."""
    if not touched:
        return
    quarters = _json(touched)
    hours = _json([(quarter // _HOUR, 0) for quarter, _ in touched])
    days = _json([(quarter // _DAY, owner) for quarter, owner in touched])
    for statement, places in zip(_OF_TOUCHED, (quarters, quarters, hours, hours, days, days), strict=True):
        connection.execute(statement, (places,))


def summarize_all(connection: sqlite3.Connection) -> None:
    """Compute all sums anew."""
    for statement in ALL:
        connection.execute(statement)


_HOURS_THERE = f"touched CROSS JOIN quarters ON quarter >= place * {_HOUR} AND quarter < (place + 1) * {_HOUR}"
_DAYS_THERE = f"""touched CROSS JOIN quarters
    ON quarter >= place * {_DAY} AND quarter < (place + 1) * {_DAY} AND quarters.owner = touched.owner"""
_OF_TOUCHED = (
    f"{_TOUCHED} DELETE FROM quarters WHERE (quarter, owner) IN touched",
    _QUARTERS.format(touched=_TOUCHED, replies=_TOUCHED_REPLIES),
    f"{_TOUCHED} DELETE FROM hours WHERE hour IN (SELECT place FROM touched)",
    _HOURS.format(touched=_TOUCHED, hour="place", quarters=_HOURS_THERE),
    f"{_TOUCHED} DELETE FROM days WHERE (day, owner) IN touched",
    _DAYS.format(touched=_TOUCHED, day="place", quarters=_DAYS_THERE),
)
ALL = (
    "DELETE FROM quarters",
    _QUARTERS.format(touched="", replies=_ALL_REPLIES),
    "DELETE FROM hours",
    _HOURS.format(touched="", hour=f"quarter / {_HOUR}", quarters="quarters"),
    "DELETE FROM days",
    _DAYS.format(touched="", day=f"quarter / {_DAY}", quarters="quarters"),
)


def _json(places: Sequence[tuple[int, int]]) -> str:
    return f"[{','.join(f'[{place},{owner}]' for place, owner in places)}]"
