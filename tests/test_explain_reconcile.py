"""Tests of `tokentail.explain.reconcile`: our figure of a session beside Claude Code's own, and what a gap may come from."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import AT_MS, MODEL, OWNER, line, record, replies_in, store_of, usage, write_logs
from tokentail import prices
from tokentail.cli import main
from tokentail.explain.reconcile import Evidence, compared
from tokentail.explain.story import Compared
from tokentail.model import TTL_ASSUMED, Reply
from tokentail.prices import PriceList
from tokentail.samples import SaidCost

PRICES = prices.load()
SESSION = "0e1d2c3b-0000-4000-8000-000000000001"


def spent(usd: float, number: int = 0, *, model: str = MODEL, agent: str = "", final: bool = True, flags: int = 0) -> Reply:
    """A reply that costs so much, of the minute with that number: opus 5 takes 25 USD for a million tokens of output."""
    made = record(
        f"msg_{number}_{usd}",
        at_ms=AT_MS + number * 60_000,
        usage={"output_tokens": round(usd * 40_000)},
        owner=OWNER._replace(subagent=bool(agent), agent=agent),
        model=model,
    )
    (reply,) = replies_in(store_of(made._replace(final=final, stopped=final)).connection).values()
    return reply._replace(flags=flags)


def held(
    replies: Sequence[Reply],
    said_usd: float,
    *,
    first: int = 0,
    last: int = 100,
    ended_usd: float = 0.0,
    elsewhere: Sequence[Reply] = (),
    folders: Mapping[str, set[str]] | None = None,
    gone: int = 0,
    estimates: Mapping[str, int] | None = None,
    price_list: PriceList = PRICES,
) -> Compared:
    """Replies held against what was said between two minutes."""
    said = SaidCost(said_usd, AT_MS + first * 60_000, AT_MS + last * 60_000, ended_usd)
    places = folders or {reply.key: {"/logs"} for reply in replies}
    return compared(said, replies, Evidence(elsewhere, places, gone, estimates), price_list)


def reasons(found: Compared) -> list[tuple[str, float | None]]:
    return [(each.name, None if each.cost_usd is None else round(each.cost_usd, 6)) for each in found.reasons]


@pytest.mark.parametrize("said_usd", [2.0, 1.995, 2.009, 2.019])
def test_figures_that_agree_need_no_reason(said_usd: float) -> None:
    """To a cent, or to a hundredth of what was said."""
    found = held([spent(1), spent(1, 1)], said_usd)
    assert (found.agrees, found.reasons, found.counted_usd) == (True, (), 2)


def test_what_came_later_is_left_out() -> None:
    """A figure is held against what was counted when it was said; the status line may be gone since."""
    found = held([spent(1), spent(2, 5), spent(4, 6)], 3.0, last=5)
    assert (found.counted_usd, found.counted_replies, found.later_usd, found.later_replies, found.agrees) == (3, 2, 4, 1, True)


def test_a_gap_is_ours_less_theirs() -> None:
    """In dollars and as a part of what was said; of nothing there is no part."""
    found = held([spent(3)], 4.0)
    assert (found.gap_usd, found.gap_percent) == (-1, -25)
    assert held([spent(3)], 0.0).gap_percent is None


# Counted less than was said


def test_an_output_that_is_not_final_is_a_reason() -> None:
    """Of unknown size; with estimates of a known one."""
    replies = [spent(1), spent(0.5, 1, final=False)]
    assert reasons(held(replies, 2.0)) == [("not_final", None)]
    found = held(replies, 2.0, estimates={replies[1].key: 40_000})
    assert reasons(found) == [("not_final", 0.5)]
    assert found.reasons[0].says == "The log holds no final output count of 1 reply (R7); by the estimates."


def test_a_model_without_a_price_is_a_reason() -> None:
    """It counts nothing here."""
    found = held([spent(1), spent(1, 1, model="claude-zeta-9")], 2.0)
    assert reasons(found) == [("no_price", None)]
    assert found.reasons[0].says == "No price is known for claude-zeta-9: what it used counts nothing here."


def test_a_part_of_a_price_that_is_not_known_is_a_reason() -> None:
    """The standard one was taken, which is less."""
    assert reasons(held([spent(1, model="claude-sonnet-5")._replace(speed="fast")], 9.0)) == [("assumed_price", None)]


def test_cache_writes_may_have_been_for_an_hour() -> None:
    """Where the log does not say; how much more that is, is known: 10 USD a million instead of 6.25."""
    reply = spent(1, flags=TTL_ASSUMED)
    reply = reply._replace(tokens=reply.tokens._replace(cache_write_5m=1_000_000))
    assert reasons(held([reply], 11.0)) == [("cache_writes", 3.75)]


def test_copies_that_count_elsewhere_are_a_reason() -> None:
    """A fork begins with replies that count for the session it was made from."""
    found = held([spent(1)], 3.0, elsewhere=[spent(2, 3)])
    assert reasons(found) == [("other_sessions", 2)]
    assert found.reasons[0].says == "Another session owns 1 reply in its logs (R7)."


def test_a_figure_that_began_anew_is_a_reason() -> None:
    """Two processes that take turns look like that, too."""
    assert reasons(held([spent(1)], 3.0, ended_usd=2.0)) == [("added_up", 2)]


def test_lines_that_are_gone_are_a_reason() -> None:
    """Others may have gone before they were seen."""
    assert reasons(held([spent(1)], 3.0, gone=1)) == [("removed_lines", None)]


@pytest.mark.parametrize(("said_usd", "name"), [(1.05, "unlogged"), (2.0, "missing_lines")])
def test_what_nothing_explains_has_no_line(said_usd: float, name: str) -> None:
    """A little is what Claude Code asks for without a log; much must be lines that are elsewhere."""
    assert reasons(held([spent(1)], said_usd)) == [(name, round(said_usd - 1, 6))]


# Counted more than was said


def test_what_came_before_the_status_line_is_a_reason() -> None:
    """A session that was resumed afterwards began its figure anew."""
    assert reasons(held([spent(2), spent(1, 5)], 1.0, first=5)) == [("before_the_status_line", 2)]


def test_another_folder_is_a_reason() -> None:
    """The replies of one that has fewer of them."""
    replies = [spent(1), spent(1, 1), spent(2, 2)]
    folders = {replies[0].key: {"/a"}, replies[1].key: {"/a", "/b"}, replies[2].key: {"/b/c"}}
    assert reasons(held(replies, 2.0, folders=folders)) == [("other_folders", 2)]


def test_subagents_are_a_reason() -> None:
    """Some run in processes of their own."""
    assert reasons(held([spent(1), spent(2, 1, agent="a1")], 1.0)) == [("subagents", 2)]


def test_a_price_of_ones_own_is_a_reason() -> None:
    """In either direction."""
    own = PRICES.with_own([(MODEL, "1", "50", "1", "1", "1")])
    assert reasons(held([spent(1)], 1.0, price_list=own)) == [("own_prices", None)]
    assert reasons(held([spent(1)], 3.0, price_list=own)) == [("own_prices", None)]


def test_what_nothing_explains_may_be_prices() -> None:
    """Claude Code has a list of its own."""
    assert reasons(held([spent(2)], 1.0)) == [("prices", 1)]


def test_what_is_too_small_explains_nothing() -> None:
    """A cause of a known size below a tenth of the gap is not named."""
    assert reasons(held([spent(5), spent(0.3, 1, agent="a1")], 1.0)) == [("prices", 4.3)]


@given(
    st.lists(st.tuples(st.integers(0, 500), st.booleans(), st.booleans(), st.booleans()), max_size=6),
    st.integers(0, 2000),
    st.integers(0, 6),
    st.integers(0, 6),
)
def test_a_gap_has_a_reason_whatever_it_is(said: list[tuple[int, bool, bool, bool]], said_cents: int, first: int, last: int) -> None:
    """And none where there is no gap; what is counted and what is later are all."""
    replies = [
        spent(cents / 100, number, final=final, agent="a1" * agent, model=MODEL if known else "claude-zeta-9")
        for number, (cents, final, agent, known) in enumerate(said)
    ]
    found = held(replies, said_cents / 100, first=min(first, last), last=last)
    assert found.counted_replies + found.later_replies == len(replies)
    assert bool(found.reasons) != found.agrees
    assert found.gap_usd == pytest.approx(found.counted_usd - said_cents / 100)


# The command, after a real status line


class Home:
    """A session of a dollar, half of it a subagent's."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        half = usage(20_000, input_tokens=0, cache_read_input_tokens=0, cache_creation_input_tokens=0, cache_creation={})
        self._capsys = capsys
        self.log = f"-home-dev-app/{SESSION}.jsonl"
        self.logs = write_logs(
            folder / "logs",
            {
                self.log: line("msg_1", usage=half, sessionId=SESSION, uuid="u1"),
                f"-home-dev-app/{SESSION}/subagents/agent-a7.jsonl": line(
                    "msg_2", usage=half, sessionId=SESSION, agentId="a7", isSidechain=True, uuid="u2"
                ),
            },
        )

    def hear(self, cost: object, *, session: str = SESSION) -> None:
        """What Claude Code says to its status line after a reply."""
        said = {
            "hook_event_name": "Status",
            "session_id": session,
            "transcript_path": str(self.logs / self.log),
            "cwd": "/home/dev/app",
            "model": {"id": MODEL, "display_name": "Opus"},
            "workspace": {"current_dir": "/home/dev/app", "project_dir": "/home/dev/app"},
            "version": "2.1.229",
            "output_style": {"name": "default"},
            "cost": {"total_cost_usd": cost, "total_duration_ms": 45_000, "total_api_duration_ms": 2300, "total_lines_added": 156},
        }
        words = [sys.executable, "-m", "tokentail", "statusline", "--source", str(self.logs)]
        subprocess.run(words, input=json.dumps(said).encode(), check=True, env=os.environ, capture_output=True)

    def explain(self, *words: str) -> str:
        assert main(["explain", SESSION, "--source", str(self.logs), "--timezone", "UTC", *words]) == 0
        said = self._capsys.readouterr()
        assert said.err == ""
        return said.out

    def said(self) -> dict[str, Any] | None:
        found: dict[str, Any] | None = json.loads(self.explain("--json"))["said"]
        return found


