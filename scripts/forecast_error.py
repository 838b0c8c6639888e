"""
Say how wrong looking ahead is on made-up logs, which are the same each time: the tables of docs/limits.md.

    python scripts/forecast_error.py
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from tokentail import prices
from tokentail.coordinator import UpdateCoordinator
from tokentail.demo import write_demo
from tokentail.limits import past
from tokentail.limits.as_text import errors_text
from tokentail.sources import LocalFolders

NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)


def main() -> int:
    price_list = prices.load()
    with tempfile.TemporaryDirectory() as folder:
        write_demo(Path(folder), now=NOW)
        coordinator = UpdateCoordinator(LocalFolders([Path(folder)]), Path(folder, "store.db"), prices=price_list)
        with closing(coordinator):
            coordinator.check_for_updates()
            now_ms = round(NOW.timestamp() * 1000)
            sys.stdout.write(errors_text(past.backtest(coordinator.db, price_list, now_ms)))
            print(f"\nSteadiness: {past.steadiness(coordinator.db, price_list, now_ms)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
