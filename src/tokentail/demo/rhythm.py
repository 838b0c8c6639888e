"""The only place that knows when made-up people work: nights, weekends, busy and idle days."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable
from typing import Protocol

from tokentail.periods import DAY_MS

HOUR_MS = 3_600_000
_LONGEST_CALL_MS = 90_000  # that a tool keeps the model waiting
_HOURS = (3, 2, 1, 1, 1, 2, 6, 25, 65, 95, 100, 95, 55, 75, 100, 100, 95, 85, 55, 40, 45, 40, 22, 9)  # percent of the busiest
_WEEK = (0.95, 1.0, 1.0, 1.05, 0.8, 0.22, 0.18)  # Monday first
_FIRST_WEEKDAY = 3  # 1970-01-01 was a Thursday


class Pace(Protocol):
    """Gives a conversation the times of its lines, in milliseconds since 1970; they never go back."""

    def next_turn(self, done: float) -> None:
        """A person comes back when that share of the work is done."""

    def next_reply(self, done: float) -> None:
        """The model answers again, in the same turn."""

    def step(self, least_ms: int, most_ms: int) -> int:
        """The time of the next line, that long after the one before."""


class Rhythm:
    """Maps hours of work, told apart from hours of sleep, to moments between two others."""

    def __init__(self, rng: random.Random, begin_ms: int, end_ms: int, *, offset_ms: int = 0, awake_at_end: bool = False) -> None:
        self._begin_ms, self._end_ms = begin_ms, end_ms
        self._ends: list[float] = []  # work done at the end of each hour, in milliseconds
        done, busy = 0.0, 1.0
        for hour_ms in range(begin_ms, end_ms, HOUR_MS):
            local_ms = hour_ms + offset_ms
            if local_ms % DAY_MS < HOUR_MS or hour_ms == begin_ms:
                busy = rng.uniform(0.35, 1.3)
            late = awake_at_end and hour_ms > end_ms - 4 * HOUR_MS
            done += min(HOUR_MS, end_ms - hour_ms) * (1.0 if late else busy * _share_of_work(local_ms))
            self._ends.append(done)

    @property
    def work_ms(self) -> float:
        """All the work there is time for."""
        return self._ends[-1]

    def at_ms(self, work_ms: float) -> int:
        """The moment when that much work is done."""
        hour = min(bisect_right(self._ends, work_ms), len(self._ends) - 1)
        before = self._ends[hour - 1] if hour else 0.0
        start_ms = self._begin_ms + hour * HOUR_MS
        length_ms = min(HOUR_MS, self._end_ms - start_ms)
        part = (work_ms - before) / (self._ends[hour] - before)
        return min(start_ms + int(length_ms * part), self._end_ms)


class WrittenPace:
    """The pace of a conversation of the past: its turns lie in a stretch of work, and nothing lies after the end."""

    def __init__(self, rng: random.Random, rhythm: Rhythm, start: float, length: float, end_ms: int) -> None:
        self._random, self._rhythm, self._end_ms = rng.random, rhythm, end_ms
        self._start, self._length = start, length
        self.now_ms = rhythm.at_ms(start)

    def next_turn(self, done: float) -> None:
        self.now_ms = max(self.now_ms, self._at_ms(done))

    def next_reply(self, done: float) -> None:
        self.now_ms = max(self.now_ms, min(self._at_ms(done), self.now_ms + _LONGEST_CALL_MS))

    def step(self, least_ms: int, most_ms: int) -> int:
        self.now_ms = min(self.now_ms + least_ms + int(self._random() * (most_ms - least_ms)), self._end_ms)
        return self.now_ms

    def _at_ms(self, done: float) -> int:
        return self._rhythm.at_ms(self._start + min(done, 1.0) * self._length)


class LivePace:
    """The pace of a conversation that is going on: every line is written now."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self.now_ms = 0

    def next_turn(self, done: float) -> None:
        pass

    def next_reply(self, done: float) -> None:
        pass

    def step(self, least_ms: int, most_ms: int) -> int:
        self.now_ms = max(self.now_ms, int(self._now_s() * 1000))
        return self.now_ms


def _share_of_work(local_ms: int) -> float:
    day, rest_ms = divmod(local_ms, DAY_MS)
    return _HOURS[rest_ms // HOUR_MS] / 100 * _WEEK[(day + _FIRST_WEEKDAY) % 7]
