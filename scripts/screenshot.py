"""
Draw docs/screen.svg: the live screen on the demo's logs, at a fixed moment, so that the same code gives the same picture.

Usage: scripts/screenshot.py [FILE]
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from tokentail import demo, demo_run, prices
from tokentail.coordinator import UpdateCoordinator
from tokentail.demo.live import LiveWriter
from tokentail.sources import LocalFolders
from tokentail.tui.app import LiveScreen
from tokentail.tui.asker import Asker
from tokentail.tui.follower import Follower, Post
from tokentail.tui.memory import Memory
from tokentail.tui.snapshot import Snapshot, Watch

PICTURE = Path(__file__).resolve().parents[1] / "docs" / "screen.svg"
SIZE = (120, 37)
ZONE = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 18, 14, 30, tzinfo=UTC)  # a Wednesday
SEED = 7
WATCHED_S = 100  # how long the picture's screen has been open
LAST = (NOW + timedelta(seconds=WATCHED_S - 1)).astimezone(ZONE)
AS_NEW = Memory()
TOOK_S = (0.412, 0.0021)  # the first look and the others; what this machine needs would be another number each time
# The fonts that a terminal's picture asks for come from the network; those of the reader's machine do.
FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
FONTS = "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace"


class Recorded(Follower):
    """Shows snapshots that were taken before."""

    def __init__(self, coordinator: UpdateCoordinator, watch: Watch, snapshots: list[Snapshot]) -> None:
        super().__init__(coordinator, watch)
        self._snapshots = snapshots

    def start(self, post: Post) -> None:
        for snapshot in self._snapshots:
            post(snapshot)


def made(folder: Path, *, memory: Memory = AS_NEW) -> LiveScreen:
    """The screen after the demo's logs went on for a while, and a look followed every second."""
    demo.write_demo(folder, now=NOW)
    now = NOW

    def clock() -> float:
        return now.timestamp()

    def sleep(_: float) -> None:
        """The writer does not wait."""

    coordinator = UpdateCoordinator(LocalFolders([folder / "projects"]), folder / "store.db", prices=prices.load(), clock=clock)
    writer = LiveWriter(folder, seed=SEED, clock=clock, sleep=sleep)
    watch = Watch(prices.load(), ZONE, figures_every_s=0)
    snapshots: list[Snapshot] = []
    for second in range(WATCHED_S):
        now = NOW + timedelta(seconds=second)
        if second:
            writer.append_one()
        update = coordinator.check_for_updates()
        update.metrics = update.metrics._replace(took_s=TOOK_S[min(second, 1)])
        snapshots.append(watch.take(coordinator.db, update))
    coordinator.close()
    asker = Asker(folder / "store.db", prices.load(), ZONE, folders=[str(folder / "projects")])
    return LiveScreen(Recorded(coordinator, watch, snapshots), asker, label=demo_run.LABEL, memory=memory)


async def draw(folder: Path) -> str:
    app = made(folder)
    async with app.run_test(size=SIZE) as pilot:
        picture = ""
        # The keys in the last line come a moment after all else.
        while not (f"{LAST:%H:%M:%S}" in picture and "Help" in picture):
            await pilot.pause(0.05)
            picture = app.export_screenshot()
    return FONT_FACE.sub("", picture).replace("Fira Code, monospace", FONTS).replace("Fira Code", "monospace")


def main() -> None:
    picture = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    with tempfile.TemporaryDirectory(prefix="tokentail-picture-") as folder:
        drawn = asyncio.run(draw(Path(folder)))
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_text(drawn, encoding="utf-8")
    print(f"wrote {picture} ({len(drawn) / 1000:.0f} kB)", file=sys.stderr)


if __name__ == "__main__":
    main()
