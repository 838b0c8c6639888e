"""Tests of `tokentail.verify`: a right store agrees with the logs, and a wrong one does not."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from builders import coordinator, line, many_lines, usage, write_logs
from tokentail import database, queries
from tokentail.cli import main
from tokentail.coordinator import UpdateCoordinator
from tokentail.demo.tree import TreePlan, write_tree
from tokentail.recount import Place, recount
from tokentail.sources import LocalFolders
from tokentail.verify import Verdict, verdict_text, verify

MAIN = "-home-dev-app/s1.jsonl"
ADD_REPLY = (
    "INSERT INTO replies SELECT 999, 'msg_made_up', request_id, sidechain, at_ms, model, version, input, output, cache_read,"
    " cache_write_5m, cache_write_1h, thinking, form, flags, stopped, final, web_searches, owner, tier"
    " FROM replies WHERE key = 'msg_7'"
)
SPENT = {"input_tokens": 1, "output_tokens": 2, "iterations": [{"type": "compaction", "input_tokens": 9}]}


class Checked:
    """A folder of logs with its store."""

    def __init__(self, folder: Path) -> None:
        self.logs = write_logs(
            folder / "logs", {MAIN: many_lines(20), "-home-dev-web/s2.jsonl": many_lines(3) + line("msg_x", usage=SPENT)}
        )
        self.engine: UpdateCoordinator = coordinator(self.logs, folder / "store.db")
        self.engine.check_for_updates()

    @property
    def main(self) -> Path:
        return self.logs / MAIN

    def verify(self) -> Verdict:
        """One pass, and then the verdict."""
        self.engine.check_for_updates()
        return self.verify_store()

    def verify_store(self) -> Verdict:
        return verify(self.engine.db, recount(LocalFolders([self.logs])))

    def tamper(self, statement: str) -> None:
        self.engine.db.execute(statement)


@pytest.fixture
def checked(tmp_path: Path) -> Iterator[Checked]:
    made = Checked(tmp_path)
    yield made
    made.engine.close()


# Agreement


@pytest.mark.parametrize("is_in_log", [False, True])
def test_what_another_machine_sent_is_in_order(checked: Checked, is_in_log: bool) -> None:
    """A record that no log here gives is told apart; one that the logs give, too, may say more than they do."""
    group = "msg_7" if is_in_log else "msg_elsewhere"
    ours = queries.records_of(checked.engine.db, "msg_7")[0]
    theirs = ours._replace(group=group, tokens=ours.tokens._replace(output=ours.tokens.output + 1))
    checked.engine.change_store(lambda store: store.take([theirs]))
    verdict = checked.verify_store()
    assert verdict.agrees
    assert verdict.only_elsewhere == (not is_in_log)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_store_of_generated_logs_agrees(tmp_path: Path, seed: int) -> None:
    """Of logs with copies, side questions, subagents, extras and dirt, the store holds what an independent count finds."""
    plan = TreePlan(
        seed=seed,
        total_bytes=700_000,
        files=25,
        days=9,
        projects=5,
        resumed_share=0.5,
        side_question_share=0.5,
        never_final_share=0.1,
        missing_request_share=0.1,
        extra_share=0.1,
        web_search_share=0.1,
        fast_share=0.3,
        text_scale=0.3,
        dirty=True,
    )
    truth = write_tree(tmp_path, plan)
    with closing(coordinator(tmp_path / "projects", tmp_path / "store.db")) as engine:
        engine.check_for_updates()
        counted = recount(LocalFolders([tmp_path / "projects"]))
        verdict = verify(engine.db, counted)
    assert verdict.differences == []
    assert verdict == Verdict(truth.totals.replies, truth.totals.replies, 0, 0, [])
    assert "The store and the logs agree." in verdict_text(verdict, counted)


def test_an_empty_store_of_no_logs_agrees(tmp_path: Path) -> None:
    """Nothing is as it should be."""
    with closing(coordinator(write_logs(tmp_path / "logs", {}), tmp_path / "store.db")) as engine:
        engine.check_for_updates()
        assert verify(engine.db, recount(LocalFolders([tmp_path / "logs"]))) == Verdict(0, 0, 0, 0, [])


# What the store has beyond the logs


def test_replies_of_deleted_files_are_accounted_for(checked: Checked) -> None:
    """What stood only in a file that is gone stays counted, and is said to."""
    checked.main.unlink()
    assert checked.verify() == Verdict(4, 21, 17, 0, [])


def test_replies_that_a_rewrite_removed_are_accounted_for(checked: Checked) -> None:
    """What stood only in lines that a rewrite removed stays counted, and is said to."""
    rest = many_lines(20).splitlines(keepends=True)[12:]
    checked.main.write_bytes(b"".join(rest))
    assert checked.verify() == Verdict(12, 21, 0, 9, [])


def test_a_file_cut_short_is_a_rewrite(checked: Checked) -> None:
    """Lines that were cut off stay counted."""
    os.truncate(checked.main, sum(map(len, many_lines(20).splitlines(keepends=True)[:15])))
    assert checked.verify() == Verdict(16, 21, 0, 5, [])


def test_rewritten_and_then_deleted_counts_as_deleted(checked: Checked) -> None:
    """A reply whose last lines went with their file is only in a deleted file; one that a rewrite removed before is not."""
    checked.main.write_bytes(b"".join(many_lines(20).splitlines(keepends=True)[10:]))
    checked.engine.check_for_updates()
    checked.main.unlink()
    assert checked.verify() == Verdict(4, 21, 10, 7, [])


def test_a_reply_with_a_greater_copy_in_a_deleted_file_agrees(checked: Checked) -> None:
    """The store may know more of a reply than the logs still say, if a file that said it is gone."""
    other = checked.logs / "-home-dev-app" / "s9.jsonl"
    other.write_bytes(line("msg_7", output=5000, sessionId="s0", timestamp="2026-01-01T00:00:00.000Z"))
    checked.engine.check_for_updates()
    other.unlink()
    assert checked.verify() == Verdict(21, 21, 0, 0, [])


def test_a_reply_with_a_greater_copy_in_a_file_that_is_there_differs(checked: Checked) -> None:
    """The store may not know more than the logs say while all its files stand."""
    checked.tamper("UPDATE replies SET output = output + 1 WHERE key = 'msg_7'")
    assert [found.key for found in checked.verify_store().differences if "summary" not in found.key] == ["msg_7"]


def test_a_split_group_with_a_deleted_part_agrees(checked: Checked) -> None:
    """A reply may have another key than the logs would give it, if a file with its other request is gone."""
    other = checked.logs / "-home-dev-app" / "s9.jsonl"
    other.write_bytes(line("msg_7", requestId="req_other"))
    checked.engine.check_for_updates()
    other.unlink()
    verdict = checked.verify()
    assert verdict.differences == []
    assert (verdict.replies_in_logs, verdict.replies_in_store) == (21, 22)


def test_a_replay_whose_parent_is_deleted_agrees(checked: Checked) -> None:
    """A side question's copies are dropped for a parent that the logs no longer show."""
    parent, replay = checked.logs / "-home-dev-app" / "s8.jsonl", checked.logs / "-home-dev-app" / "agent-a1.jsonl"
    parent.write_bytes(line("msg_p", output=3))
    replay.write_bytes(line("msg_p", output=900, requestId="req_side", isSidechain=True))
    checked.engine.check_for_updates()
    parent.unlink()
    verdict = checked.verify()
    assert verdict.differences == []


