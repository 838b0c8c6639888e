"""The only place for a short change of a store that needs no lock but SQLite's own."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def addition(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing: what the block changes is committed at its end."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # some errors have ended it
            connection.execute("ROLLBACK")
        raise
