"""The only place that turns joined records into rows: records, and the replies that groups resolve to."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from itertools import count, islice
from operator import itemgetter

from tokentail import merge
from tokentail.interned import COLUMNS, Interned
from tokentail.merge import RecordKey
from tokentail.model import Owner, Record, Tokens
from tokentail.periods import QUARTER_MS
from tokentail.summaries import summarize, summarize_all

Group = dict[RecordKey, Record]
Touched = tuple[int, Owner]  # a quarter of an hour, and whose replies

_REPLY_COLUMNS = ("id", "key", *COLUMNS, "tier")
_RECORD_COLUMNS = ("id", "group_text", *COLUMNS)
_INSERT_REPLY = f"INSERT OR REPLACE INTO replies ({', '.join(_REPLY_COLUMNS)}) VALUES ({', '.join('?' * len(_REPLY_COLUMNS))})"
_INSERT_RECORD = f"INSERT OR REPLACE INTO records ({', '.join(_RECORD_COLUMNS)}) VALUES ({', '.join('?' * len(_RECORD_COLUMNS))})"
_SELECT_LONE = f"SELECT id, {', '.join(COLUMNS)} FROM replies WHERE key = ?"
_SELECT_GROUP = f"SELECT id, {', '.join(COLUMNS)} FROM records WHERE group_text = ?"
_SELECT_FORMS = "SELECT id, form, input, output, cache_read, cache_write_5m, cache_write_1h FROM replies"
_SELECT_EXTRA_FORMS = """
SELECT extras.rowid, form, extras.input, extras.output, extras.cache_read, extras.cache_write_5m, extras.cache_write_1h
FROM extras JOIN replies ON replies.id = extras.reply"""
_INSERT_EXTRA = """
INSERT INTO extras (reply, model, input, output, cache_read, cache_write_5m, cache_write_1h, tier)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
_group_of = itemgetter(0)
_key_of = itemgetter(slice(3))
_MANY = 5_000  # records: from here on an empty table is filled before its indexes are made


class Tally:
    """What one commit did to the replies."""

    def __init__(self) -> None:
        self.new = self.grown = self.corrected = self.gone = 0
        self.changes: list[tuple[str, str]] = []  # (event, reply key), but for the first fill of a store
        self.touched: set[Touched] = set()  # whose sums are no longer right
        self.records: list[int] = []  # the ids of those that are new, or not as they were


