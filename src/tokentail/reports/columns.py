"""The only place that says what is shown of each kind of row: which columns there are, and which of them go first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from functools import cache
from typing import NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from tokentail import machines, periods
from tokentail.model import BlockFacts, Counts, Estimated, MachineFacts, ProjectFacts, Report, Row, SessionFacts
from tokentail.reports import text
from tokentail.reports.blocks import BLOCK_MS
from tokentail.reports.build import shown_path
from tokentail.reports.grid import ALWAYS, Column
from tokentail.reports.names import model_names, short_ids
from tokentail.reports.parts import cost_share

KEY, COST, BARS = ALWAYS + 9, ALWAYS + 8, 6
ASKED = 85  # of a column that nobody sees unasked
RUNNING = "●"
_BOLD, _GREEN, _CYAN = "1", "32", "36"  # of the 16 colours that every terminal has, and its owner has chosen
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_LEAST_NAME, _LEAST_MODEL, _MOST_NAME = 14, 22, 40  # cells
Facts = TypeVar("Facts", SessionFacts, ProjectFacts, MachineFacts, BlockFacts)
Columns = Callable[[Report], list[Column]]


class Number(NamedTuple):
    """A column of whole numbers: what it shows of a line's counts."""

    title: str
    importance: int
    value: Callable[[Counts], int]


class Kind(NamedTuple):
    """What is shown of a kind of row."""

    names: Columns  # what tells it from the others
    facts: Columns = lambda report: []  # what else is known of it
    numbers: Sequence[Number] = ()
    shares: bool = False  # its part of the cost of all
    bars: bool = True
    models: bool = False  # on a wide terminal the names of its models


def numbers(*, tokens: int, output: int, input: int, replies: int, cache_write: int = 20, cache_read: int = 10) -> Sequence[Number]:
    """The columns of counts, each with its importance."""
    return (
        Number("Replies", replies, lambda counts: counts.replies),
        Number("Input", input, lambda counts: counts.input_tokens),
        Number("Output", output, lambda counts: counts.output_tokens),
        Number("Cache write", cache_write, lambda counts: counts.cache_write_5m_tokens + counts.cache_write_1h_tokens),
        Number("Cache read", cache_read, lambda counts: counts.cache_read_tokens),
        Number("Tokens", tokens, lambda counts: counts.total_tokens),
    )


def number_columns(wanted: Iterable[Number], lines: Sequence[Counts], totals: Counts) -> list[Column]:
    """Those columns, for lines that have these counts."""
    return [
        Column(title, importance, numbers=list(map(value, lines)), total=f"{value(totals):,}", right=True)
        for title, importance, value in wanted
    ]


def cost_column(lines: Sequence[Counts], totals: Counts) -> Column:
    """What each line costs."""
    return Column("Cost (USD)", COST, list(map(text.cost, lines)), text.cost(totals), _GREEN, right=True)


def part_columns(report: Report) -> list[Column]:
    """Of each row, what was asked for besides its counts: how many replies stand where, and how many are not final."""
    asked = []
    if report.provenance is not None:
        is_one_machine = not report.provenance.elsewhere.replies
        for place, title in enumerate(("On disk", "Deleted", "Rewritten", *(() if is_one_machine else ("Elsewhere",)))):
            parts = [row.provenance[place].replies if row.provenance else 0 for row in report.rows]
            asked.append(_part(title, [f"{part:,}" for part in parts], f"{report.provenance[place].replies:,}"))
    if report.not_final is not None:
        shares = [_share(row.not_final or Counts(), row.counts) for row in report.rows]
        asked.append(_part("Not final", [f"{row.counts.not_final_replies:,}" for row in report.rows], f"{report.not_final.replies:,}"))
        asked.append(_part("Of cost", shares, _share(report.not_final, report.totals)))
    if report.estimate is not None:
        outputs = [f"~ {row.estimate.output_tokens:,}" if row.estimate else "" for row in report.rows]
        asked.append(_part("Est. output", outputs, f"~ {report.estimate.output_tokens:,}"))
        asked.append(_part("Est. cost", [_estimated_cost(row.estimate) for row in report.rows], _estimated_cost(report.estimate)))
    return asked


def share_column(lines: Sequence[Counts], totals: Counts) -> Column:
    """Each line's part of the cost of all, or of their tokens where nothing has a price."""
    of, total = measure(totals)
    cells = ["?" if line.cost_usd is None and totals.cost_usd else text.percent(of(line) / total) for line in lines]
    return Column("Share", 48, cells, right=True)


def bar_column(lines: Sequence[Counts], totals: Counts, *, importance: int = BARS, most: int = 16, least: int = 8) -> Column:
    """What the share column says as bars, on the scale of the greatest."""
    of, _ = measure(totals)
    top = max(map(of, lines), default=0) or 1.0
    return Column("", importance, style=_CYAN, least=least, bars=[of(line) / top for line in lines], most=most)


def measure(totals: Counts) -> tuple[Callable[[Counts], float], float]:
    """What lines are compared by, and how much of it there is in all: dollars, or tokens where there are no dollars."""
    if totals.cost_usd:
        return lambda counts: counts.cost_usd or 0.0, totals.cost_usd
    return lambda counts: float(counts.total_tokens), totals.total_tokens or 1.0


def models_column(rows: Sequence[Row]) -> Column:
    """The models of each row, costliest first."""
    short = model_names({model.key for row in rows for model in row.models})
    cells = [", ".join(short[model.key] for model in row.models) for row in rows]
    return Column("Models", 4, cells, least=_LEAST_NAME, most=60)


def _part(title: str, cells: list[str], total: str) -> Column:
    return Column(title, ASKED, cells, total, right=True)


