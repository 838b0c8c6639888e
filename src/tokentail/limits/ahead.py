"""The only place that looks ahead: what a window will have used at its end, and when its limit is reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tokentail.periods import HOUR_MS
from tokentail.samples import LENGTHS_MS

# What was used in so much time says how fast it goes on: a fifth of a five-hour window, a day of a week.
RECENT_MS: Mapping[str, int] = {kind: HOUR_MS if length == 5 * HOUR_MS else 24 * HOUR_MS for kind, length in LENGTHS_MS.items()}


class Forecast(NamedTuple):
    """Where a window leads."""

    usd_per_hour: float  # the pace of now
    cost_usd: float  # at the window's end, as far as past windows say how much of a pace remains
    percent: float | None  # likewise; None where nobody knows what a percent costs
    full_ms: int | None  # when 100 % is reached if the pace remains, if before the end


def recent_since(kind: str, start_ms: int, now_ms: int) -> int:
    """From when on usage is recent: in the window, since another one's pace says little of it."""
    return max(start_ms, now_ms - RECENT_MS[kind])


def pace(kind: str, recent_usd: float, used_usd: float, start_ms: int, now_ms: int) -> float:
    """
    Dollars an hour: the mean of how fast it went lately and of how fast since the window began.

    docs/limits.md says how wrong that and other ways were. The first moments are too short to tell.
    """
    least_ms = RECENT_MS[kind] // 4
    recent = recent_usd / max(now_ms - recent_since(kind, start_ms, now_ms), least_ms)
    whole = used_usd / max(now_ms - start_ms, least_ms)
    return (recent + whole) / 2 * HOUR_MS


def forecast(
    used_usd: float,
    usd_per_hour: float,
    *,
    steadiness: float,
    percent: float | None,
    usd_per_percent: float | None,
    now_ms: int,
    end_ms: int,
) -> Forecast:
    """What a window will have used at its end; `steadiness` is the part of a pace that usually remains."""
    at_pace = usd_per_hour * max(end_ms - now_ms, 0) / HOUR_MS
    more_usd = steadiness * at_pace
    if percent is None or usd_per_percent is None:
        return Forecast(usd_per_hour, used_usd + more_usd, None, None)
    full_ms = None
    if at_pace and percent + at_pace / usd_per_percent >= 100:
        full_ms = now_ms + round(max(100 - percent, 0) * usd_per_percent / usd_per_hour * HOUR_MS)
    return Forecast(usd_per_hour, used_usd + more_usd, percent + more_usd / usd_per_percent, full_ms)
