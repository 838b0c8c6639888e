"""The tabs, and the way from a list down to a reply and its line in the log; driven by keys and mouse."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from builders import MODEL, coordinator, record, usage
from desk import LOG, NOON, Desk, desk, reply
from tokentail.model import Owner
from tokentail.tui.days import Calendar, levels
from tokentail.tui.memory import Memory
from tokentail.tui.reader import Reader

WEB, API = "-home-dev-web/s2.jsonl", "-home-dev-api/s3.jsonl"
WIDE = (160, 50)


@asynccontextmanager
async def office(folder: Path, *, size: tuple[int, int] = (100, 30), memory: Memory | None = None) -> AsyncIterator[Desk]:
    """A screen on three projects: app was used last, web most, api by the dearest model and two days ago."""
    async with desk(folder, reply(60, output=20), reply(90, output=20), size=size, memory=memory or Memory()) as at_desk:
        web: dict[str, Any] = {"cwd": "/home/dev/web", "sessionId": "s2", "model": "claude-haiku-4-5"}
        api: dict[str, Any] = {"cwd": "/home/dev/api", "sessionId": "s3", "model": "claude-opus-4-1"}
        await at_desk.write(reply(7200, output=4000, **web), reply(7100, output=500_000, **web), reply(7000, **web), name=WEB)
        await at_desk.write(reply(2 * 86_400, output=90_000, **api), name=API)
        yield at_desk


def column(at_desk: Desk, words: str) -> list[str]:
    """The first of some words in each line of the screen that has one, from above."""
    found = [next((each for each in line.split() if each in words.split()), "") for line in at_desk.lines[2:]]
    return [each for each in found if each]


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("2", "projects · all time · 3 · by cost"),
        ("3", "sessions · all time · 3 · by newest"),
        ("4", "models · all time · 3 · by cost"),
        ("5", "days · dollars a day"),
        ("6", "limits and budgets"),
        ("7", "looks that found something"),
        ("1", "requests"),
    ],
)
async def test_digit_opens_a_tab(tmp_path: Path, key: str, words: str) -> None:
    """Each tab has its digit, and a place in the line of tabs where the mouse opens it."""
    async with office(tmp_path) as at_desk:
        await at_desk.press(key)
        await at_desk.until(lambda: words in at_desk.text)

        await at_desk.press("4" if key != "4" else "1")
        await at_desk.until(lambda: words not in at_desk.text)
        title = at_desk.lines[1].index(f" {key} ")
        await at_desk.pilot.click("#tabs", offset=(title + 2, 0))
        await at_desk.until(lambda: words in at_desk.text)


async def test_tab_goes_round(tmp_path: Path) -> None:
    """Tab goes to the next one and Shift+Tab back, round the ends."""
    async with office(tmp_path) as at_desk:
        for name in ("projects", "sessions", "models", "days", "limits", "looks", "live", "projects"):
            await at_desk.press("tab")
            assert at_desk.app._open == name
        await at_desk.press("shift+tab", "shift+tab")
        assert at_desk.app._open == "looks"


async def test_list_is_ordered(tmp_path: Path) -> None:
    """`s` goes through the orders, a click on a title takes its own; the first row is chosen then, and the order is remembered."""
    async with office(tmp_path) as at_desk:
        await at_desk.press("2")
        await at_desk.until(lambda: column(at_desk, "app web api") == ["api", "web", "app"])
        for order, rows in (("tokens", "web api app"), ("replies", "web app api"), ("newest", "app web api"), ("name", "api app web")):
            await at_desk.press("s")
            assert f"by {order}" in at_desk.text
            assert column(at_desk, "app web api") == rows.split()
        assert at_desk.app.memory.orders == (("projects", "name"),)

        titles = next(line for line in at_desk.lines if "tokens" in line and "cost" in line)
        await at_desk.pilot.click("#projects-table", offset=(titles.index("tokens") - 1, 0))
        assert column(at_desk, "app web api") == ["web", "api", "app"]


async def test_remembered_order_holds_again(tmp_path: Path) -> None:
    """A list begins with the order that a person chose the last time; one that is not known any more is the usual one."""
    async with office(tmp_path, memory=Memory(orders=(("models", "luck"), ("projects", "newest")))) as at_desk:
        await at_desk.press("2")
        await at_desk.until(lambda: column(at_desk, "app web api") == ["app", "web", "api"])
        await at_desk.press("4")
        await at_desk.until(lambda: "by cost" in at_desk.text)


async def test_list_is_of_some_time(tmp_path: Path) -> None:
    """`t` narrows a list to 30 days, 7 days and today, and back to all time."""
    async with office(tmp_path) as at_desk:
        await at_desk.press("2")
        await at_desk.until(lambda: "all time · 3" in at_desk.text)
        for words in ("30 days · 3", "7 days · 3", "today · 2", "all time · 3"):
            await at_desk.press("t")
            await at_desk.until(lambda words=words: words in at_desk.text)  # type: ignore[misc]  # mypy cannot infer a lambda's default


async def test_list_is_filtered(tmp_path: Path) -> None:
    """What is typed holds at once; where nothing has it, that is said."""
    async with office(tmp_path) as at_desk:
        await at_desk.press("2")
        await at_desk.until(lambda: "all time · 3" in at_desk.text)
        await at_desk.press("slash", "A", "p")
        assert "2 of 3" in at_desk.text
        assert sorted(column(at_desk, "app web api")) == ["api", "app"]
        await at_desk.press("z")
        assert "No project has that in its name." in at_desk.text
        await at_desk.press("escape")
        assert len(column(at_desk, "app web api")) == 3


async def test_list_follows_what_is_counted(tmp_path: Path) -> None:
    """A list that is open shows a new reply without a key."""
    async with office(tmp_path) as at_desk:
        await at_desk.press("2", "s")
        await at_desk.until(lambda: "by tokens" in at_desk.text and column(at_desk, "app web api") == ["web", "api", "app"])
        at_desk.app._page._due = 0.0  # type: ignore[attr-defined]  # of the list: its next question would wait until the last answer is older

        await at_desk.write(reply(5, output=9_000_000))

        await at_desk.until(lambda: column(at_desk, "app web api") == ["app", "web", "api"])


async def test_from_a_project_to_the_line_of_a_reply(tmp_path: Path) -> None:
    """Enter leads from a project to its sessions, a session's replies, a reply's explanation and its line; Esc leads back."""
    async with office(tmp_path) as at_desk:
        await at_desk.press("2")
        await at_desk.until(lambda: column(at_desk, "app web api") == ["api", "web", "app"])
        await at_desk.press("down", "enter")
        await at_desk.until(lambda: "sessions · all time · 1" in at_desk.text)
        assert at_desk.lines[0].strip() == "projects › web"
        await at_desk.press("enter")
        await at_desk.until(lambda: "replies · 3" in at_desk.text)
        assert at_desk.lines[0].strip() == "projects › web › session s2"
        await at_desk.press("down", "enter")
        await at_desk.until(lambda: "Reply m7100" in at_desk.text)
        assert "Price" in at_desk.text
        assert "output 500,000" in at_desk.text
        await at_desk.press("o")
        await at_desk.until(lambda: "line 1 of 1 · counted" in at_desk.text)
        assert '"id": "m7100"' in at_desk.text

        for words in ("replies · 3", "sessions · all time · 1", "projects · all time · 3"):
            await at_desk.press("escape")
            await at_desk.until(lambda words=words: words in at_desk.text)  # type: ignore[misc]  # as above


async def test_from_a_model_to_its_sessions(tmp_path: Path) -> None:
    """Only the sessions that used it are listed, with what it did in them."""
    async with office(tmp_path) as at_desk:
        await at_desk.press("4")
        await at_desk.until(lambda: "models · all time · 3" in at_desk.text)
        await at_desk.press("enter")
        await at_desk.until(lambda: "sessions · all time · 1" in at_desk.text)
        assert column(at_desk, "app web api") == ["api"]


async def test_machines_have_tabs_once_they_send(tmp_path: Path) -> None:
    """The tabs of hosts and users come with the first reply of another machine; both lead down to a reply whose log is there."""
    async with office(tmp_path) as at_desk:
        assert "8 Hosts" not in at_desk.lines[1]
        await at_desk.press("8")
        assert "requests" in at_desk.text
        owner = Owner(False, False, "s9", "-srv-app", "", "anna\x1b[31m", "ci-1")
        with closing(coordinator(at_desk.logs, tmp_path / "store.db")) as other:
            other.change_store(lambda store: store.take([record("m_sent", at_ms=round(NOON.timestamp() * 1000) - 30_000, owner=owner)]))
        await at_desk.until(lambda: "8 Hosts  9 Users" in at_desk.lines[1])
        await at_desk.press("8")
        await at_desk.until(lambda: "hosts · all time · 2 · by cost" in at_desk.text)
        assert column(at_desk, "ci-1 (this") == ["(this", "ci-1"]
        await at_desk.press("9")
        await at_desk.until(lambda: "users · all time · 2 · by cost" in at_desk.text)
        await at_desk.press("down", "enter")
        await at_desk.until(lambda: "sessions · all time · 1" in at_desk.text)
        await at_desk.press("enter")
        await at_desk.until(lambda: "replies · 1" in at_desk.text)
        await at_desk.press("enter")
        await at_desk.until(lambda: "it came from the machine ci-1 of anna" in at_desk.text)
        await at_desk.press("o", "right")
        await at_desk.until(lambda: "another machine sent it" in at_desk.text)
        assert "\x1b" not in at_desk.text


async def test_sum_of_a_session_and_of_a_day_is_explained(tmp_path: Path) -> None:
    """`e` takes a session's or a day's sum apart; the text can be searched, and Esc leads back."""
    async with office(tmp_path) as at_desk:
        await at_desk.press("2")
        await at_desk.until(lambda: column(at_desk, "app web api") == ["api", "web", "app"])
        await at_desk.press("down", "enter")
        await at_desk.until(lambda: "sessions · all time · 1" in at_desk.text)
        await at_desk.press("enter")
        await at_desk.until(lambda: "replies · 3" in at_desk.text)
        await at_desk.press("e")
        await at_desk.until(lambda: "Session s2" in at_desk.text)
        assert at_desk.lines[0].strip() == "projects › web › session s2 › explained"
        await at_desk.press("slash", *"Total", "enter")
        await at_desk.until(lambda: "1 of 1 · n N" in at_desk.text)
        await at_desk.press("escape", "escape")
        await at_desk.until(lambda: "replies · 3" in at_desk.text)

        await at_desk.press("5")
        await at_desk.until(lambda: "Thu 01 Oct 2026" in at_desk.text)
        await at_desk.press("up", "e")
        assert "nothing was used on this day" in at_desk.text
        await at_desk.press("down", "e")
        await at_desk.until(lambda: "Day 2026-10-01" in at_desk.text)
        assert at_desk.lines[0].strip() == "days › Thu 01 Oct 2026 › explained"


async def test_tab_leaves_the_depths(tmp_path: Path) -> None:
    """Another tab is one key away, however deep one is."""
    async with office(tmp_path) as at_desk:
        await at_desk.press("2")
        await at_desk.until(lambda: "all time · 3" in at_desk.text)
        await at_desk.press("enter")
        await at_desk.until(lambda: "sessions · all time · 1" in at_desk.text)

        await at_desk.press("5")

        await at_desk.until(lambda: "days · dollars" in at_desk.text)
        assert len(at_desk.app.screen_stack) == 1


async def test_calendar_leads_to_the_sessions_of_a_day(tmp_path: Path) -> None:
    """The arrows go by days and weeks, the chosen day says what it was spent on, Enter lists its sessions."""
    async with office(tmp_path) as at_desk:
        await at_desk.press("5")
        await at_desk.until(lambda: "Thu 01 Oct 2026" in at_desk.text)
        assert "haiku 4.5" in at_desk.text
        await at_desk.press("up")
        assert "nothing was used on this day" in at_desk.text
        await at_desk.press("k")
        assert "Tue 29 Sep 2026" in at_desk.text
        assert "opus 4.1" in at_desk.text

        await at_desk.press("enter")
        await at_desk.until(lambda: "sessions · 1 · by newest" in at_desk.text)
        assert at_desk.lines[0].strip() == "days › Tue 29 Sep 2026"
        assert column(at_desk, "app web api") == ["api"]


async def test_calendar_moves_within_its_days(tmp_path: Path) -> None:
    """Left and right are weeks, Home is the first day that was used, End is today; there is no tomorrow."""
    async with office(tmp_path) as at_desk:
        await at_desk.press("5")
        await at_desk.until(lambda: "Thu 01 Oct 2026" in at_desk.text)
        calendar = at_desk.app.screen.query_one(Calendar)
        for key, day in (("left", 24), ("j", 25), ("right", 1), ("down", 1), ("home", 29), ("end", 1)):
            await at_desk.press(key)
            assert calendar.day.day == day, key

        await at_desk.press("home")
        await at_desk.pilot.click(Calendar, offset=(calendar.size.width, 0))
        week = (date(2026, 9, 28) - calendar._first()).days // 7
        await at_desk.pilot.click(Calendar, offset=(5 + 2 * week, 3))
        assert calendar.day == date(2026, 9, 30)


def test_levels_of_the_calendar() -> None:
    """Nothing is level 0; of the others each level has about as many days, whatever the greatest one was."""
    days = {date(2026, 10, number): float(number * number) for number in range(1, 9)}

    found = levels({**days, date(2026, 10, 9): 0.0, date(2026, 10, 10): 1e9})

    assert [found[day] for day in sorted(found)] == [1, 1, 1, 2, 2, 3, 3, 4, 0, 4]
    assert levels({}) == {}
    assert levels({date(2026, 10, 1): 5.0}) == {date(2026, 10, 1): 1}


async def test_request_opens_by_key_and_by_mouse(tmp_path: Path) -> None:
    """Enter opens the chosen request, a second click the one that was clicked."""
    async with office(tmp_path) as at_desk:
        await at_desk.press("down", "enter")
        await at_desk.until(lambda: "Reply m60" in at_desk.text)
        await at_desk.press("escape")
        await at_desk.until(lambda: "requests" in at_desk.text)
        await at_desk.pilot.click("#feed-view", offset=(5, 2))
        await at_desk.pilot.click("#feed-view", offset=(5, 2))
        await at_desk.until(lambda: "Reply m90" in at_desk.text)


SAID = "first\n\x1b[2Jsecond \u202e[bold]third"
MESSAGE = {"content": [{"type": "text", "text": SAID}], "id": "m60", "model": MODEL, "stop_reason": "end_turn", "usage": usage(3)}


async def test_original_line_is_laid_out_and_searched(tmp_path: Path) -> None:
    """It is shown only when asked for, laid out or as logged; what is looked for is marked and gone to, and nothing in it acts."""
    async with desk(tmp_path, reply(60, message=MESSAGE), size=(100, 30)) as at_desk:
        await at_desk.press("down", "enter")
        await at_desk.until(lambda: "explanation" in at_desk.text)
        assert "second" not in at_desk.text
        await at_desk.press("o")
        await at_desk.until(lambda: "line 1 of 1 · counted" in at_desk.text)
        rows = [line.strip(" │▅▄▃▂▁▆▇█") for line in at_desk.lines]
        assert '"text": "first' in rows
        assert '\\u001b[2Jsecond \ufffd[bold]third"' in rows

        await at_desk.press("slash", *"SECOND", "enter")
        assert "1 of 1 · n N" in at_desk.text
        await at_desk.press("escape")
        await at_desk.until(lambda: "1 of 1 · n N" not in at_desk.text)
        await at_desk.press("f")
        assert "first\\n\\u001b[2Jsecond" in at_desk.text
        await at_desk.press("o")
        await at_desk.until(lambda: "explanation" in at_desk.text)
        assert "second" not in at_desk.text


async def test_lines_of_a_reply_one_after_the_other(tmp_path: Path) -> None:
    """A reply is logged as several lines: the arrows go through them, the one that counts first."""
    lines = [reply(60, output=number, uuid=f"u{number}", stop_reason=None if number < 3 else "end_turn") for number in (1, 2, 3)]
    async with desk(tmp_path, *lines, size=(100, 30)) as at_desk:
        await at_desk.press("down", "enter")
        await at_desk.until(lambda: "explanation" in at_desk.text)
        await at_desk.press("o")
        await at_desk.until(lambda: "line 1 of 3 · counted" in at_desk.text)
        assert '"uuid": "u3"' in at_desk.text
        await at_desk.press("right")
        assert "line 2 of 3 · earlier" in at_desk.text
        assert '"uuid": "u1"' in at_desk.text
        await at_desk.press("left", "left")
        assert '"uuid": "u2"' in at_desk.text


async def test_line_that_is_gone_is_said(tmp_path: Path) -> None:
    """What was counted stays; its line may not, and then the screen says why."""
    async with desk(tmp_path, reply(60), size=(100, 30)) as at_desk:
        await at_desk.write(reply(90), name=WEB)
        (at_desk.logs / LOG).unlink()
        await at_desk.looked()
        await at_desk.press("down", "enter")
        await at_desk.until(lambda: "explanation" in at_desk.text)
        await at_desk.press("o")
        await at_desk.until(lambda: "line 1 of 1" in at_desk.text)
        await at_desk.until(lambda: "The log was deleted." in at_desk.text)


async def test_palette_knows_every_command(tmp_path: Path) -> None:
    """Ctrl+P opens it; what is chosen there is done, as by its key."""
    async with office(tmp_path) as at_desk:
        await at_desk.press("ctrl+p", *"contrast-li")
        await at_desk.until(lambda: "Theme contrast-light" in at_desk.text)
        await at_desk.press("enter")
        await at_desk.until(lambda: at_desk.app.theme == "tokentail-contrast-light")

        await at_desk.press("ctrl+p", *"open days")
        await at_desk.until(lambda: "Open Days" in at_desk.text)
        await at_desk.press("enter")
        await at_desk.until(lambda: "days · dollars" in at_desk.text)


async def test_engine_tab_has_the_latest_looks(tmp_path: Path) -> None:
    """A line a look that found something, newest first, with what it read and found."""
    async with office(tmp_path, size=WIDE) as at_desk:
        await at_desk.write(reply(9), reply(8))
        await at_desk.press("7")
        await at_desk.until(lambda: "looks that found something" in at_desk.text)
        first = next(line for line in at_desk.lines if "12:00:00.000" in line).split()
        assert (first[1], first[3]) == ("12:00:00.000", "1")
        assert first[6:8] == ["2", "2"]
        assert "followed by" in at_desk.text


async def test_hostile_names_do_no_harm_on_any_page(tmp_path: Path) -> None:
    """Names from logs are shown as they are, everywhere, and nothing reaches the terminal that it would act on."""
    hostile: dict[str, Any] = {"cwd": "/home/dev/[red]x\x1b[2J", "model": "[link=x]\x1b]0;owned\x07", "sessionId": "s\x1b[31m[b]"}
    async with desk(tmp_path, reply(60, **hostile), size=WIDE) as at_desk:
        for key in "2345":
            await at_desk.press(key)
            await at_desk.until(lambda: "Asking" not in at_desk.text)
            await at_desk.press("enter")
            await at_desk.until(lambda: "Asking" not in at_desk.text)
            assert all(line.isprintable() for line in at_desk.lines)
            assert "[" in at_desk.text
        await at_desk.press("1", "down", "enter", "o")
        await at_desk.until(lambda: "line 1 of 1" in at_desk.text)
        assert all(line.isprintable() for line in at_desk.lines)


async def test_reader_goes_from_place_to_place(tmp_path: Path) -> None:
    """`n` and `N` go round all places that hold what is looked for, also far below."""
    async with desk(tmp_path, reply(60), size=(80, 24)) as at_desk:
        await at_desk.press("down", "enter")
        await at_desk.until(lambda: "explanation" in at_desk.text)
        reader = at_desk.app.screen.query_one(Reader)
        reader.show([f"line {number} {'needle' if number % 40 == 7 else ''}" for number in range(200)])
        reader.look_for("NEEDLE")
        seen = []
        for _ in range(6):
            seen.append(reader.found)
            await at_desk.press("n")
        assert seen == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5), (1, 5)]
        await at_desk.press("N", "N")
        assert reader.found == (5, 5)
        assert "line 167 needle" in at_desk.text
