"""The request feed: the newest replies, each once, and a pause that loses nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tokentail.model import Counts, Metrics
from tokentail.reports.overview import Overview
from tokentail.tui.feed import Feed
from tokentail.tui.rolling import Minutes
from tokentail.tui.snapshot import FEED_ROWS, FeedChange, FeedRow, Figures, Look, Snapshot

NOW = datetime(2026, 10, 1, 12, tzinfo=UTC)
FIGURES = Figures(Overview(NOW.date(), Counts(), Counts(), ()), None, Minutes(0, (), ()))
LOOK = Look(Metrics(), 1, Metrics(), (), ())


def row(number: int, *, event: str = "new", output: int = 1, project: str = "app", session: str = "") -> FeedRow:
    """The reply that began so many seconds after noon."""
    at = NOW + timedelta(seconds=number)
    return FeedRow(f"msg_{number}", at, event, project, "claude-opus-5", Counts(output_tokens=output), session)


def snapshot(*changes: FeedChange, latest: tuple[FeedRow, ...] | None = None) -> Snapshot:
    return Snapshot(NOW, FIGURES, latest, changes, LOOK, False)


def changed(*rows: FeedRow) -> Snapshot:
    return snapshot(*(FeedChange(each.key, each) for each in rows))


def gone(number: int) -> FeedChange:
    return FeedChange(f"msg_{number}", None)


def newest(count: int, *, until: int) -> tuple[FeedRow, ...]:
    """What a store of `until` replies gives as its newest."""
    return tuple(row(number, event="") for number in range(until - 1, until - 1 - count, -1))


def keys(feed: Feed) -> list[str]:
    return [each.key for each in feed.rows]


def test_newest_reply_is_first() -> None:
    """Rows are in the order of the replies' times, the newest first, in whatever order they come."""
    feed = Feed()

    feed.show(changed(row(2), row(7)))
    feed.show(changed(row(5)))

    assert keys(feed) == ["msg_7", "msg_5", "msg_2"]


def test_feed_keeps_the_last_hundred() -> None:
    """A hundred rows; what comes pushes the oldest out."""
    feed = Feed()
    feed.show(snapshot(latest=newest(FEED_ROWS, until=100)))

    feed.show(changed(row(100), row(101)))

    assert keys(feed) == [f"msg_{number}" for number in range(101, 1, -1)]


def test_growing_reply_is_changed_in_place() -> None:
    """A reply has one row, however often it grows."""
    feed = Feed()
    feed.show(changed(row(1), row(2), row(3)))

    feed.show(changed(row(2, event="grown", output=50)))

    assert keys(feed) == ["msg_3", "msg_2", "msg_1"]
    assert (feed.rows[1].event, feed.rows[1].counts.output_tokens) == ("grown", 50)
    assert feed.fresh == {"msg_2"}


def test_quiet_look_changes_nothing() -> None:
    """Where nothing happened the rows are the very same, so that nothing is drawn again; but nothing is fresh any more."""
    feed = Feed()
    feed.show(changed(row(1)))
    before = feed.rows

    feed.show(snapshot())

    assert feed.rows is before
    assert feed.fresh == frozenset()


def test_gone_reply_leaves() -> None:
    """A reply that is gone has no row, and an older one that the store still has takes its place."""
    feed = Feed()
    feed.show(snapshot(latest=newest(FEED_ROWS, until=150)))

    feed.show(snapshot(gone(149), latest=newest(FEED_ROWS, until=149)))

    assert keys(feed) == [f"msg_{number}" for number in range(148, 48, -1)]


def test_marks_stay_when_the_feed_begins_anew() -> None:
    """What was new or grown is still marked so after the newest replies were asked for again."""
    feed = Feed()
    feed.show(changed(row(1), row(2, event="grown")))

    feed.show(snapshot(gone(9), latest=(row(2, event=""), row(1, event=""), row(0, event=""))))

    assert [each.event for each in feed.rows] == ["grown", "new", ""]


def test_paused_feed_stands_still() -> None:
    """While it is paused no row changes, and it says how many replies wait, each counted once."""
    feed = Feed()
    feed.show(changed(row(1)))
    before = feed.rows

    feed.pause()
    feed.show(changed(row(2), row(3)))
    feed.show(changed(row(2, event="grown"), row(1, event="grown")))

    assert feed.paused
    assert feed.rows is before
    assert feed.waiting == 3


