"""
Draw the pictures of the live screen in docs/: on the demo's logs, at a fixed moment, so that the same code gives the same pictures.

Usage: scripts/screenshot.py [FOLDER]
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tokentail import demo, demo_run, prices
from tokentail.coordinator import UpdateCoordinator
from tokentail.demo import said
from tokentail.demo.live import LiveWriter
from tokentail.explain.story import ReplyStory
from tokentail.sources import LocalFolders
from tokentail.tui.app import LiveScreen
from tokentail.tui.asker import Asker
from tokentail.tui.follower import Follower, Post
from tokentail.tui.memory import Memory
from tokentail.tui.snapshot import Snapshot, Watch

DOCS = Path(__file__).resolve().parents[1] / "docs"
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


class Picture(NamedTuple):
    name: str  # of the file
    theme: str
    keys: Sequence[str]  # that lead there
    words: str  # that stand there then


PICTURES = (
    Picture("screen", "tokentail-dark", (), "requests"),
    Picture("screen-limits", "tokentail-light", ("6",), "limits and budgets"),
    Picture("screen-days", "tokentail-dark", ("5",), "less"),
    Picture("screen-reply", "tokentail-light", ("down", "down", "enter"), "Reply"),
)


class Recorded(Follower):
    """Shows snapshots that were taken before."""

    def __init__(self, coordinator: UpdateCoordinator, watch: Watch, snapshots: list[Snapshot]) -> None:
        super().__init__(coordinator, watch)
        self._snapshots = snapshots

    def start(self, post: Post) -> None:
        for snapshot in self._snapshots:
            post(snapshot)


class Elsewhere(Asker):
    """Names the folder of the logs as a person's own: where the picture was made is no part of it."""

    async def story(self, key: str, *, shows_lines: bool) -> ReplyStory | None:
        told = await super().story(key, shows_lines=shows_lines)
        if told is None:
            return None
        places = (each.spot.path.partition("/projects/")[2] for each in told.lines)
        return told._replace(
            lines=tuple(
                each._replace(spot=each.spot._replace(path=f"/home/dev/.claude/projects/{place}"))
                for each, place in zip(told.lines, places, strict=True)
            )
        )


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
    said.say(coordinator.db, prices.load(), int(now.timestamp() * 1000))
    coordinator.close()
    asker = Elsewhere(folder / "store.db", prices.load(), ZONE, settings=said.SETTINGS, folders=[str(folder / "projects")])
    return LiveScreen(Recorded(coordinator, watch, snapshots), asker, label=demo_run.LABEL, memory=memory)


async def draw(folder: Path, picture: Picture) -> str:
    app, drawn = made(folder, memory=AS_NEW._replace(theme=picture.theme)), ""
    async with app.run_test(size=SIZE) as pilot:

        async def until(*words: str) -> None:
            nonlocal drawn
            # The keys in the last line come a moment after all else.
            while not all(word in drawn for word in (*words, "Help")):
                await pilot.pause(0.05)
                drawn = app.export_screenshot().replace("&#160;", " ")

        await until(f"{LAST:%H:%M:%S}", "official")
        for key in picture.keys:
            await pilot.press(key)
        await until(picture.words)
        await pilot.pause(0.2)
        drawn = app.export_screenshot()
    return FONT_FACE.sub("", drawn).replace("Fira Code, monospace", FONTS).replace("Fira Code", "monospace")


def main() -> None:
    docs = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS
    docs.mkdir(parents=True, exist_ok=True)
    for picture in PICTURES:
        with tempfile.TemporaryDirectory(prefix="tokentail-picture-") as folder:
            drawn = asyncio.run(draw(Path(folder), picture))
        place = docs / f"{picture.name}.svg"
        place.write_text(drawn, encoding="utf-8")
        print(f"wrote {place} ({len(drawn) / 1000:.0f} kB)", file=sys.stderr)


if __name__ == "__main__":
    main()
