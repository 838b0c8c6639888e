"""Tests of `tokentail.store`: what was read and how far it was read are one commit, and no history of commits changes the counts."""

from __future__ import annotations

import json
import os
import sqlite3
from array import array
from collections import defaultdict
from functools import reduce
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import (
    SCHEMA,
    THRESHOLDS,
    after,
    chunk,
    coordinator,
    hours_in,
    hours_of,
    line,
    log_file,
    memory_store,
    record,
    records,
    replies_in,
    replies_of,
    summary_in,
    summary_of,
    usage,
    write_logs,
)
from tokentail import merge, queries
from tokentail.errors import StoreError
from tokentail.model import RULES_VERSION, START, Change, Chunk, Cursor, Life, Record, Reject
from tokentail.store import MAX_REJECTS, Store

LINE_BYTES = 100
Sighting = tuple[int, int, tuple[str, str, bool]]  # file life, offset, record key


# Any sequence of commits


class Part(NamedTuple):
    """What one chunk of a commit does to one of a few files."""

    file: int
    how: str  # append, rewrite (a proof failed), replace (another inode), again (an earlier chunk is applied once more)
    lines: list[Record]
    tail: bool  # the last line has no newline yet


PARTS = st.builds(
    Part,
    st.integers(0, 2),
    st.sampled_from(["append", "append", "append", "rewrite", "replace", "again"]),
    st.lists(records(), max_size=4),
    st.booleans(),
)
COMMITS = st.lists(st.lists(PARTS, min_size=1, max_size=3), min_size=1, max_size=6)


