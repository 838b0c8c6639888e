"""Limits as JSON; the field names are a contract (docs/json.md)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from tokentail.limits.ahead import Forecast
from tokentail.limits.now import Limit, Share
from tokentail.limits.past import Error
from tokentail.periods import utc_text

LIMITS_SCHEMA = "tokentail/limits/1"


def limits_json(
    found: Sequence[Limit], now_ms: int, steadiness: Mapping[str, float], errors: Sequence[Error], name: Callable[[str], str]
) -> str:
    """One JSON object; `name` is what a project is called."""
    document: dict[str, object] = {
        "schema": LIMITS_SCHEMA,
        "at": _at(now_ms),
        "steadiness": dict(steadiness),
        "limits": [_fields(limit, now_ms, name) for limit in found],
    }
    if errors:
        document["backtest"] = [error._asdict() for error in errors]
    return json.dumps(document, indent=2)


def _fields(limit: Limit, now_ms: int, name: Callable[[str], str]) -> dict[str, object]:
    sample, rate = limit.sample, limit.rate
    return {
        "limit": limit.kind,
        "standing": limit.standing,
        "used_percent": limit.percent,
        "said": None
        if sample is None
        else {"used_percent": sample.used_percent, "at": _at(sample.last_ms), "age_seconds": max(now_ms - sample.last_ms, 0) / 1000},
        "start": _at(limit.start_ms),
        "end": _at(limit.end_ms),
        "counts": limit.counts._asdict(),
        "usd_per_percent": None
        if rate is None
        else {"median": rate.usd_per_percent, "low": rate.low_usd, "high": rate.high_usd, "windows": rate.windows},
        "forecast": None if limit.forecast is None else _forecast(limit.forecast),
        "shares": [_share(share, limit.percent, name) for share in limit.shares],
    }


def _forecast(coming: Forecast) -> dict[str, object]:
    return {
        "usd_per_hour": coming.usd_per_hour,
        "cost_usd_at_end": coming.cost_usd,
        "used_percent_at_end": coming.percent,
        "full_at_pace": _at(coming.full_ms),
    }


def _share(share: Share, percent: float | None, name: Callable[[str], str]) -> dict[str, object]:
    used = None if percent is None or share.part is None else percent * share.part
    return {
        "project": share.project,
        "project_name": name(share.project),
        "subagent": share.subagent,
        "part": share.part,
        "used_percent": used,
        "counts": share.counts._asdict(),
    }


def _at(at_ms: int | None) -> str | None:
    return None if at_ms is None else utc_text(at_ms, digits="milliseconds")
