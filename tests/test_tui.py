"""The live screen, driven by its keys on a screen in memory, with real logs and a real store behind it."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from builders import usage, write_logs
from desk import LOG, UTC_ZONE, WITHIN_S, desk, reply
from logs import damage
from tokentail import prices
from tokentail.coordinator import UpdateCoordinator
from tokentail.reports.text import text_width
from tokentail.sources import LocalFolders
from tokentail.tui import theme
from tokentail.tui.app import LiveScreen
from tokentail.tui.asker import Asker
from tokentail.tui.feed_view import FeedView, columns
from tokentail.tui.follower import Follower
from tokentail.tui.memory import Memory
from tokentail.tui.snapshot import Watch


async def test_screen_shows_what_was_used(tmp_path: Path) -> None:
    """Today, the week, the last hour, the requests and the time of the look are there after the first look."""
    async with desk(tmp_path, reply(60, output=1000), reply(7200), reply(3 * 86_400)) as at_desk:
        assert at_desk.lines[0].rstrip().endswith("● live   UTC 12:00:00")
        [replies] = [line for line in at_desk.lines if "replies " in line]
        assert replies.index("2 replies") < replies.index("3 replies")
        assert "tokens per minute" in at_desk.text
        assert "█" in at_desk.text
        assert [row.split()[0] for row in at_desk.feed] == ["11:59:00", "10:00:00", "28"]


async def test_label_is_a_badge(tmp_path: Path) -> None:
    """Who looks at made-up numbers is told so, in reverse, in the first line; one's own have no badge."""
    async with desk(tmp_path, reply(1), label="DEMO: made-up data") as at_desk:
        assert " DEMO: made-up data " in at_desk.lines[0]
        strip = at_desk.app.screen._compositor.render_strips()[0]
        assert [segment.style.reverse for segment in strip if segment.style and "DEMO" in segment.text] == [True]


async def test_new_reply_comes_on_top(tmp_path: Path) -> None:
    """A reply that is written while one looks comes as the first row, marked as new, and the cards count it."""
    async with desk(tmp_path, reply(60)) as at_desk:
        await at_desk.write(reply(30, output=777, model="claude-sonnet-4-5"))

        assert [row.split()[:4] for row in at_desk.feed] == [["11:59:30", "+", "app", "sonnet"], ["11:59:00", "app", "opus", "5"]]
        assert "777" in at_desk.feed[0]
        assert "2 replies" in at_desk.text


async def test_growing_reply_changes_in_place(tmp_path: Path) -> None:
    """A reply that grows keeps its row: other counts, another mark, and no longer a lower bound."""
    async with desk(tmp_path, reply(60), reply(90, output=3, stop_reason=None), reply(120)) as at_desk:
        assert "≥" in at_desk.feed[1]

        await at_desk.write(reply(90, output=4321))

        assert [row.split()[0] for row in at_desk.feed] == ["11:59:00", "11:58:30", "11:58:00"]
        assert "↑" in at_desk.feed[1]
        assert "4.32k" in at_desk.feed[1]
        assert "≥" not in at_desk.feed[1]


async def test_gone_reply_is_taken_away(tmp_path: Path) -> None:
    """Where one id turns out to serve two requests, the row of what was taken for one reply goes, and two come."""
    async with desk(tmp_path, reply(60), reply(50, output=5, requestId="req_one")) as at_desk:
        assert [row.split()[0] for row in at_desk.feed] == ["11:59:10", "11:59:00"]

        await at_desk.write(reply(50, output=7, requestId="req_two"))

        assert [row.split()[0] for row in at_desk.feed] == ["11:59:10", "11:59:10", "11:59:00"]
        assert "3 replies" in at_desk.text


