"""The only place that writes a whole made-up tree of logs: which sessions there are, when, and what copies what."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from math import exp, log
from pathlib import Path
from statistics import NormalDist

from tokentail.demo.conversation import Conversation, Helper, Line
from tokentail.demo.dirt import spoil
from tokentail.demo.plan import TreePlan, places
from tokentail.demo.rhythm import HOUR_MS, Rhythm, WrittenPace
from tokentail.demo.shapes import Session, token, uuid
from tokentail.demo.texts import Texts
from tokentail.demo.truth import Ledger, Truth
from tokentail.model import Owner
from tokentail.periods import DAY_MS

__all__ = ["TreePlan", "Truth", "write_tree"]

_LEAST_BYTES = 300
_TURN_BYTES = 22_000  # by which a file outgrows its size until its last turn is over
_RECENT_BYTES = 180_000
_RECENT_HOURS = (1.0, 4.5, 1.5)
_MS_A_BYTE = 2.4  # a kilobyte of log is two or three seconds of work
_JOURNAL = b'{"type":"started","step":1}\n'
_NEW_VERSIONS = ("2.1.114", "2.1.177", "2.1.205", "2.1.219", "2.1.229")
_OLD_VERSIONS = ("1.0.24", "1.0.128", "2.0.28", "2.0.55", "2.0.76")
_MOODS = ("amber", "brisk", "cosy", "dusty", "eager", "foggy", "gentle", "hazy")
_DOINGS = ("floating", "humming", "knitting", "rowing", "skating", "whistling")
_ANIMALS = ("badger", "curlew", "heron", "lynx", "newt", "otter", "wren")


def write_tree(root: Path, plan: TreePlan) -> Truth:
    """
    Write the plan's logs to `root/projects/<slug>/...` and say what they add up to.

    The same plan gives the same bytes. What stands in the folder already stays, and is not in the truth.
    """
    return _Tree(root, plan).write()


@dataclass(slots=True)
class _Story:
    """A session to be written."""

    session: Session
    size_bytes: int
    start: float  # in milliseconds of work
    length: float
    rng: random.Random
    origin: _Story | None = None  # the session that it resumes
    marked: bool = False  # the copies say that they are copies
    helper_sizes: list[int] = field(default_factory=list)
    resumed: int = 0  # how many stories copy this one and are not written yet
    lines: list[Line] = field(default_factory=list)  # kept while others copy them


class _Tree:
    def __init__(self, root: Path, plan: TreePlan) -> None:
        self._projects, self._plan = root / "projects", plan
        self._rng = random.Random(f"{plan.seed}/tree")
        self._texts = Texts(plan.seed)
        self._ledger = Ledger()
        begin_ms = (plan.end_ms // DAY_MS - plan.days + 1) * DAY_MS
        self._rhythm = Rhythm(self._rng, begin_ms, plan.end_ms, offset_ms=plan.offset_ms, awake_at_end=plan.recent_sessions > 0)

    def write(self) -> Truth:
        for story in self._stories():
            self._write_story(story)
        return self._ledger.truth()

    # planning

    def _stories(self) -> list[_Story]:
        """All sessions; one that resumes another stands after it."""
        rng, plan = self._rng, self._plan
        sizes = _sizes(plan)
        rng.shuffle(sizes)
        helpers = min(int(len(sizes) * plan.subagent_share), len(sizes) - 1)
        count = len(sizes) - helpers
        stories = [self._story(number, number / count, size) for number, size in enumerate(sizes[helpers:])]
        for rank, story in enumerate(stories[max(len(stories) - plan.recent_sessions, 0) :]):
            self._make_recent(story, _RECENT_HOURS[rank % len(_RECENT_HOURS)])
        for number, story in enumerate(stories[: max(count - plan.recent_sessions, 0)]):
            earlier = [other for other in stories[max(number - 40, 0) : number] if other.session.old == story.session.old]
            if earlier and rng.random() < plan.resumed_share:
                self._resume(story, rng.choice(earlier))
        hosts = [story for story in stories if story.size_bytes > 20_000] or stories
        for size in sizes[:helpers]:
            rng.choice(hosts).helper_sizes.append(size)
        return stories

    def _story(self, number: int, place: float, size_bytes: int) -> _Story:
        """One session; `place` is where it stands among all of them, from 0 to 1, and so when it is."""
        plan = self._plan
        rng = random.Random(f"{plan.seed}/session/{number}")
        choices = places(plan.projects)
        project = rng.choices(choices, [1 / (rank + 1) ** 0.8 for rank in range(len(choices))])[0]
        old = place < plan.old_share
        nickname = f"{rng.choice(_MOODS)}-{rng.choice(_DOINGS)}-{rng.choice(_ANIMALS)}"
        version = rng.choice(_OLD_VERSIONS if old else _NEW_VERSIONS)
        work = self._rhythm.work_ms
        length = min(size_bytes * _MS_A_BYTE / plan.text_scale * rng.lognormvariate(0.0, 0.4), 0.6 * work)
        start = min(max(_grown(place, plan.growth) + rng.gauss(0.0, 0.02), 0.0), 1.0) * (work - length)
        return _Story(Session(uuid(rng), *project, version, nickname, old), size_bytes, start, length, rng)

    def _make_recent(self, story: _Story, hours: float) -> None:
        """At work until the end, for a person who looks at the last hour."""
        rng, plan = story.rng, self._plan
        story.session = story.session._replace(old=False, version=_NEW_VERSIONS[-1])
        story.size_bytes = max(story.size_bytes, min(_RECENT_BYTES, plan.total_bytes // (4 * plan.recent_sessions)))
        story.length = min(hours * rng.uniform(0.9, 1.2) * HOUR_MS, 0.9 * self._rhythm.work_ms)
        story.start = self._rhythm.work_ms - story.length

    def _resume(self, story: _Story, origin: _Story) -> None:
        """The story begins with a copy of the origin's lines, and follows it in time; sometimes in another folder."""
        rng, old = story.rng, origin.session
        where = story.session if rng.random() < 0.2 else old
        background = not old.old and rng.random() < 0.2
        story.session = Session(story.session.id, where.cwd, where.slug, old.version, old.nickname, old.old, background)
        story.marked = not background and rng.random() < 0.5
        story.origin = origin
        story.start = max(story.start, min(origin.start + origin.length, self._rhythm.work_ms - story.length))
        origin.resumed += 1

    # writing

    def _write_story(self, story: _Story) -> None:
        session = story.session
        folder = self._helper_folder(story) if story.helper_sizes else self._projects
        helpers = [self._write_helper(story, size, folder) for size in story.helper_sizes]
        copies = self._copies(story)
        room = story.size_bytes - sum(len(line.data) + 1 for line in copies)
        pace = self._pace(story, story.start, story.length)
        talk = Conversation(session, self._plan, story.rng, pace, self._texts, helpers=helpers)
        lines = copies + self._said(talk, story, room)
        path = self._projects / session.slug / f"{session.id}.jsonl"
        self._write_file(path, lines, pace.now_ms, story.rng, lambda line: Owner(line.copied, False, session.id, session.slug, ""))
        if not session.old and story.rng.random() < self._plan.side_question_share:
            self._write_side_question(story, lines, pace.now_ms)
        story.lines = lines if story.resumed else []
        self._release(story.origin)

    def _said(self, talk: Conversation, story: _Story, room: int) -> list[Line]:
        """The session's own lines; the smallest files hold nothing, or nothing that counts."""
        if story.size_bytes < 2 * _LEAST_BYTES and story.origin is None:
            return [] if story.rng.random() < 0.4 else list(talk.lines(0))
        return list(talk.lines(max(room, 1)))

    def _copies(self, story: _Story) -> list[Line]:
        """The beginning of the session that this one resumes, as it stands in the new file."""
        if story.origin is None:
            return []
        old, new = story.origin.session, story.session
        limit = story.size_bytes * story.rng.uniform(0.3, 0.8)
        mark = f',"forkedFrom":{{"sessionId":"{old.id}"}}' if story.marked else ""
        copies: list[Line] = []
        size = 0
        for line in story.origin.lines:
            size += len(line.data)
            if size > limit and copies:
                break
            if line.linked:
                copies.append(_copied(line, old, new, mark))
        return copies

    def _release(self, origin: _Story | None) -> None:
        """Forget the lines that nobody copies any more: a tree may be larger than memory."""
        if origin is None:
            return
        origin.resumed -= 1
        if not origin.resumed:
            origin.lines = []

    def _write_helper(self, story: _Story, size_bytes: int, folder: Path) -> Helper:
        """A subagent's file, beside the session's or in its folder."""
        rng, session = story.rng, story.session
        flat = session.old and rng.random() < 0.6
        agent = f"{rng.getrandbits(32):08x}" if flat else f"a{rng.getrandbits(64):016x}"
        pace = self._pace(story, story.start + rng.random() * story.length * 0.6, story.length * 0.3)
        talk = Conversation(session, self._plan, rng, pace, self._texts, agent=agent)
        lines = list(talk.lines(size_bytes))
        path = (self._projects / session.slug if flat else folder) / f"agent-{agent}.jsonl"
        self._write_file(path, lines, pace.now_ms, rng, lambda _: Owner(False, True, session.id, session.slug, agent))
        if not flat:
            path.with_suffix(".meta.json").write_bytes(b'{"agentType":"general-purpose"}\n')
        shown = [line.data for line in lines if line.reply is not None and len(line.data) < 6_000]
        return Helper(agent, shown[:3])

    def _helper_folder(self, story: _Story) -> Path:
        """Where the subagents of a session stand; those of a workflow have a folder of their own, with a journal."""
        folder = self._projects / story.session.slug / story.session.id / "subagents"
        if story.session.old or story.rng.random() >= 0.15:
            return folder
        folder = folder / "workflows" / f"wf_{story.rng.getrandbits(48):012x}"
        _write(folder / "journal.jsonl", _JOURNAL, self._plan.end_ms)
        self._ledger.add_file(lines=1, size_bytes=len(_JOURNAL))
        return folder

    def _write_side_question(self, story: _Story, lines: list[Line], at_ms: int) -> None:
        """Replies of the session, told again under another request id and with other counts: none of it counts (R3)."""
        rng, session = story.rng, story.session
        asked = [line for line in lines if line.reply is not None and line.reply.key.startswith("msg_") and b'"requestId":' in line.data]
        if not asked:
            return
        agent = f"aside_question-{rng.getrandbits(32):08x}"
        replays = [Line(_replayed(line.data, rng, agent)) for line in rng.sample(asked, min(3, len(asked)))]
        path = self._projects / session.slug / session.id / "subagents" / f"agent-{agent}.jsonl"
        self._write_file(path, replays, at_ms, rng, lambda _: Owner(False, True, session.id, session.slug, agent))

    def _pace(self, story: _Story, start: float, length: float) -> WrittenPace:
        return WrittenPace(story.rng, self._rhythm, start, length, self._plan.end_ms)

    def _write_file(self, path: Path, lines: list[Line], at_ms: int, rng: random.Random, owner_of: Callable[[Line], Owner]) -> None:
        see = self._ledger.see
        for line in lines:
            if line.reply is not None:
                see(line.reply, owner_of(line))
        spoiled = spoil(lines, rng, self._plan.dirt)
        _write(path, spoiled.data, at_ms)
        torn = bool(spoiled.data) and not spoiled.data.endswith(b"\n")
        self._ledger.add_file(lines=spoiled.data.count(b"\n") + torn, size_bytes=len(spoiled.data), malformed=spoiled.malformed)


