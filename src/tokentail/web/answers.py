"""The only place that asks the store for what the API answers; each answer is a text of JSON."""

from __future__ import annotations

import base64
import binascii
import json
import sqlite3
import time
from calendar import monthrange
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from tokentail import __version__, database, machines, periods, queries
from tokentail.budgets import showing
from tokentail.budgets.measuring import standings
from tokentail.budgets.memory import Memory
from tokentail.config import WEEKDAYS, Config
from tokentail.errors import StoreError, UsageError
from tokentail.estimate import between
from tokentail.limits import Limit, limits, past
from tokentail.limits.as_json import limits_json
from tokentail.model import Counts, Reply, ReplyChange, Report, Row, Window
from tokentail.periods import MINUTE_MS, utc_text
from tokentail.prices import PriceList
from tokentail.projects import Projects
from tokentail.reports.as_json import feed_json, report_json, row_fields
from tokentail.reports.blocks import pace, running, used_in
from tokentail.reports.build import build, scope_of
from tokentail.reports.data import Data, Stored
from tokentail.reports.request import Context, Request
from tokentail.reports.scope import Scope
from tokentail.sources import LiveSource, open_source
from tokentail.totals import Adder, costliest_first
from tokentail.web.contract import Asked, Invalid

OVERVIEW_SCHEMA, MINUTES_SCHEMA = "tokentail/overview/1", "tokentail/minutes/1"
SESSIONS_SCHEMA, REPLIES_SCHEMA = "tokentail/sessions/1", "tokentail/replies/1"
PAGE_ROWS = 100
Answer = TypeVar("Answer")
_WEEK = 7  # days


class Missing(Exception):  # noqa: N818  # it is told to a program as a 404, not raised to a person
    """There is nothing of that name."""


class Place(NamedTuple):
    """Whose usage is answered for, and how it is shown."""

    store: Path
    folders: Sequence[str]  # of the logs
    prices: PriceList
    zone: ZoneInfo
    settings: Config
    shows_content: bool = False


