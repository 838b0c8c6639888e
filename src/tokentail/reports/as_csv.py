"""Reports as CSV: the fields of the JSON contract under a header line, no totals (docs/json.md says how they are laid out)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence

from tokentail.model import Counts, Pace, Report, Row, SessionFacts
from tokentail.reports.as_json import ROW_NAMES, parts_fields, row_fields
from tokentail.reports.text import safe

# What a row has between its name and its counts. A field of an object is called by both names; the columns are always the same.
_BESIDES: Mapping[str, Sequence[str]] = {
    "sessions": (
        "project",
        "project_name",
        "host",
        "user",
        "first_at",
        "last_at",
        *(f"subagents_{name}" for name in ("agents", *Counts._fields)),
    ),
    "hosts": ("first_at", "last_at"),
    "users": ("first_at", "last_at"),
    "projects": ("project_name", "folder", "slugs", "first_at", "last_at"),
    "blocks": ("end", "first_at", "last_at", "active", *(f"pace_{name}" for name in Pace._fields)),
}
_OF_THE_ROW = ("subagents_", "provenance_", "not_final_", "estimate_")  # which its subagents' lines leave empty
_WITHOUT_ID = "without an id"  # an empty field would make the line the session's own
_FORMULAS = ("=", "+", "-", "@", "\t", "\n", "＝", "＋", "－", "＠")  # what spreadsheets begin one with, in the signs of any country


def report_csv(report: Report, *, breakdown: bool = False, agents: bool = False) -> str:
    """
    What is unknown (a cost without a price) is an empty field.

    Args:
        breakdown: a line for each model of a row instead of one for the row.
        agents: after a session's line one for each of its subagents.
    """
    own = ROW_NAMES[report.name]
    asked = [name for name, is_asked in (("agent", agents), ("model", breakdown)) if is_asked and name != own]
    parts = [name for name in _flat(parts_fields(report.totals, report)) if name not in Counts._fields]
    header = [own, *asked, *_BESIDES.get(report.name, ()), *parts, *Counts._fields]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    for row in report.rows:
        for line in _lines(report.name, row, breakdown=breakdown):
            writer.writerow([_field(line.get(name)) for name in header])
    return out.getvalue()


def guarded(name: str) -> str:
    """A name from a log, such that no spreadsheet takes it for a formula and no terminal acts on it."""
    if not (name.isascii() and name.isprintable()):
        name = _harmless(name)
    return f"'{name}" if name.startswith(_FORMULAS) else name


def _harmless(name: str) -> str:
    # Line ends of other kinds than \n, too: many readers end a row there, and so would begin another one of our names' making.
    return "\n".join("\t".join(map(safe, line.split("\t"))) for line in name.split("\n"))


def _lines(report: str, row: Row, *, breakdown: bool) -> Iterator[Mapping[str, object]]:
    fields = _flat(row_fields(report, row._replace(models=())))
    if breakdown and row.models:
        for model in row.models:
            yield {**fields, "model": model.key, **model.counts._asdict()}
    else:
        yield fields
    own = {name: value for name, value in fields.items() if not name.startswith(_OF_THE_ROW)}
    for agent in row.about.agents if isinstance(row.about, SessionFacts) else ():
        yield {**own, "agent": agent.key or _WITHOUT_ID, **agent.counts._asdict()}


def _flat(fields: Mapping[str, object]) -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in fields.items():
        match value:
            case dict():
                flat |= {f"{name}_{inner}": each for inner, each in _flat(value).items()}
            case list() | tuple():
                flat[name] = " ".join(map(str, value))
            case _:
                flat[name] = value
    return flat


def _field(value: object) -> object:
    """Truth values as in JSON."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return guarded(value) if isinstance(value, str) else value