# Tampering


@pytest.mark.parametrize(
    ("statement", "key", "why"),
    [
        ("UPDATE replies SET output = 1 WHERE key = 'msg_7'", "msg_7", "tokens: store Tokens(input=4, output=1,"),
        ("UPDATE replies SET at_ms = at_ms + 1 WHERE key = 'msg_7'", "msg_7", "at_ms: store "),
        ("UPDATE replies SET final = 0 WHERE key = 'msg_7'", "msg_7", "final: store False, logs True"),
        ("UPDATE replies SET web_searches = 3 WHERE key = 'msg_7'", "msg_7", "web_searches: store 3, logs 0"),
        ("UPDATE replies SET owner = owner + 1 WHERE key = 'msg_7'", "msg_7", "owner: store "),
        ("DELETE FROM replies WHERE key = 'msg_7'", "msg_7", "the logs give it, and the store does not have it"),
        (
            ADD_REPLY,
            "msg_made_up",
            "the store has it, and no line of the logs gives it",
        ),
        ("UPDATE replies SET key = 'msg_renamed' WHERE key = 'msg_19'", "msg_19", "the logs give it, and the store does not have it"),
    ],
    ids=["output", "time", "final", "searches", "owner", "deleted", "added", "renamed"],
)
def test_a_tampered_reply_is_found(checked: Checked, statement: str, key: str, why: str) -> None:
    """A row of a reply that was changed, removed or added by hand is a difference, and it is said which."""
    checked.tamper("INSERT INTO owners SELECT id + 1, 1, 1, session, project, agent, user, host FROM owners ORDER BY id DESC LIMIT 1")
    checked.tamper(statement)
    verdict = checked.verify_store()
    assert not verdict.agrees
    (found,) = [difference for difference in verdict.differences if difference.key == key]
    assert why in found.why


