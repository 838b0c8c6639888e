"""
The only place that adds replies up into the summaries, inside a transaction that the store holds.

A quarter of an hour is added up once it is over, and what is newer, which is little, is read from the replies themselves: so no
sum is computed for a line that arrives while somebody watches. An hour and a day follow when all their quarters are added up.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from tokentail.periods import DAY_MS, HOUR_MS, QUARTER_MS

COUNTERS = ("input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "replies", "not_final", "web_searches")
_HOUR, _DAY = HOUR_MS // QUARTER_MS, DAY_MS // QUARTER_MS  # in quarters
_COLUMNS = f"model, tier, {', '.join(COUNTERS)}, first_ms, last_ms"
_SUMS = f"model, tier, {', '.join(f'sum({name})' for name in COUNTERS)}, min(first_ms), max(last_ms)"
_FROM_REPLIES = """
SELECT {place}, {owner} AS owner, model, tier,
    input, output, cache_read, cache_write_5m, cache_write_1h, 1 AS replies, 1 - final AS not_final, web_searches,
    at_ms AS first_ms, at_ms AS last_ms
FROM {replies} {where}
UNION ALL
SELECT {place}, {owner}, extras.model, extras.tier,
    extras.input, extras.output, extras.cache_read, extras.cache_write_5m, extras.cache_write_1h, 0, 0, 0, at_ms, at_ms
