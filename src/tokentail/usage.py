"""The only place that answers how much was used when, by whom and by which model: from the summaries, exact to the millisecond."""

from __future__ import annotations

import sqlite3
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import groupby
from typing import NamedTuple

from tokentail import provenance
from tokentail.interned import OWNER_COLUMNS
from tokentail.model import Cell, Owner, Tokens, Usage, Window
from tokentail.periods import DAY_MS, HOUR_MS, QUARTER_MS
from tokentail.prices import PriceList
from tokentail.summaries import BY_DAY, SETTLED, every, settled

# A stretch of time is read from the widest summary that it fills a unit of; what is left at its ends from the next one.
_BY_OWNER = (("days", DAY_MS), ("quarters", QUARTER_MS), ("replies", 1))
_BY_MODEL = (("days", DAY_MS), ("hours", HOUR_MS), ("quarters", QUARTER_MS), ("replies", 1))
_ONE_BY_ONE = (("replies", 1),)
_UNITS = {"days": "day", "hours": "hour", "quarters": "quarter", "replies": "at_ms"}
_SUMS = """sum(input), sum(output), sum(cache_read), sum(cache_write_5m), sum(cache_write_1h),
    sum(replies), sum(not_final), sum(web_searches), min(first_ms), max(last_ms)"""
_PIECES = """
WITH pieces(piece, first, beyond) AS MATERIALIZED (
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]') FROM json_each(:pieces)
)"""
_FROM_SUMMARY = "pieces CROSS JOIN {table} ON {unit} >= first AND {unit} < beyond"
_FROM_REPLIES = """(
    SELECT piece, replies.id AS reply, final, owner, model, tier, input, output, cache_read, cache_write_5m, cache_write_1h,
        1 AS replies, 1 - final AS not_final, web_searches, at_ms AS first_ms, at_ms AS last_ms
    FROM pieces CROSS JOIN replies ON at_ms >= first AND at_ms < beyond
    UNION ALL
    SELECT piece, replies.id, final, owner, extras.model, extras.tier,
        extras.input, extras.output, extras.cache_read, extras.cache_write_5m, extras.cache_write_1h, 0, 0, 0, at_ms, at_ms
    FROM pieces CROSS JOIN replies ON at_ms >= first AND at_ms < beyond CROSS JOIN extras ON extras.reply = replies.id
)"""
_PARTS_OF_OWNERS = ("project", "host", "user")  # that usage can be told apart by
_STANDS_OWNER, _STANDS_REPLY = "substr(:owners, owner + 1, 1)", "substr(:replies, reply + 1, 1)"

# A look-up a window, all of them in SQLite: thousands of questions from Python would take longer than the rest of the report.
_WINDOW_STARTS = """
WITH RECURSIVE firsts(at_ms) AS (
    SELECT (SELECT min(at_ms) FROM replies WHERE true{only})
    UNION ALL
    SELECT (SELECT min(at_ms) FROM replies WHERE at_ms >= firsts.at_ms - firsts.at_ms % :rounding_ms + :length_ms{only})
    FROM firsts WHERE firsts.at_ms IS NOT NULL
)
SELECT at_ms - at_ms % :rounding_ms FROM firsts WHERE at_ms IS NOT NULL"""


_BY_UTC_DAY = f"""
WITH sums AS (
    SELECT day, model, tier, sum(input) AS i, sum(output) AS o, sum(cache_read) AS r, sum(cache_write_5m) AS w5, sum(cache_write_1h) AS w1,
        sum(replies) AS replies, sum(not_final) AS not_final, sum(web_searches) AS web_searches
    FROM {BY_DAY} GROUP BY day, model, tier
)
SELECT day, name, prompt_class, speed, geo, service_tier, i, o, r, w5, w1, replies, not_final, web_searches
FROM sums JOIN names ON names.id = model JOIN tiers ON tiers.id = tier"""

_Stretch = tuple[int, int, int]  # number of the piece, first unit of the table, unit after the last


class Question(NamedTuple):
    """What is to be added up."""

    windows: Sequence[Window]  # they do not overlap
    by: str = ""  # apart by "owner", "project", "host" or "user"; without it all owners together
    projects: Set[str] | None = None  # only these, by their slugs
    models: Set[str] | None = None  # only these
    part: str = ""  # "not_final": only replies whose output count is not final; "provenance": apart by where replies stand
    sessions: Set[str] | None = None  # only these, by their ids
    subagents: bool | None = None  # only what subagents used, or only what they did not
    users: Set[str] | None = None  # only of these people's machines; "" is this one
    hosts: Set[str] | None = None  # only of these machines, likewise


