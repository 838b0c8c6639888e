"""The only place that makes up how a conversation goes: turns, answers of several lines, tools and their results."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tokentail.demo import asides, shapes
from tokentail.demo.plan import TreePlan
from tokentail.demo.rhythm import Pace
from tokentail.demo.shapes import Session, Use
from tokentail.demo.texts import Texts
from tokentail.demo.truth import TrueReply
from tokentail.model import Extra, Tokens

_CONTEXT_LIMIT = 170_000
_MODELS = (  # of newer sessions, with the weights for main conversations and for subagents
    ("claude-opus-5-5", 26, 10),
    ("claude-sonnet-5-5", 22, 20),
    ("claude-opus-5", 14, 8),
    ("claude-sonnet-5", 8, 8),
    ("claude-fable-5-2", 6, 2),
    ("claude-opus-4-8", 6, 2),
    ("claude-sonnet-4-6", 6, 4),
    ("claude-haiku-5-5", 6, 24),
    ("claude-haiku-4-5-20251001", 6, 22),
)
_OLD_MODELS = (
    ("claude-sonnet-4-20250514", 30, 20),
    ("claude-opus-4-1-20250805", 20, 5),
    ("claude-sonnet-4-5-20250929", 30, 30),
    ("claude-haiku-4-5-20251001", 10, 45),
)
_FAST_MODELS = ("claude-opus-4-8", "claude-opus-5", "claude-opus-5-5", "claude-fable-5-2")
_TOOLS = ("Bash", "Bash", "Bash", "Read", "Read", "Edit", "Grep", "Glob", "Write", "mcp__tracker__find_issue")
_BRANCHES = ("main", "main", "main", "HEAD", "try/cache", "fix/ferry-times")
_REPLIES_A_TURN = (0, 1, 1, 2, 3, 4, 6, 9, 14, 20)
_CALLS = (1, 1, 1, 1, 1, 2, 2, 3)
_NO_ITERATION: tuple[bytes, tuple[Extra, ...]] = (b"", ())
_ERRORS = (("API Error: 529 Overloaded", "server_error"), ("Please run /login", "authentication_failed"), ("Limit reached", "rate_limit"))
_ODD = (b"null", b"-3", b'"12"', b"2.5", b"true", b"9007199254740993")
_INPUT_TRAPS = (  # real JSON with the keys of a log line, as a tool's input
    b'{"usage":{"input_tokens":777777,"cache_read_input_tokens":666666,"output_tokens":555555},"limit":5}',
    (
        b'{"type":"assistant","message":{"id":"msg_inside","model":"inside","usage":{"input_tokens":777777,"output_tokens":555555}},'
        b'"requestId":"req_inside","timestamp":"2020-01-01T00:00:00.000Z"}'
    ),
)


class Line(NamedTuple):
    """One line of a log, without its newline."""

    data: bytes
    reply: TrueReply | None = None  # what the line shows of a reply that counts
    linked: bool = True  # has a uuid: goes along when the session is resumed
    copied: bool = False  # marked as a copy, or as written in the background


class Helper(NamedTuple):
    """A subagent as its parent saw it."""

    agent: str
    lines: Sequence[bytes]


class _Answer(NamedTuple):
    """What all lines of an answer have in common."""

    message: str  # the id, or "" for none
    request: str
    stop: str
    use: Use  # as it stands at the end
    partial: bool  # early lines show less
    final: bool  # the last line shows `use`
    stops_everywhere: bool  # every line tells the stop reason
    odd: bytes  # what stands in place of the input count, or nothing
    extras: tuple[Extra, ...]


class Conversation:
    """Makes the lines of one log, in order: a session's or a subagent's."""

    def __init__(
        self,
        session: Session,
        plan: TreePlan,
        rng: random.Random,
        pace: Pace,
        texts: Texts,
        *,
        agent: str = "",
        helpers: Sequence[Helper] = (),
    ) -> None:
        self._session, self._plan, self._rng, self._pace, self._texts = session, plan, rng, pace, texts
        self._agent, self._helpers = agent, helpers
        self._dirt = plan.dirt
        self._cwd, self._branch = session.cwd, rng.choice(_BRANCHES)
        self._parent = b"null"
        self._model = self._some_model()
        self._fast = not session.old and rng.random() < plan.fast_share and self._model in _FAST_MODELS
        self._hour_writes = not agent and rng.random() < 0.72
        self._stops_everywhere = rng.random() < 0.5  # as later versions do
        self._known_tokens, self._new_tokens = 0, rng.randint(4_000, 22_000)
        self._open_calls: list[tuple[str, str]] = []  # tool calls without a result yet: id, name
        self._made_bytes = 0
        self._inline_agent = False
        self._wrap()

    def lines(self, size_bytes: int) -> Iterator[Line]:
        """Whole turns until that size is reached; each line is made, and timed, when it is asked for."""
        if not self._agent:
            yield from self._beginning()
        while self._made_bytes < size_bytes:
            self._pace.next_turn(self._made_bytes / size_bytes)
            yield from self._turn(size_bytes)

    # turns

    def _beginning(self) -> Iterator[Line]:
        if self._session.old:
            if self._rng.random() < 0.5:
                yield self._loose()
            return
        yield self._whole(asides.snapshot(self._rng, self._pace.step(0, 1)))

    def _turn(self, size_bytes: int) -> Iterator[Line]:
        rng = self._rng
        yield self._prompt()
        for _ in range(rng.choice(_REPLIES_A_TURN)):
            self._pace.next_reply(self._made_bytes / size_bytes)
            if rng.random() < 0.14:
                yield self._linked(rng.choice(asides.LINKED)(rng, self._texts))
            yield from self._reply(last=False)
            yield from self._results()
            if self._made_bytes >= size_bytes:
                break
        if rng.random() < self._plan.error_share:
            yield self._linked(shapes.error_answer(rng, *rng.choice(_ERRORS)))
        yield from self._reply(last=True)
        if self._known_tokens > _CONTEXT_LIMIT:
            yield self._compacted()
        if not self._agent:
            yield self._loose() if rng.random() < 0.5 else self._linked(rng.choice(asides.LINKED)(rng, self._texts))
            self._move_on()

    def _prompt(self) -> Line:
        text = self._text(5.0, 1.0)
        self._pace.step(2_000, 40_000)
        return self._linked(shapes.user(b'"' + text + b'"'))

    def _compacted(self) -> Line:
        before, self._known_tokens = self._known_tokens, 0
        self._new_tokens = self._rng.randint(9_000, 30_000)
        return self._linked(asides.compact_boundary(before))

    def _move_on(self) -> None:
        """Now and then a session changes its folder, its branch or its model; 1.x wrote subagents inline."""
        rng = self._rng
        if rng.random() < 0.05:
            self._cwd = self._session.cwd + rng.choice(("", "/docs", "/tests"))
            self._branch = rng.choice(_BRANCHES)
        self._inline_agent = self._session.version.startswith("1.") and rng.random() < 0.15
        self._wrap()
        if rng.random() < 0.04:
            self._model = self._some_model()

    # answers

    def _reply(self, *, last: bool) -> Iterator[Line]:
        """The lines of one answer, a line a block; sometimes a tool's result comes between two of them."""
        blocks = self._blocks(last)
        answer = self._answer(blocks, last)
        first_ms = at_ms = self._pace.step(1_500, 9_000)
        for number, block in enumerate(blocks):
            ends = answer.final and number == len(blocks) - 1
            shown = answer.use if ends or not answer.partial else self._early(answer.use, number)
            yield self._linked(self._content(answer, block, shown, ends), reply=self._shown(answer, shown, ends, first_ms), at_ms=at_ms)
            if self._open_calls and number < len(blocks) - 1 and self._rng.random() < 0.15:
                yield self._result(*self._open_calls.pop(0))
            at_ms = self._pace.step(80, 1_800)

    def _answer(self, blocks: list[bytes], last: bool) -> _Answer:
        rng, plan, dirt = self._rng, self._plan, self._dirt
        never_final = rng.random() < plan.never_final_share * (3 if self._agent else 1)
        partial = never_final or (len(blocks) > 1 and rng.random() < plan.partial_share)
        more, extras = _NO_ITERATION
        if not (partial or self._session.old) and rng.random() < plan.extra_share:
            more, extras = self._iteration()
        return _Answer(
            message="" if len(blocks) == 1 and rng.random() < dirt.missing_ids else shapes.token(rng, "msg_01", 22),
            request="" if rng.random() < plan.missing_request_share else shapes.token(rng, "req_011C", 20),
            stop="end_turn" if last else "tool_use",
            use=self._use(blocks)._replace(more=more),
            partial=partial,
            final=not never_final,
            stops_everywhere=self._stops_everywhere and not partial,
            odd=rng.choice(_ODD) if rng.random() < dirt.odd_counts else b"",
            extras=extras,
        )

    def _content(self, answer: _Answer, block: bytes, shown: Use, ends: bool) -> bytes:
        spent = shapes.usage(shown, old=self._session.old, early=answer.partial and not ends)
        return shapes.answer(
            block,
            _with_odd_input(spent, answer.odd) if answer.odd else spent,
            model=self._model,
            message=answer.message,
            request=answer.request,
            stop=answer.stop if ends or answer.stops_everywhere else "",
            old=self._session.old,
        )

    def _shown(self, answer: _Answer, shown: Use, ends: bool, first_ms: int) -> TrueReply:
        tokens = shown.tokens()
        return TrueReply(
            key=answer.message,
            at_ms=first_ms,
            model=self._model,
            tokens=tokens._replace(input=0) if answer.odd else tokens,
            web_searches=shown.searches,
            final=ends or answer.stops_everywhere,
            extras=answer.extras,
        )

    def _blocks(self, last: bool) -> list[bytes]:
        rng, texts = self._rng, self._texts
        blocks = []
        if rng.random() < 0.3:
            thought = b"" if not self._session.old and rng.random() < 0.6 else self._text(5.8, 0.9)
            blocks.append(shapes.thinking(thought, texts.blob(rng, rng.randint(200, 1_800) * self._plan.text_scale)))
        if last or rng.random() < 0.4:
            blocks.append(shapes.prose(self._text(5.5, 1.0)))
        if not last:
            blocks.extend(self._call() for _ in range(rng.choice(_CALLS)))
        return blocks

    def _call(self) -> bytes:
        rng = self._rng
        name = "Task" if self._helpers and rng.random() < 0.03 else rng.choice(_TOOLS)
        call = shapes.token(rng, "toolu_01", 22)
        self._open_calls.append((call, name))
        if rng.random() < self._plan.trap_share:
            return shapes.tool_use(call, name, rng.choice(_INPUT_TRAPS), old=self._session.old)
        wanted = b'{"command":"' + self._text(4.7, 1.2) + b'","description":"next step"}'
        return shapes.tool_use(call, name, wanted, old=self._session.old)

    def _use(self, blocks: list[bytes]) -> Use:
        """What the answer cost: it read all that was known, and wrote what was new to the cache."""
        rng = self._rng
        output = self._tokens_of(sum(map(len, blocks))) + int(rng.lognormvariate(4.0, 1.1))
        searches = rng.randint(1, 4) if not self._session.old and rng.random() < self._plan.web_search_share else 0
        sent = rng.choice((1, 2, 2, 3, 4, 6, 10)) + (rng.randint(500, 9_000) if searches else 0)
        read, written = self._known_tokens, self._new_tokens
        self._known_tokens, self._new_tokens = read + written, output
        fast = self._fast and self._model in _FAST_MODELS and rng.random() < 0.6
        return Use(sent, output, read, written, self._split(written), searches, fast)

    def _split(self, written: int) -> tuple[int, int] | None:
        if self._dirt.odd_counts and self._rng.random() < self._dirt.odd_counts:
            return self._rng.choice(((0, 0), (written // 2, 0)))
        if self._session.version.startswith("1.0"):
            return None
        return (0, written) if self._hour_writes else (written, 0)

    def _early(self, use: Use, number: int) -> Use:
        """The counts as they stood at an earlier line: the output grows from line to line."""
        shown = min(use.output - 1, 1 + number * (1 + use.output // 12) + use.output % 4)
        return use._replace(output=max(shown, 0), input=min(use.input, 10), searches=0)

    def _iteration(self) -> tuple[bytes, tuple[Extra, ...]]:
        """A second iteration: a compaction is billed besides the answer, a fallback's entry is the answer itself."""
        rng = self._rng
        tokens = Tokens(rng.randint(2_000, 90_000), rng.randint(200, 4_000), rng.randint(0, 50_000), rng.randint(0, 500), 0)
        if rng.random() < 0.3:
            return shapes.iteration("fallback_message", self._model, tokens), ()
        model = rng.choice(("claude-haiku-5-5", self._model))
        return shapes.iteration("compaction", model, tokens), (Extra(model, tokens),)

    # results

    def _results(self) -> Iterator[Line]:
        while self._open_calls:
            call, name = self._open_calls.pop(0)
            if name == "Task":
                yield from self._progress(call)
            yield self._result(call, name)

    def _progress(self, call: str) -> Iterator[Line]:
        helper = self._rng.choice(self._helpers)
        for line in helper.lines:
            yield self._linked(shapes.agent_progress(line, helper.agent, call))

    def _result(self, call: str, name: str) -> Line:
        rng = self._rng
        self._pace.step(50, 9_000)
        if rng.random() < self._plan.image_share:
            self._new_tokens += 1_500
            data = self._texts.blob(rng, min(rng.lognormvariate(12.0, 0.7), 1_500_000))
            return self._linked(shapes.user(shapes.image_result(call, data)), b',"toolUseResult":{"type":"image"}')
        text = self._text(6.9, 1.55)
        self._new_tokens += self._tokens_of(len(text))
        content = shapes.user(shapes.tool_result(call, text, failed=rng.random() < 0.05))
        return self._linked(content, self._outcome(name, text))

    def _outcome(self, name: str, text: bytes) -> bytes:
        rng = self._rng
        if name == "Task":
            tokens = Tokens(4, rng.randint(90, 900), rng.randint(9_000, 90_000), rng.randint(90, 9_000), 0)
            return shapes.agent_outcome(rng.choice(self._helpers).agent, tokens, rng.randint(900, 90_000))
        if name == "Read":
            return b',"toolUseResult":{"type":"text","file":{"filePath":"src/kiln.py","content":"' + text + b'","numLines":40}}'
        if name == "Bash":
            return b',"toolUseResult":{"stdout":"' + text + b'","stderr":"","interrupted":false,"isImage":false}'
        if rng.random() < self._plan.trap_share:
            return b',"toolUseResult":{"usage":{"input_tokens":888888,"output_tokens":444444},"totalTokens":999}'
        return b',"toolUseResult":"ok"'

    # lines

    def _linked(self, body: bytes, after: bytes = b"", *, reply: TrueReply | None = None, at_ms: int = 0) -> Line:
        """A line of the chain: it names the line before it as its parent."""
        me = shapes.uuid(self._rng)
        around = self._around
        ending = f'"uuid":"{me}","timestamp":"{shapes.iso(at_ms or self._pace.step(5, 400))}"'.encode()
        line = b"".join((around.opening, self._parent, around.middle, body, ending, after, around.closing))
        self._parent = f'"{me}"'.encode()
        self._made_bytes += len(line) + 1
        if reply is not None and not reply.key:
            reply = reply._replace(key=me)
        return Line(line, reply, True, self._session.background and not self._agent)

    def _loose(self) -> Line:
        return self._whole(asides.loose(self._rng, self._texts, self._session.id, self._pace.step(5, 400)))

    def _whole(self, data: bytes) -> Line:
        self._made_bytes += len(data) + 1
        return Line(data, None, False)

    def _wrap(self) -> None:
        self._around = shapes.envelope(self._session, self._cwd, self._branch, agent=self._agent, side=self._inline_agent)

    def _text(self, mu: float, sigma: float) -> bytes:
        """Text whose length is lognormal: half of it shorter than e^mu bytes at scale 1."""
        rng = self._rng
        return self._texts.text(rng, min(rng.lognormvariate(mu, sigma), 400_000) * self._plan.text_scale)

    def _tokens_of(self, size_bytes: int) -> int:
        """Texts that the plan shortens cost what they would cost in full."""
        return int(size_bytes / 4 / self._plan.text_scale)

    def _some_model(self) -> str:
        models = _OLD_MODELS if self._session.old else _MODELS
        weights = [for_agents if self._agent else for_main for _, for_main, for_agents in models]
        return self._rng.choices(models, weights)[0][0]


def _with_odd_input(spent: bytes, odd: bytes) -> bytes:
    """The usage with an input count that is no count: it counts 0, and the rest as it is (R1)."""
    before, _, after = spent.partition(b'"input_tokens":')
    return before + b'"input_tokens":' + odd + after[after.index(b",") :]