FROM {replies} CROSS JOIN extras ON extras.reply = replies.id {where}"""

_SELECT_SETTLED = "SELECT quarter FROM settled"
SETTLED = f"({_SELECT_SETTLED})"  # what `settled` gives, within a query
_BY_DAY = (
    f"SELECT day, owner, {_COLUMNS} FROM days",
    f"SELECT quarter / {_DAY} AS day, owner, {_COLUMNS} FROM quarters WHERE quarter >= {SETTLED} / {_DAY} * {_DAY}",
    _FROM_REPLIES.format(
        place=f"at_ms / {DAY_MS} AS day",
        owner="replies.owner",
        replies="replies",
        where=f"WHERE at_ms >= {SETTLED} * {QUARTER_MS}",
    ),
)
# All replies by UTC day and owner, each in one row of many or by itself.
BY_DAY = f"({' UNION ALL '.join(_BY_DAY)})"

# CROSS JOIN keeps the order of the loops: for each of the few places that changed, what stands there.
_TOUCHED = """
WITH touched(place, owner) AS MATERIALIZED (
    SELECT DISTINCT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?)
)"""
_REPLIES_THERE = _FROM_REPLIES.format(
    place="place AS quarter",
    owner="touched.owner",
    replies=f"""touched CROSS JOIN replies
        ON replies.owner = touched.owner AND at_ms >= place * {QUARTER_MS} AND at_ms < (place + 1) * {QUARTER_MS}""",
    where="",
)
_HOURS_THERE = f"touched CROSS JOIN quarters ON quarter >= place * {_HOUR} AND quarter < (place + 1) * {_HOUR}"
# A day's quarters once, whoever's they are: once for each of its owners would be a square, and thousands of sessions may share a day.
_DAYS_THERE = f"""(SELECT DISTINCT place FROM touched) CROSS JOIN quarters
    ON quarter >= place * {_DAY} AND quarter < (place + 1) * {_DAY} AND (place, quarters.owner) IN touched"""

_INSERT_QUARTERS = f"INSERT INTO quarters (quarter, owner, {_COLUMNS})"
_INSERT_HOURS = f"INSERT INTO hours (hour, {_COLUMNS})"
_INSERT_DAYS = f"INSERT INTO days (day, owner, {_COLUMNS})"
_OF_QUARTERS = (
    f"{_TOUCHED} DELETE FROM quarters WHERE (quarter, owner) IN touched",
    f"{_INSERT_QUARTERS} {_TOUCHED} SELECT quarter, owner, {_SUMS} FROM ({_REPLIES_THERE}) GROUP BY quarter, owner, model, tier",
)
_OF_HOURS = (
    f"{_TOUCHED} DELETE FROM hours WHERE hour IN (SELECT place FROM touched)",
    f"{_INSERT_HOURS} {_TOUCHED} SELECT place, {_SUMS} FROM {_HOURS_THERE} GROUP BY place, model, tier",
)
_OF_DAYS = (
    f"{_TOUCHED} DELETE FROM days WHERE (day, owner) IN touched",
    f"{_INSERT_DAYS} {_TOUCHED} SELECT place, owner, {_SUMS} FROM {_DAYS_THERE} GROUP BY place, owner, model, tier",
)

# Between two quarters, the second one excluded. The plus keeps SQLite from the index by time: a whole table is read faster without.
_QUARTERS_BETWEEN, _ALL_QUARTERS = (
    f"{_INSERT_QUARTERS} SELECT quarter, owner, {_SUMS} FROM ({replies}) GROUP BY quarter, owner, model, tier"
    for replies in (
        _FROM_REPLIES.format(
            place=f"at_ms / {QUARTER_MS} AS quarter",
            owner="replies.owner",
            replies="replies",
            where=f"WHERE {plus}at_ms >= ?1 * {QUARTER_MS} AND {plus}at_ms < ?2 * {QUARTER_MS}",
        )
        for plus in ("", "+")
    )
)
_HOURS_BETWEEN = f"""{_INSERT_HOURS}
SELECT quarter / {_HOUR} AS hour, {_SUMS} FROM quarters WHERE quarter >= ? AND quarter < ? GROUP BY hour, model, tier"""
_DAYS_BETWEEN = f"""{_INSERT_DAYS}
SELECT quarter / {_DAY} AS day, owner, {_SUMS} FROM quarters WHERE quarter >= ? AND quarter < ? GROUP BY day, owner, model, tier"""


def every(column: str) -> str:
    """A query for all values that a column of `BY_DAY` has, each once: quicker than from there."""
    return " UNION ".join(f"SELECT DISTINCT {column} FROM ({part})" for part in _BY_DAY)


def settled(connection: sqlite3.Connection) -> int:
    """The first quarter of an hour that is not added up, nor is any later one; 0 in a new store."""
    return int(connection.execute(_SELECT_SETTLED).fetchone()[0])


def settle(connection: sqlite3.Connection, until: int) -> None:
    """Add up the quarters of an hour before this one that are not yet."""
    since = settled(connection)
    if until <= since:
        return
    connection.execute(_QUARTERS_BETWEEN if since else _ALL_QUARTERS, (since, until))
    connection.execute(_HOURS_BETWEEN, (since // _HOUR * _HOUR, until // _HOUR * _HOUR))
    connection.execute(_DAYS_BETWEEN, (since // _DAY * _DAY, until // _DAY * _DAY))
    connection.execute("UPDATE settled SET quarter = ?", (until,))


def summarize(connection: sqlite3.Connection, touched: Sequence[tuple[int, int]]) -> None:
    """Compute the sums of each (quarter, owner) anew, and those of the hours and days that these are part of, where there are any."""
    if not touched:
        return
    beyond = settled(connection)
    quarters = [(quarter, owner) for quarter, owner in touched if quarter < beyond]
    hours = [(quarter // _HOUR, 0) for quarter, _ in quarters if quarter // _HOUR < beyond // _HOUR]
    days = [(quarter // _DAY, owner) for quarter, owner in quarters if quarter // _DAY < beyond // _DAY]
    for statements, places in ((_OF_QUARTERS, quarters), (_OF_HOURS, hours), (_OF_DAYS, days)):
        for statement in statements if places else ():
            connection.execute(statement, (_json(places),))


def summarize_all(connection: sqlite3.Connection) -> None:
    """Compute all sums anew."""
    until = settled(connection)
    for table in ("quarters", "hours", "days"):
        connection.execute(f"DELETE FROM {table}")
    connection.execute("UPDATE settled SET quarter = 0")
    settle(connection, until)


def _json(places: Sequence[tuple[int, int]]) -> str:
    return f"[{','.join(f'[{place},{owner}]' for place, owner in places)}]"
