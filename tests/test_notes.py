"""Tests of `tokentail.notes`: what is written down of passes, and when."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tokentail import database
from tokentail.model import Metrics
from tokentail.notes import Notes
from tokentail.passes import PassCounter
from tokentail.store import Store

FOUND = Metrics(files_checked=2, files_read=1, bytes_read=100, entries_parsed=1, replies_new=1, took_s=0.25)
NOTHING = Metrics(files_checked=2, took_s=0.25)


@pytest.fixture(name="store")
def fixture_store(tmp_path: Path) -> Iterator[Store]:
    path = tmp_path / "store.db"
    with closing(database.open_for_writing(path)) as db:
        yield Store(db, path, thresholds=[])


def noted(store: Store) -> list[dict[str, Any]]:
    return [json.loads(row[0]) for row in store.connection.execute("SELECT metrics FROM passes ORDER BY id")]


def counted(*late_ms: float) -> PassCounter:
    counter = PassCounter(lambda: 0.0)
    counter.late_ms += late_ms
    return counter


def test_a_lone_pass(store: Store) -> None:
    """One that found something is noted at once; one that found nothing is not worth a write."""
    notes = Notes()
    notes.add(store, 1, counted(), NOTHING, mode=None, pending=0)
    notes.add(store, 2, counted(), FOUND, mode=None, pending=0)
    assert noted(store) == [FOUND._asdict()]
    assert notes.recent is None


def test_passes_of_one_second_are_one_note(store: Store) -> None:
    """While we lead: the first pass is noted at once, those of the second after it together, and how we fare."""
    notes = Notes()
    notes.add(store, 1, counted(3.0), FOUND, mode="events", pending=0)
    for late_ms in (1.0, 2.0):
        notes.add(store, 2, counted(late_ms), FOUND, mode="polling", pending=7)
    first = {**FOUND._asdict(), "mode": "events", "pending": 0, "looks": 1}
    shares = [[2, 2], [100, 100], [1, 1], [0.5, 0.5], [250.0, 250.0]]
    assert noted(store) == [{**first, "recent": [1, shares, [3.0, 3.0]]}]
    notes.write(store)
    assert noted(store)[1]["bytes_read"] == 200
    assert {name: noted(store)[1][name] for name in ("mode", "pending", "looks", "recent")} == {
        "mode": "polling",
        "pending": 7,
        "looks": 2,
        "recent": [3, shares, [2.0, 3.0]],
    }
    notes.write(store)
    assert len(noted(store)) == 2


def test_no_room_for_a_note(store: Store) -> None:
    """What it is about was committed: it is no error, and it is written when there is room."""
    notes = Notes()
    store.connection.execute("PRAGMA query_only = 1")
    notes.add(store, 1, counted(), FOUND, mode="events", pending=0)
    notes.write(store)
    assert noted(store) == []
    store.connection.execute("PRAGMA query_only = 0")
    notes.write(store)
    assert [each["looks"] for each in noted(store)] == [1]
