"""Reports as CSV: the fields of the JSON contract, a header line, one line a row, no totals."""

from __future__ import annotations

import csv
import io

from tokentail.model import Counts, Report
from tokentail.reports.as_json import ROW_NAMES


def report_csv(report: Report) -> str:
    """What is unknown (a cost without a price) is an empty field."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([ROW_NAMES[report.name], *Counts._fields])
    for row in report.rows:
        writer.writerow([guarded(row.key), *map(_field, row.counts)])
    return out.getvalue()


def _field(value: float | bool | None) -> object:
    """Truth values as in JSON."""
    return ("true" if value else "false") if isinstance(value, bool) else value


def guarded(name: str) -> str:
    """A name from a log, such that no spreadsheet takes it for a formula."""
    name = name.replace("\r", "\ufffd")  # many readers end a row there, and so would begin another one of our names' making
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t")) else name
