"""The only place that holds this machine's sessions against the central store's, and has sent again what differs."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from tokentail.errors import TokentailError
from tokentail.fleet.labels import Labels
from tokentail.fleet.sender import Outcome, Sender, shown
from tokentail.fleet.sessions import SessionCounts, by_session

_AT_ONCE = 5_000  # sessions in a question


class Compared(NamedTuple):
    """What a comparison found."""

    sessions: int
    differ: tuple[str, ...]  # that the central store has other counts of


def compare(db: sqlite3.Connection, sender: Sender, labels: Labels) -> Compared:
    """
    Ask the central store which of this machine's own sessions it counts otherwise.

    Raises:
        TokentailError: it cannot be asked.
    """
    own = by_session(db, "", "")
    differ = [session for some in _portions(own) for session in _asked(sender, labels, some)]
    return Compared(len(own), tuple(differ))


def _asked(sender: Sender, labels: Labels, sessions: Mapping[str, SessionCounts]) -> Sequence[str]:
    from tokentail.fleet import wire

    user, host = labels.own
    body = json.dumps({"user": user, "host": host, "sessions": sessions}).encode()
    answer = sender.post(wire.RECONCILE, wire.compressed(body), is_compressed=True)
    if answer.outcome is not Outcome.KEPT:
        raise TokentailError(
            f"cannot compare with {shown(sender.url)}: {answer.why} (is it a hub of tokentail, and the token one of an agent?)"
        )
    try:
        said = json.loads(answer.body)["differ"]
        return [session for session in said if session in sessions]
    except (ValueError, KeyError, TypeError) as error:
        raise TokentailError(
            f"cannot compare with {shown(sender.url)}: its answer is none that a hub gives (is the address right?)"
        ) from error


def _portions(sessions: Mapping[str, SessionCounts]) -> Iterator[Mapping[str, SessionCounts]]:
    rest = iter(sessions.items())
    while some := dict(islice(rest, _AT_ONCE)):
        yield some
