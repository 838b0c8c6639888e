"""Tests of `tokentail.forget`: what is forgotten is gone in full, stays gone whatever is read again, and takes nothing else with it."""

from __future__ import annotations

import random
import sqlite3
from array import array
from collections import defaultdict
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import (
    AT_MS,
    MODEL,
    OWNER,
    OWNERS,
    THRESHOLDS,
    chunk,
    coordinator,
    days_in,
    days_of,
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
from tokentail import database, forget, forgotten, merge, queries
from tokentail.errors import StoreError
from tokentail.forget import Choice
from tokentail.merge import RecordKey
from tokentail.model import Change, Life, Owner, Record, Reply
from tokentail.periods import DAY_MS, QUARTER_MS
from tokentail.store import Store

# Any records, any choice, and all of it read again

CHOICES = (
    st.tuples(
        st.sampled_from([None, ("-a",), ("-b",), ("-b", "-c")]),
        st.sampled_from([None, "s1", "s2"]),
        st.sampled_from([None, 1, AT_MS, AT_MS + 1]),
        st.sampled_from([None, 1, AT_MS, AT_MS + QUARTER_MS]),
    )
    .filter(any)
    .map(lambda parts: Choice(*parts))
)


class Memory:
    """What a person had forgotten, by the rules and without a store."""

    def __init__(self) -> None:
        self.groups: set[str] = set()
        self.requests: set[tuple[str, str]] = set()
        self.shared: set[str] = set()

    def holds(self, key: RecordKey) -> bool:
        return key[0] in self.groups or key[:2] in self.requests

    def left_of(self, lines: Iterable[Record]) -> list[Record]:
        return [line for line in lines if not self.holds(line[:3])]

    def forget(self, lines: Iterable[Record], choice: Choice) -> set[str]:
        """Remember what the choice takes of these lines; gives the keys of the replies."""
        groups: defaultdict[str, list[Record]] = defaultdict(list)
        for each in lines:
            groups[each.group].append(each)
        chosen: set[str] = set()
        for group, members in groups.items():
            messages = merge.messages(members)
            mine = {key for key, reply in replies_of(members).items() if is_chosen(reply, choice)}
            chosen |= mine
            if not mine:
                continue
            if len(messages) == 1 and group not in self.shared:
                self.groups.add(group)
                continue
            self.shared.add(group)
            if mine == messages.keys():
                self.requests |= {(group, member.request_id) for member in members}
            else:
                self.requests |= {(group, member.request_id) for key in mine for member in messages[key]}
        return chosen


def is_chosen(reply: Reply, choice: Choice) -> bool:
    return (
        (choice.projects is None or reply.owner.project in choice.projects)
        and choice.session in (None, reply.owner.session)
        and (choice.start_ms is None or choice.start_ms <= reply.at_ms)
        and (choice.end_ms is None or reply.at_ms < choice.end_ms)
    )


class Log:
    """A few files of a store, each of which grows by a line or is read anew."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lives: dict[int, Life] = {}

    def append(self, number: int, *lines: Record, tail: bool = False) -> None:
        """Lines at the end of a file; the last one may have no newline yet."""
        life = self._lives.get(number)
        change = Change(log_file(f"/logs/-p/f{number}.jsonl", inode=number), life, None)
        start = life.cursor.offset_bytes if life else 0
        made = chunk(*lines, change=change, restarted=life is None, start_bytes=start, tail_lines=int(tail))
        (self._lives[number],) = self._store.apply([made]).lives


def seen_in(db: sqlite3.Connection) -> set[RecordKey]:
    """The records that the sightings lead to; fails where one leads nowhere."""
    seen = {number for (packed,) in db.execute("SELECT records FROM sightings") for number in array("I", packed)}
    keys = {number: key for number, *key in db.execute("SELECT id, group_text, request_id, sidechain FROM records")}
    for number, key, request, sidechain in db.execute("SELECT id, key, request_id, sidechain FROM replies"):
        keys.setdefault(number, [merge.group_of_key(key), request, sidechain])
    return {(keys[number][0], keys[number][1], bool(keys[number][2])) for number in seen}


def check(db: sqlite3.Connection, lines: list[Record]) -> None:
    """The store is one that was only ever given these lines."""
    replies = replies_of(lines)
    assert replies_in(db) == replies
    assert summary_in(db) == summary_of(replies.values(), THRESHOLDS)
    assert hours_in(db) == hours_of(replies.values(), THRESHOLDS)
    assert days_in(db) == days_of(replies.values(), THRESHOLDS)
    assert seen_in(db) == {line[:3] for line in lines}
    strays = "SELECT count(*) FROM extras WHERE reply NOT IN (SELECT id FROM replies)"
    assert db.execute(strays).fetchone() == (0,)
    several = {line[:3] for group in _groups(lines) for line in group if len({each[:3] for each in group}) > 1}
    kept = db.execute("SELECT group_text, request_id, sidechain FROM records")
    assert {(group, request, bool(sidechain)) for group, request, sidechain in kept} == several


def _groups(lines: list[Record]) -> list[list[Record]]:
    groups: defaultdict[str, list[Record]] = defaultdict(list)
    for each in lines:
        groups[each.group].append(each)
    return list(groups.values())


def names_in(db: sqlite3.Connection) -> set[str]:
    return {name for (name,) in db.execute("SELECT name FROM names")}


class Step(NamedTuple):
    file: int
    line: Record
    tail: bool


STEPS = st.lists(st.builds(Step, st.integers(1, 3), records(), st.booleans()), min_size=1, max_size=10)


@settings(deadline=None, max_examples=50)
@given(STEPS, CHOICES, CHOICES, st.lists(OWNERS, min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_what_is_forgotten_stays_forgotten(
    steps: list[Step], first: Choice, second: Choice, owners: list[Owner], rng: random.Random
) -> None:
    """The store is as if only the others had ever been read, also when all is read again, in any order and from forks (R3, R10)."""
    store, memory = memory_store(), Memory()
    log, db = Log(store), store.connection
    for step in steps:
        log.append(step.file, step.line, tail=step.tail)
    lines = [step.line for step in steps]
    for choice in (first, second):
        left = memory.left_of(lines)
        known, seq = set(replies_in(db)), queries.latest_change(db)
        expected = memory.forget(left, choice)
        assert store.forget(choice) == len(expected)
        check(db, memory.left_of(lines))
        for _, event, key in db.execute("SELECT * FROM changes WHERE seq > ? ORDER BY seq", (seq,)):
            assert (key in known) == (event != "new")
            (known.add if event == "new" else known.discard if event == "gone" else id)(key)
        assert known == set(replies_in(db))
        assert expected & known == set() or any("/" in key for key in expected)
    copies = [step.line._replace(owner=rng.choice(owners)) for step in steps]
    again = [*lines, *copies]
    rng.shuffle(again)
    for each in again:
        log.append(rng.randrange(1, 7), each, tail=rng.random() < 0.3)
    check(db, memory.left_of([*lines, *copies]))


# What goes and what stays


def test_a_request_of_a_shared_id_goes_alone() -> None:
    """Gateways may give one id to all requests: another session's stay, and more of them are counted (R3)."""
    store = memory_store()
    log, db = Log(store), store.connection
    other = OWNER._replace(session="s2")
    lines = [record(request_id="r1", usage=usage(7)), record(request_id="r2", owner=other), record(request_id="", usage=usage(3))]
    log.append(1, *lines)
    assert set(replies_in(db)) == {"msg_1/r1", "msg_1/r2"}
    assert store.forget(Choice(session="s1")) == 1
    check(db, lines[1:2])
    assert store.forget(Choice(session="s2")) == 1
    log.append(2, *lines, record(request_id="r3", usage=usage(5)))
    check(db, [record(request_id="r3", usage=usage(5))])


def test_replays_go_with_all_of_a_shared_id() -> None:
    """A side question's copies, which were dropped for their parents, do not come up when these are gone."""
    store = memory_store()
    log, db = Log(store), store.connection
    lines = [record(request_id="r1"), record(request_id="r2"), record(request_id="r9", sidechain=True, usage=usage(900))]
    log.append(1, *lines)
    assert store.forget(Choice(session="s1")) == 2
    check(db, [])
    log.append(2, *lines)
    check(db, [])


def test_a_reply_that_was_forgotten_while_it_was_written() -> None:
    """Its later lines are not counted either; the session's next reply is."""
    store = memory_store()
    log = Log(store)
    log.append(1, record(usage=usage(2), stopped=False))
    store.forget(Choice(session="s1"))
    log.append(1, record(usage=usage(300)), record("msg_2"))
    check(store.connection, [record("msg_2")])


def test_what_arrives_after_the_look_stays() -> None:
    """A person agrees to what was shown: what was counted since is another matter."""
    store = memory_store()
    log = Log(store)
    log.append(1, record())
    taken = forget.preview(store.connection, Choice(session="s1"))
    log.append(1, record("msg_2"))
    assert store.forget(Choice(session="s1", last_id=taken.last_id)) == 1
    check(store.connection, [record("msg_2")])


def test_a_look_tells_exactly_what_would_go() -> None:
    """How many, of how many sessions, of which projects, from when to when, in logs or not, at which prices."""
    store = memory_store()
    log, db = Log(store), store.connection
    spent = usage(iterations=[{"type": "compaction", "model": "claude-haiku-4-5", "input_tokens": 50}])
    log.append(1, record(), record("msg_2", at_ms=AT_MS + DAY_MS, usage=spent, stopped=False), record("msg_1", request_id=""))
    log.append(2, record("msg_3", owner=Owner(False, False, "s2", "-b", "")))
    log.append(3, record("msg_4", owner=Owner(False, True, "s1", "-c", "a1")))
    store.restate([life._replace(state="missing") for life in store.lives() if life.id == 1])
    taken = forget.preview(db, Choice(session="s1"))
    assert taken[:-2] == (3, 1, ["-c", "-home-dev-app"], AT_MS, AT_MS + DAY_MS, 1, 5)
    assert [(cell.at_ms % DAY_MS, cell.model, cell.tokens.input, cell.replies, cell.not_final) for cell in sorted(taken.cells)] == [
        (0, MODEL, 8, 2, 0),
        (0, "claude-haiku-4-5", 50, 0, 0),
        (0, MODEL, 4, 1, 1),
    ]
    log.append(4, record("msg_1", request_id=""))  # one line of one record is enough
    assert forget.preview(db, Choice(session="s1")).in_logs == 2
    assert forget.preview(db, Choice(session="s9"))[:5] == (0, 0, [], 0, 0)
    assert taken.machines == [("", "")]


def test_names_that_nothing_refers_to_go() -> None:
    """Of project, session, agent, model, version and folder no row is left, but for those that others need."""
    store = memory_store()
    log, db = Log(store), store.connection
    mine = record(model="model-x", version="9.9.9", usage=usage(speed="odd"), owner=Owner(True, True, "s1", "-a", "agent-a"))
    log.append(1, mine, record("msg_1", request_id="", owner=mine.owner))
    log.append(2, record("msg_2", owner=Owner(False, False, "s2", "-a", "")))
    store.apply([chunk(record("msg_3", owner=Owner(False, False, "s3", "-b", "")), folder=(5, "/home/dev/b"))])
    store.forget(Choice(session="s1"))
    assert names_in(db) == {MODEL, "2.1.220", "s2", "s3", "-a", "-b", ""}
    assert [form for (form,) in db.execute("SELECT form FROM forms") if "odd" in form] == []
    store.forget(Choice(projects=["-b"]))
    assert db.execute("SELECT count(*) FROM projects").fetchone() == (0,)
    assert names_in(db) == {MODEL, "2.1.220", "s2", "-a", ""}
    check(db, [record("msg_2", owner=Owner(False, False, "s2", "-a", ""))])


def test_lives_of_files_that_are_gone_go() -> None:
    """A file's name says project and session: it stays while the file does, to know how far it was read, or while others stood there."""
    store = memory_store()
    log, db = Log(store), store.connection
    for number, session in ((1, "s1"), (2, "s1"), (3, "s1"), (3, "s2"), (4, "s1")):
        log.append(number, record(f"msg_{number}{session}", owner=OWNER._replace(session=session)))
    store.restate([life._replace(state={2: "missing", 3: "missing", 4: "rewritten"}.get(life.id, "live")) for life in store.lives()])
    db.execute("INSERT INTO rejects VALUES (1, 5, 'odd'), (2, 5, 'odd')")
    store.forget(Choice(session="s1"))
    assert db.execute("SELECT id, state FROM files").fetchall() == [(1, "live"), (3, "missing")]
    assert db.execute("SELECT file FROM rejects").fetchall() == [(1,)]
    log.append(1, record("msg_5"))
    check(db, [record("msg_3s2", owner=OWNER._replace(session="s2")), record("msg_5")])


def test_of_many_the_newest_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of changes holds so many; who follows knows the newest replies."""
    monkeypatch.setattr(forget, "MAX_TOLD", 3)
    store = memory_store()
    log, db = Log(store), store.connection
    for number in (4, 2, 5, 1, 3):
        log.append(1, record(f"msg_{number}", at_ms=AT_MS + number))
    seq = queries.latest_change(db)
    store.forget(Choice(session="s1"))
    assert [change.key for change in queries.changes_between(db, seq, queries.latest_change(db))] == ["msg_3", "msg_4", "msg_5"]
    assert replies_in(db) == {}


def test_sums_of_many_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """From some number on all sums are computed anew: the same comes of it."""
    monkeypatch.setattr(forget, "MANY_PLACES", 2)
    store = memory_store()
    log = Log(store)
    lines = [
        record(f"msg_{number}", at_ms=AT_MS + number * QUARTER_MS, owner=OWNER._replace(session=f"s{number % 2}")) for number in range(9)
    ]
    log.append(1, *lines)
    store.forget(Choice(session="s1"))
    check(store.connection, lines[::2])


def test_the_first_reply_after_all_were_forgotten_is_told() -> None:
    """An empty store that was not always empty has followers who knew what was there."""
    store = memory_store()
    log, db = Log(store), store.connection
    log.append(1, record())
    store.forget(Choice(session="s1"))
    seq = queries.latest_change(db)
    log.append(1, record("msg_2"))
    assert [(change.event, change.key) for change in queries.changes_between(db, seq, queries.latest_change(db))] == [("new", "msg_2")]


def test_a_numbers_name_is_asked_for_again(tmp_path: Path) -> None:
    """Another process keeps the numbers of names in memory: after a forgetting they may be those of others."""
    path = tmp_path / "store.db"
    with closing(opened(path)) as one, closing(opened(path)) as other:
        theirs, mine = record("msg_2", owner=Owner(False, False, "s2", "-b", "")), record("msg_3")
        Log(one).append(1, record())
        other.forget(Choice(session="s1"))
        Log(other).append(2, theirs)
        Log(one).append(3, mine)
        check(one.connection, [theirs, mine])


def test_a_forgetting_that_fails_has_forgotten_nothing() -> None:
    """All of it is one transaction."""
    store = memory_store()
    log, db = Log(store), store.connection
    log.append(1, record(), record("msg_2", at_ms=AT_MS + DAY_MS))
    db.execute("CREATE TRIGGER broken BEFORE DELETE ON names BEGIN SELECT RAISE(ABORT, 'the disk is full'); END")
    with pytest.raises(StoreError, match="the disk is full"):
        store.forget(Choice(session="s1"))
    assert list(forgotten.forgettings(db)) == []
    check(db, [record(), record("msg_2", at_ms=AT_MS + DAY_MS)])
    db.execute("DROP TRIGGER broken")
    assert store.forget(Choice(end_ms=AT_MS + 1)) == 1
    check(db, [record("msg_2", at_ms=AT_MS + DAY_MS)])


def opened(path: Path) -> Store:
    return Store(database.open_for_writing(path), path, thresholds=THRESHOLDS)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("8c1f", ["8c1f-1", "8c1f-2"]),
        ("8c1f-1", ["8c1f-1"]),
        ("8c", ["8c"]),
        ("9", []),
        ("%", []),
    ],
)
def test_sessions_by_the_beginning_of_their_id(text: str, found: list[str]) -> None:
    """A whole id means that session, a part of one all that begin so; no sign in it stands for others."""
    store = memory_store()
    for number, session in enumerate(["8c1f-1", "8c1f-2", "8c"]):
        store.apply([chunk(record(f"msg_{number}", owner=OWNER._replace(session=session)))])
    assert forget.sessions_like(store.connection, text) == found


def test_what_is_deleted_is_overwritten(tmp_path: Path) -> None:
    """Also before the file is written anew, for which there may be no room."""
    path = tmp_path / "store.db"
    with closing(opened(path)) as store:
        store.connection.execute("PRAGMA secure_delete = 0")  # some builds of SQLite always overwrite
        Log(store).append(1, record(owner=OWNER._replace(session="5e551011")), record("msg_2"))
        store.forget(Choice(session="5e551011"))
        store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert b"5e551011" not in path.read_bytes()
        assert b"msg_2" in path.read_bytes()


def test_no_trace_is_left_of_how_the_file_grew(tmp_path: Path) -> None:
    """A page that was split keeps what moved to the other one: only writing the file anew removes it."""
    path = tmp_path / "store.db"
    with closing(opened(path)) as store:
        store.connection.execute("PRAGMA secure_delete = 0")
        log = Log(store)
        for number in range(400):
            log.append(
                1, record(f"msg_{number}", owner=OWNER._replace(session=f"{'secret' if number % 2 else 'other'}-{number % 97}-{number}"))
            )
        for number in range(1, 400, 2):
            store.forget(Choice(session=f"secret-{number % 97}-{number}"))
        store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert b"secret" in path.read_bytes()
        database.wipe(store.connection, path)
        assert b"secret" not in path.read_bytes() + path.with_name("store.db-wal").read_bytes()
        assert b"other-0-0" in path.read_bytes()


def test_a_reader_keeps_traces_for_a_while(tmp_path: Path) -> None:
    """While somebody reads an older state the write-ahead log cannot be emptied, and that is said."""
    path = tmp_path / "store.db"
    with closing(opened(path)) as store, closing(database.open_for_reading(path)) as reader:
        Log(store).append(1, record())
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM replies").fetchone()
        store.forget(Choice(session="s1"))
        store.connection.execute("PRAGMA busy_timeout = 0")
        with pytest.raises(StoreError, match=r"traces of it are still in .*store\.db-wal, which another process reads"):
            database.wipe(store.connection, path)
        reader.execute("COMMIT")
        database.wipe(store.connection, path)
        assert path.with_name("store.db-wal").stat().st_size == 0


def test_a_process_that_runs_on_takes_no_number_for_a_name_that_is_gone(tmp_path: Path) -> None:
    """What another process forgets meanwhile is not known to it any more: new replies of that project get names of their own."""
    logs = write_logs(tmp_path / "logs", {"-app/s1.jsonl": line("msg_1"), "-web/s2.jsonl": line("msg_2")})
    path = tmp_path / "store.db"
    with closing(coordinator(logs, path)) as runs_on, closing(coordinator(logs, path)) as other:
        runs_on.check_for_updates()
        other.check_for_updates()
        other.change_store(lambda store: store.forget(Choice(projects=frozenset({"-app"}))))
        other.change_store(lambda store: store.apply([chunk(record("msg_9", owner=OWNER._replace(session="s9", project="-other")))]))
        with (logs / "-app" / "s1.jsonl").open("ab") as log:
            log.write(line("msg_3"))
        runs_on.check_for_updates()
        owners = {reply.key: reply.owner.project for reply in queries.replies_since(runs_on.db, 0)}
        assert owners == {"msg_2": "-web", "msg_3": "-app", "msg_9": "-other"}
