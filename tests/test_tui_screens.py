"""
Every page of the live screen as a whole, against the stored ones in `tests/data/screens`: what stands there, and in which colours.

`TOKENTAIL_KEEP_SCREENS=1` writes them anew; look at the difference before you commit it.
"""

from __future__ import annotations

import os
import random
import sqlite3
from contextlib import closing
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path
from string import ascii_letters
from typing import NamedTuple

import pytest
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from desk import NOON, UTC_ZONE, Desk, reply
from logs import PRICES
from tokentail import database, samples
from tokentail.config import Budget, Config
from tokentail.coordinator import UpdateCoordinator
from tokentail.explain.story import ReplyStory, SumStory
from tokentail.model import Live, Recent, Share
from tokentail.sources import LocalFolders
from tokentail.tui.app import LiveScreen
from tokentail.tui.asker import Asker
from tokentail.tui.follower import Follower, Post
from tokentail.tui.memory import Memory
from tokentail.tui.snapshot import Snapshot, Watch

SCREENS = Path(__file__).parent / "data" / "screens"
SMALL, LARGE = (80, 24), (160, 50)
# The keys that lead there from the page before, and what stands there then.
PAGES = (
    ("live", (), "requests"),
    ("24-hours", ("w", "w", "c"), "dollars per minute · 24 h"),
    ("paused", ("w", "c", "p"), "requests · paused"),
    ("filtered", ("p", "slash", *"harbor"), "with “harbor”"),
    ("projects", ("escape", "2"), "projects · all time · 4"),
    ("sessions", ("3", "s"), "by cost"),
    ("models", ("4",), "models · all time · 4"),
    ("days", ("5", "up"), "Wed 30 Sep 2026"),
    ("limits", ("6",), "limits and budgets"),
    ("engine", ("7",), "looks that found"),
    ("replies", ("3", "enter"), "replies · "),
    ("sum", ("e",), "Session "),
    ("reply", ("escape", "1", "down", "enter"), "Reply m40"),
    ("line", ("o",), "counted"),
    ("help", ("escape", "question_mark"), "1 to 7"),
)
PROJECTS = (("harbor-api", "claude-opus-5"), ("lantern", "claude-haiku-4-5"), ("tidepool", "claude-sonnet-4-5"), ("quill", "claude-zeta-9"))


SETTINGS = Config(budgets=(Budget("a day", "cost", "12"), Budget("opus", "tokens", "5000000", period="month", models=("*opus*",))))
# What Claude Code said: how long before noon, of the limits of five hours and of seven days.
SAID = ((50, 7.0, 60.0), (40, 14.0, 62.0), (30, 22.0, 64.0), (15, 38.0, 68.0), (4, 47.0, 70.0))


def say(db: sqlite3.Connection) -> None:
    """What the status line would have kept by noon."""
    ends = (NOON + timedelta(hours=4), NOON + timedelta(days=2))
    for minutes, five, seven in SAID:
        at_ms = int((NOON - timedelta(minutes=minutes)).timestamp() * 1000)
        readings = [
            samples.Reading(kind, used, int(end.timestamp() * 1000))
            for kind, used, end in zip(("five_hour", "seven_day"), (five, seven), ends, strict=True)
        ]
        samples.keep(db, samples.Heard("0c0ffee-harbor-api", five, tuple(readings)), at_ms)


def logged() -> dict[str, list[bytes]]:
    """Some weeks of four projects, the last one by a model without a price; the same every time."""
    chance = random.Random(5)
    logs: dict[str, list[bytes]] = {}
    for number in range(160):
        project, model = PROJECTS[min(int(chance.expovariate(1.2)), 3)]
        seconds_ago = int(60 + 3000 * number**1.35 * chance.random()) if number > 40 else 40 + 80 * number
        session = f"{chance.randrange(3)}c0ffee-{project}"
        made = reply(
            seconds_ago,
            output=chance.randrange(20, 9000),
            model=model,
            cwd=f"/home/dev/{project}",
            sessionId=session,
            stop_reason="end_turn" if number % 9 else None,
        )
        logs.setdefault(f"-home-dev-{project}/{session}.jsonl", []).append(made)
    return logs


class Recorded(Follower):
    """Shows snapshots that were taken before: how often one looks, and how long that takes, is no part of a picture."""

    def __init__(self, coordinator: UpdateCoordinator, snapshots: list[Snapshot]) -> None:
        super().__init__(coordinator, Watch(PRICES, UTC_ZONE))
        self._snapshots = snapshots

    def start(self, post: Post) -> None:
        for snapshot in self._snapshots:
            post(snapshot)


class Elsewhere(Asker):
    """Names the folder of the logs as a person's own: where the test runs is no part of a picture."""

    def __init__(self, store: Path, logs: Path) -> None:
        super().__init__(store, PRICES, UTC_ZONE, settings=SETTINGS, folders=[str(logs)])
        self._logs = str(logs)

    async def story(self, key: str, *, shows_lines: bool) -> ReplyStory | None:
        told = await super().story(key, shows_lines=shows_lines)
        assert told is not None
        return self._moved(told)

    async def sum_story(self, what: str | date) -> SumStory:
        told = await super().sum_story(what)
        return told._replace(replies=tuple(map(self._moved, told.replies)))

    def _moved(self, told: ReplyStory) -> ReplyStory:
        lines = (each._replace(spot=each.spot._replace(path=each.spot.path.replace(self._logs, "/logs"))) for each in told.lines)
        return told._replace(lines=tuple(lines))


