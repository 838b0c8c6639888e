"""
Whether a Bloom filter before the ledger's look-up of known groups pays: a store of ten million replies, with it and without.

The filter says "surely new" or "perhaps known", and the store is asked of the second kind only. It has to know every group of the
store, or a known reply would be taken for a new one. That a wrong "perhaps" changes nothing is proven first, by a filter so small
that nearly all its answers are wrong: the stores are then the same, row by row.
"""

from __future__ import annotations

import random
import sqlite3
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

from rbloom import Bloom

from benchmarks import history, known, year
from benchmarks.bench import Bench
from benchmarks.measure import MeasureError
from benchmarks.results import Row
from tokentail import database, merge, prices
from tokentail.coordinator import BATCH_RECORDS
from tokentail.digest import blake2b
from tokentail.interned import Interned
from tokentail.ledger import Group, Ledger, Tally
from tokentail.merge import RecordKey
from tokentail.model import Change, Chunk, Cursor, LogFile, Owner, Record
from tokentail.periods import QUARTER_MS
from tokentail.store import Store
from tokentail.summaries import settle

WRONG_SHARE = 0.01  # of the answers for new groups
LIVE_COMMITS = 200
FILLED_SHARE = 0.1  # of the replies: what the filling from empty ends with
PROVEN_REPLIES, PROVEN_BATCH, MIN_WRONG = 20_000, 500, 0.9
_OWNER = Owner(False, False, "session-live", "-home-dev-0", "")
_MODEL = "claude-opus-4-8"
_LOG = LogFile("/logs/live.jsonl", "/logs", "live.jsonl", 1, 1, 0, 0, 0)
_LINE_BYTES = 2_500
_PEER = "the ledger as it is"
_GROUPS = "SELECT key FROM replies UNION ALL SELECT group_text FROM records"