@pytest.fixture(name="home")
def fixture_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Home:
    monkeypatch.setenv("TOKENTAIL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "100")
    made = Home(tmp_path, capsys)
    assert "Claude Code" not in made.explain()  # the status line leaves the making of a store to others
    return made


def test_a_session_shows_what_claude_code_said(home: Home) -> None:
    """As text and as JSON, whose fields docs/explain.md explains; a figure that begins anew is added to what was."""
    assert home.said() is None
    home.hear(0.4)
    home.hear(0.1)
    shown = home.explain()
    section = shown.partition("Claude Code's own figure\n")[2].partition("\n\n")[0]
    assert re.sub(r"until [-0-9]+ [:0-9]+", "until NOW", section).splitlines() == [
        "  said                 $     0.5000  until NOW",
        "  counted until then   $     1.0000  2 replies",
        "  gap                  $     0.5000  +100.0 %",
        "  likely: 2 replies came before the status line heard of it, and a session that is resumed begins",
        "          its figure anew. At most $ 1.0000.",
        "  likely: Subagents made 1 reply, perhaps in processes with a figure of their own. At most $ 0.5000.",
    ]
    said = home.said()
    assert said is not None
    assert [said[name] for name in ("cost_usd", "counted_usd", "gap_usd", "gap_percent", "agrees")] == [0.5, 1.0, 0.5, 100.0, False]
    assert [each["reason"] for each in said["likely_reasons"]] == ["before_the_status_line", "subagents"]
    text = (Path(__file__).resolve().parents[1] / "docs" / "explain.md").read_text(encoding="utf-8")
    assert [name for name in (*said, *said["likely_reasons"][0]) if f"`{name}`" not in text] == []


def test_a_figure_that_agrees_is_shown_without_reasons(home: Home) -> None:
    """So that a person need not compare."""
    home.hear(1.0004)
    assert "  gap                  $    -0.0004  they agree\n" in home.explain()
    said = home.said()
    assert said is not None
    assert (said["agrees"], said["likely_reasons"]) == (True, [])


def test_a_session_without_a_line_is_told(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    """Claude Code knows it, and the logs do not."""
    home.hear(2.5, session="0e1d2c3b-0000-4000-8000-000000000009")
    assert main(["explain", "0e1d2c3b-0000-4000-8000-000000000009", "--source", str(home.logs)]) == 2
    assert capsys.readouterr().err == (
        "tokentail: no reply of session '0e1d2c3b-0000-4000-8000-000000000009' was counted, of which Claude Code said that it cost $ 2.50"
        " (its log stands in a folder that is not read, or was deleted before)\n"
    )


@pytest.mark.parametrize("cost", [None, "1.5", -1, True, {}, [1], "NaN"])
def test_a_figure_that_is_none_is_not_compared(home: Home, cost: object) -> None:
    """What Claude Code says may be anything."""
    home.hear(cost)
    assert home.said() is None


def test_every_reason_is_explained() -> None:
    """By its word, in docs/explain.md."""
    code = (Path(__file__).resolve().parents[1] / "src" / "tokentail" / "explain" / "reconcile.py").read_text(encoding="utf-8")
    names = set(re.findall(r'Reason\("(\w+)"', code))
    text = (Path(__file__).resolve().parents[1] / "docs" / "explain.md").read_text(encoding="utf-8")
    assert len(names) >= 10
    assert [name for name in sorted(names) if f"`{name}`" not in text] == []
