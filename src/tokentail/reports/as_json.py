"""Reports and replies as JSON; the field names are a contract (docs/json.md)."""

from __future__ import annotations

import json
from datetime import UTC

from tokentail import periods
from tokentail.model import Counts, ReplyChange, Report
from tokentail.prices import PriceList
from tokentail.totals import counts_of

REPORT_SCHEMA = "tokentail/report/1"
FEED_SCHEMA = "tokentail/feed/1"
# The first key of a row names it.
ROW_NAMES = {"daily": "day"}


def report_json(report: Report) -> str:
    """One JSON object, indented."""
    name = ROW_NAMES[report.name]
    document = {
        "schema": REPORT_SCHEMA,
        "report": report.name,
        "timezone": report.timezone,
        "sources": list(report.sources),
        "rows": [{name: row.key, **row.counts._asdict()} for row in report.rows],
        "totals": report.totals._asdict(),
        "notes": report.notes._asdict(),
    }
    return json.dumps(document, indent=2)


def feed_json(change: ReplyChange, prices: PriceList) -> str:
    """
    One line a change.

    The counts are those of the reply now; a reply that is gone counts nothing any more.
    """
    reply = change.reply
    line: dict[str, object] = {"schema": FEED_SCHEMA, "event": change.event, "key": change.key}
    if reply is None:
        line |= {"id": None, "at": None, "session": None, "project": None, "agent": None, "model": None, **Counts()._asdict()}
    else:
        at = periods.at(reply.at_ms, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        owner = reply.owner
        line |= {"id": reply.id, "at": at, "session": owner.session, "project": owner.project, "agent": owner.agent, "model": reply.model}
        line |= counts_of(reply, prices)._asdict()
    return json.dumps(line, separators=(",", ":"))
