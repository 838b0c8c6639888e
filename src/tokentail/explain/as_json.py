"""Explanations as JSON; the field names are a contract (docs/explain.md)."""

from __future__ import annotations

import json
from datetime import date

from tokentail import estimate
from tokentail.explain.story import Applied, Compared, Estimate, Line, Priced, ReplyStory, Spot, SumStory
from tokentail.model import Counts, Estimated
from tokentail.periods import utc_text
from tokentail.prices import PICO_PER_USD
from tokentail.reports.build import shown_path

EXPLAIN_SCHEMA = "tokentail/explain/1"


def story_json(story: ReplyStory | SumStory) -> str:
    """One JSON object, indented."""
    kind, fields = ("reply", reply_fields(story)) if isinstance(story, ReplyStory) else (story.kind, sum_fields(story))
    return json.dumps({"schema": EXPLAIN_SCHEMA, "kind": kind, **fields}, indent=2)


def reply_fields(story: ReplyStory) -> dict[str, object]:
    """A reply, its lines, its price and its rules."""
    reply, owner = story.reply, story.reply.owner
    return {
        "key": reply.key,
        "id": reply.id or None,
        "request_id": story.request_id or None,
        "at": _moment(reply.at_ms),
        "session": owner.session,
        "project": owner.project,
        "project_name": story.project_name,
        "agent": owner.agent or None,
        "host": owner.host,
        "user": owner.user,
        "model": reply.model,
        "version": reply.version,
        "is_final": reply.final,
        "stands": story.stands,
        **story.counts._asdict(),
        "lines": [_line(line) for line in story.lines],
        "prices": [_priced(priced) for priced in story.priced],
        "rules": _rules(story.rules),
        **_estimate(story.estimate),
    }


def sum_fields(story: SumStory) -> dict[str, object]:
    """A session or days, and the replies that are told one by one."""
    return {
        "name": story.name,
        "timezone": story.timezone,
        "first_at": _moment(story.first_ms) if story.counts.replies else None,
        "last_at": _moment(story.last_ms) if story.counts.replies else None,
        "projects": list(story.projects),
        "sessions": story.sessions,
        **story.counts._asdict(),
        "models": [{"model": row.key, **row.counts._asdict()} for row in story.models],
        "line_counts": story.lines._asdict(),
        "provenance": {part: _part(counts) for part, counts in story.provenance._asdict().items()},
        "not_final": _part(story.not_final),
        "said": _said(story.compared) if story.compared else None,
        "owned_elsewhere": [each._asdict() for each in story.owned_elsewhere],
        "copied_to": [each._asdict() for each in story.copied_to],
        "rules": _rules(story.rules),
        **_estimate(story.estimate),
        "replies_told": [reply_fields(each) for each in story.replies],
        "replies_left_out": story.left_out,
    }


def _said(found: Compared) -> dict[str, object]:
    return {
        "cost_usd": found.said_usd,
        "first_at": _moment(found.first_ms),
        "last_at": _moment(found.last_ms),
        "counted_usd": found.counted_usd,
        "counted_replies": found.counted_replies,
        "later_usd": found.later_usd,
        "later_replies": found.later_replies,
        "gap_usd": found.gap_usd,
        "gap_percent": found.gap_percent,
        "agrees": found.agrees,
        "likely_reasons": [{"reason": reason.name, "at_most_usd": reason.cost_usd, "says": reason.says} for reason in found.reasons],
    }


def _line(line: Line) -> dict[str, object]:
    said = line.said
    fields: dict[str, object] = {
        **_spot(line.spot),
        "stands": line.stands,
        "role": line.role,
        "copy_of": _spot(line.copy_of) if line.copy_of else None,
        "request_id": line.request_id or None,
        "is_sidechain": line.is_sidechain,
        "at": _moment(said.at_ms) if said else None,
        "output_tokens": said.output_tokens if said else None,
        "is_final": said.is_final if said else None,
        "session": said.session if said else None,
        "unread": line.unread or None,
    }
    return fields | ({"original": line.original} if line.original is not None else {})


def _spot(spot: Spot) -> dict[str, object]:
    # A name that is not UTF-8 has surrogates, which no JSON reader takes.
    path = shown_path(spot.path).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return {"file": path, "offset_bytes": spot.offset_bytes}


def _priced(priced: Priced) -> dict[str, object]:
    cost = priced.cost_pico
    return {
        "model": priced.model,
        "listed_as": priced.listed_as,
        "is_extra": priced.is_extra,
        "day": str(priced.day),
        "from": _day(priced.from_day),
        "until": _day(priced.until_day),
        "prompt_tokens": priced.prompt_tokens,
        "above_tokens": priced.above_tokens,
        "speed": priced.speed,
        "geo": priced.geo,
        "service_tier": priced.service_tier,
        "factors": list(priced.factors),
        "terms": [
            {"name": term.name, "amount": term.amount, "usd_each": term.rate_pico / PICO_PER_USD, "cost_usd": term.cost_pico / PICO_PER_USD}
            for term in priced.terms
        ],
        "cost_usd": None if cost is None else cost / PICO_PER_USD,
        "is_assumed": priced.is_assumed,
        "is_own": priced.is_own,
        "sources": list(priced.sources),
    }


def _rules(rules: tuple[Applied, ...]) -> list[dict[str, str]]:
    return [each._asdict() for each in rules]


def _estimate(found: Estimate | Estimated | None) -> dict[str, object]:
    return {} if found is None else {"estimate": {"label": estimate.LABEL, "error": estimate.ERROR, **found._asdict()}}


def _part(counts: Counts) -> dict[str, float | None]:
    return {"replies": counts.replies, "total_tokens": counts.total_tokens, "cost_usd": counts.cost_usd}


def _moment(at_ms: int) -> str:
    return utc_text(at_ms, digits="milliseconds")


def _day(day: date | None) -> str | None:
    return None if day is None else str(day)
