"""The only place that writes made-up logs while they are read: replies that stream in, and what can happen to their files."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from tokentail.demo.conversation import Conversation, Line
from tokentail.demo.plan import TreePlan, places
from tokentail.demo.rhythm import LivePace
from tokentail.demo.shapes import Session, uuid
from tokentail.demo.texts import Texts
from tokentail.demo.truth import Ledger, Truth
from tokentail.model import Owner

_VERSION = "2.1.229"


class Stop(Protocol):
    """Says when it is enough: a `threading.Event` does."""

    def is_set(self) -> bool: ...


class AppendedLine(NamedTuple):
    """What was just written."""

    path: Path
    offset_bytes: int  # where the line begins
    data: bytes  # with its newline; of a torn line what stands there so far
    whole: bool  # False: the rest follows with the next write
    session: str
    agent: str  # the subagent's id, "" for the main conversation
    reply: str  # the message id, "" for a line that shows no reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Mishaps:
    """Chances, at each line of `run`, that something happens to a file."""

    tear: float = 0.0
    rewrite: float = 0.0
    truncate: float = 0.0
    delete: float = 0.0
    resume: float = 0.0


@dataclass(slots=True)
class _Log:
    """A file that is being written."""

    path: Path
    session: Session
    agent: str
    coming: Iterator[Line]
    lines: list[Line] = field(default_factory=list)  # what stands in the file now
    rest: bytes = b""  # the half of a torn line that is still to come
    torn: Line | None = None


class LiveWriter:
    """
    Appends lines to a few logs in turn, like sessions that are at work, and knows what was ever counted.

    Args:
        rate_per_s: lines a second of `run`, on average.
        clock: the time, in seconds since 1970.
        sleep: waits that many seconds; `threading.Event.wait` lets `run` end at once.
        projects: as many of `tree`'s projects are worked in.
        sessions: logs that are written at the same time.
        text_scale: length of the texts.
    """

    def __init__(
        self,
        root: Path,
        *,
        seed: int = 1,
        rate_per_s: float = 2.0,
        clock: Callable[[], float],
        sleep: Callable[[float], object],
        projects: int = 3,
        sessions: int = 4,
        text_scale: float = 0.4,
        mishaps: Mishaps = Mishaps(),
    ) -> None:
        self._projects, self._rate_per_s, self._mishaps = root / "projects", rate_per_s, mishaps
        self._clock, self._sleep = clock, sleep
        self._rng = random.Random(f"{seed}/live")
        self._plan = TreePlan(seed=seed, partial_share=0.8, image_share=0.0, error_share=0.01, text_scale=text_scale)
        self._places = places(projects)
        self._texts = Texts(seed)
        self._ledger = Ledger()
        self._logs: list[_Log] = []
        while len(self._logs) < sessions:
            self._logs.append(self._new_log())
        self._last = self._logs[0]

    def truth(self) -> Truth:
        """What was ever whole in a file: it counts even when the file was cut or removed since; sizes are of all that was written."""
        return self._ledger.truth()

    def run(self, stop: Stop) -> None:
        """Append lines, irregularly but at the rate, until told to stop; the mishaps happen in between."""
        due_s = self._clock()
        while not stop.is_set():
            self._perhaps_mishap()
            self.append_one()
            if self._rate_per_s > 0:
                due_s += self._rng.expovariate(self._rate_per_s)
                self._sleep(max(0.0, due_s - self._clock()))

    def append_one(self) -> AppendedLine:
        """Append the next line of one of the logs; after `tear`, the rest of the torn one."""
        if self._last.torn is not None:
            return self._mend(self._last)
        log, line = self._next()
        return self._append(log, line)

    def tear(self) -> AppendedLine:
        """Append the first half of a line: it counts nothing until the next write brings the rest."""
        self._settle()
        log, line = self._next()
        half = len(line.data) // 2
        log.torn, log.rest = line, line.data[half:] + b"\n"
        return self._appended(log, line, line.data[:half], whole=False)

    def rewrite(self) -> Path:
        """Put a copy with the same bytes in the place of a log: another inode, nothing new."""
        log = self._settled()
        copy = log.path.with_suffix(".tmp")
        copy.write_bytes(_bytes(log.lines))
        copy.replace(log.path)
        return log.path

    def truncate(self) -> Path:
        """Cut a log after some of its lines; its session goes on behind them."""
        log = self._settled()
        del log.lines[self._rng.randrange(len(log.lines) + 1) :]
        if log.path.exists():
            os.truncate(log.path, len(_bytes(log.lines)))
        return log.path

    def delete(self) -> Path:
        """Remove a log; its session goes on in a new file of the same name."""
        log = self._settled()
        log.path.unlink(missing_ok=True)
        log.lines.clear()
        return log.path

    def resume(self) -> Path:
        """Go on with a session in a new file that begins with a copy of what it had."""
        self._settle()
        mains = [log for log in self._logs if not log.agent]
        log = self._rng.choice(mains or self._logs)
        place = self._rng.randrange(len(self._logs))
        new = self._logs[place] = self._last = self._new_main(log.session)
        for line in [line for line in log.lines if line.linked]:
            data = line.data.replace(log.session.id.encode(), new.session.id.encode())
            self._append(new, line._replace(data=data))
        return new.path

    # logs

    def _new_log(self) -> _Log:
        """A new session, or sometimes a subagent of one that is at work."""
        mains = [log for log in self._logs if not log.agent]
        if mains and self._rng.random() < 0.3:
            return self._new_agent(self._rng.choice(mains).session)
        place = self._rng.choice(self._places)
        return self._new_main(Session("", *place, _VERSION, "brisk-rowing-otter", False))

    def _new_main(self, like: Session) -> _Log:
        session = like._replace(id=uuid(self._rng))
        return self._log(self._projects / session.slug / f"{session.id}.jsonl", session, "")

    def _new_agent(self, session: Session) -> _Log:
        agent = f"a{self._rng.getrandbits(64):016x}"
        return self._log(self._projects / session.slug / session.id / "subagents" / f"agent-{agent}.jsonl", session, agent)

    def _log(self, path: Path, session: Session, agent: str) -> _Log:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._ledger.add_file(lines=0, size_bytes=0)
        rng = random.Random(self._rng.random())
        talk = Conversation(session, self._plan, rng, LivePace(self._clock), self._texts, agent=agent)
        size_bytes = rng.lognormvariate(11.0, 0.8) * self._plan.text_scale
        return _Log(path, session, agent, talk.lines(int(size_bytes)))

    def _next(self) -> tuple[_Log, Line]:
        """The next line to write; a conversation that is over makes room for another one."""
        place = self._rng.randrange(len(self._logs))
        while (line := next(self._logs[place].coming, None)) is None:
            self._logs[place] = self._new_log()
        self._last = self._logs[place]
        return self._last, line

    def _settled(self) -> _Log:
        """A log with no half line in it."""
        self._settle()
        self._last = self._rng.choice(self._logs)
        return self._last

    def _settle(self) -> None:
        if self._last.torn is not None:
            self._mend(self._last)

    # writing

    def _append(self, log: _Log, line: Line) -> AppendedLine:
        appended = self._appended(log, line, line.data + b"\n", whole=True)
        self._count(log, line)
        return appended

    def _mend(self, log: _Log) -> AppendedLine:
        """Write what a torn line still lacks."""
        line, rest = log.torn, log.rest
        assert line is not None
        log.torn, log.rest = None, b""
        mended = self._appended(log, line, rest, whole=True)
        self._count(log, line)
        first = len(line.data) + 1 - len(rest)
        return mended._replace(offset_bytes=mended.offset_bytes - first, data=line.data + b"\n")

    def _appended(self, log: _Log, line: Line, data: bytes, *, whole: bool) -> AppendedLine:
        with log.path.open("ab", buffering=0) as file:
            offset_bytes = file.tell()
            file.write(data)
        reply = line.reply.key if line.reply else ""
        return AppendedLine(log.path, offset_bytes, data, whole, log.session.id, log.agent, reply)

    def _count(self, log: _Log, line: Line) -> None:
        log.lines.append(line)
        self._ledger.add_file(files=0, lines=1, size_bytes=len(line.data) + 1)
        if line.reply is not None:
            self._ledger.see(line.reply, Owner(False, bool(log.agent), log.session.id, log.session.slug, log.agent))

    def _perhaps_mishap(self) -> None:
        chances = self._mishaps
        for chance, happens in (
            (chances.tear, self.tear),
            (chances.rewrite, self.rewrite),
            (chances.truncate, self.truncate),
            (chances.delete, self.delete),
            (chances.resume, self.resume),
        ):
            if self._rng.random() < chance:
                happens()


def _bytes(lines: list[Line]) -> bytes:
    return b"".join(line.data + b"\n" for line in lines)
