"""The page in real Chromium, before a real server on made-up logs."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, FloatRect, Locator, Page, expect

from browsing import ROOT, STATIC, ZONE, Served, browser, chromium, reply, served
from builders import coordinator, record
from tokentail.model import Owner

DAY = timedelta(days=1)
HOSTILE = "<img src=x onerror=hacked=1>"
HOSTILE_MODEL = "<b onclick=hacked=1>zeta-9</b>\u202e"
VIEWS = ("today", "window", "week", "month", "minutes", "limits", "budgets", "daily", "projects", "calendar", "engine", "sessions", "feed")
SONNET, OPUS = "claude-sonnet-4-5", "claude-opus-5"
LOST = re.compile(r"Failed to load resource|net::ERR")
Open = Callable[..., Page]


@pytest.fixture(name="chrome", scope="module")
def fixture_chrome() -> Iterator[Browser]:
    missing = "" if chromium() else "no Chromium: make setup says how to get one"
    if not (STATIC / "index.html").is_file():
        missing = "the page is not built: make web"
    if missing and os.environ.get("CI"):
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    with browser() as opened:
        yield opened


@pytest.fixture(name="open_page")
def fixture_open_page(chrome: Browser) -> Iterator[Open]:
    """Opens the page in a window of its own; nothing may be complained of in its console."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def opened(address: str, *, may_fail: bool = False, width: int = 1440, height: int = 900, **more: Any) -> Page:
        context = chrome.new_context(viewport={"width": width, "height": height}, **{"color_scheme": "dark", **more})
        contexts.append(context)
        page = context.new_page()

        def complain(said: str) -> None:
            if not (may_fail and LOST.search(said)):
                complaints.append(said)

        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complain(said.text) if said.type == "error" else None)
        page.goto(address)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture(name="server", scope="module")