@pytest.mark.parametrize("key", ["p", "space"])
async def test_pause_holds_the_feed_and_loses_nothing(tmp_path: Path, key: str) -> None:
    """Paused, the rows stand still and the screen says how many wait; resumed, all of them are there."""
    async with desk(tmp_path, reply(60)) as at_desk:
        before = at_desk.feed

        await at_desk.press(key)
        await at_desk.write(reply(50), reply(40, stop_reason=None))
        await at_desk.write(reply(40, output=99), reply(30))
        assert at_desk.feed == before
        assert "paused · 3 waiting" in at_desk.lines[0]
        assert "requests · paused, 3 waiting" in at_desk.text
        assert "4 replies" in at_desk.text

        await at_desk.press(key)
        assert [row.split()[0] for row in at_desk.feed] == ["11:59:30", "11:59:20", "11:59:10", "11:59:00"]
        assert "99" in at_desk.feed[1]
        assert "● live" in at_desk.lines[0]


async def test_long_pause_keeps_every_reply(tmp_path: Path) -> None:
    """More replies came in the pause than the feed usually has rows: one can scroll to each of them."""
    async with desk(tmp_path, reply(600)) as at_desk:
        await at_desk.press("p")
        await at_desk.write(*(reply(number) for number in range(250)))
        await at_desk.press("p")

        await at_desk.press("end")
        await at_desk.until(lambda: at_desk.feed[-1].startswith("11:55:51"))


async def test_who_scrolled_down_keeps_the_same_rows(tmp_path: Path) -> None:
    """New rows come above; what one reads does not move. Home goes back to the newest."""
    async with desk(tmp_path, *(reply(100 + number) for number in range(60))) as at_desk:
        await at_desk.press("pagedown")
        await at_desk.until(lambda: "11:58:20" not in at_desk.feed[0])
        read = at_desk.feed

        await at_desk.write(reply(5), reply(4), reply(3))
        assert at_desk.feed == read

        await at_desk.press("home")
        await at_desk.until(lambda: at_desk.feed[0].startswith("11:59:57"))


async def test_older_requests_come_from_the_store(tmp_path: Path) -> None:
    """Who goes down to the last row sees those before it, page by page, to the first reply of all; Home lets them go again."""
    async with desk(tmp_path, *(reply(number) for number in range(550))) as at_desk:
        assert len(at_desk.app._feed.rows) == 100
        for rows in (300, 500, 550):
            await at_desk.press("end")
            await at_desk.until(lambda rows=rows: len(at_desk.app._feed.rows) == rows)  # type: ignore[misc]  # as above
        await at_desk.press("end")
        assert at_desk.feed[-1].startswith("11:50:51")

        await at_desk.press("home")
        await at_desk.looked()
        assert len(at_desk.app._feed.rows) == 100


async def test_filter_holds_while_one_types(tmp_path: Path) -> None:
    """`/` opens a line; each letter narrows the requests, also those that only the store has; Enter keeps it and Esc ends it."""
    logged = [reply(number, model="claude-haiku-4-5" if number in (17, 470) else "claude-opus-5") for number in range(10, 480)]
    async with desk(tmp_path, *logged) as at_desk:
        await at_desk.press("slash", *"haik")
        await at_desk.until(lambda: [row.split()[0] for row in at_desk.feed if ":" in row] == ["11:59:43", "11:52:10"])
        assert "requests · 2 with “haik”" in at_desk.text

        await at_desk.press("enter")
        await at_desk.write(reply(3, model="claude-haiku-4-5"), reply(2))
        assert [row.split()[0] for row in at_desk.feed] == ["11:59:57", "11:59:43", "11:52:10"]

        await at_desk.press("slash", *"zzz")
        await at_desk.until(lambda: "No reply has that" in at_desk.text)

        await at_desk.press("escape")
        await at_desk.until(lambda: at_desk.feed[0].startswith("11:59:58"))
        assert "with “" not in at_desk.text


