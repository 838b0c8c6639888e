"""`tokentail demo`: the live screen on made-up logs, in a temporary folder that goes away with it."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from tokentail import demo, prices
from tokentail.coordinator import UpdateCoordinator
from tokentail.demo.live import LiveWriter
from tokentail.errors import UsageError
from tokentail.reports.overview import overview, overview_text
from tokentail.reports.text import Style
from tokentail.sources import LocalFolders

LABEL = "DEMO: made-up data"


def show(*, zone: ZoneInfo, rate_per_s: float, on_terminal: bool) -> int:
    """The live screen on a tree that goes on being written; without a terminal its overview as text."""
    with tempfile.TemporaryDirectory(prefix="tokentail-demo-", ignore_cleanup_errors=True) as folder:
        root = Path(folder)
        demo.write_demo(root, now=datetime.now(UTC))
        price_list = prices.load()
        source = LocalFolders([root / "projects"])
        with contextlib.closing(UpdateCoordinator(source, root / "store.db", prices=price_list)) as coordinator:
            if not on_terminal:
                print(f"{LABEL} (tokentail demo)\n")
                update = coordinator.check_for_updates()
                seen = overview(coordinator.db, price_list, zone, update.started_at_ms)
                sys.stdout.write(overview_text(seen, update, zone, Style.of(sys.stdout, os.environ)))
                return 0
            from tokentail.demo import said  # a report does without, and without Textual
            from tokentail.tui.app import run_screen

            with _writing(root, rate_per_s):
                coordinator.check_for_updates()
                said.say(coordinator.db, price_list, int(time.time() * 1000))
                return run_screen(coordinator, price_list, zone, label=LABEL, settings=said.SETTINGS)


def write_only(folder: Path) -> int:
    """Write the demo's tree into a new folder."""
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"cannot write the demo's logs to {folder}: it is not empty (name a new folder)")
    demo.write_demo(folder, now=datetime.now(UTC))
    print(f"wrote made-up logs to {folder}; try: tokentail daily --source {folder}")
    return 0


@contextlib.contextmanager
def _writing(root: Path, rate_per_s: float) -> Iterator[None]:
    stop = threading.Event()
    writer = LiveWriter(root, seed=int(time.time()), rate_per_s=rate_per_s, clock=time.time, sleep=stop.wait)
    thread = threading.Thread(target=writer.run, args=(stop,), name="demo writer", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=5)
