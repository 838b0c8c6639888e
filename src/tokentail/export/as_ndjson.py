"""Rows as JSON, one object a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from tokentail.export.rows import ExportRow, batches
from tokentail.periods import utc_text

_BATCH_ROWS = 1_000


def ndjson_pieces(rows: Iterable[ExportRow]) -> Iterator[bytes]:
    """The file piece by piece; all of it is ASCII, so that no name can do a terminal harm."""
    encode = json.JSONEncoder(separators=(",", ":")).encode
    for batch in batches(rows, _BATCH_ROWS):
        yield "".join(f"{encode(_fields(row))}\n" for row in batch).encode("ascii")


def _fields(row: ExportRow) -> dict[str, object]:
    fields = row._asdict()
    fields["at"] = utc_text(row.at, digits="milliseconds")
    return fields
