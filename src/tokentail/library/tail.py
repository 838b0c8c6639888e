"""The store as a program sees it: ask it for reports and replies, or follow what happens."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, TypeVar, Unpack, overload
from zoneinfo import ZoneInfo

from tokentail import config as configs
from tokentail import database, model, queries
from tokentail.config import Config
from tokentail.coordinator import UpdateCoordinator
from tokentail.errors import StoreError, UsageError
from tokentail.formats import usual_folders
from tokentail.library import asked, following
from tokentail.library.asked import ReportOptions
from tokentail.library.rows import (
    BlockRow,
    DayRow,
    HostRow,
    ModelRow,
    MonthRow,
    ProjectRow,
    Report,
    Row,
    SessionRow,
    UserRow,
    WeekRow,
    report_of,
)
from tokentail.library.showing import Showing
from tokentail.library.values import Reply, Update
from tokentail.prices import PriceList
from tokentail.reports.build import build, scope_of
from tokentail.reports.data import Stored
from tokentail.reports.request import Context, Request
from tokentail.sources import LiveSource, open_source

if TYPE_CHECKING:
    from tokentail.reports.scope import Scope

Answer = TypeVar("Answer")


def open(  # noqa: A001  # `tokentail.open` says what it does
    *,
    sources: Iterable[str | os.PathLike[str]] | None = None,
    home: str | os.PathLike[str] | None = None,
    prices: str | os.PathLike[str] | None = None,
    config: str | os.PathLike[str] | None = None,
) -> Tail:
    """
    Open the store of the logs in the usual places, or of those in some folders. No log is read yet.

    Args:
        sources: folders and buckets (`s3://`, `gs://`, `az://`) that are searched for logs instead of the usual places; they have a
            store of their own.
        home: the folder that holds the stores, instead of `$TOKENTAIL_HOME` or the platform's folder for application data.
        prices: a price list to go by, instead of the one that the command line goes by.
        config: a file of settings, instead of `$TOKENTAIL_CONFIG` or the one in the platform's folder for settings.

    Raises:
        SourceError: a source is no folder, or no address of a bucket.
        ConfigError: the settings cannot be used.
        TokentailError: the price list cannot be used.
    """
    settings = configs.load(configs.config_path(os.environ) if config is None else Path(config))
    places = asked.places_of(sources, settings)
    home_folder = database.home_folder(os.environ) if home is None else Path(home).expanduser()
    price_list = asked.prices_of(prices, home_folder, settings, own_store=home is not None)
    logs = open_source(usual_folders(os.environ) if places is None else places, settings.remote)
    return Tail(logs, database.store_path(home_folder, places), price_list, settings)


class Tail:
    """
    Logs, and the store that is kept up to date with them. `tokentail.open` makes one; it is a context manager, too.

    All methods may be called from any thread; reports wait for one another. Every `follow` stands by itself: it has its own
    connection and goes on when the tail is closed.
    """

    def __init__(self, source: LiveSource, store_path: Path, prices: PriceList, settings: Config) -> None:
        self._source = source
        self._store_path = store_path
        self._prices = prices
        self._settings = settings
        self._aliases = dict(settings.projects.aliases)
        self._lock = threading.Lock()
        self._coordinator: UpdateCoordinator | None = self._new_coordinator()

    @property
    def sources(self) -> tuple[str, ...]:
        """The folders and buckets that are searched, whether they exist or not."""
        return tuple(self._source.names)

    @property
    def store_path(self) -> Path:
        """The file of the store, whether it exists or not."""
        return self._store_path

    @overload
    def report(self, name: Literal["daily"], *, look: bool = True, **options: Unpack[ReportOptions]) -> Report[DayRow]: ...
    @overload
    def report(self, name: Literal["weekly"], *, look: bool = True, **options: Unpack[ReportOptions]) -> Report[WeekRow]: ...
    @overload
    def report(self, name: Literal["monthly"], *, look: bool = True, **options: Unpack[ReportOptions]) -> Report[MonthRow]: ...
    @overload
    def report(self, name: Literal["sessions"], *, look: bool = True, **options: Unpack[ReportOptions]) -> Report[SessionRow]: ...
    @overload
    def report(self, name: Literal["projects"], *, look: bool = True, **options: Unpack[ReportOptions]) -> Report[ProjectRow]: ...
    @overload
    def report(self, name: Literal["models"], *, look: bool = True, **options: Unpack[ReportOptions]) -> Report[ModelRow]: ...
    @overload
    def report(self, name: Literal["hosts"], *, look: bool = True, **options: Unpack[ReportOptions]) -> Report[HostRow]: ...
    @overload
    def report(self, name: Literal["users"], *, look: bool = True, **options: Unpack[ReportOptions]) -> Report[UserRow]: ...
    @overload
    def report(self, name: Literal["blocks"], *, look: bool = True, **options: Unpack[ReportOptions]) -> Report[BlockRow]: ...
    @overload
    def report(self, name: str, *, look: bool = True, **options: Unpack[ReportOptions]) -> Report[Row]: ...

    def report(self, name: str, *, look: bool = True, **options: Unpack[ReportOptions]) -> Report[Row]:
        """
        A report, after a look at the logs for what is new; with look=False only of what the store has already.

        Raises:
            UsageError: there is no such report, day, zone or order.
            StoreError: the store cannot be opened, read or written.
        """
        request = asked.request(self._settings, name, **options)

        def make(db: sqlite3.Connection, update: model.Update | None) -> model.Report:
            return build(request, Stored(db, self._prices), self._context(db, update))

        report, update = self._answer(make, look=look)
        return report_of(report, update.problems if update is not None else ())

    def replies(
        self,
        *,
        since: date | str | None = None,
        until: date | str | None = None,
        timezone: str | ZoneInfo | None = None,
        project: str | Sequence[str] = (),
        model: str | Sequence[str] = (),
        host: str | Sequence[str] = (),
        user: str | Sequence[str] = (),
        look: bool = True,
    ) -> Iterator[Reply]:
        """
        The replies one by one, oldest first, as they are after a look at the logs.

        They are read while you take them, all as of the moment at which you take the first one.

        Args:
            since: the first day; or a datetime: from that moment on.
            until: the last day, inclusive; or a datetime: before that moment.
            timezone: whose days these are; None: the machine's.
            project: only these: slugs, shown names or folders, also with wildcards.
            model: only these, also with wildcards.
            host: only these machines, also with wildcards; "this" is what this machine's own logs say.
            user: only these people's machines, likewise.
            look: False: only what the store has already.

        Raises:
            UsageError: there is no such day or zone.
            StoreError: the store cannot be opened, read or written.
        """
        zone = asked.zone_of(timezone, self._settings)
        start_ms, end_ms = asked.moments(since, until, zone)
        request = Request("daily", zone, projects=asked.names_of(project), models=asked.names_of(model))
        request = request._replace(hosts=asked.names_of(host), users=asked.names_of(user))
        scope, _ = self._answer(lambda db, update: scope_of(request, Stored(db, self._prices), self._context(db, update)), look=look)
        return self._replies(start_ms, end_ms, scope)

    def follow(self, stop: threading.Event | None = None) -> Generator[Update, None, None]:
        """
        Updates as they happen: one at once, and then one after every look at the logs, whether it found anything or not.

        It ends when `stop` is set, which may be done in any thread, or when you leave the loop.

        Raises:
            StoreError: the store cannot be opened, read or written.
        """
        return following.follow(self._new_coordinator, self._showing, stop or threading.Event(), self._store_path)

    def follow_async(self) -> AsyncGenerator[Update, None]:
        """
        The same for `async for`. The work is done in a thread of its own, so the event loop is never held up.

        It ends when its task is cancelled or when you leave the loop.

        Raises:
            StoreError: the store cannot be opened, read or written.
        """
        return following.follow_async(self.follow)

    def close(self) -> None:
        """Release the store; reports are then refused."""
        with self._lock:
            if self._coordinator is not None:
                self._coordinator.close()
                self._coordinator = None

    def __enter__(self) -> Tail:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _new_coordinator(self) -> UpdateCoordinator:
        return UpdateCoordinator(self._source, self._store_path, prices=self._prices)

    def _context(self, db: sqlite3.Connection, update: model.Update | None) -> Context:
        now_ms = update.started_at_ms if update is not None else following.now_ms()
        degraded = update.degraded if update is not None else ()
        return Context(
            self._prices, now_ms, self._source.names, self._aliases, queries.malformed_lines(db), (*self._prices.problems, *degraded)
        )

    def _answer(
        self, question: Callable[[sqlite3.Connection, model.Update | None], Answer], *, look: bool
    ) -> tuple[Answer, model.Update | None]:
        with self._lock, following.store_errors(self._store_path):
            if self._coordinator is None:
                raise UsageError("this tail is closed (open another one)")
            if look:
                return self._coordinator.answer(question)
            db = self._coordinator.db
            if queries.thresholds(db) != self._prices.thresholds:
                raise StoreError("a price list with other long-context limits was imported (open the store anew)")
            return question(db, None), None

    def _replies(self, start_ms: int, end_ms: int, scope: Scope) -> Iterator[Reply]:
        with following.store_errors(self._store_path), contextlib.closing(database.open_for_reading(self._store_path)) as db:
            showing = self._showing(lambda: db)
            found = queries.replies_between(
                db, start_ms, end_ms, projects=scope.slugs, models=scope.models, users=scope.users, hosts=scope.hosts
            )
            for reply in found:
                yield showing.reply(reply)

    def _showing(self, db: Callable[[], sqlite3.Connection]) -> Showing:
        return Showing(db, self._prices, self._aliases)