class History:
    """Applies commits to a store, and keeps what the rules make of them."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.all: list[Record] = []
        self.lives: dict[str, Life] = {}
        self.ended: set[int] = set()
        self.sighted: defaultdict[int, list[tuple[int, int, tuple[str, str, bool]]]] = defaultdict(list)  # life: (row start, offset, key)
        self.taken_back: list[tuple[int, tuple[str, str, bool]]] = []  # last lines without newline that were not there again
        self.applied: list[tuple[Chunk, list[Record]]] = []

    def commit(self, parts: list[Part]) -> None:
        last_of_file = {part.file: number for number, part in enumerate(parts)}
        made: list[tuple[Chunk, list[Record]]] = []
        open_files: dict[str, Chunk] = {}
        for number, part in enumerate(parts):
            if part.how == "again" and self.applied and not open_files:
                made += self._again()
                break
            tail = part.tail and bool(part.lines) and last_of_file[part.file] == number
            made.append((self._chunk(part, open_files, tail), part.lines))
        before = dict(self.lives)
        applied = self.store.apply([each for each, _ in made])
        self.all += [line for _, lines in made for line in lines]
        for (each, _), life in zip(made, applied.lives, strict=True):
            self._remember(each, life, before)
        self.applied += made

    def _chunk(self, part: Part, open_files: dict[str, Chunk], tail: bool) -> Chunk:
        """The next chunk of a file; a file that has one in this commit already goes on with the same change."""
        path = f"/logs/-p/s{part.file}.jsonl"
        previous = open_files.get(path)
        life = self.lives.get(path)
        if previous is not None:
            change, cursor = previous.change, previous.cursor
        else:
            file = log_file(path, inode=part.file)
            change = Change(file, None, life) if part.how == "replace" else Change(file, life, None)
            cursor = START if change.life is None else change.life.cursor
        restarted = part.how in ("rewrite", "replace") or (previous is None and change.life is None)
        start = 0 if restarted else cursor.offset_bytes
        made = chunk(*part.lines, change=change, restarted=restarted, start_bytes=start, tail_lines=int(tail))
        open_files[path] = made
        return made

    def _again(self) -> list[tuple[Chunk, list[Record]]]:
        """An earlier chunk, read once more from the start of its file."""
        each, lines = self.applied[len(self.applied) // 2]
        path = each.change.file.path
        change = Change(each.change.file, self.lives[path], None)
        return [(chunk(*lines, change=change, restarted=True, tail_lines=each.tail_lines), lines)]

    def _remember(self, each: Chunk, life: Life, before: dict[str, Life]) -> None:
        path = each.change.file.path
        known = self.lives.get(path) or before.get(path)
        if known is not None and known.id != life.id:
            self.ended.add(known.id)
        self.lives[path] = life
        if not each.restarted:
            behind_it = {row[1:] for row in self.sighted[life.id] if row[0] >= each.start_bytes}
            seen = zip((each.records[which] for which in each.seen_records), each.seen_offsets, strict=True)
            again = {(each.start_bytes + at, one[:3]) for one, at in seen if one == self._joined(one[:3])}
            self.taken_back += behind_it - again
            self.sighted[life.id] = [row for row in self.sighted[life.id] if row[0] < each.start_bytes]
        for number, (index, offset) in enumerate(zip(each.seen_records, each.seen_offsets, strict=True)):
            behind = number >= len(each.seen_records) - each.tail_lines
            start = each.cursor.offset_bytes if behind else each.start_bytes
            self.sighted[life.id].append((start, each.start_bytes + offset, each.records[index][:3]))

    def _joined(self, key: tuple[str, str, bool]) -> Record:
        """All lines of a record; what stands in a file again may be less than what stood there before."""
        return reduce(merge.join, (each for each in self.all if each[:3] == key))


def sightings_in(db: sqlite3.Connection) -> list[Sighting]:
    """Every sighting, its record looked up by its id; fails where an id leads nowhere."""
    found: list[Sighting] = []
    for life, start, packed, offsets in db.execute("SELECT file, start_bytes, records, offsets FROM sightings"):
        numbers, places = array("I", packed), array("I", offsets)
        found += [(life, start + place, record_of_id(db, number)) for number, place in zip(numbers, places, strict=True)]
    return sorted(found)


def record_of_id(db: sqlite3.Connection, number: int) -> tuple[str, str, bool]:
    row = db.execute("SELECT group_text, request_id, sidechain FROM records WHERE id = ?", (number,)).fetchone()
    if row is None:
        row = db.execute("SELECT key, request_id, sidechain FROM replies WHERE id = ?", (number,)).fetchone()
        row = (merge.group_of_key(row[0]), *row[1:])
    return row[0], row[1], bool(row[2])


def check_everything(history: History) -> None:
    """The store is what the rules make of all records that it was ever given."""
    db = history.store.connection
    replies = replies_of(history.all)
    assert replies_in(db) == replies
    assert summary_in(db) == summary_of(replies.values(), THRESHOLDS)
    assert hours_in(db) == hours_of(replies.values(), THRESHOLDS)
    expected = sorted((life, offset, key) for life, rows in history.sighted.items() for _, offset, key in rows)
    found = sightings_in(db)
    assert [row for row in found if row[0] in history.sighted] == expected
    # What was taken back stands in lives of its own, that have ended.
    others = [row for row in found if row[0] not in history.sighted]
    assert sorted(row[1:] for row in others) == sorted(history.taken_back)
    states = dict(db.execute("SELECT id, state FROM files"))
    assert {number for number, state in states.items() if state == "rewritten"} == history.ended | {row[0] for row in others}
    assert {life.id for life in history.lives.values()} == {life.id for life in history.store.lives()}
    assert {life.id: life.cursor for life in history.lives.values()} == {life.id: life.cursor for life in history.store.lives()}
    strays = "SELECT count(*) FROM extras WHERE reply NOT IN (SELECT id FROM replies)"
    assert db.execute(strays).fetchone() == (0,)


def any_history(commits: list[list[Part]]) -> None:
    history = History(memory_store())
    for parts in commits:
        history.commit(parts)
        check_everything(history)


@settings(deadline=None, max_examples=60)
@given(COMMITS)
def test_any_history_gives_what_the_rules_give(commits: list[list[Part]]) -> None:
    """After every commit replies, summaries, sightings and cursors are those of all records so far (R3, R10)."""
    any_history(commits)


@pytest.mark.slow
@settings(deadline=None, max_examples=500)
@given(COMMITS)
def test_any_history_gives_what_the_rules_give_at_length(commits: list[list[Part]]) -> None:
    """The same with many more histories."""
    any_history(commits)


@settings(deadline=None, max_examples=60)
@given(COMMITS)
def test_changes_tell_the_whole_story(commits: list[list[Part]]) -> None:
    """Who replays the changes onto the replies of an earlier moment has those of now; nothing else changed."""
    history = History(memory_store())
    db = history.store.connection
    followed = None
    for parts in commits:
        before, seen = replies_in(db), queries.latest_change(db)
        history.commit(parts)
        now, told = replies_in(db), queries.changes_between(db, seen, queries.latest_change(db))
        if not before:
            assert told == []  # the first fill is not told: who starts then asks for the replies
            followed = set(now)
            continue
        assert followed is not None
        for _, event, key in db.execute("SELECT * FROM changes WHERE seq > ? ORDER BY seq", (seen,)):
            assert (key in followed) == (event != "new")
            (followed.add if event == "new" else followed.discard if event == "gone" else id)(key)
        assert followed == now.keys()
        assert {key for key in before.keys() | now.keys() if before.get(key) != now.get(key)} == {change.key for change in told}
        assert {change.key: change.reply for change in told} == {change.key: now.get(change.key) for change in told}
        assert {change.key: change.event == "new" for change in told} == {change.key: change.key not in before for change in told}


@settings(deadline=None, max_examples=30)
@given(COMMITS, st.randoms(use_true_random=False))
def test_order_and_repetition_change_nothing(commits: list[list[Part]], random: object) -> None:
    """The same records in another order, and all of them twice, give the same replies and summaries."""
    parts = [part._replace(how="append") for commit in commits for part in commit]
    first, second = History(memory_store()), History(memory_store())
    for part in parts:
        first.commit([part])
    shuffled = [*parts, *parts]
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # a random.Random, which the strategy does not say
    for part in shuffled:
        second.commit([part])
    assert replies_in(first.store.connection) == replies_in(second.store.connection)
    assert summary_in(first.store.connection) == summary_in(second.store.connection)


# File lives and cursors


def test_a_new_store_remembers_what_an_older_one_wrote() -> None:
    """Another process, with nothing in memory, goes on where the first one stopped."""
    first = memory_store()
    (life,) = first.apply([chunk(record(), record("msg_2"))]).lives
    second = Store(first.connection, Path("in-memory.db"), thresholds=THRESHOLDS)
    assert second.lives() == [life]
    made = after(chunk(), life, record("msg_3"), record(request_id="req_2"))
    tally = second.apply([made]).tally
    assert (tally.new, tally.gone) == (3, 1)
    assert [each.cursor.offset_bytes for each in second.lives()] == [400]


def test_a_life_that_ends_in_the_commit_that_began_it_is_kept() -> None:
    """A file that is rewritten while it is read has two lives in one commit; the sightings of both have their file."""
    store = memory_store()
    change = Change(log_file(), None, None)
    first = chunk(record(), change=change, rejects=[Reject(50, "not JSON")])
    second = chunk(record("msg_2"), change=change)
    lives = store.apply([first, second]).lives
    assert [life.id for life in lives] == [1, 2]
    states = store.connection.execute("SELECT id, state, offset_bytes, malformed_lines FROM files ORDER BY id").fetchall()
    assert states == [(1, "rewritten", 100, 1), (2, "live", 100, 0)]


def test_a_life_that_is_continued_and_then_ends_keeps_its_last_cursor() -> None:
    """Of a life that goes on and ends in one commit the last cursor is kept, and its sightings."""
    store = memory_store()
    (life,) = store.apply([chunk(record())]).lives
    more = after(chunk(), life, record("msg_2"))
    store.apply([more, chunk(record("msg_3"), change=more.change)])
    states = store.connection.execute("SELECT id, state, offset_bytes FROM files ORDER BY id").fetchall()
    assert states == [(1, "rewritten", 200), (2, "live", 100)]


def test_a_file_may_span_commits() -> None:
    """A file that is read in pieces has one life, however the pieces are cut into commits."""
    store = memory_store()
    change = Change(log_file(), None, None)
    store.apply([chunk(record(), change=change, rejects=[Reject(0, "x")])])
    store.apply([chunk(record("msg_2"), change=change, restarted=False, start_bytes=100, rejects=[Reject(100, "y")])])
    assert [(life.id, life.cursor.offset_bytes) for life in store.lives()] == [(1, 200)]
    assert queries.malformed_lines(store.connection) == 2


def test_a_tail_is_seen_once() -> None:
    """A last line without its newline is read again: it has one sighting before and after its newline came."""
    store = memory_store()
    (life,) = store.apply([chunk(record(), record("msg_2"), tail_lines=1)]).lives
    assert life.cursor == Cursor(100)
    assert sightings_in(store.connection) == [(1, 0, record()[:3]), (1, 100, record("msg_2")[:3])]
    store.apply([after(chunk(), life, record("msg_2"), record("msg_3"))])
    expected = [(1, 0, record()[:3]), (1, 100, record("msg_2")[:3]), (1, 200, record("msg_3")[:3])]
    assert sightings_in(store.connection) == expected


def test_file_names_of_any_bytes_come_back() -> None:
    """A path is kept byte by byte, whatever its encoding."""
    store = memory_store()
    path = os.fsdecode(b"/logs/-caf\xe9 \xf0\x9f\x92\xa1/\xff.jsonl")
    store.apply([chunk(record(), change=Change(log_file(path), None, None))])
    assert [life.file.path for life in store.lives()] == [path]


def test_numbers_of_a_file_system_may_be_of_any_size(tmp_path: Path) -> None:
    """Some file systems number files beyond 2^63, and a clock may be centuries off: such a file is read like any other."""
    store = memory_store()
    file = log_file()._replace(device=2**64 - 1, inode=2**64 - 2, mtime_ns=2**63 + 5, ctime_ns=-(2**63) - 7)
    store.apply([chunk(record(), change=Change(file, None, None))])
    assert [life.file for life in store.lives()] == [file]


def test_a_file_that_is_gone_and_back_is_restated() -> None:
    """A state can change without a read."""
    store = memory_store()
    (life,) = store.apply([chunk(record())]).lives
    store.restate([life._replace(state="missing")])
    assert [each.state for each in store.lives()] == ["missing"]
    store.restate([])
    store.restate([life])
    assert store.lives() == [life]


# Malformed lines, folders, passes


def test_malformed_lines_are_counted_all_and_named_up_to_a_limit() -> None:
    """A file full of rubbish cannot fill the store: so many lines are named, all are counted."""
    store = memory_store()
    rejects = [Reject(number, "not JSON") for number in range(MAX_REJECTS - 1)]
    (life,) = store.apply([chunk(record(), rejects=rejects)]).lives
    more = after(chunk(), life, record("msg_2"))
    more.rejects += [Reject(5_000 + number, "not JSON") for number in range(10)]
    (life,) = store.apply([more]).lives
    last = after(chunk(), life, record("msg_3"))
    last.rejects.append(Reject(9_000, "not JSON"))
    store.apply([last])
    assert store.connection.execute("SELECT count(*) FROM rejects").fetchone() == (MAX_REJECTS,)
    assert queries.malformed_lines(store.connection) == MAX_REJECTS + 10


def test_a_rewritten_file_starts_counting_malformed_lines_anew() -> None:
    """Only lines that stand in a file's present life count as malformed."""
    store = memory_store()
    (life,) = store.apply([chunk(record(), rejects=[Reject(0, "not JSON")] * 3)]).lives
    store.apply([chunk(record(), change=Change(log_file(), life, None), rejects=[Reject(7, "not JSON")])])
    assert queries.malformed_lines(store.connection) == 1


