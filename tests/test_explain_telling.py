"""Tests of `tokentail.explain.telling`: every line is found where it stands, and called what it is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from builders import canonical_json, line, replies_in, usage
from explaining import ASIDE, FORK, LOGS, MAIN, Logs, logs
from tokentail import estimate, prices, queries
from tokentail.demo.tree import TreePlan, write_tree
from tokentail.explain import telling
from tokentail.explain.story import COPY, COUNTED, EARLIER, REPEATED, REPLAY, UNKNOWN, LineCounts, Shared, Spot
from tokentail.totals import Adder, add_replies, counts_of


@pytest.fixture(name="made")
def fixture_made(tmp_path: Path) -> Iterator[Logs]:
    with logs(tmp_path) as made:
        yield made


def roles(made: Logs, key: str) -> dict[Spot, str]:
    return {each.spot: each.role for each in telling.of_reply(made.engine.db, key, made.context()).lines}


def starts(name: str) -> list[int]:
    """Where each line of that log begins."""
    lines = LOGS[name].splitlines(keepends=True)
    return [sum(map(len, lines[:number])) for number in range(len(lines))]


# Lines


def test_each_line_of_a_reply_is_called_what_it_is(made: Logs) -> None:
    """One line counts; the others are an earlier state of it, the same usage again, a copy in a fork, and a side question's replay."""
    first, second, third, _ = starts(MAIN)
    assert roles(made, "msg_1") == {
        Spot(made.path(MAIN), second): COUNTED,
        Spot(made.path(MAIN), first): EARLIER,
        Spot(made.path(MAIN), third): REPEATED,
        Spot(made.path(FORK), 0): COPY,
        Spot(made.path(ASIDE), 0): REPLAY,
    }


def test_a_copy_names_the_line_that_it_is_of(made: Logs) -> None:
    """The line with the same uuid in the session that R7 gives the reply to."""
    lines = telling.of_reply(made.engine.db, "msg_1", made.context()).lines
    assert [each.copy_of for each in lines if each.role == COPY] == [Spot(made.path(MAIN), starts(MAIN)[1])]


def test_the_counted_line_comes_first_and_replays_last(made: Logs) -> None:
    """What a person looks for stands on top."""
    lines = telling.of_reply(made.engine.db, "msg_1", made.context()).lines
    assert (lines[0].role, lines[-1].role) == (COUNTED, REPLAY)


def test_a_line_says_what_it_said_by_itself(made: Logs) -> None:
    """Its own output, whether it is final, whose session it was written in."""
    lines = telling.of_reply(made.engine.db, "msg_1", made.context()).lines
    said = {each.role: (each.said.output_tokens, each.said.is_final, each.said.session) for each in lines if each.said}
    assert said[EARLIER] == (8, False, "s1")
    assert said[COPY] == (310, True, "s2")
    assert said[REPLAY] == (900, True, "s1")


def test_the_lines_of_a_deleted_log_are_told_as_gone(made: Logs) -> None:
    """What was kept is that there was a line, and where."""
    (made.folder / MAIN).unlink()
    (made.folder / FORK).unlink()
    made.engine.check_for_updates()
    story = telling.of_reply(made.engine.db, "msg_1", made.context())
    gone = [each for each in story.lines if each.spot.path != made.path(ASIDE)]
    assert {(each.stands, each.role, each.said, each.unread) for each in gone} == {("deleted", UNKNOWN, None, "")}
    assert story.stands == "deleted"
    assert len(gone) == 4


def test_the_only_line_of_a_reply_counted_even_if_it_is_gone(made: Logs) -> None:
    """There is no other that could have."""
    (made.folder / MAIN).unlink()
    made.engine.check_for_updates()
    (gone,) = telling.of_reply(made.engine.db, "msg_2", made.context()).lines
    assert (gone.role, gone.stands) == (COUNTED, "deleted")


def test_a_line_that_a_rewrite_removed_is_told_as_rewritten(made: Logs) -> None:
    """The log is there, the line is not."""
    (made.folder / MAIN).write_bytes(line("msg_9", uuid="u9"))
    made.engine.check_for_updates()
    (gone,) = telling.of_reply(made.engine.db, "msg_2", made.context()).lines
    assert gone.stands == "rewritten"


def test_a_line_that_a_rewrite_kept_is_told_once(made: Logs) -> None:
    """It stands in two lives of its file, and once on the disk."""
    whole = (made.folder / MAIN).read_bytes()
    (made.folder / MAIN).write_bytes(whole[: len(whole) - 10])
    made.engine.check_for_updates()
    (made.folder / MAIN).write_bytes(whole)
    made.engine.check_for_updates()
    assert len(roles(made, "msg_1")) == 5


def test_a_log_that_changed_since_the_last_look_is_not_quoted(made: Logs) -> None:
    """Another line at that place is nobody's line of this reply."""
    (made.folder / MAIN).write_bytes(b"x" * len(LOGS[MAIN]))
    story = telling.of_reply(made.engine.db, "msg_2", made.context(shows_lines=True))
    assert [(each.unread, each.original) for each in story.lines] == [("the log was changed: another line stands there now", None)]