def _sizes(plan: TreePlan) -> list[int]:
    """Sizes of files as a real tree has them: lognormal, taken at even quantiles so that few files do well too."""
    count = plan.file_count
    raw = NormalDist(0.0, plan.spread)
    spread = [exp(raw.inv_cdf((number + 0.5) / count)) for number in range(count)]
    scale = (plan.total_bytes - min(count * _TURN_BYTES * plan.text_scale, plan.total_bytes / 4)) / sum(spread)
    return [max(_LEAST_BYTES, int(size * scale)) for size in spread]


def _grown(place: float, growth: float) -> float:
    """Where a session goes when there are ever more of them: their number rises exponentially, `growth` times from 0 to 1."""
    return place if growth == 1.0 else log(1 + place * (growth - 1)) / log(growth)


def _copied(line: Line, old: Session, new: Session, mark: str) -> Line:
    """The line as a resumed session repeats it: another session id and folder, all else as it was."""
    own_mark = "" if line.copied else mark
    data = line.data.replace(f'"sessionId":"{old.id}"'.encode(), f'"sessionId":"{new.id}"{own_mark}'.encode())
    if old.cwd != new.cwd:
        data = data.replace(_folder(old.cwd), _folder(new.cwd))
    return line._replace(data=data, copied=line.copied or bool(mark))


def _folder(cwd: str) -> bytes:
    return b'"cwd":"' + cwd.replace("\\", "\\\\").encode()


def _replayed(data: bytes, rng: random.Random, agent: str) -> bytes:
    data = data.replace(b'"isSidechain":false,', f'"isSidechain":true,"agentId":"{agent}",'.encode(), 1)
    data = re.sub(rb'"requestId":"[^"]*"', f'"requestId":"{token(rng, "req_011C", 20)}"'.encode(), data)
    data = re.sub(rb'"cache_read_input_tokens":\d+', b'"cache_read_input_tokens":50123', data)
    return re.sub(rb'"output_tokens":\d+', f'"output_tokens":{rng.randint(1, 90_000)}'.encode(), data)


def _write(path: Path, data: bytes, at_ms: int) -> None:
    """The file as it was left by its last line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, ns=(at_ms * 1_000_000, at_ms * 1_000_000))
