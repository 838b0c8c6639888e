"""The only place that says in words which of the rules R1 to R10 (docs/counting.md) made what of a reply, a session or a day."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import tzinfo

from tokentail import merge, periods
from tokentail.explain.story import COPY, COUNTED, EARLIER, REPEATED, REPLAY, UNKNOWN, Applied, Line, LineCounts
from tokentail.model import INVALID_COUNT, SPLIT_MISMATCH, TTL_ASSUMED, Counts, Owner, Reply
from tokentail.sighted import ON_DISK


def of_reply(reply: Reply, lines: Sequence[Line], zone: tzinfo, zone_name: str, *, is_elsewhere: bool = False) -> Iterator[Applied]:
    """What the rules made of that reply."""
    own = [line for line in lines if line.role != REPLAY]
    if reply.flags & INVALID_COUNT:
        yield Applied("R1", "A count in its usage is no whole number from 0 to 2^53, and was taken as 0.")
    yield Applied("R3", _elsewhere(reply) if is_elsewhere else _key(reply, len(own)))
    if replays := len(lines) - len(own):
        yield Applied("R3", f"{_lines(replays)} of a side question logged it again under another request id: dropped.")
    if len(own) > 1:
        yield Applied("R4", _winner(reply, own))
    yield from _values(reply)
    yield Applied("R7", _owner(reply, own))
    yield Applied("R7", _final(reply))
    if reply.web_searches:
        yield Applied("R8", f"{_count(reply.web_searches, 'web search', 'web searches')}: the most that any of its lines says.")
    day = periods.day_of(reply.at_ms, zone)
    yield Applied("R9", f"It belongs to {day}, the day of its first line in {zone_name}.")
    if gone := sum(line.stands != ON_DISK for line in lines):
        yield Applied("R10", f"{_lines(gone)} stood in a log that was deleted or rewritten. What was said there was kept.")


def of_sum(counts: Counts, lines: LineCounts, zone_name: str, *, owned_elsewhere: int) -> Iterator[Applied]:
    """What the rules made of the lines of a session or of days."""
    seen = lines.counted + lines.repeated + lines.replays
    was = "was" if seen == 1 else "were"
    here = counts.replies - lines.elsewhere
    if here or not lines.elsewhere:
        yield Applied("R3", f"{_lines(seen)} {was} seen of {_count(here, 'reply', 'replies')}; one of each counts.")
    if lines.repeated:
        yield Applied("R4", f"{_lines(lines.repeated)} beside those (repetitions, earlier states, copies) did not count again.")
    if lines.replays:
        yield Applied("R3", f"{_lines(lines.replays)} of side questions logged a reply again under another request id: dropped.")
    if owned_elsewhere:
        replies = _count(owned_elsewhere, "reply", "replies")
        yield Applied("R7", f"{replies} in its logs count for another session, which this one was copied from or to.")
    if counts.not_final_replies:
        replies = _count(counts.not_final_replies, "reply", "replies")
        yield Applied("R7", f"{replies} have no line with a stop reason: their output is a lower bound.")
    yield Applied("R9", f"A reply belongs to the day of its first line in {zone_name}.")
    if lines.elsewhere:
        replies, their = _count(lines.elsewhere, "reply", "replies"), "its" if lines.elsewhere == 1 else "their"
        yield Applied("R10", f"{replies} came from other machines, which sent what {their} lines say. The logs are there.")
    if lines.gone:
        yield Applied("R10", f"{_lines(lines.gone)} stood in logs that were deleted or rewritten. What they said was kept.")


def from_machine(owner: Owner) -> str:
    """Of a reply that no log here holds, where it came from."""
    host = f"the machine {owner.host}" if owner.host else "another machine"
    return f"{host} of {owner.user}" if owner.user else host


def role_in_words(line: Line) -> str:
    """What a line is to its reply, with the rule by which it is that."""
    words = {
        COUNTED: "counted (R4)",
        REPEATED: "the same usage again (R4)",
        EARLIER: "an earlier state (R4)",
        COPY: "a copy (R3)",
        REPLAY: "a replay, dropped (R3)",
        UNKNOWN: "one of its lines (R10)",
    }
    return words[line.role]


def _key(reply: Reply, lines: int) -> str:
    group, request = merge.group_of_key(reply.key), merge.request_of_key(reply.key)
    if request:
        return f"Several requests share the message id {reply.id}; this is the reply of {request}."
    if reply.id:
        return f"All {_lines(lines)} with the message id {reply.id} are one reply." if lines > 1 else "One line has its message id."
    return f"It has no message id, and is known by its line's {'uuid' if group.startswith('uuid:') else 'hash'}."


def _elsewhere(reply: Reply) -> str:
    return f"It came from {from_machine(reply.owner)}, which sent what its lines say. Its log is there."


def _winner(reply: Reply, own: Sequence[Line]) -> str:
    read = [line for line in own if line.said is not None]
    is_tie = len({line.said.is_final for line in read if line.said and line.said.output_tokens == reply.tokens.output}) > 1
    which = f"the one with the greatest output ({reply.tokens.output:,}){' and a stop reason' if is_tie else ''}"
    said = f"Of its {_lines(len(own))} {which} counts, and its usage is taken whole."
    if len(read) < len(own) and not any(line.role == COUNTED for line in own):
        return f"{said} It is among those that can no longer be read."
    return said


def _values(reply: Reply) -> Iterator[Applied]:
    if reply.flags & TTL_ASSUMED:
        yield Applied("R5", "The log does not say for how long its cache writes last: taken as 5 minutes.")
    if reply.flags & SPLIT_MISMATCH:
        yield Applied("R5", "The cache writes of 5 minutes and 1 hour do not add up to the total that is logged: the two count.")
    for extra in reply.extras:
        yield Applied("R6", f"{extra.tokens.total:,} tokens of {extra.model} were billed beside it.")


def _owner(reply: Reply, own: Sequence[Line]) -> str:
    sessions = sorted({line.said.session for line in own if line.said} | {reply.owner.session})
    agent = f", where subagent {reply.owner.agent} wrote it" if reply.owner.agent else ""
    if len(sessions) == 1:
        return f"It belongs to session {reply.owner.session}{agent}."
    others = ", ".join(name for name in sessions if name != reply.owner.session)
    order = "What is no fork goes first, then what is no subagent's, then the least id."
    return f"It belongs to session {reply.owner.session}{agent}; {others} {'has' if len(sessions) == 2 else 'have'} a copy. {order}"


def _final(reply: Reply) -> str:
    if reply.final:
        return "Its output is final: a line of it has a stop reason."
    return "Its output is NOT final: no line of it has a stop reason, so what was logged is a lower bound."


def _lines(count: int) -> str:
    return _count(count, "line", "lines")


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