def test_the_lines_that_explain_a_difference_are_named(checked: Checked) -> None:
    """Each difference comes with the places of the lines that the logs, or the store, have for it."""
    checked.tamper("UPDATE replies SET output = 1 WHERE key = 'msg_2'")
    checked.tamper("UPDATE replies SET key = 'msg_renamed' WHERE key = 'msg_1'")
    places = {found.key: found.places for found in checked.verify_store().differences if "summary" not in found.key}
    lengths = [len(each) for each in many_lines(3).splitlines(keepends=True)]
    paths = [str(checked.main), str(checked.logs / "-home-dev-web" / "s2.jsonl")]
    assert places == {
        "msg_1": [Place(path, lengths[0]) for path in paths],
        "msg_2": [Place(path, lengths[0] + lengths[1]) for path in paths],
        "msg_renamed": [Place(path, lengths[0]) for path in paths],
    }


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE quarters SET output = output + 1 WHERE quarter = (SELECT max(quarter) FROM quarters)",
        "DELETE FROM quarters WHERE quarter = (SELECT min(quarter) FROM quarters)",
        "INSERT INTO quarters SELECT quarter + 1, owner, model, tier, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0 FROM quarters LIMIT 1",
        "UPDATE quarters SET tier = (SELECT max(id) FROM tiers) WHERE quarter = (SELECT max(quarter) FROM quarters)",
        "UPDATE quarters SET owner = (SELECT max(id) FROM owners) + 1 WHERE quarter = (SELECT max(quarter) FROM quarters)",
        "UPDATE quarters SET last_ms = last_ms + 1 WHERE quarter = (SELECT max(quarter) FROM quarters)",
        "UPDATE days SET first_ms = first_ms - 1 WHERE day = (SELECT min(day) FROM days)",
        "DELETE FROM days WHERE day = (SELECT max(day) FROM days)",
        "UPDATE hours SET input = input - 1 WHERE hour = (SELECT max(hour) FROM hours)",
        "DELETE FROM hours WHERE hour = (SELECT min(hour) FROM hours)",
    ],
    ids=["changed", "removed", "added", "tier", "owner", "moment", "day-moment", "day-removed", "hour-changed", "hour-removed"],
)
def test_a_tampered_summary_is_found(checked: Checked, statement: str) -> None:
    """Reports are made from the summaries, so these have to be what the replies add up to."""
    checked.tamper("INSERT INTO tiers SELECT max(id) + 1, 1, 'a', 'b', 'c' FROM tiers")
    checked.tamper(statement)
    differences = checked.verify_store().differences
    assert differences != []
    assert all(found.key.startswith("the summary of the ") and not found.places for found in differences)


# On the command line


@pytest.fixture
def words(checked: Checked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """`tokentail verify` of the same logs, with a store of its own that knows them."""
    monkeypatch.setenv("TOKENTAIL_HOME", str(tmp_path / "home"))
    words = ["verify", "--source", str(checked.logs)]
    assert main(words) == 0
    return words


def test_the_command_says_that_they_agree(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 0, and the numbers on stdout."""
    capsys.readouterr()
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("The logs hold 21 replies (2 files, ")
    assert out.endswith("The store and the logs agree.\n")


def test_the_command_shows_the_difference(words: list[str], checked: Checked, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, each difference, and under it the lines that explain it."""
    path = database.store_path(tmp_path / "home", [checked.logs])
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE replies SET output = 1 WHERE key = 'msg_2'")
        db.execute("UPDATE replies SET final = 0 WHERE key = 'msg_7'")
    capsys.readouterr()
    assert main(words) == 1
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    place = sum(map(len, many_lines(20).splitlines(keepends=True)[:7]))
    assert "They DISAGREE in 8 places:" in lines  # with the summaries by quarter, hour and day, which hold what was right
    said = lines.index("  msg_7: final: store False, logs True")
    assert lines[said + 1] == f"    {checked.main}: at byte {place}"
    summaries = [line for line in lines if line.startswith("  the summary of the hour 2026-01-01 14:00 UTC, claude-opus-5 0 standard: ")]
    assert [line.partition(": ")[2][:45] for line in summaries] == ["it holds [4, 3, 2000, 0, 300, 1, 0, 0, 176727"]


def test_the_command_names_lines_that_could_not_be_read(words: list[str], checked: Checked, capsys: pytest.CaptureFixture[str]) -> None:
    """A malformed line is shown, and is no difference."""
    with checked.main.open("ab") as log:
        offset = log.tell()
        log.write(b'{"usage": oops}\n')
    capsys.readouterr()
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "1 lines could not be read:" in out
    assert f"  {checked.main}: at byte {offset}: " in out


def test_a_long_list_of_differences_is_cut(checked: Checked) -> None:
    """However much is wrong, the first differences are shown and all are counted."""
    with checked.main.open("ab") as log:
        log.write(many_lines(80, first=100))
    checked.engine.check_for_updates()
    checked.tamper("DELETE FROM replies")
    counted = recount(LocalFolders([checked.logs]))
    said = verdict_text(verify(checked.engine.db, counted), counted)
    assert "They DISAGREE in " in said
    assert said.count("the logs give it") == 50


def test_text_of_a_log_is_harmless_in_the_verdict(checked: Checked, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Names from logs are hostile text: no control byte of theirs reaches the terminal."""
    with checked.main.open("ab") as log:
        log.write(line("msg_\x1b[2J\x07", usage=usage(3)))
    assert main(words) == 0
    path = next((Path(os.environ["TOKENTAIL_HOME"])).glob("*.db"))
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE replies SET output = 77 WHERE key LIKE 'msg_%2J%'")
    capsys.readouterr()
    assert main(words) == 1
    out = capsys.readouterr().out
    assert "2J" in out
    assert "\x1b" not in out
    assert "\x07" not in out