class Answers:
    """Each method answers the route of its name. They may be called by several threads at once."""

    def __init__(self, place: Place, degraded: Callable[[], Sequence[str]] = tuple, clock: Callable[[], float] = time.time) -> None:
        """`degraded` says which guarantees are lost at the moment."""
        self._place, self._degraded, self._clock = place, degraded, clock
        self._aliases = dict(place.settings.projects.aliases)
        self._habits = past.Habits(place.prices, place.settings.blocks.rounding)

    def overview(self, asked: Asked) -> str:
        """What a person wants to know first."""
        return self._ask(lambda db: json.dumps(self._overview(db, asked)))

    def limits(self, asked: Asked) -> str:
        now_ms = self._now_ms()

        def question(db: sqlite3.Connection) -> str:
            return limits_json(self._limits(db, now_ms), now_ms, self._habits.steadiness(db, now_ms), (), self._projects(db).name)

        return self._ask(question)

    def found_limits(self) -> Sequence[Limit]:
        """How far they are used."""
        return self._ask(lambda db: self._limits(db, self._now_ms()))

    def budgets(self, asked: Asked) -> str:
        place = self._place
        crossings = Memory(place.store).read()
        return self._ask(
            lambda db: showing.budgets_json(standings(db, place.settings, place.prices, place.zone, self._now_ms()), crossings)
        )

    def minutes(self, asked: Asked) -> str:
        """A bucket a minute, oldest first; empty ones, too."""
        many, last = asked.number("minutes", 60), self._now_ms() // MINUTE_MS
        first = last - many + 1

        def question(db: sqlite3.Connection) -> str:
            adders = self._added(db, asked, [Window(str(n), (first + n) * MINUTE_MS, (first + n + 1) * MINUTE_MS) for n in range(many)])
            buckets = [_bucket((first + number) * MINUTE_MS, adders.get(str(number), Counts())) for number in range(many)]
            return json.dumps({"schema": MINUTES_SCHEMA, "start": utc_text(first * MINUTE_MS), "minutes": many, "buckets": buckets})

        return self._ask(question)

    def reports(self, asked: Asked) -> str:
        return self._ask(lambda db: report_json(self._report(db, asked, asked["report"])))

    def sessions(self, asked: Asked) -> str:
        def question(db: sqlite3.Connection) -> str:
            said, is_latest = asked["search"].casefold().split(), asked["order"] in ("", "latest")
            report = self._report(db, asked, "sessions", breakdown=True, order="newest" if is_latest else asked["order"])
            ordered = sorted(report.rows, key=_last_used, reverse=True) if is_latest else report.rows
            rows = [row for row in ordered if all(any(word in name for name in _names(row)) for word in said)]
            first = asked.number("offset", 0)
            shown = rows[first : first + asked.number("limit", PAGE_ROWS)]
            return json.dumps({"schema": SESSIONS_SCHEMA, "total": len(rows), "rows": [row_fields("sessions", row) for row in shown]})

        return self._ask(question)

    def replies(self, asked: Asked) -> str:
        def question(db: sqlite3.Connection) -> str:
            limit = asked.number("limit", PAGE_ROWS)
            since, until = asked.days(self._today())
            before = _moment(asked["cursor"]) if asked["cursor"] else (self._end_ms(until), "")
            found = self._older(db, before, limit, asked)
            start_ms = 0 if since is None else periods.day_start_ms(since, self._place.zone)
            rows = [reply for reply in found if reply.at_ms >= start_ms]
            following = _cursor(rows[-1].at_ms, rows[-1].key) if len(rows) == limit else None
            lines = (feed_json(ReplyChange(0, "new", reply.key, reply), self._place.prices) for reply in rows)
            return f'{{"schema": "{REPLIES_SCHEMA}", "next": {json.dumps(following)}, "replies": [{",".join(lines)}]}}'

        return self._ask(question)

    def explain(self, asked: Asked) -> str:
        return self._explained(asked["name"], asked["as"], limit=asked.number("limit", 20), estimates=asked.flag("estimate_output"))

    def original(self, asked: Asked) -> str:
        """Content."""
        return self._explained(asked["name"], "reply", shows_lines=True)

    def status(self, asked: Asked) -> str:
        from tokentail.status.as_json import status_json
        from tokentail.status.now import take_status

        place = self._place
        return status_json(take_status(self._source(), place.store, place.prices, coordinator=None, now_ms=self._now_ms()), place.zone)

    def openapi(self, asked: Asked) -> str:
        from tokentail.web.openapi import document

        return document()

    def all_time(self) -> tuple[list[Row], Counts]:
        """All that was ever counted, by model, costliest first, and its sum."""

        def question(db: sqlite3.Connection) -> Report:
            return build(Request("models", self._place.zone), self._data(db), self._context(db))

        report = self._ask(question)
        return list(report.rows), report.totals

    def _limits(self, db: sqlite3.Connection, now_ms: int) -> Sequence[Limit]:
        rounding, steady = self._place.settings.blocks.rounding, self._habits.steadiness(db, now_ms)
        return limits(db, self._place.prices, now_ms, rounding=rounding, steadiness=steady)

    def _overview(self, db: sqlite3.Connection, asked: Asked) -> dict[str, object]:
        now_ms = self._now_ms()
        today = self._today()
        week, month = [today - timedelta(days=back) for back in range(_WEEK - 1, -1, -1)], today.replace(day=1)
        first = min(week[0], month)
        windows = [
            Window(str(first + timedelta(days=n)), *self._bounds(first + timedelta(days=n))) for n in range((today - first).days + 1)
        ]
        sums, models = Adder[str](self._place.prices), Adder[str](self._place.prices)
        scope = self._scope(db, asked)
        for used in self._data(db).usage(scope.question(windows)):
            day = date.fromisoformat(windows[used.window].key)
            for key, holds in (("today", day == today), ("week", day >= week[0]), ("month", day >= month), (str(day), True)):
                if holds:
                    sums.add(key, used.cell)
            if day == today:
                models.add(used.cell.model, used.cell)
        counts = defaultdict(Counts, sums.rows())
        return {
            "schema": OVERVIEW_SCHEMA,
            "version": __version__,
            "at": utc_text(now_ms, digits="milliseconds"),
            "timezone": self._place.zone.key,
            "day": str(today),
            "today": counts["today"]._asdict(),
            "week": {**counts["week"]._asdict(), "days": [{"day": str(day), "cost_usd": counts[str(day)].cost_usd} for day in week]},
            "month": {"month": periods.month_of(today), **counts["month"]._asdict(), "forecast_usd": _forecast(counts, today)},
            "window": self._window(db, scope, now_ms),
            "models": [{"model": row.key, **row.counts._asdict()} for row in costliest_first(Row(*each) for each in models.rows())],
            "degraded": list(self._degraded()),
            "shows_content": self._place.shows_content,
        }

    def _window(self, db: sqlite3.Connection, scope: Scope, now_ms: int) -> dict[str, object] | None:
        """The five-hour window that is running: all replies of the machines that are asked for open it; what is asked for is added up."""
        data = self._data(db)
        window = running(data, self._place.settings.blocks.rounding, now_ms, scope)
        if window is None:
            return None
        counts, first_ms = used_in(window, data, self._place.prices, scope)
        goes = pace(counts, min(first_ms, now_ms), window.end_ms, now_ms)
        return {"start": window.key, "end": utc_text(window.end_ms), **counts._asdict(), "pace": goes._asdict()}

    def _added(self, db: sqlite3.Connection, asked: Asked, windows: Sequence[Window]) -> dict[str, Counts]:
        adder = Adder[str](self._place.prices)
        for used in self._data(db).usage(self._scope(db, asked).question(windows)):
            adder.add(windows[used.window].key, used.cell)
        return dict(adder.rows())

    def _report(self, db: sqlite3.Connection, asked: Asked, name: str, *, breakdown: bool = False, order: str = "") -> Report:
        settings = self._place.settings
        zone = periods.parse_zone(asked["timezone"]) if asked["timezone"] else self._place.zone
        since, until = asked.days(periods.day_of(self._now_ms(), zone))
        request = Request(
            name,
            zone,
            since,
            until,
            asked.all("project"),
            asked.all("model"),
            breakdown=(breakdown or asked.flag("breakdown")) and name != "models",
            agents=asked.flag("agents"),
            worktrees=asked.flag("worktrees") or settings.projects.worktrees,
            provenance=asked.flag("provenance"),
            not_final=asked.flag("not_final"),
            estimate=asked.flag("estimate_output"),
            week_starts=WEEKDAYS.index(settings.week_starts),
            rounding=asked["rounding"] or settings.blocks.rounding,  # type: ignore[arg-type]  # the contract has checked it
            order=order or asked["order"],
            limit=None if name == "sessions" and breakdown else int(asked["limit"]) if asked["limit"] else None,
            subagents=asked.subagents,
            hosts=asked.all("host"),
            users=asked.all("user"),
        )
        context = self._context(db)
        if request.estimate:
            context = context._replace(estimates=partial(between, db, self._source()))
        try:
            return build(request, self._data(db), context)
        except UsageError as error:  # an order that the report does not have
            raise Invalid(str(error)) from error

    def _explained(self, name: str, kind: str, *, limit: int = 20, estimates: bool = False, shows_lines: bool = False) -> str:
        from tokentail.explain import telling
        from tokentail.explain.as_json import story_json
        from tokentail.explain.meaning import meaning

        def question(db: sqlite3.Connection) -> str:
            try:
                meant = meaning(db, name, today=self._today(), kind=kind)
            except UsageError as error:
                raise Missing(str(error)) from error
            context = telling.Context(
                prices=self._place.prices,
                zone=self._place.zone,
                source=self._source(),
                projects=self._projects(db),
                shows_lines=shows_lines,
                estimates=estimates,
                limit=limit,
            )
            return story_json(telling.of_meant(db, meant, context))

        return self._ask(question)

    def _older(self, db: sqlite3.Connection, before: tuple[int, str], limit: int, asked: Asked) -> Sequence[Reply]:
        """The replies before a (moment, key), newest first."""
        return queries.older_replies(db, before, limit, of=self._conditions(db, asked))

    def _conditions(self, db: sqlite3.Connection, asked: Asked) -> list[tuple[set[int], set[str]]]:
        """Whose replies and of which models; see `queries.older_replies`."""
        conditions: list[tuple[set[int], set[str]]] = []
        owners = queries.owners(db)
        if asked.all("project"):
            slugs = self._projects(db).matching(asked.all("project"))
            conditions.append(({number for number, owner in owners.items() if owner.project in slugs}, set()))
        if asked["session"]:
            conditions.append(({number for number, owner in owners.items() if owner.session == asked["session"]}, set()))
        if hosts := asked.all("host"):
            conditions.append(({number for number, owner in owners.items() if machines.is_meant(owner.host, hosts)}, set()))
        if users := asked.all("user"):
            conditions.append(({number for number, owner in owners.items() if machines.is_meant(owner.user, users)}, set()))
        if asked.subagents is not None:
            conditions.append(({number for number, owner in owners.items() if owner.subagent is asked.subagents}, set()))
        if asked.all("model"):
            conditions.append((set(), set(self._scope(db, asked).models or ())))
        return conditions

    def _scope(self, db: sqlite3.Connection, asked: Asked) -> Scope:
        request = Request("models", self._place.zone, projects=asked.all("project"), models=asked.all("model"), subagents=asked.subagents)
        request = request._replace(hosts=asked.all("host"), users=asked.all("user"))
        return scope_of(request, self._data(db), Context(self._place.prices, self._now_ms(), aliases=self._aliases))

    def _data(self, db: sqlite3.Connection) -> Data:
        """What adds up replies."""
        return Stored(db, self._place.prices)

    def _context(self, db: sqlite3.Connection) -> Context:
        malformed = queries.malformed_lines(db)
        return Context(self._place.prices, self._now_ms(), self._place.folders, self._aliases, malformed, tuple(self._degraded()))

    def _projects(self, db: sqlite3.Connection) -> Projects:
        return Projects(queries.project_folders(db), self._aliases)

    def _source(self) -> LiveSource:
        """A thread's own."""
        return open_source(self._place.folders, self._place.settings.remote)

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    def _today(self) -> date:
        return periods.day_of(self._now_ms(), self._place.zone)

    def _bounds(self, day: date) -> tuple[int, int]:
        zone = self._place.zone
        return periods.day_start_ms(day, zone), periods.day_start_ms(day + timedelta(days=1), zone)

    def _end_ms(self, until: date | None) -> int:
        return 1 << 62 if until is None else self._bounds(until)[1]

    def _ask(self, question: Callable[[sqlite3.Connection], Answer]) -> Answer:
        try:
            with closing(database.open_for_reading(self._place.store)) as db, database.snapshot(db):
                return question(db)
        except sqlite3.Error as error:
            raise StoreError(f"cannot read the store: {error} (`tokentail verify` compares it with the logs)") from error


