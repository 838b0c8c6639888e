"""Tests of `tokentail.sighted`: the lines behind a reply are those that were read, each once, and they stand where the reports say."""

from __future__ import annotations

import sqlite3
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from builders import STATES, chunk, log_file, memory_store, record, records, replies_in, store_of_lives
from tokentail import merge, provenance, sighted
from tokentail.model import Change, Provenance, Record

LIVES = st.lists(st.tuples(STATES, st.lists(records(), max_size=6)), max_size=3)


def places(db: sqlite3.Connection, key: str) -> list[sighted.Sighting]:
    """The lines of a reply, without replays."""
    behind = sighted.behind(db, [key])[key]
    found = sighted.sightings(db, {each.number for each in behind.records})
    return [seen for each in found.values() for seen in each]


@settings(deadline=None, max_examples=100)
@given(LIVES)
def test_a_reply_stands_where_the_reports_say(lives: list[tuple[str, list[Record]]]) -> None:
    """On disk, deleted or rewritten: the first of these that one of its lines is, by two ways of looking."""
    db = store_of_lives(*lives).connection
    stands = provenance.stands(db)
    for key, number in db.execute("SELECT key, id FROM replies").fetchall():
        expected = "on_disk" if stands is None else Provenance._fields[int(stands.replies[number : number + 1])]
        assert min((seen.stands for seen in places(db, key)), key=Provenance._fields.index) == expected


@settings(deadline=None, max_examples=100)
@given(LIVES)
def test_every_line_is_behind_a_reply_or_a_replay(lives: list[tuple[str, list[Record]]]) -> None:
    """As many as were read of each group, and none twice."""
    db = store_of_lives(*lives).connection
    read = Counter(each.group for _, lines in lives for each in lines)
    behind = sighted.behind(db, replies_in(db))
    found: Counter[str] = Counter()
    for key, each in behind.items():
        numbers = {record.number for record in (*each.records, *each.replays)}
        found[merge.group_of_key(key)] += sum(map(len, sighted.sightings(db, numbers).values()))
    assert found == read


@settings(deadline=None, max_examples=100)
@given(LIVES)
def test_a_record_leads_back_to_its_replies(lives: list[tuple[str, list[Record]]]) -> None:
    """Whichever it is made of, and a replay to those of its group."""
    db = store_of_lives(*lives).connection
    for key, each in sighted.behind(db, replies_in(db)).items():
        for known in (*each.records, *each.replays):
            assert key in sighted.keys_of(db, [known.number])


def test_a_line_that_was_read_twice_is_one() -> None:
    """Such as a last line that had no newline yet."""
    store = memory_store()
    first = chunk(record(), tail_lines=1)
    (life,) = store.apply([first]).lives
    store.apply([chunk(record(), change=Change(first.change.file, life, None), restarted=False)])
    assert [seen.offset_bytes for seen in places(store.connection, "msg_1")] == [0]


def test_the_records_of_some_files() -> None:
    """And of no others."""
    store = memory_store()
    chunks = [
        chunk(record(f"msg_{number}"), change=Change(log_file(f"/logs/-home-dev-app/s{number}.jsonl", inode=number), None, None))
        for number in (1, 2)
    ]
    store.apply(chunks)
    files = {file.path: number for number, file in sighted.files(store.connection).items()}
    found = sighted.numbers_in(store.connection, [files["/logs/-home-dev-app/s2.jsonl"]])
    assert sighted.keys_of(store.connection, found) == {"msg_2"}
