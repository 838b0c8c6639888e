"""The only place that puts an explanation together, from what the store remembers and what the logs still say."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from datetime import date
from typing import NamedTuple
from zoneinfo import ZoneInfo

from tokentail import estimate, merge, originals, periods, queries, samples, sighted
from tokentail.explain import roles, rules
from tokentail.explain.meaning import Meant
from tokentail.explain.pricing import Pricing
from tokentail.explain.reconcile import Evidence, compared
from tokentail.explain.story import Compared, Estimate, LineCounts, ReplyStory, Shared, SumStory
from tokentail.formats import FORMATS
from tokentail.model import Counts, Estimated, LogFile, Provenance, Reply, Row, Source
from tokentail.originals import Original
from tokentail.prices import PriceList
from tokentail.projects import Projects
from tokentail.provenance import has_elsewhere
from tokentail.sighted import DELETED, ELSEWHERE, ON_DISK, REWRITTEN, Behind, Sighting
from tokentail.totals import Adder, add_replies, cells_of, costliest_first, counts_of


class Context(NamedTuple):
    """What an explanation is made with."""

    prices: PriceList
    zone: ZoneInfo
    source: Source
    projects: Projects
    shows_lines: bool = False  # hand on the lines themselves: content
    estimates: bool = False  # of output counts that are not final
    limit: int = 20  # replies of a session or of days that are told one by one


def of_meant(db: sqlite3.Connection, meant: Meant, context: Context) -> ReplyStory | SumStory:
    """Where the counts of what a word means come from."""
    match meant.kind:
        case "reply":
            return of_reply(db, meant.name, context)
        case "session":
            return of_session(db, meant.name, context)
    return of_days(db, meant.since, meant.until, context)


def of_reply(db: sqlite3.Connection, key: str, context: Context) -> ReplyStory:
    """Where the counts of the reply with that key come from; there must be one."""
    replies = queries.replies_by_key(db, [key])
    return next(_stories(db, replies, _Seen.of(db, replies), context))


def of_session(db: sqlite3.Connection, session: str, context: Context) -> SumStory:
    """Where the counts of a session come from, its subagents' included."""
    replies = queries.replies_of_session(db, session)
    logs = {number for number, file in sighted.files(db).items() if _session_of(file) == session}
    others = sighted.keys_of(db, sighted.numbers_in(db, logs)) - {reply.key for reply in replies}
    return _sum(db, ("session", session), replies, queries.replies_by_key(db, others), context)


def of_days(db: sqlite3.Connection, since: date, until: date, context: Context) -> SumStory:
    """Where the counts of those days come from, both inclusive."""
    start_ms = periods.day_start_ms(since, context.zone)
    end_ms = periods.day_start_ms(date.fromordinal(until.toordinal() + 1), context.zone)
    name = str(since) if since == until else f"{since}..{until}"
    return _sum(db, ("day", name), list(queries.replies_between(db, start_ms, end_ms)), (), context)


class _Seen(NamedTuple):
    """What the store remembers of the lines of some replies."""

    behind: Mapping[str, Behind]  # by key
    lines: Mapping[int, Sequence[Sighting]]  # by a record's number
    unseen: str  # where a reply stands that no line is known of

    @classmethod
    def of(cls, db: sqlite3.Connection, replies: Iterable[Reply]) -> _Seen:
        keys = {reply.key for reply in replies}
        found = {key: each for key, each in sighted.behind(db, keys).items() if key in keys}
        numbers = {record.number for each in found.values() for record in (*each.records, *each.replays)}
        return cls(found, sighted.sightings(db, numbers), ELSEWHERE if has_elsewhere(db) else ON_DISK)

    def of_reply(self, key: str) -> list[Sighting]:
        """The lines of a reply without the replays."""
        return [line for record in self.behind[key].records for line in self.lines[record.number]]

    def replays(self, key: str) -> list[Sighting]:
        return [line for record in self.behind[key].replays for line in self.lines[record.number]]

    def stands(self, key: str) -> str:
        """The first of on disk, deleted and rewritten that one of its lines is; of a reply that another machine sent elsewhere."""
        return min((line.stands for line in self.of_reply(key)), key=Provenance._fields.index, default=self.unseen)


def _stories(db: sqlite3.Connection, replies: Iterable[Reply], seen: _Seen, context: Context) -> Iterator[ReplyStory]:
    pricing, zone = Pricing(context.prices), (context.zone, context.zone.key)
    for reply in replies:
        message = merge.resolve(queries.records_of(db, merge.group_of_key(reply.key)))[reply.key]
        read = _read(seen, reply.key, context.source)
        lines = roles.lines_of(read, message, originals=context.shows_lines)
        yield ReplyStory(
            reply=reply,
            request_id=message.request_id,
            project_name=context.projects.name(reply.owner.project),
            counts=counts_of(reply, context.prices),
            stands=seen.stands(reply.key),
            lines=lines,
            priced=pricing.of(reply),
            rules=tuple(rules.of_reply(reply, lines, *zone, is_elsewhere=seen.stands(reply.key) == ELSEWHERE)),
            estimate=_estimate(reply, read, context) if context.estimates else None,
        )