def usage(db: sqlite3.Connection, question: Question, prices: PriceList) -> Iterator[Usage]:
    """
    Cells of replies that share a window, a model and a price; in no order.

    One such sum may come in several parts.
    """
    only = _only(db, question)
    if only is None:
        return
    names = _Names(db, question.by)
    tariff = _tariff(db, prices, names)
    for way in _ways(db, question):
        places, pieces = _pieces(question.windows, tariff.changes_ms, way.tables, settled(db) * QUARTER_MS)
        for table, stretches in pieces.items():
            query = _query(table, question.by, tariff, way, only)
            for some in _portions(db, way, stretches):
                for row in db.execute(query, {"pieces": _json(some), **way.values}):
                    yield names.usage(places[row[0]], row)


def days_with_usage(db: sqlite3.Connection) -> list[int]:
    """The UTC days, counted since 1970, that have a reply, ascending."""
    return [row[0] for row in db.execute(f"{every('day')} ORDER BY day")]


def models(db: sqlite3.Connection) -> set[str]:
    """The names of all models that have usage."""
    return {row[0] for row in db.execute(f"SELECT name FROM names WHERE id IN ({every('model')})")}


def machines(db: sqlite3.Connection) -> set[tuple[str, str]]:
    """Every (user, host) that has replies."""
    query = """
        SELECT users.name, hosts.name FROM (SELECT DISTINCT user, host FROM owners{})
        JOIN names AS users ON users.id = user JOIN names AS hosts ON hosts.id = host"""
    found = set(db.execute(query.format("")))
    if len(found) < 2:  # as on nearly every machine: to look for a reply of each owner takes longer
        return found
    return set(db.execute(query.format(" WHERE EXISTS (SELECT 1 FROM replies WHERE owner = owners.id)")))


def own_machine(db: sqlite3.Connection) -> Set[str] | None:
    """The users and hosts of a question about this machine alone; None where the store knows no others: that is answered faster."""
    nobody = db.execute("SELECT id FROM names WHERE name = ''").fetchone() or (0,)
    other = db.execute("SELECT 1 FROM owners WHERE user != ?1 OR host != ?1 LIMIT 1", nobody).fetchone()
    return None if other is None else {""}


def by_utc_day(db: sqlite3.Connection) -> Iterator[Cell]:
    """All that was ever counted, by UTC day, model and price tier, also where tiers cost the same; in no order."""
    for day, model, prompt_class, speed, geo, service_tier, *sums in db.execute(_BY_UTC_DAY):
        yield Cell(day * DAY_MS, model, "", prompt_class, speed, geo, service_tier, Tokens(*sums[:5]), *sums[5:])


def window_starts(
    db: sqlite3.Connection, length_ms: int, rounding_ms: int, *, users: Set[str] | None = None, hosts: Set[str] | None = None
) -> list[int]:
    """
    Where windows of that length start, ascending: the first reply opens one, and the first one after its end the next.

    A start is rounded down, to a divisor of the length. With users or hosts only their replies open one.
    """
    only = _only(db, Question((), users=users, hosts=hosts))
    if only is None:
        return []
    # The + keeps the query on the index by time, where the first that meets it is the least.
    query = _WINDOW_STARTS.format(only="".join(f" AND +{condition}" for condition in only))
    return [row[0] for row in db.execute(query, {"length_ms": length_ms, "rounding_ms": rounding_ms})]


def span_of_session(db: sqlite3.Connection, session: str) -> Window | None:
    """The time from the first reply of a session to its last one; None where it has none."""
    query = """
        SELECT min(at_ms), max(at_ms) FROM replies WHERE owner IN (
            SELECT owners.id FROM owners JOIN names ON names.id = session WHERE names.name = ?)"""
    first, last = db.execute(query, (session,)).fetchone()
    return None if first is None else Window(session, first, last + 1)


def first_since(db: sqlite3.Connection, start_ms: int, own: Set[str] | None = None) -> int | None:
    """When the first reply from a moment on was written; `own` is what `own_machine` gives, for those of this machine only."""
    only = _only(db, Question((), users=own, hosts=own))
    if only is None:
        return None
    query = " AND ".join(("SELECT min(at_ms) FROM replies WHERE at_ms >= ?", *(f"+{condition}" for condition in only)))
    found: int | None = db.execute(query, (start_ms,)).fetchone()[0]
    return found


class _Way(NamedTuple):
    """Where to read what is asked for, and how its parts are told apart."""

    tables: Sequence[tuple[str, int]]
    part: str = ""  # SQL; without it there are no parts
    condition: str = ""  # SQL
    quarters: str = ""  # SQL: of replies one by one only those in quarters of an hour that have a row with this
    values: Mapping[str, bytes] = {}  # for all of them


