"""Explanations as text for people."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from zoneinfo import ZoneInfo

from tokentail import estimate, machines, periods
from tokentail.explain import rules
from tokentail.explain.story import COPY, COUNTED, Applied, Compared, Line, Priced, ReplyStory, Shared, SumStory
from tokentail.model import Counts, Provenance
from tokentail.prices import PICO_PER_USD
from tokentail.prices.rows import decimal, usd_per_million
from tokentail.reports import text
from tokentail.reports.build import shown_path
from tokentail.reports.grid import ALWAYS, BOLD, DIM, Column, Grid, draw
from tokentail.reports.parts import cost_share
from tokentail.reports.text import Style, cut, safe
from tokentail.sighted import DELETED, ELSEWHERE, ON_DISK, REWRITTEN

_NAMES: Mapping[str, str] = {
    "input": "Input",
    "output": "Output",
    "cache_read": "Cache read",
    "cache_write_5m": "Cache write, 5 minutes",
    "cache_write_1h": "Cache write, 1 hour",
    "web_searches": "Web searches",
}
_STANDS: Mapping[str, str] = {ON_DISK: "on disk", DELETED: "deleted", REWRITTEN: "removed by a rewrite", ELSEWHERE: "from another machine"}
_PLACES: Mapping[str, str] = {ON_DISK: "", DELETED: "  (the file was deleted)", REWRITTEN: "  (the lines were removed by a rewrite)"}
_LONGEST_NAME = 100


def story_text(story: ReplyStory | SumStory, *, zone: ZoneInfo, width: int, style: Style) -> str:
    """The explanation, each line of at most `width` columns as far as the names of files allow."""
    page = _Page(zone, width, style)
    lines = page.reply(story) if isinstance(story, ReplyStory) else page.sum(story)
    return "".join(f"{line}\n" for line in lines)


class _Page:
    """Lays explanations out for one terminal."""

    def __init__(self, zone: ZoneInfo, width: int, style: Style) -> None:
        self._zone = zone
        self._width = width
        self._style = style

    def reply(self, story: ReplyStory) -> Iterator[str]:
        """All of one reply."""
        reply, owner = story.reply, story.reply.owner
        yield self._style(f"Reply {safe(reply.key)}", BOLD)
        agent = f", subagent {_name(owner.agent)}" if owner.agent else ""
        yield f"  {self._moment(reply.at_ms)}  {_name(reply.model)}"
        yield f"  session {_name(owner.session)}, project {_name(story.project_name)}{agent}"
        yield f"  {story.counts.total_tokens:,} tokens, $ {text.cost(story.counts, places=6)}"
        if story.request_id:
            yield f"  request {_name(story.request_id)}, Claude Code {_name(reply.version) or '?'}"
        if owner.host or owner.user:
            yield f"  host {_name(machines.shown(owner.host))}, user {_name(machines.shown(owner.user))}"
        came = f"None here: it came from {rules.from_machine(owner)}, and its log is there."
        yield from self._section("Lines", self._wrapped(safe(came), "  ") if story.stands == ELSEWHERE else self._lines(story.lines))
        for priced in story.priced:
            yield from self._section("Price", self._price(priced))
        if story.estimate is not None:
            cost = f"$ {text.cost(Counts(cost_usd=story.estimate.cost_usd), places=6)}"
            said = f"~ {story.estimate.output_tokens:,} output tokens, {cost}: {estimate.LABEL}; {estimate.ERROR}."
            yield from self._section("Estimate", self._wrapped(said, "  "))
        yield from self._section("Rules (docs/counting.md)", self._rules(story.rules))

    def sum(self, story: SumStory) -> Iterator[str]:
        """A session or days: the sums, the rules, then reply by reply."""
        what = "Session" if story.kind == "session" else "Days" if ".." in story.name else "Day"
        yield self._style(f"{what} {_name(story.name.replace('..', ' to '))}", BOLD)
        if not story.counts.replies:
            yield f"  Nothing was used ({story.timezone})."
            return
        yield f"  {self._moment(story.first_ms)} to {self._moment(story.last_ms)} ({story.timezone})"
        yield from self._wrapped(f"{_projects(story.projects)}{_sessions(story)}", "  ")
        yield from self._section("Counts", self._models(story))
        yield from self._section("Of these", self._parts(story))
        if story.compared is not None:
            yield from self._section("Claude Code's own figure", self._compared(story.compared))
        yield from self._section("Rules (docs/counting.md)", self._rules(story.rules))
        yield from self._shared("In its logs, but counted for another session (R7)", story.owned_elsewhere)
        yield from self._shared("Counted here, with copies in other sessions' logs (R7)", story.copied_to)
        told = f"Replies, the latest {len(story.replies):,} of {story.counts.replies:,}" if story.left_out else "Replies"
        yield from self._section(told, self._replies(story.replies))
        if story.left_out:
            yield ""
            ones = "one is" if story.left_out == 1 else "ones are"
            yield f"  {story.left_out:,} earlier {ones} left out (--limit {story.counts.replies} shows all)."

    def _section(self, title: str, lines: Iterable[str]) -> Iterator[str]:
        yield ""
        yield self._style(title, DIM)
        yield from lines

    def _replies(self, stories: Sequence[ReplyStory]) -> Iterator[str]:
        for story in stories:
            counts = story.counts
            mark = "" if story.reply.final else "  not final"
            estimated = f"  ~ {story.estimate.output_tokens:,} (estimate)" if story.estimate else ""
            where = "" if story.stands == ON_DISK else f"  {_STANDS[story.stands]}"
            used = f"{counts.total_tokens:,} tokens  out {counts.output_tokens:,}{mark}{estimated}  $ {text.cost(counts, places=4)}{where}"
            yield f"  {self._style(safe(story.reply.key), BOLD)}  {self._moment(story.reply.at_ms)}"
            yield from self._wrapped(f"{_name(story.reply.model)}  {used}", "      ", "    ")
            yield from self._lines(story.lines, indent="    ")

    def _lines(self, lines: Sequence[Line], indent: str = "  ") -> Iterator[str]:
        """By file, so that no name of one has to be cut."""
        by_file: dict[tuple[str, str], list[Line]] = {}
        for line in lines:
            by_file.setdefault((line.spot.path, line.stands), []).append(line)
        for (path, stands), each in by_file.items():
            yield f"{indent}{safe(shown_path(path))}{self._style(_PLACES[stands], DIM)}"
            for line in each:
                yield from self._wrapped(self._line(line), f"{indent}      ", f"{indent}  ")
                if line.original is not None:
                    yield from self._pieces(safe(line.original), f"{indent}    ")

    def _line(self, line: Line) -> str:
        mark = "✓" if line.role == COUNTED else " "
        said = f"output {line.said.output_tokens:,}{'' if line.said.is_final else ', not final'}" if line.said else ""
        copied = ""
        if line.role == COPY and line.copy_of is not None:
            here = line.copy_of.path == line.spot.path
            copied = f" of byte {line.copy_of.offset_bytes:,}" + ("" if here else f" of {safe(line.copy_of.path.rpartition('/')[2])}")
        unread = f"cannot be read: {safe(line.unread)}" if line.unread else ""
        where = f"{mark} at byte {line.spot.offset_bytes:,}"
        return "  ".join(part for part in (where, f"{rules.role_in_words(line)}{copied}", said, unread) if part)

    def _price(self, priced: Priced) -> Iterator[str]:
        yield from self._wrapped(_price_in_words(priced), "  ")
        terms = [term for term in priced.terms if term.amount or term.name != "web_searches"]
        cost = priced.cost_pico
        if cost is None:
            return
        grid = Grid(
            [Column("Counter", ALWAYS, [_NAMES[term.name] for term in terms])],
            [
                Column("Amount", ALWAYS, [f"{term.amount:,}" for term in terms], right=True),
                Column("USD for", 60, ["one" if term.name == "web_searches" else "a million" for term in terms]),
                Column("Rate", ALWAYS, [_rate(term.name, term.rate_pico) for term in terms], right=True),
                Column("Cost (USD)", ALWAYS, [_usd(term.cost_pico) for term in terms], _usd(cost), right=True),
            ],
            total="Total",
        )
        yield from (f"  {line}" for line in draw(grid, width=self._width - 2, style=self._style))

    def _models(self, story: SumStory) -> Iterator[str]:
        rows = [row.counts for row in story.models]
        wanted: tuple[tuple[str, Callable[[Counts], str]], ...] = (
            ("Replies", lambda counts: f"{counts.replies:,}"),
            ("Input", lambda counts: f"{counts.input_tokens:,}"),
            ("Output", lambda counts: f"{counts.output_tokens:,}"),
            ("Cache write", lambda counts: f"{counts.cache_write_5m_tokens + counts.cache_write_1h_tokens:,}"),
            ("Cache read", lambda counts: f"{counts.cache_read_tokens:,}"),
            ("Cost (USD)", text.cost),
        )
        columns = [
            Column(title, ALWAYS - place - 1 if title != "Cost (USD)" else ALWAYS, list(map(of, rows)), of(story.counts), right=True)
            for place, (title, of) in enumerate(wanted)
        ]
        names = Column("Model", ALWAYS, [cut(row.key, 40) for row in story.models], least=12)
        yield from (f"  {line}" for line in draw(Grid([names], columns, total="Total"), width=self._width - 2, style=self._style))

    def _parts(self, story: SumStory) -> Iterator[str]:
        for part in Provenance._fields:
            counts = getattr(story.provenance, part)
            if part != ELSEWHERE or counts.replies:
                yield self._part(_STANDS[part], counts, story.counts)
        yield self._part("not final", story.not_final, story.counts)
        if story.estimate is not None:
            found, unknown = story.estimate, story.not_final.replies - story.estimate.replies
            cost = text.cost(Counts(cost_usd=found.cost_usd))
            said = f"~ With estimates for {found.replies:,} of them: {found.output_tokens:,} output tokens, $ {cost} in all."
            rest = f" For {unknown:,} there is nothing to estimate from." if unknown else ""
            yield from self._wrapped(f"{said}{rest} This is {estimate.LABEL}; {estimate.ERROR}.", "  ")

    def _part(self, name: str, part: Counts, whole: Counts) -> str:
        share = cost_share(part, whole)
        of_cost = f"  {text.percent(share)} of the cost" if part.replies and share is not None else ""
        return f"  {name:21}{part.replies:>8,} {_replies(part.replies)}{of_cost}"

    def _compared(self, found: Compared) -> Iterator[str]:
        percent = "" if found.gap_percent is None else f"  {found.gap_percent:+,.1f} %"
        later = f"; {found.later_replies:,} later ($ {found.later_usd:,.4f}) left out" if found.later_replies else ""
        rows = (
            ("said", found.said_usd, f"  until {self._moment(found.last_ms)}"),
            ("counted until then", found.counted_usd, f"  {found.counted_replies:,} {_replies(found.counted_replies)}{later}"),
            ("gap", found.gap_usd, "  they agree" if found.agrees else percent),
        )
        for name, usd, rest in rows:
            yield from self._wrapped(f"{name:21}$ {usd:>10,.4f}{rest}", " " * 25, "  ")
        for reason in found.reasons:
            most = "" if reason.cost_usd is None else f" At most $ {reason.cost_usd:,.4f}."
            yield from self._wrapped(f"{safe(reason.says)}{most}", " " * 10, "  likely: ")

    def _shared(self, title: str, shared: Sequence[Shared]) -> Iterator[str]:
        if shared:
            yield from self._section(title, (f"  {each.replies:>8,}  session {_name(each.session)}" for each in shared))

    def _rules(self, applied: Iterable[Applied]) -> Iterator[str]:
        for each in applied:
            yield from self._wrapped(safe(each.says), "       ", f"  {each.rule:4} ")

    def _wrapped(self, words: str, indent: str, first: str | None = None) -> Iterator[str]:
        line = indent if first is None else first
        is_empty = True
        for word in words.split(" "):
            if not is_empty and text.text_width(line) + 1 + text.text_width(word) > self._width:
                yield line
                line, is_empty = indent, True
            line += word if is_empty else f" {word}"
            is_empty = False
        yield line

    def _pieces(self, original: str, indent: str) -> Iterator[str]:
        """A line of a log, cut where the terminal ends; it has no words to be kept whole."""
        room = max(self._width - len(indent), 20)
        if original.isascii():
            for start in range(0, len(original), room):
                yield indent + original[start : start + room]
            return
        piece, used = "", 0
        for char in original:
            cells = text.text_width(char)
            if used + cells > room:
                yield indent + piece
                piece, used = "", 0
            piece, used = piece + char, used + cells
        yield indent + piece

    def _moment(self, at_ms: int) -> str:
        return f"{periods.at(at_ms, self._zone):%Y-%m-%d %H:%M:%S}"


def _price_in_words(priced: Priced) -> str:
    name = _name(priced.listed_as) + (" (billed beside the reply)" if priced.is_extra else "")
    if not priced.terms:
        return f"No price is known for {_name(priced.model)}: its cost is unknown, not 0."
    until = f" until {priced.until_day}" if priced.until_day else ""
    since = f"from {priced.from_day}{until}" if priced.from_day else f"since ever{until}"
    if priced.from_day and priced.day < priced.from_day:
        since += ", the oldest that is known"
    limit = f", above {priced.above_tokens:,}" if priced.above_tokens else ""
    parts = [f"{name} on {priced.day} UTC: the rate {since}", f"prompt of {priced.prompt_tokens:,} tokens{limit}", *priced.factors]
    assumed = " A part of this price is not known, the standard one was taken: a lower bound." if priced.is_assumed else ""
    source = f" Source: {safe(', '.join(priced.sources))}." if priced.sources else ""
    return f"{'; '.join(parts)}.{assumed}{source}"


def _projects(names: Sequence[str]) -> str:
    shown = ", ".join(_name(name) for name in names[:5])
    return f"{'project' if len(names) == 1 else 'projects'} {shown}{', ...' if len(names) > 5 else ''}"


def _replies(count: int) -> str:
    return "reply" if count == 1 else "replies"


def _sessions(story: SumStory) -> str:
    return "" if story.kind == "session" else f"; {story.sessions:,} session{'' if story.sessions == 1 else 's'}"


def _rate(name: str, rate_pico: int) -> str:
    return decimal(rate_pico, PICO_PER_USD) if name == "web_searches" else usd_per_million(rate_pico)


def _usd(pico: int) -> str:
    """Exact as far as anybody can read it."""
    return f"{pico / PICO_PER_USD:,.6f}"


def _name(name: str) -> str:
    return cut(name, _LONGEST_NAME)