class FilteredStore(Store):
    """A store with a filter that learns of every group; it may be left out of the question for a commit."""

    def __init__(self, path: Path, knows: Bloom | None) -> None:
        super().__init__(database.open_for_writing(path), path, thresholds=prices.load().thresholds, clock=known.now)
        self.knows = self.filter = knows
        self.looked_s: list[float] = []  # a commit each
        self.asked = self.saved = self.wrong = 0

    def _add(self, joined: Group) -> tuple[dict[RecordKey, int], Tally]:
        added = _AskingLedger(self.connection, self._interned, self).add(joined)
        settle(self.connection, known.NOW_MS // QUARTER_MS)
        return added


class _AskingLedger(Ledger):
    """The ledger, which asks the filter first."""

    def __init__(self, connection: sqlite3.Connection, interned: Interned, store: FilteredStore) -> None:
        super().__init__(connection, interned)
        self._store = store

    def _known(self, groups: Iterable[str]) -> set[str]:
        store, groups = self._store, list(groups)
        began = time.perf_counter()
        perhaps = groups if store.filter is None else [group for group in groups if merge.escape(group) in store.filter]
        found = super()._known(perhaps) if perhaps else set()
        store.looked_s.append(time.perf_counter() - began)
        if store.knows is not None:
            store.knows.update(map(merge.escape, groups))
        store.asked += len(groups)
        store.saved += len(groups) - len(perhaps)
        store.wrong += len(perhaps) - len(found)
        return found


def run(bench: Bench) -> list[Row]:
    """What the filter costs, and what it saves."""
    kept = known.filled(bench.cache, bench.replies)
    what = f"bloom, {bench.replies / 1e6:.3g} million known replies"
    with bench.scratch() as scratch:
        rows = [prove(scratch), *_filled(scratch, int(bench.replies * FILLED_SHARE))]
        store = known.copy(kept, scratch / "store")
        knows, started = _started(store, bench, what)
        with closing(FilteredStore(store, knows)) as filtered:
            return [*rows, *started, *_bulk(filtered, bench.runs, what), *_live(filtered, what)]


def prove(scratch: Path, *, replies: int = PROVEN_REPLIES) -> Row:
    """
    The same records into a store without a filter, and into one with a filter that is hardly ever right.

    Raises:
        MeasureError: a row of one is not in the other, or the filter was right too often to prove it.
    """
    small = Bloom(8, 0.5)
    small.update(map(str, range(30)))  # nearly full: the first batch, too, is answered wrongly as a rule
    plain, tiny = FilteredStore(scratch / "plain.db", None), FilteredStore(scratch / "tiny.db", small)
    with closing(plain), closing(tiny):
        for store in (plain, tiny):
            writer = history.Writer(store)
            for batch in history.batches(_clashing(replies), PROVEN_BATCH):
                writer.apply(batch)
        _must_be_same(plain, tiny)
        wrong = tiny.wrong / (tiny.wrong + tiny.saved)
    if wrong < MIN_WRONG:
        raise MeasureError(f"the tiny filter was wrong of {wrong:.0%} of the new groups, which proves little")
    return Row(what="bloom, a tiny filter: the same rows", values=(wrong * 100,), unit="%", note="of its answers for new groups wrong")


def _clashing(replies: int) -> Iterator[Chunk]:
    """Replies, then the same ones again in other batches: grown, or under another request."""
    first = list(year.chunks(replies, seed=4))
    yield from first
    for chunk in reversed(first):
        again = [_again(number, record) for number, record in enumerate(chunk.records)]
        yield _chunk(again, chunk.change.file._replace(path=f"{chunk.change.file.path}.1", inode=chunk.change.file.inode + (1 << 30)), 0)


def _again(number: int, record: Record) -> Record:
    if number % 10 == 0:
        return record._replace(request_id=f"{record.request_id}b")
    return record._replace(tokens=record.tokens._replace(output=record.tokens.output + number % 3))


def _filled(scratch: Path, replies: int) -> list[Row]:
    """The filter is right from the start here, as there is nothing that it could have missed."""
    plain, filtered = FilteredStore(scratch / "empty.db", None), FilteredStore(scratch / "filter.db", Bloom(replies * 2, WRONG_SHARE))
    with closing(plain), closing(filtered):
        writers = [history.Writer(plain), history.Writer(filtered)]
        for batch in history.batches(year.chunks(replies, seed=3), BATCH_RECORDS):
            for writer in writers:
                writer.apply(batch)
            writers.reverse()
        if len(plain.looked_s) % 2:
            writers.reverse()
        _must_be_same(plain, filtered)
        what = f"bloom, {replies / 1e6:.3g} million replies into an empty store"
        looked = (sum(filtered.looked_s),), (sum(plain.looked_s),)
    return [
        Row(what=what, values=(writers[1].took_s,), unit="s", peer=_PEER, peer_values=(writers[0].took_s,)),
        Row(what=f"{what}: of that the look-up", values=looked[0], unit="s", peer=_PEER, peer_values=looked[1]),
    ]


def _started(store: Path, bench: Bench, what: str) -> tuple[Bloom, list[Row]]:
    """What there is to be done before the first question: the filter is made from the store, or loaded from a file."""
    with closing(database.open_for_reading(store)) as connection:
        began = time.perf_counter()
        knows = Bloom(bench.replies * 2, WRONG_SHARE)
        knows.update(row[0] for row in connection.execute(_GROUPS))
        made_s = time.perf_counter() - began
        keys = [row[0] for row in connection.execute("SELECT key FROM replies LIMIT 100000")]
    fixed = Bloom(bench.replies * 2, WRONG_SHARE, _fixed_hash)
    file = store.with_suffix(".bloom")
    fixed.save(file)
    loads = tuple(_timed_s(lambda: Bloom.load(file, _fixed_hash)) * 1000 for _ in range(bench.runs))
    quick, slow = (_look_up_us(found, keys) for found in (knows, fixed))
    return knows, [
        Row(what=f"{what}: memory of the filter", values=(knows.size_in_bits / 8e6,), unit="MB"),
        Row(what=f"{what}: to make it from the store", values=(made_s,), unit="s"),
        Row(what=f"{what}: to load it from a file", values=loads, unit="ms"),
        Row(what=f"{what}: a look-up in it", values=(quick,), unit="µs"),
        Row(
            what=f"{what}: a look-up in one that can be a file", values=(slow,), unit="µs", note="(Python's own hash differs at each start)"
        ),
    ]


def _look_up_us(found: Bloom, keys: list[str]) -> float:
    return _timed_s(lambda: [key in found for key in keys]) / len(keys) * 1e6


def _bulk(store: FilteredStore, runs: int, what: str) -> list[Row]:
    """New replies as a cold start brings them, with the filter and without in turn."""
    batches = history.batches(year.chunks(BATCH_RECORDS * (2 * runs + 4), seed=2), BATCH_RECORDS)
    took = _in_turn(store, batches, 2 * runs)
    return _compared(f"{what}: a commit of {BATCH_RECORDS // 1000} 000 new ones", took, 1.0, "s", saved=_saved(store))


def _live(store: FilteredStore, what: str) -> list[Row]:
    """A reply a commit: new ones, and the same again."""
    rng, places = random.Random(7), count(0, _LINE_BYTES)
    records = [year.record(rng, known.NOW_MS + number, _OWNER, _MODEL) for number in range(2 * LIVE_COMMITS)]
    rows = []
    for name, some in (("a new one", records), ("a known one", records)):
        took = _in_turn(store, ([_chunk([record], _LOG, next(places))] for record in some), len(some))
        rows += _compared(f"{what}: a commit of {name}", took, 1000, "ms", saved=_saved(store))
    return rows


def _in_turn(
    store: FilteredStore, batches: Iterable[list[Chunk]], most: int
) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """What each commit took and its look-up, with the filter and without."""
    took: tuple[list[tuple[float, float]], list[tuple[float, float]]] = [], []
    writer = history.Writer(store)
    store.asked = store.saved = 0
    for number, batch in zip(range(most), batches, strict=False):
        is_plain = number % 4 in (1, 2)  # neither of the two is always the later one
        store.filter = None if is_plain else store.knows
        before = writer.took_s
        writer.apply(batch)
        took[is_plain].append((writer.took_s - before, store.looked_s[-1]))
    return took


def _saved(store: FilteredStore) -> float:
    """Of the questions with the filter those that never reached the store; half of all were asked without."""
    return store.saved / (store.asked / 2)


def _compared(
    what: str, took: tuple[list[tuple[float, float]], list[tuple[float, float]]], scale: float, unit: str, *, saved: float
) -> list[Row]:
    filtered, plain = ([tuple(part * scale for part in parts) for parts in zip(*each, strict=True)] for each in took)
    return [
        Row(what=what, values=filtered[0], unit=unit, peer=_PEER, peer_values=plain[0]),
        Row(what=f"{what}: of that the look-up", values=filtered[1], unit=unit, peer=_PEER, peer_values=plain[1]),
        Row(what=f"{what}: look-ups saved", values=(saved * 100,), unit="%"),
    ]


def _chunk(records: list[Record], file: LogFile, start_bytes: int) -> Chunk:
    """A line for each record."""
    size = len(records) * _LINE_BYTES
    cursor = Cursor(start_bytes + size, 1024, bytes(16), 1024, bytes(16))
    return Chunk(
        Change(file, None, None),
        not start_bytes,
        start_bytes,
        cursor,
        records,
        array("I", range(len(records))),
        array("I", range(0, size, _LINE_BYTES)),
    )


def _must_be_same(one: Store, other: Store) -> None:
    """All rows of all tables."""
    tables = [row[0] for row in one.connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    for table in tables:
        width = len(one.connection.execute(f"PRAGMA table_info({table})").fetchall())
        query = f"SELECT * FROM {table} ORDER BY {', '.join(map(str, range(1, width + 1)))}"
        rows = zip(one.connection.execute(query), other.connection.execute(query), strict=True)
        if any(here != there for here, there in rows):
            raise MeasureError(f"with the filter the store differs, in {table}")


def _fixed_hash(key: str) -> int:
    """The same in every process, as a filter in a file needs it."""
    return int.from_bytes(blake2b(key.encode(), digest_size=16).digest(), "little", signed=True)


def _timed_s(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