def test_a_project_is_called_by_its_earliest_folder() -> None:
    """Of all working folders under a slug the one with the least time, then name, is shown, in whatever order they come."""
    for order in ([(5, "/b"), (3, "/z"), (3, "/c")], [(3, "/c"), (5, "/b"), (3, "/z")]):
        store = memory_store()
        for folder in order:
            store.apply([chunk(record(), folder=folder)])
        assert queries.project_folders(store.connection) == {"-home-dev-app": "/c"}


def test_of_idle_passes_only_the_newest_stays() -> None:
    """Looks that found nothing do not push those that did out of the list."""
    store = memory_store()
    for at_ms, idle in ((1, False), (2, True), (3, True), (4, False), (5, True)):
        store.add_pass(at_ms, {"files_read": 0}, idle=idle)
    assert [each.at_ms for each in queries.passes(store.connection, 10)] == [5, 4, 1]


# Records without a log


def test_kept_records_join_what_is_there(tmp_path: Path) -> None:
    """Records of a damaged store join those of the logs, and stand in a file that is gone."""
    store = memory_store()
    lines = [record(), record("msg_2", usage=usage(5)), record("msg_2", request_id="req_2")]
    assert store.keep(tmp_path / "old.db", iter(lines)) == 3
    store.apply([chunk(record("msg_2", usage=usage(6)))])
    assert replies_in(store.connection) == replies_of([*lines, record("msg_2", usage=usage(6))])
    assert next((life.file.path, life.state) for life in store.lives()) == (str(tmp_path / "old.db"), "missing")
    assert {key for _, _, key in sightings_in(store.connection)} == {each[:3] for each in lines}


