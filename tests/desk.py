"""A person before the live screen, on real logs and a real store: what the screen's tests share."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from textual.pilot import Pilot

from builders import line, write_logs
from tokentail import prices
from tokentail.config import Config
from tokentail.coordinator import UpdateCoordinator
from tokentail.sources import LocalFolders
from tokentail.tui.app import LiveScreen
from tokentail.tui.asker import Asker
from tokentail.tui.feed_view import FeedView
from tokentail.tui.follower import Follower
from tokentail.tui.memory import Memory
from tokentail.tui.snapshot import Watch

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
UTC_ZONE = ZoneInfo("UTC")
WITHIN_S = 20.0
LOG = "-home-dev-app/s1.jsonl"
AS_NEW = Memory()
DEFAULTS = Config()


class Desk:
    """A person before the screen, and the logs that it shows."""

    def __init__(self, app: LiveScreen, pilot: Pilot[None], logs: Path) -> None:
        self.app, self.pilot, self.logs = app, pilot, logs

    @property
    def lines(self) -> list[str]:
        """What stands on the screen."""
        return [strip.text for strip in self.app.screen._compositor.render_strips()]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def feed(self) -> list[str]:
        """The words of each row of the feed that is seen."""
        region = self.app.screen_stack[0].query_one(FeedView).region
        return [row for line in self.lines[region.y + 1 : region.bottom] if (row := line[region.x : region.right - 1].strip())]

    @property
    def is_settled(self) -> bool:
        """Has the store answered whatever the screen has asked?"""
        return not list(self.app.workers) and "Asking the store" not in self.text

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something is so; the screen is shown when it never is."""
        end = time.monotonic() + WITHIN_S
        while not holds():
            assert time.monotonic() < end, self.text
            await self.pilot.pause(0.01)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def looked(self) -> None:
        """Look now, and wait for what the screen makes of it."""
        # A look may be under way that began before what we wait for; the one that the first key asks for begins after it.
        for _ in range(2):
            number = self.number
            await self.press("r")
            await self.until(lambda number=number: self.number > number)  # type: ignore[misc]  # mypy cannot infer a lambda's default
        await self.pilot.pause()

    @property
    def number(self) -> int:
        return self.app._snapshot.look.number if self.app._snapshot else 0

    async def write(self, *lines: bytes, name: str = LOG) -> None:
        (self.logs / name).parent.mkdir(parents=True, exist_ok=True)
        with (self.logs / name).open("ab") as log:
            log.writelines(lines)
        await self.looked()


def at(seconds_ago: float) -> str:
    return (NOON - timedelta(seconds=seconds_ago)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def reply(number: int, *, output: int = 10, **fields: Any) -> bytes:
    """The reply that began so many seconds before noon."""
    return line(f"m{number}", output=output, **{"timestamp": at(number), **fields})


@asynccontextmanager
async def desk(
    folder: Path,
    *lines: bytes,
    size: tuple[int, int] = (80, 24),
    label: str = "",
    memory: Memory = AS_NEW,
    settings: Config = DEFAULTS,
) -> AsyncIterator[Desk]:
    """The screen on a log of those lines, after the first look."""
    logs = write_logs(folder / "logs", {LOG: b"".join(lines)})
    coordinator = UpdateCoordinator(LocalFolders([logs]), folder / "store.db", prices=prices.load(), clock=NOON.timestamp)
    follower = Follower(coordinator, Watch(prices.load(), UTC_ZONE, figures_every_s=0))
    asker = Asker(folder / "store.db", prices.load(), UTC_ZONE, settings=settings, folders=[str(logs)])
    app = LiveScreen(follower, asker, label=label, memory=memory)
    try:
        async with app.run_test(size=size) as pilot:
            made = Desk(app, pilot, logs)
            await made.until(lambda: made.number > 0)
            await pilot.pause()
            yield made
    finally:
        follower.stop()
        asker.close()
        coordinator.close()
    assert follower.error is None
