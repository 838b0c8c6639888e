"""The only place that knows which reply, session or day a word means."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import date
from typing import NamedTuple

from tokentail import merge, periods, samples, sighted
from tokentail.errors import UsageError
from tokentail.forget import sessions_like
from tokentail.spelling import near

KINDS = ("reply", "session", "day")
_MOST_NAMED = 5
_LEAST_ALIKE = 5  # characters that the beginning of another key must share to be named
_BEYOND = "\U0010ffff"

_BEGINNING = "SELECT key FROM replies WHERE key >= ? AND key < ? ORDER BY key LIMIT 100"
_OF_REQUEST = """
SELECT id FROM replies WHERE substr(request_id, 1, ?1) = ?2 UNION SELECT id FROM records WHERE substr(request_id, 1, ?1) = ?2 LIMIT 100"""
_SESSIONS = "SELECT DISTINCT name FROM owners JOIN names ON names.id = session"


class Meant(NamedTuple):
    """What a word means."""

    kind: str  # one of KINDS
    name: str  # a reply's key, or a session's id; "" for days
    since: date = date.min
    until: date = date.min


def meaning(db: sqlite3.Connection, word: str, *, today: date, kind: str = "") -> Meant:
    """
    The reply, session or days that a word means: all of a name, or a beginning that no other one has.

    A reply is named by its key, its message id or its request id. What is a day is one, unless it is all of another name.

    Args:
        kind: one of KINDS where only that is meant.

    Raises:
        UsageError: it means nothing, or several things.
    """
    found = [*_replies(db, word, whole=True), *_sessions(db, word, whole=True)]
    found = _of_kind(found, kind)
    if not found and kind in ("", "day") and (days := _days(word, today)):
        return days
    found = found or _of_kind([*_replies(db, word, whole=False), *_sessions(db, word, whole=False)], kind)
    if len(found) == 1:
        return found[0]
    raise _unclear(word, found) if found else _unknown(db, word, kind)


def _of_kind(found: Iterable[Meant], kind: str) -> list[Meant]:
    return [each for each in found if kind in ("", each.kind)]


def _replies(db: sqlite3.Connection, word: str, *, whole: bool) -> list[Meant]:
    if not word:
        return []
    names = dict.fromkeys((word, merge.escape(merge.group_text(word))))
    keys = {key for name in names for key in (_whole(db, name) if whole else _beginning(db, name))}
    if not keys:
        numbers = [number for (number,) in db.execute(_OF_REQUEST, (len(word), word))]
        keys = {key for key in sighted.keys_of(db, numbers) if _is_of_request(db, key, word, whole=whole)}
    return [Meant("reply", key) for key in sorted(keys)]


def _whole(db: sqlite3.Connection, name: str) -> list[str]:
    """The reply of that key, or all of that message id."""
    exact = [key for (key,) in db.execute("SELECT key FROM replies WHERE key = ?", (name,))]
    return exact or _beginning(db, f"{name}/")


def _beginning(db: sqlite3.Connection, name: str) -> list[str]:
    return [key for (key,) in db.execute(_BEGINNING, (name, name + _BEYOND))]


def _is_of_request(db: sqlite3.Connection, key: str, word: str, *, whole: bool) -> bool:
    """Does a reply that has a record of such a request id answer it, or take part in it as the only reply of its group?"""
    own = merge.request_of_key(key)
    requests = {own} if own else {record.request_id for record in _records(db, key)}
    return any(request == word if whole else request.startswith(word) for request in requests)


def _records(db: sqlite3.Connection, key: str) -> Sequence[sighted.Known]:
    behind = sighted.behind(db, [key])[key]
    return (*behind.records, *behind.replays)


def _sessions(db: sqlite3.Connection, word: str, *, whole: bool) -> list[Meant]:
    names = sessions_like(db, word) if word else []
    return [Meant("session", name) for name in names if not whole or name == word]


def _days(word: str, today: date) -> Meant | None:
    try:
        since, until = periods.parse_days(word, today=today)
    except UsageError:
        return None
    # 7d is today and the six days before, here as behind --since.
    return Meant("day", "", since, today if word.strip().lower().endswith("d") else until)


def _unclear(word: str, found: Sequence[Meant]) -> UsageError:
    named = ", ".join(f"{each.kind} {each.name}" for each in found[:_MOST_NAMED])
    more = ", ..." if len(found) > _MOST_NAMED else ""
    return UsageError(f"{word!r} may mean {named}{more} (give more of it, or say --as reply or --as session)")


def _unknown(db: sqlite3.Connection, word: str, kind: str) -> UsageError:
    if kind in ("", "session") and (said := samples.said_cost(db, word)):
        why = "its log stands in a folder that is not read, or was deleted before"
        return UsageError(
            f"no reply of session {word!r} was counted, of which Claude Code said that it cost $ {said.cost_usd:,.2f} ({why})"
        )
    names = _near_sessions(db, word) if word and kind in ("", "session") else []
    if kind in ("", "reply"):
        names += _alike(db, word)
    meant = f"did you mean {' or '.join(names[:3])}?" if names else "`tokentail sessions` and `tokentail feed --json` show names"
    what = {"": "reply, session or day", "reply": "reply", "session": "session", "day": "day"}[kind]
    return UsageError(f"there is no {what} {word!r} ({meant})")


def _near_sessions(db: sqlite3.Connection, word: str) -> list[str]:
    """Compared by as much of their ids as was typed, which may be the short form that reports show."""
    by_beginning = {name[: len(word)]: name for (name,) in db.execute(_SESSIONS)}
    return [by_beginning[beginning] for beginning in near(word, by_beginning)]


def _alike(db: sqlite3.Connection, word: str) -> list[str]:
    """The keys that begin like the word for as long as any does."""
    for length in range(len(word) - 1, _LEAST_ALIKE - 1, -1):
        if found := _beginning(db, word[:length]):
            return near(word, found) or found[:3]
    return []
