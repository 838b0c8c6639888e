"""All scenarios: whoever imports this has the whole table."""

from __future__ import annotations

from faults import content, lifecycle, state, tree, watches
from faults.table import MODES, SCENARIOS, Scenario, play

GROUPS = (content, lifecycle, tree, watches, state)

__all__ = ["GROUPS", "MODES", "SCENARIOS", "Scenario", "play"]
