"""The only place that writes an export: what was chosen of one moment of the store, in one of the formats."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple

from tokentail.export.rows import ExportRow, export_rows
from tokentail.reports.build import scope_of
from tokentail.reports.data import Stored
from tokentail.reports.request import Context, Request

_CACHE = -2048  # 2 MiB: every page is read about once, and a large cache would only fill


class Written(NamedTuple):
    """What became of an export."""

    rows: int
    hints: tuple[str, ...]  # for people: what a name that was asked for may have meant


def write(db: sqlite3.Connection, file: BinaryIO, format: str, request: Request, context: Context) -> Written:
    """Write every row that the request means to a file, in parquet, csv or ndjson."""
    (cache,) = db.execute("PRAGMA cache_size").fetchone()
    db.execute(f"PRAGMA cache_size = {_CACHE}")
    db.execute("BEGIN")  # whatever is committed meanwhile
    try:
        scope = scope_of(request, Stored(db, context.prices), context)
        rows = _Counted(export_rows(db, scope, context.prices))
        if format == "parquet":
            from tokentail.export.as_parquet import write_parquet

            write_parquet(rows, file, prices=context.prices.made_from)
        else:
            for piece in _pieces(rows, format):
                file.write(piece)
    finally:
        if db.in_transaction:
            db.execute("COMMIT")
        db.execute(f"PRAGMA cache_size = {cache}")
    return Written(rows.count, scope.hints)


def _pieces(rows: Iterable[ExportRow], format: str) -> Iterator[bytes]:
    if format == "csv":
        from tokentail.export.as_csv import csv_pieces

        return csv_pieces(rows)
    from tokentail.export.as_ndjson import ndjson_pieces

    return ndjson_pieces(rows)


class _Counted:
    """Rows, counted as they go by."""

    def __init__(self, rows: Iterable[ExportRow]) -> None:
        self._rows = rows
        self.count = 0

    def __iter__(self) -> Iterator[ExportRow]:
        for row in self._rows:
            self.count += 1
            yield row
