"""The only place that holds our figure of a session against Claude Code's own, and says where a gap likely comes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import NamedTuple

from tokentail import estimate
from tokentail.explain.pricing import Pricing
from tokentail.explain.story import Compared, Priced, Reason
from tokentail.model import TTL_ASSUMED, Reply
from tokentail.prices import PICO_PER_USD, PriceList
from tokentail.samples import SaidCost
from tokentail.totals import Adder, add_replies

AGREES_USD, AGREES_PART = 0.01, 0.01  # the two agree where they are no further apart than one of these
_WORTH_TELLING = 0.1  # of the gap: a cause that is known to be smaller explains nothing
_MOST_UNLOGGED = 0.1  # of what was said: what Claude Code asks without a line in a log is little


class Evidence(NamedTuple):
    """What is known of a session beside its replies."""

    elsewhere: Sequence[Reply]  # in its logs, but counted for another session
    folders: Mapping[str, Set[str]]  # by a reply's key: the folders that were searched and hold its lines
    gone: int  # replies without a line that is still there
    estimates: Mapping[str, int] | None  # of output counts, by key; None: they were not asked for


def compared(said: SaidCost, replies: Sequence[Reply], evidence: Evidence, prices: PriceList) -> Compared:
    """What was counted until Claude Code said its figure last, and why the two differ; a session's replies, in order of time."""
    until = [reply for reply in replies if reply.at_ms <= said.last_ms]
    later = replies[len(until) :]
    case = _Case(said, until, evidence, prices)
    gap_usd = case.counted_usd - said.cost_usd
    agrees = abs(gap_usd) <= max(AGREES_USD, AGREES_PART * said.cost_usd)
    return Compared(
        said_usd=said.cost_usd,
        first_ms=said.first_ms,
        last_ms=said.last_ms,
        counted_usd=case.counted_usd,
        counted_replies=len(until),
        later_usd=_usd(later, prices),
        later_replies=len(later),
        agrees=agrees,
        reasons=() if agrees else tuple(_likely(case.too_little() if gap_usd < 0 else case.too_much(), abs(gap_usd), case)),
    )


def _likely(reasons: Iterable[Reason], gap_usd: float, case: _Case) -> Iterator[Reason]:
    """Those that are large enough, and what may make the rest where all of them are known."""
    left_usd, is_known = gap_usd, True
    for reason in reasons:
        if reason.cost_usd is None:
            is_known = False
        elif reason.cost_usd < _WORTH_TELLING * gap_usd:
            continue
        else:
            left_usd -= reason.cost_usd
        yield reason
    if is_known and left_usd > _WORTH_TELLING * gap_usd:
        yield case.rest(left_usd)


