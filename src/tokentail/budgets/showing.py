"""Budgets as a table for people and as JSON for programs (docs/budgets.md)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from tokentail.budgets.channels import Channels
from tokentail.budgets.measuring import UNITS, Standing, number
from tokentail.budgets.memory import Crossing
from tokentail.periods import utc_text
from tokentail.reports import text
from tokentail.reports.grid import ALWAYS, BOLD, Column, Grid, draw
from tokentail.reports.text import Style, cut

BUDGETS_SCHEMA = "tokentail/budget/1"
NO_BUDGETS = "There are no budgets. docs/budgets.md shows how to set one (`tokentail config path` names the file).\n"
_MEASURES: Mapping[str, str] = {
    "cost": "cost",
    "tokens": "tokens",
    "burn_rate": "burn rate",
    "cache_hit_rate": "cache hits",
    "limit": "limit",
}
_NEARLY = 0.8  # of the threshold
_BAR = 16  # cells


def budgets_text(standings: Sequence[Standing], *, width: int, style: Style) -> str:
    """A line for each budget."""
    if not standings:
        return NO_BUDGETS
    grid = Grid(
        [Column("Budget", ALWAYS, [cut(each.budget.name, 40) for each in standings], style=BOLD, least=8)],
        [
            Column("Measure", 60, [measure(each) for each in standings]),
            Column("Period", 50, [period(each) for each in standings]),
            Column("Used", ALWAYS, [value(each) for each in standings], right=True),
            Column("Threshold", ALWAYS - 1, [threshold(each) for each in standings], right=True),
            Column("", 40, bars=[min(each.share or 0.0, 1.0) for each in standings], most=_BAR, least=6),
            Column("State", ALWAYS, [state(each) for each in standings]),
        ],
    )
    return "".join(f"{line}\n" for line in draw(grid, width=width, style=style))


def budgets_json(standings: Sequence[Standing], crossings: Mapping[str, Crossing]) -> str:
    """One JSON object, indented."""
    return json.dumps({"schema": BUDGETS_SCHEMA, "budgets": [_fields(each, crossings) for each in standings]}, indent=2)


def _fields(standing: Standing, crossings: Mapping[str, Crossing]) -> dict[str, object]:
    budget, crossing = standing.budget, crossings.get(standing.budget.name)
    is_told = crossing is not None and standing.is_of(crossing.period)
    return {
        "budget": budget.name,
        "measure": budget.measure,
        "unit": UNITS[budget.measure],
        "period": standing.period,
        "period_start": utc_text(standing.start_ms),
        "period_end": utc_text(standing.end_ms),
        "projects": list(budget.projects),
        "models": list(budget.models),
        "hosts": list(budget.hosts),
        "users": list(budget.users),
        "value": standing.value,
        "threshold": float(budget.threshold),
        "share": standing.share,
        "value_is_lower_bound": standing.is_lower_bound,
        "standing": standing.standing or None,
        "age_seconds": standing.age_s,
        "crossed": standing.is_crossed,
        "crossed_at": utc_text(crossing.crossed_ms, digits="milliseconds") if crossing and is_told else None,
        "told_by": list(crossing.told) if crossing and is_told else [],
        "tell_by": list(Channels.of(budget)),
    }


def measure(standing: Standing) -> str:
    """What is measured, in words."""
    return _MEASURES[standing.budget.measure]


def period(standing: Standing) -> str:
    """In which time, in words."""
    return "last hour" if standing.period == "hour" else standing.period


def value(standing: Standing) -> str:
    """What was used, without its unit."""
    bound = "≥ " if standing.is_lower_bound and standing.value is not None else ""
    return f"{bound}{number(standing.budget.measure, standing.value)}"


def threshold(standing: Standing) -> str:
    """With its unit."""
    least = "at least " if standing.budget.measure == "cache_hit_rate" else ""
    return f"{least}{number(standing.budget.measure, float(standing.budget.threshold))} {UNITS[standing.budget.measure]}"


def state(standing: Standing) -> str:
    """In a word or a percentage; of a limit with how far that can be trusted."""
    said = f" ({standing.standing_in_words})" if standing.standing and standing.value is not None else ""
    return f"{_state_alone(standing)}{said}"


def _state_alone(standing: Standing) -> str:
    if standing.is_crossed:
        return "CROSSED"
    if standing.value is None:
        return "unknown"
    if standing.budget.measure == "cache_hit_rate":
        return "ok"
    share = standing.share or 0.0
    return f"{'nearly: ' if share >= _NEARLY else ''}{text.percent(share)}"