RECENT = Recent(2, Share(6, 6), Share(4096, 9000), Share(20, 40), Share(0.5, 0.4), Share(2.1, 3.2), Share(1.2, 8.7))


def screen(folder: Path, memory: Memory) -> LiveScreen:
    """After a look at the first half of the logs and one at the rest."""
    logs, store = folder / "logs", folder / "store.db"
    coordinator = UpdateCoordinator(LocalFolders([logs]), store, prices=PRICES, clock=NOON.timestamp)
    watch, snapshots, written = Watch(PRICES, UTC_ZONE, figures_every_s=0), [], logged()
    for part in (slice(0, None, 2), slice(1, None, 2)):
        for name, lines in written.items():
            (logs / name).parent.mkdir(parents=True, exist_ok=True)
            with (logs / name).open("ab") as log:
                log.writelines(lines[part])
        update = coordinator.check_for_updates()
        update.metrics = update.metrics._replace(took_s=0.0021)
        update.live = Live(True, 0, "events", 0, RECENT)
        snapshots.append(watch.take(coordinator.db, update))
    with closing(database.open_for_writing(store)) as db:
        say(db)
    coordinator.close()
    return LiveScreen(Recorded(coordinator, snapshots), Elsewhere(store, logs), label="made-up data", memory=memory)


class Picture(NamedTuple):
    body: str  # lines of text, then for each line its runs of styles, each style a letter
    colours: str  # what the letters mean


def pictured(strips: list[Strip]) -> Picture:
    letters: dict[str, str] = {}
    runs = []
    for strip in strips:
        cells = [(segment.cell_length, _style(segment.style)) for segment in strip if segment.text]
        merged = [(sum(width for width, _ in group), name) for name, group in _grouped(cells)]
        runs.append(" ".join(f"{width}{letters.setdefault(name, ascii_letters[len(letters)])}" for width, name in merged))
    meaning = [f"{letter} {name}" for name, letter in letters.items()]
    return Picture("\n".join([*(strip.text.rstrip() for strip in strips), "", *runs, ""]), "\n".join([*meaning, ""]))


def _grouped(cells: list[tuple[int, str]]) -> list[tuple[str, list[tuple[int, str]]]]:
    return [(name, list(group)) for name, group in groupby(cells, key=lambda cell: cell[1])]


def _style(style: Style | None) -> str:
    if style is None:
        return "-"
    colours = [colour.name if colour is not None else "-" for colour in (style.color, style.bgcolor)]
    marks = [name for name in ("bold", "dim", "reverse", "underline") if getattr(style, name)]
    return " ".join([*colours, *marks])


def held(name: str, picture: str) -> str:
    """The stored picture of that name."""
    place = SCREENS / f"{name}.txt"
    if os.environ.get("TOKENTAIL_KEEP_SCREENS"):
        SCREENS.mkdir(exist_ok=True)
        place.write_text(picture, encoding="utf-8")
    return place.read_text(encoding="utf-8") if place.exists() else ""


async def pictures(folder: Path, size: tuple[int, int], memory: Memory) -> list[Picture]:
    """Every page, one after the other."""
    app, found = screen(folder, memory), []
    async with app.run_test(size=size) as pilot:
        at_desk = Desk(app, pilot, folder)
        await at_desk.until(lambda: at_desk.number == 2)
        for _, keys, words in PAGES:
            for key in keys:
                await at_desk.press(key)
                await at_desk.until(lambda: at_desk.is_settled)
            await at_desk.until(lambda: app._allowances is not None)
            await at_desk.until(lambda words=words: words in at_desk.text)  # type: ignore[misc]  # mypy cannot infer a lambda's default
            await pilot.pause(0.1)  # the footer comes a moment after all else
            found.append(pictured(app.screen._compositor.render_strips()))
    app._asker.close()
    return found


@pytest.mark.parametrize("size", [SMALL, pytest.param(LARGE, marks=pytest.mark.slow)], ids=["80x24", "160x50"])
async def test_pages_are_as_stored(tmp_path: Path, size: tuple[int, int]) -> None:
    """Whoever changes a page sees in the difference what it does to each of them, in both sizes and on both grounds."""
    dark = await pictures(tmp_path / "dark", size, Memory("tokentail-dark"))
    light = await pictures(tmp_path / "light", size, Memory("tokentail-light"))
    changed = []
    for (page, _, _), one, other in zip(PAGES, dark, light, strict=True):
        name = f"{page}-{size[0]}x{size[1]}"
        picture = f"{one.body}\ndark\n{one.colours}\nlight\n{other.colours}"
        if held(name, picture) != picture:
            changed.append(f"{name}\n{picture}")
    assert [one.body for one in dark] == [other.body for other in light]
    assert changed == []


def test_a_picture_says_what_stands_where_in_which_colours() -> None:
    """A letter a style, in the order in which they are met; what is next to one another and looks the same is one run."""
    red, plain = Style(color="#ff0000", bold=True), Style(color="#ffffff", bgcolor="#000000")
    strips = [Strip([Segment("ab", plain), Segment("c", plain), Segment("d", red)]), Strip([Segment("x ", red)])]

    assert pictured(strips) == ("abcd\nx\n\n3a 1b\n2b\n", "a #ffffff #000000\nb #ff0000 - bold\n")