def test_the_lines_themselves_are_handed_on_only_on_request(made: Logs) -> None:
    """They are the content of a conversation."""
    without, within = (telling.of_reply(made.engine.db, "msg_2", made.context(shows_lines=shows)).lines for shows in (False, True))
    assert [each.original for each in without] == [None]
    assert [each.original for each in within] == [LOGS[MAIN].splitlines()[-1].decode()]


def test_two_objects_on_one_line_are_each_found_there(tmp_path: Path) -> None:
    """R1 takes them one after another, and both stand at the place of the line."""
    both = line("msg_1", output=5).rstrip(b"\n") + line("msg_2", output=6)
    with logs(tmp_path, {MAIN: both}) as made:
        for key in ("msg_1", "msg_2"):
            assert roles(made, key) == {Spot(made.path(MAIN), 0): COUNTED}


# Rules


def test_the_rules_that_decided_are_named(made: Logs) -> None:
    """In words, with the numbers of this reply."""
    said = [(each.rule, each.says) for each in telling.of_reply(made.engine.db, "msg_1", made.context()).rules]
    assert said == [
        ("R3", "All 4 lines with the message id msg_1 are one reply."),
        ("R3", "1 line of a side question logged it again under another request id: dropped."),
        ("R4", "Of its 4 lines the one with the greatest output (310) counts, and its usage is taken whole."),
        (
            "R7",
            "It belongs to session s1; s2 has a copy. What is no fork goes first, then what is no subagent's, then the least id.",
        ),
        ("R7", "Its output is final: a line of it has a stop reason."),
        ("R9", "It belongs to 2026-10-01, the day of its first line in Europe/Berlin."),
    ]


@pytest.mark.parametrize(
    ("files", "key", "rule", "says"),
    [
        ({MAIN: line(None, uuid="u1")}, "uuid:u1", "R3", "It has no message id, and is known by its line's uuid."),
        (
            {MAIN: line("msg_1", requestId="req_1") + line("msg_1", requestId="req_2")},
            "msg_1/req_2",
            "R3",
            "Several requests share the message id msg_1; this is the reply of req_2.",
        ),
        (
            {MAIN: line(usage=usage(cache_creation=None))},
            "msg_1",
            "R5",
            "The log does not say for how long its cache writes last: taken as 5 minutes.",
        ),
        (
            {MAIN: line(usage=usage(input_tokens="4"))},
            "msg_1",
            "R1",
            "A count in its usage is no whole number from 0 to 2^53, and was taken as 0.",
        ),
        (
            {MAIN: line(usage=usage(iterations=[{"type": "compaction", "input_tokens": 9, "output_tokens": 1}]))},
            "msg_1",
            "R6",
            "10 tokens of claude-opus-5 were billed beside it.",
        ),
        (
            {MAIN: line(usage=usage(server_tool_use={"web_search_requests": 2}))},
            "msg_1",
            "R8",
            "2 web searches: the most that any of its lines says.",
        ),
        (
            {MAIN: line(stop_reason=None)},
            "msg_1",
            "R7",
            "Its output is NOT final: no line of it has a stop reason, so what was logged is a lower bound.",
        ),
        (
            {MAIN: line(output=5, stop_reason=None) + line(output=5)},
            "msg_1",
            "R4",
            "Of its 2 lines the one with the greatest output (5) and a stop reason counts, and its usage is taken whole.",
        ),
    ],
)
def test_a_rule_is_named_where_it_decides(tmp_path: Path, files: dict[str, bytes], key: str, rule: str, says: str) -> None:
    """What is unusual about a reply is said with the rule that settles it."""
    with logs(tmp_path, files) as made:
        assert (rule, says) in telling.of_reply(made.engine.db, key, made.context()).rules


# Sessions and days


def test_a_session_is_the_sum_of_its_replies(made: Logs) -> None:
    """Its lines are counted by what they are, and its replies told oldest first."""
    story = telling.of_session(made.engine.db, "s1", made.context())
    assert (story.counts.replies, story.counts.output_tokens) == (2, 360)
    assert story.lines == LineCounts(counted=2, repeated=3, replays=1, gone=0)
    assert [each.reply.key for each in story.replies] == ["msg_1", "msg_2"]


def test_a_session_tells_which_replies_it_shares(made: Logs) -> None:
    """The owner names the sessions with copies, and those name the owner; the totals count them once."""
    owner, fork = (telling.of_session(made.engine.db, name, made.context()) for name in ("s1", "s2"))
    assert (owner.copied_to, owner.owned_elsewhere) == ((Shared("s2", 1),), ())
    assert (fork.copied_to, fork.owned_elsewhere) == ((), (Shared("s1", 1),))
    assert fork.counts.replies == 1


