"""What the live screen is given after each look: exact, and asked for only when something changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from builders import line, usage, write_logs
from tokentail import prices
from tokentail.coordinator import UpdateCoordinator
from tokentail.model import Metrics, Problem, ReplyChange, Update
from tokentail.sources import LocalFolders
from tokentail.totals import counts_of
from tokentail.tui.rolling import MOST_MINUTES, Kinds, Minutes
from tokentail.tui.snapshot import FEED_ROWS, Snapshot, Watch

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def at(minutes_ago: float) -> str:
    return (NOON - timedelta(minutes=minutes_ago)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def at_ms(hour: int) -> int:
    return int(NOON.replace(hour=hour).timestamp() * 1000)


class Screen:
    """Takes snapshots of a folder of logs at noon, or that many seconds later."""

    def __init__(self, folder: Path) -> None:
        self.logs = folder / "logs"
        self.logs.mkdir()
        self.now_s = NOON.timestamp()
        self.coordinator = UpdateCoordinator(
            LocalFolders([self.logs]), folder / "store.db", prices=prices.load(), clock=lambda: self.now_s, wait_s=1.0
        )
        self.watch = Watch(prices.load(), BERLIN, figures_every_s=0)

    def write(self, *lines: bytes, name: str = "-home-dev-app/s1.jsonl") -> None:
        path = self.logs / name
        before = path.read_bytes() if path.exists() else b""
        write_logs(self.logs, {name: before + b"".join(lines)})

    def look(self, *, later_s: float = 0.0) -> Snapshot:
        self.now_s += later_s
        return self.show(self.coordinator.check_for_updates())

    def show(self, update: Update) -> Snapshot:
        return self.watch.take(self.coordinator.db, update)

    def minutes(self, *, later_s: float = 0.0) -> Minutes:
        return self.look(later_s=later_s).figures.minutes


@pytest.fixture
def screen(tmp_path: Path) -> Iterator[Screen]:
    made = Screen(tmp_path)
    yield made
    made.coordinator.close()


def test_every_minute_has_a_value(screen: Screen) -> None:
    """The last one is the current minute; a reply counts in the minute in which it began, what is older than a day not at all."""
    day = MOST_MINUTES
    screen.write(line("now", timestamp=at(0)), line("first", timestamp=at(day - 1)), line("old", timestamp=at(day - 0.5)))

    minutes = screen.minutes(later_s=30)

    one = Kinds(output=10, input=4, cache_write=300, cache_read=2000)
    assert minutes.tokens == (one, *[Kinds()] * (day - 2), one)
    assert minutes.last_minute == NOON.timestamp() // 60


def test_dollars_of_the_minutes_are_their_cost(screen: Screen) -> None:
    """Cost by kind and minute adds up to the cost of the day, with web searches and what is billed besides (R6)."""
    rich = usage(
        500,
        server_tool_use={"web_search_requests": 3},
        iterations=[{"type": "compaction", "model": "claude-haiku-4-5", "input_tokens": 9000, "output_tokens": 700}],
    )
    screen.write(line("a", timestamp=at(5), usage=rich), line("b", timestamp=at(5)), line("c", timestamp=at(7), model="claude-sonnet-5"))

    figures = screen.look().figures

    today = figures.overview.today
    assert sum(map(sum, figures.minutes.costs_usd)) == pytest.approx(today.cost_usd)
    assert sum(map(sum, figures.minutes.tokens)) == today.total_tokens
    assert today.web_searches == 3
    assert sum(kinds.output for kinds in figures.minutes.tokens) == 500 + 700 + 10 + 10


def test_week_has_a_cost_a_day(screen: Screen) -> None:
    """Seven local days, today last; they add up to the cost of the week."""
    hours = 60 * 24
    screen.write(*(line(f"m{days}", timestamp=at(days * hours), output=1000 * (days + 1)) for days in (0, 1, 6, 7)))

    seen = screen.look()

    assert [cost > 0 for cost in seen.figures.overview.week_usd] == [True, False, False, False, False, True, True]
    assert sum(seen.figures.overview.week_usd) == pytest.approx(seen.figures.overview.week.cost_usd)


def test_first_snapshot_fills_the_feed(screen: Screen) -> None:
    """The feed starts with the newest replies of the store, newest first, in the person's time, without marks."""
    screen.write(*(line(f"m{number}", timestamp=at(number)) for number in range(130)))

    latest = screen.look().latest

    assert latest is not None
    assert [row.key for row in latest] == [f"m{number}" for number in range(FEED_ROWS)]
    assert f"{latest[0].at:%H:%M}" == "14:00"
    assert {row.event for row in latest} == {""}
    assert {row.project for row in latest} == {"app"}


def test_change_comes_as_a_row(screen: Screen) -> None:
    """A reply that grows comes with its new counts and the mark; what is not final is a lower bound."""
    screen.write(line("a", timestamp=at(1), output=2, stop_reason=None))
    assert [row.counts.cost_is_lower_bound for row in screen.look().latest or ()] == [True]

    screen.write(line("a", timestamp=at(1), output=40))
    seen = screen.look()

    assert seen.latest is None
    [(key, row)] = seen.changes
    assert row is not None
    assert (key, row.event, row.counts.output_tokens, row.counts.cost_is_lower_bound) == ("a", "grown", 40, False)


