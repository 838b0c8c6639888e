"""How far Claude Code's limits are used, where that leads, and by whose work: from what it says itself, or else from the logs."""

from __future__ import annotations

from tokentail.limits.ahead import Forecast
from tokentail.limits.learnt import Rate
from tokentail.limits.now import Limit, Share, Used, limits, used

__all__ = ["Forecast", "Limit", "Rate", "Share", "Used", "limits", "used"]
