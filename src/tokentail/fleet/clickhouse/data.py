"""The only place that answers views from ClickHouse: the same questions as the store's, with the same answers."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any, NamedTuple

from tokentail.fleet.clickhouse.address import parse
from tokentail.fleet.clickhouse.central import ClickHouse
from tokentail.fleet.clickhouse.schema import SUMS, replies, usage_of
from tokentail.interned import OWNER_COLUMNS
from tokentail.merge import message_id
from tokentail.model import Cell, Extra, Owner, Provenance, Reply, Tokens, Usage
from tokentail.periods import DAY_MS, HOUR_MS, QUARTER_MS, utc_text
from tokentail.prices import PriceList
from tokentail.usage import Question

_FILTERS = ("projects", "sessions", "users", "hosts", "models")
_REPLY = """key, group_text, at, model, version, input, output, cache_read, cache_write_5m, cache_write_1h,
    extras, searches, is_final, flags, speed, geo, service_tier, whose"""
ELSEWHERE = Provenance._fields.index("elsewhere")

_STRETCHES_MS = (HOUR_MS, DAY_MS, 30 * DAY_MS, 2**53)


def opened(said: str, prices: PriceList) -> Stored:
    """
    The central store at an address, to be asked; close it.

    Raises:
        UsageError: that is no address.
        StoreError: it cannot be reached, or is none of ours.
    """
    return Stored(ClickHouse(parse(said), makes=False), prices)


class Condition(NamedTuple):
    """Of a query, with its values."""

    text: str
    values: Mapping[str, object]


class Stored:
    """What reports ask, see `reports.data.Data`; and what else views ask of replies."""

    def __init__(self, store: ClickHouse, prices: PriceList) -> None:
        self._store, self._server, self._layout, self._prices = store, store.server, store.layout, prices
        self._records = self._layout.table("records")
        self._rollups = store.server.address.rollups
        self.as_of_ms: int | None = None  # of the sums that were used, where they were computed ahead

    @property
    def name(self) -> str:
        """The store's address, without a password."""
        return str(self._server.address)

    def degraded(self) -> Sequence[str]:
        """What whoever looks must know: sums that were computed ahead are of a moment."""
        if self.as_of_ms is None:
            return ()
        return (f"these sums were computed ahead, at {utc_text(self.as_of_ms)}: what came after is not in them (rollups=never counts it)",)

    def close(self) -> None:
        self._store.close()

    def latest_ms(self) -> int:
        """When something was last taken in; 0 where nothing was."""
        return int(self._server.rows(f"SELECT max(inserted_ms) FROM {self._records}")[0][0])

    def days(self) -> Sequence[int]:
        """The UTC days, counted since 1970, that have a record, ascending: each that has a reply is among them."""
        query = f"SELECT DISTINCT {_floor('at_ms', DAY_MS)} AS day FROM {self._records} ORDER BY day"
        return [int(row[0]) for row in self._server.rows(query)]

    def window_starts(self, length_ms: int, rounding_ms: int, *, users: Set[str] | None = None, hosts: Set[str] | None = None) -> list[int]:
        """What `usage.window_starts` gives."""
        only = _names({"users": users, "hosts": hosts}, {"users": "whose.user", "hosts": "whose.host"})
        starts: list[int] = []
        end = None
        query = f"SELECT DISTINCT at FROM ({self._replies()}) WHERE {only.text} ORDER BY at"
        for (at_ms,) in self._server.rows(query, only.values):
            if end is None or at_ms >= end:
                starts.append(at_ms - at_ms % rounding_ms)
                end = starts[-1] + length_ms
        return starts

    def usage(self, question: Question) -> Iterator[Usage]:
        """What `usage.usage` gives; all of it comes from other machines."""
        pieces = _pieces(question, self._prices.changes_ms)
        if not pieces:
            return
        starts = [piece.start_ms for piece in pieces]
        bounds = sorted({bound for piece in pieces for bound in (piece.start_ms, piece.end_ms)})
        by = {"": (), "owner": OWNER_COLUMNS, "project": ("project",), "user": ("user",), "host": ("host",)}[question.by]
        condition = _condition(question)
        values = {
            "bounds": bounds,
            "first": bounds[0],
            "beyond": bounds[-1],
            "thresholds": list(self._prices.thresholds),
            **condition.values,
        }
        is_ahead = question.part != "not_final" and all(bound % QUARTER_MS == 0 for bound in bounds) and self._can_roll_up()
        rows = self._server.rows(self._query(by, condition.text, is_ahead=is_ahead), values)
        for bound, *row in rows:
            place = bisect_right(starts, bound) - 1
            if place < 0 or not pieces[place].start_ms <= bound < pieces[place].end_ms:
                continue
            names, rest = row[: len(by)], row[len(by) :]
            owner = _owner(by, names)
            model, prompt_class, speed, geo, service_tier, *sums, first_ms, last_ms = rest
            tokens, (count, not_final, searches) = Tokens(*map(int, sums[:5])), map(int, sums[5:])
            cell = Cell(
                starts[place], model, owner.project, int(prompt_class), speed, geo, service_tier, tokens, count, not_final, searches
            )
            part = ELSEWHERE if question.part == "provenance" else 0
            yield Usage(pieces[place].window, owner, cell, int(first_ms), int(last_ms), part)

    def folders(self) -> dict[str, str]:
        """The slug of every project that a record names, and its real folder or ""."""
        known = f"SELECT project, min(least).2 FROM {self._layout.table('folders')} GROUP BY project"
        named = dict(self._server.rows(known))
        own = self._server.rows(f"SELECT DISTINCT owner.project FROM {self._records}")
        return {str(slug): str(named.get(slug, "")) for (slug,) in own}

    def models(self) -> set[str]:
        """The name of every model that a record names."""
        query = f"SELECT DISTINCT arrayJoin(arrayConcat([toString(model)], extras.model)) FROM {self._records}"
        return {str(row[0]) for row in self._server.rows(query)} - {""}

    def machines(self) -> Set[tuple[str, str]]:
        """Every (user, host) that a record names."""
        rows = self._server.rows(f"SELECT DISTINCT owner.user, owner.host FROM {self._records}")
        return {(str(user), str(host)) for user, host in rows}

    def replies_between(self, start_ms: int, end_ms: int, **only: Set[str] | None) -> Iterator[Reply]:
        """The replies in [start_ms, end_ms), oldest first; `projects`, `models`, `sessions`, `users`, `hosts` narrow them."""
        condition = _names(only, {"projects": "whose.project", "sessions": "whose.session", "users": "whose.user", "hosts": "whose.host"})
        models = only.get("models")
        text, values = condition.text, dict(condition.values)
        if models is not None:
            text, values["models"] = f"{text} AND model IN {{models:Array(String)}}", sorted(models)
        query = f"""
            SELECT {_REPLY} FROM ({self._recent()})
            WHERE at >= {{first:Int64}} AND at < {{beyond:Int64}} AND {text} ORDER BY at, key"""
        yield from map(_reply, self._server.rows(query, {"first": start_ms, "beyond": end_ms, **values}))

    def older_replies(self, before: tuple[int, str], limit: int, *, subagents: bool | None = None, **only: Set[str] | None) -> list[Reply]:
        """The replies before a (moment, key), newest first: looked for in longer and longer stretches of time, as far as is needed."""
        condition = _names(
            only,
            {"projects": "whose.project", "sessions": "whose.session", "users": "whose.user", "hosts": "whose.host", "models": "model"},
        )
        whose = "" if subagents is None else f" AND whose.subagent = {subagents:d}"
        ((newest,),) = self._server.rows(f"SELECT max(at_ms) FROM {self._records}")
        last = min(before[0], int(newest))
        query = f"""
            SELECT {_REPLY} FROM ({self._recent()})
            WHERE at >= {{first:Int64}} AND (at, key) < ({{at:Int64}}, {{key:String}}) AND {condition.text}{whose}
            ORDER BY at DESC, key DESC LIMIT {limit:d}"""
        rows: list[tuple[Any, ...]] = []
        for stretch_ms in _STRETCHES_MS:
            values = {"first": last - stretch_ms, "beyond": last + 1, "at": before[0], "key": before[1], **condition.values}
            rows = self._server.rows(query, values)
            if len(rows) >= limit:
                break
        return [_reply(row) for row in rows]

    def replies_of_session(self, session: str) -> list[Reply]:
        """Every reply of a session, oldest first."""
        of = f"hash IN (SELECT hash FROM {self._records} WHERE owner.session = {{session:String}})"
        query = f"SELECT {_REPLY} FROM ({self._replies(of)}) WHERE whose.session = {{session:String}} ORDER BY at, key"
        return [_reply(row) for row in self._server.rows(query, {"session": session})]

    def replies_by_group(self, group: str) -> list[Reply]:
        """The replies that a group of records makes."""
        of = self._replies("hash = cityHash64({group:String})")
        query = f"SELECT {_REPLY} FROM ({of}) WHERE group_text = {{group:String}} ORDER BY key"
        rows = self._server.rows(query, {"group": group})
        return [_reply(row) for row in rows]

    def _replies(self, where: str = "1") -> str:
        return replies(self._layout, where)

    def _recent(self) -> str:
        """Those that may be of the time from `first` to `beyond`: a message's moment is that of one of its rows."""
        return replies(self._layout, f"hash IN (SELECT hash FROM {self._records} WHERE {_WITHIN})", _WITHIN)

    def _query(self, by: Sequence[str], condition: str, *, is_ahead: bool) -> str:
        names = "".join(f"{name}, " for name in by)
        sums = ", ".join(f"sum({name})" for name in SUMS)
        if is_ahead:
            return f"""
                SELECT roundDown(quarter * {QUARTER_MS}, {{bounds:Array(Int64)}}) AS bound, {names}
                    model, prompt_class, speed, geo, service_tier, {sums}, min(first_ms), max(last_ms)
                FROM {self._layout.table("sums")}
                WHERE quarter * {QUARTER_MS} >= {{first:Int64}} AND quarter * {QUARTER_MS} < {{beyond:Int64}} AND {condition}
                GROUP BY bound, {names} model, prompt_class, speed, geo, service_tier"""
        return f"""
            SELECT roundDown(at, {{bounds:Array(Int64)}}) AS bound, {names}
                model, arrayCount(
                    t -> t < input + cache_read + cache_write_5m + cache_write_1h, {{thresholds:Array(UInt64)}}) AS prompt_class,
                speed, geo, service_tier, {sums}, min(at), max(at)
            FROM ({usage_of(self._recent())})
            WHERE at >= {{first:Int64}} AND at < {{beyond:Int64}} AND {condition}
            GROUP BY bound, {names} model, prompt_class, speed, geo, service_tier"""

    def _can_roll_up(self) -> bool:
        """Were sums computed ahead, and may they be used? They are of the moment that `as_of_ms` says."""
        if self._rollups != "always":
            return False
        ((as_of_ms, count),) = self._server.rows(f"SELECT max(as_of_ms), count() FROM {self._layout.table('sums')}")
        self.as_of_ms = int(as_of_ms) if count else None
        return bool(count)


