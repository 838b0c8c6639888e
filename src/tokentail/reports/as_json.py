"""Reports and replies as JSON; the field names are a contract (docs/json.md)."""

from __future__ import annotations

import json

from tokentail.model import BlockFacts, Counts, MachineFacts, ProjectFacts, ReplyChange, Report, Row, SessionFacts
from tokentail.periods import utc_text
from tokentail.prices import PriceList
from tokentail.reports.parts import cost_share
from tokentail.totals import counts_of

REPORT_SCHEMA = "tokentail/report/1"
FEED_SCHEMA = "tokentail/feed/1"
_on_one_line = json.JSONEncoder(separators=(",", ":")).encode  # made once: `json.dumps` makes one for each line
_FEED_NAMES = ("id", "at", "session", "project", "agent", "model", "host", "user")
# The first key of a row names it.
ROW_NAMES = {
    "daily": "day",
    "weekly": "week",
    "monthly": "month",
    "sessions": "session",
    "projects": "project",
    "models": "model",
    "hosts": "host",
    "users": "user",
    "blocks": "block",
}


def report_json(report: Report) -> str:
    """One JSON object, with a row a line."""
    parts: dict[str, object] = {
        "schema": REPORT_SCHEMA,
        "report": report.name,
        "timezone": report.timezone,
        "sources": list(report.sources),
        "rows": None,
        "totals": {**report.totals._asdict(), **parts_fields(report.totals, report)},
        "notes": {**report.notes._asdict(), **_logs_read(report)},
    }
    lines = [f'  "{name}": {json.dumps(value)}' for name, value in parts.items()]
    # Not indented by json: that is its slow way, and a session is easier to find on a line of its own.
    rows = ",\n    ".join(json.dumps(row_fields(report.name, row)) for row in report.rows)
    lines[4] = f'  "rows": [\n    {rows}\n  ]' if rows else '  "rows": []'
    return "{\n" + ",\n".join(lines) + "\n}"


def row_fields(report: str, row: Row) -> dict[str, object]:
    """A row of that report as the fields of its JSON object."""
    fields: dict[str, object] = {ROW_NAMES[report]: row.key, **_facts(row.about), **row.counts._asdict(), **parts_fields(row.counts, row)}
    if isinstance(row.about, SessionFacts):
        fields["subagents"] = _subagents(row.about)
    if row.models:
        fields["models"] = [{"model": model.key, **model.counts._asdict()} for model in row.models]
    return fields


def parts_fields(counts: Counts, split: Row | Report) -> dict[str, object]:
    """What was asked for besides the counts of a row or of the totals: where its replies stand, those that are not final, estimates."""
    fields: dict[str, object] = {}
    if split.provenance is not None:
        fields["provenance"] = {where: _part(part) for where, part in split.provenance._asdict().items()}
    if split.not_final is not None:
        fields["not_final"] = {**_part(split.not_final), "cost_share": cost_share(split.not_final, counts)}
    if split.estimate is not None:
        fields["estimate"] = split.estimate._asdict()
    return fields


def feed_json(change: ReplyChange, prices: PriceList) -> str:
    """
    One line a change.

    The counts are those of the reply now; a reply that is gone counts nothing any more.
    """
    reply = change.reply
    line: dict[str, object] = {"schema": FEED_SCHEMA, "event": change.event, "key": change.key}
    if reply is None:
        line |= {**dict.fromkeys(_FEED_NAMES), **Counts()._asdict()}
    else:
        at, owner = utc_text(reply.at_ms, digits="milliseconds"), reply.owner
        names = (reply.id, at, owner.session, owner.project, owner.agent, reply.model, owner.host, owner.user)
        line |= {**dict(zip(_FEED_NAMES, names, strict=True)), **counts_of(reply, prices)._asdict()}
    return _on_one_line(line)


def _logs_read(report: Report) -> dict[str, int]:
    """Nothing where all logs were read: then it is the very report that a store gives."""
    return report.logs_read._asdict() if report.logs_read and report.logs_read.bytes_skipped else {}


def _facts(about: SessionFacts | ProjectFacts | MachineFacts | BlockFacts | None) -> dict[str, object]:
    match about:
        case SessionFacts():
            return {"project": about.project, "project_name": about.name, "host": about.host, "user": about.user, **_moments(about)}
        case ProjectFacts():
            return {"project_name": about.name, "folder": about.folder or None, "slugs": about.slugs, **_moments(about)}
        case MachineFacts():
            return _moments(about)
        case BlockFacts():
            pace = about.pace._asdict() if about.pace else None
            return {"end": utc_text(about.end_ms), **_moments(about), "active": about.pace is not None, "pace": pace}
    return {}


def _part(counts: Counts) -> dict[str, float | None]:
    return {"replies": counts.replies, "total_tokens": counts.total_tokens, "cost_usd": counts.cost_usd}


def _moments(about: SessionFacts | ProjectFacts | MachineFacts | BlockFacts) -> dict[str, object]:
    return {"first_at": utc_text(about.first_ms, digits="milliseconds"), "last_at": utc_text(about.last_ms, digits="milliseconds")}


def _subagents(about: SessionFacts) -> dict[str, object] | None:
    if not about.subagents:
        return None
    fields: dict[str, object] = {"agents": about.subagents, **about.by_subagents._asdict()}
    if about.agents:
        fields["each"] = [{"agent": agent.key, **agent.counts._asdict()} for agent in about.agents]
    return fields
