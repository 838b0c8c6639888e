"""
A screen that is open for hours by a fast clock, and a person who uses it.

`python tests/lived.py HOURS` prints its memory after each of them.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from desk import AS_NEW, NOON, UTC_ZONE, Desk, reply
from logs import PRICES
from tokentail.coordinator import UpdateCoordinator
from tokentail.sources import LocalFolders
from tokentail.tui.app import LiveScreen
from tokentail.tui.asker import Asker
from tokentail.tui.follower import Follower, Post
from tokentail.tui.snapshot import Watch

REPLIES_A_MINUTE = 6
PAGES = ("2", "3", "4", "5", "6", "7", "1")


class Still(Follower):
    """Posts nothing by itself."""

    def start(self, post: Post) -> None:
        self._post = post


class Life:
    """A clock that is moved, logs that are written, and the screen."""

    def __init__(self, folder: Path, coordinator: UpdateCoordinator, watch: Watch, desk: Desk, now: list[float]) -> None:
        self.folder, self.watch, self.desk = folder, watch, desk
        self.minutes = self.replies = 0
        self._coordinator, self._now = coordinator, now

    @property
    def app(self) -> LiveScreen:
        return self.desk.app

    async def minute(self) -> None:
        """Goes by: a new session each 20 of them, a new project each three hours."""
        session, project = f"s{self.minutes // 20}", f"p{self.minutes // 180}"
        log = self.folder / "logs" / f"-home-dev-{project}" / f"{session}.jsonl"
        log.parent.mkdir(parents=True, exist_ok=True)
        for number in range(REPLIES_A_MINUTE):
            ago = -60 * self.minutes - number * 60 // REPLIES_A_MINUTE
            self.replies += 1
            with log.open("ab") as file:
                file.write(reply(ago, cwd=f"/home/dev/{project}", sessionId=session, uuid=f"u{self.replies}"))
            self._now[0] = NOON.timestamp() - ago
            self._look()
        self.minutes += 1
        await self.desk.pilot.pause()

    async def use(self) -> None:
        """Each page, down to a reply, a filter, a pause, another size."""
        for key in PAGES:
            await self.desk.press(key)
            await self.desk.until(lambda: self.desk.is_settled)
        await self.desk.press("down", "enter")
        await self.desk.until(lambda: "Reply m" in self.desk.text)
        await self.desk.press("escape", "home", "slash", *"p1", "enter", "escape", "p", "p", "end", "home")
        await self.desk.until(lambda: self.desk.is_settled)
        for size in ((80, 24), (160, 50)):
            await self.desk.pilot.resize_terminal(*size)

    def _look(self) -> None:
        update = self._coordinator.check_for_updates()
        self.app._hear(self.watch.take(self._coordinator.db, update))


@asynccontextmanager
async def life(folder: Path) -> AsyncIterator[Life]:
    """From noon on."""
    now = [NOON.timestamp()]
    (folder / "logs").mkdir()
    source = LocalFolders([folder / "logs"])
    with closing(UpdateCoordinator(source, folder / "store.db", prices=PRICES, clock=lambda: now[0])) as coordinator:
        watch = Watch(PRICES, UTC_ZONE, figures_every_s=0)
        asker = Asker(folder / "store.db", PRICES, UTC_ZONE, folders=[str(folder / "logs")])
        app = LiveScreen(Still(coordinator, watch), asker, label="", memory=AS_NEW)
        try:
            async with app.run_test(size=(160, 50)) as pilot:
                yield Life(folder, coordinator, watch, Desk(app, pilot, folder / "logs"), now)
        finally:
            asker.close()


async def lived_through(folder: Path, hours: int) -> list[tuple[float, int]]:
    """Memory in MB, and how many objects there are, after each hour; all is used once in it."""
    found = []
    async with life(folder) as lived:
        for minute in range(60 * hours):
            await lived.minute()
            if minute % 60 == 59:
                await lived.use()
                gc.collect()
                found.append((memory_mb(), len(gc.get_objects())))
    return found


def memory_mb() -> float:
    """Of this process, that is in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="tokentail-day-") as place:
        print(json.dumps(asyncio.run(lived_through(Path(place), int(sys.argv[1])))))