async def test_typed_letters_are_no_commands(tmp_path: Path) -> None:
    """While one types a filter, keys that do something elsewhere are letters."""
    async with desk(tmp_path, reply(60)) as at_desk:
        await at_desk.press("slash", *"qpcdw")

        assert at_desk.app.return_code is None
        assert not at_desk.app._feed.paused
        assert "with “qpcdw”" in at_desk.text


async def test_chart_window_widens_into_the_past(tmp_path: Path) -> None:
    """`w`, or a click on the chart, shows 1, 6 and 24 hours; what was before the screen started is there."""
    async with desk(tmp_path, reply(60), reply(4 * 3600), reply(20 * 3600)) as at_desk:
        drawn = []
        for hours in (1, 6, 24):
            assert f"tokens per minute · {hours} h" in at_desk.text
            drawn.append(sum(char in "▁▂▃▄▅▆▇█" for line in at_desk.lines[7:12] for char in line))
            await at_desk.press("w")
        assert drawn[0] < drawn[1]
        assert "tokens per minute · 1 h" in at_desk.text

        await at_desk.pilot.click("#chart")
        assert "tokens per minute · 6 h" in at_desk.text


async def test_window_card_says_where_it_leads(tmp_path: Path) -> None:
    """The five-hour window shows its cost, its pace, what is left of it and its forecast; without usage it says so."""
    async with desk(tmp_path, reply(3600, output=50_000), size=(120, 30)) as at_desk:
        card = "\n".join(line[40:80] for line in at_desk.lines[2:6])
        assert "4h 0m left" in card
        assert "/min" in card
        assert "at 16:00" in card

        await at_desk.pilot.resize_terminal(80, 24)
        await at_desk.until(lambda: "→ $" in at_desk.text and "at 16:00" not in at_desk.text)


async def test_window_card_without_usage(tmp_path: Path) -> None:
    """Six hours after the last reply no window is open."""
    async with desk(tmp_path, reply(6 * 3600)) as at_desk:
        assert "no window is open" in at_desk.text


async def test_chosen_row_is_marked_and_stays(tmp_path: Path) -> None:
    """The arrows choose a row; it stays chosen when new ones come above it, and Esc lets it go."""
    async with desk(tmp_path, reply(60), reply(70), reply(80)) as at_desk:
        view = at_desk.app.query_one(FeedView)
        await at_desk.press("down", "down")
        assert view.chosen is not None
        assert view.chosen.key == "m70"

        await at_desk.write(reply(5))
        assert view.chosen.key == "m70"
        await at_desk.press("up", "k")
        assert view.chosen.key == "m5"
        await at_desk.press("j")
        assert view.chosen.key == "m60"
        await at_desk.press("escape")
        assert view.chosen is None


async def test_click_chooses_a_row(tmp_path: Path) -> None:
    """The mouse does what the arrows do."""
    async with desk(tmp_path, reply(60), reply(70), reply(80)) as at_desk:
        await at_desk.pilot.click(FeedView, offset=(5, 2))

        chosen = at_desk.app.query_one(FeedView).chosen
        assert chosen is not None
        assert chosen.key == "m70"


async def test_subagents_and_sessions_are_shown(tmp_path: Path) -> None:
    """A reply of a subagent has a mark; a wide screen names the session and the subagent."""
    subagent = reply(50, isSidechain=True, agentId="a17c0ffee99", sessionId="5eaf00d-1234")
    async with desk(tmp_path, reply(60), size=(160, 50)) as at_desk:
        await at_desk.write(subagent, name="-home-dev-app/5eaf00d-1234/subagents/agent-a17c0ffee99.jsonl")

        assert "+↳ app" in at_desk.feed[0]
        assert "5eaf00d-" in at_desk.feed[0]
        assert "a17c0ffe" in at_desk.feed[0]


async def test_reply_that_is_not_final_is_marked(tmp_path: Path) -> None:
    """Its output is a lower bound, and so is its cost; other replies have no mark."""
    async with desk(tmp_path, reply(60), reply(70, output=7, stop_reason=None)) as at_desk:
        assert "≥ 7 " in at_desk.feed[1]
        assert "≥" not in at_desk.feed[0]


