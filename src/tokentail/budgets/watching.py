"""The only place that watches budgets beside something else: a thread that looks at the store whenever it has changed."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tokentail import database, queries
from tokentail.budgets.channels import Channels
from tokentail.budgets.firing import Fired, fire
from tokentail.budgets.measuring import standings
from tokentail.budgets.memory import Memory
from tokentail.config import Config
from tokentail.errors import TokentailError
from tokentail.prices import PriceList

LOOK_EVERY_S = 2.0
_AT_LEAST_EVERY_S = 60.0  # also where nothing is written: days end by themselves


class Watched(NamedTuple):
    """Whose budgets, on which store."""

    store: Path
    settings: Config
    prices: PriceList
    zone: ZoneInfo

    def look(self, db: sqlite3.Connection) -> Fired:
        """Measure all budgets, and tell of those that are crossed and were not told of yet."""
        now_ms = int(time.time() * 1000)
        with database.snapshot(db):
            found = standings(db, self.settings, self.prices, self.zone, now_ms)
        return fire(found, Memory(self.store), Channels(self.settings, os.environ), now_ms)


@contextmanager
def watching(watched: Watched, tell: Callable[[Fired], object], *, every_s: float = LOOK_EVERY_S) -> Iterator[None]:
    """
    While the block runs, crossings are told. `tell` hears of them in the watching thread.

    Without budgets nothing runs. The store need not be there yet, and may be replaced meanwhile.
    """
    if not watched.settings.budgets:
        yield
        return
    stop = threading.Event()
    thread = threading.Thread(target=_watch, args=(watched, tell, stop, every_s), name="budgets", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=1.0)  # a webhook that does not answer holds nobody up


def _watch(watched: Watched, tell: Callable[[Fired], object], stop: threading.Event, every_s: float) -> None:
    before, said = "", set[str]()
    while not stop.is_set():
        why = ""
        try:
            with closing(database.open_for_reading(watched.store)) as db:
                _look_on(watched, db, tell, stop, every_s)
        except (TokentailError, sqlite3.DatabaseError) as error:
            why = str(error) if watched.store.exists() else ""  # there may be none yet
        # Once is nothing: the store may just be exchanged.
        if why and why == before and why not in said:
            said.add(why)
            tell(Fired((), (f"budgets cannot be watched: {why}",)))
        before = why
        stop.wait(every_s)


def _look_on(watched: Watched, db: sqlite3.Connection, tell: Callable[[Fired], object], stop: threading.Event, every_s: float) -> None:
    """Until the store is another file."""
    seen, looked, file = -1, 0.0, database.identity(watched.store)
    while not stop.is_set() and database.identity(watched.store) == file:
        version = int(db.execute("PRAGMA data_version").fetchone()[0])
        if version != seen or time.monotonic() - looked >= _AT_LEAST_EVERY_S:
            seen, looked = version, time.monotonic()
            if _is_filled(db):
                fired = watched.look(db)
                if fired.crossed or fired.problems:
                    tell(fired)
        stop.wait(every_s)


def _is_filled(db: sqlite3.Connection) -> bool:
    """Not while it is being made or migrated: then it would say that nothing was used."""
    return db.execute("PRAGMA user_version").fetchone()[0] == database.SCHEMA_VERSION and queries.has_replies(db)
