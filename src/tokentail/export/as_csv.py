"""Rows as comma-separated values: a header line, one line a row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator

from tokentail.export.rows import ExportRow, batches, columns_of
from tokentail.periods import utc_text
from tokentail.reports.as_csv import guarded

_BATCH_ROWS = 1_000
_TEXTS, _TRUTHS = columns_of(str), columns_of(bool)
_AT = ExportRow._fields.index("at")


def csv_pieces(rows: Iterable[ExportRow]) -> Iterator[bytes]:
    """The file piece by piece, in UTF-8. What is unknown is an empty field."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(ExportRow._fields)
    for batch in batches(rows, _BATCH_ROWS):
        writer.writerows(_fields(row) for row in batch)
        yield text.getvalue().encode()
        text.seek(0)
        text.truncate()
    yield text.getvalue().encode()  # the header, where there was no row


def _fields(row: ExportRow) -> list[object]:
    fields: list[object] = list(row)
    for column in _TEXTS:
        fields[column] = guarded(row[column])  # type: ignore[arg-type]  # those columns hold texts
    for column in _TRUTHS:
        fields[column] = "true" if row[column] else "false"
    fields[_AT] = utc_text(row.at, digits="milliseconds")
    return fields