class _Case:
    """A gap, and what may make it. A cause whose size is not known has no cost."""

    def __init__(self, said: SaidCost, replies: Sequence[Reply], evidence: Evidence, prices: PriceList) -> None:
        self._said = said
        self._replies = replies
        self._evidence = evidence
        self._prices = prices
        self.counted_usd = _usd(replies, prices)

    def too_little(self) -> Iterator[Reason]:
        """Why we may have counted less than was said."""
        if not_final := [reply for reply in self._replies if not reply.final]:
            yield self._not_final(not_final)
        priced = self._priced()
        if unpriced := [each for each in priced if each.cost_pico is None]:
            names = ", ".join(sorted({each.model for each in unpriced}))
            yield Reason("no_price", None, f"No price is known for {names}: what it used counts nothing here.")
        if any(each.is_assumed for each in priced):
            yield Reason("assumed_price", None, "A part of a price is not known, and the standard one was taken.")
        yield from self._own_prices(priced)
        yield from self._cache_writes()
        if copies := self._evidence.elsewhere:
            says = f"Another session owns {_replies(copies)} in its logs (R7)."
            yield Reason("other_sessions", _usd(copies, self._prices), says)
        if self._said.ended_usd:
            says = "Its figure began anew and was added up; two processes that take turns in one session are added up too often."
            yield Reason("added_up", self._said.ended_usd, says)
        if gone := self._evidence.gone:
            says = f"The lines of {_many(gone)} are gone; what was written and removed between two looks was never seen."
            yield Reason("removed_lines", None, says)

    def too_much(self) -> Iterator[Reason]:
        """Why we may have counted more than was said."""
        if before := [reply for reply in self._replies if reply.at_ms < self._said.first_ms]:
            says = f"{_replies(before)} came before the status line heard of it, and a session that is resumed begins its figure anew."
            yield Reason("before_the_status_line", _usd(before, self._prices), says)
        if others := self._of_other_folders():
            says = f"Another folder of logs holds {_replies(others)}: of another machine, perhaps, whose figure is not heard here."
            yield Reason("other_folders", _usd(others, self._prices), says)
        if agents := [reply for reply in self._replies if reply.owner.subagent]:
            says = f"Subagents made {_replies(agents)}, perhaps in processes with a figure of their own."
            yield Reason("subagents", _usd(agents, self._prices), says)
        yield from self._own_prices(self._priced())

    def rest(self, left_usd: float) -> Reason:
        """What may make that much which nothing else explains."""
        if self.counted_usd > self._said.cost_usd:
            return Reason("prices", left_usd, "Claude Code has prices of its own, which may differ from those in `tokentail prices`.")
        if left_usd <= _MOST_UNLOGGED * self._said.cost_usd:
            return Reason("unlogged", left_usd, "Claude Code also asks for titles, summaries and the like, which no log has a line of.")
        says = "Lines of it were never here: on another machine, in a folder that is not read, or deleted before the first look."
        return Reason("missing_lines", left_usd, says)

    def _not_final(self, replies: Sequence[Reply]) -> Reason:
        says = f"The log holds no final output count of {_replies(replies)} (R7)"
        known = self._evidence.estimates
        if known is None:
            return Reason("not_final", None, f"{says}; --estimate-output says how much that may be.")
        estimated = [estimate.with_output(reply, known.get(reply.key, reply.tokens.output)) for reply in replies]
        return Reason("not_final", _usd(estimated, self._prices) - _usd(replies, self._prices), f"{says}; by the estimates.")

    def _own_prices(self, priced: Sequence[Priced]) -> Iterator[Reason]:
        if own := sorted({each.model for each in priced if each.is_own}):
            yield Reason("own_prices", None, f"The price of {', '.join(own)} comes from your settings.")

    def _cache_writes(self) -> Iterator[Reason]:
        assumed = [reply for reply in self._replies if reply.flags & TTL_ASSUMED and reply.tokens.cache_write_5m]
        if assumed:
            more_usd = _usd(map(_for_an_hour, assumed), self._prices) - _usd(assumed, self._prices)
            says = f"For how long the cache writes of {_replies(assumed)} last is not logged: taken as 5 minutes, and an hour costs more."
            yield Reason("cache_writes", more_usd, says)

    def _of_other_folders(self) -> list[Reply]:
        """The replies without a line in the folder that holds the most."""
        folders = [self._evidence.folders[reply.key] for reply in self._replies]
        counts = {name: sum(name in each for each in folders) for name in sorted(set().union(*folders))}
        most = max(counts, key=counts.__getitem__, default="")
        return [reply for reply, each in zip(self._replies, folders, strict=True) if each and most not in each]

    def _priced(self) -> list[Priced]:
        pricing = Pricing(self._prices)
        return [each for reply in self._replies for each in pricing.of(reply)]


def _for_an_hour(reply: Reply) -> Reply:
    tokens = reply.tokens
    return reply._replace(tokens=tokens._replace(cache_write_5m=0, cache_write_1h=tokens.cache_write_1h + tokens.cache_write_5m))


def _usd(replies: Iterable[Reply], prices: PriceList) -> float:
    """What they cost, as far as they have a price."""
    adder = Adder[str](prices)
    add_replies(adder, replies, lambda _: "", prices)
    return (adder.cost_pico() or 0) / PICO_PER_USD


def _replies(replies: Sequence[Reply]) -> str:
    return _many(len(replies))


def _many(count: int) -> str:
    return f"{count:,} {'reply' if count == 1 else 'replies'}"
