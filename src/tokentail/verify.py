"""The only place that holds the store against a full re-read of the logs."""

from __future__ import annotations

import json
import os
import sqlite3
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from functools import reduce
from typing import Any, NamedTuple

from tokentail import database, merge, periods, queries
from tokentail.forgotten import among
from tokentail.interned import unpack_numbers
from tokentail.model import Record, Reply
from tokentail.periods import DAY_MS, HOUR_MS, QUARTER_MS
from tokentail.provenance import has_elsewhere
from tokentail.recount import Place, Recount

MAX_SHOWN = 50
_UNKNOWN = "the store has it, and no line of the logs gives it"
_ELSEWHERE = "elsewhere"  # beside the states of file lives


class Difference(NamedTuple):
    """A reply on which the store and the logs disagree, or a summary on which the store disagrees with itself."""

    key: str
    why: str
    places: list[Place]  # the lines that explain it


class Verdict(NamedTuple):
    replies_in_logs: int
    replies_in_store: int
    only_deleted: int  # replies whose every line stood in files that are gone
    only_rewritten: int  # replies whose every line was removed by a rewrite
    differences: list[Difference]
    forgotten: int = 0  # of the replies in the logs: on purpose, so that the store must not have them
    only_elsewhere: int = 0  # replies that other machines have sent

    @property
    def agrees(self) -> bool:
        return not self.differences


def verify(db: sqlite3.Connection, recount: Recount) -> Verdict:
    """
    Would merging the full re-read into the store change nothing, and is all that the store has beyond it accounted for?

    A reply may stand in the store with more than the logs hold now only if some of its lines were in files that are gone
    or in a life that a rewrite ended, or on another machine.
    And do the summaries, which reports are made from, hold what the replies add up to?
    """
    with database.snapshot(db):
        return _verdict(db, recount)


def verdict_text(verdict: Verdict, recount: Recount) -> str:
    """The verdict for people, with the lines that explain each difference and the lines that could not be read."""
    lines = [
        f"The logs hold {verdict.replies_in_logs:,} replies ({recount.files:,} files, {recount.bytes_read / 1e6:,.1f} MB).",
        *([f"  {verdict.forgotten:,} of them were forgotten on purpose."] if verdict.forgotten else []),
        f"The store holds {verdict.replies_in_store:,} replies.",
        f"  {verdict.only_deleted:,} of them stand only in files that are gone.",
        f"  {verdict.only_rewritten:,} of them stand only in lines that a rewrite removed.",
        *([f"  {verdict.only_elsewhere:,} of them come from other machines."] if verdict.only_elsewhere else []),
    ]
    if recount.malformed_lines:
        lines.append(f"{recount.malformed_lines:,} lines could not be read:")
        lines += [f"  {reject.path}: at byte {reject.offset_bytes}: {reject.reason}" for reject in recount.rejects[:MAX_SHOWN]]
    if verdict.agrees:
        return "\n".join([*lines, "The store and the logs agree."])
    return "\n".join([*lines, f"They DISAGREE in {len(verdict.differences):,} places:", *difference_lines(verdict)])


def difference_lines(verdict: Verdict) -> list[str]:
    """The differences, each followed by the lines of the logs that explain it."""
    lines = []
    for difference in verdict.differences[:MAX_SHOWN]:
        lines.append(f"  {difference.key}: {difference.why}")
        lines += [f"    {place.path}: at byte {place.offset_bytes}" for place in difference.places[:10]]
    return lines