def _estimated_cost(estimate: Estimated | None) -> str:
    if estimate is None:
        return ""
    return "?" if estimate.cost_usd is None else f"~ {estimate.cost_usd:,.2f}"


def _share(part: Counts, whole: Counts) -> str:
    is_unknown = part.cost_usd is None or (part.replies and whole.cost_usd is None)
    return "?" if is_unknown else text.percent(cost_share(part, whole) or 0.0)


def _days(report: Report) -> list[Column]:
    days = [_day(row.key) for row in report.rows]
    return [_key("Day", report), Column("", 8, ["" if day is None else _WEEKDAYS[day.weekday()] for day in days])]


def _weeks(report: Report) -> list[Column]:
    return [_key("Week", report), Column("", 8, [_week_number(_day(row.key)) for row in report.rows])]


def _week_number(first: date | None) -> str:
    """Of a week that begins on Monday: the others have no number that everybody knows."""
    return f"W{first.isocalendar().week:02}" if first is not None and first.weekday() == 0 else ""


def _months(report: Report) -> list[Column]:
    return [_key("Month", report)]


def _models(report: Report) -> list[Column]:
    return [_key("Model", report)._replace(least=_LEAST_MODEL, most=_MOST_NAME)]


def _sessions(report: Report) -> list[Column]:
    clock, safe = _clock(report), cache(text.safe)
    ids = short_ids(row.key for row in report.rows)
    facts = [_facts(row, SessionFacts) for row in report.rows]
    return [
        Column("Start", KEY, [clock(about.first_ms) for about in facts], style=_BOLD),
        Column("Project", ALWAYS, [safe(about.name) for about in facts], least=10, most=_MOST_NAME),
        Column("Session", 45, [ids[row.key] for row in report.rows], least=_LEAST_NAME, most=_MOST_NAME),
    ]


def _session_facts(report: Report) -> list[Column]:
    facts = [_facts(row, SessionFacts) for row in report.rows]
    whose = [_machine("Host", [about.host for about in facts]), _machine("User", [about.user for about in facts])]
    return [
        *(column for column, is_told in zip(whose, _told(facts), strict=True) if is_told),
        Column("Lasted", 25, [text.duration(about.last_ms - about.first_ms) for about in facts], right=True),
    ]


def _told(facts: Sequence[SessionFacts]) -> tuple[bool, bool]:
    """Is there another host than this machine, is there another user?"""
    return any(about.host for about in facts), any(about.user for about in facts)


def _hosts(report: Report) -> list[Column]:
    return [_machine("Host", [row.key for row in report.rows])._replace(importance=KEY, style=_BOLD)]


def _users(report: Report) -> list[Column]:
    return [_machine("User", [row.key for row in report.rows])._replace(importance=KEY, style=_BOLD)]


def _machine(title: str, names: Sequence[str]) -> Column:
    return Column(title, 46, [text.safe(machines.shown(name)) for name in names], least=_LEAST_NAME, most=_MOST_NAME)


def _machine_facts(report: Report) -> list[Column]:
    clock = _clock(report)
    return [Column("Last used", 47, [clock(_facts(row, MachineFacts).last_ms)[:10] for row in report.rows])]


def _projects(report: Report) -> list[Column]:
    names = [text.safe(_facts(row, ProjectFacts).name) for row in report.rows]
    return [Column("Project", KEY, names, style=_BOLD, least=_LEAST_NAME, most=_MOST_NAME)]


def _project_facts(report: Report) -> list[Column]:
    clock = _clock(report)
    facts = [_facts(row, ProjectFacts) for row in report.rows]
    return [
        Column("Folder", 5, [text.safe(shown_path(about.folder)) for about in facts], least=20, most=60),
        Column("Last used", 47, [clock(about.last_ms)[:10] for about in facts]),
    ]


def _blocks(report: Report) -> list[Column]:
    clock = _clock(report)
    facts = [_facts(row, BlockFacts) for row in report.rows]
    starts = [clock(about.end_ms - BLOCK_MS) for about in facts]
    ends = [f"{clock(about.end_ms)[11:]}{f' {RUNNING}' if about.pace else ''}" for about in facts]
    return [Column("Start", KEY, starts, style=_BOLD), Column("End", 80, ends, style=_BOLD)]


def _key(title: str, report: Report) -> Column:
    return Column(title, KEY, [text.safe(row.key) for row in report.rows], style=_BOLD)


def _facts(row: Row, kind: type[Facts]) -> Facts:
    assert isinstance(row.about, kind)
    return row.about


def _day(key: str) -> date | None:
    try:
        return date.fromisoformat(key)
    except ValueError:
        return None


def _clock(report: Report) -> Callable[[int], str]:
    """Moments in the report's zone, to the minute."""
    zone = ZoneInfo(report.timezone)
    return lambda at_ms: periods.clock_text(at_ms, zone)


_FULL = numbers(output=60, tokens=50, input=40, replies=30)
_BRIEF = numbers(tokens=50, replies=35, output=22, input=21)
KINDS: Mapping[str, Kind] = {
    "daily": Kind(_days, numbers=_FULL, models=True),
    "weekly": Kind(_weeks, numbers=_FULL, models=True),
    "monthly": Kind(_months, numbers=_FULL, models=True),
    "sessions": Kind(_sessions, _session_facts, _BRIEF, bars=False),
    "projects": Kind(_projects, _project_facts, _BRIEF, shares=True),
    "models": Kind(_models, numbers=_FULL, shares=True),
    "hosts": Kind(_hosts, _machine_facts, _BRIEF, shares=True),
    "users": Kind(_users, _machine_facts, _BRIEF, shares=True),
    "blocks": Kind(_blocks, numbers=_BRIEF),
}