def test_pausing_twice_keeps_what_waits() -> None:
    """A second pause is no new one."""
    feed = Feed()
    feed.pause()
    feed.show(changed(row(1)))

    feed.pause()
    feed.resume()

    assert keys(feed) == ["msg_1"]


def test_nothing_is_lost_in_a_long_pause() -> None:
    """More replies than the feed has rows came while it was paused: all of them are there afterwards."""
    feed = Feed()
    feed.show(snapshot(latest=newest(FEED_ROWS, until=100)))

    feed.pause()
    for number in range(100, 350):
        feed.show(changed(row(number)))
    feed.resume()

    assert keys(feed) == [f"msg_{number}" for number in range(349, 99, -1)]
    assert (feed.paused, feed.waiting) == (False, 0)


def test_older_replies_are_added_below() -> None:
    """Who scrolls on sees what the store has before; the newest go on coming, and nothing between the two is missing."""
    feed = Feed()
    feed.show(snapshot(latest=newest(FEED_ROWS, until=300)))
    assert feed.oldest == feed.rows[-1]

    feed.add_older(newest(150, until=200), (), are_all=False)
    feed.show(changed(row(300), row(60, event="grown", output=9)))

    assert keys(feed) == [f"msg_{number}" for number in range(300, 49, -1)]
    assert feed.rows[-11].counts.output_tokens == 9
    assert feed.has_older


def test_feed_is_short_again_when_nobody_looks_at_the_older_ones() -> None:
    """Otherwise a screen that is open for days would keep all that it ever showed."""
    feed = Feed()
    feed.show(snapshot(latest=newest(FEED_ROWS, until=300)))
    feed.add_older(newest(150, until=200), (), are_all=True)

    feed.trim()

    assert keys(feed) == [f"msg_{number}" for number in range(299, 199, -1)]
    assert feed.has_older


def test_filter_shows_what_has_each_of_the_words() -> None:
    """In a project, a model, a session or a subagent, whatever the case; without words all rows are there again."""
    feed = Feed()
    feed.show(changed(row(1, project="Harbor"), row(2, session="5eaf00d"), row(3, project="harbor", session="5eaf00d")))

    feed.filter("HARB 5ea")
    assert keys(feed) == ["msg_3"]
    feed.filter("opus 5ea")
    assert keys(feed) == ["msg_3", "msg_2"]
    feed.filter("")
    assert keys(feed) == ["msg_3", "msg_2", "msg_1"]


def test_older_replies_of_a_filter_go_with_it() -> None:
    """Of the older ones only those that the filter let through are known: without it they would stand beside gaps."""
    feed = Feed()
    feed.show(snapshot(latest=newest(FEED_ROWS, until=300)))
    feed.filter("harbor")
    feed.add_older((row(90, project="harbor"), row(30, project="harbor")), ("harbor",), are_all=True)
    assert keys(feed) == ["msg_90", "msg_30"]
    assert not feed.has_older

    feed.filter("app")

    assert keys(feed) == [f"msg_{number}" for number in range(299, 199, -1)]
    assert feed.has_older


def test_answer_to_an_old_filter_is_dropped() -> None:
    """What was asked for by other words than those that hold now does not come any more."""
    feed = Feed()
    feed.show(changed(row(9)))
    feed.filter("app")

    feed.add_older((row(1),), ("ap",), are_all=True)

    assert keys(feed) == ["msg_9"]


@given(
    st.lists(
        st.one_of(
            st.sampled_from(["pause", "resume"]),
            st.lists(
                st.tuples(st.integers(0, 30), st.sampled_from(["new", "grown", "corrected", "gone"]), st.integers(0, 9)),
                max_size=5,
                unique_by=lambda change: change[0],
            ),
        ),
        max_size=30,
    )
)
def test_resuming_catches_up_exactly(steps: list[str | list[tuple[int, str, int]]]) -> None:
    """However often it was paused, a feed that goes on shows the same rows as one that never was."""
    paused, never = Feed(), Feed()
    for step in steps:
        if step == "pause":
            paused.pause()
        elif step == "resume":
            paused.resume()
        elif isinstance(step, list):
            changes = [gone(n) if event == "gone" else FeedChange(f"msg_{n}", row(n, event=event, output=o)) for n, event, o in step]
            paused.show(snapshot(*changes))
            never.show(snapshot(*changes))

    paused.resume()
    assert paused.rows == never.rows