def test_keeping_nothing_changes_nothing(tmp_path: Path) -> None:
    """A store from which nothing could be read leaves no trace in the new one."""
    store = memory_store()
    assert store.keep(tmp_path / "old.db", []) == 0
    assert store.lives() == []


# Failures


def test_a_failed_commit_leaves_nothing(tmp_path: Path) -> None:
    """When the disk is full rows and cursors stay as they were; the next try gives what it would have given at once."""
    store = memory_store()
    (life,) = store.apply([chunk(record())]).lives
    pages = store.connection.execute("PRAGMA page_count").fetchone()[0]
    store.connection.execute(f"PRAGMA max_page_count = {pages}")
    lines = [record(f"msg_{number}", model=f"m{number}", owner=record().owner._replace(session=f"s{number}")) for number in range(2_000)]
    big = after(chunk(), life, *lines)
    with pytest.raises(StoreError, match=r"cannot write the store in-memory\.db: database or disk is full .*use --no-store"):
        store.apply([big])
    assert (replies_in(store.connection), store.lives()) == (replies_of([record()]), [life])
    assert store.connection.execute("SELECT count(*) FROM names WHERE name LIKE 'm%'").fetchone() == (0,)
    # Nothing that was numbered in the failed commit may be used again.
    store.connection.execute("PRAGMA max_page_count = 1000000")
    store.apply([big])
    assert replies_in(store.connection) == replies_of([record(), *lines])
    assert summary_in(store.connection) == summary_of(replies_of([record(), *lines]).values(), THRESHOLDS)


