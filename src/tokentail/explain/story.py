"""The nouns of an explanation, frozen: what the command, the screen and the page show of where a number comes from."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from tokentail.model import Counts, Estimated, Provenance, Reply, Row

# What a line is to the reply that it is of.
COUNTED = "counted"  # the one whose usage counts
REPEATED = "repeated"  # another line of the same usage
EARLIER = "earlier"  # of a usage that does not win, such as an earlier count of the output
COPY = "copy"  # a copy of another line, which has the same uuid
REPLAY = "replay"  # of a side question, which logged a reply again: dropped
UNKNOWN = "unknown"  # it cannot be read any more, and what it said by itself was not kept


class Spot(NamedTuple):
    """A place in a log."""

    path: str
    offset_bytes: int


class Said(NamedTuple):
    """What a line says by itself, read from the log."""

    at_ms: int
    output_tokens: int
    is_final: bool
    session: str
    project: str
    agent: str


class Line(NamedTuple):
    """A line that a reply was seen on."""

    spot: Spot
    stands: str  # on_disk, deleted, rewritten
    role: str
    request_id: str
    is_sidechain: bool
    said: Said | None = None  # None: the line cannot be read
    unread: str = ""  # why not, where it should be there
    copy_of: Spot | None = None
    original: str | None = None  # on request: the line itself. This is content


class Applied(NamedTuple):
    """A rule of docs/counting.md, and what it made of a reply, a session or a day."""

    rule: str  # R1 to R10
    says: str


class Term(NamedTuple):
    """A counter times its rate; exact, in pico-dollars (1e-12 USD)."""

    name: str  # a field of Tokens, or web_searches
    amount: int
    rate_pico: int  # of one, with all factors

    @property
    def cost_pico(self) -> int:
        return self.amount * self.rate_pico


class Priced(NamedTuple):
    """How the usage of one model in a reply was priced."""

    model: str  # as logged
    listed_as: str  # its name in the price list
    is_extra: bool  # billed beside the reply (R6)
    day: date  # UTC, by which the rate is chosen
    from_day: date | None  # of the rate; None: since ever
    until_day: date | None  # the first day on which it no longer holds
    prompt_tokens: int
    above_tokens: int  # the long-context limit that the prompt exceeds; 0 for none
    speed: str
    geo: str
    service_tier: str
    factors: tuple[str, ...]  # which the rates hold, in words
    terms: tuple[Term, ...]  # empty where no price is known
    is_assumed: bool  # a part of the price is not known and the standard one was taken
    sources: tuple[str, ...]  # where the price was found
    is_own: bool  # it comes from the settings

    @property
    def cost_pico(self) -> int | None:
        return sum(term.cost_pico for term in self.terms) if self.terms else None


class Estimate(NamedTuple):
    """What the output of a reply may be whose log holds no final count: from the length of what was said. Never a count."""

    output_tokens: int  # never less than what was logged
    cost_usd: float | None  # of the reply with it


class ReplyStory(NamedTuple):
    """Where the counts of a reply come from."""

    reply: Reply
    request_id: str
    project_name: str
    counts: Counts
    stands: str
    lines: tuple[Line, ...]  # the one that counts first, then by place
    priced: tuple[Priced, ...]
    rules: tuple[Applied, ...]
    estimate: Estimate | None = None  # on request, of one that is not final and has a line that can be read


class LineCounts(NamedTuple):
    """How many lines replies were seen on; each is in one of the first three."""

    counted: int = 0  # one a reply that is from a log here
    repeated: int = 0  # earlier states, repetitions, copies
    replays: int = 0  # dropped
    gone: int = 0  # of all these: deleted, or removed by a rewrite
    elsewhere: int = 0  # replies of other machines, whose lines are there: none of these


class Shared(NamedTuple):
    """Replies that stand in the logs of two sessions."""

    session: str  # the other one
    replies: int


class Reason(NamedTuple):
    """What a gap likely comes from, as far as what is stored shows; never proven."""

    name: str  # a word for programs, see docs/explain.md
    cost_usd: float | None  # how much it may make at most; None where nobody knows
    says: str


class Compared(NamedTuple):
    """What Claude Code said itself that a session cost, and what was counted until then."""

    said_usd: float
    first_ms: int  # when the status line heard of the session first
    last_ms: int  # and when it heard something new of it last
    counted_usd: float  # as far as it has a price
    counted_replies: int
    later_usd: float  # of replies since then, which are left out
    later_replies: int
    agrees: bool  # to a cent, or to a hundredth
    reasons: tuple[Reason, ...]  # none where it agrees

    @property
    def gap_usd(self) -> float:
        """Below 0 where less was counted than was said."""
        return self.counted_usd - self.said_usd

    @property
    def gap_percent(self) -> float | None:
        """Of what was said."""
        return self.gap_usd / self.said_usd * 100 if self.said_usd else None


class SumStory(NamedTuple):
    """Where the counts of a session or of days come from."""

    kind: str  # session, day
    name: str  # the session's id; the first day and the last one where they differ, as 2026-10-01..2026-10-07
    timezone: str
    counts: Counts
    first_ms: int
    last_ms: int
    models: tuple[Row, ...]  # costliest first
    projects: tuple[str, ...]  # shown names
    sessions: int
    lines: LineCounts
    provenance: Provenance
    not_final: Counts
    rules: tuple[Applied, ...]
    owned_elsewhere: tuple[Shared, ...]  # replies in this session's logs that count for another session
    copied_to: tuple[Shared, ...]  # replies of this session that also stand in another one's logs
    replies: tuple[ReplyStory, ...]  # oldest first; with a limit the latest
    left_out: int
    estimate: Estimated | None = None  # on request
    compared: Compared | None = None  # of a session of which the status line heard