def test_nothing_is_asked_while_nothing_happens(screen: Screen) -> None:
    """An idle look costs the screen nothing: the same figures go on, with another time and its own metrics."""
    screen.write(line("a", timestamp=at(1)))
    first = screen.look()

    second = screen.look(later_s=3)

    assert second.figures is first.figures
    assert (second.latest, second.changes) == (None, ())
    assert second.at - first.at == timedelta(seconds=3)
    assert (second.look.number, second.look.metrics.files_read, second.look.since_start.files_read) == (2, 0, 1)
    assert second.look.since_start.files_checked == 2


def test_minutes_go_on_by_themselves(screen: Screen) -> None:
    """With the next minute the bars move on, and with the next day today begins at nothing, though no log changed."""
    screen.write(line("a", timestamp=at(0)))
    screen.look()

    assert screen.minutes(later_s=60).tokens[-2].output == 10
    tomorrow = screen.look(later_s=86_400).figures
    assert (tomorrow.overview.today.replies, tomorrow.overview.week.replies, any(map(any, tomorrow.minutes.tokens))) == (0, 1, False)


def test_figures_come_less_often_than_replies(screen: Screen) -> None:
    """While replies come, what is added up stands still for a moment; it catches up with the next look after that, news or not."""
    now_s = 0.0
    screen.watch = Watch(prices.load(), BERLIN, figures_every_s=2, clock=lambda: now_s)
    screen.write(line("a", timestamp=at(1)))
    first = screen.look()

    screen.write(line("b", timestamp=at(1)))
    now_s = 1.9
    second = screen.look()
    assert ([change.key for change in second.changes], second.figures) == (["b"], first.figures)

    now_s = 2.0
    assert screen.look().figures.overview.today.replies == 2


def test_open_window_says_where_it_leads(screen: Screen) -> None:
    """The five-hour window that is running has its counts and its pace; where nothing was used for five hours none is open."""
    screen.write(line("a", timestamp=at(400)), line("b", timestamp=at(90)), line("c", timestamp=at(30)))

    window = screen.look().figures.window

    assert window is not None
    assert (window.counts.replies, window.start_ms, window.end_ms - window.start_ms) == (2, at_ms(10), 5 * 3_600_000)
    assert window.pace.tokens_per_minute == pytest.approx(window.counts.total_tokens / 90)
    assert screen.look(later_s=3 * 3_600).figures.window is None


def updated(screen: Screen, *changes: ReplyChange, degraded: tuple[str, ...] = (), problems: tuple[Problem, ...] = ()) -> Update:
    return Update(int(screen.now_s * 1000), Metrics(files_checked=1), list(problems), list(degraded), lambda: list(changes))


def test_feed_begins_anew_when_a_reply_is_gone(screen: Screen) -> None:
    """The gone reply is told by its key, and the newest ones come along to fill its place."""
    screen.write(line("a", timestamp=at(1)))
    screen.look()

    seen = screen.show(updated(screen, ReplyChange(7, "gone", "b", None)))

    assert seen.changes == (("b", None),)
    assert [row.key for row in seen.latest or ()] == ["a"]


def test_feed_begins_anew_after_a_lost_look(screen: Screen) -> None:
    """What another process committed while the store was held is not missing from the feed."""
    screen.write(line("a", timestamp=at(1)))
    screen.look()
    screen.show(updated(screen, degraded=("the store is being written by process 7",)))

    assert screen.show(updated(screen)).latest is not None
    assert screen.show(updated(screen)).latest is None


def test_what_went_wrong_stays_for_a_while(screen: Screen) -> None:
    """A lost guarantee is told once and shown for ten minutes; an unreadable folder goes soon after it can be read again."""
    screen.look()
    screen.show(updated(screen, degraded=("the store was damaged",), problems=(Problem("/logs/x", "Permission denied"),)))

    def told() -> list[str]:
        look = screen.show(updated(screen)).look
        return [each.text for each in (*look.degraded, *look.problems)]

    assert told() == ["the store was damaged", "/logs/x: Permission denied"]
    screen.now_s += 8
    assert told() == ["the store was damaged"]
    screen.now_s += 600
    assert told() == []


def test_same_trouble_is_told_once(screen: Screen) -> None:
    """What is told by every look is one line."""
    screen.look()
    for _ in range(3):
        seen = screen.show(updated(screen, problems=(Problem("/logs/x", "Permission denied"),) * 2))
        screen.now_s += 1

    assert [each.text for each in seen.look.problems] == ["/logs/x: Permission denied"]


def test_first_reply_of_all_is_shown(screen: Screen) -> None:
    """A store tells nobody of its first fill: a screen that was there before it sees the replies all the same."""
    screen.look()
    screen.look()
    screen.write(line("a", timestamp=at(1)))

    assert [row.key for row in screen.look().latest or ()] == ["a"]
    assert screen.look().latest is None


def test_row_counts_what_the_reply_costs(screen: Screen) -> None:
    """A row's counts are those of the reply, at its own prices; without a price its cost is unknown."""
    screen.write(line("a", timestamp=at(1)))
    screen.look()
    screen.write(line("b", timestamp=at(1), model="claude-unknown-9"))
    update = screen.coordinator.check_for_updates()
    [change] = update.changes

    [(_, row)] = screen.show(update).changes

    assert change.reply is not None
    assert row is not None
    assert row.counts == counts_of(change.reply, prices.load())
    assert row.counts.cost_usd is None


def test_snapshot_is_frozen(screen: Screen) -> None:
    """What crosses a thread cannot change: the screen draws what was seen at one moment."""
    seen = screen.look()

    with pytest.raises(AttributeError):
        seen.at = NOON  # type: ignore[misc]  # that is the point
    assert replace(seen, at=NOON).at == NOON