def test_a_reader_that_blocks_is_named(tmp_path: Path) -> None:
    """When another program holds the database's own lock, the message names the store and what to do."""
    path = tmp_path / "store.db"
    ours = sqlite3.connect(path, isolation_level=None, timeout=0)
    ours.executescript(SCHEMA)
    store = Store(ours, path, thresholds=THRESHOLDS)
    other = sqlite3.connect(path, isolation_level=None, timeout=0)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match=r"cannot write the store .*store\.db: database is locked"):
        store.apply([chunk(record())])
    other.execute("ROLLBACK")
    assert store.apply([chunk(record())]).tally.new == 1
    other.close()
    store.close()


# Rules and thresholds


def test_the_rules_version_is_written_down() -> None:
    """A store says by which version of the rules it was counted."""
    meta = dict(memory_store().connection.execute("SELECT name, value FROM meta"))
    assert meta == {"rules_version": str(RULES_VERSION), "thresholds": json.dumps(THRESHOLDS)}


@settings(deadline=None, max_examples=20)
@given(st.lists(records(), min_size=1, max_size=6), st.sets(st.sampled_from([0, 3, 4, 10, 11, 2000, 2304]), max_size=3).map(sorted))
def test_a_price_list_with_other_thresholds_moves_the_tiers(lines: list[Record], thresholds: list[int]) -> None:
    """Price tiers follow the price list: where its long-context limits changed, tiers and summaries are computed anew."""
    store = memory_store()
    store.apply([chunk(*lines)])
    again = Store(store.connection, Path("in-memory.db"), thresholds=thresholds)
    assert summary_in(again.connection) == summary_of(replies_of(lines).values(), thresholds)
    assert hours_in(again.connection) == hours_of(replies_of(lines).values(), thresholds)
    again.apply([chunk(record("msg_9"))])
    assert summary_in(again.connection) == summary_of(replies_of([*lines, record("msg_9")]).values(), thresholds)