_WITHIN = "at_ms >= {first:Int64} AND at_ms < {beyond:Int64}"


class _Piece(NamedTuple):
    window: int
    start_ms: int
    end_ms: int


def _pieces(question: Question, changes_ms: Sequence[int]) -> list[_Piece]:
    """The windows, cut where a price changes."""
    pieces = []
    for index, window in enumerate(question.windows):
        inner = [change for change in changes_ms if window.start_ms < change < window.end_ms]
        for start, end in zip((window.start_ms, *inner), (*inner, window.end_ms), strict=True):
            if start < end:
                pieces.append(_Piece(index, start, end))
    return sorted(pieces, key=lambda piece: piece.start_ms)


def _condition(question: Question) -> Condition:
    columns = {"projects": "project", "sessions": "session", "users": "user", "hosts": "host", "models": "model"}
    made = _names({name: getattr(question, name) for name in columns}, columns)
    text = made.text
    if question.subagents is not None:
        text += f" AND subagent = {question.subagents:d}"
    if question.part == "not_final":
        text += " AND is_final = 0"
    return Condition(text, made.values)


def _names(only: Mapping[str, Set[str] | None], columns: Mapping[str, str]) -> Condition:
    texts, values = ["1"], {}
    for name, column in columns.items():
        wanted = only.get(name)
        if wanted is not None:
            texts.append(f"has({{{name}:Array(String)}}, toString({column}))")
            values[name] = sorted(wanted)
    return Condition(" AND ".join(texts), values)


