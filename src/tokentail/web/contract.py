"""The only place that knows what the API offers: its addresses and their parameters, which are checked and described from one table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import NamedTuple

from tokentail import periods
from tokentail.config import ROUNDINGS
from tokentail.errors import UsageError
from tokentail.reports.build import KINDS, ORDERS

API = "/api/v1"
MOST_ROWS = 500
MOST_NAMES = 50  # of one kind in a question
LONGEST = 300  # characters of a value
WINDOWS = ("60", "360", "1440")  # minutes


class Invalid(Exception):  # noqa: N818  # it is told to a program as a 400, not raised to a person
    """A question that the contract does not have."""


class Param(NamedTuple):
    """A parameter."""

    name: str
    says: str
    kind: str = "text"  # text, number, flag, day, zone
    choices: Sequence[str] = ()
    many: bool = False
    most: int = 0  # of a number
    least: int = 0
    needed: bool = False
    in_path: bool = False


class Route(NamedTuple):
    """An address."""

    path: str
    name: str
    says: str
    params: Sequence[Param] = ()
    answer: str = "application/json"
    method: str = "GET"
    may_be_missing: bool = False  # 404 where there is no such thing
    is_open: bool = False  # needs no token, wherever the server is bound to
    shows_content: bool = False


class Asked:
    """The parameters of a question, each as what it is."""

    def __init__(self, values: Mapping[str, list[str]]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> str:
        """Its only value; "" where it has none."""
        return self._values.get(name, [""])[0]

    def all(self, name: str) -> tuple[str, ...]:
        return tuple(self._values.get(name, ()))

    def flag(self, name: str) -> bool:
        return self[name] == "true"

    def number(self, name: str, usual: int) -> int:
        return int(self[name] or usual)

    def days(self, today: date) -> tuple[date | None, date | None]:
        """The first and the last day, where they are given."""
        since = periods.parse_days(self["since"], today=today)[0] if self["since"] else None
        until = periods.parse_days(self["until"], today=today)[1] if self["until"] else None
        if since is not None and until is not None and since > until:
            raise Invalid(f"since {since} is after until {until}")
        return since, until

    @property
    def subagents(self) -> bool | None:
        """Only what subagents used, only what they did not, or both."""
        return {"": None, "main": False, "subagents": True}[self["agent"]]


_NAMES = (
    Param("project", "only this project: its name, folder or slug; * and ? stand for others", many=True),
    Param("model", "only this model; * and ? as in a shell", many=True),
    Param("host", "only this machine: `this` is what the server's own logs say; * and ? as in a shell", many=True),
    Param("user", "only this person's machines, likewise", many=True),
    Param("agent", "only what subagents used, or only what they did not", choices=("main", "subagents")),
)
_PERIOD = (
    Param("since", "first day: 2026-10-01, today, yesterday, 7d, 2026-W40 or 2026-10", "day"),
    Param("until", "last day, inclusive", "day"),
)
_ZONE = Param("timezone", "IANA name of the zone whose days are meant; without it the server's", "zone")
_LIMIT = Param("limit", "at most so many rows", "number", least=1, most=MOST_ROWS)
_REPORT = (
    Param("report", "which report", choices=tuple(KINDS), needed=True, in_path=True),
    *_PERIOD,
    _ZONE,
    *_NAMES,
    Param("breakdown", "each row's models, too", "flag"),
    Param("agents", "each session's subagents, too", "flag"),
    Param("worktrees", "worktrees of one repository as one project", "flag"),
    Param("provenance", "how much stands in logs on disk, was deleted or rewritten, or came from elsewhere", "flag"),
    Param("not_final", "what the replies used whose output count is a lower bound", "flag"),
    Param("estimate_output", "beside the counts, what they may be where the log holds no final output", "flag"),
    Param("rounding", "to what the start of a five-hour window is rounded down", choices=ROUNDINGS),
    Param("order", "which rows come first; models know cost, tokens and name", choices=ORDERS),
    Param("limit", "at most so many rows; the totals stay those of all", "number", least=1, most=1_000_000),
)

ROUTES = (
    Route("/healthz", "health", "Whether the server lives.", is_open=True),
    Route("/metrics", "metrics", "Figures for Prometheus.", answer="text/plain"),
    Route(f"{API}/openapi.json", "openapi", "This document."),
    Route(f"{API}/overview", "overview", "Today, seven days, the month and the five-hour window that is running.", _NAMES),
    Route(f"{API}/limits", "limits", "How far Claude Code's limits are used, as `tokentail limits --json`."),
    Route(f"{API}/budgets", "budgets", "How the budgets stand, as `tokentail budget --json`."),
    Route(
        f"{API}/minutes",
        "minutes",
        "Tokens by kind and dollars, minute by minute.",
        (Param("minutes", "how many, the current one included", choices=WINDOWS), *_NAMES),
    ),
    Route(f"{API}/reports/{{report}}", "reports", "A report, as its command gives it with --json.", _REPORT, may_be_missing=True),
    Route(
        f"{API}/sessions",
        "sessions",
        "Sessions as rows of the report, some at a time.",
        (
            *_PERIOD,
            *_NAMES,
            Param("search", "only sessions with these words in their id, project or models"),
            Param("order", "which come first; without it those that were used last", choices=("latest", *ORDERS)),
            _LIMIT,
            Param("offset", "leave out so many before", "number", most=10_000_000),
        ),
    ),
    Route(
        f"{API}/replies",
        "replies",
        "Replies as lines of the feed, newest first, a page at a time.",
        (
            Param("session", "only of this session"),
            *_PERIOD,
            *_NAMES,
            _LIMIT,
            Param("cursor", "`next` of the page before"),
        ),
    ),
    Route(
        f"{API}/explain/{{name}}",
        "explain",
        "Where a number comes from, as `tokentail explain --json`.",
        (
            Param("name", "a reply's key, message id or request id; a session's id; or a day", needed=True, in_path=True),
            Param("as", "what the name is meant to be", choices=("reply", "session", "day")),
            Param("limit", "of a session or day the latest so many replies", "number", least=1, most=MOST_ROWS),
            Param("estimate_output", "where the log holds no final output count, an estimate", "flag"),
        ),
        may_be_missing=True,
    ),
    Route(
        f"{API}/original/{{name}}",
        "original",
        "A reply's lines as they stand in the logs: content. Only with --show-content, and then only with the token.",
        (Param("name", "a reply's key, message id or request id", needed=True, in_path=True),),
        may_be_missing=True,
        shows_content=True,
    ),
    Route(f"{API}/status", "status", "What is tracked and how well, as `tokentail status --json`."),
    Route(
        f"{API}/stream",
        "stream",
        "What happens, as server-sent events: `reply`, `look` and `reset`.",
        (Param("last_event_id", "go on after this event, as with the header Last-Event-ID"),),
        answer="text/event-stream",
    ),
    Route(f"{API}/session", "session", "Exchange the token for a cookie.", answer="", method="POST", is_open=True),
)


def asked(route: Route, pairs: Iterable[tuple[str, str]], places: Mapping[str, str]) -> Asked:
    """
    What a question asks for.

    Raises:
        Invalid: a parameter is unknown, is there twice, or has a value that it cannot have.
    """
    known = {param.name: param for param in route.params if not param.in_path}
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        if name not in known:
            raise Invalid(f"there is no parameter {name[:60]!r} (there are: {', '.join(known) or 'none'})")
        values.setdefault(name, []).append(value)
    for param in route.params:
        if param.in_path:
            values[param.name] = [places[param.name]]
        _check(param, values.get(param.name, []))
    return Asked(values)


def _check(param: Param, values: Sequence[str]) -> None:
    if len(values) > (MOST_NAMES if param.many else 1):
        raise Invalid(f"{param.name} is there {len(values)} times (at most {MOST_NAMES if param.many else 1})")
    for value in values:
        if not value or len(value) > LONGEST or "\0" in value:
            raise Invalid(f"{param.name} is empty, holds a NUL or is longer than {LONGEST} characters")
        if param.choices and value not in param.choices:
            raise Invalid(f"{param.name} is none of: {', '.join(param.choices)}")
        match param.kind:
            case "flag" if value not in ("true", "false"):
                raise Invalid(f"{param.name} is neither true nor false")
            case "number" if not (value.isascii() and value.isdecimal() and len(value) < 10 and param.least <= int(value) <= param.most):
                raise Invalid(f"{param.name} is no number from {param.least} to {param.most}")
            case "day" | "zone":
                try:
                    periods.parse_zone(value) if param.kind == "zone" else periods.parse_days(value, today=date(2026, 1, 1))
                except UsageError as error:
                    raise Invalid(f"{param.name}: {error}") from error
