"""The only place that makes the values that programs get of what the store holds: with costs and the names of projects."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import cast

from tokentail import model, periods, queries
from tokentail.library.values import Event, Reply, ReplyChange, Update, usd
from tokentail.prices import PriceList
from tokentail.projects import Projects
from tokentail.totals import Adder, add_replies


class Showing:
    """Shows replies and updates of one store."""

    def __init__(self, db: Callable[[], sqlite3.Connection], prices: PriceList, aliases: Mapping[str, str]) -> None:
        """`db` gives the connection to the store as it is now; `aliases` are names to show for projects, by slug or folder."""
        self._db = db
        self._prices = prices
        self._aliases = aliases
        self._projects = Projects({})

    def update(self, update: model.Update) -> Update:
        """An update with its changes, which are read from the store now."""
        return Update(
            at=periods.at(update.started_at_ms),
            changes=tuple(map(self._change, update.changes)),
            metrics=update.metrics,
            problems=tuple(dict.fromkeys(update.problems)),
            degraded=(*self._prices.problems, *update.degraded),
        )

    def reply(self, reply: model.Reply) -> Reply:
        """A reply, with what it costs and what its project is called."""
        adder = Adder[str](self._prices)
        add_replies(adder, [reply], lambda _: "", self._prices)
        cost_pico = adder.cost_pico()
        owner = reply.owner
        return Reply(
            key=reply.key,
            id=reply.id,
            at=periods.at(reply.at_ms),
            session=owner.session,
            project=owner.project,
            project_name=self._project_name(owner.project),
            agent=owner.agent,
            host=owner.host,
            user=owner.user,
            model=reply.model,
            version=reply.version,
            tokens=reply.tokens,
            extras=reply.extras,
            speed=reply.speed,
            geo=reply.geo,
            service_tier=reply.service_tier,
            final=reply.final,
            counts=adder.totals(),
            cost=None if cost_pico is None else usd(cost_pico),
        )

    def _change(self, change: model.ReplyChange) -> ReplyChange:
        reply = None if change.reply is None else self.reply(change.reply)
        return ReplyChange(event=cast("Event", change.event), key=change.key, reply=reply)

    def _project_name(self, slug: str) -> str:
        if slug not in self._projects.folders:
            self._projects = Projects(queries.project_folders(self._db()), self._aliases)
        return self._projects.name(slug)