async def test_contrast_changes(tmp_path: Path) -> None:
    """`h` gives more contrast on the same ground, and less again; what is chosen is kept to be remembered."""
    async with desk(tmp_path, reply(60)) as at_desk:
        await at_desk.press("h")
        assert at_desk.app.theme == "tokentail-contrast-dark"
        await at_desk.press("d")
        assert at_desk.app.theme == "tokentail-contrast-light"
        assert at_desk.app.memory.theme == "tokentail-contrast-light"
        await at_desk.press("h")
        assert at_desk.app.theme == "tokentail-light"


async def test_chart_shows_tokens_or_dollars(tmp_path: Path) -> None:
    """`c` changes between the two, and back."""
    async with desk(tmp_path, reply(60)) as at_desk:
        await at_desk.press("c")
        assert "dollars per minute" in at_desk.text
        assert "$0.0" in at_desk.text

        await at_desk.press("c")
        assert "tokens per minute" in at_desk.text


async def test_help_opens_and_closes(tmp_path: Path) -> None:
    """`?` explains keys and signs, also on a small terminal; the numbers go on behind it."""
    async with desk(tmp_path, reply(60)) as at_desk:
        await at_desk.press("question_mark")
        assert "nothing is lost" in at_desk.text
        await at_desk.press("end")
        await at_desk.until(lambda: "a lower bound" in at_desk.text)
        with (at_desk.logs / LOG).open("ab") as log:
            log.write(reply(30))
        await at_desk.until(lambda: at_desk.number >= 2)

        await at_desk.press("escape")
        assert "a lower bound" not in at_desk.text
        assert "2 replies" in at_desk.text


async def test_theme_changes(tmp_path: Path) -> None:
    """`d` changes between dark and light; it begins with what suits the terminal."""
    async with desk(tmp_path, reply(60), memory=Memory(theme.LIGHT.name)) as at_desk:
        assert at_desk.app.theme == "tokentail-light"

        await at_desk.press("d")
        assert at_desk.app.theme == "tokentail-dark"


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
async def test_leaving(tmp_path: Path, key: str) -> None:
    """`q` and Ctrl-C leave, with exit code 0."""
    async with desk(tmp_path, reply(60)) as at_desk:
        await at_desk.press(key)
        await at_desk.until(lambda: at_desk.app.return_code is not None)
        assert at_desk.app.return_code == 0


async def test_names_are_shown_as_they_are(tmp_path: Path) -> None:
    """Names come from logs: nothing in them is markup, and nothing reaches the terminal that it would act on."""
    hostile: dict[str, Any] = {"cwd": "/home/dev/[red]x\x1b[2J\u202e[b]", "model": "[link=x]\x1b]0;owned\x07"}
    async with desk(tmp_path, reply(60, **hostile), size=(160, 50), label="[b]label\x1b[0m") as at_desk:
        assert "[red]x\ufffd[2J\ufffd[b]" in at_desk.feed[0]
        assert "[link=x]\ufffd" in at_desk.text
        assert " [b]label\ufffd[0m " in at_desk.lines[0]
        assert all(line.isprintable() for line in at_desk.lines)


@pytest.mark.parametrize(
    ("size", "shown", "hidden"),
    [
        ((80, 24), ("today", "5 hours", "7 days", "tokens per minute", "requests"), ("models today", "engine")),
        ((80, 44), ("today", "requests", "models today", "engine"), ()),
        ((120, 30), ("today", "requests", "models today", "engine"), ()),
        ((160, 50), ("today", "cache write", "cache read", "models today", "engine"), ()),
        ((40, 12), ("today", "requests", "11:59"), ("tokens per minute", "models today", "engine")),
    ],
)
async def test_layout_suits_the_terminal(tmp_path: Path, size: tuple[int, int], shown: tuple[str, ...], hidden: tuple[str, ...]) -> None:
    """What matters most is on every terminal; the rest comes with room. Every line is as wide as the terminal."""
    async with desk(tmp_path, *(reply(60 * number) for number in range(60)), size=size) as at_desk:
        assert [title for title in shown if title not in at_desk.text] == []
        assert [title for title in hidden if title in at_desk.text] == []
        assert {text_width(line) for line in at_desk.lines} == {size[0]}
        assert len(at_desk.lines) == size[1]