def _verdict(db: sqlite3.Connection, recount: Recount) -> Verdict:
    stored = {reply.key: reply for reply in queries.replies_since(db, 0)}
    states, sent = _states(db), has_elsewhere(db)
    kept = _without_forgotten(db, recount)
    found = {reply.key: reply for reply in kept.replies}
    differences = []
    for key, reply in found.items():
        group = merge.group_of_key(key)
        why = _compare(stored.get(key), reply)
        if why and not ((sent or states[group] - {"live"}) and _is_beyond(queries.records_of(db, group), reply)):
            differences.append(Difference(key, why, kept.sightings.get(key, [])))
    in_logs = {merge.group_of_key(key) for key in found}
    deleted = rewritten = elsewhere = 0
    for key in stored.keys() - found.keys():
        group = merge.group_of_key(key)
        if not states[group] or ("live" in states[group] and not (states[group] - {"live"} and group in in_logs)):
            differences.append(Difference(key, _UNKNOWN, []))
        elif "live" not in states[group]:
            deleted += "missing" in states[group]
            rewritten += "missing" not in states[group] and "rewritten" in states[group]
            elsewhere += states[group] == {_ELSEWHERE}
    differences += _wrong_summaries(db, stored.values())
    forgotten = len(recount.replies) - len(kept.replies)
    return Verdict(len(recount.replies), len(stored), deleted, rewritten, _placed(db, sorted(differences)), forgotten, elsewhere)


def _without_forgotten(db: sqlite3.Connection, recount: Recount) -> Recount:
    """What the logs give when the lines are left out that the store was told to forget."""
    gone = among(db, [(group, request, False) for group, request in recount.requests])
    return recount.without({key[:2] for key in gone}) if gone else recount


def _compare(stored: Reply | None, found: Reply) -> str:
    if stored is None:
        return "the logs give it, and the store does not have it"
    # Flags only say how a number was read; all that is counted is compared.
    ours, theirs = stored._replace(flags=0), found._replace(flags=0)
    names = [name for name in Reply._fields if getattr(ours, name) != getattr(theirs, name)]
    return "; ".join(f"{name}: store {getattr(stored, name)!r}, logs {getattr(found, name)!r}" for name in names)


def _is_beyond(records: list[Record], found: Reply) -> bool:
    """Do a group's records hold at least all that the logs say of a reply of it, whichever replies they make in the store?"""
    if not records:
        return False
    whole = reduce(merge.join, (record._replace(request_id="", sidechain=False) for record in records))
    return (
        whole.at_ms <= found.at_ms
        and whole.tokens.output >= found.tokens.output
        and whole.final >= found.final
        and whole.web_searches >= found.web_searches
        and whole.owner <= found.owner
    )


def _states(db: sqlite3.Connection) -> defaultdict[str, set[str]]:
    """For each group of records, the states of the file lives that it was sighted in; a record of no log is one of another machine."""
    by_record: dict[int, set[str]] = {}
    for state, packed in db.execute("SELECT files.state, records FROM sightings JOIN files ON files.id = sightings.file"):
        for record in set(unpack_numbers(packed)):
            by_record.setdefault(record, set()).add(state)
    states: defaultdict[str, set[str]] = defaultdict(set)
    nowhere = {_ELSEWHERE} if has_elsewhere(db) else set()
    for record, group in db.execute("SELECT id, group_text FROM records"):
        states[group] |= by_record.get(record, nowhere)
    several = set(states)
    for number, key in db.execute("SELECT id, key FROM replies"):
        if (group := merge.group_of_key(key)) not in several:
            states[group] |= by_record.get(number, nowhere)
    return states


_Sums = dict[tuple[Any, ...], list[int]]  # (quarter, hour or day, owner's parts, model, prompt class, speed, geo, service tier)
_ROW = """prompt_class, speed, geo, service_tier,
    input, output, cache_read, cache_write_5m, cache_write_1h, replies, not_final, web_searches, first_ms, last_ms"""
_BY_OWNER = f"""
SELECT {{unit}}, iif(copied, 'copied', ''), iif(subagent, 'subagent', ''), sessions.name, projects.name, agents.name,
    users.name, hosts.name, models.name, {_ROW}
FROM {{table}} JOIN names AS models ON models.id = model JOIN tiers ON tiers.id = tier JOIN owners ON owners.id = owner
JOIN names AS sessions ON sessions.id = session JOIN names AS projects ON projects.id = project JOIN names AS agents ON agents.id = agent
JOIN names AS users ON users.id = user JOIN names AS hosts ON hosts.id = host"""
_BY_HOUR = f"SELECT hour, models.name, {_ROW} FROM hours JOIN names AS models ON models.id = model JOIN tiers ON tiers.id = tier"