def _ways(db: sqlite3.Connection, question: Question) -> list[_Way]:
    if question.part == "not_final":
        return [_Way(_ONE_BY_ONE, condition="NOT final", quarters="not_final > 0")]
    stands = provenance.stands(db) if question.part == "provenance" else None
    if stands is None:
        narrowed = (question.projects, question.sessions, question.subagents, question.users, question.hosts)
        is_of_owners = question.by or any(each is not None for each in narrowed)
        return [_Way(_BY_OWNER if is_of_owners else _BY_MODEL)]
    # Whole files are deleted, so the replies of nearly every owner stand alike: their sums tell, and of the rest each reply.
    several = f"{_STANDS_OWNER} = x'{provenance.SEVERAL:02x}'"
    alike = _Way(_BY_OWNER, f"CAST({_STANDS_OWNER} AS INTEGER)", f"NOT {several}", values=stands._asdict())
    return [alike, _Way(_ONE_BY_ONE, f"CAST({_STANDS_REPLY} AS INTEGER)", several, several, stands._asdict())]


def _pieces(
    windows: Sequence[Window], price_changes_ms: Sequence[int], tables: Sequence[tuple[str, int]], settled_ms: int
) -> tuple[list[tuple[int, int]], dict[str, list[_Stretch]]]:
    """
    Cut the windows where a price changes, and each part of one where the summaries end.

    Gives each part's (window, moment), and for each table its stretches.
    """
    places: list[tuple[int, int]] = []
    pieces: dict[str, list[_Stretch]] = {table: [] for table, _ in tables}
    for index, window in enumerate(windows):
        start = window.start_ms
        while start < window.end_ms:
            change = bisect_right(price_changes_ms, start)
            end = min(window.end_ms, price_changes_ms[change]) if change < len(price_changes_ms) else window.end_ms
            _cut(len(places), start, end, tables, pieces, settled_ms)
            places.append((index, start))
            start = end
    return places, pieces