async def test_screen_follows_the_size_of_the_terminal(tmp_path: Path) -> None:
    """A terminal that grows shows what there was no room for, and a smaller one hides it again."""
    async with desk(tmp_path, reply(60)) as at_desk:
        await at_desk.pilot.resize_terminal(160, 50)
        await at_desk.until(lambda: "files checked" in at_desk.text and "100 %" in at_desk.text)

        await at_desk.pilot.resize_terminal(80, 24)
        await at_desk.until(lambda: "files checked" not in at_desk.text)


@pytest.mark.parametrize("width", range(30, 240, 7))
def test_columns_fill_the_width(width: int) -> None:
    """The feed's columns have exactly the room there is, so that none of them jumps."""
    found = columns(width)

    assert sum(column.width + column.gap for column in found) == width
    assert next(column.width for column in found if column.title == "project") >= 6


async def test_screen_without_colour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With NO_COLOR set there is no colour, nor a shade of grey; bars have no gaps where their colours would meet."""
    monkeypatch.setenv("NO_COLOR", "1")
    mixed = usage(3000, input_tokens=2500, cache_read_input_tokens=2800)
    async with desk(tmp_path, reply(60, usage=mixed), size=(160, 50), label="DEMO") as at_desk:
        app = at_desk.app
        shown = [
            strip.apply_filter(each, app.screen.background_colors[1])
            for strip in app.screen._compositor.render_strips()
            for each in app.get_line_filters()
        ]
        colours = {
            colour for strip in shown for segment in strip if segment.style for colour in (segment.style.color, segment.style.bgcolor)
        }
        assert {colour.name for colour in colours if colour} == {"default"}
        chart = app.query_one("#chart").content_region
        drawn = [line[chart.x + 8 : chart.right] for line in at_desk.lines[chart.y : chart.bottom - 1]]
        bar = "".join(line[58] for line in drawn).strip()
        assert len(bar) > 8
        assert set(bar[1:]) == {"█"}


async def test_screen_without_replies(tmp_path: Path) -> None:
    """Where nothing was used yet, the screen says so and what will happen; the first reply appears by itself."""
    async with desk(tmp_path, size=(160, 50)) as at_desk:
        assert "No replies yet." in at_desk.text
        assert "no replies in the last hour" in at_desk.text
        assert "no model has answered today" in at_desk.text

        await at_desk.write(reply(5))
        assert at_desk.feed[0].startswith("11:59:55")


async def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    """An unreadable place is named on every size of screen, never silent."""
    async with desk(tmp_path, reply(60)) as at_desk:
        (at_desk.logs / "broken.jsonl").symlink_to("broken.jsonl")
        await at_desk.looked()
        assert "! cannot read" in at_desk.text
        assert "broken.jsonl" in at_desk.text


async def test_error_of_the_engine_ends_the_screen(tmp_path: Path) -> None:
    """When the store cannot be opened, the screen goes with exit code 1 and keeps the error to be told."""
    (tmp_path / "store.db").mkdir()
    logs = write_logs(tmp_path / "logs", {LOG: reply(1)})
    coordinator = UpdateCoordinator(LocalFolders([logs]), tmp_path / "store.db", prices=prices.load())
    follower = Follower(coordinator, Watch(prices.load(), UTC_ZONE))
    asker = Asker(tmp_path / "store.db", prices.load(), UTC_ZONE)
    app = LiveScreen(follower, asker, label="", memory=Memory())
    async with app.run_test() as pilot:
        end = time.monotonic() + WITHIN_S
        while app.return_code is None and time.monotonic() < end:
            await pilot.pause(0.01)
    follower.stop()

    assert app.return_code == 1
    assert "cannot" in str(follower.error)


async def test_a_store_that_cannot_be_written_does_not_end_the_screen(tmp_path: Path) -> None:
    """It is named, what is there stays, and what was written meanwhile is shown when it is over."""
    async with desk(tmp_path, reply(60)) as at_desk:
        lock = tmp_path / "store.db.lock"
        lock.unlink()
        lock.mkdir()
        with (at_desk.logs / LOG).open("ab") as log:
            log.write(reply(30))
        await at_desk.until(lambda: "cannot write the store" in at_desk.text)
        assert "1 reply" in at_desk.text
        lock.rmdir()
        await at_desk.until(lambda: "2 replies" in at_desk.text)


async def test_a_damaged_store_does_not_end_the_screen(tmp_path: Path) -> None:
    """Damage that only the screen's questions meet is said, the store replaced, and nothing is missing."""
    async with desk(tmp_path, reply(60)) as at_desk:
        damage(tmp_path / "store.db", "names")
        with (at_desk.logs / LOG).open("ab") as log:  # looks are counted anew with the new store, so none is waited for
            log.write(reply(30))
        await at_desk.until(lambda: "was damaged" in at_desk.text)
        await at_desk.until(lambda: "2 replies" in at_desk.text)


