"""What a report is made of: the store's summaries, or replies that were counted without one."""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence, Set
from typing import Protocol

from tokentail import queries, usage
from tokentail.model import Cell, Reply, Tokens, Usage
from tokentail.periods import DAY_MS
from tokentail.prices import PriceList
from tokentail.totals import cells_of
from tokentail.usage import Question


class Data(Protocol):
    """Something that knows replies."""

    def days(self) -> Sequence[int]:
        """The UTC days, counted since 1970, that have a reply, ascending."""

    def window_starts(self, length_ms: int, rounding_ms: int, *, users: Set[str] | None = None, hosts: Set[str] | None = None) -> list[int]:
        """What `usage.window_starts` gives."""

    def usage(self, question: Question) -> Iterator[Usage]:
        """What `usage.usage` gives. Who knows only the logs has all replies on disk."""

    def folders(self) -> dict[str, str]:
        """Every project's slug, and its real folder or ""."""

    def models(self) -> set[str]:
        """Every model's name."""

    def machines(self) -> Set[tuple[str, str]]:
        """Every (user, host) that has replies."""


class Stored:
    """The store's."""

    def __init__(self, db: sqlite3.Connection, prices: PriceList) -> None:
        self._db = db
        self._prices = prices

    def days(self) -> Sequence[int]:
        return usage.days_with_usage(self._db)

    def window_starts(self, length_ms: int, rounding_ms: int, *, users: Set[str] | None = None, hosts: Set[str] | None = None) -> list[int]:
        return usage.window_starts(self._db, length_ms, rounding_ms, users=users, hosts=hosts)

    def usage(self, question: Question) -> Iterator[Usage]:
        return usage.usage(self._db, question, self._prices)

    def folders(self) -> dict[str, str]:
        return queries.project_folders(self._db)

    def models(self) -> set[str]:
        return usage.models(self._db)

    def machines(self) -> Set[tuple[str, str]]:
        return usage.machines(self._db)


class Counted:
    """Replies, one by one."""

    def __init__(self, replies: Iterable[Reply], folders: dict[str, str], prices: PriceList) -> None:
        self._replies = sorted(replies, key=lambda reply: reply.at_ms)
        self._times = [reply.at_ms for reply in self._replies]
        self._folders = folders
        self._prices = prices

    def days(self) -> Sequence[int]:
        return sorted({at_ms // DAY_MS for at_ms in self._times})

    def window_starts(self, length_ms: int, rounding_ms: int, *, users: Set[str] | None = None, hosts: Set[str] | None = None) -> list[int]:
        starts: list[int] = []
        for reply in self._replies:
            is_late = not starts or reply.at_ms >= starts[-1] + length_ms
            if is_late and (users is None or reply.owner.user in users) and (hosts is None or reply.owner.host in hosts):
                starts.append(reply.at_ms - reply.at_ms % rounding_ms)
        return starts

    def usage(self, question: Question) -> Iterator[Usage]:
        starts = [window.start_ms for window in question.windows]
        for reply in self._replies:
            window = bisect_right(starts, reply.at_ms) - 1
            if window < 0 or reply.at_ms >= question.windows[window].end_ms:
                continue
            if question.part == "not_final" and reply.final:
                continue
            if question.projects is not None and reply.owner.project not in question.projects:
                continue
            if question.sessions is not None and reply.owner.session not in question.sessions:
                continue
            if question.subagents is not None and reply.owner.subagent != question.subagents:
                continue
            if question.users is not None and reply.owner.user not in question.users:
                continue
            if question.hosts is not None and reply.owner.host not in question.hosts:
                continue
            for cell in self._cells(reply):
                if question.models is None or cell.model in question.models:
                    yield Usage(window, reply.owner, cell, reply.at_ms, reply.at_ms)

    def folders(self) -> dict[str, str]:
        return {**{reply.owner.project: "" for reply in self._replies}, **self._folders}

    def models(self) -> set[str]:
        return {cell.model for reply in self._replies for cell in cells_of(reply, self._prices)}

    def machines(self) -> Set[tuple[str, str]]:
        return {(reply.owner.user, reply.owner.host) for reply in self._replies}

    def _cells(self, reply: Reply) -> Iterable[Cell]:
        return cells_of(reply, self._prices)


class Added(Counted):
    """What estimates add to the output of replies. In all else it is the data that the replies are from."""

    def __init__(self, data: Data, estimates: Iterable[tuple[Reply, int]], prices: PriceList) -> None:
        estimates = list(estimates)
        super().__init__([reply for reply, _ in estimates], {}, prices)
        self._data = data
        self._outputs = {reply.key: output for reply, output in estimates}

    def days(self) -> Sequence[int]:
        return self._data.days()

    def window_starts(self, length_ms: int, rounding_ms: int, *, users: Set[str] | None = None, hosts: Set[str] | None = None) -> list[int]:
        return self._data.window_starts(length_ms, rounding_ms, users=users, hosts=hosts)

    def folders(self) -> dict[str, str]:
        return self._data.folders()

    def models(self) -> set[str]:
        return self._data.models()

    def machines(self) -> Set[tuple[str, str]]:
        return self._data.machines()

    def _cells(self, reply: Reply) -> Iterable[Cell]:
        """At the rate of the reply, which depends on its prompt."""
        own, *_ = cells_of(reply, self._prices)
        more = self._outputs[reply.key] - reply.tokens.output
        return [own._replace(tokens=Tokens(output=more), web_searches=0)]