class Ledger:
    """Writes records inside a transaction that the store holds."""

    def __init__(self, connection: sqlite3.Connection, interned: Interned) -> None:
        self._connection = connection
        self._interned = interned
        self._next_id = 0

    def add(self, joined: Group) -> tuple[dict[RecordKey, int], Tally]:
        """Join records into those that are there. Gives the records' ids and what it did to the replies."""
        self._next_id = self._free_id()
        if self._next_id > 1 or self._has_told():
            ids, tally = self._add(joined)
            summarize(self._connection, [(quarter, self._interned.owner(owner)) for quarter, owner in tally.touched])
            return ids, tally
        # The first records of a new store: nothing to tell the followers, who have seen nothing yet.
        with self._indexes_made_afterwards() if len(joined) > _MANY else _as_they_are():
            ids, tally = self._add(joined)
        tally.changes.clear()
        summarize_all(self._connection)
        return ids, tally

    def remove(self, group: str, replies: Collection[str]) -> tuple[dict[RecordKey, int], Tally]:
        """
        Take the requests of some of a group's replies out of it, and resolve the rest anew; with the last reply the replays go, too.

        Gives the records with the ids that they had, and what it did to the replies.
        """
        ids, known = self._load(group)
        old = merge.resolve(known.values())
        parts = merge.messages(known.values())
        leaving = {record.request_id for key, part in parts.items() if key in replies for record in part}
        rest = {} if parts.keys() <= set(replies) else {key: record for key, record in known.items() if key[1] not in leaving}
        new = merge.resolve(rest.values()) if rest else {}
        for key in old:
            self._delete_reply(self._reply_id(key))
        self._connection.execute("DELETE FROM records WHERE group_text = ?", (group,))
        if len(rest) > 1:
            self._write_records(rest.values(), ids)
        # A lone record and its reply share their id.
        for record_key, (key, message) in zip(rest, new.items(), strict=False):
            self._write_reply(ids[record_key], key, message)
        tally = Tally()
        _tell(old, new, tally)
        return {key: number for key, number in ids.items() if key not in rest}, tally

    def summarize_all(self) -> None:
        """Compute every summary and every price tier anew."""
        tier, form = self._interned.tier, self._interned.form_text
        for table, query in (("replies", _SELECT_FORMS), ("extras", _SELECT_EXTRA_FORMS)):
            rows = self._connection.execute(query).fetchall()
            self._connection.executemany(
                f"UPDATE {table} SET tier = ? WHERE rowid = ?", [(tier(form(row[1]), Tokens(*row[2:])), row[0]) for row in rows]
            )
        summarize_all(self._connection)
        # A tier that is left over may be of a prompt class that the price list does not have any more.
        self._connection.execute("DELETE FROM tiers WHERE id NOT IN (SELECT tier FROM replies UNION SELECT tier FROM extras)")

    def _add(self, joined: Group) -> tuple[dict[RecordKey, int], Tally]:
        tally = Tally()
        sizes = Counter(map(_group_of, joined))
        # Groups of one record that the store does not know are nearly all there is: their records are their replies.
        usual = sizes.keys() - {group for group, size in sizes.items() if size > 1} - self._known(sizes)
        ids = self._add_lone([record for record in joined.values() if record[0] in usual], tally)
        if len(usual) == len(sizes):
            return ids, tally
        for group, records in _by_group(record for record in joined.values() if record[0] not in usual).items():
            known_ids, known = self._load(group)
            after = dict(known)
            for record in records:
                before = known.get(record[:3])
                after[record[:3]] = record if before is None else merge.join(before, record)
            ids.update(known_ids if after == known else self._rewrite(known_ids, known, after, tally))
        return ids, tally

    def _known(self, groups: Iterable[str]) -> set[str]:
        """Those of the groups that have records."""
        if self._next_id == 1:
            return set()
        # A group is its reply's key, but for one that resolves to several replies: that one has records.
        keys = {merge.escape(group): group for group in groups}
        known = {keys[key] for key in self._among("SELECT key FROM replies WHERE key IN ({})", keys)}
        return known.union(self._among("SELECT group_text FROM records WHERE group_text IN ({})", set(keys.values()) - known))

    def _among(self, query: str, texts: Iterable[str]) -> Iterator[str]:
        """What the query finds of so many texts: as many questions as it takes, each with as many of them as SQLite is quick with."""
        rest = iter(texts)
        while some := list(islice(rest, 500)):
            for (text,) in self._connection.execute(query.format(", ".join("?" * len(some))), some):
                yield text

    def _add_lone(self, records: list[Record], tally: Tally) -> dict[RecordKey, int]:
        """New groups of one record each: nothing to join and nothing to resolve."""
        first, self._next_id = self._next_id, self._next_id + len(records)
        keys = [merge.escape(record[0]) for record in records]
        self._connection.executemany(_INSERT_REPLY, self._interned.reply_rows(zip(count(first), keys, records, strict=False)))
        for number, record in zip(count(first), records, strict=False):
            if merge.EXTRAS in record[8]:
                self._write_extras(number, record)
        tally.new += len(records)
        tally.records += range(first, self._next_id)
        tally.changes += [("new", key) for key in keys]
        tally.touched.update((record[3] // QUARTER_MS, record[13]) for record in records)
        return dict(zip(map(_key_of, records), count(first), strict=False))

    def _load(self, group: str) -> tuple[dict[RecordKey, int], Group]:
        """The ids and records of a group: a lone one is its reply."""
        rows = self._connection.execute(_SELECT_GROUP, (group,)).fetchall()
        if not rows:
            rows = self._connection.execute(_SELECT_LONE, (merge.escape(group),)).fetchall()
        records = [self._interned.record(group, row[1:]) for row in rows]
        return {record[:3]: row[0] for row, record in zip(rows, records, strict=True)}, {record[:3]: record for record in records}

    def _rewrite(self, ids: dict[RecordKey, int], known: Group, after: Group, tally: Tally) -> dict[RecordKey, int]:
        """Replace what a group resolves to; gives the ids of its records now."""
        old = merge.resolve(known.values()) if known else {}
        new = merge.resolve(after.values())
        old_ids = {key: self._reply_id(key) for key in old}
        ids = {key: ids.get(key) or self._take_id() for key in after}
        tally.records += [ids[key] for key, record in after.items() if record != known.get(key)]
        if len(after) > 1:
            self._write_records(after.values(), ids)
        for key in old.keys() - new.keys():
            self._delete_reply(old_ids[key])
        # So that a lone record and its reply share their id; what is left over goes to the replies of a split.
        kept = {old_ids[key] for key in new.keys() & old.keys()}
        free = [number for number in (*ids.values(), *old_ids.values()) if number not in kept]
        for key, message in new.items():
            if message == old.get(key):
                continue
            reply_id = old_ids[key] if key in old else self._reply_id_among(free)
            self._delete_reply(reply_id)
            self._write_reply(reply_id, key, message)
        _tell(old, new, tally)
        return ids

    def _write_records(self, records: Iterable[Record], ids: dict[RecordKey, int]) -> None:
        rows = [(ids[record[:3]], record.group, *self._interned.row(record)) for record in records]
        self._connection.executemany(_INSERT_RECORD, rows)

    def _write_reply(self, reply_id: int, key: str, message: Record) -> None:
        tier = self._interned.tier(message.form, message.tokens)
        self._connection.execute(_INSERT_REPLY, (reply_id, key, *self._interned.row(message), tier))
        self._write_extras(reply_id, message)

    def _reply_id(self, key: str) -> int:
        return int(self._connection.execute("SELECT id FROM replies WHERE key = ?", (key,)).fetchone()[0])

    def _reply_id_among(self, free: list[int]) -> int:
        if not free:
            return self._take_id()
        chosen = free[0]
        free[:] = [number for number in free if number != chosen]
        return chosen

    def _delete_reply(self, reply_id: int) -> None:
        self._connection.execute("DELETE FROM replies WHERE id = ?", (reply_id,))
        self._connection.execute("DELETE FROM extras WHERE reply = ?", (reply_id,))

    def _write_extras(self, reply_id: int, message: Record) -> None:
        rows = [
            (reply_id, self._interned.name(extra.model or message.model), *extra.tokens, self._interned.tier(message.form, extra.tokens))
            for extra in merge.form_of(message.form).extras
        ]
        self._connection.executemany(_INSERT_EXTRA, rows)

    def _has_told(self) -> bool:
        """Was any change ever written down? Then there are followers who know what was forgotten since."""
        return bool(self._connection.execute("SELECT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'changes')").fetchone()[0])

    def _free_id(self) -> int:
        """Records and replies draw their ids from one sequence."""
        query = "SELECT max(ifnull((SELECT max(id) FROM replies), 0), ifnull((SELECT max(id) FROM records), 0))"
        return int(self._connection.execute(query).fetchone()[0]) + 1

    def _take_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    @contextmanager
    def _indexes_made_afterwards(self) -> Iterator[None]:
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'replies' AND sql NOT NULL"
        indexes = self._connection.execute(query).fetchall()
        for name, _ in indexes:
            self._connection.execute(f"DROP INDEX {name}")
        yield
        for _, statement in indexes:
            self._connection.execute(statement)


@contextmanager
def _as_they_are() -> Iterator[None]:
    yield


def _by_group(records: Iterable[Record]) -> dict[str, list[Record]]:
    groups: dict[str, list[Record]] = {}
    for record in records:
        group = groups.get(record[0])
        if group is None:
            groups[record[0]] = [record]
        else:
            group.append(record)
    return groups


def _tell(old: dict[str, Record], new: dict[str, Record], tally: Tally) -> None:
    """Count the difference between what a group resolved to and what it does now."""
    for key, message in new.items():
        before = old.get(key)
        # Lines can change what is kept for later joins, and nothing that a person sees.
        if before is not None and (before == message or merge.reply(key, before) == merge.reply(key, message)):
            continue
        if before is None:
            tally.new += 1
            tally.changes.append(("new", key))
        elif _has_grown(before, message):
            tally.grown += 1
            tally.changes.append(("grown", key))
        else:
            tally.corrected += 1
            tally.changes.append(("corrected", key))
        tally.touched.update((one.at_ms // QUARTER_MS, one.owner) for one in (before, message) if one is not None)
    for key in old.keys() - new.keys():
        tally.gone += 1
        tally.changes.append(("gone", key))
        tally.touched.add((old[key].at_ms // QUARTER_MS, old[key].owner))


def _has_grown(before: Record, after: Record) -> bool:
    """Every counter is at least what it was, and nothing else that a person sees differs."""
    same = before.at_ms == after.at_ms and before.owner == after.owner and before.model == after.model
    return same and all(old <= new for old, new in zip(before.tokens, after.tokens, strict=True))