def fixture_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Two sessions in one project, one of a hostile name; what is written here is not changed by a test."""
    folder = tmp_path_factory.mktemp("page")
    logs = Served(folder)
    logs.write(
        *(reply(f"a{n}", 100 + n, ago=DAY * (n // 3) + timedelta(minutes=9), model=OPUS) for n in range(30)),
        reply("b1", 500, ago=timedelta(minutes=5), model=SONNET),
        reply("b2", 40, ago=timedelta(minutes=4), model=SONNET, stop_reason=None),
    )
    logs.write(reply("c1", 700, ago=timedelta(minutes=3), sessionId="s2", model=SONNET), name="-home-dev-app/s2.jsonl")
    logs.write(
        reply("c2", 90, ago=timedelta(minutes=2), sessionId="s2", agentId="a1", isSidechain=True),
        name="-home-dev-app/s2/subagents/agent-a1.jsonl",
    )
    logs.write(
        reply("h1", 11, ago=timedelta(minutes=1), sessionId="s3", cwd=f"/home/dev/{HOSTILE}", model=HOSTILE_MODEL),
        name=f"{HOSTILE}/s3.jsonl",
    )
    with served(folder) as running:
        yield running


def view(page: Page, name: str) -> Locator:
    return page.locator(f"#{name}")


def rows(page: Page) -> Locator:
    return view(page, "feed").locator("li[data-key]")


def is_live(page: Page) -> None:
    expect(page.locator(".state")).to_have_text("live")


def query(page: Page) -> str:
    return page.url.partition("?")[2]


# What is there


def test_every_view_is_there(server: Served, open_page: Open) -> None:
    """With its title, and with something to say."""
    page = open_page(server.address)
    for name in VIEWS:
        shown = view(page, name)
        expect(shown.locator("h2").first).to_be_visible()
        expect(shown.locator("[aria-busy]")).to_have_count(0, timeout=15_000)
        expect(shown).to_have_text(re.compile(r"\w+\W+\w+"))


def test_the_cards_say_what_was_used(server: Served, open_page: Open) -> None:
    """Replies, tokens and cost: a lower bound where a reply is not final or a model has no price, which is told."""
    page = open_page(server.address)
    today = view(page, "today")
    expect(today).to_contain_text("8 replies")
    expect(today).to_contain_text("1 not final")
    expect(today.locator(".big")).to_have_text(re.compile(r"≥ \$\d+\.\d\d"))
    expect(view(page, "window")).to_contain_text("left")
    expect(view(page, "window")).to_contain_text("forecast")
    expect(view(page, "month")).to_contain_text("forecast")


def test_what_is_not_known_is_a_question_mark(server: Served, open_page: Open) -> None:
    """A model without a price costs `?` and not 0, in the list of requests as in a session."""
    page = open_page(server.address)
    expect(rows(page).first.locator(".money")).to_have_text("?")
    expect(view(page, "sessions").locator("tr", has_text="s3").locator(".money")).to_have_text("?")


def test_limits_are_called_estimates(server: Served, open_page: Open) -> None:
    """Claude Code has said nothing about these limits."""
    expect(view(open_page(server.address), "limits").locator(".tag", has_text="estimate").first).to_be_visible()


def test_the_charts_are_drawn(server: Served, open_page: Open) -> None:
    """Each says in words what it shows, and can be read as a table."""
    page = open_page(server.address)
    for name in ("minutes", "daily", "projects"):
        expect(view(page, name).locator("canvas")).to_be_visible()
        expect(view(page, name).get_by_role("img")).to_have_attribute("aria-label", re.compile(r"\w{3}"))
    view(page, "daily").get_by_role("button", name="Table").click()
    expect(view(page, "daily").locator("tbody tr")).to_have_count(10)
    view(page, "projects").get_by_role("button", name="Table").click()
    expect(view(page, "projects").locator("tbody tr")).to_have_count(2)


def test_nothing_yet(tmp_path: Path, open_page: Open) -> None:
    """Without any log the page says where it looked, and each view what is missing."""
    with served(tmp_path) as server:
        page = open_page(server.address, may_fail=True)
        expect(page.locator(".banner")).to_contain_text("Nothing is counted yet")
        expect(page.locator(".banner")).to_contain_text("logs")
        expect(view(page, "sessions")).to_contain_text("No session")
        expect(view(page, "feed")).to_contain_text("No request yet")


# In the page, so that what it asks by itself meanwhile fails, too, and only a person's click mends it.
FAILS_UNTIL_TRIED_AGAIN = """() => {
    const real = window.fetch;
    let works = false;
    document.addEventListener("click", (event) => { works ||= event.target.textContent === "Try again"; }, true);
    const problem = JSON.stringify({ title: "It broke", detail: "the store is locked" });
    const failed = () => new Response(problem, { status: 500, headers: { "content-type": "application/problem+json" } });
    window.fetch = async (asked, ...more) => (!works && String(asked).includes("/sessions") ? failed() : real(asked, ...more));
}"""


def test_an_answer_that_fails(server: Served, open_page: Open) -> None:
    """A view says what went wrong and can be asked again; the others stand."""
    page = open_page(server.address, may_fail=True)
    expect(view(page, "sessions").locator("tbody tr").first).to_be_visible()

    page.evaluate(FAILS_UNTIL_TRIED_AGAIN)
    page.get_by_role("button", name="7 d").click()
    expect(view(page, "sessions").get_by_role("alert")).to_contain_text("the store is locked")
    view(page, "sessions").get_by_role("button", name="Try again").click()
    expect(view(page, "sessions").locator("tbody tr").first).to_be_visible()


# What is live


def test_a_reply_appears_as_it_is_written(tmp_path: Path, open_page: Open) -> None:
    """In the requests at once, and then in what is added up; the page is not loaded anew."""
    with served(tmp_path) as server:
        page = open_page(server.address, may_fail=True)
        is_live(page)
        page.evaluate("window.stayed = true")
        server.write(reply("one", 77))
        expect(rows(page)).to_have_count(1)
        expect(rows(page).first).to_contain_text("77")
        expect(view(page, "today")).to_contain_text("1 reply")
        expect(view(page, "sessions").locator("tbody tr")).to_have_count(1, timeout=15_000)
        server.write(reply("one", 99))
        expect(rows(page).first).to_contain_text("99")
        expect(rows(page)).to_have_count(1)
        assert page.evaluate("window.stayed")


def test_the_requests_can_be_held_still(tmp_path: Path, open_page: Open) -> None:
    """What comes meanwhile is counted, and is there afterwards: all of it."""
    with served(tmp_path) as server:
        server.write(reply("first"))
        page = open_page(server.address, may_fail=True)
        is_live(page)
        expect(rows(page)).to_have_count(1)
        view(page, "feed").get_by_role("button", name="Pause").click()
        server.write(*(reply(f"n{n}", n) for n in range(1, 31)))
        expect(view(page, "feed")).to_contain_text("held still, 30 changes since")
        expect(rows(page)).to_have_count(1)
        view(page, "feed").get_by_role("button", name="Resume").click()
        expect(rows(page)).to_have_count(31)


def test_it_comes_back_by_itself(tmp_path: Path, open_page: Open) -> None:
    """While the server is away the page says so; when it is there again, so is what was written in between, once."""
    with served(tmp_path) as server:
        server.write(reply("before"))
        page = open_page(server.address, may_fail=True)
        is_live(page)
        expect(rows(page)).to_have_count(1)
        server.stop()
        expect(page.locator(".state")).to_contain_text("reconnecting")
        server.write(reply("between", 55))
        server.start()
        is_live(page)
        expect(rows(page)).to_have_count(2)
        server.write(reply("after", 66))
        expect(rows(page)).to_have_count(3)
        expect(view(page, "today")).to_contain_text("3 replies")


# What is chosen


def test_what_is_chosen_stands_in_the_address(server: Served, open_page: Open) -> None:
    """So it is the same after a reload and in another window, and the way back leads to what was chosen before."""
    page = open_page(server.address)
    page.get_by_role("button", name="7 d").click()
    page.get_by_role("combobox", name="model").select_option(SONNET)
    expect(rows(page)).to_have_count(3)
    assert query(page) == f"range=7d&model={SONNET}"
    for again in (page.reload(), open_page(page.url)):
        shown = again if isinstance(again, Page) else page
        expect(shown.get_by_role("button", name="7 d")).to_have_attribute("aria-pressed", "true")
        expect(shown.get_by_role("combobox", name="model")).to_have_value(SONNET)
        expect(rows(shown)).to_have_count(3)
    page.go_back()
    expect(page.get_by_role("combobox", name="model")).to_have_value("")
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_role("button", name="30 d")).to_have_attribute("aria-pressed", "true")
    assert query(page) == ""


def test_subagents_can_be_chosen(server: Served, open_page: Open) -> None:
    """Or the main conversations."""
    page = open_page(server.address)
    page.get_by_role("combobox", name="agent").select_option("subagents")
    expect(rows(page)).to_have_count(1)
    expect(view(page, "sessions").locator("tbody tr")).to_have_count(1)


def test_a_model_is_chosen_by_a_click(server: Served, open_page: Open) -> None:
    """In the legend under the days; a second click ends it."""
    page = open_page(server.address)
    legend = view(page, "daily").locator(".legend").get_by_role("button", name=re.compile("opus"))
    legend.click()
    expect(page.get_by_role("combobox", name="model")).to_have_value(OPUS)
    legend.click()
    expect(page.get_by_role("combobox", name="model")).to_have_value("")


def place_of(drawing: Locator) -> FloatRect:
    """Where it is on the screen, once it is."""
    expect(drawing).to_be_visible()
    drawing.scroll_into_view_if_needed()
    box = drawing.bounding_box()
    assert box
    return box


def test_days_are_chosen_by_a_drag(server: Served, open_page: Open) -> None:
    """Over the bars, from one day to another."""
    page = open_page(server.address)
    box = place_of(view(page, "daily").locator("canvas"))
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + 110, steps=4)
    page.mouse.up()
    expect(page.get_by_label("First day")).to_have_value(re.compile(r"\d{4}-\d\d-\d\d"))
    first, last = page.get_by_label("First day").input_value(), page.get_by_label("Last day").input_value()
    assert first < last < f"{datetime.now(ZONE):%F}"
    expect(view(page, "daily").get_by_role("img")).to_have_attribute("aria-label", re.compile(f"{first} to {last}"))


def test_a_bar_chooses_its_model(server: Served, open_page: Open) -> None:
    """A click without a drag."""
    page = open_page(server.address)
    box = place_of(view(page, "daily").locator("canvas"))
    page.mouse.click(box["x"] + box["width"] * 0.55, box["y"] + box["height"] - 32)
    expect(page.get_by_role("combobox", name="model")).to_have_value(OPUS)


def test_sessions_are_found_ordered_and_opened(server: Served, open_page: Open) -> None:
    """From a session to its replies, and from a reply to its lines, price and rules; the address leads there, too."""
    page = open_page(server.address)
    sessions = view(page, "sessions")
    expect(sessions.locator("tbody tr")).to_have_count(3)
    expect(sessions.locator("tbody tr").first).to_contain_text("s3")
    sessions.get_by_role("button", name="Cost").click()
    expect(sessions.locator("tbody tr").first).to_contain_text("s1")
    expect(sessions.get_by_role("columnheader", name="Cost")).to_have_attribute("aria-sort", "descending")
    sessions.get_by_role("searchbox").fill("s2")
    expect(sessions.locator("tbody tr")).to_have_count(1)
    sessions.get_by_role("button", name="s2 of app").click()
    drawer = page.get_by_role("dialog")
    expect(drawer).to_contain_text("2 replies in logs that are there")
    drawer.get_by_role("button", name="explain the reply").last.click()
    expect(drawer).to_contain_text("counted")
    expect(drawer).to_contain_text("at byte 0")
    expect(drawer).to_contain_text("R7")
    page.reload()
    expect(page.get_by_role("dialog")).to_contain_text("R7")
    page.get_by_role("button", name="← Session").click()
    expect(page.get_by_role("dialog")).to_contain_text("2 replies in logs")
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_requests_are_filtered_by_words(server: Served, open_page: Open) -> None:
    """By project, model, session or id."""
    page = open_page(server.address)
    expect(rows(page)).to_have_count(35)
    view(page, "feed").get_by_role("searchbox").fill("sonnet s1")
    expect(rows(page)).to_have_count(2)
    assert query(page) == "feed=sonnet+s1"


# How it looks


def ground(page: Page) -> int:
    """How light the page is, 0 to 255."""
    return int(re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))[0])


def test_dark_and_light(server: Served, open_page: Open) -> None:
    """As the system prefers, until somebody chooses; then as that, also after a reload."""
    assert ground(open_page(server.address, color_scheme="light")) > 200
    page = open_page(server.address, color_scheme="dark")
    assert ground(page) < 60
    page.get_by_role("button", name="Light").click()
    assert ground(page) > 200
    page.reload()
    expect(page.get_by_role("button", name="Dark")).to_be_visible()
    assert ground(page) > 200


@pytest.mark.parametrize("width", [390, 820, 1440])
def test_it_fits(width: int, server: Served, open_page: Open) -> None:
    """On a phone, a tablet and a screen: nothing lies beyond the right edge."""
    page = open_page(server.address, width=width, height=844)
    expect(view(page, "sessions").locator("tbody tr").first).to_be_visible()
    expect(rows(page).first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    beyond = page.evaluate(
        "[...document.querySelectorAll('section')].filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.id)"
    )
    assert beyond == []


def test_the_keyboard_is_enough(server: Served, open_page: Open) -> None:
    """Tab reaches all, what has the focus is seen, arrows walk through the days, Enter opens, Escape leads back to where one was."""
    page = open_page(server.address)
    expect(view(page, "sessions").locator("tbody tr").first).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("To the numbers")
    seen: set[str] = set()
    while not page.evaluate("document.activeElement.closest('#sessions tbody') !== null"):
        page.keyboard.press("Tab")
        unseen = page.evaluate("getComputedStyle(document.activeElement).outlineStyle === 'none' && document.activeElement.outerHTML")
        assert not unseen
        seen.add(page.evaluate("document.activeElement.closest('section')?.id ?? 'top'"))
        assert len(seen) < 20
    assert seen >= {"top", "minutes", "daily", "projects", "calendar", "sessions"}
    opener = page.locator(":focus").inner_text()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator(":focus")).to_have_text(opener)
    page.locator("#calendar button[tabindex='0']").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    day = f"{datetime.now(ZONE) - 6 * DAY:%F}"
    expect(page.get_by_label("First day")).to_have_value(day)


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("where", ["", "?session=s2", "?reply=msg_c1"])
def test_axe_finds_nothing_serious(scheme: str, where: str, server: Served, open_page: Open) -> None:
    """The usual rules for people who see, hear or move otherwise, contrast among them."""
    page = open_page(server.address + where, color_scheme=scheme, bypass_csp=True)
    expect(rows(page).first).to_be_visible()
    if where:
        expect(page.get_by_role("dialog")).to_contain_text("s2" if "session" in where else "R7")
    assert axe(page) == []


def axe(page: Page) -> list[tuple[str, list[str]]]:
    """What is serious, and where, once the page is at rest: a row that has just come, or an answer that is on its way, is lit otherwise."""
    page.wait_for_function("!document.querySelector('.stale') && document.getAnimations().every(({playState}) => playState !== 'running')")
    page.evaluate((ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("axe.run().then(({violations}) => violations)")
    return [(each["id"], [node["html"][:200] for node in each["nodes"]][:3]) for each in found if each["impact"] in ("serious", "critical")]


# What must do no harm


def test_names_are_only_text(server: Served, open_page: Open) -> None:
    """A project or model that is called like markup is shown letter by letter, wherever it stands."""
    page = open_page(server.address)
    expect(rows(page).first).to_contain_text(HOSTILE)
    expect(view(page, "sessions")).to_contain_text(HOSTILE)
    view(page, "projects").get_by_role("button", name="Table").click()
    expect(view(page, "projects")).to_contain_text(HOSTILE)
    expect(page.get_by_role("combobox", name="project")).to_contain_text(HOSTILE)
    expect(view(page, "daily")).to_contain_text("<b onclick=hacked=1>zeta-9</b>\ufffd")
    canvas = view(page, "daily").locator("canvas")
    canvas.scroll_into_view_if_needed()
    canvas.hover(position={"x": (canvas.bounding_box() or {"width": 0})["width"] - 20, "y": 100})
    expect(page.locator(".tip").first).to_contain_text("<b onclick")
    view(page, "sessions").get_by_role("button", name="s3 of").click()
    expect(page.get_by_role("dialog")).to_contain_text(HOSTILE)
    assert page.evaluate("[typeof hacked, document.querySelectorAll('img, b[onclick]').length]") == ["undefined", 0]


def test_a_hostile_address_does_nothing(server: Served, open_page: Open) -> None:
    """Whatever stands in it is shown as text, and asked for as it is."""
    page = open_page(f"{server.address}?project={HOSTILE}&find=%00{HOSTILE}&order=__proto__&range=constructor&chart=9h", may_fail=True)
    expect(rows(page).first).to_be_visible()
    assert page.evaluate("[typeof hacked, document.querySelectorAll('img').length]") == ["undefined", 0]


def test_the_token_is_exchanged_and_forgotten(tmp_path: Path, open_page: Open) -> None:
    """It goes out of the address at once; lines of the logs are shown on demand to who has it, and who has none is asked for it."""
    with served(tmp_path, "--show-content") as server:
        server.write(reply("one", 77, content=[{"type": "text", "text": "<i>what was said</i>"}]))
        found = re.search(r"#token=(\S+)", server.said())
        assert found
        page = open_page(f"{server.address}?reply=msg_one#token={found[1]}", may_fail=True)
        drawer = page.get_by_role("dialog")
        drawer.get_by_role("button", name="Show the original lines").click()
        expect(drawer.locator("pre")).to_contain_text("<i>what was said</i>")
        assert "token" not in page.url
        assert found[1] not in page.evaluate("document.documentElement.outerHTML + document.cookie + JSON.stringify(localStorage)")
        stranger = open_page(f"{server.address}?reply=msg_one", may_fail=True)
        stranger.get_by_role("button", name="Show the original lines").click()
        expect(stranger.get_by_text("This server needs a token")).to_be_visible()
        stranger.get_by_label("needs a token").fill("wrong")
        stranger.get_by_role("button", name="Go on").click()
        expect(stranger.get_by_role("alert")).to_be_visible()
        stranger.get_by_label("needs a token").fill(found[1])
        stranger.get_by_role("button", name="Go on").click()
        stranger.get_by_role("dialog").get_by_role("button", name="Show the original lines").click()
        expect(stranger.locator("pre")).to_contain_text("what was said")


# Many machines


def test_machines_appear_when_they_send(tmp_path: Path, open_page: Open) -> None:
    """No panel and no filter for one machine; as soon as another one has sent something both are there, and choose in every view."""
    with served(tmp_path) as server:
        server.write(reply("own", 70, ago=timedelta(minutes=3)))
        page = open_page(server.address, may_fail=True)
        expect(rows(page)).to_have_count(1)
        expect(view(page, "machines")).to_have_count(0)
        expect(page.get_by_role("combobox", name="host")).to_have_count(0)
        sent(server, "ci-1", "anna")
        panel = view(page, "machines")
        expect(panel.get_by_role("row", name="ci-1")).to_be_visible(timeout=15_000)
        expect(panel.locator("tbody tr")).to_have_text([re.compile(each) for each in ("ci-1", "this machine", "anna", "this machine")])
        panel.get_by_role("button", name="anna").click()
        expect(rows(page)).to_have_count(2)
        expect(view(page, "today")).to_contain_text("2 replies")
        expect(view(page, "sessions").locator("tbody tr")).to_have_text(re.compile("anna"))
        assert query(page) == "user=anna"
        page.get_by_role("combobox", name="user").select_option("this")
        expect(rows(page)).to_have_count(1)
        assert query(page) == "user=this"
        page.goto(f"{server.address}?reply=ci-1")
        expect(page.get_by_role("dialog")).to_contain_text("It came from another machine, and its log is there.")
        expect(page.get_by_role("dialog")).to_contain_text("ci-1 of anna")


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1440])
def test_names_of_machines_do_no_harm(width: int, tmp_path: Path, open_page: Open) -> None:
    """They are shown and not run, nothing lies beyond the edge, and axe finds nothing serious."""
    with served(tmp_path) as server:
        server.write(reply("own", 70, ago=timedelta(minutes=3)))
        for number in range(3):
            sent(server, f"{HOSTILE}{number}", "x" * 200)
        page = open_page(server.address, may_fail=True, width=width, bypass_csp=True)
        expect(view(page, "machines").locator("tbody tr").nth(4)).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        assert page.evaluate("window.hacked") is None
        assert axe(page) == []


def sent(server: Served, host: str, user: str) -> None:
    """Two replies of another machine come into the store."""
    at_ms = round(datetime.now(ZONE).timestamp() * 1000)
    owner = Owner(False, False, f"of {host}", "-srv-app", "", user, host)
    records = [record(key, at_ms=at_ms - 60_000, owner=owner) for key in (host, f"{host}/2")]
    with closing(coordinator(server.logs, server.store)) as engine:
        engine.change_store(lambda store: store.take(records))
