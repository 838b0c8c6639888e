"""The only place that asks the store for what a person opens on the live screen: in a thread beside the one that follows the logs."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from tokentail import database, periods, queries, usage
from tokentail.budgets.measuring import standings
from tokentail.config import Config
from tokentail.errors import StoreError
from tokentail.limits import limits, past
from tokentail.model import Reply, Report
from tokentail.prices import PriceList
from tokentail.projects import Projects
from tokentail.reports.build import build
from tokentail.reports.data import Stored
from tokentail.reports.request import Context, Request
from tokentail.tui.allowances import Allowances
from tokentail.tui.feed import names
from tokentail.tui.snapshot import FeedRow, feed_row

if TYPE_CHECKING:
    from tokentail.explain import telling
    from tokentail.explain.story import ReplyStory, SumStory

PAGE_ROWS = 200
AS_NEW = Config()
Answer = TypeVar("Answer")


class Older(NamedTuple):
    """A page of replies."""

    rows: tuple[FeedRow, ...]
    are_all: bool  # there are none before them


class Asker:
    """
    Answers one question after the other.

    Each has its own connection: a store that was replaced meanwhile is never mistaken for the one that is there.
    """

    def __init__(
        self, store_path: Path, prices: PriceList, zone: ZoneInfo, *, settings: Config = AS_NEW, folders: Sequence[str] = ()
    ) -> None:
        """`folders` are those of the logs, which are read where a person wants to see a line."""
        self._path, self._prices, self._settings, self._folders = store_path, prices, settings, folders
        self._aliases = dict(settings.projects.aliases)
        self.zone = zone
        self._habits = past.Habits(prices, settings.blocks.rounding)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="asker")
        self._asked: sqlite3.Connection | None = None

    def close(self) -> None:
        """No more questions; one that is being answered is given up."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        if (asked := self._asked) is not None:
            asked.interrupt()

    async def older(self, before: FeedRow, words: Sequence[str]) -> Older:
        """The replies before one, newest first: those that have each of the words in a name or an id."""

        def question(db: sqlite3.Connection) -> Older:
            projects = self._projects(db)
            found = queries.older_replies(db, (periods.at_ms(before.at), before.key), PAGE_ROWS, of=_holding(db, words, projects))
            return Older(tuple(self._row(reply, projects) for reply in found), len(found) < PAGE_ROWS)

        return await self._ask(question)

    async def replies(self, session: str) -> tuple[FeedRow, ...]:
        """A session's replies, newest first."""

        def question(db: sqlite3.Connection) -> tuple[FeedRow, ...]:
            projects = self._projects(db)
            return tuple(self._row(reply, projects) for reply in reversed(queries.replies_of_session(db, session)))

        return await self._ask(question)

    async def story(self, key: str, *, shows_lines: bool) -> ReplyStory | None:
        """Where a reply's counts come from; with the lines themselves, which are content. None: the reply is gone."""

        def question(db: sqlite3.Connection) -> ReplyStory | None:
            from tokentail.explain import telling  # seldom wanted

            return telling.of_reply(db, key, self._telling(db, shows_lines)) if queries.replies_by_key(db, [key]) else None

        return await self._ask(question)

    async def sum_story(self, what: str | date) -> SumStory:
        """Where the sum of a session or a day comes from."""

        def question(db: sqlite3.Connection) -> SumStory:
            from tokentail.explain import telling  # as above

            context = self._telling(db, False)
            return telling.of_session(db, what, context) if isinstance(what, str) else telling.of_days(db, what, what, context)

        return await self._ask(question)

    async def report(self, request: Request, now_ms: int) -> Report:
        """A report as the command gives it."""

        def question(db: sqlite3.Connection) -> Report:
            return build(request, Stored(db, self._prices), Context(self._prices, now_ms, aliases=self._aliases))

        return await self._ask(question)

    async def allowances(self, now_ms: int) -> Allowances:
        """How far limits and budgets are used."""

        def question(db: sqlite3.Connection) -> Allowances:
            steady = self._habits.steadiness(db, now_ms)
            found = limits(db, self._prices, now_ms, rounding=self._settings.blocks.rounding, steadiness=steady)
            return Allowances(now_ms, found, tuple(standings(db, self._settings, self._prices, self.zone, now_ms)), self._projects(db))

        return await self._ask(question)

    async def _ask(self, question: Callable[[sqlite3.Connection], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._answer, question)

    def _answer(self, question: Callable[[sqlite3.Connection], Answer]) -> Answer:
        try:
            with closing(database.open_for_reading(self._path)) as db:
                self._asked = db
                with database.snapshot(db):
                    return question(db)
        except sqlite3.Error as error:
            raise StoreError(f"cannot read the store {self._path}: {error} (`tokentail verify` compares it with the logs)") from error
        finally:
            self._asked = None

    def _telling(self, db: sqlite3.Connection, shows_lines: bool) -> telling.Context:
        from tokentail.explain import telling
        from tokentail.sources import open_source

        logs = open_source(self._folders, self._settings.remote)  # one thread's own
        return telling.Context(self._prices, self.zone, logs, self._projects(db), shows_lines=shows_lines)

    def _projects(self, db: sqlite3.Connection) -> Projects:
        return Projects(queries.project_folders(db), self._aliases)

    def _row(self, reply: Reply, projects: Projects) -> FeedRow:
        return feed_row(reply, "", projects, self._prices, self.zone)


def _holding(db: sqlite3.Connection, words: Sequence[str], projects: Projects) -> list[tuple[set[int], set[str]]]:
    """For each word the owners and models that have it in a name: compared here, since the store does not know what projects are called."""
    if not words:
        return []
    owners = {number: names(projects.name(owner.project), owner.session, owner.agent) for number, owner in queries.owners(db).items()}
    models = {name: names(name) for name in usage.models(db)}
    return [
        ({key for key, said in owners.items() if _has(said, word)}, {key for key, said in models.items() if _has(said, word)})
        for word in words
    ]


def _has(said: Sequence[str], word: str) -> bool:
    return any(word in each for each in said)
