"""The only place that turns joined records into rows: records, the replies that groups resolve to, and their summaries."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tokentail import merge
from tokentail.interned import COLUMNS, Interned
from tokentail.model import Record, Tokens
from tokentail.periods import QUARTER_MS

RecordKey = tuple[str, str, bool]  # group, request id, sidechain: what R10 keeps one record of
Group = dict[RecordKey, Record]

_REPLY_COLUMNS = ("id", "key", *COLUMNS, "tier")
_RECORD_COLUMNS = ("id", "group_text", *COLUMNS)
_INSERT_REPLY = f"INSERT OR REPLACE INTO replies ({', '.join(_REPLY_COLUMNS)}) VALUES ({', '.join('?' * len(_REPLY_COLUMNS))})"
_INSERT_RECORD = f"INSERT OR REPLACE INTO records ({', '.join(_RECORD_COLUMNS)}) VALUES ({', '.join('?' * len(_RECORD_COLUMNS))})"
_SELECT_LONE = f"SELECT id, {', '.join(COLUMNS)} FROM replies WHERE key = ?"
_SELECT_GROUP = f"SELECT id, {', '.join(COLUMNS)} FROM records WHERE group_text = ?"
_INSERT_EXTRA = """
INSERT INTO extras (reply, model, input, output, cache_read, cache_write_5m, cache_write_1h, tier)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
# Every row of the summary for a stretch of time: from the replies, and from the extra iterations in them.
_SUMMARIZE = f"""
INSERT INTO quarters (quarter, model, project, tier,
    input, output, cache_read, cache_write_5m, cache_write_1h, replies, not_final, web_searches)
SELECT quarter, model, project, tier,
    sum(input), sum(output), sum(cache_read), sum(cache_write_5m), sum(cache_write_1h), sum(replies), sum(not_final), sum(web_searches)
FROM (
    SELECT at_ms / {QUARTER_MS} AS quarter, model, project, tier,
        input, output, cache_read, cache_write_5m, cache_write_1h, 1 AS replies, 1 - final AS not_final, web_searches
    FROM replies JOIN owners ON owners.id = replies.owner
    WHERE at_ms >= ?1 AND at_ms < ?2
    UNION ALL
    SELECT at_ms / {QUARTER_MS}, extras.model, project, extras.tier,
        extras.input, extras.output, extras.cache_read, extras.cache_write_5m, extras.cache_write_1h, 0, 0, 0
    FROM extras JOIN replies ON replies.id = extras.reply JOIN owners ON owners.id = replies.owner
    WHERE at_ms >= ?1 AND at_ms < ?2
)
GROUP BY quarter, model, project, tier"""
_ALL_TIME = (0, 1 << 62)
_MANY = 5_000  # records: from here on an empty table is filled before its indexes are made


class Tally:
    """What one commit did to the replies."""

    def __init__(self) -> None:
        self.new = self.grown = self.corrected = self.gone = 0
        self.changes: list[tuple[str, str]] = []  # (event, reply key), but for the first fill of a store
        self.quarters: set[int] = set()  # whose sums are no longer right


class Ledger:
    """Writes records inside a transaction that the store holds."""

    def __init__(self, connection: sqlite3.Connection, interned: Interned) -> None:
        self._connection = connection
        self._interned = interned
        self._next_id = 0

    def add(self, joined: Group) -> tuple[dict[RecordKey, int], Tally]:
        """Join records into those that are there. Gives the records' ids and what it did to the replies."""
        self._next_id = self._free_id()
        if self._next_id > 1:
            ids, tally = self._add_to_known(joined)
            self._summarize(tally.quarters)
            return ids, tally
        with self._indexes_made_afterwards() if len(joined) > _MANY else _as_they_are():
            ids, tally = self._fill(joined)
        self._connection.execute("DELETE FROM quarters")
        self._connection.execute(_SUMMARIZE, _ALL_TIME)
        return ids, tally

    def summarize_all(self) -> None:
        """Compute every summary and every price tier anew."""
        rows = self._connection.execute(
            "SELECT id, form, input, output, cache_read, cache_write_5m, cache_write_1h FROM replies"
        ).fetchall()
        tier, form = self._interned.tier, self._interned.form_text
        self._connection.executemany(
            "UPDATE replies SET tier = ? WHERE id = ?", [(tier(form(row[1]), Tokens(*row[2:])), row[0]) for row in rows]
        )
        self._connection.execute("DELETE FROM quarters")
        self._connection.execute(_SUMMARIZE, _ALL_TIME)

    def _fill(self, joined: Group) -> tuple[dict[RecordKey, int], Tally]:
        """The first records of an empty store: nothing to look up, nothing to tell the followers."""
        tally = Tally()
        ids: dict[RecordKey, int] = {}
        rows = []
        row, tier, escape = self._interned.row, self._interned.tier, merge.escape
        groups = _by_group(joined)
        number = self._next_id
        for group, records in groups.items():
            if len(records) > 1:
                continue
            record = records[0]
            ids[record[:3]] = number
            rows.append((number, escape(group), *row(record), tier(record[8], record[6])))
            if merge.EXTRAS in record[8]:
                self._write_extras(number, record)
            number += 1
        self._next_id = number
        tally.new = len(rows)
        self._connection.executemany(_INSERT_REPLY, rows)
        for records in groups.values():
            if len(records) > 1:
                ids.update(self._rewrite({}, {}, {record[:3]: record for record in records}, tally))
        tally.changes.clear()
        return ids, tally

    def _add_to_known(self, joined: Group) -> tuple[dict[RecordKey, int], Tally]:
        tally = Tally()
        ids: dict[RecordKey, int] = {}
        for group, records in _by_group(joined).items():
            known_ids, known = self._load(group)
            after = dict(known)
            for record in records:
                before = known.get(record[:3])
                after[record[:3]] = record if before is None else merge.join(before, record)
            ids.update(known_ids if after == known else self._rewrite(known_ids, known, after, tally))
        return ids, tally

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
        if len(after) > 1:
            rows = [(ids[key], record.group, *self._interned.row(record)) for key, record in after.items()]
            self._connection.executemany(_INSERT_RECORD, rows)
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
            tier = self._interned.tier(message.form, message.tokens)
            self._connection.execute(_INSERT_REPLY, (reply_id, key, *self._interned.row(message), tier))
            self._write_extras(reply_id, message)
        _tell(old, new, tally)
        return ids

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

    def _summarize(self, quarters: Iterable[int]) -> None:
        for quarter in sorted(quarters):
            self._connection.execute("DELETE FROM quarters WHERE quarter = ?", (quarter,))
            self._connection.execute(_SUMMARIZE, (quarter * QUARTER_MS, (quarter + 1) * QUARTER_MS))

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


def _by_group(joined: Group) -> dict[str, list[Record]]:
    groups: dict[str, list[Record]] = {}
    for record in joined.values():
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
        if before == message:
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
        tally.quarters.update(one.at_ms // QUARTER_MS for one in (before, message) if one is not None)
    for key in old.keys() - new.keys():
        tally.gone += 1
        tally.changes.append(("gone", key))
        tally.quarters.add(old[key].at_ms // QUARTER_MS)


def _has_grown(before: Record, after: Record) -> bool:
    """Every counter is at least what it was, and nothing else that a person sees differs."""
    same = before.at_ms == after.at_ms and before.owner == after.owner and before.model == after.model
    return same and all(old <= new for old, new in zip(before.tokens, after.tokens, strict=True))