def _bucket(at_ms: int, counts: Counts) -> dict[str, object]:
    return {
        "at": utc_text(at_ms),
        "input_tokens": counts.input_tokens,
        "output_tokens": counts.output_tokens,
        "cache_write_tokens": counts.cache_write_5m_tokens + counts.cache_write_1h_tokens,
        "cache_read_tokens": counts.cache_read_tokens,
        "cost_usd": counts.cost_usd,
    }


def _forecast(counts: Mapping[str, Counts], today: date) -> float | None:
    """The month's cost so far, and for each day that is left the mean of the last seven."""
    so_far, week = counts["month"].cost_usd, counts["week"].cost_usd
    if so_far is None or week is None:
        return None
    left = monthrange(today.year, today.month)[1] - today.day
    return so_far + week / _WEEK * left


def _last_used(row: Row) -> tuple[int, str]:
    return getattr(row.about, "last_ms", 0), row.key


def _names(row: Row) -> list[str]:
    about = row.about
    said = (getattr(about, name, "") for name in ("project", "name", "host", "user"))
    return [name.casefold() for name in (row.key, *said, *(each.key for each in row.models))]


def _cursor(at_ms: int, key: str) -> str:
    return base64.urlsafe_b64encode(f"{at_ms}:{key}".encode("utf-8", "surrogatepass")).decode().rstrip("=")


def _moment(cursor: str) -> tuple[int, str]:
    try:
        said = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("utf-8", "surrogatepass")
        at_ms, _, key = said.partition(":")
        return int(at_ms), key
    except (binascii.Error, ValueError, UnicodeError) as error:
        raise Invalid("cursor is none that a page before had") from error
