"""The live screen."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from tokentail.coordinator import UpdateCoordinator
from tokentail.prices import PriceList


def run_screen(coordinator: UpdateCoordinator, prices: PriceList, zone: ZoneInfo, *, label: str) -> int:
    """Show the live screen until the person leaves it."""
    print(label, zone, prices, coordinator)
    return 0