def _read(seen: _Seen, key: str, source: Source) -> list[roles.Seen]:
    behind = seen.behind[key]
    return [
        roles.Seen(line, record.request_id, record.sidechain, originals.read(source, line, record), is_replay)
        for records, is_replay in ((behind.records, False), (behind.replays, True))
        for record in records
        for line in seen.lines[record.number]
    ]


def _estimate(reply: Reply, read: Sequence[roles.Seen], context: Context) -> Estimate | None:
    looks = [each.found.look for each in read if isinstance(each.found, Original) and not each.is_replay]
    output = None if reply.final else estimate.output_of(reply.model, reply.tokens.output, looks)
    if output is None:
        return None
    with_it = counts_of(estimate.with_output(reply, output), context.prices)
    return Estimate(output, with_it.cost_usd)


def _sum(
    db: sqlite3.Connection, named: tuple[str, str], replies: Sequence[Reply], elsewhere: Sequence[Reply], context: Context
) -> SumStory:
    seen, totals = _Seen.of(db, replies), _counts(replies, context)
    lines = _line_counts(seen, replies)
    outputs = estimate.outputs(db, replies, context.source) if context.estimates else None
    shown = replies[max(len(replies) - context.limit, 0) :]
    kind, name = named
    return SumStory(
        kind=kind,
        name=name,
        timezone=context.zone.key,
        counts=totals,
        first_ms=replies[0].at_ms if replies else 0,
        last_ms=replies[-1].at_ms if replies else 0,
        models=tuple(_models(replies, context)),
        projects=tuple(sorted({context.projects.name(reply.owner.project) for reply in replies})),
        sessions=len({reply.owner.session for reply in replies}),
        lines=lines,
        provenance=_provenance(seen, replies, context),
        not_final=_counts([reply for reply in replies if not reply.final], context),
        rules=tuple(rules.of_sum(totals, lines, context.zone.key, owned_elsewhere=len(elsewhere))),
        owned_elsewhere=_shared(Counter(reply.owner.session for reply in elsewhere)),
        copied_to=_copies(seen, replies, name) if kind == "session" else (),
        replies=tuple(_stories(db, shown, seen, context)),
        left_out=len(replies) - len(shown),
        estimate=None if outputs is None else _estimated_sum(replies, outputs, context),
        compared=_compared(db, name, replies, Evidence(elsewhere, *_places(seen, replies), outputs), context)
        if kind == "session"
        else None,
    )


def _counts(replies: Iterable[Reply], context: Context) -> Counts:
    adder = Adder[str](context.prices)
    add_replies(adder, replies, lambda _: "", context.prices)
    return adder.totals()


def _models(replies: Iterable[Reply], context: Context) -> list[Row]:
    adder = Adder[str](context.prices)
    for reply in replies:
        for cell in cells_of(reply, context.prices):
            adder.add(cell.model, cell)
    return costliest_first(Row(model, counts) for model, counts in adder.rows())


def _line_counts(seen: _Seen, replies: Sequence[Reply]) -> LineCounts:
    own = [line for reply in replies for line in seen.of_reply(reply.key)]
    replays = [line for reply in replies for line in seen.replays(reply.key)]
    gone = sum(line.stands != ON_DISK for line in (*own, *replays))
    elsewhere = sum(seen.stands(reply.key) == ELSEWHERE for reply in replies)
    here = len(replies) - elsewhere
    return LineCounts(here, max(len(own) - here, 0), len(replays), gone, elsewhere)


def _provenance(seen: _Seen, replies: Sequence[Reply], context: Context) -> Provenance:
    parts: dict[str, list[Reply]] = {part: [] for part in Provenance._fields}
    for reply in replies:
        parts[seen.stands(reply.key)].append(reply)
    return Provenance(*(_counts(part, context) for part in parts.values()))


def _copies(seen: _Seen, replies: Sequence[Reply], session: str) -> tuple[Shared, ...]:
    """In how many of the replies each other session has a line."""
    found: Counter[str] = Counter()
    for reply in replies:
        found.update({_session_of(line.file) for line in seen.of_reply(reply.key)} - {"", session})
    return _shared(found)


def _shared(found: Counter[str]) -> tuple[Shared, ...]:
    return tuple(Shared(session, count) for session, count in sorted(found.items(), key=lambda each: (-each[1], each[0])))


def _session_of(file: LogFile) -> str:
    return next((session for agent in FORMATS if (session := agent.session(file))), "")


def _estimated_sum(replies: Sequence[Reply], outputs: Mapping[str, int], context: Context) -> Estimated:
    with_them = _counts((estimate.with_output(reply, outputs.get(reply.key, reply.tokens.output)) for reply in replies), context)
    return Estimated(len(outputs), with_them.output_tokens, with_them.total_tokens, with_them.cost_usd)


def _compared(db: sqlite3.Connection, session: str, replies: Sequence[Reply], evidence: Evidence, context: Context) -> Compared | None:
    said = samples.said_cost(db, session)
    return None if said is None else compared(said, replies, evidence, context.prices)


def _places(seen: _Seen, replies: Sequence[Reply]) -> tuple[Mapping[str, Set[str]], int]:
    """In which folders each reply stands, and how many stand nowhere any more."""
    folders = {reply.key: {line.file.root for line in seen.of_reply(reply.key)} for reply in replies}
    return folders, sum(seen.stands(reply.key) in (DELETED, REWRITTEN) for reply in replies)
