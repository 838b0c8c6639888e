"""The only place that holds the store against a full re-read of the logs."""

from __future__ import annotations

import os
import sqlite3
import sys
from array import array
from typing import NamedTuple

from tokentail import merge, queries
from tokentail.model import Reply
from tokentail.recount import Place, Recount

MAX_SHOWN = 50


class Difference(NamedTuple):
    """A reply on which the store and the logs disagree."""

    key: str
    why: str
    places: list[Place]  # the lines that explain it


class Verdict(NamedTuple):
    replies_in_logs: int
    replies_in_store: int
    only_deleted: int  # replies whose every line stood in files that are gone
    only_rewritten: int  # replies whose every line was removed by a rewrite
    differences: list[Difference]

    @property
    def agrees(self) -> bool:
        return not self.differences


def verify(db: sqlite3.Connection, recount: Recount) -> Verdict:
    """
    Would merging the full re-read into the store change nothing, and is all that the store has beyond it accounted for?

    A reply may stand in the store with more than the logs hold now only if some of its lines were in files that are gone
    or in a life that a rewrite ended.
    """
    stored = {reply.key: reply for reply in queries.replies_since(db, 0)}
    standing = _standing(db)
    found = {reply.key: reply for reply in recount.replies}
    differences = []
    for key, reply in found.items():
        why = _compare(stored.get(key), reply, standing.get(key, frozenset()))
        if why:
            differences.append(Difference(key, why, recount.sightings.get(key, [])))
    deleted = rewritten = 0
    for key in stored.keys() - found.keys():
        states = standing.get(key, frozenset())
        if "live" in states or not states:
            differences.append(Difference(key, "the store has it, and no line of the logs gives it", _places(db, key)))
        elif "missing" in states:
            deleted += 1
        else:
            rewritten += 1
    return Verdict(len(found), len(stored), deleted, rewritten, sorted(differences))


def verdict_text(verdict: Verdict, recount: Recount) -> str:
    """The verdict for people, with the lines that explain each difference and the lines that could not be read."""
    lines = [
        f"The logs hold {verdict.replies_in_logs:,} replies ({recount.files:,} files, {recount.bytes_read / 1e6:,.1f} MB).",
        f"The store holds {verdict.replies_in_store:,} replies.",
        f"  {verdict.only_deleted:,} of them stand only in files that are gone.",
        f"  {verdict.only_rewritten:,} of them stand only in lines that a rewrite removed.",
    ]
    if recount.malformed_lines:
        lines.append(f"{recount.malformed_lines:,} lines could not be read:")
        lines += [f"  {reject.path}: at byte {reject.offset_bytes}: {reject.reason}" for reject in recount.rejects[:MAX_SHOWN]]
    if verdict.agrees:
        return "\n".join([*lines, "The store and the logs agree."])
    lines.append(f"They DISAGREE on {len(verdict.differences):,} replies:")
    for difference in verdict.differences[:MAX_SHOWN]:
        lines.append(f"  {difference.key}: {difference.why}")
        lines += [f"    {place.path}: at byte {place.offset_bytes}" for place in difference.places[:10]]
    return "\n".join(lines)


def _compare(stored: Reply | None, found: Reply, states: frozenset[str]) -> str:
    if stored is None:
        return "the logs give it, and the store does not have it"
    # Flags only say how a number was read; all that is counted is compared.
    ours, theirs = stored._replace(flags=0), found._replace(flags=0)
    if ours == theirs:
        return ""
    names = [name for name in Reply._fields if getattr(ours, name) != getattr(theirs, name)]
    if states - {"live"} and _is_beyond(ours, theirs):
        return ""
    return "; ".join(f"{name}: store {getattr(stored, name)!r}, logs {getattr(found, name)!r}" for name in names)


def _is_beyond(stored: Reply, found: Reply) -> bool:
    """Does the store's reply hold at least all that the logs' does?"""
    return (
        stored.at_ms <= found.at_ms
        and stored.tokens.output >= found.tokens.output
        and stored.final >= found.final
        and stored.web_searches >= found.web_searches
        and stored.owner <= found.owner
    )


def _standing(db: sqlite3.Connection) -> dict[str, frozenset[str]]:
    """For each reply key, the states of the file lives that its group was sighted in."""
    states: dict[int, set[str]] = {}
    for state, packed in db.execute("SELECT files.state, records FROM sightings JOIN files ON files.id = sightings.file"):
        for record in set(_unpacked(packed)):
            states.setdefault(record, set()).add(state)
    group_states: dict[str, set[str]] = {}
    for record, group in db.execute("SELECT id, group_text FROM records"):
        group_states.setdefault(group, set()).update(states.get(record, ()))
    standing: dict[str, frozenset[str]] = {}
    for number, key in db.execute("SELECT id, key FROM replies"):
        group = merge.group_of_key(key)
        standing[key] = frozenset(group_states[group] if group in group_states else states.get(number, ()))
    return standing


def _places(db: sqlite3.Connection, key: str) -> list[Place]:
    """Where the store says that a reply's group was sighted, in files that are there."""
    group = merge.group_of_key(key)
    numbers = {row[0] for row in db.execute("SELECT id FROM records WHERE group_text = ?", (group,))}
    numbers |= {row[0] for row in db.execute("SELECT id FROM replies WHERE key = ?", (key,))}
    places = []
    for path, start, records, offsets in db.execute(
        "SELECT path, start_bytes, records, offsets FROM sightings JOIN files ON files.id = sightings.file WHERE state = 'live'"
    ):
        pairs = zip(_unpacked(records), _unpacked(offsets), strict=True)
        places += [Place(os.fsdecode(path), start + offset) for record, offset in pairs if record in numbers]
    return places


def _unpacked(packed: bytes) -> array[int]:
    numbers = array("I")
    numbers.frombytes(packed)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