def test_a_day_is_that_of_the_zone(made: Logs) -> None:
    """From midnight to midnight there."""
    story = telling.of_days(made.engine.db, date(2026, 10, 2), date(2026, 10, 2), made.context())
    assert (story.kind, story.name, story.timezone) == ("day", "2026-10-02", "Europe/Berlin")
    assert [each.reply.key for each in story.replies] == ["msg_2"]


def test_a_day_without_usage_is_empty(made: Logs) -> None:
    """It is no error to ask."""
    story = telling.of_days(made.engine.db, date(2020, 1, 1), date(2020, 1, 2), made.context())
    assert (story.counts.replies, story.replies, story.name) == (0, (), "2020-01-01..2020-01-02")


def test_a_limit_leaves_out_the_oldest(made: Logs) -> None:
    """The sums stay those of all."""
    story = telling.of_session(made.engine.db, "s1", made.context(limit=1))
    assert [each.reply.key for each in story.replies] == ["msg_2"]
    assert (story.left_out, story.counts.replies) == (1, 2)


def test_parts_are_told_apart(made: Logs) -> None:
    """What is on disk, deleted or rewritten, and what is not final."""
    (made.folder / FORK).unlink()
    made.engine.check_for_updates()
    story = telling.of_days(made.engine.db, date(2026, 10, 1), date(2026, 10, 2), made.context())
    assert [part.replies for part in story.provenance] == [2, 1, 0, 0]
    assert story.not_final.replies == 1


def test_a_generated_store_is_explained_in_full(tmp_path: Path) -> None:
    """Of every reply the terms of its price add up to what the reports say it costs, exactly one line counts, and it says so itself."""
    plan = TreePlan(seed=3, total_bytes=300_000, files=15, days=5, resumed_share=0.5, side_question_share=0.5, extra_share=0.2)
    write_tree(tmp_path / "logs", plan)
    with logs(tmp_path, {}) as made:
        replies = replies_in(made.engine.db)
        assert len(replies) > 50
        story = telling.of_days(made.engine.db, date(2000, 1, 1), date(2100, 1, 1), made.context(limit=len(replies)))
        adder = Adder[str](prices.load())
        add_replies(adder, replies.values(), lambda _: "", prices.load())
        assert story.counts == adder.totals()
        assert {each.reply.key for each in story.replies} == replies.keys()
        for each in story.replies:
            assert [one.said.output_tokens for one in each.lines if one.role == COUNTED and one.said] == [each.reply.tokens.output]
            costs = [priced.cost_pico for priced in each.priced]
            assert sum(cost for cost in costs if cost is not None) / prices.PICO_PER_USD == (each.counts.cost_usd or 0)
        assert story.provenance.on_disk == story.counts


# The estimate


def test_an_estimate_is_of_each_line_once(tmp_path: Path) -> None:
    """Whichever copies of it there are: by the formula of docs/counting.md over text, tool input and signatures."""
    blocks: list[list[dict[str, object]]] = [
        [{"type": "thinking", "thinking": "", "signature": "s" * 1000}],
        [{"type": "text", "text": "t" * 2000}],
        [{"type": "tool_use", "name": "Read", "input": {"path": "p" * 500}}],
    ]

    def lines(session: str) -> bytes:
        made = (
            line("msg_1", output=2, stop_reason=None, uuid=f"u{number}", sessionId=session, message=_message(content))
            for number, content in enumerate(blocks)
        )
        return b"".join(made)

    with logs(tmp_path, {MAIN: lines("s1"), FORK: lines("s2")}) as made:
        story = telling.of_reply(made.engine.db, "msg_1", made.context(estimates=True))
        tool_chars = len(canonical_json({"path": "p" * 500}))
        expected = round(0.315 * 2000 + 0.418 * tool_chars + 0.282 * 1000 + 22)
        assert story.estimate is not None
        assert story.estimate.output_tokens == expected
        with_it = counts_of(estimate.with_output(story.reply, expected), prices.load())
        assert story.estimate.cost_usd == with_it.cost_usd
        assert story.reply.tokens.output == 2
        whole = telling.of_session(made.engine.db, "s1", made.context(estimates=True))
        assert whole.estimate is not None
        assert whole.estimate == (1, expected, with_it.total_tokens, with_it.cost_usd)


def test_what_is_final_is_not_estimated(made: Logs) -> None:
    """A count beats an estimate."""
    assert telling.of_reply(made.engine.db, "msg_1", made.context(estimates=True)).estimate is None


def test_a_reply_whose_lines_are_gone_is_not_estimated(made: Logs) -> None:
    """It is told how many those are."""
    (made.folder / FORK).unlink()
    made.engine.check_for_updates()
    story = telling.of_session(made.engine.db, "s2", made.context(estimates=True))
    assert story.estimate is not None
    assert (story.estimate.replies, story.not_final.replies) == (0, 1)
    assert story.estimate.output_tokens == queries.replies_by_key(made.engine.db, ["msg_3"])[0].tokens.output


def _message(content: list[dict[str, object]]) -> dict[str, object]:
    return {"id": "msg_1", "model": "claude-opus-5", "stop_reason": None, "usage": usage(2), "content": content}