def test_fewer_thresholds_leave_no_tier_over() -> None:
    """What prices a store can ask for is what its list has: a prompt class beyond the thresholds is gone with them."""
    store = memory_store((10, 1000))
    store.apply([chunk(record())])
    again = Store(store.connection, Path("in-memory.db"), thresholds=(10,))
    assert again.connection.execute("SELECT DISTINCT prompt_class FROM tiers").fetchall() == [(1,)]


def test_the_same_thresholds_write_nothing() -> None:
    """Opening a store that is as it should be is no write."""
    store = memory_store()
    written = store.connection.total_changes
    Store(store.connection, Path("in-memory.db"), thresholds=THRESHOLDS)
    assert store.connection.total_changes == written


# With real files


def test_no_line_of_a_log_enters_the_store(tmp_path: Path) -> None:
    """Prompts, answers, tool input and titles stay in the logs: no page of the store holds a word of them."""
    secret = "the quick brown secret"
    said = [{"type": "text", "text": secret}]
    data = line(usage=usage(3, note=secret, **{secret: 1}), title=secret, content=said)
    data += (
        b'{"type":"user","message":{"content":"' + secret.encode() + b'"},"usage":"' + secret.encode() + b'"}\n{"usage" ' + secret.encode()
    )
    data += b"\n"
    logs = write_logs(tmp_path / "logs", {"-home-dev-app/s1.jsonl": data})
    engine = coordinator(logs, tmp_path / "home" / "store.db")
    engine.check_for_updates()
    assert len(replies_in(engine.db)) == 1
    assert queries.malformed_lines(engine.db) == 1
    kept = b"".join(path.read_bytes() for path in (tmp_path / "home").iterdir())
    engine.close()
    kept += b"".join(path.read_bytes() for path in (tmp_path / "home").iterdir())
    assert secret.encode() not in kept
    assert b"quick" not in kept


def test_half_a_surrogate_pair_does_not_stop_a_pass(tmp_path: Path) -> None:
    """Text that cannot be written as UTF-8 spoils nothing but itself, wherever in a line it stands."""
    half = "\\ud800"
    plain = line().decode()
    odd = [
        plain.replace("s1", half),
        plain.replace("standard", half),
        plain.replace("/home/dev/app", half),
        plain.replace("2.1.220", half).replace("msg_1", f"x{half}"),
    ]
    logs = write_logs(tmp_path / "logs", {"-home-dev-app/s1.jsonl": "".join(odd).encode() + line("msg_2")})
    engine = coordinator(logs, tmp_path / "store.db")
    engine.check_for_updates()
    assert {reply.id for reply in replies_in(engine.db).values()} == {"msg_1", "x\ufffd", "msg_2"}
    engine.close()


def test_changes_are_dropped_before_a_pass_and_not_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much one pass changes, a follower is told all of it; what is older than the newest few is dropped later."""
    monkeypatch.setattr("tokentail.store.MAX_CHANGES", 3)
    store = memory_store()
    for number in range(9):  # the first fill of an empty store is no news
        store.apply([chunk(record(f"msg_{number}"))])
    kept = "SELECT count(*), max(seq) FROM changes"

    assert store.connection.execute(kept).fetchone() == (8, 8)
    store.trim_changes()
    assert store.connection.execute(kept).fetchone() == (3, 8)
    store.trim_changes()
    assert store.connection.execute(kept).fetchone() == (3, 8)
