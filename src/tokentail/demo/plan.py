"""The only place that says what a made-up tree can be asked to look like."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from tokentail.periods import DAY_MS, at, day_start_ms

MEAN_FILE_BYTES = 415_000  # half of the files below 100 kB, a few of many megabytes

_NAMES = (
    "harbor-api", "lantern", "tidepool", "quill-editor", "orchard.web", "weather_mill", "granite-db", "paper-kites",
    "moss-game", "copper-cli", "night-market", "signal-box", "beehive-ops", "sundial", "glass-charts", "driftwood",
    "clockwork", "north-wind", "puddle", "starling-sdk", "tin-robot", "amber-notes", "fern-compiler", "salt-and-ink",
)  # fmt: skip
_HOMES = ("/home/dev/src/", "/home/dev/src/", "/Users/dev/Code/", "/srv/team/", "C:\\Users\\dev\\code\\")


class Place(NamedTuple):
    """A project: the folder that was worked in, and its folder under `projects`."""

    cwd: str
    slug: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dirt:
    """Shares of files that carry each fault; `bad_lines` and `odd_counts` are shares of lines and of replies."""

    crlf: float = 0.0
    bom: float = 0.0
    nul_runs: float = 0.0
    torn_end: float = 0.0  # the last line is cut
    no_newline: float = 0.0  # the last line is whole, without its newline
    two_on_a_line: float = 0.0
    doubled: float = 0.0  # a part of the history is written twice
    sorted_keys: float = 0.0
    spaced: float = 0.0  # a space after each colon and comma
    bad_utf8: float = 0.0
    bad_lines: float = 0.0
    odd_counts: float = 0.0  # null, negative, text, fraction, too great; cache splits that do not add up
    missing_ids: float = 0.0  # share of one-line replies without a message id


CLEAN = Dirt()
DIRTY = Dirt(
    crlf=0.1,
    bom=0.1,
    nul_runs=0.1,
    torn_end=0.1,
    no_newline=0.1,
    two_on_a_line=0.1,
    doubled=0.05,
    sorted_keys=0.08,
    spaced=0.08,
    bad_utf8=0.1,
    bad_lines=0.004,
    odd_counts=0.01,
    missing_ids=0.02,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TreePlan:
    """
    What a tree is to look like; the same plan gives the same bytes.

    Shares are from 0 to 1. `total_bytes` and `files` are met closely, not exactly.
    """

    seed: int = 1
    total_bytes: int = 64 * 2**20
    files: int = 0  # 0: as many as a tree of that size usually has
    spread: float = 1.66  # sigma of the logarithm of the sizes; so the mean is four times the median
    days: int = 30
    end: datetime | date = date(2026, 11, 20)  # no line is later; a date is a whole UTC day
    projects: int = 12
    subagent_share: float = 0.5  # of the files
    resumed_share: float = 0.1  # of the sessions: begin with a copy of another one's lines
    old_share: float = 0.12  # of the sessions: the shapes before 2.1
    side_question_share: float = 0.02  # of the sessions: replays of their replies under another request id
    fast_share: float = 0.03  # of the sessions, where the model has a fast mode
    partial_share: float = 0.5  # of the replies of several lines: early lines show counts that still grow
    never_final_share: float = 0.02  # of the replies (three times as many in subagents): no line shows the final count
    missing_request_share: float = 0.002  # of the replies
    web_search_share: float = 0.01  # of the replies
    extra_share: float = 0.0  # of the replies: iterations that are billed besides (R6)
    trap_share: float = 0.01  # of the tool calls and results: usage-like content that must not count
    image_share: float = 0.002  # of the tool results: lines of hundreds of kilobytes
    error_share: float = 0.02  # of the turns: a <synthetic> error line
    text_scale: float = 1.0  # length of prompts, answers and results
    recent_sessions: int = 0  # sessions that are at work until `end`
    growth: float = 1.0  # how many times as many sessions the last days have as the first ones
    dirty: bool | Dirt = False

    @property
    def dirt(self) -> Dirt:
        if isinstance(self.dirty, Dirt):
            return self.dirty
        return DIRTY if self.dirty else CLEAN

    @property
    def file_count(self) -> int:
        return self.files or max(1, round(self.total_bytes / MEAN_FILE_BYTES))

    @property
    def end_ms(self) -> int:
        """The moment that no line is later than."""
        if isinstance(self.end, datetime):
            return round((self.end - at(0)) / timedelta(milliseconds=1))
        return day_start_ms(self.end, UTC) + DAY_MS - 1

    @property
    def offset_ms(self) -> int:
        """Offset from UTC of the people who worked: that of `end`."""
        offset = self.end.utcoffset() if isinstance(self.end, datetime) else None
        return 0 if offset is None else round(offset / timedelta(milliseconds=1))


def places(count: int) -> list[Place]:
    """The first `count` projects; the first ones of a longer list are those of a shorter one."""
    return [_place(number) for number in range(count)]


def _place(number: int) -> Place:
    turn, which = divmod(number, len(_NAMES))
    cwd = _HOMES[number % len(_HOMES)] + _NAMES[which] + (f"-{turn + 1}" if turn else "")
    return Place(cwd, re.sub(r"[^A-Za-z0-9]", "-", cwd))