def _cut(
    piece: int, start: int, end: int, tables: Sequence[tuple[str, int]], pieces: Mapping[str, list[_Stretch]], settled_ms: int
) -> None:
    (table, size), *narrower = tables
    first, beyond = -(-start // size), (min(end, settled_ms) if narrower else end) // size
    if first >= beyond:
        if start < end:
            _cut(piece, start, end, narrower, pieces, settled_ms)
        return
    pieces[table].append((piece, first, beyond))
    if start < first * size:
        _cut(piece, start, first * size, narrower, pieces, settled_ms)
    if beyond * size < end:
        _cut(piece, beyond * size, end, narrower, pieces, settled_ms)


def _portions(db: sqlite3.Connection, way: _Way, stretches: Sequence[_Stretch]) -> Iterator[Sequence[_Stretch]]:
    """What to ask for at once: all, but of single replies a day's, which are sorted in no time and little memory."""
    if not way.quarters:
        yield from [stretches] if stretches else []
        return
    query = f"""SELECT quarter FROM quarters WHERE {way.quarters}
        UNION SELECT at_ms / {QUARTER_MS} FROM replies WHERE at_ms >= {SETTLED} * {QUARTER_MS}"""
    quarters = sorted(row[0] for row in db.execute(query, way.values))
    for piece, first, beyond in stretches:
        some = quarters[bisect_left(quarters, first // QUARTER_MS) : bisect_left(quarters, -(-beyond // QUARTER_MS))]
        for _, day in groupby(some, lambda quarter: quarter * QUARTER_MS // DAY_MS):
            yield [(piece, max(first, quarter * QUARTER_MS), min(beyond, (quarter + 1) * QUARTER_MS)) for quarter in day]


class _Tariff(NamedTuple):
    """What of the price list makes a difference in a store: reports need no sums apart that cost the same."""

    changes_ms: list[int]  # when the price of some model that it has changes
    tiers: dict[int, int]  # for each tier, the first one in which all its models cost the same as in it


def _tariff(db: sqlite3.Connection, prices: PriceList, names: _Names) -> _Tariff:
    used = [names.model(row[0]) for row in db.execute(every("model"))]

    def rates(at_ms: int, tier: int) -> tuple[object, ...]:
        prompt_class, speed, geo, service_tier = names.tiers[tier]
        said = {"prompt_class": prompt_class, "speed": speed, "geo": geo, "service_tier": service_tier}
        return tuple(prices.rate(model, at_ms, **said) for model in used)

    moments = [0, *prices.changes_ms]
    of_tier = {tier: tuple(rates(at_ms, tier) for at_ms in moments) for tier in names.tiers}
    changes = [at_ms for n, at_ms in enumerate(moments) if n and any(each[n] != each[n - 1] for each in of_tier.values())]
    first: dict[object, int] = {}
    return _Tariff(changes, {tier: first.setdefault(each, tier) for tier, each in of_tier.items()})


def _query(table: str, by: str, tariff: _Tariff, way: _Way, only: Sequence[str]) -> str:
    source = _FROM_REPLIES if table == "replies" else _FROM_SUMMARY.format(table=table, unit=_UNITS[table])
    of = by or "0"
    owners = " JOIN owners ON owners.id = owner" if by in _PARTS_OF_OWNERS else ""
    others = "".join(f" WHEN {tier} THEN {same}" for tier, same in tariff.tiers.items() if tier != same)
    tier = f"CASE tier{others} ELSE tier END" if others else "tier"
    columns = f"piece, {of} AS whose, model, {tier} AS price, {_SUMS}, {way.part or 0} AS part"
    conditions = " AND ".join((*only, *([way.condition] if way.condition else ())))
    where = f" WHERE {conditions}" if conditions else ""
    return f"{_PIECES} SELECT {columns} FROM {source}{owners}{where} GROUP BY piece, whose, model, price{', part' if way.part else ''}"


def _only(db: sqlite3.Connection, question: Question) -> list[str] | None:
    """The conditions on models and projects; None where nothing can meet them."""
    conditions = []
    for names, condition in (
        (question.models, "model IN ({})"),
        (question.projects, "owner IN (SELECT id FROM owners WHERE project IN ({}))"),
        (question.sessions, "owner IN (SELECT id FROM owners WHERE session IN ({}))"),
        (question.users, "owner IN (SELECT id FROM owners WHERE user IN ({}))"),
        (question.hosts, "owner IN (SELECT id FROM owners WHERE host IN ({}))"),
    ):
        if names is not None:
            numbers = _numbers(db, names)
            if not numbers:
                return None
            conditions.append(condition.format(",".join(map(str, numbers))))
    if question.subagents is not None:
        conditions.append(f"owner IN (SELECT id FROM owners WHERE subagent = {question.subagents:d})")
    return conditions


def _numbers(db: sqlite3.Connection, names: Set[str]) -> list[int]:
    found = (db.execute("SELECT id FROM names WHERE name = ?", (name,)).fetchone() for name in sorted(names))
    return [row[0] for row in found if row is not None]


class _Names:
    """Turns the numbers in summary rows back into words."""

    def __init__(self, db: sqlite3.Connection, by: str) -> None:
        self._db = db
        self._models: dict[int, str] = {}
        self._owners = {0: Owner(False, False, "", "", "")}
        self.tiers = {row[0]: row[1:] for row in db.execute("SELECT id, prompt_class, speed, geo, service_tier FROM tiers ORDER BY id")}
        if by == "owner":
            names: dict[int, str] = dict(db.execute("SELECT id, name FROM names"))
            self._owners = {
                number: Owner(bool(copied), bool(subagent), *map(names.__getitem__, of))
                for number, copied, subagent, *of in db.execute(_OWNERS)
            }
        elif by in _PARTS_OF_OWNERS:
            query = f"SELECT DISTINCT {by}, name FROM owners JOIN names ON names.id = {by}"
            self._owners = {number: self._owners[0]._replace(**{by: name}) for number, name in db.execute(query)}

    def model(self, number: int) -> str:
        """A model's name."""
        if number not in self._models:
            self._models[number] = self._db.execute("SELECT name FROM names WHERE id = ?", (number,)).fetchone()[0]
        return self._models[number]

    def usage(self, place: tuple[int, int], row: Sequence[int]) -> Usage:
        """A row of the query, and the (window, moment) that it is of."""
        _, whose, model, tier, i, o, r, w5, w1, replies, not_final, web_searches, first_ms, last_ms, part = row
        owner, new = (
            self._owners[whose],
            tuple.__new__,
        )  # ten thousand rows are usual, and this makes a named tuple without a call into Python
        said, tokens = self.tiers[tier], new(Tokens, (i, o, r, w5, w1))
        cell = new(Cell, (place[1], self._models[model], owner[3], *said, tokens, replies, not_final, web_searches))
        return new(Usage, (place[0], owner, cell, first_ms, last_ms, part))


_OWNERS = f"SELECT id, {', '.join(OWNER_COLUMNS)} FROM owners"


def _json(stretches: Sequence[_Stretch]) -> str:
    return f"[{','.join(f'[{piece},{first},{beyond}]' for piece, first, beyond in stretches)}]"