async def test_letters_go_where_the_keys_beside_them_go(tmp_path: Path) -> None:
    """`g` and `G` as Home and End, Page Up as far as Page Down came."""
    async with desk(tmp_path, *(reply(60 + number) for number in range(40))) as at_desk:
        table, found = at_desk.app._feed_view, {}
        for key in ("down", "end", "G", "home", "g", "pagedown", "pageup"):
            await at_desk.press(key)
            found[key] = table.chosen.key if table.chosen else ""
        assert (found["down"], found["end"], found["home"]) == ("m60", "m99", "")
        assert (found["G"], found["g"]) == (found["end"], found["home"])
        assert found["pagedown"] not in ("", "m60", "m99")
        assert found["pageup"] in ("", "m60")


async def test_backspace_goes_back_too(tmp_path: Path) -> None:
    """As Esc does, from whatever was opened."""
    async with desk(tmp_path, reply(60)) as at_desk:
        await at_desk.press("down", "enter")
        await at_desk.until(lambda: "Reply m60" in at_desk.text)
        await at_desk.press("backspace")
        await at_desk.until(lambda: "requests" in at_desk.text)


def test_every_key_is_pressed_by_a_test_and_told_in_the_documents() -> None:
    """A key that is added without a test, or of which nobody is told, is found here."""
    here = Path(__file__).parent
    source = "".join(path.read_text() for path in sorted((here.parent / "src" / "tokentail" / "tui").glob("*.py")))
    tests = "".join(path.read_text() for path in sorted(here.glob("test_tui*.py"))) + (here / "desk.py").read_text()
    told = (here.parent / "docs" / "screen.md").read_text()
    keys = {key for found in re.findall(r'Binding\(\s*"([^"]+)"', source) for key in found.split(",")}
    assert len(keys) > 30
    assert {key for key in keys if f'"{key}"' not in tests} == set()
    names = {"up": "↑", "down": "↓", "left": "←", "right": "→", "question_mark": "?", "slash": "/", "pageup": "PgUp", "pagedown": "PgDn"}
    names |= {"shift+tab": "Shift+Tab", "ctrl+c": "Ctrl+C"}
    assert {key for key in keys if f"`{names.get(key, key)}`".casefold() not in told.casefold()} - {"escape"} == set()
    assert "`Esc`" in told