def _owner(by: Sequence[str], names: Sequence[Any]) -> Owner:
    said = dict(zip(by, names, strict=True))
    return Owner(
        bool(said.get("copied", 0)),
        bool(said.get("subagent", 0)),
        *(str(said.get(name, "")) for name in OWNER_COLUMNS[2:]),
    )


def _floor(value: str, size: int) -> str:
    return f"toInt64(floor({value} / {size}))"


def _reply(row: Sequence[Any]) -> Reply:
    key, group, at_ms, model, version, i, o, r, w5, w1, extras, searches, final, flags, speed, geo, service_tier, whose = row
    parts = whose.values() if isinstance(whose, dict) else whose
    copied, subagent, *names = parts
    return Reply(
        key=key,
        id=message_id(group),
        at_ms=int(at_ms),
        model=model,
        version=version,
        tokens=Tokens(int(i), int(o), int(r), int(w5), int(w1)),
        extras=tuple(_extra(each, model) for each in extras),
        web_searches=int(searches),
        final=bool(final),
        flags=int(flags),
        speed=speed,
        geo=geo,
        service_tier=service_tier,
        owner=Owner(bool(copied), bool(subagent), *names),
    )


def _extra(said: Any, model: str) -> Extra:
    name, tokens = said.values() if isinstance(said, dict) else said
    return Extra(name or model, Tokens(*map(int, tokens)))