def _wrong_summaries(db: sqlite3.Connection, replies: Iterable[Reply]) -> list[Difference]:
    """The rows of the summaries that are not what the replies add up to."""
    (beyond,) = db.execute("SELECT quarter FROM settled").fetchone()
    quarters, hours, days = {key: row for key, row in _sums(db, replies).items() if key[0] < beyond}, _Sums(), _Sums()
    for (quarter, *key), row in quarters.items():
        if quarter // 4 < beyond // 4:
            _add(hours, (quarter // 4, *key[7:]), row)
        if quarter // 96 < beyond // 96:
            _add(days, (quarter // 96, *key), row)
    tables = (
        ("quarter", QUARTER_MS, quarters, _BY_OWNER.format(unit="quarter", table="quarters")),
        ("hour", HOUR_MS, hours, _BY_HOUR),
        ("day", DAY_MS, days, _BY_OWNER.format(unit="day", table="days")),
    )
    differences = []
    for unit, unit_ms, right, query in tables:
        kept = {row[:-10]: list(row[-10:]) for row in db.execute(query)}
        for place in right.keys() | kept.keys():
            ours, theirs = kept.get(place, "nothing"), right.get(place, "nothing")
            if ours != theirs:
                names = " ".join(filter(None, map(str, place[1:])))
                name = f"the summary of the {unit} {periods.at(place[0] * unit_ms):%Y-%m-%d %H:%M} UTC, {names}"
                differences.append(Difference(name, f"it holds {ours}, the replies in the store add up to {theirs}", []))
    return differences


def _sums(db: sqlite3.Connection, replies: Iterable[Reply]) -> _Sums:
    """What the summary by quarters of an hour must hold."""
    thresholds = json.loads(db.execute("SELECT value FROM meta WHERE name = 'thresholds'").fetchone()[0])
    sums = _Sums()
    for reply in replies:
        own = (reply.model, reply.tokens, (1, int(not reply.final), reply.web_searches))
        for model, tokens, counts in (own, *((extra.model, extra.tokens, (0, 0, 0)) for extra in reply.extras)):
            tier = (bisect_left(thresholds, tokens.prompt), reply.speed, reply.geo, reply.service_tier)
            copied, subagent, *names = reply.owner
            owner = ("copied" if copied else "", "subagent" if subagent else "", *names)
            _add(sums, (reply.at_ms // QUARTER_MS, *owner, model, *tier), [*tokens, *counts, reply.at_ms, reply.at_ms])
    return sums


def _add(sums: _Sums, key: tuple[Any, ...], row: list[int]) -> None:
    """Counters add up; of the moments the first and the last stay."""
    known = sums.get(key)
    if known is None:
        sums[key] = list(row)
        return
    for index, count in enumerate(row[:8]):
        known[index] += count
    known[8:] = min(known[8], row[8]), max(known[9], row[9])


def _placed(db: sqlite3.Connection, differences: list[Difference]) -> list[Difference]:
    """With the places where the store says that it saw what no line gives; of those that are shown, as all sightings are gone through."""
    wanted = {each.key: _numbers(db, each.key) for each in differences[:MAX_SHOWN] if each.why == _UNKNOWN}
    if not wanted:
        return differences
    keys = {number: key for key, numbers in wanted.items() for number in numbers}
    places: dict[str, list[Place]] = {key: [] for key in wanted}
    for path, start, records, offsets in db.execute(
        "SELECT path, start_bytes, records, offsets FROM sightings JOIN files ON files.id = sightings.file WHERE state = 'live'"
    ):
        for record, offset in zip(unpack_numbers(records), unpack_numbers(offsets), strict=True):
            if record in keys:
                places[keys[record]].append(Place(os.fsdecode(path), start + offset))
    return [each._replace(places=places.get(each.key, each.places)) for each in differences]


def _numbers(db: sqlite3.Connection, key: str) -> set[int]:
    """Of the records and replies of a reply's group."""
    numbers = {row[0] for row in db.execute("SELECT id FROM records WHERE group_text = ?", (merge.group_of_key(key),))}
    return numbers | {row[0] for row in db.execute("SELECT id FROM replies WHERE key = ?", (key,))}
